//! The leakage guard against a corpus: leaks, each refused for its own reason, and look-alikes that
//! pass.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use fuseline_tests::{Lab, has_python, root};
use serde_json::Value;

/// The cases of a folder with their texts, sorted.
fn cases(folder: &str) -> Vec<(PathBuf, String)> {
    let folder = root().join("tests/cases/leaks").join(folder);
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .expect("the corpus is there")
        .map(|entry| entry.expect("it can be listed").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "yaml"))
        .collect();
    paths.sort();
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("a case can be read");
        (path, text)
    };
    paths.into_iter().map(read).collect()
}

/// Line and code of every error that `check` finds.
fn errors(lab: &Lab, path: &Path) -> (i32, BTreeSet<(usize, String)>) {
    let ran = lab.run(["check".as_ref(), path.as_os_str(), "--format=json".as_ref()]);
    let found: Value = serde_json::from_str(&ran.stdout()).expect("check prints JSON");
    let errors = found["diagnostics"].as_array().expect("a list").iter();
    let errors = errors.filter(|found| found["severity"] == "error").map(|found| {
        let line = found["line"].as_u64().expect("a line");
        (line as usize, found["code"].as_str().expect("a code").to_owned())
    });
    (ran.code(), errors.collect())
}

/// Line and code of every `# <- CODE, CODE`.
fn expected(text: &str) -> BTreeSet<(usize, String)> {
    text.lines()
        .zip(1..)
        .filter_map(|(line, number)| Some((line.split_once("# <- ")?.1, number)))
        .flat_map(|(codes, number)| codes.split(", ").map(move |code| (number, code.to_owned())))
        .collect()
}

/// The value of a comment line `# name: value`.
fn comment<'t>(text: &'t str, name: &str) -> &'t str {
    let start = format!("# {name}: ");
    text.lines()
        .find_map(|line| line.strip_prefix(&start))
        .unwrap_or_else(|| panic!("no line begins {start:?}"))
}

#[test]
fn every_leak_that_the_plan_shows_is_refused_at_its_place_for_its_own_reason() {
    let lab = Lab::new();
    let cases = cases("refused");
    assert!(cases.len() >= 25, "{} leaks", cases.len());
    for (path, text) in &cases {
        let expected = expected(text);
        assert!(!expected.is_empty(), "{} expects nothing", path.display());
        let (code, found) = errors(&lab, path);
        assert_eq!((code, found), (2, expected), "{}", path.display());
    }
}

#[test]
fn what_follows_from_one_reference_is_one_error_and_is_mended_at_the_reference() {
    let lab = Lab::new();
    let wrong = [
        ("quality_of_training_rows_far_before", "evidence_test: expert.train", "expert.test"),
        ("quality_fitted_on_test_rows", "evidence_train: expert.test", "expert.train"),
    ];
    for (case, reference, mended) in wrong {
        let path = root().join("tests/cases/leaks/refused").join(case).with_extension("yaml");
        let text = std::fs::read_to_string(&path).expect("a case can be read");
        let ran = lab.run(["check".as_ref(), path.as_os_str(), "--format=json".as_ref()]);
        let found: Value = serde_json::from_str(&ran.stdout()).expect("check prints JSON");
        let fix = &found["diagnostics"][0]["fix"];
        let line = text.lines().position(|line| line.contains(reference)).expect("a reference");
        assert_eq!((fix["line"].as_u64(), &fix["text"]), (Some(line as u64 + 1), &mended.into()));
        let (input, _) = reference.split_once(' ').expect("an input and what it takes");
        lab.write("sound.yaml", text.replace(reference, &format!("{input} {mended}")));
        let ran = lab.run(["check", "sound.yaml"]);
        assert_eq!(ran.code(), 0, "{case}: {}", ran.stderr());
    }
}

#[test]
fn every_leak_that_only_the_data_shows_passes_the_check_and_stops_the_run() {
    let lab = Lab::new();
    let cases = cases("refused_while_running");
    assert!(cases.len() >= 6, "{} leaks", cases.len());
    for (path, text) in &cases {
        let (code, found) = errors(&lab, path);
        assert_eq!((code, found), (0, BTreeSet::new()), "{}", path.display());
        let ran = lab.run(["run".as_ref(), path.as_os_str(), "--format=json".as_ref()]);
        ran.exits(2);
        let said = ran.stderr().split_whitespace().collect::<Vec<_>>().join(" ");
        for wanted in [comment(text, "code"), comment(text, "says")] {
            assert!(said.contains(wanted), "{}: no {wanted:?} in {said}", path.display());
        }
        let stage = comment(text, "stage");
        assert!(said.contains(&format!("× {stage}")), "{}: not at {stage}", path.display());
        assert!(!lab.path("results").exists(), "{} gave out results", path.display());
    }
}

