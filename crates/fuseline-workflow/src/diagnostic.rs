//! Everything that can be said about a workflow: a code, a place, words, and what to do.

use std::fmt;

use crate::codes;
use crate::files::{FileId, Place};

/// A stable name for one sort of mistake, `fuseline::…`; see [`codes`](mod@crate::codes).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(pub &'static str);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Whether a workflow can run in spite of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The workflow cannot run.
    Error,
    /// The workflow runs, but something in it has no effect or is likely not meant.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// Another place that a diagnostic speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Related {
    /// Where.
    pub place: Place,
    /// What is there, a lower-case fragment.
    pub message: String,
}

/// Something wrong with a workflow, at its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Which sort of mistake.
    pub code: Code,
    /// Whether the workflow can run in spite of it.
    pub severity: Severity,
    /// A lower-case fragment that stands alone.
    pub message: String,
    /// What to underline.
    pub place: Place,
    /// Words for under the line.
    pub label: Option<String>,
    /// What to do.
    pub hint: Option<String>,
    /// Other places that matter.
    pub related: Vec<Related>,
}

impl Diagnostic {
    /// A mistake without which the workflow could run.
    pub fn error(code: Code, place: &Place, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: message.into(),
            place: place.clone(),
            label: None,
            hint: None,
            related: Vec::new(),
        }
    }

    /// Something that does not keep the workflow from running.
    pub fn warning(code: Code, place: &Place, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, place, message) }
    }

    /// Gives words for under the line.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<Option<String>>) -> Self {
        self.hint = hint.into();
        self
    }

    /// Points at another place.
    #[must_use]
    pub fn related(mut self, place: &Place, message: impl Into<String>) -> Self {
        self.related.push(Related { place: place.clone(), message: message.into() });
        self
    }

    /// Whether the workflow cannot run.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// What diagnostics are sorted by: file, place, then words.
    pub fn order(&self) -> (FileId, usize, usize, Code, &str) {
        let (file, start, end) = self.place.order();
        (file, start, end, self.code, &self.message)
    }
}

/// Sorts by place, drops what is said twice, and gives each a hint: its own, or its code's.
pub(crate) fn sort(diagnostics: &mut Vec<Diagnostic>) {
    for diagnostic in diagnostics.iter_mut() {
        diagnostic.hint.get_or_insert_with(|| codes::advice(diagnostic.code));
    }
    diagnostics.sort_by(|a, b| a.order().cmp(&b.order()));
    diagnostics.dedup_by(|a, b| a.order() == b.order());
    diagnostics.iter_mut().for_each(shorten);
    limit(diagnostics);
}

/// As many diagnostics are kept; more than that are no slips.
const MAX_DIAGNOSTICS: usize = 1_000;
/// As many bytes of any of its texts, and as many other places.
const MAX_WORDS_BYTES: usize = 2000;
const MAX_RELATED: usize = 20;

/// Cuts the texts of a diagnostic where they are longer than anybody reads.
fn shorten(diagnostic: &mut Diagnostic) {
    let Diagnostic { message, label, hint, related, .. } = diagnostic;
    related.truncate(MAX_RELATED);
    let related = related.iter_mut().map(|related| &mut related.message);
    for text in [message].into_iter().chain(label).chain(hint).chain(related) {
        if text.len() > MAX_WORDS_BYTES {
            text.truncate(text.floor_char_boundary(MAX_WORDS_BYTES));
            text.push('…');
        }
    }
}

/// Keeps the first diagnostics, errors before warnings, and says how many there are more.
fn limit(diagnostics: &mut Vec<Diagnostic>) {
    if diagnostics.len() <= MAX_DIAGNOSTICS {
        return;
    }
    let errors = diagnostics.iter().filter(|found| found.is_error()).count();
    if errors > 0 {
        diagnostics.retain(Diagnostic::is_error);
    }
    let more = diagnostics.len().saturating_sub(MAX_DIAGNOSTICS);
    let Some(next) = diagnostics.get(MAX_DIAGNOSTICS) else { return };
    let message = format!("and {more} more of such; these are the first {MAX_DIAGNOSTICS}");
    let mut rest = Diagnostic::error(codes::LIMIT, &next.place, message);
    rest.severity = next.severity;
    rest.hint = Some(codes::advice(codes::LIMIT));
    diagnostics.truncate(MAX_DIAGNOSTICS);
    diagnostics.push(rest);
}
