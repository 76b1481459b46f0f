//! The study of the real StressID features, end to end.

use std::path::Path;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Float64Type;
use fuseline_artifact::{Artifact, ArtifactKind};
use fuseline_tests::{Lab, Ran, real_data, root};

fn run(lab: &Lab, data: &Path, more: &[&str]) -> Ran {
    let workflow = root().join("workflows/stressid.yaml");
    let data = format!("data={}", data.display());
    let mut arguments =
        vec!["run", workflow.to_str().expect("UTF-8"), "--set", &data, "--format", "json"];
    // Few permutations: the numbers that are held fixed here do not depend on how many there are.
    arguments.extend(["--set", "permutations=199"]);
    arguments.extend(more);
    lab.run(arguments)
}

pub(super) fn findings(bytes: Vec<u8>) -> RecordBatch {
    let artifact =
        Artifact::decode(ArtifactKind::Findings, None, bytes).expect("findings are whole");
    artifact.table(ArtifactKind::Findings).expect("findings are a table").clone()
}

pub(super) fn numbers(table: &RecordBatch, column: &str) -> Vec<f64> {
    let column =
        table.column_by_name(column).unwrap_or_else(|| panic!("there is a column {column}"));
    column.as_primitive::<Float64Type>().values().to_vec()
}

pub(super) fn words(table: &RecordBatch, column: &str) -> Vec<String> {
    let column =
        table.column_by_name(column).unwrap_or_else(|| panic!("there is a column {column}"));
    let column = arrow::compute::cast(column, &arrow::datatypes::DataType::Utf8).expect("text");
    let column = column.as_string::<i32>();
    (0..column.len()).map(|row| column.value(row).to_owned()).collect()
}

#[test]
fn the_study_runs_is_reused_and_gives_the_same_bytes_for_any_number_of_threads() {
    let Some(data) = real_data("stressid") else { return };
    let lab = Lab::new();
    let first = run(&lab, &data, &["-j", "2"]).json();
    assert_eq!(first["status"], "ok");
    assert_eq!(first["executed"], first["actions"]);
    let table = findings(lab.read("results/stressid/findings.parquet"));
    assert_eq!(table.num_rows(), 30, "5 rules at 6 qualities");

    let second = run(&lab, &data, &["-j", "2"]).json();
    assert_eq!(second["executed"], 0);
    assert_eq!(second["cached"], first["actions"]);

    run(&lab, &data, &["-j", "1", "--cache", "another-cache", "--out", "another"]).success();
    for output in ["findings.parquet", "report.html"] {
        let (one, other) = (format!("results/stressid/{output}"), format!("another/{output}"));
        assert!(lab.read(&one) == lab.read(&other), "{output} differs between -j 2 and -j 1");
    }

    let fewer = run(&lab, &data, &["--set", "permutations=99"]).json();
    assert_eq!(fewer["executed"], 150 + 30 + 1 + 1, "permute, finding, findings, report");
}

#[test]
fn the_findings_are_those_of_an_independent_calculation() {
    let Some(data) = real_data("stressid") else { return };
    let lab = Lab::new();
    run(&lab, &data, &[]).success();
    let table = findings(lab.read("results/stressid/findings.parquet"));
    let (rules, qualities) = (words(&table, "rule"), words(&table, "quality"));
    let clean = numbers(&table, "ba_clean");
    let at = |rule: &str, quality: &str| {
        (0..rules.len())
            .find(|&row| rules[row] == rule && qualities[row] == quality)
            .expect("the point is there")
    };
    // scikit-learn 1.9 and scipy 1.17 on the same features; see docs/method.md for the definitions.
    for (rule, quality, expected) in [
        ("mean", "margin", 0.6931730254151538),
        ("weighted_mean", "margin", 0.677459675019344),
        ("weighted_mean", "in_distribution", 0.663234331289804),
        ("lr", "margin", 0.7039759538122731),
        ("lr", "entropy", 0.69138741741563),
        ("lr", "in_distribution", 0.6772811142193917),
        ("lr", "constant", 0.6898994107493601),
        ("moe", "margin", 0.6678769120885661),
        ("moe", "entropy", 0.6773108743527171),
        ("moe", "in_distribution", 0.652133801559431),
        ("moe", "constant", 0.6915064579489316),
    ] {
        let found = clean[at(rule, quality)];
        assert!(
            (found - expected).abs() < 1e-9,
            "{rule} with {quality}: {found}, expected {expected}"
        );
    }
    let (oracle, best) = (numbers(&table, "ba_oracle"), numbers(&table, "ba_best_unimodal"));
    let gap = numbers(&table, "gap");
    for (row, rule) in rules.iter().enumerate() {
        assert!((oracle[row] - 0.8615856199035772).abs() < 1e-9);
        assert!((best[row] - 0.6836795428843521).abs() < 1e-9);
        if rule == "mean" {
            assert_eq!(gap[row], 0.0, "the mean does not look at quality");
        }
    }
    let margin = at("lr", "margin");
    for (column, expected) in [
        ("alignment_physio", 0.6556136301927777),
        ("alignment_video", 0.7137267080745341),
        ("alignment_audio", 0.7560340040155495),
    ] {
        let found = numbers(&table, column)[margin];
        assert!((found - expected).abs() < 1e-9, "{column}: {found}, expected {expected}");
    }
}

#[test]
fn the_positive_control_is_found_by_every_rule_that_looks_at_quality() {
    let Some(data) = real_data("stressid") else { return };
    let lab = Lab::new();
    run(&lab, &data, &[]).success();
    let table = findings(lab.read("results/stressid/findings.parquet"));
    let (rules, qualities, controls) =
        (words(&table, "rule"), words(&table, "quality"), words(&table, "control"));
    let p = numbers(&table, "p_value");
    let mut looked_at = 0;
    for row in (0..rules.len()).filter(|&row| qualities[row] == "aligned" && rules[row] != "mean") {
        assert_eq!(controls[row], "positive");
        assert!(p[row] < 0.01, "{}: p = {}", rules[row], p[row]);
        looked_at += 1;
    }
    assert_eq!(looked_at, 4);
}
