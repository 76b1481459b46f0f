//! Hints beside the text: how many actions a stage has, how many are cached, what can be
//! done, and the graph.

use std::path::Path;

use lsp_types as lsp;
use serde_json::{Value, json};

use crate::checks::StageCounts;
use crate::project::{StageView, references};
use crate::server::View;
use crate::source::{Reference, Source, Word};

fn stages(source: &Source) -> impl Iterator<Item = StageView<'_>> {
    source.section("stages").iter().map(|entry| StageView { entry })
}

fn actions(count: usize) -> String {
    if count == 1 { "1 action".to_owned() } else { format!("{count} actions") }
}

/// The actions of a stage in a few words.
fn in_words(view: &View<'_>, counts: &[StageCounts], stage: &str) -> Option<String> {
    if let Some(found) = counts.iter().find(|found| found.stage == stage) {
        return Some(match found.cached {
            cached if cached == found.actions => format!("{}, cached", actions(found.actions)),
            0 => format!("{} to run", actions(found.actions)),
            cached => format!("{}, {cached} cached", actions(found.actions)),
        });
    }
    let workflow = view.project.checked.as_deref()?;
    let stage = workflow.stages.iter().find(|known| known.name == stage)?;
    Some(actions(stage.actions.len()))
}

/// The number of actions behind the name of each stage.
pub(crate) fn inlay_hints(
    view: &View<'_>,
    range: lsp::Range,
    counts: &[StageCounts],
) -> Vec<lsp::InlayHint> {
    let source = view.source();
    let hint = |stage: StageView<'_>| {
        let end = stage.entry.key_span.end + usize::from(stage.entry.has_colon);
        let position = source.lines.position(&source.text, end, view.encoding);
        if position.line < range.start.line || position.line > range.end.line {
            return None;
        }
        Some(lsp::InlayHint {
            position,
            label: lsp::InlayHintLabel::String(in_words(view, counts, stage.name())?),
            kind: None,
            text_edits: None,
            tooltip: None,
            padding_left: Some(true),
            padding_right: None,
            data: None,
        })
    };
    stages(source).filter_map(hint).collect()
}

/// `plan` and `run` above the workflow; `run` and `show` above each stage; `open` above the
/// outputs.
pub(crate) fn code_lenses(
    view: &View<'_>,
    root: &Path,
    counts: &[StageCounts],
) -> Vec<lsp::CodeLens> {
    let source = view.source();
    let file = root.display().to_string();
    let lens = |span: &std::ops::Range<usize>, title: String, command: &str, more: Vec<Value>| {
        let mut arguments = vec![Value::from(file.clone())];
        arguments.extend(more);
        let command = format!("fuseline.{command}");
        lsp::CodeLens {
            range: view.range(span),
            command: Some(lsp::Command { title, command, arguments: Some(arguments) }),
            data: None,
        }
    };
    let mut lenses = Vec::new();
    let entries = source.root.entries();
    if let Some(first) = entries.iter().find(|entry| entry.key == "stages") {
        let total = match counts.is_empty() {
            true => String::new(),
            false => {
                let left: usize = counts.iter().map(|found| found.actions - found.cached).sum();
                format!(" ({} to run)", actions(left))
            }
        };
        let span = &first.key_span;
        lenses.push(lens(span, format!("plan{total}"), "plan", Vec::new()));
        lenses.push(lens(span, "run".to_owned(), "run", Vec::new()));
        lenses.push(lens(span, "graph".to_owned(), "graph", Vec::new()));
    }
    for stage in stages(source) {
        let name = Value::from(stage.name());
        let span = &stage.entry.key_span;
        lenses.push(lens(span, "run".to_owned(), "run", vec![name.clone()]));
        lenses.push(lens(span, "show".to_owned(), "show", vec![name]));
    }
    if let Some(outputs) = entries.iter().find(|entry| entry.key == "outputs") {
        let files = outputs.value.entries().iter();
        for output in files.filter(|output| output.key.ends_with(".html")) {
            let name = source.root.get("name").and_then(|name| name.scalar());
            let name = name.map(|scalar| scalar.text.clone()).unwrap_or_default();
            let more = vec![Value::from(format!("{name}/{}", output.key))];
            lenses.push(lens(&output.key_span, "open".to_owned(), "open", more));
        }
    }
    lenses
}

/// The graph of stages: nodes with their places and counts, and edges by their ports.
pub(crate) fn graph(view: &View<'_>, counts: &[StageCounts]) -> Value {
    let project = &view.project;
    let mut nodes = Vec::new();
    let mut edges = Vec::new();
    for file in &project.files {
        for stage in stages(file) {
            let found = counts.iter().find(|found| found.stage == stage.name());
            let range = file.range(&stage.entry.extent(), view.encoding);
            let over: Vec<_> = stage.over().iter().map(|axis| axis.text.to_owned()).collect();
            nodes.push(json!({
                "name": stage.name(),
                "uses": stage.uses().map(|uses| &uses.text),
                "over": over,
                "actions": in_words(view, counts, stage.name()),
                "cached": found.map(|found| found.cached),
                "count": found.map(|found| found.actions),
                "uri": crate::uri::from_path(&file.path),
                "range": range,
            }));
            for input in stage.inputs() {
                for scalar in references(&input.value) {
                    let from = Reference::read(scalar).stage;
                    edges.push(json!({
                        "from": from.text,
                        "to": stage.name(),
                        "port": Word::key(input).text,
                    }));
                }
            }
        }
    }
    json!({ "nodes": nodes, "edges": edges })
}
