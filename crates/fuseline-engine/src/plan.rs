//! The graph of actions of one invocation.
//!
//! Immutable once built; `plan_builder` is its only mutator. Node `i` of the graph is action `i`;
//! the nodes after the last action are gathers: sets of producers that several actions consume
//! alike, so that an all-to-all join of n producers and m consumers costs n + m edges and not n *
//! m.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fuseline_artifact::{ArtifactKind, Digest};
use fuseline_host::{Interpreter, Isolation};
use fuseline_workflow::{
    ActionIndex, AxisIndex, Diagnostic, IndexVec, InputIndex, InputPort, InputSource, Keys,
    KindIndex, OutputIndex, Stage, StageIndex, VariantIndex, Workflow, index_types,
};
use petgraph::graph::{DiGraph, NodeIndex};

use crate::inputs::Point;
use crate::installed::Installation;
use crate::kind::{Kinds, PreparedStage};

/// Number of variants or actions from which work is done on several threads.
pub(crate) const A_POOLS_WORTH: usize = 512;

index_types! {
    /// An action's number in its plan.
    pub ActionId;
    /// A node of the graph: an action, or a gather.
    pub(crate) NodeId;
    /// Index of an action's output among those of all actions.
    pub(crate) OutputSlot;
}

impl From<ActionId> for NodeId {
    fn from(action: ActionId) -> Self {
        Self::from(usize::from(action))
    }
}

/// The graph of actions of one invocation.
pub struct Plan<'a> {
    pub(crate) workflow: &'a Workflow,
    pub(crate) kinds: &'a Kinds,
    pub(crate) stages: IndexVec<StageIndex, PlannedStage>,
    /// The stage of each action.
    pub(crate) stage_of_action: IndexVec<ActionId, StageIndex>,
    pub(crate) graph: DiGraph<(), (), u32>,
    /// Outputs of all actions together.
    pub(crate) outputs: usize,
    /// Isolation of rules that the invocation states.
    pub(crate) isolation: Option<Isolation>,
    /// Software here that discovered inputs stand for.
    pub(crate) installation: Installation,
    pub(crate) warnings: Vec<Diagnostic>,
    /// Texts of those that a reader of the results must know, by stage.
    pub(crate) doubts: Vec<(StageIndex, String)>,
}

/// One stage of the plan.
pub(crate) struct PlannedStage {
    /// The first of its actions; the others follow.
    pub first: ActionId,
    /// The first output of its first action; the others follow.
    pub first_output: OutputSlot,
    /// Its output ports.
    pub outputs: IndexVec<OutputIndex, (String, ArtifactKind)>,
    pub variants: IndexVec<VariantIndex, PlannedVariant>,
    /// True if this invocation wants the stage (`--only` may leave it out).
    pub wanted: bool,
}

/// A stage with one choice of options: what its actions share.
pub(crate) struct PlannedVariant {
    pub kind: KindIndex,
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
    /// The input of its stage.
    pub input: InputIndex,
    /// True if the port gathers.
    pub many: bool,
}

/// A producer of one input of an action.
pub(crate) struct Producer<'a> {
    pub source: &'a InputSource,
    pub action: ActionId,
    /// Its index within its stage.
    pub index: ActionIndex,
}

