//! Builds a plan: reads every variant's options, keys what its actions share, and joins the actions
//! into a graph.

use std::collections::BTreeSet;

use fuseline_host::Conditions;
use fuseline_workflow::{Diagnostic, Severity, Stage, Variant, Workflow};
use petgraph::graph::{DiGraph, NodeIndex};
use rayon::prelude::*;

use crate::installed::Installation;
use crate::key::KeyWriter;
use crate::kind::{CheckSite, Kind, Kinds, Problem};
use crate::plan::{A_POOLS_WORTH, ActionId, Plan, PlannedInput, PlannedStage, PlannedVariant};
use crate::services::Services;
use crate::{codes, conditions, leakage, plan_check};

/// Extent of the build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Everything that can be said without reading source files through: for `check`.
    Check,
    /// Ready to look actions up and to run them.
    Key,
}

impl<'a> Plan<'a> {
    /// Plans a checked workflow. `only`: stages to restrict the plan to, with what they need; empty
    /// means all.
    ///
    /// Errors are diagnostics, each at its place, all of them at once.
    pub fn build(
        workflow: &'a Workflow,
        kinds: &'a Kinds,
        services: &Services,
        depth: Depth,
        only: &[usize],
    ) -> Result<Self, Vec<Diagnostic>> {
        let wanted = wanted(workflow, only);
        let mut diagnostics = Vec::new();
        let (mut actions, mut outputs, mut whole) = (0, 0, true);
        let mut stages = Vec::with_capacity(workflow.stages.len());
        for (stage, wanted) in workflow.stages.iter().zip(wanted) {
            let prepare = |variant| prepare(workflow, stage, variant, kinds, services, depth);
            let prepared: Vec<_> = match stage.variants.len() {
                A_POOLS_WORTH.. => stage.variants.par_iter().map(prepare).collect(),
                _ => stage.variants.iter().map(prepare).collect(),
            };
            let mut variants = Vec::with_capacity(prepared.len());
            for (variant, (prepared, problems)) in stage.variants.iter().zip(prepared) {
                variants.extend(prepared);
                diagnostics.extend(problems.into_iter().map(|problem| {
                    diagnostic(variant, &kinds.get(variant.kind).spec.name, problem)
                }));
            }
            whole &= variants.len() == stage.variants.len();
            // Ports are declared with artifact kinds, so every name is that of one.
            let ports: Vec<_> = stage
                .outputs
                .iter()
                .filter_map(|port| Some((port.name.clone(), port.artifact.parse().ok()?)))
                .collect();
            let width = ports.len();
            stages.push(PlannedStage {
                first: actions,
                first_output: outputs,
                outputs: ports.into(),
                variants,
                wanted,
            });
            actions += stage.actions.len() as ActionId;
            outputs += stage.actions.len() * width;
        }
        if whole {
            let graph = join(workflow, &stages, actions);
            let warnings = Vec::new();
            let isolation = services.isolation;
            let conditions = Conditions {
                python: workflow.python.as_ref().map(conditions::sourced),
                ..Conditions::default()
            };
            let installation = Installation::new(&services.plugins, &conditions);
            let mut plan = Self {
                workflow,
                kinds,
                stages,
                graph,
                actions,
                outputs,
                isolation,
                installation,
                warnings,
            };
            // Wrong options do not keep other mistakes from being reported, but for leaks that may
            // follow.
            let is_sound = diagnostics.is_empty();
            let leaks = if is_sound { leakage::guard(&plan) } else { Vec::new() };
            let found = plan_check::check(&plan, services);
            diagnostics.extend(found.diagnostics);
            diagnostics.extend(leaks);
            if !diagnostics.iter().any(Diagnostic::is_error) {
                diagnostics.extend(found.may_follow);
            }
            if !diagnostics.iter().any(Diagnostic::is_error) {
                plan.warnings = diagnostics;
                return Ok(plan);
            }
        }
        // Warnings are reported when everything else is right.
        diagnostics.retain(Diagnostic::is_error);
        say_once(&mut diagnostics);
        Err(diagnostics)
    }
}

/// Drops duplicate diagnostics: of options of several points that are written in one place, and of
/// a file that is missing in several.
fn say_once(diagnostics: &mut Vec<Diagnostic>) {
    let mut said = BTreeSet::new();
    diagnostics.retain(|found| {
        let place = (found.code != codes::MISSING_FILE).then(|| found.place.clone());
        said.insert((place.map(|place| place.order()), found.message.clone()))
    });
}

