//! Experts beyond the defaults, from the command line: support vector machines, calibration of
//! evidence from elsewhere, frozen models.

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Float64Type;
use fuseline_artifact::{Artifact, ArtifactKind};
use fuseline_tests::{Lab, root};
use serde_json::Value;

/// Sixty examples of twenty people, two features that tell the classes apart but for noise, and the
/// evidence of a model that is far too sure.
fn lab(experts: &str) -> Lab {
    let lab = Lab::new();
    let mut features = "id,a,b\n".to_owned();
    let mut evidence = "id,calm,tense\n".to_owned();
    for row in 0..60 {
        let tense = (row * 7 % 5 + row) % 2;
        let noise = f64::from(row * 37 % 23 - 11) / 6.0;
        features.push_str(&format!(
            "p{:02}_{}{row:02},{},{}\n",
            row / 3,
            ["fine", "upset"][tense as usize],
            f64::from(tense) * 1.5 + noise,
            row * 11 % 13
        ));
        let sure = if (row % 4 == 0) == (tense == 0) { 0.001 } else { 0.999 };
        evidence.push_str(&format!(
            "p{:02}_{}{row:02},{},{sure}\n",
            row / 3,
            ["fine", "upset"][tense as usize],
            1.0 - sure
        ));
    }
    lab.write("features.csv", features);
    lab.write("evidence.csv", evidence);
    lab.write("workflow.yaml", format!("{WORKFLOW}{experts}"));
    lab
}

const WORKFLOW: &str = r#"
fuseline: 1
name: experts
axes:
  fold: ${{ range(3) }}
  calibration: [sigmoid, isotonic, temperature]
stages:
  features:
    uses: load.csv
    with: { path: features.csv, id: { column: id } }
  cohort:
    uses: cohort.define
    inputs: { features: features }
    with:
      group: { pattern: "^(p..)_" }
      label: { pattern: "_([a-z]+)", classes: { calm: [fine], tense: [upset] } }
  folds:
    uses: split.stratified_group_kfold
    inputs: { cohort: cohort }
    with: { folds: 3 }
"#;

const SVM: &str = r#"
  svm:
    uses: expert.linear_svm
    over: [calibration, fold]
    inputs: { features: features, cohort: cohort, folds: folds }
    with: { test_fold: "${{ fold }}", calibration: "${{ calibration }}", modality: voice }
  elsewhere:
    uses: expert.precomputed
    over: [calibration, fold]
    inputs: { cohort: cohort, folds: folds }
    with:
      path: evidence.csv
      id: { column: id }
      probabilities: [calm, tense]
      test_fold: "${{ fold }}"
      calibration: "${{ calibration }}"
      modality: face
outputs:
  svm.parquet: svm.test[fold=0, calibration=sigmoid]
  elsewhere.parquet: elsewhere.test[fold=0, calibration=isotonic]
  train.parquet: elsewhere.train[fold=0, calibration=temperature]
"#;

/// The probability of the second class, row by row.
fn probabilities(lab: &Lab, name: &str) -> Vec<f64> {
    let bytes = lab.read(&format!("results/experts/{name}.parquet"));
    let artifact =
        Artifact::decode(ArtifactKind::Evidence, None, bytes).expect("evidence is whole");
    let table: &RecordBatch = artifact.table(ArtifactKind::Evidence).expect("it is a table");
    let lists = table.column_by_name("probabilities").expect("it has probabilities");
    let values = lists.as_fixed_size_list().values().as_primitive::<Float64Type>().values();
    values.chunks(2).map(|pair| pair[1]).collect()
}

#[test]
fn support_vector_machines_and_evidence_from_elsewhere_are_calibrated() {
    let lab = lab(SVM);
    lab.run(["run", "workflow.yaml"]).success();
    let svm = probabilities(&lab, "svm");
    assert!(svm.len() > 15 && svm.iter().all(|p| (0.0..=1.0).contains(p)), "{svm:?}");
    assert!(svm.iter().any(|p| *p > 0.6) && svm.iter().any(|p| *p < 0.4), "{svm:?}");
    // The model says 0.001 and 0.999 and is right about as often as not: calibrated, it no longer
    // says so.
    for name in ["elsewhere", "train"] {
        let evidence = probabilities(&lab, name);
        assert!(evidence.iter().all(|p| (0.02..=0.98).contains(p)), "{name}: {evidence:?}");
    }
}

#[test]
fn decision_values_without_a_calibration_are_refused_before_anything_runs() {
    let lab = lab(SVM);
    lab.edit(
        "workflow.yaml",
        "[sigmoid, isotonic, temperature]",
        "[sigmoid, isotonic, temperature, none]",
    );
    let ran = lab.run(["check", "workflow.yaml"]);
    ran.exits(2);
    assert!(ran.stderr().contains("decision values are no probabilities"), "{}", ran.stderr());
}

pub(crate) const FROZEN: &str = r#"fuseline: 1
name: experts
seed: 1
axes:
  fold: [0, 1, 2]
stages:
  features:
    uses: load.csv
    with: { path: features.csv, id: { column: id } }
  cohort:
    uses: cohort.define
    inputs: { features: features }
    with:
      group: { pattern: "^(g[0-9])_" }
      label: { pattern: "_([a-z]+)", classes: { rest: [rest], stress: [stress] } }
  folds:
    uses: split.group_kfold
    inputs: { cohort: cohort }
    with: { folds: 3 }
  frozen:
    uses: expert.onnx
    over: [fold]
    inputs: { features: features, cohort: cohort, folds: folds }
    with: { path: model.onnx, test_fold: "${{ fold }}", modality: voice }
outputs:
  frozen.parquet: frozen.test[fold=0]
"#;

/// A frozen model, its rows and onnxruntime's predictions, those of the stage kind's own tests.
pub(crate) fn frozen() -> (Lab, Value) {
    let folder = root().join("crates/fuseline-stages/tests/fixtures/onnx");
    let said = std::fs::read(folder.join("models.json")).expect("the fixture is there");
    let said: Value = serde_json::from_slice(&said).expect("the fixture is JSON");
    let mut features = "id,f0,f1,f2,f3\n".to_owned();
    for (row, values) in said["rows"].as_array().expect("rows").iter().enumerate() {
        let values: Vec<_> =
            values.as_array().expect("numbers").iter().map(ToString::to_string).collect();
        let label = ["rest", "stress"][row % 2];
        features += &format!("g{}_{label}{row},{}\n", row / 2, values.join(","));
    }
    let lab = Lab::with_workflow(FROZEN);
    lab.write("features.csv", features);
    lab.write("model.onnx", std::fs::read(folder.join("logistic.onnx")).expect("the model"));
    (lab, said)
}

#[test]
fn a_frozen_model_gives_the_evidence_that_onnxruntime_gives() {
    let (lab, said) = frozen();
    lab.run(["run", "workflow.yaml"]).success();
    let found = probabilities(&lab, "frozen");
    assert_eq!(found.len(), 2);
    for (row, found) in found.iter().enumerate() {
        let expected = said["models"]["logistic"][row][1].as_f64().expect("a number");
        assert!((found - expected).abs() < 1e-6, "{found}, not {expected}");
    }

    // Another file is another model, and a file that is no model is reported.
    lab.write("model.onnx", "not a model");
    let ran = lab.run(["run", "workflow.yaml"]);
    ran.exits(2);
    let words = ["cannot be read as ONNX", "holds no graph"];
    assert!(words.iter().any(|words| ran.stderr().contains(words)), "{}", ran.stderr());
}
