//! Mid-fusion: a rule that sees features beside the evidence, and whose quality is intervened upon
//! inside the model.

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Float64Type;
use fuseline_artifact::{Artifact, ArtifactKind};
use fuseline_tests::{Lab, root};

fn workflow() -> String {
    let path = root().join("workflows/mid_fusion.yaml");
    std::fs::read_to_string(path).expect("the workflow is there")
}

fn findings(lab: &Lab, out: &str) -> RecordBatch {
    let bytes = lab.read(&format!("{out}/findings.parquet"));
    let artifact = Artifact::decode(ArtifactKind::Findings, None, bytes).expect("it is whole");
    artifact.table(ArtifactKind::Findings).expect("findings are a table").clone()
}

/// A number of the condition with the measured quality.
fn measured(findings: &RecordBatch, sees: &str, column: &str) -> f64 {
    let text = |name: &str| {
        let column = findings.column_by_name(name).unwrap_or_else(|| panic!("no column {name}"));
        let column =
            arrow::compute::cast(column, &arrow::datatypes::DataType::Utf8).expect("texts");
        column.as_string::<i32>().clone()
    };
    let (axis, quality) = (text("sees"), text("quality"));
    let row = (0..findings.num_rows())
        .find(|&row| axis.value(row) == sees && quality.value(row) == "column")
        .unwrap_or_else(|| panic!("no finding of {sees}"));
    findings.column_by_name(column).expect("it is there").as_primitive::<Float64Type>().value(row)
}

#[test]
fn a_rule_that_reads_reliability_in_its_embedding_needs_the_measured_quality_less() {
    let lab = Lab::with_workflow(&workflow());
    let sets = ["--set", "examples=360", "--set", "permutations=99", "--quiet"];
    let run = |out: &str, more: &[&str]| {
        let arguments = ["run", "workflow.yaml", "--out", out];
        lab.run(arguments.iter().chain(&sets).chain(more)).success();
        lab.read(&format!("{out}/findings.parquet"))
    };
    let in_workers = run("workers", &["--cache", "one", "--isolation", "worker"]);
    let in_process = run("process", &["--cache", "two", "--isolation", "in-process"]);
    assert!(in_workers == in_process, "a worker and the host's own process must agree bit for bit");

    let found = findings(&lab, "workers");
    for sees in ["evidence", "features"] {
        let (gap, p) = (measured(&found, sees, "gap"), measured(&found, sees, "p_value"));
        assert!(gap > 0.02 && p <= 0.05, "{sees}: gap {gap}, p {p}");
    }
    let (gap, of) = (measured(&found, "monitor", "gap"), measured(&found, "features", "gap"));
    assert!(gap < of / 2.0, "the monitor leaves a gap of {gap}, without it {of}");
    let clean = |sees: &str| measured(&found, sees, "ba_clean");
    assert!(clean("monitor") > clean("features") - 0.03, "the monitor is worth the quality");
}

#[test]
fn what_is_wrong_with_embeddings_is_said_before_anything_runs() {
    let refused = |from: &str, to: &str| {
        let lab = Lab::with_workflow(&workflow());
        lab.edit("workflow.yaml", from, to);
        let ran = lab.run(["check", "workflow.yaml"]);
        ran.exits(2);
        ran.stdout() + &ran.stderr()
    };
    let takes_none = refused(
        "{ rule: attention, exclude: [\"${{ sees.hidden }}\"] }",
        "{ rule: moe, exclude: [\"${{ sees.hidden }}\"] }",
    );
    assert!(takes_none.contains("the rule org.fuseline.moe takes no embeddings"), "{takes_none}");
    assert!(takes_none.contains("rule: moe"), "the place is shown: {takes_none}");

    // Degraded with what another fold's training rows say, which are this fold's test rows.
    let lab = Lab::with_workflow(&workflow());
    lab.edit(
        "workflow.yaml",
        "  # Mid-fusion: `embeddings` are",
        "  worse:\n    uses: intervene.degrade\n    over: [modality]\n    inputs: { features: \
         embeddings, cohort: cohort, folds: folds }\n    with: { test_fold: 0, by: noise, \
         severity: 1.0 }\n  # Mid-fusion: `embeddings` are",
    );
    lab.edit(
        "workflow.yaml",
        "quality.train, embeddings: embeddings",
        "quality.train, embeddings: worse",
    );
    let ran = lab.run(["check", "workflow.yaml"]);
    ran.exits(2);
    let said = ran.stdout() + &ran.stderr();
    assert!(said.contains("fuseline::leak_shaped_by_test"), "{said}");
    assert!(said.contains("embeddings: worse"), "the place is shown: {said}");
}

#[test]
fn a_model_that_was_fitted_with_embeddings_is_not_asked_without() {
    let lab = Lab::with_workflow(&workflow());
    lab.edit("workflow.yaml", "quality.test, embeddings: embeddings", "quality.test");
    let ran = lab.run(["run", "workflow.yaml", "--set", "examples=120", "--set", "permutations=9"]);
    ran.exits(2);
    let said = ran.stderr();
    assert!(
        said.contains(
            "fitted with embeddings of modalities: physio, video, audio; and is asked with: none"
        ),
        "{said}"
    );
}
