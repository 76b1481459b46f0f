//! Diagnostics as SARIF 2.1.0, which code review shows beside the lines.

use std::path::{Component, Path};

use fuseline::codes;
use fuseline_workflow::{Diagnostic, Files, Place, Severity};
use serde_json::{Value, json};

use crate::commands::explain;

/// The log of one check.
pub fn log(diagnostics: &[Diagnostic], files: &Files) -> String {
    let known = codes::all();
    let rules: Vec<Value> = known
        .iter()
        .map(|(code, text)| {
            json!({
                "id": code.0,
                "shortDescription": { "text": explain::summary(text) },
                "fullDescription": { "text": text.replace("\n ", " ") },
                "help": { "text": format!("fuseline explain {code}") },
            })
        })
        .collect();
    let results: Vec<Value> = diagnostics
        .iter()
        .map(|found| {
            let text = match &found.hint {
                Some(hint) => format!("{}\nhelp: {hint}", found.message),
                None => found.message.clone(),
            };
            let mut result = json!({
                "ruleId": found.code.0,
                "level": match found.severity {
                    Severity::Error => "error",
                    Severity::Warning => "warning",
                },
                "message": { "text": text },
                "locations": [{ "physicalLocation": location(&found.place, files) }],
            });
            if let Some(rule) = known.iter().position(|(code, _)| *code == found.code) {
                result["ruleIndex"] = rule.into();
            }
            if !found.related.is_empty() {
                let related = found.related.iter().zip(1..).map(|(related, id)| {
                    json!({
                        "id": id,
                        "message": { "text": related.message },
                        "physicalLocation": location(&related.place, files),
                    })
                });
                result["relatedLocations"] = related.collect();
            }
            result
        })
        .collect();
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "fuseline",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    format!("{log:#}")
}

fn location(place: &Place, files: &Files) -> Value {
    let (start, end) = (files.line_column(place), files.end_line_column(place));
    json!({
        "artifactLocation": { "uri": uri(files.path(place.file)) },
        "region": {
            "startLine": start.line,
            "startColumn": start.column,
            "endLine": end.line,
            "endColumn": end.column,
        },
    })
}

/// A reference relative to the working directory where the file is below it, as code review wants
/// it.
fn uri(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    let relative = path.strip_prefix(&here).unwrap_or(path);
    let mut uri = String::from(if relative.is_absolute() { "file://" } else { "" });
    for part in relative.components() {
        match part {
            Component::CurDir | Component::RootDir => continue,
            part => {
                if relative.is_absolute() || !uri.is_empty() {
                    uri.push('/');
                }
                for byte in part.as_os_str().to_string_lossy().bytes() {
                    match byte {
                        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                            uri.push(byte as char);
                        }
                        byte => uri.push_str(&format!("%{byte:02X}")),
                    }
                }
            }
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_references() {
        assert_eq!(uri(Path::new("./a b/näh.yaml")), "a%20b/n%C3%A4h.yaml");
        assert_eq!(uri(Path::new("/x/y.yaml")), "file:///x/y.yaml");
        let below = std::env::current_dir().unwrap().join("w.yaml");
        assert_eq!(uri(&below), "w.yaml");
    }
}
