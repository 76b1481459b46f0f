//! Every expert joined to a finding, fitted here and frozen, alone and beside another: what is
//! lawful runs, each leak is refused for its own reason.

use std::collections::BTreeSet;

use fuseline_tests::{Lab, root};
use serde_json::Value;

/// A study of two modalities: the expert of `audio` is the one at hand, that of `video` is fitted
/// here. `EXPERT` stands for the stage kind, `WITH` for its options.
const STUDY: &str = r#"fuseline: 1
name: frozen
seed: 1
axes:
  fold: [0, 1, 2]
stages:
  cohort:
    uses: simulate.cohort
    with: { examples: 90, groups: 18 }
  audio:
    uses: simulate.features
    inputs: { cohort: cohort }
    with: { modality: audio, features: 4, strength: 1.0 }
  video:
    uses: simulate.features
    inputs: { cohort: cohort }
    with: { modality: video, features: 4, strength: 1.0 }
  folds:
    uses: split.group_kfold
    inputs: { cohort: cohort }
    with: { folds: 3 }
  expert:
    uses: EXPERT
    over: [fold]
    inputs: { features: audio, cohort: cohort, folds: folds }
    with: { test_fold: "${{ fold }}", modality: audio, WITH }
  other:
    uses: expert.logistic
    over: [fold]
    inputs: { features: video, cohort: cohort, folds: folds }
    with: { test_fold: "${{ fold }}", modality: video, inner_folds: 3 }
  quality:
    uses: quality.margin
    over: [fold]
    inputs: { evidence_train: expert.train, evidence_test: expert.test }
  other_quality:
    uses: quality.margin
    over: [fold]
    inputs: { evidence_train: other.train, evidence_test: other.test }
  alone:
    uses: fusion.fit
    over: [fold]
    inputs: { evidence: expert.train, quality: quality.train, cohort: cohort }
    with: { rule: mean }
  permute_alone:
    uses: diagnose.permute_quality
    over: [fold]
    inputs: { model: alone, evidence: expert.test, quality: quality.test, cohort: cohort }
    with: { permutations: 9 }
  finding_alone:
    uses: diagnose.summarize
    inputs: { permutations: permute_alone.permutations, effects: permute_alone.effects, evidence: expert.test, quality: quality.test, cohort: cohort }
    with: { bootstrap: 20 }
  mixed:
    uses: fusion.fit
    over: [fold]
    inputs: { evidence: [expert.train, other.train], quality: [quality.train, other_quality.train], cohort: cohort }
    with: { rule: lr }
  permute_mixed:
    uses: diagnose.permute_quality
    over: [fold]
    inputs: { model: mixed, evidence: [expert.test, other.test], quality: [quality.test, other_quality.test], cohort: cohort }
    with: { permutations: 9 }
  finding_mixed:
    uses: diagnose.summarize
    inputs: { permutations: permute_mixed.permutations, effects: permute_mixed.effects, evidence: [expert.test, other.test], quality: [quality.test, other_quality.test], cohort: cohort }
    with: { bootstrap: 20 }
outputs:
  alone.csv: finding_alone
  mixed.csv: finding_mixed
  cohort.csv: cohort
"#;

/// Experts that are fitted here, with their options.
const FITTED: [(&str, &str); 4] = [
    ("expert.logistic", "inner_folds: 3"),
    ("expert.linear_svm", "inner_folds: 3"),
    ("expert.random_forest", "inner_folds: 3, trees: 10"),
    ("expert.gradient_boosting", "inner_folds: 3, rounds: 5"),
];

/// Experts that come from outside as one model for all folds, with their options.
const FROZEN: [(&str, &str); 2] = [
    ("expert.precomputed", "path: evidence.csv, id: { column: id }, probabilities: [rest, stress]"),
    ("expert.onnx", "path: model.onnx, exclude: [quality]"),
];

/// Evidence of each fold's own models.
const OF_EACH_FOLD: (&str, &str) = (
    "expert.precomputed",
    "path: folds.csv, id: { column: id }, probabilities: [rest, stress], fold: fold",
);

/// Allowed `fitted_on` of a model that has not seen the rows that it is tested on.
const LAWFUL: [&str; 3] = ["", ", fitted_on: external", ", fitted_on: { ids: seen.txt }"];

const CALIBRATIONS: [&str; 2] = ["", ", calibration: sigmoid, inner_folds: 3"];

