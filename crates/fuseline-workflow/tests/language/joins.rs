//! Joins of inputs over axes.

use fuseline_workflow::{ActionIndex, InputSource, PointIndex, Workflow};

use crate::fixture::{check_text, render};

fn workflow(stages: &str) -> Workflow {
    let text = format!(
        "fuseline: 1\nname: trial\naxes:\n  modality: [a, b, c]\n  fold: [0, 1]\n  repeat: [x, \
         y]\nstages:\n{stages}"
    );
    let checked = check_text(&text, &[]);
    let errors: Vec<_> = checked.diagnostics.iter().filter(|d| d.is_error()).cloned().collect();
    assert_eq!(render(&errors, &checked.files), "");
    checked.workflow.expect("a workflow")
}

const WITH: &str = "{ label: { pattern: a, classes: { a: [a], b: [b] } } }";

/// A stage over some axes that reads a stage of features over others.
fn source(producer: &str, consumer: &str, reference: &str) -> (Workflow, InputSource) {
    let workflow = workflow(&format!(
        "  raw: {{ uses: simulate.features, {producer} }}\n  cohort: {{ uses: cohort.define, \
         {consumer}, inputs: {{ features: \"{reference}\" }}, with: {WITH} }}\n"
    ));
    let source = workflow.stages.raw[1].inputs.raw[0].sources[0].clone();
    (workflow, source)
}

/// The producers of each action of the consumer.
fn producers(source: &InputSource) -> Vec<Vec<usize>> {
    let members = |group| source.groups.get(group).iter().map(|action| usize::from(*action));
    source.group_of.iter().flatten().map(|group| members(*group).collect()).collect()
}

fn gathered(workflow: &Workflow, source: &InputSource) -> Vec<String> {
    source.gathered_axes.iter().map(|axis| workflow.axes[*axis].name.clone()).collect()
}

#[test]
fn a_shared_axis_is_matched_and_others_are_gathered_or_broadcast() {
    let (workflow, source) = source("over: [modality, fold]", "over: [fold, repeat]", "raw");
    // Raw: a0 a1 b0 b1 c0 c1; cohort: 0x 0y 1x 1y.
    assert_eq!(producers(&source), [[0, 2, 4], [0, 2, 4], [1, 3, 5], [1, 3, 5]]);
    assert_eq!(gathered(&workflow, &source), ["modality"]);
    assert_eq!(source.groups.len(), 2, "consumers that see the same producers share a group");
}

#[test]
fn the_order_of_over_has_no_meaning() {
    let (_, one) = source("over: [fold, modality]", "over: [repeat, fold]", "raw");
    let (_, other) = source("over: [modality, fold]", "over: [fold, repeat]", "raw");
    assert_eq!(producers(&one), producers(&other));
}

#[test]
fn a_selection_takes_the_place_of_a_match() {
    let (workflow, source) =
        source("over: [modality, fold]", "over: [fold]", "raw[fold=1, modality=c|a]");
    // The points of a selection come in declared order, whatever order they are written in.
    assert_eq!(producers(&source), [[1, 5], [1, 5]]);
    assert_eq!(gathered(&workflow, &source), ["modality", "fold"]);
}

#[test]
fn points_that_where_drops_are_not_gathered() {
    let producer = "over: [modality, fold], where: \"${{ modality != 'b' or fold == 1 }}\"";
    let (_, source) = source(producer, "over: [fold]", "raw");
    // Raw: a0 a1 b1 c0 c1.
    assert_eq!(producers(&source), [&[0, 3][..], &[1, 2, 4]]);
}

#[test]
fn a_consumer_with_the_same_where_joins_a_producer_with_dropped_points() {
    let only = "over: [modality, fold], where: \"${{ fold == 1 }}\"";
    let (workflow, source) = source(only, only, "raw");
    assert_eq!(producers(&source), [[0], [1], [2]]);
    let coords = workflow.stages.raw[1].actions.coords(ActionIndex(2));
    assert_eq!(coords, [2, 1].map(PointIndex));
}

#[test]
fn several_references_are_several_sources_in_the_order_written() {
    let workflow = workflow(&format!(
        "  a: {{ uses: simulate.features }}\n  b: {{ uses: simulate.features, over: [fold] \
         }}\n  cohort: {{ uses: cohort.define, inputs: {{ features: [b, a] }}, with: {WITH} }}\n"
    ));
    let sources = &workflow.stages.raw[2].inputs.raw[0].sources;
    let stages: Vec<_> = sources.iter().map(|source| usize::from(source.stage)).collect();
    assert_eq!(stages, [1, 0]);
    assert_eq!(producers(&sources[0]), [[0, 1]]);
}

#[test]
fn stages_are_ordered_producers_first_and_otherwise_as_written() {
    let workflow = workflow(&format!(
        "  z: {{ uses: cohort.define, inputs: {{ features: b }}, with: {WITH} }}\n  c: {{ uses: \
         simulate.features }}\n  b: {{ uses: simulate.features }}\n  a: {{ uses: \
         simulate.features }}\n"
    ));
    let names: Vec<_> = workflow.stages.iter().map(|stage| stage.name.as_str()).collect();
    assert_eq!(names, ["c", "b", "z", "a"]);
}

/// Axes of which `test` has other points under each point of `train`.
fn nested(stages: &str) -> Workflow {
    let text = format!(
        "fuseline: 1\nname: trial\naxes:\n  test:\n    within: train\n    a: {{ b: {{ file: ab }}, \
         c: {{ file: ac }} }}\n    b: {{ c: {{ file: bc }} }}\n    c: []\n  train: [a, b, \
         c]\nstages:\n{stages}"
    );
    let checked = check_text(&text, &[]);
    let errors: Vec<_> = checked.diagnostics.iter().filter(|d| d.is_error()).cloned().collect();
    assert_eq!(render(&errors, &checked.files), "");
    checked.workflow.expect("a workflow")
}

