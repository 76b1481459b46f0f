//! Faulty workflows as data: each file of `cases/faulty` ends with the diagnostics that it must
//! give, as comments.
//!
//! The comments hold the whole output: code, place, message, hint, related places. A
//! file whose comments start with `# set name=value` is checked with that argument, `# params file`
//! with that params file, and `# max-actions n` with that limit. Included files stand in
//! `cases/pieces`.
//! `FUSELINE_BLESS=1 cargo test -p fuseline-workflow` writes what is found; read the difference
//! before you commit it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use fuseline_workflow::{Checked, Limits, Overrides, ParamsFile, Source, check, codes};

use crate::fixture::{cases, catalogue, render};

const EXPECTED: &str = "# expected:\n";

pub fn files(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(cases().join(folder)).expect("the folder of cases");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    files
}

/// Checks a case with the settings in its comments.
pub fn check_case(path: &Path, text: &str) -> Checked {
    let argument = |name: &str| {
        let prefix = format!("# {name} ");
        text.lines().filter_map(move |line| line.strip_prefix(prefix.as_str()).map(str::to_owned))
    };
    let set = argument("set").filter_map(|line| {
        line.split_once('=').map(|(name, text)| (name.to_owned(), text.to_owned()))
    });
    let params_file = argument("params").next().map(|file| ParamsFile {
        text: std::fs::read_to_string(cases().join("pieces").join(&file)).expect("the params file"),
        path: PathBuf::from(file),
    });
    let overrides = Overrides {
        set: set.collect(),
        seed: None,
        params_file,
        working_dir: "/study".into(),
        home: None,
    };
    let max_actions = argument("max-actions").next().and_then(|text| text.parse().ok());
    let mut limits = Limits::default();
    limits.max_actions = max_actions.unwrap_or(limits.max_actions);
    let name = path.file_name().expect("a name");
    let loader = |path: &Path| {
        let name = path.file_name().unwrap_or_default();
        std::fs::read_to_string(cases().join("pieces").join(name))
    };
    check(Source { path: Path::new(name), text }, &catalogue(), &overrides, &limits, &loader)
}

#[test]
fn every_faulty_workflow_gives_exactly_its_expected_diagnostics() {
    let bless = std::env::var_os("FUSELINE_BLESS").is_some();
    let mut wrong = String::new();
    for path in files("faulty") {
        let whole = std::fs::read_to_string(&path).expect("a case");
        let (text, expected) = whole.split_once(EXPECTED).unwrap_or((&whole, ""));
        let expected: String = expected
            .lines()
            .filter_map(|line| line.strip_prefix("# "))
            .map(|line| format!("{line}\n"))
            .collect();
        let checked = check_case(&path, text);
        assert!(checked.workflow.is_none() || !checked.diagnostics.iter().any(|d| d.is_error()));
        for found in &checked.diagnostics {
            assert!(found.hint.is_some(), "nothing says what to do: {}", found.message);
        }
        let found = render(&checked.diagnostics, &checked.files);
        let name = path.file_name().expect("a name").to_string_lossy();
        if found.is_empty() {
            wrong += &format!("{name} has nothing wrong\n");
        } else if bless {
            let comments: String = found.lines().map(|line| format!("# {line}\n")).collect();
            std::fs::write(&path, format!("{text}{EXPECTED}{comments}")).expect("a written case");
        } else if found != expected {
            wrong += &format!("--- {name}\nexpected:\n{expected}found:\n{found}");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_code_is_shown_by_a_faulty_workflow() {
    let mut shown = BTreeSet::new();
    for path in files("faulty") {
        let text = std::fs::read_to_string(&path).expect("a case");
        let text = text.split_once(EXPECTED).map_or(text.as_str(), |(text, _)| text);
        shown.extend(check_case(&path, text).diagnostics.iter().map(|found| found.code));
    }
    let all = codes::all();
    let never: Vec<_> = all.iter().filter(|(code, _)| !shown.contains(code)).collect();
    assert!(never.is_empty(), "no case shows {never:?}");
    assert!(shown.iter().all(|code| codes::explain(code.0).is_some()));
}
