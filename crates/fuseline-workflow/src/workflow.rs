//! A checked workflow, fully expanded: stages at all points of their axes, joined.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::catalogue::{InputPort, OutputPort};
use crate::files::Place;
use crate::index::{
    ActionIndex, AxisIndex, GroupIndex, IndexVec, InputIndex, Keys, KindIndex, OutputIndex,
    PointIndex, StageIndex, VariantIndex,
};
use crate::yaml::{Data, Node};

/// A workflow without mistakes.
#[derive(Debug, Clone)]
pub struct Workflow {
    /// The text of `name:`.
    pub name: String,
    /// The text of `description:`.
    pub description: Option<String>,
    /// The seed of everything random; 0 when the workflow gives none.
    pub seed: u64,
    /// The params with their values, in declared order; paths are absolute.
    pub params: Vec<(String, Value)>,
    /// The values of the params that are paths, absolute.
    pub path_params: Vec<PathBuf>,
    /// The axes, in declared order.
    pub axes: IndexVec<AxisIndex, Axis>,
    /// The stages, producers before consumers, otherwise in declared order.
    pub stages: IndexVec<StageIndex, Stage>,
    /// The files to give out, in declared order.
    pub outputs: Vec<WorkflowOutput>,
    /// Folders and files to search for plugins, absolute.
    pub plugins: Vec<PathBuf>,
    /// Files of rules, absolute, by the ids that they must have: no other file of that id counts.
    pub rule_files: Vec<(String, PathBuf)>,
    /// Process that plugins run in, unless a stage says otherwise.
    pub isolation: Option<Isolation>,
    /// Layers of the sandbox without which no rule may run, with their places.
    pub required_layers: Vec<(&'static str, Place)>,
    /// Sandbox of rules that neither `sandboxes` nor their stage speaks of.
    pub sandbox: Option<Sandbox>,
    /// Sandboxes of single rules, by id or the last part of it.
    pub sandboxes: Vec<(String, Sandbox, Place)>,
    /// Limits of the processes of rules, unless a stage says otherwise.
    pub limits: ProcessLimits,
    /// The interpreter of Python rules and programs: absolute, or a name that is looked for on
    /// PATH.
    pub python: Option<Sourced<PathBuf>>,
    /// Variables of the environment that rules and programs of all stages see.
    pub passed_variables: Vec<String>,
    /// blake3 of the content of the files, without comments, layout, quoting, and the order of keys
    /// where it means nothing. It does not depend on `--set`, `--params` or the folder, nor on
    /// which parts are included from other files.
    pub digest: [u8; 32],
    /// The file, absolute.
    pub path: PathBuf,
}

/// A named dimension.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// Its name.
    pub name: String,
    /// Its points, in declared order; labels differ.
    pub points: IndexVec<PointIndex, AxisPoint>,
    /// The axis that it is nested in, with its points there.
    pub within: Option<Within>,
    /// Place of its name.
    pub place: Place,
}

/// One choice of an axis.
#[derive(Debug, Clone, PartialEq)]
pub struct AxisPoint {
    /// Its spelling in messages, selections and tables.
    pub label: String,
    /// A scalar, or the fields of a point of a mapping axis. Of a nested axis, its value under the
    /// first point of the other axis that has it.
    pub value: Value,
    /// Place where it is written.
    pub place: Place,
}

/// Points that a nested axis has under each point of another axis.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Within {
    /// The other axis.
    pub axis: AxisIndex,
    /// By its point and the own point: the value there. A pair that is not here does not exist.
    pub(crate) values: BTreeMap<(PointIndex, PointIndex), Value>,
}

impl Within {
    /// True if a point exists under a point of the other axis.
    pub fn has(&self, outer: PointIndex, point: PointIndex) -> bool {
        self.values.contains_key(&(outer, point))
    }
}

/// A file that a workflow gives out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkflowOutput {
    /// Relative to the folder of results.
    pub file: PathBuf,
    /// The stage.
    pub stage: StageIndex,
    /// The stage's output port.
    pub output: OutputIndex,
    /// The stage's action.
    pub action: ActionIndex,
    /// Place of the reference.
    pub place: Place,
}

/// Process that plugins run in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// In a process of their own.
    Worker,
    /// In this process: faster, and a crash takes the run with it.
    InProcess,
}

/// Confinement of a rule's process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sandbox {
    /// It writes nothing, and shares no memory.
    Strict,
    /// A script has a folder of its own to write to, and memory that its own processes share.
    Default,
    /// Nothing is confined.
    Off,
}

/// Names of the layers of a sandbox that may be required.
pub const SANDBOX_LAYERS: [&str; 2] = ["landlock", "seccomp"];

/// A value, and the place that states it, in words: `workflow.yaml:12`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sourced<T> {
    /// The value.
    pub value: T,
    /// File and line.
    pub origin: String,
}

/// Limits of the process of a rule; what is not stated here is stated elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProcessLimits {
    /// Bytes of memory that it may use.
    pub memory: Option<Sourced<u64>>,
    /// Time limit of loading.
    pub load: Option<Sourced<Duration>>,
    /// Time limit of one call.
    pub call: Option<Sourced<Duration>>,
}

