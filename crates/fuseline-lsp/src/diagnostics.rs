//! Diagnostics of the checker as the protocol has them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fuseline_workflow::{Diagnostic, FileId, Files, Place};
use lsp_types as lsp;
use serde_json::{Value, json};

use crate::checks::severity;
use crate::position::{Encoding, LineStarts};
use crate::uri;

/// A diagnostic with the file that it is shown in.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub file: PathBuf,
    pub diagnostic: lsp::Diagnostic,
}

/// Source name of the diagnostics in an editor.
pub(crate) const SOURCE: &str = "fuseline";

impl Found {
    /// Why a workflow cannot be checked at all, on its first line.
    pub fn of_request(root: &Path, error: &fuseline::Error) -> Self {
        let hint = error.hint();
        let message = with_hint(&error.to_string(), hint.as_deref());
        let diagnostic = lsp::Diagnostic {
            severity: Some(lsp::DiagnosticSeverity::ERROR),
            source: Some(SOURCE.to_owned()),
            message,
            data: Some(json!({ "hint": hint })),
            ..lsp::Diagnostic::default()
        };
        Self { file: root.to_owned(), diagnostic }
    }
}

fn with_hint(message: &str, hint: Option<&str>) -> String {
    match hint {
        Some(hint) => format!("{message}\nhelp: {hint}"),
        None => message.to_owned(),
    }
}

/// The texts of one check, and where their lines start.
pub(crate) struct Published<'f> {
    root: &'f Path,
    files: &'f Files,
    lines: BTreeMap<FileId, LineStarts>,
    encoding: Encoding,
}

impl<'f> Published<'f> {
    pub fn new(root: &'f Path, files: &'f Files, encoding: Encoding) -> Self {
        Self { root, files, lines: BTreeMap::new(), encoding }
    }

    /// The files that were read, but for arguments.
    pub fn files(&self) -> impl Iterator<Item = PathBuf> {
        self.files.paths().filter(|path| path.is_absolute()).map(Path::to_owned)
    }

    fn range(&mut self, place: &Place) -> lsp::Range {
        let text = self.files.text(place.file);
        let lines = self.lines.entry(place.file).or_insert_with(|| LineStarts::new(text));
        lines.range(text, &place.span, self.encoding)
    }

    /// The file and the range of a place; an argument such as `--set` is shown on the first line of
    /// the workflow.
    fn location(&mut self, place: &Place) -> (PathBuf, lsp::Range) {
        let path = self.files.path(place.file);
        match path.is_absolute() {
            true => (path.to_owned(), self.range(place)),
            false => (self.root.to_owned(), lsp::Range::default()),
        }
    }

    /// A diagnostic as an editor shows it.
    pub fn convert(&mut self, found: &Diagnostic) -> Found {
        let (file, range) = self.location(&found.place);
        let related = found.related.iter().filter_map(|related| {
            let (file, range) = self.location(&related.place);
            Some(lsp::DiagnosticRelatedInformation {
                location: lsp::Location::new(uri::from_path(&file)?, range),
                message: related.message.clone(),
            })
        });
        let related: Vec<_> = related.collect();
        let message = match &found.label {
            Some(label) => format!("{} ({label})", found.message),
            None => found.message.clone(),
        };
        let diagnostic = lsp::Diagnostic {
            range,
            severity: Some(severity(found.severity)),
            code: Some(lsp::NumberOrString::String(found.code.to_string())),
            source: Some(SOURCE.to_owned()),
            message: with_hint(&message, found.hint.as_deref()),
            related_information: Some(related),
            data: Some(self.data(found)),
            ..lsp::Diagnostic::default()
        };
        Found { file, diagnostic }
    }

    /// Data that a code action needs again: the words apart, and the fix.
    fn data(&mut self, found: &Diagnostic) -> Value {
        // An error in an argument cannot be fixed in a file.
        let of_file = |place: &Place| self.files.path(place.file).is_absolute();
        let fix = found.fix.as_ref().filter(|fix| of_file(&fix.place));
        let fix = fix.and_then(|fix| {
            let (file, range) = self.location(&fix.place);
            let uri = uri::from_path(&file)?;
            Some(json!({ "title": fix.title, "uri": uri, "range": range, "text": fix.text }))
        });
        json!({ "message": found.message, "hint": found.hint, "fix": fix })
    }
}
