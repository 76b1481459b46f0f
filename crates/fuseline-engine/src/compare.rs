//! Differences between two runs, and their reasons.

use std::collections::BTreeMap;

use fuseline_artifact::{Artifact, ArtifactKind, Control, Digest, Finding, Findings, Typed};
use fuseline_cache::{Cache, CacheError};
use fuseline_workflow::StageIndex;
use serde::Serialize;
use serde_json::Value;

use crate::cautions::Caution;
use crate::explain::{first_difference, last_record};
use crate::manifest::{Manifest, ManifestAction};

/// Differences between two runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// Parameters, the seed, versions and plugins that differ: name, before, after; `null` where
    /// there is none.
    pub settings: Vec<(String, Value, Value)>,
    /// Number of actions with the same key and outputs.
    pub same: usize,
    /// Actions of both that have another key, or other outputs.
    pub changed: Vec<Change>,
    /// Actions that only the first has.
    pub gone: Vec<String>,
    /// Actions that only the second has.
    pub new: Vec<String>,
    /// Rows of findings that moved.
    pub findings: Vec<Moved>,
    /// Cautions that only the first has.
    pub cautions_gone: Vec<Caution>,
    /// Cautions that only the second has.
    pub cautions_new: Vec<Caution>,
}

/// An action that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// `stage[axis=label]`.
    pub action: String,
    /// Its stage.
    pub stage: String,
    /// The first field of its key that differs.
    pub reason: String,
    /// True if its outputs have the same digests; `None` when one of the runs did not reach it.
    pub same_outputs: Option<bool>,
}

/// A row of findings that moved, or that only one of the runs has.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Moved {
    /// The stage whose findings they are.
    pub stage: String,
    /// The row's point: axis and label.
    pub point: Vec<(String, String)>,
    /// The numbers that moved: column, before, after; `null` where there is none.
    pub columns: Vec<(String, Value, Value)>,
}

/// Compares two runs. The reasons come from the records of their actions, while the cache has them.
pub fn compare(cache: &Cache, a: &Manifest, b: &Manifest) -> Result<Comparison, CacheError> {
    let by_name = |manifest: &Manifest| -> BTreeMap<String, ManifestAction> {
        let actions = manifest.actions.iter();
        actions.map(|action| (action.action.clone(), action.clone())).collect()
    };
    let (before, after) = (by_name(a), by_name(b));
    let mut comparison = Comparison {
        settings: settings(a, b),
        same: 0,
        changed: Vec::new(),
        gone: a.actions.iter().map(|action| &action.action).cloned().collect(),
        new: Vec::new(),
        findings: Vec::new(),
        cautions_gone: cautions_only_in(a, b),
        cautions_new: cautions_only_in(b, a),
    };
    comparison.gone.retain(|name| !after.contains_key(name));
    for action in &b.actions {
        match before.get(&action.action) {
            None => comparison.new.push(action.action.clone()),
            Some(old) if old.key == action.key && old.outputs == action.outputs => {
                comparison.same += 1;
            }
            Some(old) => comparison.changed.push(Change {
                action: action.action.clone(),
                stage: b.stages[action.stage].name.clone(),
                reason: reason(cache, old, action),
                same_outputs: (!old.outputs.is_empty() && !action.outputs.is_empty())
                    .then(|| old.outputs == action.outputs),
            }),
        }
    }
    comparison.findings = findings(cache, a, b)?;
    Ok(comparison)
}

/// The cautions of a run whose texts another does not have.
fn cautions_only_in(run: &Manifest, other: &Manifest) -> Vec<Caution> {
    let is_shared = |of: &&Caution| other.cautions.iter().any(|known| known.text == of.text);
    run.cautions.iter().filter(|of| !is_shared(of)).cloned().collect()
}

fn reason(cache: &Cache, old: &ManifestAction, new: &ManifestAction) -> String {
    if old.key == new.key {
        return match (old.outputs.is_empty(), new.outputs.is_empty()) {
            (false, false) => {
                "its outputs differ though its key does not: its stage kind is not deterministic"
            }
            _ => "only one of the runs finished it",
        }
        .to_owned();
    }
    let fields =
        |action: &ManifestAction| last_record(cache, action.key).map(|record| record.key_text);
    match (old.key, new.key, fields(old), fields(new)) {
        (None, ..) | (_, None, ..) => "only one of the runs reached it".to_owned(),
        (_, _, Some(old), Some(new)) => {
            first_difference(&old, &new).unwrap_or_else(|| "its key is another".to_owned())
        }
        _ => "its key is another; the record that says why is not in the cache".to_owned(),
    }
}