#[test]
fn legal_look_alikes_pass() {
    let lab = Lab::new();
    let cases = cases("legal");
    assert!(cases.len() >= 15, "{} look-alikes", cases.len());
    for (path, text) in &cases {
        assert!(!text.contains("# <-"), "{} expects an error", path.display());
        let (code, found) = errors(&lab, path);
        assert_eq!((code, found), (0, BTreeSet::new()), "{}", path.display());
    }
}

#[test]
fn legal_look_alikes_that_need_no_other_program_run() {
    let lab = Lab::new();
    let mut ran = 0;
    for (path, text) in cases("legal") {
        if !text.contains("uses: command") {
            lab.run(["run".as_ref(), path.as_os_str(), "--format=json".as_ref()]).success();
            ran += 1;
        }
    }
    assert!(ran >= 9, "{ran} ran");
}

#[test]
fn an_unsupervised_quality_of_a_program_runs_and_says_nothing_of_folds() {
    if !has_python("numpy, pyarrow") {
        return;
    }
    let lab = Lab::new();
    let case = root().join("tests/cases/leaks/legal/unsupervised_quality_of_a_program.yaml");
    lab.run(["run".as_ref(), case.as_os_str(), "--format=json".as_ref()]).success();
}

#[test]
fn the_message_of_a_leak_tells_the_way_it_takes() {
    let lab = Lab::new();
    let case = root().join("tests/cases/leaks/refused/scaled_on_all_rows.yaml");
    let ran = lab.run(["check".as_ref(), case.as_os_str(), "--format=json".as_ref()]);
    let found: Value = serde_json::from_str(&ran.stdout()).expect("check prints JSON");
    assert_eq!(
        found["diagnostics"][0]["message"],
        "expert[modality=audio,fold=0] fits on train(fold 0), but what arrives was shaped by all \
         rows, which overlaps test(fold 0), and so do 5 more of its actions (path: \
         scaled[modality=audio] -> expert[modality=audio,fold=0])"
    );
    assert_eq!(
        found["diagnostics"][0]["related"][0]["message"],
        "the leak comes through scaled[modality=audio]"
    );
}

/// The text with a replacement as `check --format json` gives it.
fn apply(text: &str, fix: &Value) -> String {
    let number = |key: &str| fix[key].as_u64().expect("a number") as usize;
    let offset = |line: usize, column: usize| {
        let before: usize = text.split_inclusive('\n').take(line - 1).map(str::len).sum();
        let rest = text[before..].char_indices().map(|(at, _)| at).nth(column - 1);
        before + rest.unwrap_or(text[before..].len())
    };
    let start = offset(number("line"), number("column"));
    let end = offset(number("end_line"), number("end_column"));
    format!("{}{}{}", &text[..start], fix["text"].as_str().expect("text"), &text[end..])
}

#[test]
fn the_fix_of_a_leak_mends_it() {
    let mut mended = 0;
    let mut titles = BTreeSet::new();
    for (path, text) in cases("refused") {
        let lab = Lab::new();
        // Files beside the case are found from where it lies.
        let check = |name: &Path| -> Vec<Value> {
            let ran = lab.run(["check".as_ref(), name.as_os_str(), "--format=json".as_ref()]);
            let found: Value = serde_json::from_str(&ran.stdout()).expect("check prints JSON");
            found["diagnostics"].as_array().expect("a list").clone()
        };
        let before = check(&path);
        let Some(leak) = before.iter().find(|found| found["fix"].is_object()) else { continue };
        lab.write("case.yaml", apply(&text, &leak["fix"]));
        let after = check(&lab.path("case.yaml"));
        let is_same =
            |other: &&Value| ["code", "line", "column"].iter().all(|key| other[*key] == leak[*key]);
        assert!(after.iter().find(is_same).is_none(), "{}: {leak}", path.display());
        titles.insert(leak["fix"]["title"].as_str().expect("text").to_owned());
        mended += 1;
    }
    assert!(titles.contains("add `fold` to `over` of `fusion`"), "{titles:?}");
    assert!(mended >= 8, "{mended} leaks have a fix that mends them");
}
