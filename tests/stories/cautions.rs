//! Cautions of a stage reach whoever reads its results: on the screen, in JSON, in the record and
//! in the report.

use std::fmt::Write as _;
use std::fs;

use fuseline_tests::Lab;
use serde_json::{Value, json};

const WORKFLOW: &str = r#"
fuseline: 1
name: cautious
seed: 1
axes:
  modality: [a, b]
  fold: [0, 1]
stages:
  features:
    uses: load.csv
    over: [modality]
    with: { path: "${{ modality }}.csv", id: { column: id } }
  cohort:
    uses: cohort.define
    inputs: { features: features }
    with:
      group: { pattern: "^([^_]+)_" }
      label: { pattern: "_(.+)$", classes: { rest: [rest], maths: [maths] } }
  folds:
    uses: split.group_kfold
    inputs: { cohort: cohort }
    with: { folds: 2 }
  expert:
    uses: expert.logistic
    over: [modality, fold]
    inputs: { features: features, cohort: cohort, folds: folds }
    with: { test_fold: "${{ fold }}", inner_folds: 2 }
  quality:
    uses: quality.margin
    over: [modality, fold]
    inputs: { evidence_train: expert.train, evidence_test: expert.test, features: features, cohort: cohort }
  fusion:
    uses: fusion.fit
    over: [fold]
    inputs: { evidence: expert.train, quality: quality.train, cohort: cohort }
    with: { rule: mean }
  permute:
    uses: diagnose.permute_quality
    over: [fold]
    inputs: { model: fusion, evidence: expert.test, quality: quality.test, cohort: cohort }
    with: { permutations: 20 }
  finding:
    uses: diagnose.summarize
    inputs: { permutations: permute.permutations, effects: permute.effects, evidence: expert.test, quality: quality.test, cohort: cohort }
  html: { uses: report.html, inputs: { findings: finding } }
  markdown: { uses: report.markdown, inputs: { findings: finding } }
  latex: { uses: report.latex, inputs: { findings: finding } }
outputs:
  report.html: html
  report.md: markdown
  report.tex: latex
"#;

const INFINITE: &str = "1 value of a.csv is infinite; it is kept, and treated as missing";
const LEFT_OUT: &str =
    "8 of the 24 examples are left out since their labels are in no class: relax (8)";

fn lab() -> Lab {
    let lab = Lab::with_workflow(WORKFLOW);
    for modality in ["a", "b"] {
        let mut text = "id,x,y\n".to_owned();
        for person in 0..8 {
            for (task, label) in ["rest", "maths", "relax"].iter().zip(0..) {
                let x =
                    (person * 7 + label * 5 + modality.len() * usize::from(modality == "b")) % 11;
                let y = (person * 3 + label * 4) % 7;
                writeln!(text, "p{person}_{label},{x},{y}", label = task).expect("text grows");
            }
        }
        lab.write(&format!("{modality}.csv"), text);
    }
    lab.edit("a.csv", "p1_rest,7,", "p1_rest,inf,");
    lab
}

fn cautions() -> Value {
    json!([
        { "actions": ["features[modality=a]"], "text": INFINITE },
        { "actions": ["cohort"], "text": LEFT_OUT },
    ])
}

#[test]
fn they_are_said_whether_the_action_is_executed_cached_or_not_even_planned() {
    let lab = lab();
    let said = format!("caution: features[modality=a]: {INFINITE}\ncaution: cohort: {LEFT_OUT}\n");
    let first = lab.run(["run", "workflow.yaml"]);
    assert!(first.success().stderr().ends_with(&said), "{}", first.stderr());
    // Nothing changed; then planned, and found by the index; then by the records alone.
    for remove in [None, Some("cache/runs"), Some("cache/workflows")] {
        if let Some(folder) = remove {
            fs::remove_dir_all(lab.path(folder)).expect("the folder is there");
            lab.edit("workflow.yaml", "name: cautious", "name: cautious ");
        }
        let again = lab.run(["run", "workflow.yaml"]);
        assert_eq!(again.success().stderr(), said, "{remove:?}");
        assert!(again.stdout().contains(" 0 executed"), "{remove:?}: {}", again.stdout());
    }
    let quiet = lab.run(["run", "workflow.yaml", "--quiet"]);
    assert_eq!(quiet.success().stderr(), "");
    let summary = lab.run(["run", "workflow.yaml", "--quiet", "--format", "json"]).json();
    assert_eq!(summary["cautions"], cautions());
}