fn settings(a: &Manifest, b: &Manifest) -> Vec<(String, Value, Value)> {
    let of = |manifest: &Manifest| {
        let mut all: BTreeMap<String, Value> = BTreeMap::new();
        all.insert("fuseline".to_owned(), manifest.fuseline_version.clone().into());
        all.insert("seed".to_owned(), manifest.seed.into());
        all.insert("workflow".to_owned(), manifest.workflow.clone().into());
        all.insert("workflow digest".to_owned(), manifest.workflow_digest.short().into());
        let params = manifest.params.iter();
        all.extend(params.map(|(name, value)| (format!("params.{name}"), value.clone())));
        let plugins = manifest.plugins.iter();
        all.extend(plugins.map(|(id, digest)| (format!("plugin {id}"), digest.short().into())));
        all
    };
    let (a, b) = (of(a), of(b));
    differences(&a, &b)
}

/// Names whose values differ, in order.
fn differences(
    a: &BTreeMap<String, Value>,
    b: &BTreeMap<String, Value>,
) -> Vec<(String, Value, Value)> {
    let mut names: Vec<_> = a.keys().chain(b.keys()).collect();
    names.sort();
    names.dedup();
    let value = |of: &BTreeMap<String, Value>, name| of.get(name).cloned().unwrap_or_default();
    names
        .into_iter()
        .map(|name| (name.clone(), value(a, name), value(b, name)))
        .filter(|(_, before, after)| before != after)
        .collect()
}

type Rows = BTreeMap<Vec<(String, String)>, BTreeMap<String, Value>>;

/// Rows of the last stage of the second run that gives findings in both.
fn findings(cache: &Cache, a: &Manifest, b: &Manifest) -> Result<Vec<Moved>, CacheError> {
    let kind = ArtifactKind::Findings.name();
    for (number, stage) in b.stages.iter_enumerated().rev() {
        let Some(port) = stage.outputs.iter().position(|(_, of)| of == kind) else { continue };
        let Some(earlier) = a.stages.position(|of| {
            of.name == stage.name && of.outputs.get(port).is_some_and(|(_, of)| of == kind)
        }) else {
            continue;
        };
        let digests = |manifest: &Manifest, stage: StageIndex| -> Vec<Digest> {
            let actions = manifest.actions.iter().filter(|action| action.stage == stage);
            actions.filter_map(|action| action.outputs.get(port).copied()).collect()
        };
        let (before, after) = (digests(a, earlier), digests(b, number));
        if before.is_empty() || after.is_empty() {
            continue;
        }
        let (before, after) = (rows(cache, &before)?, rows(cache, &after)?);
        let mut points: Vec<_> = before.keys().chain(after.keys()).collect();
        points.sort();
        points.dedup();
        let none = BTreeMap::new();
        return Ok(points
            .into_iter()
            .map(|point| Moved {
                stage: stage.name.clone(),
                point: point.clone(),
                columns: differences(
                    before.get(point).unwrap_or(&none),
                    after.get(point).unwrap_or(&none),
                ),
            })
            .filter(|moved| !moved.columns.is_empty())
            .collect());
    }
    Ok(Vec::new())
}

fn rows(cache: &Cache, digests: &[Digest]) -> Result<Rows, CacheError> {
    let mut rows = Rows::new();
    for digest in digests {
        // An object that a garbage collection removed cannot be compared.
        let Some(bytes) = cache.get_object(digest)? else { continue };
        let read = Artifact::decode(ArtifactKind::Findings, None, bytes)
            .and_then(|artifact| Findings::from_artifact(&artifact));
        match read {
            Ok(table) => rows.extend(table.rows.iter().map(|row| {
                let labels = row.point.iter().cloned();
                (table.axes.iter().cloned().zip(labels).collect(), columns(row))
            })),
            Err(error) => {
                tracing::warn!(%digest, %error, "findings of another version are left out")
            }
        }
    }
    Ok(rows)
}

/// Compared columns of a finding.
fn columns(row: &Finding) -> BTreeMap<String, Value> {
    // Of a label that is a number, the gap is in the unit of its metric.
    let gap = if row.metric.is_some() { "metric_gap" } else { "gap" };
    let columns: [(&str, Value); 12] = [
        ("control", Control::name(row.control).into()),
        ("n_examples", row.n_examples.into()),
        ("n_permutations", row.n_permutations.into()),
        ("ba_clean", row.ba_clean.into()),
        ("ba_broken", row.ba_broken.into()),
        ("ba_without_quality", row.ba_without_quality.into()),
        (gap, row.gap.into()),
        ("p_value", row.p_value.into()),
        ("p_adjusted", row.p_adjusted.into()),
        ("equivalent", row.equivalent.into()),
        ("flip_rate", row.flip_rate.into()),
        ("headroom", row.headroom.into()),
    ];
    let of_metric = row.metric.iter().flat_map(|of| {
        [
            ("metric_clean", of.clean.into()),
            ("metric_broken", of.broken.into()),
            ("metric_without_quality", of.without_quality.into()),
        ]
    });
    let all = columns.into_iter().chain(of_metric);
    all.map(|(name, value)| (name.to_owned(), value)).collect()
}