#[test]
fn a_nested_axis_has_other_points_under_each_point_and_its_own_values_there() {
    let load = "uses: load.csv, with: { path: \"${{ test.file }}\", id: { column: 0 } }";
    let workflow = nested(&format!(
        "  raw: {{ over: [test, train], {load} }}\n  cohort: {{ uses: cohort.define, over: [train], \
         where: \"${{{{ train != 'c' }}}}\", inputs: {{ features: raw }}, with: {WITH} }}\n"
    ));
    let raw = &workflow.stages.raw[0];
    let label = |axis, coord| workflow.axes[axis].points[coord].label.as_str();
    let points: Vec<_> = raw
        .actions
        .keys()
        .map(|action| {
            let coords = raw.actions.coords(action).iter().zip(&raw.over);
            coords.map(|(coord, axis)| label(*axis, *coord)).collect::<Vec<_>>().concat()
        })
        .collect();
    // In declared order of the axes: test, then train.
    assert_eq!(points, ["ba", "ca", "cb"]);
    let files: Vec<_> = raw
        .actions
        .keys()
        .map(|action| raw.variants[raw.actions.variant(action)].options["path"].as_str())
        .map(|path| path.expect("a text").rsplit('/').next().expect("a name").to_owned())
        .collect();
    assert_eq!(files, ["ab", "ac", "bc"], "`c` has another file under `b` than under `a`");
    let source = &workflow.stages.raw[1].inputs.raw[0].sources[0];
    assert_eq!(producers(source), [&[0, 1][..], &[2]]);
}

#[test]
fn a_nested_axis_alone_has_each_of_its_points_once() {
    let workflow = nested("  raw: { uses: simulate.features, over: [test] }\n");
    assert_eq!(workflow.stages.raw[0].actions.len(), 2, "b and c");
}

#[test]
fn zipped_lists_give_points_that_carry_one_element_of_each() {
    let text = "fuseline: 1\nname: trial\nparams: { sizes: [10, 20] }\naxes:\n  setting: { zip: { \
                noise: [low, high], examples: \"${{ params.sizes }}\" } }\nstages:\n  raw: { uses: \
                simulate.features, over: [setting], with: { examples: \"${{ setting.examples }}\" } }\n";
    let checked = check_text(text, &[]);
    assert_eq!(render(&checked.diagnostics, &checked.files), "");
    let workflow = checked.workflow.expect("a workflow");
    let labels: Vec<_> =
        workflow.axes.raw[0].points.iter().map(|point| point.label.as_str()).collect();
    assert_eq!(labels, ["low-10", "high-20"]);
    let sizes: Vec<_> = workflow.stages.raw[0]
        .variants
        .iter()
        .map(|variant| variant.options["examples"].clone())
        .collect();
    assert_eq!(sizes, [10, 20]);
}

#[test]
fn an_option_that_only_some_members_have_is_left_out_for_the_others() {
    let text = |with: &str| {
        format!(
            "fuseline: 1\nname: trial\naxes:\n  quality:\n    margin: {{}}\n    aligned: {{ alpha: \
             0.5 }}\nstages:\n  raw: {{ uses: simulate.features }}\n  cohort: {{ uses: \
             cohort.define, inputs: {{ features: raw }}, with: {WITH} }}\n  folds: {{ uses: \
             split.group_kfold, inputs: {{ cohort: cohort }}, with: {{ folds: 2 }} }}\n  expert: {{ \
             uses: expert.logistic, inputs: {{ features: raw, cohort: cohort, folds: folds }}, with: \
             {{ test_fold: 0 }} }}\n  quality:\n    uses: quality.${{{{ quality }}}}\n    over: \
             [quality]\n    inputs: {{ evidence_train: expert.train, evidence_test: expert.test, \
             cohort: cohort }}\n    with: {{ alpha: \"{with}\" }}\n"
        )
    };
    for with in ["${{ quality.alpha }}", "${{ 0.5 if quality == 'aligned' else null }}"] {
        let checked = check_text(&text(with), &[]);
        let errors: Vec<_> = checked.diagnostics.iter().filter(|d| d.is_error()).cloned().collect();
        assert_eq!(render(&errors, &checked.files), "");
        let workflow = checked.workflow.expect("a workflow");
        let stage = workflow.stages.iter().find(|stage| stage.name == "quality");
        let options: Vec<_> = stage
            .expect("the stage")
            .variants
            .iter()
            .map(|variant| serde_json::to_string(&variant.options).expect("JSON"))
            .collect();
        assert_eq!(options, ["{}", "{\"alpha\":0.5}"], "{with}");
    }
    // A value is not left out for a kind that cannot take it.
    let checked = check_text(&text("${{ 0.5 }}"), &[]);
    assert!(
        checked.diagnostics.iter().any(|found| found.message.contains("has no option `alpha`"))
    );
}

#[test]
fn a_stage_may_have_a_seed_of_its_own_at_each_point() {
    let text = "fuseline: 1\nname: trial\nseed: 7\naxes: { seed: [1, 2] }\nstages:\n  raw: { uses: \
                simulate.features, over: [seed], seed: \"${{ seed }}\" }\n  plain: { uses: \
                simulate.features }\n";
    let checked = check_text(text, &[]);
    let workflow = checked.workflow.expect("a workflow");
    let seeds = |stage: usize| -> Vec<_> {
        workflow.stages.raw[stage].variants.iter().map(|variant| variant.seed).collect()
    };
    assert_eq!(seeds(0), [Some(1), Some(2)]);
    assert_eq!(seeds(1), [None]);
}
