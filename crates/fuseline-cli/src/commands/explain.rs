//! `fuseline explain`: the full explanation of a diagnostic's code, or of a function of expressions.

use fuseline::codes;
use fuseline_workflow::{Code, functions};

use crate::exit::{Exit, Failure};
use crate::print;

/// Arguments of `explain`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  fuseline explain                                     all codes, and all functions
  fuseline explain port_type
  fuseline explain range                               a function of ${{ }}")]
pub struct Args {
    /// The code, such as `port_type` or `fuseline::port_type`, or a function of expressions
    pub code: Option<String>,
}

pub fn run(args: &Args) -> Result<Exit, Failure> {
    let known = codes::all();
    let Some(code) = &args.code else {
        let lines = known.iter().map(|(code, text)| format!("{code}\n    {}\n", summary(text)));
        let signatures =
            functions().map(|function| format!("{}\n    {}\n", function.signature, function.doc));
        print::result(format!(
            "Codes of diagnostics\n\n{}\nFunctions of ${{{{ }}}}\n\n{}",
            lines.collect::<String>(),
            signatures.collect::<String>()
        ));
        return Ok(Exit::Done);
    };
    let name = code.strip_prefix("fuseline::").unwrap_or(code);
    let short = |code: &Code| code.0.trim_start_matches("fuseline::");
    match known.iter().find(|(code, _)| short(code) == name) {
        Some((code, text)) => print::result(format!("{code}\n\n{}", wrapped(text))),
        None => match functions().find(|function| function.name == name) {
            Some(function) => {
                print::result(format!("{}\n\n{}", function.signature, function.doc));
            }
            None => return Err(unknown(code, name, known.iter().map(|(code, _)| code.0))),
        },
    }
    Ok(Exit::Done)
}

/// The failure for a name that is neither a code nor a function.
fn unknown<'a>(written: &str, name: &str, codes: impl Iterator<Item = &'a str>) -> Failure {
    let near = codes
        .chain(functions().map(|function| function.name))
        .map(|known| {
            let short = known.trim_start_matches("fuseline::");
            (strsim::damerau_levenshtein(name, short), known)
        })
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, known)| *distance <= 3 && *distance < known.len());
    let failure = Failure::wrong(format!("there is no code and no function {written}"));
    match near {
        Some((_, near)) => failure.hint(format!("did you mean {near}?")),
        None => failure.hint("`fuseline explain` lists them"),
    }
}

/// The first sentence.
pub fn summary(text: &str) -> String {
    let text = text.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    match text.find(". ") {
        Some(end) => text[..=end].to_owned(),
        None => text,
    }
}

/// The lines of a documentation comment, as one wraps text for a terminal.
fn wrapped(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.len() - 1;
        if lines[last].chars().count() + word.chars().count() >= 80 && !lines[last].is_empty() {
            lines.push(word.to_owned());
        } else {
            if !lines[last].is_empty() {
                lines[last].push(' ');
            }
            lines[last].push_str(word);
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    use super::*;

    fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, found);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                found.push(path);
            }
        }
    }

    #[test]
    fn every_code_that_any_crate_writes_is_explained_once() {
        let known = codes::all();
        let names: BTreeSet<&str> = known.iter().map(|(code, _)| code.0).collect();
        assert_eq!(names.len(), known.len(), "a code is explained twice");
        let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let mut files = Vec::new();
        sources(crates, &mut files);
        let code = regex::Regex::new(r#""(fuseline::[a-z_]+)""#).unwrap();
        let mut seen = BTreeSet::new();
        for file in &files {
            let text = std::fs::read_to_string(file).unwrap();
            // Tests ask for codes that do not exist, too.
            let text = text.split("#[cfg(test)]").next().unwrap();
            // The project itself may lie in a folder of that name.
            let file = file.strip_prefix(crates).unwrap();
            let is_test = file.components().any(|part| part.as_os_str() == "tests");
            for found in code.captures_iter(text).filter(|_| !is_test) {
                seen.insert(found[1].to_owned());
                assert!(names.contains(&found[1]), "{} of {}", &found[1], file.display());
            }
        }
        let seen: BTreeSet<&str> = seen.iter().map(String::as_str).collect();
        assert_eq!(seen, names, "a code is explained and never written");
    }

    #[test]
    fn every_explanation_is_in_sentences() {
        for (code, text) in codes::all() {
            assert!(text.ends_with('.') && text.len() > 30, "{code}: {text}");
            assert!(summary(text).ends_with('.'), "{code}: {}", summary(text));
            assert!(wrapped(text).lines().all(|line| line.chars().count() <= 80), "{code}");
        }
    }
}