/// A folder with the study's example_ids, evidence and a model; gives the ids with the fold in
/// which each is tested.
fn lab() -> (Lab, Vec<String>) {
    let lab = Lab::new();
    lab.write("workflow.yaml", study(FITTED[0], ""));
    lab.run(["run", "workflow.yaml", "--only", "cohort"]).success();
    let cohort = lab.run(["show", "workflow.yaml", "cohort", "--export", "cohort.csv"]);
    cohort.success();
    let cohort = String::from_utf8(lab.read("cohort.csv")).expect("the cohort is text");
    let first = |line: &str| line.split(',').next().unwrap_or_default().to_owned();
    let ids: Vec<String> = cohort.lines().skip(1).map(first).collect();
    let (mut evidence, mut folds) =
        ("id,rest,stress\n".to_owned(), "id,rest,stress,fold\n".to_owned());
    for (row, id) in ids.iter().enumerate() {
        let tenths = row * 7 % 9 + 1;
        evidence += &format!("{id},0.{tenths},0.{}\n", 10 - tenths);
        for fold in 0..3 {
            let tenths = (row * 5 + fold) % 9 + 1;
            folds += &format!("{id},0.{tenths},0.{},{fold}\n", 10 - tenths);
        }
    }
    lab.write("evidence.csv", evidence);
    lab.write("folds.csv", folds);
    lab.write("seen.txt", "elsewhere1\nelsewhere2\n");
    let model = root().join("crates/fuseline-stages/tests/fixtures/onnx/logistic.onnx");
    lab.write("model.onnx", std::fs::read(model).expect("the fixture is there"));
    (lab, ids)
}

fn study((kind, with): (&str, &str), more: &str) -> String {
    let with = format!("{with}{more}");
    STUDY.replace("EXPERT", kind).replace("WITH", &with)
}

/// Stage and code of every error that `check` finds.
fn errors(lab: &Lab) -> BTreeSet<(String, String)> {
    let ran = lab.run(["check", "workflow.yaml", "--format", "json"]);
    let found: Value = serde_json::from_str(&ran.stdout()).expect("check prints JSON");
    let errors = found["diagnostics"].as_array().expect("a list").iter();
    let errors: BTreeSet<_> = errors
        .filter(|found| found["severity"] == "error")
        .map(|found| {
            let text = |name: &str| found[name].as_str().expect("text").to_owned();
            let message = text("message");
            let stage = message.split(['[', ' ']).next().expect("a stage").to_owned();
            (stage, text("code"))
        })
        .collect();
    assert_eq!(ran.code(), if errors.is_empty() { 0 } else { 2 });
    errors
}

#[test]
fn every_expert_that_has_not_seen_the_test_rows_is_joined_to_a_finding() {
    let (lab, _) = lab();
    let mut studies: Vec<String> = Vec::new();
    for expert in FITTED.into_iter().chain([OF_EACH_FOLD]) {
        studies.extend(
            CALIBRATIONS
                .map(|calibration| study(expert, &calibration.replace(", inner_folds: 3", ""))),
        );
    }
    for expert in FROZEN {
        for calibration in CALIBRATIONS {
            studies.extend(LAWFUL.map(|seen| study(expert, &format!("{seen}{calibration}"))));
        }
    }
    for text in studies {
        lab.write("workflow.yaml", &text);
        let ran = lab.run(["run", "workflow.yaml"]);
        assert_eq!(ran.code(), 0, "{}\n{text}", ran.stderr());
        for name in ["alone", "mixed"] {
            let finding = String::from_utf8(lab.read(&format!("results/frozen/{name}.csv")));
            assert_eq!(finding.expect("the finding is text").lines().count(), 2, "{text}");
        }
    }
}

#[test]
fn a_frozen_model_that_has_seen_what_it_is_used_for_is_refused_whatever_stands_beside_it() {
    let (lab, _) = lab();
    for expert in FROZEN {
        // In-fold evidence: nothing may be fitted on it, and testing alone would be lawful.
        lab.write("workflow.yaml", study(expert, ", fitted_on: train"));
        let in_fold = |stage: &str| (stage.to_owned(), "fuseline::leak_in_fold".to_owned());
        assert_eq!(
            errors(&lab),
            BTreeSet::from([in_fold("alone"), in_fold("mixed")]),
            "{expert:?}"
        );
        for calibration in CALIBRATIONS {
            lab.write("workflow.yaml", study(expert, &format!(", fitted_on: all{calibration}")));
            let shaped =
                |stage: &str| (stage.to_owned(), "fuseline::leak_shaped_by_test".to_owned());
            let expected = [
                shaped("alone"),
                shaped("mixed"),
                in_fold("permute_alone"),
                in_fold("permute_mixed"),
            ];
            assert_eq!(errors(&lab), BTreeSet::from(expected), "{expert:?}{calibration}");
        }
        lab.write("workflow.yaml", study(expert, ", fitted_on: train, calibration: sigmoid"));
        let ran = lab.run(["check", "workflow.yaml"]);
        ran.exits(2);
        assert!(ran.stderr().contains("would believe it too much"), "{}", ran.stderr());
    }
}

