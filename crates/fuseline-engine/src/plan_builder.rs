//! Builds a plan: reads every variant's options, keys what its actions share, and joins the actions
//! into a graph.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use fuseline_host::{Conditions, Isolation};
use fuseline_workflow::{
    ActionIndex, Diagnostic, Fix, GroupIndex, IndexVec, KindIndex, OutputIndex, Stage, StageIndex,
    Variant, Workflow,
};
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
        only: &[StageIndex],
    ) -> Result<Self, Vec<Diagnostic>> {
        let wanted = wanted(workflow, only);
        let mut diagnostics = Vec::new();
        let (mut outputs, mut whole) = (0, true);
        let mut stages = IndexVec::new();
        let mut stage_of_action: IndexVec<ActionId, _> = IndexVec::new();
        for ((number, stage), wanted) in workflow.stages.iter_enumerated().zip(wanted) {
            let context = StageContext::new(workflow, stage, kinds, services, depth);
            let prepare = |bytes: &mut Vec<u8>, variant| context.prepare(variant, bytes);
            let prepared: Vec<_> = match stage.variants.len() {
                A_POOLS_WORTH.. => {
                    stage.variants.raw.par_iter().map_init(Vec::new, prepare).collect()
                }
                _ => {
                    let bytes = &mut Vec::new();
                    stage.variants.iter().map(|variant| prepare(bytes, variant)).collect()
                }
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
            let ports: IndexVec<OutputIndex, _> = stage
                .outputs
                .iter()
                .filter_map(|port| Some((port.name.clone(), port.artifact.parse().ok()?)))
                .collect();
            let width = ports.len();
            stages.push(PlannedStage {
                first: stage_of_action.next_key(),
                first_output: outputs.into(),
                outputs: ports,
                variants: variants.into(),
                wanted,
            });
            stage_of_action.raw.extend(stage.actions.keys().map(|_| number));
            outputs += stage.actions.len() * width;
        }
        if whole {
            let graph = join(workflow, &stages, stage_of_action.len());
            let (warnings, doubts) = (Vec::new(), Vec::new());
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
                stage_of_action,
                graph,
                outputs,
                isolation,
                installation,
                warnings,
                doubts,
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
                (plan.warnings, plan.doubts) = (diagnostics, found.doubts);
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
/// a file or an interpreter that is missing in several.
fn say_once(diagnostics: &mut Vec<Diagnostic>) {
    let mut said = BTreeSet::new();
    diagnostics.retain(|found| {
        let is_shared = [codes::MISSING_FILE, codes::MISSING_INTERPRETER].contains(&found.code);
        let place = (!is_shared).then(|| found.place.clone());
        said.insert((place.map(|place| place.order()), found.message.clone()))
    });
}

/// Marks the stages of `only` and everything they need; all when `only` is empty.
pub(crate) fn wanted(workflow: &Workflow, only: &[StageIndex]) -> IndexVec<StageIndex, bool> {
    let mut wanted: IndexVec<_, _> = vec![only.is_empty(); workflow.stages.len()].into();
    for &stage in only {
        wanted[stage] = true;
    }
    // Stages are in topological order, so one pass from the end reaches every ancestor.
    for stage in workflow.stages.keys().rev().filter(|_| !only.is_empty()) {
        if wanted[stage] {
            for source in workflow.stages[stage].inputs.iter().flat_map(|input| &input.sources) {
                wanted[source.stage] = true;
            }
        }
    }
    wanted
}

/// Parts of a stage that all of its variants share while they are prepared.
struct StageContext<'a> {
    workflow: &'a Workflow,
    kinds: &'a Kinds,
    services: &'a Services,
    depth: Depth,
    /// The inputs that the stage names.
    inputs: Vec<&'a str>,
    isolation: Isolation,
    conditions: Conditions,
    /// The inputs that are read, by kind; the ports that a stage declares are those of its kind.
    read: Vec<(KindIndex, Arc<[PlannedInput]>)>,
}

impl<'a> StageContext<'a> {
    fn new(
        workflow: &'a Workflow,
        stage: &'a Stage,
        kinds: &'a Kinds,
        services: &'a Services,
        depth: Depth,
    ) -> Self {
        let stated = conditions::isolation(workflow, &stage.execution);
        let mut read: Vec<(KindIndex, Arc<[PlannedInput]>)> = Vec::new();
        for variant in &stage.variants {
            if read.iter().all(|(kind, _)| *kind != variant.kind) {
                read.push((variant.kind, inputs_read(stage, variant, kinds)));
            }
        }
        Self {
            workflow,
            kinds,
            services,
            depth,
            inputs: stage.inputs.iter().map(|input| input.port.as_str()).collect(),
            isolation: services.isolation.or(stated).unwrap_or_default(),
            conditions: conditions::conditions(workflow, &stage.execution),
            read,
        }
    }

    /// Reads the options of a variant, and keys them. `bytes`: buffer of the key.
    fn prepare(
        &self,
        variant: &Variant,
        bytes: &mut Vec<u8>,
    ) -> (Option<PlannedVariant>, Vec<Problem>) {
        let Self { workflow, services, .. } = *self;
        let kind: &Kind = self.kinds.get(variant.kind);
        let prepared = match (kind.prepare)(&variant.options) {
            Ok(prepared) => prepared,
            Err(problem) => return (None, vec![problem]),
        };
        let mut site = CheckSite::new(services, &self.inputs);
        site.isolation = self.isolation;
        site.conditions = Cow::Borrowed(&self.conditions);
        prepared.check(&mut site);
        let is_check = self.depth == Depth::Check;
        let seed = variant.seed.unwrap_or(workflow.seed);
        let buffer = std::mem::take(bytes);
        let (paths, passed) = (&workflow.path_params, &self.conditions.passed);
        let mut writer = KeyWriter::new(kind, services, seed, paths, passed, is_check, buffer);
        prepared.key(&mut writer);
        let part = writer.finish();
        let mut problems = site.problems;
        problems.extend(part.problems);
        let key = part.bytes.as_slice().into();
        *bytes = part.bytes;
        let read = self.read.iter().find(|(kind, _)| *kind == variant.kind);
        let inputs = read.map_or_else(Default::default, |(_, read)| {
            let leaves = |input: &PlannedInput| prepared.leaves_unread(&input.port);
            match read.iter().any(leaves) {
                true => read.iter().filter(|input| !leaves(input)).cloned().collect(),
                false => Arc::clone(read),
            }
        });
        let planned = PlannedVariant {
            kind: variant.kind,
            stage: prepared,
            key,
            files: part.files,
            seed,
            rule: part.rule,
            inputs,
            interpreter: site.interpreter,
        };
        (Some(planned), problems)
    }
}

/// The inputs of a stage that the kind of a variant reads, in the order of its ports.
fn inputs_read(stage: &Stage, variant: &Variant, kinds: &Kinds) -> Arc<[PlannedInput]> {
    let declared = variant.declared.as_ref();
    let ports = declared.map_or(&kinds.get(variant.kind).spec.inputs, |declared| &declared.inputs);
    let read = ports.iter().filter(|port| port.read).filter_map(|port| {
        let input = stage.inputs.position(|input| input.port == port.name)?;
        let many = port.arity == fuseline_workflow::Arity::Many;
        Some(PlannedInput { port: port.name.clone(), input, many })
    });
    read.collect()
}

fn diagnostic(variant: &Variant, kind: &str, problem: Problem) -> Diagnostic {
    use fuseline_workflow::codes::{MISSING_OPTION, OPTION_TYPE, OPTION_VALUE, options_advice};
    let is_of_option = [MISSING_OPTION, OPTION_TYPE, OPTION_VALUE].contains(&problem.code);
    let place = match problem.at_key {
        true => variant.places.key_place(&problem.option),
        false => variant.places.place(&problem.option),
    };
    let hint = problem.hint.or_else(|| is_of_option.then(|| options_advice(kind)));
    Diagnostic::error(problem.code, &place, problem.message)
        .hint(hint)
        .fix(problem.meant.map(|word| Fix::word(&word.0, &word.1, &place)))
}

/// The graph: an edge from each producer to its consumer, by way of a gather where a set of
/// producers is shared.
fn join(
    workflow: &Workflow,
    stages: &IndexVec<StageIndex, PlannedStage>,
    actions: usize,
) -> DiGraph<(), (), u32> {
    let mut graph = DiGraph::with_capacity(actions, actions);
    for _ in 0..actions {
        graph.add_node(());
    }
    let node = |first: ActionId, index: ActionIndex| {
        NodeIndex::new(usize::from(first) + usize::from(index))
    };
    for (stage, planned) in workflow.stages.iter().zip(stages) {
        for source in stage.inputs.iter().flat_map(|input| &input.sources) {
            let producer = stages[source.stage].first;
            let mut gathers: IndexVec<GroupIndex, _> = vec![None; source.groups.len()].into();
            for (index, &group) in source.group_of.iter_enumerated() {
                let Some(group) = group else { continue };
                let consumer = node(planned.first, index);
                match source.groups.get(group) {
                    [] => {}
                    [only] => {
                        graph.add_edge(node(producer, *only), consumer, ());
                    }
                    members => {
                        let gather = *gathers[group].get_or_insert_with(|| {
                            let gather = graph.add_node(());
                            for member in members {
                                graph.add_edge(node(producer, *member), gather, ());
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
