//! Origin of a report's inputs.

use std::collections::BTreeSet;
use std::path::Path;

use fuseline_artifact::Digest;

use crate::cautions::ActionCautions;
use crate::inputs::{Point, Provenance};
use crate::key::fields;
use crate::plan::{ActionId, Plan, PlannedVariant};

/// The provenance of some of a plan's actions. `digest`: an output of an action, once it is known.
pub(crate) fn collect(
    plan: &Plan<'_>,
    includes: impl Fn(ActionId) -> bool,
    digest: impl Fn(ActionId, usize) -> Option<Digest>,
    cautions: Vec<ActionCautions>,
) -> Provenance {
    let workflow = plan.workflow;
    let mut provenance = Provenance {
        fuseline_version: env!("CARGO_PKG_VERSION").to_owned(),
        workflow: workflow.name.clone(),
        file: file_name(&workflow.path),
        description: workflow.description.clone(),
        workflow_digest: Digest::from(workflow.digest).to_string(),
        seed: workflow.seed,
        params: workflow.params.iter().map(|(name, value)| (name.clone(), text(value))).collect(),
        axes: workflow
            .axes
            .iter()
            .map(|axis| {
                let labels = axis.points.iter().map(|point| point.label.clone()).collect();
                (axis.name.clone(), labels)
            })
            .collect(),
        ..Provenance::default()
    };
    let mut joined = BTreeSet::new();
    for (number, stage) in workflow.stages.iter().enumerate() {
        let actions: Vec<_> = plan.actions_of(number).filter(|&action| includes(action)).collect();
        let Some(&first) = actions.first() else { continue };
        let kind = plan.kind_name(first);
        let mut seen = vec![false; plan.stages[number].variants.len()];
        for &action in &actions {
            let (_, index) = plan.stage_of(action);
            if !std::mem::replace(&mut seen[stage.actions.variant(index)], true) {
                provenance.plugins.extend(plugin(plan.variant(number, index)));
            }
        }
        let same = actions.iter().all(|&action| plan.kind_name(action) == kind);
        let family = kind.split_once('.').map_or(kind, |(family, _)| family);
        let kind = if same { kind.to_owned() } else { format!("{family}.*") };
        provenance.stages.push((stage.name.clone(), kind, actions.len()));
        for source in stage.inputs.iter().flat_map(|input| &input.sources) {
            if joined.insert((source.stage, number)) {
                let from = workflow.stages[source.stage].name.clone();
                provenance.edges.push((from, stage.name.clone()));
            }
        }
        if stage.inputs.is_empty() {
            for action in actions {
                if let Some(digest) = digest(action, 0) {
                    provenance.sources.push((plan.action_label(action), digest.to_string()));
                }
            }
        }
    }
    provenance.cautions = cautions;
    provenance.plugins.sort();
    provenance.plugins.dedup();
    provenance
}

/// The plugin that a key names: the field before the digest gives its id.
pub(crate) fn plugin(variant: &PlannedVariant) -> Option<(String, String)> {
    let mut named = fields(&variant.key).zip(fields(&variant.key).skip(1));
    let ((_, id), (_, digest)) = named.find(|(_, (name, _))| *name == b"plugin")?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some((text(id), text(digest)))
}

/// The digest under which provenance enters a key.
pub(crate) fn digest(provenance: &Provenance) -> Digest {
    // Plain structs of strings and numbers always serialise.
    Digest::hash(serde_json::to_vec(provenance).unwrap_or_default())
}

/// `stage[axis=label,axis=label]`.
pub fn action_label(stage: &str, point: &Point) -> String {
    if point.is_empty() {
        return stage.to_owned();
    }
    let coordinates: Vec<_> = point.iter().map(|(axis, label)| format!("{axis}={label}")).collect();
    format!("{stage}[{}]", coordinates.join(","))
}

/// The last component of a path.
pub fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// A parameter for people. A path keeps its last component only: where a file lies is not part of a
/// result.
fn text(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => match Path::new(text) {
            path if path.is_absolute() => file_name(path),
            _ => text.clone(),
        },
        other => other.to_string(),
    }
}
