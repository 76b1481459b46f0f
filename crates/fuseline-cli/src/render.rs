//! Diagnostics for people (the source line, underlined) and for programs.

use std::fmt::{self, Write as _};

use fuseline_workflow::{Diagnostic, Files, Place, Related, Severity};
use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents,
    SourceCode, SpanContents,
};
use serde_json::{Value, json};

use crate::exit::Failure;
use crate::print;

/// Writes diagnostics to stderr, each with its source line and the place underlined.
pub fn diagnostics(found: &[Diagnostic], files: &Files) {
    texts(found, files, print::is_rich()).iter().for_each(print::styled);
}

/// Diagnostics as text for people, with or without colours.
fn texts(found: &[Diagnostic], files: &Files, rich: bool) -> Vec<String> {
    let theme = if rich { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme).with_context_lines(1).with_links(false);
    let text = |diagnostic| {
        let mut text = String::new();
        let diagnostic = &visible(diagnostic);
        let shown = Shown::new(diagnostic, files);
        // Writing to a string does not fail.
        let _ = handler.render_report(&mut text, &shown);
        if !shown.is_drawn {
            let start = files.line_column(&diagnostic.place);
            let file = files.path(diagnostic.place.file).display().to_string();
            let file = fuseline::visible(&file);
            let _ = writeln!(text, "  at: {file}:{}:{}", start.line, start.column);
        }
        let _ = write!(text, "{}", elsewhere(diagnostic, files));
        text.trim_end().to_owned()
    };
    found.iter().map(text).collect()
}

/// A diagnostic of which no text does anything to a terminal.
fn visible(diagnostic: &Diagnostic) -> Diagnostic {
    let mut shown = diagnostic.clone();
    let Diagnostic { message, label, hint, related, .. } = &mut shown;
    let related = related.iter_mut().map(|related| &mut related.message);
    for text in [message].into_iter().chain(label).chain(hint).chain(related) {
        *text = fuseline::visible(text).into_owned();
    }
    shown
}

/// One diagnostic as JSON: lines and columns count from 1, columns in characters. `fix` is a text
/// to put in the place of what stands there, or null.
pub fn json(diagnostic: &Diagnostic, files: &Files) -> Value {
    let mut value = place(&diagnostic.place, files);
    value["code"] = diagnostic.code.to_string().into();
    value["severity"] = severity(diagnostic.severity).into();
    value["message"] = diagnostic.message.clone().into();
    value["hint"] = diagnostic.hint.clone().into();
    let related = diagnostic.related.iter().map(|related| {
        let mut value = place(&related.place, files);
        value["message"] = related.message.clone().into();
        value
    });
    value["related"] = related.collect();
    value["fix"] = diagnostic.fix.as_ref().map_or(Value::Null, |fix| {
        let mut value = place(&fix.place, files);
        value["title"] = fix.title.clone().into();
        value["text"] = fix.text.clone().into();
        value
    });
    value
}

fn place(place: &Place, files: &Files) -> Value {
    let (start, end) = (files.line_column(place), files.end_line_column(place));
    json!({
        "file": files.path(place.file).display().to_string(),
        "line": start.line,
        "column": start.column,
        "end_line": end.line,
        "end_column": end.column,
    })
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

/// Writes the error of a command.
pub fn failure(failure: &Failure) {
    if let Some(mistakes) = &failure.mistakes {
        diagnostics(&mistakes.diagnostics, &mistakes.files);
    }
    print::note(format!("error: {}", failure.message));
    if let Some(hint) = &failure.hint {
        print::note(format!("  help: {hint}"));
    }
}

/// Related places in other files or far away, which one drawing cannot hold.
fn elsewhere(diagnostic: &Diagnostic, files: &Files) -> String {
    let others = diagnostic.related.iter().filter(|of| !is_drawn_beside(diagnostic, of, files));
    others
        .map(|of| {
            let start = files.line_column(&of.place);
            let file = files.path(of.place.file).display().to_string();
            let file = fuseline::visible(&file);
            format!("  {file}:{}:{}: {}\n", start.line, start.column, of.message)
        })
        .collect()
}

/// A place as many lines away is drawn with the lines between; what is further is named.
const MAX_LINES_BETWEEN: usize = 6;

fn is_drawn_beside(diagnostic: &Diagnostic, related: &Related, files: &Files) -> bool {
    let line = |place: &Place| files.line_column(place).line;
    related.place.file == diagnostic.place.file
        && line(&related.place).abs_diff(line(&diagnostic.place)) <= MAX_LINES_BETWEEN
}

/// A diagnostic as miette draws it.
#[derive(Debug)]
struct Shown<'a> {
    diagnostic: &'a Diagnostic,
    /// The name of its file.
    name: String,
    /// The lines around its labels, whose places count from there.
    excerpt: String,
    /// Number of lines of the file before the excerpt.
    lines_before: usize,
    labels: Vec<LabeledSpan>,
    /// True if the place is drawn within its lines; the message names it otherwise.
    is_drawn: bool,
}