/// A named step at all points of its axes.
#[derive(Debug, Clone)]
pub struct Stage {
    /// Its name.
    pub name: String,
    /// The text of `description:`.
    pub description: Option<String>,
    /// The axes it runs over, in declared order of the axes.
    pub over: Vec<AxisIndex>,
    /// One for each point that `where:` leaves.
    pub actions: Actions,
    /// Work of its actions, one for each combination of kind and options.
    pub variants: IndexVec<VariantIndex, Variant>,
    /// The inputs it is given, in the order written.
    pub inputs: IndexVec<InputIndex, Input>,
    /// The outputs, the same for all its variants.
    pub outputs: IndexVec<OutputIndex, OutputPort>,
    /// Execution settings; no part of its result.
    pub execution: Execution,
    /// Places of its parts.
    pub places: StagePlaces,
}

/// The actions of a stage, compactly.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Actions {
    pub(crate) axes: usize,
    pub(crate) coords: Vec<PointIndex>,
    pub(crate) variants: IndexVec<ActionIndex, VariantIndex>,
}

impl Actions {
    /// Number of actions.
    pub fn len(&self) -> usize {
        self.variants.len()
    }

    /// True if `where:` left none.
    pub fn is_empty(&self) -> bool {
        self.variants.is_empty()
    }

    /// The point of an action along each axis of [`Stage::over`].
    pub fn coords(&self, action: ActionIndex) -> &[PointIndex] {
        let action = usize::from(action);
        &self.coords[action * self.axes..(action + 1) * self.axes]
    }

    /// The variant of an action.
    pub fn variant(&self, action: ActionIndex) -> VariantIndex {
        self.variants[action]
    }

    /// The actions, in declared order of their points.
    pub fn keys(&self) -> Keys<ActionIndex> {
        self.variants.keys()
    }
}

/// A stage kind with its options.
#[derive(Debug, Clone)]
pub struct Variant {
    /// The stage kind.
    pub kind: KindIndex,
    /// `with:` with expressions evaluated and paths made absolute; nothing is filled in.
    pub options: Arc<Map<String, Value>>,
    /// Places of the options.
    pub places: Arc<OptionPlaces>,
    /// The ports that the stage declares for itself, if the kind requires that.
    pub declared: Option<Arc<DeclaredPorts>>,
    /// The stage's own seed, in place of the workflow's.
    pub seed: Option<u64>,
}

/// Ports that a stage declares in its options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredPorts {
    /// The inputs, in the order written.
    pub inputs: Vec<InputPort>,
    /// The outputs, in the order written.
    pub outputs: IndexVec<OutputIndex, OutputPort>,
}

/// Places of options.
#[derive(Debug, Clone)]
pub struct OptionPlaces {
    /// The value of `with:`.
    pub(crate) with: Option<Arc<Node>>,
    /// Place of `with:`, or else of `uses:`.
    pub(crate) whole: Place,
}

impl OptionPlaces {
    /// The place of an option's value by its dotted path (`id.column`, `classes.rest[0]`), or of
    /// the nearest option around it.
    pub fn place(&self, path: &str) -> Place {
        self.nearest(path).map_or(&self.whole, |(_, value)| value).clone()
    }

    /// The place of an option's key, or of the nearest option around it.
    pub fn key_place(&self, path: &str) -> Place {
        self.nearest(path).map_or(&self.whole, |(key, _)| key).clone()
    }

    /// The option whose key stands at a place, unless it is inside another.
    pub(crate) fn option_at(&self, place: &Place) -> Option<&str> {
        let Data::Mapping(entries) = &self.with.as_deref()?.data else { return None };
        entries.iter().find(|entry| entry.key_place == *place).map(|entry| entry.key.as_str())
    }

    /// The places of the key and the value of the innermost option on a path that is written.
    fn nearest(&self, path: &str) -> Option<(&Place, &Place)> {
        let with = self.with.as_deref()?;
        match path.contains(['[', ']']) {
            true => innermost(with, &path.replace('[', ".").replace(']', "")),
            false => innermost(with, path),
        }
    }
}

fn innermost<'n>(node: &'n Node, path: &str) -> Option<(&'n Place, &'n Place)> {
    // The rest of the path after a name, which may have dots of its own.
    let behind = |name: &str| match path.strip_prefix(name)? {
        "" => Some(""),
        rest => rest.strip_prefix('.'),
    };
    match &node.data {
        Data::Scalar(_) => None,
        Data::Sequence(items) => {
            let (first, rest) = path.split_once('.').unwrap_or((path, ""));
            let item = items.get(first.parse::<usize>().ok()?)?;
            innermost(item, rest).or(Some((&item.place, &item.place)))
        }
        Data::Mapping(entries) => {
            let written = entries.iter().filter_map(|entry| Some((entry, behind(&entry.key)?)));
            let (entry, rest) = written.max_by_key(|(entry, _)| entry.key.len())?;
            innermost(&entry.value, rest).or(Some((&entry.key_place, &entry.value.place)))
        }
    }
}

