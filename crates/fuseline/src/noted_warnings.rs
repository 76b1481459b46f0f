//! Warnings of a workflow as they are noted for the next run, with the texts that they point into.

use std::collections::BTreeMap;
use std::path::PathBuf;

use fuseline_workflow::{Diagnostic, FileId, Files, Place};
use serde::{Deserialize, Serialize};

use crate::codes;

/// Warnings with the texts that they point into.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NotedWarnings {
    texts: Vec<(PathBuf, String)>,
    warnings: Vec<NotedWarning>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct NotedWarning {
    code: String,
    message: String,
    place: NotedPlace,
    label: Option<String>,
    hint: Option<String>,
    related: Vec<(NotedPlace, String)>,
}

/// A range of bytes in one of the texts.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct NotedPlace {
    text: usize,
    start: usize,
    end: usize,
}

impl NotedWarnings {
    /// Notes warnings.
    pub fn encode(warnings: &[Diagnostic], files: &Files) -> Self {
        let mut noted = Self::default();
        let mut numbers: BTreeMap<FileId, usize> = BTreeMap::new();
        let mut place = |place: &Place, texts: &mut Vec<(PathBuf, String)>| {
            let text = *numbers.entry(place.file).or_insert_with(|| {
                texts.push((files.path(place.file).to_owned(), files.text(place.file).to_owned()));
                texts.len() - 1
            });
            NotedPlace { text, start: place.span.start, end: place.span.end }
        };
        for warning in warnings {
            let Diagnostic { code, severity: _, message, place: at, label, hint, related, fix: _ } =
                warning;
            noted.warnings.push(NotedWarning {
                code: code.0.to_owned(),
                message: message.clone(),
                place: place(at, &mut noted.texts),
                label: label.clone(),
                hint: hint.clone(),
                related: related
                    .iter()
                    .map(|of| (place(&of.place, &mut noted.texts), of.message.clone()))
                    .collect(),
            });
        }
        noted
    }

    /// The warnings; none when the note is not sound.
    pub fn decode(self) -> Option<(Vec<Diagnostic>, Files)> {
        let mut files = Files::default();
        let ids: Vec<FileId> =
            self.texts.into_iter().map(|(path, text)| files.add(path, text)).collect();
        let place = |noted: NotedPlace| {
            Some(Place::new(*ids.get(noted.text)?, noted.start..noted.end.max(noted.start)))
        };
        let known = if self.warnings.is_empty() { Vec::new() } else { codes::all() };
        let warnings = self.warnings.into_iter().map(|noted| {
            let (code, _) = known.iter().find(|(code, _)| code.0 == noted.code)?;
            let mut warning = Diagnostic::warning(*code, &place(noted.place)?, noted.message);
            warning.label = noted.label;
            warning.hint = noted.hint;
            for (at, message) in noted.related {
                warning = warning.related(&place(at)?, message);
            }
            Some(warning)
        });
        let warnings: Option<Vec<_>> = warnings.collect();
        Some((warnings?, files))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_come_back_with_their_texts() {
        let mut files = Files::default();
        let workflow = files.add("w.yaml", "a: 1\nb: 2\n");
        let included = files.add("more.yaml", "c: 3\n");
        let at = |file, start, end| Place::new(file, start..end);
        let code = fuseline_workflow::codes::YAML_SYNTAX;
        let warnings = [
            Diagnostic::warning(code, &at(included, 0, 1), "unused")
                .hint("drop it".to_owned())
                .related(&at(workflow, 5, 6), "used here"),
            Diagnostic::warning(code, &at(workflow, 0, 1), "unused too").label("here"),
        ];
        let noted = serde_json::to_vec(&NotedWarnings::encode(&warnings, &files)).unwrap();
        let noted: NotedWarnings = serde_json::from_slice(&noted).unwrap();
        let (read, texts) = noted.decode().unwrap();
        for (read, warning) in read.iter().zip(&warnings) {
            assert_eq!((&read.message, &read.hint), (&warning.message, &warning.hint));
            assert_eq!(texts.path(read.place.file), files.path(warning.place.file));
            assert_eq!(texts.slice(&read.place), files.slice(&warning.place));
        }
        assert_eq!(texts.slice(&read[0].related[0].place), "b");
        assert_eq!(read.len(), warnings.len());
    }
}