/// A line of more bytes is not drawn: it would be unreadable, and columns beyond 65,535 cannot be.
const MAX_DRAWN_LINE_BYTES: usize = 2000;

/// Lines before and after its labels that an excerpt has at least.
const LINES_AROUND: usize = 2;

impl<'a> Shown<'a> {
    fn new(diagnostic: &'a Diagnostic, files: &Files) -> Self {
        let file = diagnostic.place.file;
        let name = fuseline::visible(&files.path(file).display().to_string()).into_owned();
        let here = diagnostic.related.iter().filter(|of| is_drawn_beside(diagnostic, of, files));
        let related = here.map(|related| (&related.place, Some(related.message.clone())));
        let own = (&diagnostic.place, diagnostic.label.clone());
        let places: Vec<(&Place, Option<String>)> = [own].into_iter().chain(related).collect();
        let text = files.text(file);
        let spans = || places.iter().map(|(place, _)| place.span.clone());
        let is_drawn = spans().all(|span| is_drawable(text, span.start, span.len()));
        // A thousand diagnostics of a long text must not read all of it a thousand times.
        let first = places.iter().map(|(place, _)| *place).min_by_key(|place| place.span.start);
        let start = spans().map(|span| span.start).min().unwrap_or(0);
        let end = spans().map(|span| span.end).max().unwrap_or(0);
        let before = text.get(..start).unwrap_or_default();
        let begin = before.rmatch_indices('\n').nth(LINES_AROUND).map_or(0, |(at, _)| at + 1);
        let after = text.get(end..).unwrap_or_default();
        let finish = after.match_indices('\n').nth(LINES_AROUND);
        let finish = finish.map_or(text.len(), |(at, _)| end + at);
        let first_line = first.map_or(1, |place| files.line_column(place).line);
        let skipped = before.get(begin..).unwrap_or_default().matches('\n').count();
        let label = |(number, (place, message)): (usize, (&Place, Option<String>))| {
            let span = place.span.start - begin..place.span.end - begin;
            match number {
                0 => LabeledSpan::new_primary_with_span(message, span),
                _ => LabeledSpan::new_with_span(message, span),
            }
        };
        Self {
            diagnostic,
            name,
            excerpt: fuseline::masked(text.get(begin..finish).unwrap_or_default()),
            lines_before: first_line.saturating_sub(1 + skipped),
            is_drawn,
            labels: places.into_iter().enumerate().map(label).collect(),
        }
    }
}

/// True if the lines of a span and its neighbours are short enough to be drawn.
fn is_drawable(text: &str, start: usize, length: usize) -> bool {
    let before = text.get(..start).unwrap_or(text);
    let after = text.get(start + length..).unwrap_or_default();
    let within = text.get(start..start + length).unwrap_or_default();
    let first = before.rsplit('\n').take(2).map(str::len);
    let last = after.split('\n').take(2).map(str::len);
    first.chain(last).chain(within.split('\n').map(str::len)).sum::<usize>() < MAX_DRAWN_LINE_BYTES
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.diagnostic.message)
    }
}

impl std::error::Error for Shown<'_> {}

impl SourceCode for Shown<'_> {
    fn read_span<'s>(
        &'s self,
        span: &miette::SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'s> + 's>, MietteError> {
        let lines = self.excerpt.read_span(span, before, after)?;
        Ok(Box::new(MietteSpanContents::new_named(
            self.name.clone(),
            lines.data(),
            *lines.span(),
            lines.line() + self.lines_before,
            lines.column(),
            lines.line_count(),
        )))
    }
}

impl miette::Diagnostic for Shown<'_> {
    fn code<'s>(&'s self) -> Option<Box<dyn fmt::Display + 's>> {
        Some(Box::new(&self.diagnostic.code))
    }
    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.diagnostic.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }
    fn help<'s>(&'s self) -> Option<Box<dyn fmt::Display + 's>> {
        self.diagnostic.hint.as_ref().map(|hint| Box::new(hint) as Box<dyn fmt::Display>)
    }
    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.is_drawn.then_some(self)
    }
    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        if !self.is_drawn {
            return None;
        }
        Some(Box::new(self.labels.iter().cloned()))
    }
}
