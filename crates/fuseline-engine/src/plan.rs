//! The graph of actions of one invocation.
//!
//! Immutable once built; `plan_builder` is its only mutator. Node `i` of the graph is action `i`;
//! the nodes after the last action are gathers: sets of producers that several actions consume
//! alike, so that an all-to-all join of n producers and m consumers costs n + m edges and not n *
//! m.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fuseline_artifact::{ArtifactKind, Digest};
use fuseline_host::{Interpreter, Isolation};
use fuseline_workflow::{Diagnostic, InputPort, InputSource, Stage, Workflow};
use petgraph::graph::{DiGraph, NodeIndex};

use crate::inputs::Point;
use crate::installed::Installation;
use crate::kind::{Kinds, PreparedStage};

/// Number of variants or actions from which work is done on several threads.
pub(crate) const A_POOLS_WORTH: usize = 512;

/// An action's number in its plan.
pub type ActionId = u32;

/// The graph of actions of one invocation.
pub struct Plan<'a> {
    pub(crate) workflow: &'a Workflow,
    pub(crate) kinds: &'a Kinds,
    pub(crate) stages: Vec<PlannedStage>,
    /// The stage of each action.
    pub(crate) stage_of_action: Vec<u32>,
    pub(crate) graph: DiGraph<(), (), ActionId>,
    pub(crate) actions: ActionId,
    /// Outputs of all actions together.
    pub(crate) outputs: usize,
    /// Isolation of rules that the invocation states.
    pub(crate) isolation: Option<Isolation>,
    /// Software here that discovered inputs stand for.
    pub(crate) installation: Installation,
    pub(crate) warnings: Vec<Diagnostic>,
}

/// One stage of the plan.
pub(crate) struct PlannedStage {
    /// The first of its actions; the others follow.
    pub first: ActionId,
    /// Index of its first action's outputs in the table of digests.
    pub first_output: usize,
    /// Its output ports.
    pub outputs: Arc<[(String, ArtifactKind)]>,
    pub variants: Vec<PlannedVariant>,
    /// True if this invocation wants the stage (`--only` may leave it out).
    pub wanted: bool,
}

/// A stage with one choice of options: what its actions share.
pub(crate) struct PlannedVariant {
    pub kind: usize,
    pub stage: Arc<dyn PreparedStage>,
    /// The fields of a key that the actions share, encoded.
    pub key: Box<[u8]>,
    pub files: Vec<(PathBuf, Digest)>,
    /// The seed of what it draws: the stage's own, or the workflow's.
    pub seed: u64,
    /// The fusion rule that its key names.
    pub rule: Option<Box<PlannedRule>>,
    /// The inputs that the kind reads, in the kind's order.
    pub inputs: Arc<[PlannedInput]>,
    /// The interpreter that its rule or program needs.
    pub interpreter: Option<Interpreter>,
}

/// A fusion rule that a key names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PlannedRule {
    /// Its id.
    pub id: String,
    /// Digest of its plugin.
    pub digest: Digest,
}

/// An input that a stage kind reads.
#[derive(Clone)]
pub(crate) struct PlannedInput {
    pub port: String,
    /// Index of the input in its stage.
    pub input: usize,
    /// True if the port gathers.
    pub many: bool,
}

/// A producer of one input of an action.
pub(crate) struct Producer<'a> {
    pub source: &'a InputSource,
    pub action: ActionId,
    /// Its index within its stage.
    pub index: u32,
}

