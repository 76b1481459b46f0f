//! Diagnostics of a workflow: a code, a place, a message, and advice.

use std::collections::BTreeMap;
use std::fmt;

use crate::codes;
use crate::expression::has_expression;
use crate::files::{FileId, Files, Place};
use crate::given::{Given, SET, word_place};
use crate::index::AxisIndex;
use crate::names;
use crate::stage::edits::extend_over;
use crate::workflow::StagePlaces;

/// A stable name for one sort of mistake, `fuseline::…`; see [`codes`](mod@crate::codes).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(pub &'static str);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Severity of a diagnostic: an error keeps a workflow from running.
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
    /// The place.
    pub place: Place,
    /// Description of the place, a lower-case fragment.
    pub message: String,
}

/// A change of a text that corrects a mistake, or the first part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fix {
    /// Summary of the change in a few words: `change to fold`.
    pub title: String,
    /// The text to replace; empty for an insertion.
    pub place: Place,
    /// The replacement.
    pub text: String,
    pending: Pending,
}

/// Condition still to be checked before a fix can be offered.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Pending {
    Nothing,
    /// This word must be written at the place, or where an expression there has it from.
    Written(String),
    /// The place of the stage's axes, among which this one is missing, must be found.
    Axis(AxisIndex),
    /// The texts at the place and at this one, in the same file, are exchanged.
    Exchange(Place),
    /// The place is that of a stage's kind; its `over`, if it has one, is extended by axes.
    Over(Option<Place>, Vec<String>),
    /// Nothing is to be changed here; the place is that of the kind of a stage whose `over` lacks
    /// what is selected.
    Selected,
}

impl Fix {
    /// Replaces the text at a place, or inserts one there.
    pub fn new(title: impl Into<String>, place: Place, text: impl Into<String>) -> Self {
        Self { title: title.into(), place, text: text.into(), pending: Pending::Nothing }
    }

    /// Lets the stage run over an axis; see [`Fix::missing_axis`].
    pub(crate) fn axis(axis: AxisIndex, place: &Place) -> Self {
        let pending = Pending::Axis(axis);
        Self { title: String::new(), place: place.clone(), text: String::new(), pending }
    }

    /// The axis that the stage would have to run over, when that is the fix.
    pub(crate) fn missing_axis(&self) -> Option<AxisIndex> {
        match self.pending {
            Pending::Axis(axis) => Some(axis),
            _ => None,
        }
    }

    /// Replaces one word by another, at the place or where an expression there has the word from;
    /// dropped where it stands in neither.
    pub fn word(written: &str, meant: &str, place: &Place) -> Self {
        let pending = Pending::Written(written.to_owned());
        let (title, text) = (format!("change to `{meant}`"), meant.to_owned());
        Self { title, place: place.clone(), text, pending }
    }

    /// No change: a selection of points of an axis that the stage does not run over, which is no
    /// mistake of its own where the stage needs that axis.
    pub(crate) fn selected(uses: &Place) -> Self {
        let pending = Pending::Selected;
        Self { title: String::new(), place: uses.clone(), text: String::new(), pending }
    }

    /// The word that is to be written instead of another one, when that is the fix.
    pub(crate) fn replaced(&self, meant: &str) -> Option<&str> {
        match &self.pending {
            Pending::Written(written) if self.text == meant => Some(written),
            _ => None,
        }
    }

    /// Exchanges the texts at two places; dropped where they are not in one file.
    pub fn exchange(title: impl Into<String>, one: &Place, other: &Place) -> Self {
        let pending = Pending::Exchange(other.clone());
        Self { title: title.into(), place: one.clone(), text: String::new(), pending }
    }

    /// Lets a stage run over one more axis.
    pub fn over(stage: &str, axis: &str, places: &StagePlaces) -> Self {
        let pending = Pending::Over(places.over.clone(), vec![axis.to_owned()]);
        let title = format!("add `{axis}` to `over` of `{stage}`");
        Self { title, place: places.uses.clone(), text: String::new(), pending }
    }

    /// Lets the stage with a kind and an `over` at these places run over more axes.
    pub(crate) fn extend_over(uses: &Place, over: Option<&Place>, axes: &[&str]) -> Self {
        let axes: Vec<_> = axes.iter().map(|axis| (*axis).to_owned()).collect();
        let pending = Pending::Over(over.cloned(), axes);
        Self { title: String::new(), place: uses.clone(), text: String::new(), pending }
    }

