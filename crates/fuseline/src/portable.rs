//! Texts and manifests without the folders of the machine: where a file lies is not part of a
//! result, and what is deposited is read by others.

use std::path::Path;

use fuseline_engine::Manifest;
use serde_json::Value;

/// A value; of an absolute path the last component.
fn value(text: &str) -> String {
    let name = Path::new(text).is_absolute().then(|| Path::new(text).file_name()).flatten();
    name.map_or_else(|| text.to_owned(), |name| name.to_string_lossy().into_owned())
}

/// A text in which the last component stands for every absolute path.
pub fn text(text: &str) -> String {
    let ends = |letter: char| letter.is_whitespace() || "\"'`,;:()[]{}<>=|".contains(letter);
    let mut out = String::new();
    let mut rest = text;
    let mut previous = None;
    while let Some(letter) = rest.chars().next() {
        let begins = letter == '/' && previous.is_none_or(ends) && !rest.starts_with("//");
        let length = if begins { rest.find(ends).unwrap_or(rest.len()) } else { letter.len_utf8() };
        let (part, after) = rest.split_at(length);
        out.push_str(&if begins { value(part) } else { part.to_owned() });
        previous = part.chars().last();
        rest = after;
    }
    out
}

/// A manifest as it is deposited.
pub fn manifest(manifest: &Manifest) -> Manifest {
    let mut portable = manifest.clone();
    for param in portable.params.values_mut() {
        if let Value::String(shown) = param {
            *shown = value(shown);
        }
    }
    for file in &mut portable.files {
        file.path = file.portable_name().to_owned();
    }
    for python in &mut portable.environment.python {
        python.program = value(&python.program);
        python.named_by = text(&python.named_by);
    }
    // The address of a store is of no use to others, and may be of a folder.
    portable.remote = None;
    portable.undelivered = portable.undelivered.as_deref().map(text);
    for caution in &mut portable.cautions {
        caution.text = text(&caution.text);
    }
    for action in &mut portable.actions {
        action.reason = action.reason.as_deref().map(text);
        action.error = action.error.as_deref().map(text);
    }
    portable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_left_out_of_values_and_texts_and_nothing_else_is() {
        assert_eq!(value("/home/kim/stressid"), "stressid");
        assert_eq!(value("data/stressid"), "data/stressid");
        for (given, shown) in [
            ("the file /home/kim/a.csv changed", "the file a.csv changed"),
            ("'/home/kim/a.csv': line 3", "'a.csv': line 3"),
            ("/home/kim/study.yaml:12", "study.yaml:12"),
            ("see https://example.org/a/b", "see https://example.org/a/b"),
            ("a share of 3/4 and /", "a share of 3/4 and /"),
            ("path=/home/kim/ä/b", "path=b"),
        ] {
            assert_eq!(text(given), shown);
        }
    }
}
