//! `fuseline graph`: the workflow as a drawing.

use std::fmt::Write as _;

use fuseline_engine::{Depth, Plan, site};

use crate::args::{Graph, GraphFormat};
use crate::exit::{Exit, Failure};
use crate::print;
use crate::session::Session;

pub fn run(args: &Graph) -> Result<Exit, Failure> {
    let session = Session::open(&args.workflow)?;
    let plan = session.plan(Depth::Check, &[])?;
    let drawing = if args.expand { actions(&plan) } else { stages(&plan) };
    print::result(match args.format {
        GraphFormat::Dot => dot(&plan.workflow().name, &drawing),
        GraphFormat::Mermaid => mermaid(&drawing),
    });
    Ok(Exit::Done)
}

/// Nodes with their labels, and edges between node numbers.
struct Drawing {
    nodes: Vec<String>,
    edges: Vec<(usize, usize)>,
}

/// One node a stage, with its number of actions.
fn stages(plan: &Plan<'_>) -> Drawing {
    let stages = &plan.workflow().stages;
    let nodes = stages
        .iter()
        .map(|stage| match stage.actions.len() {
            1 => stage.name.clone(),
            actions => format!("{}\n{actions} actions", stage.name),
        })
        .collect();
    let mut edges: Vec<_> = stages
        .iter()
        .enumerate()
        .flat_map(|(to, stage)| {
            let sources = stage.inputs.iter().flat_map(|input| &input.sources);
            sources.map(move |source| (source.stage, to))
        })
        .collect();
    edges.sort_unstable();
    edges.dedup();
    Drawing { nodes, edges }
}

/// One node an action.
fn actions(plan: &Plan<'_>) -> Drawing {
    let count = plan.len() as u32;
    let nodes = (0..count).map(|action| {
        let (stage, _) = plan.stage_of(action);
        site(&plan.workflow().stages[stage].name, &plan.point(action))
    });
    let mut edges: Vec<_> = (0..count)
        .flat_map(|action| {
            plan.needs(action).into_iter().map(move |from| (from as usize, action as usize))
        })
        .collect();
    edges.sort_unstable();
    edges.dedup();
    Drawing { nodes: nodes.collect(), edges }
}

fn dot(name: &str, drawing: &Drawing) -> String {
    let mut text = format!("digraph {} {{\n  rankdir=LR;\n  node [shape=box];\n", quoted(name));
    // Writing to a string does not fail.
    for (number, label) in drawing.nodes.iter().enumerate() {
        let _ = writeln!(text, "  n{number} [label={}];", quoted(label));
    }
    for (from, to) in &drawing.edges {
        let _ = writeln!(text, "  n{from} -> n{to};");
    }
    text + "}\n"
}

fn mermaid(drawing: &Drawing) -> String {
    let mut text = "flowchart LR\n".to_owned();
    for (number, label) in drawing.nodes.iter().enumerate() {
        let label = label.replace('"', "#quot;").replace('\n', "<br>");
        let _ = writeln!(text, "  n{number}[\"{label}\"]");
    }
    for (from, to) in &drawing.edges {
        let _ = writeln!(text, "  n{from} --> n{to}");
    }
    text
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}
