//! Contract of the design with users of the command: files, forms, exit codes.

use std::fs;
use std::process::Stdio;

use fuseline_artifact::{Artifact, ArtifactKind, Payload};
use fuseline_tests::{Lab, root};
use serde_json::Value;

/// Every stage of the diagnostic on made-up data, run once.
fn lab() -> Lab {
    let text = fs::read_to_string(root().join("tests/cases/small.yaml")).expect("readable");
    let lab = Lab::with_workflow(&text);
    lab.run(["run", "workflow.yaml"]).success();
    lab
}

fn export(lab: &Lab, output: &str, file: &str) {
    lab.run(["show", "workflow.yaml", output, "--export", file]).success();
}

#[test]
fn an_artifact_exported_as_parquet_is_the_artifact_itself() {
    let lab = lab();
    let point = "rule=lr, quality=margin, fold=0";
    for (kind, output) in [
        (ArtifactKind::Cohort, "cohort".to_owned()),
        (ArtifactKind::Folds, "folds".to_owned()),
        (ArtifactKind::Features, "features[modality=a]".to_owned()),
        (ArtifactKind::Evidence, "expert.test[modality=a, fold=1]".to_owned()),
        (ArtifactKind::Quality, "quality.train[quality=margin, modality=b, fold=0]".to_owned()),
        (ArtifactKind::Model, format!("fusion[{point}]")),
        (ArtifactKind::Permutations, format!("permute.permutations[{point}]")),
        (ArtifactKind::ExampleEffects, format!("permute.effects[{point}]")),
        (ArtifactKind::Findings, "findings".to_owned()),
    ] {
        export(&lab, &output, "exported.parquet");
        let bytes = lab.read("exported.parquet");
        let artifact = Artifact::decode(kind, None, bytes.clone());
        let artifact = artifact.unwrap_or_else(|error| panic!("{output}: {error}"));
        assert_eq!(artifact.encode().expect("it encodes"), bytes, "{output}");
    }
}

#[test]
fn several_artifacts_exported_together_keep_their_types_and_are_told_apart() {
    let lab = lab();
    // The axis is called as the column is: both are there.
    export(&lab, "quality.test", "quality.csv");
    let text = String::from_utf8(lab.read("quality.csv")).expect("UTF-8");
    let head = text.lines().next().expect("a head");
    let names: Vec<&str> = head.split(',').collect();
    assert_eq!(names, ["modality", "fold", "axis_quality", "example_id", "quality"]);
    let at = names.iter().position(|name| *name == "axis_quality").expect("it is there");
    for source in ["margin", "constant"] {
        assert!(text.lines().any(|line| line.split(',').nth(at) == Some(source)), "{source}");
    }
    // A finding names its point already.
    export(&lab, "finding", "finding.csv");
    let text = String::from_utf8(lab.read("finding.csv")).expect("UTF-8");
    assert!(text.starts_with("quality,rule,control,"), "{text}");
    export(&lab, "expert.test[modality=a]", "evidence.parquet");
    assert!(lab.read("evidence.parquet").windows(13).any(|bytes| bytes == b"probabilities"));
}

#[test]
fn findings_have_the_columns_of_the_design_in_their_order() {
    let lab = lab();
    let bytes = lab.read("results/small/findings.parquet");
    let findings = Artifact::decode(ArtifactKind::Findings, None, bytes).expect("findings");
    let Payload::Table(table) = findings.payload else { panic!("findings are a table") };
    let schema = table.schema();
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let expected = "quality rule control evidence_derived n_examples n_groups n_permutations \
        ba_clean ba_broken ba_without_quality gap gap_low gap_high p_value p_adjusted flip_rate \
        probability_shift null_sd detectable_gap equivalent ba_best_unimodal ba_oracle headroom \
        reads_quality moved_share not_testable not_counted bound_low bound_high p_error \
        detectable_gap_80 flip_low flip_high shift_low shift_high gain_low gain_high \
        quality_sketch label_icc error_icc design_effect p_doubt alignment_a alignment_b \
        quality_from_evidence_a quality_from_evidence_b quality_label_auroc_a \
        quality_label_auroc_b quality_icc_a quality_icc_b";
    assert_eq!(names, expected.split_whitespace().collect::<Vec<_>>());
}