impl<'a> Plan<'a> {
    /// The workflow.
    pub fn workflow(&self) -> &'a Workflow {
        self.workflow
    }

    /// Software on this machine that discovered inputs stand for.
    pub fn installation(&self) -> &Installation {
        &self.installation
    }

    /// Warnings: likely mistakes, though the plan can run.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    /// Number of actions.
    pub fn len(&self) -> usize {
        self.actions as usize
    }

    /// True if the plan has no action.
    pub fn is_empty(&self) -> bool {
        self.actions == 0
    }

    /// The stages, and how many actions each has.
    pub fn stages(&self) -> Vec<(String, usize)> {
        let stages = self.workflow.stages.iter().enumerate();
        stages.map(|(number, of)| (of.name.clone(), self.actions_of(number).len())).collect()
    }

    /// The source files that its actions read, with their digests.
    pub fn files(&self) -> BTreeMap<&Path, Digest> {
        let variants = self.stages.iter().flat_map(|stage| &stage.variants);
        variants.flat_map(|of| &of.files).map(|(path, of)| (path.as_path(), *of)).collect()
    }

    /// The fusion rules of the stages that this invocation wants, each once.
    pub fn rules(&self) -> BTreeSet<&PlannedRule> {
        let wanted = self.stages.iter().filter(|stage| stage.wanted);
        let variants = wanted.flat_map(|stage| &stage.variants);
        variants.filter_map(|variant| variant.rule.as_deref()).collect()
    }

    /// The actions of a stage.
    pub fn actions_of(&self, stage: usize) -> std::ops::Range<ActionId> {
        let end = self.stages.get(stage + 1).map_or(self.actions, |next| next.first);
        self.stages[stage].first..end
    }

    /// The stage of an action, and the action's index within it.
    pub fn stage_of(&self, action: ActionId) -> (usize, usize) {
        let stage = self.stage_of_action[action as usize] as usize;
        (stage, (action - self.stages[stage].first) as usize)
    }

    /// True if this invocation wants the action.
    pub fn wants(&self, action: ActionId) -> bool {
        self.stages[self.stage_of(action).0].wanted
    }

    /// Number of actions that this invocation wants.
    pub fn wanted(&self) -> usize {
        let wanted = (0..self.stages.len()).filter(|&stage| self.stages[stage].wanted);
        wanted.map(|stage| self.actions_of(stage).len()).sum()
    }

    /// The actions whose outputs an action reads, in order.
    pub fn needs(&self, action: ActionId) -> Vec<ActionId> {
        let (stage, index) = self.stage_of(action);
        let inputs = self.variant(stage, index).inputs.iter();
        inputs
            .flat_map(|input| self.producers(stage, index, input.input))
            .map(|producer| producer.action)
            .collect()
    }

    /// The point of an action: axis and label.
    pub fn point(&self, action: ActionId) -> Point {
        let (stage, index) = self.stage_of(action);
        let stage = &self.workflow.stages[stage];
        self.labels(stage, index, &stage.over)
    }

    /// `stage[axis=label,axis=label]` of an action.
    pub fn action_label(&self, action: ActionId) -> String {
        let (number, index) = self.stage_of(action);
        let stage = &self.workflow.stages[number];
        let mut site = stage.name.clone();
        for (at, (_, axis, label)) in self.coordinates(stage, index).enumerate() {
            site.extend([if at == 0 { "[" } else { "," }, axis, "=", label]);
        }
        if !stage.over.is_empty() {
            site.push(']');
        }
        site
    }

    /// The stage kinds of a stage, by name: several where `uses` depends on an axis.
    pub fn kinds_of(&self, stage: usize) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for variant in &self.stages[stage].variants {
            let name = self.kinds.get(variant.kind).spec.name.as_str();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// The stage kind of an action, by name.
    pub fn kind_name(&self, action: ActionId) -> &str {
        let (stage, index) = self.stage_of(action);
        let variant =
            &self.stages[stage].variants[self.workflow.stages[stage].actions.variant(index)];
        &self.kinds.get(variant.kind).spec.name
    }

    pub(crate) fn variant(&self, stage: usize, index: usize) -> &PlannedVariant {
        &self.stages[stage].variants[self.workflow.stages[stage].actions.variant(index)]
    }

    /// The input ports of an action's stage kind, or those that its stage declares.
    pub(crate) fn input_ports(&self, stage: usize, index: usize) -> &[InputPort] {
        let number = self.workflow.stages[stage].actions.variant(index);
        let declared = self.workflow.stages[stage].variants[number].declared.as_ref();
        let kind = self.stages[stage].variants[number].kind;
        declared.map_or(&self.kinds.get(kind).spec.inputs, |declared| &declared.inputs)
    }

    /// Labels of some of a stage's axes at one of its actions.
    pub(crate) fn labels(&self, stage: &'a Stage, index: usize, axes: &[usize]) -> Point {
        let labels = self.coordinates(stage, index).filter(|(axis, ..)| axes.contains(axis));
        labels.map(|(_, axis, label)| (axis.to_owned(), label.to_owned())).collect()
    }

    /// The axes of a stage, by number and name, with the labels of one of its actions.
    pub(crate) fn coordinates(
        &self,
        stage: &'a Stage,
        index: usize,
    ) -> impl Iterator<Item = (usize, &'a str, &'a str)> {
        let axes = &self.workflow.axes;
        stage.over.iter().zip(stage.actions.coords(index)).map(move |(&number, &coord)| {
            let axis = &axes[number];
            (number, axis.name.as_str(), axis.points[coord as usize].label.as_str())
        })
    }

    /// The producers of one input of an action, in order.
    pub(crate) fn producers(
        &self,
        stage: usize,
        index: usize,
        input: usize,
    ) -> impl Iterator<Item = Producer<'a>> + '_ {
        self.workflow.stages[stage].inputs[input].sources.iter().flat_map(move |source| {
            let group = source.group_of[index];
            let members = if group == u32::MAX { &[] } else { source.groups.get(group) };
            let first = self.stages[source.stage].first;
            members.iter().map(move |&index| Producer { source, action: first + index, index })
        })
    }

    /// Index of an action's output in the table of digests.
    pub(crate) fn output_slot(&self, action: ActionId, output: usize) -> usize {
        let (stage, index) = self.stage_of(action);
        let stage = &self.stages[stage];
        stage.first_output + index * stage.outputs.len() + output
    }

    /// The nodes that wait for this one.
    pub(crate) fn dependents(&self, node: ActionId) -> impl Iterator<Item = ActionId> + '_ {
        self.graph.neighbors(NodeIndex::new(node as usize)).map(|node| node.index() as ActionId)
    }

    /// For every node, how many it waits for.
    pub(crate) fn pending(&self) -> Vec<u32> {
        let mut pending = vec![0; self.graph.node_count()];
        for edge in self.graph.raw_edges() {
            pending[edge.target().index()] += 1;
        }
        pending
    }

    /// Everything upstream of an action, itself included, as a mark for each node.
    pub(crate) fn upstream(&self, action: ActionId) -> Vec<bool> {
        let mut marked = vec![false; self.graph.node_count()];
        let mut stack = vec![NodeIndex::<ActionId>::new(action as usize)];
        while let Some(node) = stack.pop() {
            if !std::mem::replace(&mut marked[node.index()], true) {
                stack.extend(self.graph.neighbors_directed(node, petgraph::Direction::Incoming));
            }
        }
        marked
    }
}