    /// The fix, within the quotes where the word is quoted, if its place holds the expected text.
    fn settled(mut self, files: &Files, given: &[Given]) -> Option<Self> {
        // Nobody changes the text of an argument.
        if files.path(self.place.file).as_os_str() == SET {
            return None;
        }
        let written = match std::mem::replace(&mut self.pending, Pending::Nothing) {
            Pending::Nothing => return Some(self),
            Pending::Written(written) => written,
            Pending::Axis(_) | Pending::Selected => return None,
            Pending::Exchange(other) => return self.exchanged(&other, files),
            Pending::Over(over, axes) => {
                let title = match self.title.is_empty() {
                    true => format!("add {} to `over`", names::list(&axes)),
                    false => self.title,
                };
                return extend_over(title, &self.place, over.as_ref(), &axes, files);
            }
        };
        let slice = files.slice(&self.place);
        if has_expression(slice) {
            return self.at_source(&written, files, given);
        }
        if slice != written {
            let inner = ['"', '\'']
                .iter()
                .find_map(|quote| slice.strip_prefix(*quote)?.strip_suffix(*quote))?;
            if inner != written {
                return None;
            }
            self.place.span = self.place.span.start + 1..self.place.span.end - 1;
        } else if self.text.starts_with("${{") {
            // Inside of braces it would be read as a mapping.
            self.text = format!("\"{}\"", self.text);
        }
        Some(self)
    }

    /// The replacement of what an expression adds to a word, where that is written: `entrpy` of
    /// `quality.${{ quality }}` on the axis.
    fn at_source(self, written: &str, files: &Files, given: &[Given]) -> Option<Self> {
        let template = files.slice(&self.place).trim_matches(['"', '\'']);
        let (before, rest) = template.split_once("${{")?;
        let (expression, behind) = rest.split_once("}}")?;
        let added = |word: &str| {
            let added = word.strip_prefix(before)?.strip_suffix(behind)?;
            (!added.is_empty()).then(|| added.to_owned())
        };
        let (written, meant) = (added(written)?, added(&self.text)?);
        let place = word_place(given, files, expression, &written)?;
        Some(Self::new(format!("change to `{meant}`"), place, meant))
    }

    /// One replacement from the first of two texts to the end of the second.
    fn exchanged(mut self, other: &Place, files: &Files) -> Option<Self> {
        let (first, second) = match self.place.span.start <= other.span.start {
            true => (&self.place, other),
            false => (other, &self.place),
        };
        if first.file != second.file || first.span.end > second.span.start {
            return None;
        }
        let between = files.text(first.file).get(first.span.end..second.span.start)?;
        self.text = format!("{}{between}{}", files.slice(second), files.slice(first));
        self.place = Place::new(first.file, first.span.start..second.span.end);
        Some(self)
    }
}

/// Something wrong with a workflow, at its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Sort of mistake.
    pub code: Code,
    /// Severity: an error keeps the workflow from running.
    pub severity: Severity,
    /// A lower-case fragment that stands alone.
    pub message: String,
    /// The text to underline.
    pub place: Place,
    /// Words for under the line.
    pub label: Option<String>,
    /// Advice.
    pub hint: Option<String>,
    /// Other places that matter.
    pub related: Vec<Related>,
    /// A change of the text that corrects it, if one is known.
    pub fix: Option<Fix>,
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
            fix: None,
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

    /// Adds advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<Option<String>>) -> Self {
        self.hint = hint.into();
        self
    }

    /// Offers a change of the text.
    #[must_use]
    pub fn fix(mut self, fix: impl Into<Option<Fix>>) -> Self {
        self.fix = fix.into();
        self
    }

    /// Offers another text for the whole place.
    #[must_use]
    pub(crate) fn write(self, text: &str) -> Self {
        let fix = Fix::new(format!("write {text}"), self.place.clone(), text);
        self.hint(format!("write {text}")).fix(fix)
    }

    /// Suggests which of some names was likely meant instead of the word at this place, and offers
    /// to write it; lists all of them when they are few. An existing hint stays when there is
    /// nothing to suggest.
    #[must_use]
    pub(crate) fn suggest<'a>(
        mut self,
        written: &str,
        what: &str,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let (hint, near) = names::hint(written, what, names);
        self.hint = hint.or(self.hint);
        self.fix = near.map(|near| Fix::word(written, near, &self.place));
        self
    }

    /// Points at another place.
    #[must_use]
    pub fn related(mut self, place: &Place, message: impl Into<String>) -> Self {
        self.related.push(Related { place: place.clone(), message: message.into() });
        self
    }

    /// True if the workflow cannot run.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// Sort key of diagnostics: file, place, then words.
    pub fn order(&self) -> (FileId, usize, usize, Code, &str) {
        let (file, start, end) = self.place.order();
        (file, start, end, self.code, &self.message)
    }
}