#[test]
fn a_run_whose_outputs_cannot_be_written_still_prints_its_object() {
    let lab = lab();
    fs::create_dir_all(lab.path("out/findings.parquet/in_the_way")).expect("a folder");
    let ran = lab.run(["run", "workflow.yaml", "--out", "out", "--format", "json"]);
    ran.exits(1);
    let object: Value = serde_json::from_str(&ran.stdout()).expect("one object");
    assert_eq!((&object["status"], &object["failed"]), (&"failed".into(), &0.into()));
    assert!(object["outputs"]["findings.parquet"].is_null(), "{object}");
    assert!(ran.stderr().contains("cannot write out/findings.parquet"), "{}", ran.stderr());
    let kept = |command: &[&str]| lab.run(command.iter().chain(&["--format", "json"])).json();
    let listed = kept(&["runs", "list"]);
    let statuses: Vec<_> =
        listed["runs"].as_array().expect("runs").iter().map(|of| &of["status"]).collect();
    assert_eq!(statuses, ["ok", "failed"]);
    assert_eq!(kept(&["runs", "show", "latest"])["status"], "failed");
    let shown = lab.run(["runs", "show", "latest"]);
    assert!(
        shown.success().stdout().contains("cannot write out/findings.parquet"),
        "{}",
        shown.stdout()
    );
}

#[test]
#[cfg(target_os = "linux")]
fn a_result_that_cannot_be_written_to_stdout_is_a_failure() {
    let lab = Lab::new();
    let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("a full device");
    let ran = lab.command(["schema"]).stdout(full).stderr(Stdio::piped()).output().expect("ran");
    assert_eq!(ran.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&ran.stderr).contains("cannot write to stdout"));
}

#[test]
fn a_file_of_a_rule_that_is_not_there_is_named_whatever_is_asked_of_it() {
    let lab = Lab::new();
    for command in ["inspect", "check"] {
        let ran = lab.run(["plugin", command, "./absent.so"]);
        assert_eq!(ran.exits(2).stderr(), "error: there is no file ./absent.so\n", "{command}");
    }
}

#[test]
fn what_is_wrong_while_running_has_a_hint_too() {
    let lab = Lab::with_workflow(
        "fuseline: 1\nname: empty\nstages:\n  features:\n    uses: load.csv\n    \
         with: { path: empty.csv, id: { column: 0 } }\noutputs: { features.csv: features }\n",
    );
    lab.write("empty.csv", "");
    let ran = lab.run(["run", "workflow.yaml"]);
    assert!(ran.exits(2).stderr().contains("help: "), "{}", ran.stderr());
}

#[test]
fn a_workflow_or_a_params_file_that_is_no_text_is_a_diagnostic_at_its_place() {
    let lab = Lab::with_workflow("fuseline: 1\n");
    lab.write("latin.yaml", b"fuseline: 1\nname: caf\xe9\n");
    for arguments in [&["latin.yaml"][..], &["workflow.yaml", "--params", "latin.yaml"]] {
        let checked = lab.run(["check", "--format", "json"].iter().chain(arguments));
        checked.exits(2);
        let said: Value = serde_json::from_str(&checked.stdout()).expect("an object");
        let found = &said["diagnostics"][0];
        assert_eq!(
            (&found["code"], &found["file"]),
            (&"fuseline::yaml_syntax".into(), &"latin.yaml".into())
        );
        assert_eq!((&found["line"], &found["column"]), (&2.into(), &10.into()), "{found}");
    }
}

#[test]
fn a_value_that_breaks_its_schema_is_named_with_where_it_was_set() {
    let lab = Lab::with_workflow(
        "fuseline: 1\nname: named\nparams: { strength: 0.5, fraction: 0 }\nstages:\n  cohort:\n    \
         uses: simulate.cohort\n    with: { examples: 60, groups: 12 }\n  features:\n    uses: \
         simulate.features\n    \
         inputs: { cohort: cohort }\n    with: { modality: a, fidelity: \"${{ params.fraction \
         }}\", strength: \"${{ params.strength }}\" }\n\
         outputs: { features.parquet: features }\n",
    );
    lab.write("params.yaml", "# one line before\nfraction: 7\n");
    let arguments = ["check", "workflow.yaml", "--params", "params.yaml", "--set", "strength=wide"];
    assert!(lab.run(arguments).exits(2).stderr().contains("`strength`"));
    let said = lab.run(&arguments[..4]);
    let said = said.exits(2).stderr();
    assert!(said.contains("`fidelity` must be at most 1, not 7"), "{said}");
    assert!(said.contains("params.yaml:2:11: `params.fraction` has its value from here"), "{said}");
}

#[test]
fn the_reference_tells_options_within_options() {
    let reference = Lab::new().run(["stages", "cohort.define"]);
    reference.success();
    for option in ["      pattern:", "      column:"] {
        assert!(reference.stdout().contains(option), "{}", reference.stdout());
    }
}
