//! Untrusted content in data, programs and caches is shown, and has no other effect.
//! `docs/trust.md` is about it.

use std::fs;

use fuseline_tests::Lab;
use fuseline_tests::kills::SMALL;
use serde_json::Value;

const TABLE: &str = "fuseline: 1
name: table
stages:
  table:
    uses: load.csv
    with: { path: data.csv, id: { column: id } }
outputs: { table.csv: table, table.parquet: table }
";

/// Letters that clear a screen, set a title, overwrite a line and turn what follows.
const HOSTILE: &str = "\u{1b}[2J\u{1b}]0;title\u{7}\u{202e}";

#[test]
fn a_damaged_memo_is_named_once_and_then_gone() {
    let lab = Lab::with_workflow(SMALL);
    lab.run(["run", "workflow.yaml"]).success();
    lab.write("cache/workflows/plugins.memo", "not a memo");
    let verified = lab.run(["cache", "verify"]);
    assert!(verified.exits(1).stdout().contains("plugins.memo: it was no memo"));
    lab.run(["cache", "verify"]).success();
    lab.run(["run", "workflow.yaml"]).success();
}

#[test]
fn control_characters_are_shown_and_not_done_wherever_a_person_reads() {
    let lab = Lab::with_workflow(TABLE);
    lab.write("data.csv", format!("id,x\na{HOSTILE},1\nb,2\n"));
    lab.run(["run", "workflow.yaml"]).success();
    lab.write(
        "says.yaml",
        "fuseline: 1\nname: says\nstages:\n  says:\n    uses: command\n    with:\n      run: [sh, \
         -c, \"printf '\\\\033[2J\\\\033]0;title\\\\007 on purpose\\\\n' >&2; exit \
         3\"]\n      outputs: { main: { artifact: report, media_type: text/plain } }\noutputs: { \
         says.txt: says }\n",
    );
    lab.write(
        "wrong.yaml",
        TABLE.replace(
            "id: { column: id }",
            &format!("id: {{ column: \"n\u{1b}[2J\" }}, \"{}\": 1", "x\\u001b[2J"),
        ),
    );
    for arguments in [
        &["show", "workflow.yaml", "table"][..],
        &["show", "workflow.yaml", "table", "--format", "json"],
        &["run", "says.yaml"],
        &["runs", "show", "latest"],
        &["runs", "show", "latest", "--format", "json"],
        &["check", "wrong.yaml"],
        &["check", "wrong.yaml", "--format", "json"],
    ] {
        let ran = lab.run(arguments);
        let said = ran.stdout() + &ran.stderr();
        assert!(!said.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{arguments:?}: {said:?}");
    }
    let shown = lab.run(["show", "workflow.yaml", "table"]);
    assert!(shown.stdout().contains("a\\u{1b}[2J"), "{}", shown.stdout());
    let failed = lab.run(["run", "says.yaml"]);
    assert!(failed.exits(1).stderr().contains("\\u{1b}[2J"), "{}", failed.stderr());
}

#[test]
fn a_spreadsheet_runs_nothing_of_a_table() {
    let lab = Lab::with_workflow(TABLE);
    let ids = ["=HYPERLINK(1)", "+cmd|' /C calc'!A0", "@SUM(A1)", "-1", "-a", "plain", "a=b"];
    let rows: String = ids.iter().map(|id| format!("\"{id}\",-1.5\n")).collect();
    lab.write("data.csv", format!("id,=x\n{rows}"));
    lab.run(["run", "workflow.yaml"]).success();
    let csv = String::from_utf8(lab.read("results/table/table.csv")).expect("text");
    for line in csv.lines() {
        let cells: Vec<&str> = line.split(',').map(|cell| cell.trim_matches('"')).collect();
        for cell in cells {
            let is_formula = cell.starts_with(['=', '+', '-', '@']) && cell.parse::<f64>().is_err();
            assert!(!is_formula, "{line}");
        }
    }
    for cell in ["'=x", "'=HYPERLINK(1)", "'@SUM(A1)", "'-a", "\n-1,-1.5", "\nplain,", "\na=b,"] {
        assert!(csv.contains(cell), "{cell} in {csv}");
    }
}

/// The file of the only run.
fn run_file(lab: &Lab, name: &str) -> std::path::PathBuf {
    let runs = fs::read_dir(lab.path("cache/runs")).expect("there are runs");
    let run = runs.map(|entry| entry.expect("an entry").path()).next().expect("a run");
    run.join(name)
}

#[test]
fn what_is_read_back_from_a_cache_is_input_and_verify_looks_at_it() {
    let lab = Lab::with_workflow(SMALL);
    lab.run(["run", "workflow.yaml"]).success();
    lab.run(["cache", "verify"]).success();
    let manifest = fs::read_to_string(run_file(&lab, "manifest.json")).expect("text");
    let sound: Value = serde_json::from_str(&manifest).expect("JSON");
    let index = fs::read_dir(lab.path("cache/workflows")).expect("a folder");
    let index = index
        .map(|entry| entry.expect("an entry").path())
        .find(|path| path.extension().is_some_and(|end| end == "index"))
        .expect("an index");
    let mut planted = Vec::new();
    for (field, value) in [("workflow", "../../up"), ("run", "1-1")] {
        let mut json = sound.clone();
        json[field] = value.into();
        planted.push((run_file(&lab, "manifest.json"), json.to_string(), "manifest.json"));
    }
    planted.push((run_file(&lab, "context.json"), "{}".to_owned(), "context.json"));
    let mut jobs = fs::read_dir(run_file(&lab, "jobs")).expect("jobs were written down");
    let job = jobs.next().expect("a job").expect("an entry").path();
    planted.push((job, "a line\n".to_owned(), "jobs"));
    planted.push((lab.path("cache/workflows/files.memo"), "a memo".to_owned(), "files.memo"));
    planted.push((index, "an index".to_owned(), ".index"));
    for (path, text, name) in planted {
        let before = fs::read(&path).unwrap_or_default();
        fs::write(&path, text).expect("it can be written");
        let verified = lab.run(["cache", "verify"]);
        let said = verified.exits(1).stdout();
        assert!(said.lines().any(|line| line.contains(name)), "{name}: {said}");
        let report = lab.run(["report", "--out", "deep/report"]);
        if name == "manifest.json" {
            report.exits(2);
        }
        assert!(!lab.path("up").exists() && !lab.path("deep/up").exists());
        fs::write(&path, before).expect("it can be written");
    }
    fs::remove_file(lab.path("cache/workflows/files.memo")).expect("it can be removed");
    lab.run(["cache", "verify"]).success();
    fs::remove_file(lab.path("cache/format")).expect("it can be removed");
    lab.run(["cache", "verify"]).success();
    let object = &lab.objects_of("cohort")[0];
    fs::write(object, "something else").expect("it can be written");
    fs::remove_file(lab.path("cache/format")).expect("it was made again");
    lab.run(["cache", "verify"]).exits(1);
}
