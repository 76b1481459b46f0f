//! Paths within the texts that a program is given: its arguments, its environment, its params.

use std::io::ErrorKind;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Number of ends of one path that are tried, from the longest on: a path may hold blanks.
const MAX_ENDS: usize = 256;
/// Length of the longest path.
const MAX_PATH_BYTES: usize = 4096;
/// Stands for a path in a text. No argument of a program can hold it, so nothing else reads alike.
const PLACEHOLDER: &str = "\0";

/// A path that a text names.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NamedPath {
    /// A file.
    File(PathBuf),
    /// A folder at the path of a path param, or below.
    Folder(PathBuf),
    /// No file, and the path is no input of the workflow.
    Absent(PathBuf),
    /// No file, though a path param names it.
    Missing(PathBuf),
}

/// Takes the paths that name files out of every text of a value, in order; `inputs` are the values
/// of path params.
///
/// Folders are taken out where a path param names them: a text such as `/tmp` or `/usr/lib` names a
/// place and no data.
pub(super) fn take_paths(value: &mut Value, inputs: &[PathBuf], named: &mut Vec<NamedPath>) {
    match value {
        Value::String(text) => {
            let mut rest = String::new();
            let mut done = 0;
            for (range, path) in paths_in(text, inputs) {
                if matches!(path, NamedPath::File(_) | NamedPath::Folder(_)) {
                    rest += &text[done..range.start];
                    rest += PLACEHOLDER;
                    done = range.end;
                }
                named.push(path);
            }
            if done > 0 {
                rest += &text[done..];
                *text = rest;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| take_paths(item, inputs, named)),
        Value::Object(fields) => {
            fields.values_mut().for_each(|field| take_paths(field, inputs, named));
        }
        _ => {}
    }
}

/// The absolute paths in a text, where they stand, and what is there.
fn paths_in(text: &str, inputs: &[PathBuf]) -> Vec<(Range<usize>, NamedPath)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(offset) = text.get(at..).and_then(|rest| rest.find('/')) {
        let start = at + offset;
        at = start + 1;
        if text[..start].chars().next_back().is_some_and(|before| !is_boundary(before)) {
            continue;
        }
        if let Some((length, path)) = path_at(&text[start..], inputs) {
            at = start + length;
            found.push((start..at, path));
        }
    }
    found
}

/// The path that a text begins with, and its length.
fn path_at(text: &str, inputs: &[PathBuf]) -> Option<(usize, NamedPath)> {
    let boundaries = text.char_indices().filter(|(_, c)| is_boundary(*c)).map(|(at, _)| at);
    let ends: Vec<usize> = boundaries
        .chain([text.len()])
        .take_while(|end| *end <= MAX_PATH_BYTES)
        .take(MAX_ENDS)
        .collect();
    let input = inputs.iter().filter_map(|input| Some((input, input.to_str()?.len())));
    let input = input
        .filter(|(input, length)| {
            let end = ends.iter().find(|end| *end >= length);
            end.is_some_and(|end| Path::new(&text[..*end]).starts_with(input))
        })
        .max_by_key(|(_, length)| *length);
    for &end in ends.iter().rev() {
        let path = Path::new(&text[..end]);
        let is_input = input.is_some_and(|(input, _)| path.starts_with(input));
        match path.metadata() {
            Ok(there) if there.is_file() => return Some((end, NamedPath::File(path.to_owned()))),
            Ok(there) if there.is_dir() && is_input => {
                return Some((end, NamedPath::Folder(path.to_owned())));
            }
            // A place, or a device.
            Ok(_) if input.is_none_or(|(_, length)| end >= length) => return None,
            _ => {}
        }
    }
    if let Some((input, length)) = input {
        return Some((length, NamedPath::Missing(input.clone())));
    }
    let end = ends.first().copied().filter(|end| *end > 1)?;
    let path = PathBuf::from(&text[..end]);
    let is_absent = path.metadata().is_err_and(|error| error.kind() == ErrorKind::NotFound);
    is_absent.then_some((end, NamedPath::Absent(path)))
}

/// True if a path may begin behind the letter, or end before it.
fn is_boundary(letter: char) -> bool {
    letter.is_whitespace() || "\"'`=:,;|&<>()[]{}@".contains(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_found_wherever_they_stand_in_a_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir(path("my data")).unwrap();
        for file in ["make.py", "my data/a b.csv"] {
            std::fs::write(path(file), "text").unwrap();
        }
        let (script, table) = (path("make.py"), path("my data/a b.csv"));
        let named = |text: &str, inputs: &[PathBuf]| {
            let mut value = Value::from(vec![text]);
            let mut named = Vec::new();
            take_paths(&mut value, inputs, &mut named);
            (value[0].as_str().unwrap().to_owned(), named)
        };
        let file = |path: &Path| NamedPath::File(path.to_owned());
        let script_text = script.display();
        for (before, after) in
            [("", ""), ("--script=", ""), ("python3 '", "' > outputs/main"), ("a:", ":b")]
        {
            let (rest, found) = named(&format!("{before}{script_text}{after}"), &[]);
            assert_eq!(rest, format!("{before}\0{after}"));
            assert_eq!(found, [file(&script)]);
        }
        let (rest, found) = named(&format!("cat {} {script_text}", table.display()), &[]);
        assert_eq!((rest.as_str(), found), ("cat \0 \0", vec![file(&table), file(&script)]));

        let data = path("my data");
        let text = format!("--data={}", data.display());
        assert_eq!(named(&text, &[]), (text.clone(), Vec::new()), "a place");
        let inputs = [data.clone(), path("none")];
        let found = ("--data=\0".to_owned(), vec![NamedPath::Folder(data)]);
        assert_eq!(named(&text, &inputs), found, "an input");
        // What is before a blank in the name of a missing input is a folder, and none of its own.
        std::fs::create_dir(path("my")).unwrap();
        let missing = path("my none");
        let text = missing.display().to_string();
        let found = (text.clone(), vec![NamedPath::Missing(missing.clone())]);
        assert_eq!(named(&text, &[missing]), found);
        let none = path("none").display().to_string();
        assert_eq!(named(&none, &inputs).1, [NamedPath::Missing(path("none"))]);
        let absent = vec![NamedPath::Absent(path("none"))];
        assert_eq!(named(&none, &[]), (none.clone(), absent));
        assert_eq!(named(&none, &[path("a")]).1, [NamedPath::Absent(path("none"))]);

        let mut value = serde_json::json!({ "of": { "script": &script } });
        let mut found = Vec::new();
        take_paths(&mut value, &[], &mut found);
        assert_eq!(value, serde_json::json!({ "of": { "script": "\0" } }));
        assert_eq!(found, [file(&script)]);
        for text in ["a/b", "s/x/y/", "/", "/dev/null", "1 / 2", "https://example.org/x", ""] {
            let (rest, found) = named(text, &[]);
            assert_eq!(rest, text);
            assert!(!found.iter().any(|of| matches!(of, NamedPath::File(_))), "{text}: {found:?}");
        }
    }
}