/// Marks the stages of `only` and everything they need; all when `only` is empty.
fn wanted(workflow: &Workflow, only: &[usize]) -> Vec<bool> {
    let mut wanted = vec![only.is_empty(); workflow.stages.len()];
    for &stage in only {
        wanted[stage] = true;
    }
    // Stages are in topological order, so one pass from the end reaches every ancestor.
    for stage in (0..workflow.stages.len()).rev().filter(|_| !only.is_empty()) {
        if wanted[stage] {
            for source in workflow.stages[stage].inputs.iter().flat_map(|input| &input.sources) {
                wanted[source.stage] = true;
            }
        }
    }
    wanted
}

fn prepare(
    workflow: &Workflow,
    stage: &Stage,
    variant: &Variant,
    kinds: &Kinds,
    services: &Services,
    depth: Depth,
) -> (Option<PlannedVariant>, Vec<Problem>) {
    let kind: &Kind = kinds.get(variant.kind);
    let prepared = match (kind.prepare)(&variant.options) {
        Ok(prepared) => prepared,
        Err(problem) => return (None, vec![problem]),
    };
    let named = stage.inputs.iter().map(|input| input.port.as_str()).collect();
    let stated = conditions::isolation(workflow, &stage.execution);
    let mut site = CheckSite::new(services, named);
    site.isolation = services.isolation.or(stated).unwrap_or_default();
    site.conditions = conditions::conditions(workflow, &stage.execution);
    prepared.check(&mut site);
    let is_check = depth == Depth::Check;
    let seed = variant.seed.unwrap_or(workflow.seed);
    let passed = site.conditions.passed.clone();
    let path_params = &workflow.path_params;
    let mut writer = KeyWriter::new(kind, services, seed, path_params, &passed, is_check);
    prepared.key(&mut writer);
    let part = writer.finish();
    let mut problems = site.problems;
    problems.extend(part.problems);
    let ports = variant.declared.as_ref().map_or(&kind.spec.inputs, |declared| &declared.inputs);
    let inputs = ports
        .iter()
        .filter(|port| port.read)
        .filter_map(|port| {
            let input = stage.inputs.iter().position(|input| input.port == port.name)?;
            let many = port.arity == fuseline_workflow::Arity::Many;
            Some(PlannedInput { port: port.name.clone(), input, many })
        })
        .collect();
    let planned = PlannedVariant {
        kind: variant.kind,
        stage: prepared,
        key: part.bytes.into(),
        files: part.files,
        seed,
        inputs,
        interpreter: site.interpreter,
    };
    (Some(planned), problems)
}

fn diagnostic(variant: &Variant, kind: &str, problem: Problem) -> Diagnostic {
    use fuseline_workflow::codes::{MISSING_OPTION, OPTION_TYPE, OPTION_VALUE, options_advice};
    let is_of_option = [MISSING_OPTION, OPTION_TYPE, OPTION_VALUE].contains(&problem.code);
    Diagnostic {
        code: problem.code,
        severity: Severity::Error,
        message: problem.message,
        place: variant.places.place(&problem.option),
        label: None,
        hint: problem.hint.or_else(|| is_of_option.then(|| options_advice(kind))),
        related: Vec::new(),
        fix: None,
    }
}

/// The graph: an edge from each producer to its consumer, by way of a gather where a set of
/// producers is shared.
fn join(
    workflow: &Workflow,
    stages: &[PlannedStage],
    actions: ActionId,
) -> DiGraph<(), (), ActionId> {
    let mut graph = DiGraph::with_capacity(actions as usize, actions as usize);
    for _ in 0..actions {
        graph.add_node(());
    }
    let node = |action: ActionId| NodeIndex::new(action as usize);
    for (stage, planned) in workflow.stages.iter().zip(stages) {
        for source in stage.inputs.iter().flat_map(|input| &input.sources) {
            let producer = stages[source.stage].first;
            let mut gathers = vec![None; source.groups.len()];
            for (index, &group) in source.group_of.iter().enumerate() {
                if group == u32::MAX {
                    continue;
                }
                let consumer = node(planned.first + index as ActionId);
                match source.groups.get(group) {
                    [] => {}
                    [only] => {
                        graph.add_edge(node(producer + only), consumer, ());
                    }
                    members => {
                        let gather = *gathers[group as usize].get_or_insert_with(|| {
                            let gather = graph.add_node(());
                            for member in members {
                                graph.add_edge(node(producer + member), gather, ());
                            }
                            gather
                        });
                        graph.add_edge(gather, consumer, ());
                    }
                }
            }
        }
    }
    graph
}