#[test]
fn training_rows_of_another_fold_and_test_rows_are_refused_for_fitting_whatever_the_expert() {
    let (lab, _) = lab();
    for expert in FITTED.into_iter().chain(FROZEN).chain([OF_EACH_FOLD]) {
        let text = study(expert, "");
        let fit = "evidence: expert.train, quality: quality.train, cohort: cohort }\n    with: { \
            rule: mean }";
        assert!(text.contains(fit));
        let found = |from: &str, to: &str| {
            lab.write("workflow.yaml", text.replace(fit, &fit.replace(from, to)));
            errors(&lab)
        };
        let one = |stage: &str, code: &str| (stage.to_owned(), format!("fuseline::{code}"));
        assert_eq!(
            found(
                "expert.train, quality: quality.train",
                "\"expert.train[fold=0]\", quality: \"quality.train[fold=0]\""
            ),
            BTreeSet::from([one("permute_alone", "leak_model_saw_rows")]),
            "{expert:?}"
        );
        assert_eq!(
            found("expert.train, quality: quality.train", "expert.test, quality: quality.test"),
            BTreeSet::from([one("alone", "leak_fit_on_test")]),
            "{expert:?}"
        );
    }
}

#[test]
fn what_an_external_model_and_training_rows_shaped_is_named_as_both() {
    let (lab, _) = lab();
    let text = study(FROZEN[0], "");
    lab.write(
        "workflow.yaml",
        text.replace("inputs: { model: alone,", "inputs: { model: \"alone[fold=1]\","),
    );
    let ran = lab.run(["check", "workflow.yaml", "--format", "json"]);
    let found: Value = serde_json::from_str(&ran.stdout()).expect("check prints JSON");
    assert_eq!(
        found["diagnostics"][0]["message"],
        "permute_alone[fold=0] applies a model shaped by {external, train(fold 1)} to test(fold \
         0), and so does 1 more of its actions (path: alone[fold=1] -> permute_alone[fold=0])"
    );
}

#[test]
fn examples_that_a_file_says_a_model_has_seen_are_held_against_the_rows_while_running() {
    let (lab, ids) = lab();
    for expert in FROZEN {
        lab.write("workflow.yaml", study(expert, ", fitted_on: { ids: seen.txt }"));
        assert_eq!(errors(&lab), BTreeSet::new());
        lab.write("seen.txt", format!("elsewhere\n{}\n{}\n", ids[4], ids[9]));
        let ran = lab.run(["run", "workflow.yaml"]);
        ran.exits(2);
        let said = ran.stderr().split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains("fuseline::leak_model_saw_rows"), "{said}");
        assert!(said.contains("seen.txt has") && said.contains(&ids[4]), "{said}");
        // Another list is another key, and one without them runs.
        lab.write("seen.txt", "elsewhere\n");
        lab.run(["run", "workflow.yaml"]).success();
    }
    // A file that is not there is an error of the check.
    lab.write("workflow.yaml", study(FROZEN[0], ", fitted_on: { ids: nowhere.txt }"));
    let ran = lab.run(["check", "workflow.yaml"]);
    ran.exits(2);
    assert!(ran.stderr().contains("fuseline::missing_file"), "{}", ran.stderr());
}

