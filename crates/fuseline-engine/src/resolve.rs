//! Computes action keys as digests become known, and looks them up.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use fuseline_artifact::{ArtifactKind, Digest};
use fuseline_cache::{ActionKey, ActionRecord, Made};
use fuseline_workflow::{
    ActionIndex, GroupIndex, IndexVec, InputIndex, InputSource, OutputIndex, StageIndex,
};
use serde::{Deserialize, Serialize};

use crate::cautions::ActionCautions;
use crate::discovered::{DiscoveredFile, is_discovered};
use crate::inputs::{Point, Provenance};
use crate::key::{ENCODING, Field, encode_field, encode_text, owned_fields};
use crate::plan::{ActionId, OutputSlot, Plan, PlannedInput};
use crate::provenance;

/// An artifact that arrives at an action.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResolvedInput {
    /// The port.
    pub port: String,
    /// The coordinates along the axes that the port gathers.
    pub point: Point,
    /// The artifact's kind.
    pub kind: ArtifactKind,
    /// The object.
    pub digest: Digest,
}

/// The artifacts that arrive at some inputs of an action, as pairs of port and number, in order;
/// none for one whose digest is not known.
pub(crate) fn resolve_inputs<'p, 'a>(
    plan: &'p Plan<'a>,
    action: ActionId,
    inputs: impl Iterator<Item = (&'p str, InputIndex)>,
    digest: impl Fn(ActionId, OutputIndex) -> Option<Digest>,
) -> impl Iterator<Item = Option<ResolvedInput>> {
    let (stage, index) = plan.stage_of(action);
    let producers = inputs.flat_map(move |(port, input)| {
        plan.producers(stage, index, input).map(move |producer| (port, producer))
    });
    producers.map(move |(port, producer)| {
        let source = producer.source;
        let from = &plan.workflow.stages[source.stage];
        Some(ResolvedInput {
            port: port.to_owned(),
            point: plan.labels(from, producer.index, &source.gathered_axes),
            kind: plan.stages[source.stage].outputs[source.output].1,
            digest: digest(producer.action, source.output)?,
        })
    })
}

/// Resolved artifacts of the plan so far.
pub(crate) struct Resolver<'p, 'a> {
    pub plan: &'p Plan<'a>,
    /// Every output, once known.
    known: IndexVec<OutputSlot, Option<Made>>,
    /// The cautions of actions that have any.
    cautions: BTreeMap<ActionId, Made>,
    /// The files that actions were found to have read.
    discovered: BTreeMap<ActionId, Vec<DiscoveredFile>>,
    /// Digests of the groups of producers that several actions share, each once it is needed, by
    /// stage, input and place of the source.
    groups: BTreeMap<(StageIndex, InputIndex, usize), IndexVec<GroupIndex, OnceLock<Digest>>>,
}

impl<'p, 'a> Resolver<'p, 'a> {
    pub fn new(plan: &'p Plan<'a>) -> Self {
        let mut groups = BTreeMap::new();
        for (number, stage) in plan.workflow.stages.iter_enumerated() {
            for (input, of) in stage.inputs.iter_enumerated() {
                for (at, source) in of.sources.iter().enumerate() {
                    // Groups that no two actions share are not worth remembering.
                    if source.groups.len() < source.group_of.len() {
                        let digests = vec![OnceLock::new(); source.groups.len()];
                        groups.insert((number, input, at), digests.into());
                    }
                }
            }
        }
        let known = vec![None; plan.outputs].into();
        let (cautions, discovered) = Default::default();
        Self { plan, known, cautions, discovered, groups }
    }

    /// Records an action's outputs: the declared ones, and its cautions behind them if there
    /// are any.
    pub fn learn(&mut self, action: ActionId, outputs: &[Made]) {
        let known = &mut self.known.raw[self.plan.output_slots(action)];
        let (declared, cautions) = outputs.split_at(known.len().min(outputs.len()));
        for (known, made) in known.iter_mut().zip(declared) {
            *known = Some(*made);
        }
        match cautions.first() {
            Some(made) => _ = self.cautions.insert(action, *made),
            None => _ = self.cautions.remove(&action),
        }
    }

    /// Records the files that an action was found to have read.
    pub fn discover(&mut self, action: ActionId, files: Vec<DiscoveredFile>) {
        match files.is_empty() {
            true => _ = self.discovered.remove(&action),
            false => _ = self.discovered.insert(action, files),
        }
    }

    /// The files that actions were found to have read.
    pub fn discovered(&self) -> &BTreeMap<ActionId, Vec<DiscoveredFile>> {
        &self.discovered
    }

    /// The cautions of the actions that are wanted, in the plan's order, whose texts are not read, and
    /// the doubts of the plan about their stages.
    pub fn cautions(&self, wanted: impl Fn(ActionId) -> bool) -> Vec<ActionCautions> {
        let of_stage = |stage| self.plan.actions_of(stage).any(&wanted);
        let doubts = self.plan.doubts.iter().filter(|(stage, _)| of_stage(*stage));
        let doubts = doubts.map(|(stage, text)| ActionCautions {
            action: self.plan.workflow.stages[*stage].name.clone(),
            digest: Digest::hash(text),
            texts: vec![text.clone()],
        });
        let cautions = self.cautions.iter().filter(|(action, _)| wanted(**action));
        let of = |(action, made): (&ActionId, &Made)| ActionCautions {
            action: self.plan.action_label(*action),
            digest: made.digest,
            texts: Vec::new(),
        };
        doubts.chain(cautions.map(of)).collect()
    }

    /// Actions whose cautions are in an object.
    pub fn cautions_of(&self, digest: Digest) -> impl Iterator<Item = ActionId> {
        let mut cautions = self.cautions.iter();
        std::iter::from_fn(move || cautions.find(|(_, made)| made.digest == digest))
            .map(|(action, _)| *action)
    }

    /// The digest of one output of an action, if it is known.
    pub fn digest(&self, action: ActionId, output: OutputIndex) -> Option<Digest> {
        self.known[self.plan.output_slot(action, output)].map(|made| made.digest)
    }

    /// The key of an action whose inputs are all known; `None` when one is not. `bytes`: buffer in
    /// which it is encoded.
    pub fn key(&self, action: ActionId, bytes: &mut Vec<u8>) -> Option<ActionKey> {
        bytes.clear();
        bytes.extend(ENCODING);
        self.encode(action, bytes)?;
        Some(ActionKey::from(Digest::hash(bytes)))
    }

    /// The fields of a key: the same walk, as text.
    pub fn fields(&self, action: ActionId) -> Vec<Field> {
        let mut bytes = Vec::new();
        self.encode(action, &mut bytes);
        owned_fields(&bytes)
    }

    fn encode(&self, action: ActionId, bytes: &mut Vec<u8>) -> Option<()> {
        let plan = self.plan;
        let (stage, index) = plan.stage_of(action);
        let variant = plan.variant(stage, index);
        let kind = plan.kinds.get(variant.kind);
        bytes.extend(&variant.key);
        if kind.reads_point {
            for (_, axis, label) in plan.coordinates(&plan.workflow.stages[stage], index) {
                encode_text(bytes, &["point.", axis]);
                encode_text(bytes, &[label]);
            }
        }
        for input in variant.inputs.iter() {
            let digest = self.input_digest(stage, index, input)?;
            encode_text(bytes, &["inputs.", &input.port]);
            encode_text(bytes, &[&digest.to_hex()]);
        }
        if kind.reads_provenance {
            let digest = provenance::digest(&self.provenance(action));
            encode_field(bytes, "provenance", &digest.to_hex());
        }
        Some(())
    }

    /// One digest for everything that arrives at an input.
    fn input_digest(
        &self,
        stage: StageIndex,
        index: ActionIndex,
        input: &PlannedInput,
    ) -> Option<Digest> {
        let plan = self.plan;
        if !input.many {
            let producer = plan.producers(stage, index, input.input).next()?;
            return self.digest(producer.action, producer.source.output);
        }
        let mut whole = blake3::Hasher::new();
        let sources = &plan.workflow.stages[stage].inputs[input.input].sources;
        for (number, source) in sources.iter().enumerate() {
            let Some(group) = source.group_of[index] else { continue };
            let shared = self.groups.get(&(stage, input.input, number));
            let shared = shared.and_then(|groups| groups.get(group));
            let digest = match shared.and_then(OnceLock::get) {
                Some(digest) => *digest,
                None => self.group_digest(source, group)?,
            };
            shared.map(|shared| shared.get_or_init(|| digest));
            whole.update(digest.as_bytes());
        }
        Some(Digest::from(*whole.finalize().as_bytes()))
    }

    fn group_digest(&self, source: &InputSource, group: GroupIndex) -> Option<Digest> {
        let plan = self.plan;
        let stage = &plan.workflow.stages[source.stage];
        let mut bytes = Vec::new();
        for &member in source.groups.get(group) {
            for (number, axis, label) in plan.coordinates(stage, member) {
                if source.gathered_axes.contains(&number) {
                    encode_field(&mut bytes, axis, label);
                }
            }
            bytes.extend(
                self.digest(plan.action_of(source.stage, member), source.output)?.as_bytes(),
            );
        }
        Some(Digest::hash(bytes))
    }

    /// The artifacts that an action reads.
    pub fn inputs(&self, action: ActionId) -> Vec<ResolvedInput> {
        let (stage, index) = self.plan.stage_of(action);
        let read = self.plan.variant(stage, index).inputs.iter();
        let read = read.map(|input| (input.port.as_str(), input.input));
        let digest = |action, output| self.digest(action, output);
        resolve_inputs(self.plan, action, read, digest).flatten().collect()
    }

    /// All outputs, and the files that actions were found to have
    /// read.
    pub fn into_known(
        self,
    ) -> (IndexVec<OutputSlot, Option<Made>>, BTreeMap<ActionId, Vec<DiscoveredFile>>) {
        (self.known, self.discovered)
    }

    /// The outputs of an action and its cautions, as [`Resolver::learn`] takes them, when all are
    /// known.
    pub fn outputs(&self, action: ActionId) -> Option<Vec<Made>> {
        let declared = self.known.raw[self.plan.output_slots(action)].iter().copied();
        declared.chain(self.cautions.get(&action).map(|made| Some(*made))).collect()
    }

    /// Origin of everything upstream of an action.
    pub fn provenance(&self, action: ActionId) -> Arc<Provenance> {
        let upstream = self.plan.upstream(action);
        let includes = |action: ActionId| upstream[action];
        let digest = |action, output| self.digest(action, output);
        let cautions = self.cautions(includes);
        Arc::new(provenance::collect(self.plan, includes, digest, cautions, &self.discovered))
    }
}

/// The outputs that a record names.
pub(crate) fn outputs_of(record: &ActionRecord) -> Vec<Made> {
    let outputs = record.outputs.iter().filter(|output| !is_discovered(output));
    outputs.map(|output| Made { digest: output.digest, size: output.size }).collect()
}
