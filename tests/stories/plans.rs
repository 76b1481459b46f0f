//! Findings of the plan are reported by `check`: each file of `tests/cases/plans` is a workflow
//! that the language has nothing against, and ends with the diagnostics that it must give, as
//! comments. Each file of `tests/cases/slips` is one with a slip of the hand in it: it gives one
//! error, where the slip is, that says what it is.
//!
//! `FUSELINE_BLESS=1 cargo test -p fuseline-tests plans` writes what is found; read the difference
//! before you commit it.

use std::fs;
use std::path::{Path, PathBuf};

use fuseline_tests::{Lab, root};
use serde_json::Value;

const EXPECTED: &str = "# expected:\n";

fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value[field].as_str().unwrap_or_default()
}

fn place(value: &Value) -> String {
    let number = |field: &str| value[field].as_u64().unwrap_or_default();
    let end = (number("end_line"), number("end_column"));
    format!("{}:{}-{}:{}", number("line"), number("column"), end.0, end.1)
}

/// Every diagnostic of a workflow as lines of text, and whether it may run.
fn check(lab: &Lab, case: &Path) -> (String, bool) {
    let ran = lab.run(["check".as_ref(), case.as_os_str(), "--format=json".as_ref()]);
    let found: Value = serde_json::from_str(&ran.stdout()).expect("check prints JSON");
    let mut lines = String::new();
    for found in found["diagnostics"].as_array().expect("a list") {
        let (severity, code) = (text(found, "severity"), text(found, "code"));
        lines += &format!("{severity}[{code}] {} {}\n", place(found), text(found, "message"));
        lines += &format!("  hint: {}\n", text(found, "hint"));
        if found["fix"].is_object() {
            let fix = &found["fix"];
            lines += &format!("  fix {} {:?}\n", place(fix), text(fix, "text"));
        }
        for related in found["related"].as_array().into_iter().flatten() {
            lines += &format!("  see {} {}\n", place(related), text(related, "message"));
        }
    }
    let folder = case.parent().expect("a case stands in a folder").display().to_string();
    (lines.replace(&folder, "$CASES"), found["ok"] == true)
}

/// Checks the cases of a folder against their comments; the cases with how many errors each has.
fn compare(folder: &str) -> Vec<(PathBuf, usize)> {
    let lab = Lab::new();
    let entries = fs::read_dir(root().join(folder)).expect("the cases are there");
    let mut cases: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    cases.sort();
    let bless = std::env::var_os("FUSELINE_BLESS").is_some();
    let mut wrong = String::new();
    let mut counted = Vec::new();
    for case in cases {
        let whole = fs::read_to_string(&case).expect("a case can be read");
        let (workflow, expected) = whole.split_once(EXPECTED).unwrap_or((&whole, ""));
        let (found, may_run) = check(&lab, &case);
        assert_eq!(may_run, !found.contains("error["), "{}", case.display());
        let comments: String = found.lines().map(|line| format!("# {line}\n")).collect();
        if found.is_empty() {
            wrong += &format!("{} has nothing wrong\n", case.display());
        } else if bless {
            fs::write(&case, format!("{workflow}{EXPECTED}{comments}")).expect("a written case");
        } else if comments != expected {
            wrong += &format!("--- {}\nexpected:\n{expected}found:\n{comments}", case.display());
        }
        counted.push((case, found.matches("error[").count()));
    }
    assert!(wrong.is_empty(), "{wrong}");
    counted
}

#[test]
fn what_the_plan_knows_is_said_before_anything_runs() {
    let cases = compare("tests/cases/plans");
    assert!(cases.len() >= 30, "{} cases", cases.len());
}

#[test]
fn one_slip_of_the_hand_gives_one_error_that_names_it() {
    let cases = compare("tests/cases/slips");
    assert!(cases.len() >= 35, "{} cases", cases.len());
    for (case, errors) in cases {
        // Two options stand in the wrong place there.
        let slips = if case.ends_with("opt_under_stage.yaml") { 2 } else { 1 };
        assert_eq!(errors, slips, "{}", case.display());
    }
}
