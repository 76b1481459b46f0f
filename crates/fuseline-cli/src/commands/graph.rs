//! `fuseline graph`: the workflow as a drawing.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use clap::ValueEnum;
use fuseline::{ActionId, Plan, cache_if_exists, inspect};

use crate::args::{CacheArgs, RemoteArgs, WorkflowArgs};
use crate::exit::{Exit, Failure};
use crate::{print, remote, render};

mod svg;

/// Arguments of `graph`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  fuseline graph workflow.yaml > graph.svg
  fuseline graph workflow.yaml --format dot | dot -Tpdf > graph.pdf
  fuseline graph workflow.yaml --format mermaid        for GitHub and Jupyter
  fuseline graph workflow.yaml --expand                one node an action")]
pub struct Args {
    #[command(flatten)]
    pub workflow: WorkflowArgs,
    #[command(flatten)]
    pub cache: CacheArgs,
    #[command(flatten)]
    pub remote: RemoteArgs,
    /// The language of the drawing
    #[arg(long, value_enum, default_value_t)]
    pub format: GraphFormat,
    /// One node an action instead of one a stage
    #[arg(long)]
    pub expand: bool,
}

/// The language of a drawing.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Default)]
pub enum GraphFormat {
    /// A picture for browsers and papers
    #[default]
    Svg,
    /// Graphviz
    Dot,
    /// Mermaid, as GitHub and Jupyter draw it
    Mermaid,
}

pub fn run(args: &Args) -> Result<Exit, Failure> {
    let study = args.workflow.study().open()?;
    let settings = args.remote.settings_for(args.workflow.folder())?;
    let cache = cache_if_exists(args.cache.folder_for(args.workflow.folder())?)?;
    let (cache, _stand_in) = remote::with_stand_in(cache, settings.as_ref())?;
    // Without a cache nothing is cached, and source files need not be read through.
    let plan = if cache.is_some() { study.plan(&[])? } else { study.plan_without_keys()? };
    render::diagnostics(&study.warnings(&plan), study.files());
    let (cache, remote) = remote::attach(cache, settings.as_ref(), &plan.workflow().name)?;
    let mut cached = BTreeSet::new();
    if cache.is_some() {
        for preview in inspect(&plan, cache.as_ref())?.actions {
            cached.extend(preview.is_cached().then_some(preview.action));
        }
    }
    remote::finish(remote.as_deref());
    let drawing = if args.expand { actions(&plan, &cached) } else { stages(&plan, &cached) };
    print::data(match args.format {
        GraphFormat::Svg => svg::draw(&plan.workflow().name, &drawing),
        GraphFormat::Dot => dot(&plan.workflow().name, &drawing),
        GraphFormat::Mermaid => mermaid(&drawing),
    });
    Ok(Exit::Done)
}

/// Share of a node's actions that are in the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cached {
    None,
    Some,
    All,
}

/// One stage, or one action.
struct Node {
    lines: Vec<String>,
    cached: Cached,
}

/// Nodes, and edges between node numbers; producers come before consumers.
struct Drawing {
    nodes: Vec<Node>,
    edges: Vec<(usize, usize)>,
}

/// One node a stage, with its number of actions and how many of them are cached.
fn stages(plan: &Plan<'_>, cached: &BTreeSet<ActionId>) -> Drawing {
    let stages = &plan.workflow().stages;
    let nodes = stages.iter_enumerated().map(|(number, stage)| {
        let actions = plan.actions_of(number);
        let count = actions.len();
        let cached = actions.filter(|action| cached.contains(action)).count();
        let plural = if count == 1 { "" } else { "s" };
        Node {
            lines: vec![stage.name.clone(), format!("{count} action{plural}, {cached} cached")],
            cached: match cached {
                0 => Cached::None,
                all if all == count => Cached::All,
                _ => Cached::Some,
            },
        }
    });
    let mut edges: Vec<_> = stages
        .iter()
        .enumerate()
        .flat_map(|(to, stage)| {
            let sources = stage.inputs.iter().flat_map(|input| &input.sources);
            sources.map(move |source| (source.stage.into(), to))
        })
        .collect();
    edges.sort_unstable();
    edges.dedup();
    Drawing { nodes: nodes.collect(), edges }
}

/// One node an action.
fn actions(plan: &Plan<'_>, cached: &BTreeSet<ActionId>) -> Drawing {
    let nodes = plan.actions().map(|action| {
        let cached = if cached.contains(&action) { Cached::All } else { Cached::None };
        Node { lines: vec![plan.action_label(action)], cached }
    });
    let mut edges: Vec<_> = plan
        .actions()
        .flat_map(|action| {
            plan.needs(action).into_iter().map(move |from| (from.into(), action.into()))
        })
        .collect();
    edges.sort_unstable();
    edges.dedup();
    Drawing { nodes: nodes.collect(), edges }
}

/// Cached nodes are filled, partly cached nodes are pale.
fn fill(cached: Cached) -> &'static str {
    match cached {
        Cached::None => "#ffffff",
        Cached::Some => "#eef5ee",
        Cached::All => "#cfe6cf",
    }
}

fn dot(name: &str, drawing: &Drawing) -> String {
    let mut text = format!(
        "digraph {} {{\n  rankdir=LR;\n  node [shape=box, style=\"rounded,filled\"];\n",
        quoted(name)
    );
    // Writing to a string does not fail.
    for (number, node) in drawing.nodes.iter().enumerate() {
        let (label, fill) = (quoted(&node.lines.join("\n")), fill(node.cached));
        let _ = writeln!(text, "  n{number} [label={label}, fillcolor=\"{fill}\"];");
    }
    for (from, to) in &drawing.edges {
        let _ = writeln!(text, "  n{from} -> n{to};");
    }
    text + "}\n"
}

fn mermaid(drawing: &Drawing) -> String {
    let mut text = "flowchart LR\n".to_owned();
    for (number, node) in drawing.nodes.iter().enumerate() {
        let label = node.lines.join("\n").replace('"', "#quot;").replace('\n', "<br>");
        let _ = writeln!(text, "  n{number}[\"{label}\"]");
    }
    for (from, to) in &drawing.edges {
        let _ = writeln!(text, "  n{from} --> n{to}");
    }
    for (class, cached) in [("some", Cached::Some), ("all", Cached::All)] {
        let of: Vec<String> = (0..drawing.nodes.len())
            .filter(|&number| drawing.nodes[number].cached == cached)
            .map(|number| format!("n{number}"))
            .collect();
        if !of.is_empty() {
            let _ = writeln!(text, "  classDef {class} fill:{}", fill(cached));
            let _ = writeln!(text, "  class {} {class}", of.join(","));
        }
    }
    text
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}
