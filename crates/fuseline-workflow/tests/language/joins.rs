//! Joins of inputs over axes.

use fuseline_workflow::{InputSource, Workflow};

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
    let source = workflow.stages[1].inputs[0].sources[0].clone();
    (workflow, source)
}

/// The producers of each action of the consumer.
fn producers(source: &InputSource) -> Vec<&[u32]> {
    source.group_of.iter().map(|group| source.groups.get(*group)).collect()
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
    assert_eq!(workflow.stages[1].actions.coords(2), [2, 1]);
}

#[test]
fn several_references_are_several_sources_in_the_order_written() {
    let workflow = workflow(&format!(
        "  a: {{ uses: simulate.features }}\n  b: {{ uses: simulate.features, over: [fold] \
         }}\n  cohort: {{ uses: cohort.define, inputs: {{ features: [b, a] }}, with: {WITH} }}\n"
    ));
    let sources = &workflow.stages[2].inputs[0].sources;
    let stages: Vec<_> = sources.iter().map(|source| source.stage).collect();
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
