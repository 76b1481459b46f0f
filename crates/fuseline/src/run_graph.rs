//! Stages of a run and what flows between them, in `cache/runs/ID/graph.json`: what a page or a
//! program draws while the run goes on, without its workflow.

use std::collections::BTreeSet;

use fuseline_cache::Cache;
use fuseline_engine::Plan;
use fuseline_workflow::{Files, OutputIndex, StageIndex};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::run_context::RunContext;

/// The file's name in the folder of a run.
pub(crate) const GRAPH_FILE: &str = "graph.json";
/// The form that is written, and the only one that is read.
const FORMAT: u32 = 1;

/// Stages of a run, in the order of the workflow.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunGraph {
    format: u32,
    /// The stages.
    pub stages: Vec<GraphStage>,
}

/// A stage in the graph of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GraphStage {
    /// Its name.
    pub name: String,
    /// Its stage kinds, each once: several where `uses` depends on an axis.
    pub kinds: Vec<String>,
    /// The names of its axes.
    pub axes: Vec<String>,
    /// Edges that it reads.
    pub reads: Vec<GraphEdge>,
    /// Params of the workflow that its options name: param and option. Params that an axis or
    /// another param names are none of them.
    #[serde(default)]
    pub params: Vec<(String, String)>,
}

/// An output that a stage reads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GraphEdge {
    /// The stage that makes it, by its place among the stages.
    pub stage: usize,
    /// The output port.
    pub output: String,
    /// The input port.
    pub input: String,
}

impl RunGraph {
    /// The graph of a plan.
    pub(crate) fn of_plan(plan: &Plan<'_>, files: &Files) -> Self {
        let workflow = plan.workflow();
        let stages = workflow.stages.iter_enumerated().map(|(number, stage)| {
            let reads = stage.inputs.iter().flat_map(|input| {
                input.sources.iter().map(|source| GraphEdge {
                    stage: source.stage.into(),
                    output: output_name(plan, source.stage, source.output),
                    input: input.port.clone(),
                })
            });
            let axes = stage.over.iter().map(|&axis| workflow.axes[axis].name.clone());
            GraphStage {
                name: stage.name.clone(),
                kinds: plan.kinds_of(number).into_iter().map(str::to_owned).collect(),
                axes: axes.collect(),
                reads: reads.collect::<BTreeSet<_>>().into_iter().collect(),
                params: params_used(plan, number, files),
            }
        });
        Self { format: FORMAT, stages: stages.collect() }
    }

    pub(crate) fn encode(&self) -> Result<Vec<u8>, Error> {
        serde_json::to_vec(self).map_err(Error::failed)
    }

    /// The graph of a run, while it goes on and afterwards. A run that found all as it was has
    /// written none: it is then that of its provenance, which knows no params. `None` when neither
    /// is there, or another version wrote it.
    pub fn read(cache: &Cache, run: &str) -> Result<Option<Self>, Error> {
        let written = cache.read_run_file(run, GRAPH_FILE)?;
        let graph = written.and_then(|bytes| serde_json::from_slice::<Self>(&bytes).ok());
        if let Some(graph) = graph.filter(|graph| graph.format == FORMAT && graph.is_sound()) {
            return Ok(Some(graph));
        }
        let Ok(context) = RunContext::read(cache, run) else { return Ok(None) };
        let provenance = &context.provenance;
        let place = |name: &str| provenance.stages.iter().position(|(known, ..)| known == name);
        let stages =
            provenance.stages.iter().enumerate().map(|(number, (name, kind, _))| GraphStage {
                name: name.clone(),
                kinds: vec![kind.clone()],
                axes: provenance.stage_axes.get(number).cloned().unwrap_or_default(),
                reads: Vec::new(),
                params: Vec::new(),
            });
        let mut stages: Vec<_> = stages.collect();
        for (from, output, to, input) in &provenance.ports {
            if let (Some(stage), Some(to)) = (place(from), place(to)) {
                let (output, input) = (output.clone(), input.clone());
                stages[to].reads.push(GraphEdge { stage, output, input });
            }
        }
        // Provenance of before ports were noted has edges between stages alone.
        for (from, to) in provenance.edges.iter().filter(|_| provenance.ports.is_empty()) {
            if let (Some(stage), Some(to)) = (place(from), place(to)) {
                let (output, input) = (String::new(), String::new());
                stages[to].reads.push(GraphEdge { stage, output, input });
            }
        }
        Ok(Some(Self { format: FORMAT, stages }))
    }

    /// True if every edge begins at a stage.
    fn is_sound(&self) -> bool {
        let edges = self.stages.iter().flat_map(|stage| &stage.reads);
        edges.into_iter().all(|edge| edge.stage < self.stages.len())
    }
}

/// The params that the options of a stage name in their expressions.
fn params_used(plan: &Plan<'_>, stage: StageIndex, files: &Files) -> Vec<(String, String)> {
    let workflow = plan.workflow();
    let mut used = BTreeSet::new();
    // All variants are written in one place.
    let variants = &workflow.stages[stage].variants;
    let mut options: Vec<&String> = Vec::new();
    for option in variants.iter().flat_map(|variant| variant.options.keys()) {
        if !options.contains(&option) {
            options.push(option);
        }
    }
    if let Some(variant) = variants.first() {
        for option in options {
            let place = variant.places.place(option);
            let Some(text) = files.text(place.file).get(place.span.clone()) else { continue };
            for (param, _) in &workflow.params {
                let is_named = text.match_indices("params.").any(|(at, dot)| {
                    let rest = &text[at + dot.len()..];
                    rest.strip_prefix(param.as_str()).is_some_and(|after| {
                        !after.starts_with(|next: char| next.is_alphanumeric() || next == '_')
                    })
                });
                if is_named {
                    used.insert((param.clone(), option.clone()));
                }
            }
        }
    }
    used.into_iter().collect()
}

fn output_name(plan: &Plan<'_>, stage: StageIndex, output: OutputIndex) -> String {
    let outputs = &plan.workflow().stages[stage].outputs;
    outputs.get(output).map(|port| port.name.clone()).unwrap_or_default()
}
