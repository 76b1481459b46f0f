//! Data as people have it: every format that is loaded, labels from a table, and the study of CMU-MOSEI.

use std::fs;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Float64Type;
use fuseline_artifact::{Artifact, ArtifactKind};
use fuseline_tests::{Lab, real_data, root};

/// Forty examples of twenty people in five formats: the same numbers each time, which tell the classes apart but for noise.
fn formats() -> Lab {
    let lab = Lab::new();
    let (mut csv, mut long, mut jsonl, mut labels, mut evidence) = (
        "id,a,b\n".to_owned(),
        "id\tname\tvalue\n".to_owned(),
        String::new(),
        "id,who,mood\n".to_owned(),
        "id,calm,tense\n".to_owned(),
    );
    for row in 0..40 {
        let tense = row % 2;
        let (a, b) = (tense * 3 + row * 7 % 5, row * 11 % 13);
        csv.push_str(&format!("e{row:02},{a},{b}\n"));
        long.push_str(&format!("e{row:02}\ta\t{a}\ne{row:02}\tb\t{b}\n"));
        jsonl.push_str(&format!("{{\"id\": \"e{row:02}\", \"v\": [{a}, {b}]}}\n"));
        labels.push_str(&format!("e{row:02},p{},{}\n", row / 2, ["fine", "upset"][tense]));
        evidence.push_str(&format!(
            "e{row:02},{},{}\n",
            0.75 - 0.5 * tense as f64,
            0.25 + 0.5 * tense as f64
        ));
    }
    for (file, text) in [
        ("wide.csv", csv),
        ("long.tsv", long),
        ("lines.jsonl", jsonl),
        ("labels.csv", labels),
        ("evidence.csv", evidence),
    ] {
        lab.write(file, text);
    }
    lab.write("workflow.yaml", WORKFLOW);
    lab
}

const WORKFLOW: &str = r#"
fuseline: 1
name: formats
axes:
  fold: ${{ range(4) }}
stages:
  wide:
    uses: load.csv
    with: { path: wide.csv, id: { column: id } }
  long:
    uses: load.csv
    with: { path: long.tsv, delimiter: "\t", id: { column: id }, long: { name: name, value: value } }
  lines:
    uses: load.jsonl
    with: { path: lines.jsonl, id: { column: id } }
  cohort:
    uses: cohort.define
    inputs: { features: [wide, long, lines] }
    with:
      table: { path: labels.csv, id: { column: id } }
      group: { column: who }
      label: { column: mood, classes: { calm: [fine], tense: [upset] } }
  folds:
    uses: split.stratified_group_kfold
    inputs: { cohort: cohort }
    with: { folds: 4 }
  trees:
    uses: expert.gradient_boosting
    over: [fold]
    inputs: { features: wide, cohort: cohort, folds: folds }
    with: { test_fold: "${{ fold }}", modality: trees, min_rows_per_leaf: 2, calibration: isotonic }
  forest:
    uses: expert.random_forest
    over: [fold]
    inputs: { features: long, cohort: cohort, folds: folds }
    with: { test_fold: "${{ fold }}", modality: forest, trees: 20 }
  elsewhere:
    uses: expert.precomputed
    over: [fold]
    inputs: { cohort: cohort, folds: folds }
    with: { path: evidence.csv, id: { column: id }, probabilities: [calm, tense], test_fold: "${{ fold }}", modality: elsewhere }
outputs:
  wide.parquet: wide
  long.parquet: long
  lines.parquet: lines
  cohort.parquet: cohort
  elsewhere.parquet: elsewhere.test[fold=0]
  trees.parquet: trees.test[fold=0]
  forest.parquet: forest.test[fold=0]
"#;

#[test]
fn wide_long_and_line_formats_give_the_same_features_and_every_expert_runs_on_them() {
    let lab = formats();
    lab.run(["run", "workflow.yaml"]).success();
    let columns = |name: &str| {
        let bytes = lab.read(&format!("results/formats/{name}.parquet"));
        let artifact =
            Artifact::decode(ArtifactKind::Features, None, bytes).expect("features are whole");
        artifact.table(ArtifactKind::Features).expect("features are a table").columns().to_vec()
    };
    assert_eq!(columns("wide"), columns("long"));
    assert_eq!(columns("wide"), columns("lines"));
}

#[test]
fn a_duplicate_id_and_a_table_of_other_examples_are_faults_of_the_input() {
    let lab = formats();
    lab.edit("wide.csv", "e01,", "e00,");
    let ran = lab.run(["run", "workflow.yaml"]);
    ran.exits(2);
    assert!(ran.stderr().contains("lines 2 and 3 of wide.csv are both e00"), "{}", ran.stderr());

    let lab = formats();
    lab.write("labels.csv", "id,who,mood\nx,p,fine\n");
    let ran = lab.run(["run", "workflow.yaml"]);
    ran.exits(2);
    assert!(
        ran.stderr().contains("no example of the features is in labels.csv"),
        "{}",
        ran.stderr()
    );
}

fn findings(lab: &Lab) -> RecordBatch {
    let bytes = lab.read("results/mosei/findings.parquet");
    let artifact =
        Artifact::decode(ArtifactKind::Findings, None, bytes).expect("findings are whole");
    artifact.table(ArtifactKind::Findings).expect("findings are a table").clone()
}

#[test]
fn the_study_of_mosei_gives_the_numbers_of_an_independent_calculation() {
    let Some(data) = real_data("mosei") else { return };
    let lab = Lab::new();
    let workflow = root().join("workflows/mosei.yaml");
    // One rule and quality: what is compared does not depend on the others, nor on the number of permutations.
    let text = fs::read_to_string(workflow).expect("the workflow is there");
    let text = text.replace("rule: [mean, weighted_mean, lr, hgb, moe]", "rule: [mean]").replace(
        "quality: [margin, entropy, in_distribution, constant, aligned, random]",
        "quality: [margin, constant]",
    );
    lab.write("mosei.yaml", text);
    let data = format!("data={}", data.display());
    lab.run(["run", "mosei.yaml", "--set", &data, "--set", "permutations=19"]).success();
    let table = findings(&lab);
    // scikit-learn 1.9 and scipy 1.17, written from the definitions: tests/stories/data/mosei.py.
    for (column, expected) in [
        ("ba_clean", 0.698_504_119_670_426_4),
        ("ba_best_unimodal", 0.686_587_425_947_100_8),
        ("ba_oracle", 0.925_137_753_685_587_6),
    ] {
        let found = table.column_by_name(column).expect("the column is there");
        let found = found.as_primitive::<Float64Type>().value(0);
        assert!((found - expected).abs() < 1e-9, "{column}: {found}, expected {expected}");
    }
}
