//! Computes action keys as digests become known, and looks them up.

use std::sync::Arc;

use fuseline_artifact::Digest;
use fuseline_cache::{ActionKey, ActionRecord, Cache, CacheError};
use serde::{Deserialize, Serialize};

use crate::inputs::{Point, Provenance};
use crate::key::{Field, hash_field};
use crate::plan::{ActionId, Plan, PlannedInput};
use crate::provenance;

/// An artifact that an action reads.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Given {
    pub port: String,
    pub point: Point,
    pub kind: fuseline_artifact::ArtifactKind,
    pub digest: Digest,
}

/// What is known of the plan's artifacts so far.
pub(crate) struct Resolver<'p, 'a> {
    pub plan: &'p Plan<'a>,
    /// The digest of every output, once known.
    digests: Vec<Option<Digest>>,
    /// The digest of every shared group of producers, once asked for: stage, input, source, group.
    groups: Vec<Vec<Vec<Vec<Option<Digest>>>>>,
}

impl<'p, 'a> Resolver<'p, 'a> {
    pub fn new(plan: &'p Plan<'a>) -> Self {
        let groups = plan.workflow.stages.iter().map(|stage| {
            let inputs = stage.inputs.iter().map(|input| {
                let sources = input.sources.iter().map(|source| {
                    // Groups that no two actions share are not worth remembering.
                    let shared = source.groups.len() < source.group_of.len();
                    vec![None; if shared { source.groups.len() } else { 0 }]
                });
                sources.collect()
            });
            inputs.collect()
        });
        Self { plan, digests: vec![None; plan.outputs], groups: groups.collect() }
    }

    /// Takes note of an action's outputs.
    pub fn learn(&mut self, action: ActionId, record: &ActionRecord) {
        for (output, made) in record.outputs.iter().enumerate() {
            let slot = self.plan.output_slot(action, output);
            self.digests[slot] = Some(made.digest);
        }
    }

    /// The digest of one output of an action, if it is known.
    pub fn digest(&self, action: ActionId, output: usize) -> Option<Digest> {
        self.digests[self.plan.output_slot(action, output)]
    }

    /// The key of an action whose inputs are all known; `None` when one is not.
    ///
    /// `fields`, when given, receives the same walk as text.
    pub fn key(
        &mut self,
        action: ActionId,
        mut fields: Option<&mut Vec<Field>>,
    ) -> Option<ActionKey> {
        let plan = self.plan;
        let (stage, index) = plan.stage_of(action);
        let variant = plan.variant(stage, index);
        let kind = plan.kinds.get(variant.kind);
        let mut hasher = variant.key.clone();
        if let Some(fields) = fields.as_deref_mut() {
            fields.extend(variant.fields.iter().cloned());
        }
        let mut write = |name: &str, value: &str| {
            hash_field(&mut hasher, name, value);
            if let Some(fields) = fields.as_deref_mut() {
                fields.push((name.to_owned(), value.to_owned()));
            }
        };
        if kind.reads_point {
            for (axis, label) in plan.point(action) {
                write(&format!("point.{axis}"), &label);
            }
        }
        for input in &variant.inputs {
            let digest = self.input_digest(stage, index, input)?;
            write(&input.field, &digest.to_hex());
        }
        if kind.reads_provenance {
            let digest = provenance::digest(&self.provenance(action));
            write("provenance", &digest.to_hex());
        }
        Some(ActionKey::from(Digest::from(*hasher.finalize().as_bytes())))
    }

    /// One digest for everything that arrives at an input.
    fn input_digest(&mut self, stage: usize, index: usize, input: &PlannedInput) -> Option<Digest> {
        let plan = self.plan;
        if !input.many {
            let producer = plan.producers(stage, index, input.input).next()?;
            return self.digest(producer.action, producer.source.output);
        }
        let mut whole = blake3::Hasher::new();
        let sources = &plan.workflow.stages[stage].inputs[input.input].sources;
        for (number, source) in sources.iter().enumerate() {
            let group = source.group_of[index];
            if group == u32::MAX {
                continue;
            }
            let remembered = self.groups[stage][input.input][number].get(group as usize);
            let digest = match remembered {
                Some(&Some(digest)) => digest,
                _ => self.group_digest(source, group)?,
            };
            if let Some(slot) = self.groups[stage][input.input][number].get_mut(group as usize) {
                *slot = Some(digest);
            }
            whole.update(digest.as_bytes());
        }
        Some(Digest::from(*whole.finalize().as_bytes()))
    }

    fn group_digest(&self, source: &fuseline_workflow::InputSource, group: u32) -> Option<Digest> {
        let plan = self.plan;
        let stage = &plan.workflow.stages[source.stage];
        let first = plan.stages[source.stage].first;
        let mut hasher = blake3::Hasher::new();
        for &member in source.groups.get(group) {
            for (axis, label) in plan.labels(stage, member as usize, &source.gathered_axes) {
                hash_field(&mut hasher, &axis, &label);
            }
            hasher.update(self.digest(first + member, source.output)?.as_bytes());
        }
        Some(Digest::from(*hasher.finalize().as_bytes()))
    }

    /// The artifacts that an action reads.
    pub fn given(&self, action: ActionId) -> Vec<Given> {
        let plan = self.plan;
        let (stage, index) = plan.stage_of(action);
        let mut given = Vec::new();
        for input in &plan.variant(stage, index).inputs {
            for producer in plan.producers(stage, index, input.input) {
                let source = producer.source;
                let outputs = &plan.stages[source.stage].outputs;
                let Some(digest) = self.digest(producer.action, source.output) else { continue };
                given.push(Given {
                    port: input.port.clone(),
                    point: plan.labels(
                        &plan.workflow.stages[source.stage],
                        producer.index as usize,
                        &source.gathered_axes,
                    ),
                    kind: outputs[source.output].1,
                    digest,
                });
            }
        }
        given
    }

    /// All digests, by output slot.
    pub fn into_digests(self) -> Vec<Option<Digest>> {
        self.digests
    }

    /// Where everything upstream of an action comes from.
    pub fn provenance(&self, action: ActionId) -> Arc<Provenance> {
        Arc::new(provenance::of(self, action))
    }
}

/// The record of a key, when all its objects are there too.
pub(crate) fn look_up(cache: &Cache, key: &ActionKey) -> Result<Lookup, CacheError> {
    let Some(record) = cache.get_action(key)? else { return Ok(Lookup::Unknown) };
    match record.outputs.iter().find(|output| !cache.has_object(&output.digest, output.size)) {
        Some(missing) => Ok(Lookup::ObjectMissing(missing.port.clone(), missing.digest)),
        None => Ok(Lookup::Cached(record)),
    }
}

/// What the cache says of a key.
pub(crate) enum Lookup {
    /// Known, with all its objects.
    Cached(ActionRecord),
    /// Known, but the object of this port is missing or has another size.
    ObjectMissing(String, Digest),
    /// Never executed.
    Unknown,
}