/// An input that a stage is given.
#[derive(Debug, Clone)]
pub struct Input {
    /// The port.
    pub port: String,
    /// Place of the port's name.
    pub place: Place,
    /// Sources: usually one; several are taken one after the other.
    pub sources: Vec<InputSource>,
}

/// One producer of an input, for all actions of the consumer.
#[derive(Debug, Clone)]
pub struct InputSource {
    /// The producer.
    pub stage: StageIndex,
    /// The producer's output port.
    pub output: OutputIndex,
    /// The producer's axes that are not matched: the points along them arrive together.
    pub gathered_axes: Vec<AxisIndex>,
    /// Sets of actions of the producer.
    pub groups: Groups,
    /// For each action of the consumer its set; `None` when the action's kind does not read the
    /// port.
    pub group_of: IndexVec<ActionIndex, Option<GroupIndex>>,
    /// Place of the reference.
    pub place: Place,
}

/// Sets of a producer's actions, shared by all consumers that see the same ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Groups {
    /// Start of each set in `members`, and the end of the last.
    pub(crate) offsets: Vec<u32>,
    pub(crate) members: Vec<ActionIndex>,
}

impl Groups {
    /// Members by group: `group_of` has the group of each action in turn, if it is in one. Linear.
    pub fn collect(
        groups: usize,
        group_of: impl Iterator<Item = Option<GroupIndex>> + Clone,
    ) -> Self {
        let mut offsets = vec![0; groups + 1];
        group_of.clone().flatten().for_each(|group| offsets[usize::from(group) + 1] += 1);
        for group in 0..groups {
            offsets[group + 1] += offsets[group];
        }
        let mut next = offsets.clone();
        let mut members = vec![ActionIndex::default(); offsets[groups] as usize];
        for (member, group) in group_of.enumerate() {
            let Some(group) = group else { continue };
            let place: &mut u32 = &mut next[usize::from(group)];
            members[*place as usize] = member.into();
            *place += 1;
        }
        Self { offsets, members }
    }

    /// Number of sets.
    pub fn len(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The producer's actions in one set, in declared order of the points.
    pub fn get(&self, group: GroupIndex) -> &[ActionIndex] {
        let group = usize::from(group);
        &self.members[self.offsets[group] as usize..self.offsets[group + 1] as usize]
    }
}

/// Further tries of an action that ran out of memory.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryRetry {
    /// Factor by which each try asks for more than the one before; more than 1.
    pub factor: f64,
    /// Number of further tries.
    pub times: u32,
}

impl MemoryRetry {
    /// Number of further tries where none is stated.
    pub const DEFAULT_TIMES: u32 = 2;

    /// The memory that the next try asks for, in bytes.
    ///
    /// `tries`: number of further tries so far. None when there is to be no other.
    pub fn next(&self, bytes: u64, tries: u32) -> Option<u64> {
        // Beyond all that can be written there is nothing to ask for.
        let next = (bytes as f64 * self.factor).min(1e18);
        (tries < self.times && next > bytes as f64).then(|| next.ceil() as u64)
    }
}

/// Execution settings of a stage.
#[derive(Debug, Clone, PartialEq)]
pub struct Execution {
    /// Number of further tries of a failed action.
    pub retries: u32,
    /// Longest duration of one try.
    pub timeout: Option<Duration>,
    /// Number of processors that one action uses.
    pub cpu: Option<f64>,
    /// Bytes of memory that one action needs.
    pub memory: Option<u64>,
    /// Further tries of an action that ran out of that memory, with more of it.
    pub memory_retry: Option<MemoryRetry>,
    /// Wall time requested from a cluster for one action; no bound by itself.
    pub time: Option<Duration>,
    /// Number of GPUs requested from a cluster for one action.
    pub gpus: Option<u32>,
    /// True if results may be taken from the cache.
    pub cache: bool,
    /// Process that plugins run in for this stage.
    pub isolation: Option<Isolation>,
    /// Layers of the sandbox without which the rules of this stage may not run, with their places.
    pub required_layers: Vec<(&'static str, Place)>,
    /// Sandbox of the rules of this stage.
    pub sandbox: Option<Sandbox>,
    /// Limits of the processes of rules and programs of this stage.
    pub limits: ProcessLimits,
    /// Variables of the environment that its rules and programs see.
    pub passed_variables: Vec<String>,
}

impl Default for Execution {
    fn default() -> Self {
        Self {
            retries: 0,
            timeout: None,
            cpu: None,
            memory: None,
            memory_retry: None,
            time: None,
            gpus: None,
            cache: true,
            isolation: None,
            required_layers: Vec::new(),
            sandbox: None,
            limits: ProcessLimits::default(),
            passed_variables: Vec::new(),
        }
    }
}

/// Places of the parts of a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagePlaces {
    /// The stage's name.
    pub name: Place,
    /// The value of `uses:`.
    pub uses: Place,
    /// The value of `over:`.
    pub over: Option<Place>,
    /// The value of `where:`.
    pub filter: Option<Place>,
}
