//! The files that a workflow gives out.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::files::{Files, Place};
use crate::names;
use crate::reference::{self, Reference};
use crate::yaml::Entry;

/// An output as written.
#[derive(Debug)]
pub(crate) struct WrittenOutput {
    /// `None` when the file name has a mistake.
    pub file: Option<PathBuf>,
    pub reference: Reference,
}

/// Reads `outputs:`.
pub(crate) fn read(
    entries: &[Entry],
    files: &Files,
    found: &mut Vec<Diagnostic>,
) -> Vec<WrittenOutput> {
    let mut written: BTreeMap<PathBuf, &Place> = BTreeMap::new();
    let mut outputs = Vec::new();
    for entry in entries {
        let file = file(entry, found);
        if let Some(file) = &file {
            // `a` and `a/b` cannot both be files.
            let above = file.ancestors().filter_map(|above| written.get_key_value(above)).last();
            let below = || written.range(file.clone()..).next();
            let clash = above.or_else(|| below().filter(|(other, _)| other.starts_with(file)));
            if let Some((other, place)) = clash {
                let message =
                    format!("the files {} and {} collide", other.display(), file.display());
                found.push(
                    Diagnostic::error(codes::OUTPUT_FILE, &entry.key_place, message)
                        .related(place, "the other file"),
                );
            }
            written.insert(file.clone(), &entry.key_place);
        }
        if let Some(reference) = reference::read(&entry.value, files, found) {
            outputs.push(WrittenOutput { file, reference });
        }
    }
    outputs
}

fn file(entry: &Entry, found: &mut Vec<Diagnostic>) -> Option<PathBuf> {
    let mut refuse = |message: String, hint: &str| {
        let diagnostic = Diagnostic::error(codes::OUTPUT_FILE, &entry.key_place, message);
        found.push(diagnostic.hint(hint.to_owned()));
        None
    };
    let shown = names::short(&entry.key);
    let below = "outputs are written below the folder of results";
    if crate::expression::has_expression(&entry.key) {
        return refuse("the name of a file cannot be an expression".to_owned(), "write it out");
    }
    // A separator or drive of one system must not mean something else on another.
    if entry.key.contains(['\\', ':']) || entry.key.chars().any(char::is_control) {
        let hint = "use letters, digits, `_`, `-`, `.` and `/` for folders";
        return refuse(format!("the file name \"{shown}\" does not work everywhere"), hint);
    }
    let path = Path::new(&entry.key);
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(part) => clean.push(part),
            Component::CurDir => {}
            Component::ParentDir => {
                return refuse(format!("the file \"{shown}\" lies outside of the results"), below);
            }
            Component::RootDir | Component::Prefix(_) => {
                return refuse(format!("the file \"{shown}\" has an absolute path"), below);
            }
        }
    }
    if clean.as_os_str().is_empty() || entry.key.ends_with('/') {
        return refuse(format!("\"{shown}\" is no file name"), "such as `report.html`");
    }
    Some(clean)
}
