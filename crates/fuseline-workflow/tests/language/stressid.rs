//! The workflow of the paper's diagnostic, expanded.

use crate::fixture::{cases, check_text, render};
use fuseline_workflow::{ActionIndex, PointIndex, Stage, Workflow};
use serde_json::json;

fn stressid() -> Workflow {
    let text = std::fs::read_to_string(cases().join("valid/stressid.yaml")).expect("the case");
    let checked = check_text(&text, &[("data", "stress")]);
    assert_eq!(render(&checked.diagnostics, &checked.files), "");
    checked.workflow.expect("a workflow")
}

fn stage<'a>(workflow: &'a Workflow, name: &str) -> &'a Stage {
    workflow.stages.iter().find(|stage| stage.name == name).expect("the stage")
}

#[test]
fn every_stage_expands_to_the_points_of_its_axes() {
    let workflow = stressid();
    let sizes: Vec<_> = workflow
        .stages
        .iter()
        .map(|stage| (stage.name.as_str(), stage.actions.len(), stage.variants.len()))
        .collect();
    assert_eq!(
        sizes,
        [
            ("features", 3, 3),
            ("cohort", 1, 1),
            ("folds", 1, 1),
            ("expert", 15, 5),
            ("quality", 90, 6),
            ("fusion", 150, 5),
            ("permute", 150, 1),
            ("finding", 30, 1),
            ("findings", 1, 1),
            ("report", 1, 1),
        ]
    );
}

#[test]
fn options_are_evaluated_with_their_types_and_absolute_paths() {
    let workflow = stressid();
    let features = stage(&workflow, "features");
    let options = &features.variants[features.actions.variant(ActionIndex(2))].options;
    assert_eq!(options["path"], "/study/stress/HCfeatures.csv");
    assert_eq!(options["header"], false);
    assert_eq!(stage(&workflow, "expert").variants.raw[3].options["test_fold"], json!(3));
    assert_eq!(stage(&workflow, "fusion").variants.raw[4].options["rule"], "moe");
    assert_eq!(workflow.params[1], ("folds".to_owned(), json!(5)));
}

#[test]
fn a_port_that_a_kind_does_not_read_makes_no_edge() {
    let workflow = stressid();
    let quality = stage(&workflow, "quality");
    let edges = |port: &str| {
        let input = quality.inputs.iter().find(|input| input.port == port).expect("the input");
        input.sources[0].group_of.iter().flatten().count()
    };
    assert_eq!((edges("evidence_train"), edges("features"), edges("cohort")), (90, 15, 15));
}

#[test]
fn axes_that_only_the_producer_has_are_gathered_in_declared_order() {
    let workflow = stressid();
    let fusion = stage(&workflow, "fusion");
    let evidence = &fusion.inputs.raw[0].sources[0];
    let names: Vec<_> =
        evidence.gathered_axes.iter().map(|axis| workflow.axes[*axis].name.as_str()).collect();
    assert_eq!(names, ["modality"]);
    // 15 experts in 5 groups of 3, shared by 150 consumers.
    assert_eq!(evidence.groups.len(), 5);
    let expert = stage(&workflow, "expert");
    // In the order of the axes: modality, fold, quality, rule.
    assert_eq!(fusion.actions.coords(ActionIndex(1)), [0, 0, 1].map(PointIndex));
    let last = evidence.groups.get(evidence.group_of.raw[149].expect("a group"));
    let points: Vec<_> = last.iter().map(|action| expert.actions.coords(*action)).collect();
    assert_eq!(points, [[0, 4], [1, 4], [2, 4]].map(|point| point.map(PointIndex)));
}