#[test]
fn they_are_kept_with_the_run_and_compared() {
    let lab = lab();
    lab.run(["run", "workflow.yaml"]).success();
    let shown = lab.run(["runs", "show", "latest", "--format", "json"]).json();
    assert_eq!(shown["cautions"], cautions());
    let shown = lab.run(["runs", "show", "latest"]);
    assert!(shown.success().stdout().ends_with(&format!("caution: cohort: {LEFT_OUT}\n")));
    lab.edit("a.csv", "p1_rest,inf,", "p1_rest,7,");
    let summary = lab.run(["run", "workflow.yaml", "--format", "json"]).json();
    assert_eq!(summary["cautions"], json!([cautions()[1]]));
    let diff = lab.run(["runs", "diff", "latest~1", "latest", "--format", "json"]).json();
    assert_eq!(diff["cautions_gone"], json!([cautions()[0]]));
    assert_eq!(diff["cautions_new"], json!([]));
    lab.run(["cache", "verify"]).success();
    lab.run(["cache", "gc", "--keep-runs", "1", "--grace", "0"]).success();
    let kept = lab.run(["run", "workflow.yaml", "--format", "json"]).json();
    assert_eq!((&kept["executed"], &kept["cautions"]), (&0.into(), &json!([cautions()[1]])));
}

#[test]
fn every_form_of_the_report_has_them_and_is_made_again_when_they_change() {
    let lab = lab();
    lab.run(["run", "workflow.yaml"]).success();
    let read = |name: &str| {
        String::from_utf8(lab.read(&format!("results/cautious/{name}"))).expect("text")
    };
    assert!(read("report.html").contains(&format!("<strong>cohort: </strong>{LEFT_OUT}</li>")));
    assert!(
        read("report.md")
            .contains(&format!("## Cautions\n\n- **features\\[modality=a\\]**: {INFINITE}\n"))
    );
    assert!(read("report.tex").contains(&format!("\\item \\emph{{cohort}}: {LEFT_OUT}\n")));
    lab.run(["report", "latest", "--out", "again"]).success();
    assert!(String::from_utf8(lab.read("again/report.md")).expect("text").contains(LEFT_OUT));
    // Features that nothing else reads of: the findings stay, and the report says less.
    lab.edit("a.csv", "p1_rest,inf,", "p1_rest,,");
    lab.run(["run", "workflow.yaml"]).success();
    assert!(!read("report.md").contains("infinite"));
}

#[test]
fn damaged_cautions_are_made_again_by_their_action() {
    let lab = lab();
    lab.run(["run", "workflow.yaml"]).success();
    let is_cautions = |path: &std::path::PathBuf| {
        fs::read(path).is_ok_and(|bytes| bytes.starts_with(b"[\"8 of the 24"))
    };
    let shards = fs::read_dir(lab.path("cache/objects")).expect("there are objects");
    let mut objects = shards.flat_map(|shard| {
        let objects = fs::read_dir(shard.expect("a shard").path()).expect("a folder");
        objects.map(|object| object.expect("an object").path())
    });
    let object = objects.find(is_cautions).expect("the cautions are an object");
    let whole = fs::read(&object).expect("it can be read");
    fs::write(&object, [&whole[..whole.len() - 1], b"}"].concat()).expect("it can be damaged");
    lab.run(["cache", "verify"]).exits(1);
    let run = lab.run(["run", "workflow.yaml", "--format", "json"]).json();
    assert_eq!((&run["executed"], &run["cautions"]), (&1.into(), &cautions()));
    // Unseen until it is read: the three reports name the workflow's text, and the cohort is made
    // again for them.
    fs::write(&object, [&whole[..whole.len() - 1], b"}"].concat()).expect("it can be damaged");
    lab.edit(
        "workflow.yaml",
        "  html: { uses: report.html,",
        "  html: { uses: report.html, with: { title: A },",
    );
    let run = lab.run(["run", "workflow.yaml", "--format", "json"]).json();
    assert_eq!((&run["executed"], &run["cautions"]), (&4.into(), &cautions()));
}

#[test]
fn an_action_executed_apart_says_its_cautions_too() {
    let lab = lab();
    lab.run(["run", "workflow.yaml"]).success();
    let manifest = lab.run(["runs", "show", "latest", "--format", "json"]).json();
    let key = |name: &str| {
        let mut actions = manifest["actions"].as_array().expect("a list").iter();
        let action = actions.find(|action| action["action"] == name).expect("the action");
        action["key"].as_str().expect("text").to_owned()
    };
    for again in [&[][..], &["--again"]] {
        let cohort = key("cohort");
        let executed = lab.run([&["exec", &cohort, "--format", "json"], again].concat()).json();
        assert_eq!(executed["cautions"], json!([LEFT_OUT]));
        assert_eq!(executed["outputs"].as_array().map(Vec::len), Some(1));
    }
    let text = lab.run(["exec", &key("cohort")]);
    assert_eq!(text.success().stderr(), format!("caution: cohort: {LEFT_OUT}\n"));
    let arguments = ["exec", &key("markdown"), "--again", "--format", "json"];
    let again = lab.run(arguments).json();
    let report = manifest["actions"].as_array().expect("a list").iter();
    let report = report.into_iter().find(|of| of["action"] == "markdown").expect("the report");
    assert_eq!(again["outputs"][0]["digest"], report["outputs"][0]);
}