/// Sorts by place, removes duplicates, and gives each a hint: its own, or its code's.
pub(crate) fn sort(diagnostics: &mut Vec<Diagnostic>, files: &Files, given: &[Given]) {
    diagnostics.sort_by(|a, b| a.order().cmp(&b.order()));
    diagnostics.dedup_by(|a, b| a.order() == b.order());
    say_once(diagnostics, given);
    for diagnostic in diagnostics.iter_mut() {
        diagnostic.fix = diagnostic.fix.take().and_then(|fix| fix.settled(files, given));
        diagnostic.hint.get_or_insert_with(|| codes::advice(diagnostic.code));
    }
    diagnostics.iter_mut().for_each(shorten);
    limit(diagnostics);
}

/// One mistake is reported once, at the first of its places: the others are related to it.
fn say_once(diagnostics: &mut Vec<Diagnostic>, given: &[Given]) {
    let mut first: BTreeMap<(&'static str, FileId, usize, String), usize> = BTreeMap::new();
    let mut kept: Vec<Diagnostic> = Vec::with_capacity(diagnostics.len());
    for diagnostic in diagnostics.drain(..) {
        let Some(cause) = diagnostic.cause(given) else {
            kept.push(diagnostic);
            continue;
        };
        match first.get(&cause) {
            Some(known) => kept[*known].absorb(diagnostic),
            None => {
                first.insert(cause, kept.len());
                kept.push(diagnostic);
            }
        }
    }
    *diagnostics = kept;
}

impl Diagnostic {
    /// The mistake that a diagnostic is of, where one mistake has several: its sort, its place, and
    /// its words where that is a name.
    fn cause(&self, given: &[Given]) -> Option<(&'static str, FileId, usize, String)> {
        use codes::{
            AXIS_FIELDS, DROPPED_POINT, EMPTY_AXIS, OPTION_TYPE, OPTION_VALUE, PORT_ARITY,
            UNKNOWN_AXIS, UNKNOWN_NAME, UNKNOWN_OUTPUT, UNKNOWN_PARAM, UNKNOWN_STAGE,
        };
        let start = self.place.order().0;
        match (self.code, &self.fix) {
            // Axes that a stage does not run over, and needs.
            (
                UNKNOWN_NAME | PORT_ARITY | UNKNOWN_AXIS,
                Some(Fix { place, pending: Pending::Over(..) | Pending::Selected, .. }),
            ) => Some(("over", place.file, place.span.start, String::new())),
            // A name that is not there, however often it is used.
            (UNKNOWN_STAGE | UNKNOWN_AXIS | UNKNOWN_PARAM | UNKNOWN_OUTPUT, _) => {
                Some((self.code.0, start, 0, self.message.clone()))
            }
            // Points that lack a field which one expression reads.
            (AXIS_FIELDS, _) => {
                let read = &self.related.first()?.place;
                Some(("field", read.file, read.span.start, String::new()))
            }
            // Points that one `where` drops.
            (DROPPED_POINT, _) => {
                let dropped = &self.related.first()?.place;
                Some(("where", dropped.file, dropped.span.start, String::new()))
            }
            // The value of one param.
            (OPTION_TYPE | OPTION_VALUE | EMPTY_AXIS, _) => {
                let mut params = self
                    .related
                    .iter()
                    .filter(|related| given.iter().any(|given| given.is_param_at(&related.place)));
                let (param, None) = (params.next()?, params.next()) else { return None };
                let place = &param.place;
                Some(("param", place.file, place.span.start, String::new()))
            }
            _ => None,
        }
    }

    /// Takes in another diagnostic of the same mistake.
    fn absorb(&mut self, other: Self) {
        match (&mut self.fix, other.fix) {
            (
                Some(Fix { pending: Pending::Over(_, axes), .. }),
                Some(Fix { pending: Pending::Over(_, more), .. }),
            ) => {
                let before = axes.len();
                let new: Vec<_> = more.into_iter().filter(|axis| !axes.contains(axis)).collect();
                axes.extend(new);
                if axes.len() > before {
                    self.hint = Some(format!("add {} to `over`", names::list(axes)));
                }
            }
            (own @ (None | Some(Fix { pending: Pending::Selected, .. })), Some(fix)) => {
                *own = Some(fix);
                self.hint = other.hint;
            }
            _ => {}
        }
        if self.place != other.place && self.related.iter().all(|known| known.place != other.place)
        {
            let message = match self.message == other.message {
                true => "and here".to_owned(),
                false => other.message,
            };
            self.related.push(Related { place: other.place, message });
        }
    }
}

/// Greatest number of diagnostics kept; more than that are no slips.
const MAX_DIAGNOSTICS: usize = 1_000;
/// Greatest number of bytes of any of its texts, and of its other places.
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

/// Keeps the first diagnostics, errors before warnings, and counts the rest.
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