#[test]
fn training_examples_that_a_model_has_seen_get_no_evidence_with_a_word() {
    let (lab, ids) = lab();
    // One fold is tested; of its training rows the model has seen a third.
    let one_fold =
        study(FROZEN[0], ", fitted_on: { ids: seen.txt }").replace("fold: [0, 1, 2]", "fold: [1]");
    lab.write("workflow.yaml", one_fold);
    let folds = lab.run(["run", "workflow.yaml", "--only", "folds"]);
    folds.success();
    lab.run(["show", "workflow.yaml", "folds", "--export", "folds.csv"]).success();
    let folds = String::from_utf8(lab.read("folds.csv")).expect("the folds are text");
    let trained: Vec<&str> =
        folds.lines().skip(1).filter_map(|line| line.strip_suffix(",0")).collect();
    assert_eq!((trained.len(), ids.len()), (30, 90));
    lab.write("seen.txt", trained.join("\n"));
    let ran = lab.run(["run", "workflow.yaml"]);
    ran.success();
    let evidence =
        lab.run(["show", "workflow.yaml", "expert.train[fold=1]", "--export", "train.csv"]);
    evidence.success();
    let evidence = String::from_utf8(lab.read("train.csv")).expect("the evidence is text");
    assert_eq!(evidence.lines().count(), 1 + 30);
    assert!(trained.iter().all(|id| !evidence.contains(&format!("{id},"))));
}

#[test]
fn features_that_were_scaled_on_all_rows_are_refused_for_a_frozen_model_as_for_any() {
    let (lab, _) = lab();
    let scaled = r#"  scaled:
    uses: command
    inputs: { features: audio }
    with:
      run: [cp, inputs/features.parquet, outputs/main.parquet]
      inputs: { features: { artifact: features } }
      outputs: { main: { artifact: features } }
  expert:
"#;
    for expert in [FITTED[0], FROZEN[1]] {
        let text = study(expert, "").replace("  expert:\n", scaled);
        lab.write(
            "workflow.yaml",
            text.replace("features: audio, cohort", "features: scaled, cohort"),
        );
        let found = errors(&lab);
        let codes: BTreeSet<_> = found.iter().map(|(_, code)| code.as_str()).collect();
        assert_eq!(
            codes,
            BTreeSet::from(["fuseline::leak_shaped_by_test"]),
            "{expert:?}: {found:?}"
        );
    }
}

#[test]
fn what_fitted_on_cannot_be_is_refused_with_what_it_can_be() {
    let (lab, _) = lab();
    let refused = |expert, more: &str| {
        lab.write("workflow.yaml", study(expert, more));
        let ran = lab.run(["check", "workflow.yaml"]);
        ran.exits(2);
        ran.stderr().split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let said = refused(OF_EACH_FOLD, ", fitted_on: external");
    assert!(said.contains("with `fold` each fold has models of its own"), "{said}");
    let said = refused(FROZEN[1], ", fitted_on: trian");
    assert!(
        said.contains("`fitted_on` cannot be `trian`") && said.contains("did you mean `train`"),
        "{said}"
    );
    let said = refused(FROZEN[1], ", fitted_on: { ids: seen.txt, column: id }");
    assert!(said.contains("has no option `column`"), "{said}");
}

#[test]
fn a_whole_study_of_a_frozen_model_runs_with_every_quality_and_diagnostic() {
    let (lab, _) = lab();
    let text = std::fs::read_to_string(root().join("workflows/quickstart.yaml")).expect("it ships");
    lab.write("study.yaml", text);
    for (from, to) in [
        ("uses: expert.logistic", "uses: expert.onnx"),
        ("inner_folds: 4, exclude", "path: model.onnx, fitted_on: { ids: seen.txt }, exclude"),
        ("group_spread: 0.3", "features: 4"),
        ("fidelity: [0.9, 0.0]", "fidelity: [0.9]"),
        ("rule: [mean, weighted_mean, lr, moe]", "rule: [mean, lr]"),
        (
            "quality: [column, constant, aligned, random]",
            "quality: [column, margin, entropy, missingness, in_distribution, mahalanobis, \
             ensemble_variance, conformal_set_size, constant, aligned, random]",
        ),
        (
            "cohort: cohort }\n\n  # Rules are plugins",
            "cohort: cohort, folds: folds }\n\n  # Rules are plugins",
        ),
    ] {
        lab.edit("study.yaml", from, to);
    }
    let sized = ["study.yaml", "--set", "permutations=9", "--set", "examples=160"];
    lab.run(["run"].into_iter().chain(sized)).success();
    let exported = ["findings", "--export", "findings.csv"];
    lab.run(["show", "study.yaml"].into_iter().chain(exported).chain(sized[1..].iter().copied()))
        .success();
    let findings = String::from_utf8(lab.read("findings.csv")).expect("the findings are text");
    assert_eq!(findings.lines().count(), 1 + 2 * 11, "{findings}");
}
