//! Origin of a report's inputs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use fuseline_artifact::Digest;
use fuseline_workflow::{IndexVec, OutputIndex, VariantIndex};
use serde_json::Value;

use crate::cautions::ActionCautions;
use crate::discovered::DiscoveredFile;
use crate::files_read::{FileRead, files_of_actions};
use crate::inputs::{Point, Provenance};
use crate::plan::{ActionId, Plan, PlannedRule};

/// The provenance of some of a plan's actions. `digest`: an output of an action, once it is known.
pub(crate) fn collect(
    plan: &Plan<'_>,
    includes: impl Fn(ActionId) -> bool,
    digest: impl Fn(ActionId, OutputIndex) -> Option<Digest>,
    cautions: Vec<ActionCautions>,
    discovered: &BTreeMap<ActionId, Vec<DiscoveredFile>>,
) -> Provenance {
    let workflow = plan.workflow;
    let folder = workflow.path.parent().unwrap_or(Path::new(""));
    let mut provenance = Provenance {
        fuseline_version: env!("CARGO_PKG_VERSION").to_owned(),
        workflow: workflow.name.clone(),
        file: file_name(&workflow.path),
        description: workflow.description.clone(),
        workflow_digest: Digest::from(workflow.digest).to_string(),
        seed: workflow.seed,
        params: workflow
            .params
            .iter()
            .map(|(name, value)| (name.clone(), text(value, folder)))
            .collect(),
        shortened: workflow
            .params
            .iter()
            .filter(|(_, value)| is_elsewhere(value, folder))
            .map(|(name, _)| name.clone())
            .collect(),
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
    for (number, stage) in workflow.stages.iter_enumerated() {
        let actions: Vec<_> = plan.actions_of(number).filter(|&action| includes(action)).collect();
        let Some(&first) = actions.first() else { continue };
        let kind = plan.kind_name(first);
        let mut seen: IndexVec<VariantIndex, _> = vec![false; stage.variants.len()].into();
        for &action in &actions {
            let (_, index) = plan.stage_of(action);
            if !std::mem::replace(&mut seen[stage.actions.variant(index)], true) {
                let rule = plan.variant(number, index).rule.as_deref();
                let plugin = |rule: &PlannedRule| (rule.id.clone(), rule.digest.to_string());
                provenance.plugins.extend(rule.map(plugin));
            }
        }
        let same = actions.iter().all(|&action| plan.kind_name(action) == kind);
        let family = kind.split_once('.').map_or(kind, |(family, _)| family);
        let kind = if same { kind.to_owned() } else { format!("{family}.*") };
        provenance.stages.push((stage.name.clone(), kind, actions.len()));
        let axes = stage.over.iter().map(|&axis| workflow.axes[axis].name.clone());
        provenance.stage_axes.push(axes.collect());
        let (mut joined, mut connected) = (BTreeSet::new(), BTreeSet::new());
        for input in &stage.inputs {
            for source in &input.sources {
                let from = workflow.stages[source.stage].name.clone();
                let output = plan.stages[source.stage].outputs.get(source.output);
                let output = output.map(|(port, _)| port.clone()).unwrap_or_default();
                if connected.insert((source.stage, source.output, &input.port)) {
                    let ports = (from.clone(), output, stage.name.clone(), input.port.clone());
                    provenance.ports.push(ports);
                }
                if joined.insert(source.stage) {
                    provenance.edges.push((from, stage.name.clone()));
                }
            }
        }
        if stage.inputs.is_empty() {
            for action in actions {
                if let Some(digest) = digest(action, OutputIndex::default()) {
                    provenance.sources.push((plan.action_label(action), digest.to_string()));
                }
            }
        }
    }
    provenance.cautions = cautions;
    let files = files_of_actions(plan, includes, discovered);
    provenance.files = files
        .into_iter()
        .map(|file| FileRead { path: file_name(Path::new(&file.path)), ..file })
        .collect();
    provenance.files.sort();
    provenance.files.dedup();
    provenance.plugins.sort();
    provenance.plugins.dedup();
    provenance
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

/// A parameter for people. A path is relative to the workflow's folder, and keeps its last
/// component only where it lies elsewhere: where a file lies is not part of a result.
fn text(value: &Value, folder: &Path) -> String {
    match value {
        Value::String(text) => match Path::new(text) {
            path if is_elsewhere(value, folder) => file_name(path),
            path => match path.strip_prefix(folder) {
                Ok(inside) if path.is_absolute() && inside.as_os_str().is_empty() => ".".to_owned(),
                Ok(inside) if path.is_absolute() => inside.to_string_lossy().into_owned(),
                _ => text.clone(),
            },
        },
        other => other.to_string(),
    }
}

/// True of a path that lies outside of the workflow's folder.
fn is_elsewhere(value: &Value, folder: &Path) -> bool {
    let path = value.as_str().map(Path::new).filter(|path| path.is_absolute());
    path.is_some_and(|path| !folder.is_absolute() || path.strip_prefix(folder).is_err())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_relative_to_the_workflows_folder_or_its_last_component() {
        let folder = Path::new("/study");
        let told = |value: &str| {
            let value = Value::from(value);
            (text(&value, folder), is_elsewhere(&value, folder))
        };
        assert_eq!(told("/study/data/a"), ("data/a".to_owned(), false));
        assert_eq!(told("/study"), (".".to_owned(), false));
        assert_eq!(told("/lab/data"), ("data".to_owned(), true));
        assert_eq!(told("burst"), ("burst".to_owned(), false));
        assert_eq!(text(&Value::from(5), folder), "5");
    }
}