impl<'a> Plan<'a> {
    /// Everything that it owns, to be dropped where nobody waits for it.
    pub fn into_parts(self) -> impl Send + use<> {
        (self.stages, self.stage_of_action, self.graph)
    }

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
        self.stage_of_action.len()
    }

    /// True if the plan has no action.
    pub fn is_empty(&self) -> bool {
        self.stage_of_action.is_empty()
    }

    /// The stages, and how many actions each has.
    pub fn stages(&self) -> Vec<(String, usize)> {
        let stages = self.workflow.stages.iter();
        stages.map(|stage| (stage.name.clone(), stage.actions.len())).collect()
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

    /// All actions: stages in their order, which has producers before consumers.
    pub fn actions(&self) -> Keys<ActionId> {
        self.stage_of_action.keys()
    }

    /// The actions of a stage.
    pub fn actions_of(&self, stage: StageIndex) -> Keys<ActionId> {
        let first = usize::from(self.stages[stage].first);
        (first..first + self.workflow.stages[stage].actions.len()).map(ActionId::from)
    }

    /// One of the actions of a stage.
    pub fn action_of(&self, stage: StageIndex, index: ActionIndex) -> ActionId {
        ActionId::from(usize::from(self.stages[stage].first) + usize::from(index))
    }

    /// The stage of an action, and the action's index within it.
    pub fn stage_of(&self, action: ActionId) -> (StageIndex, ActionIndex) {
        let stage = self.stage_of_action[action];
        let index = usize::from(action) - usize::from(self.stages[stage].first);
        (stage, index.into())
    }

    /// True if this invocation wants the actions of a stage.
    pub fn wants_stage(&self, stage: StageIndex) -> bool {
        self.stages[stage].wanted
    }

    /// True if this invocation wants the action.
    pub fn wants(&self, action: ActionId) -> bool {
        self.wants_stage(self.stage_of(action).0)
    }

    /// Number of actions that this invocation wants.
    pub fn wanted(&self) -> usize {
        let wanted = self.stages.iter_enumerated().filter(|(_, stage)| stage.wanted);
        wanted.map(|(stage, _)| self.workflow.stages[stage].actions.len()).sum()
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
    pub fn kinds_of(&self, stage: StageIndex) -> Vec<&str> {
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
        &self.kinds.get(self.variant(stage, index).kind).spec.name
    }

    pub(crate) fn variant(&self, stage: StageIndex, index: ActionIndex) -> &PlannedVariant {
        &self.stages[stage].variants[self.workflow.stages[stage].actions.variant(index)]
    }

    /// The input ports of an action's stage kind, or those that its stage declares.
    pub(crate) fn input_ports(&self, stage: StageIndex, index: ActionIndex) -> &[InputPort] {
        let number = self.workflow.stages[stage].actions.variant(index);
        let declared = self.workflow.stages[stage].variants[number].declared.as_ref();
        let kind = self.stages[stage].variants[number].kind;
        declared.map_or(&self.kinds.get(kind).spec.inputs, |declared| &declared.inputs)
    }

    /// Labels of some of a stage's axes at one of its actions.
    pub(crate) fn labels(&self, stage: &'a Stage, index: ActionIndex, axes: &[AxisIndex]) -> Point {
        let labels = self.coordinates(stage, index).filter(|(axis, ..)| axes.contains(axis));
        labels.map(|(_, axis, label)| (axis.to_owned(), label.to_owned())).collect()
    }

    /// The axes of a stage, by index and name, with the labels of one of its actions.
    pub(crate) fn coordinates(
        &self,
        stage: &'a Stage,
        index: ActionIndex,
    ) -> impl Iterator<Item = (AxisIndex, &'a str, &'a str)> {
        let axes = &self.workflow.axes;
        stage.over.iter().zip(stage.actions.coords(index)).map(move |(&number, &coord)| {
            let axis = &axes[number];
            (number, axis.name.as_str(), axis.points[coord].label.as_str())
        })
    }

    /// The producers of one input of an action, in order.
    pub(crate) fn producers(
        &self,
        stage: StageIndex,
        index: ActionIndex,
        input: InputIndex,
    ) -> impl Iterator<Item = Producer<'a>> + '_ {
        self.workflow.stages[stage].inputs[input].sources.iter().flat_map(move |source| {
            let members = source.group_of[index].map(|group| source.groups.get(group));
            members.into_iter().flatten().map(move |&index| Producer {
                source,
                action: self.action_of(source.stage, index),
                index,
            })
        })
    }

    /// Index of an action's output among those of all actions.
    pub(crate) fn output_slot(&self, action: ActionId, output: OutputIndex) -> OutputSlot {
        let (stage, index) = self.stage_of(action);
        let stage = &self.stages[stage];
        let first = usize::from(stage.first_output) + usize::from(index) * stage.outputs.len();
        OutputSlot::from(first + usize::from(output))
    }

    /// Indices of the outputs of an action.
    pub(crate) fn output_slots(&self, action: ActionId) -> Range<usize> {
        let first = usize::from(self.output_slot(action, OutputIndex::default()));
        first..first + self.stages[self.stage_of(action).0].outputs.len()
    }

    /// The nodes that wait for this one.
    pub(crate) fn dependents(&self, node: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        self.graph.neighbors(NodeIndex::new(node.into())).map(|node| node.index().into())
    }

    /// The action of a node; `None` for a gather.
    pub(crate) fn as_action(&self, node: NodeId) -> Option<ActionId> {
        let number = usize::from(node);
        (number < self.len()).then(|| number.into())
    }

    /// For every node, how many it waits for.
    pub(crate) fn pending(&self) -> IndexVec<NodeId, u32> {
        let mut pending: IndexVec<NodeId, u32> = vec![0; self.graph.node_count()].into();
        for edge in self.graph.raw_edges() {
            pending.raw[edge.target().index()] += 1;
        }
        pending
    }

    /// Every action upstream of an action, itself included, as a mark for each.
    pub(crate) fn upstream(&self, action: ActionId) -> IndexVec<ActionId, bool> {
        let mut marked = vec![false; self.graph.node_count()];
        let mut stack = vec![NodeIndex::<u32>::new(action.into())];
        while let Some(node) = stack.pop() {
            if !std::mem::replace(&mut marked[node.index()], true) {
                stack.extend(self.graph.neighbors_directed(node, petgraph::Direction::Incoming));
            }
        }
        marked.truncate(self.len());
        marked.into()
    }
}
