//! Optional figures of a report whose stage is given more than findings: reliability curves, and
//! gaps by fold.

use std::collections::BTreeMap;

use fuseline_artifact::{
    Cohort, Digest, Evidence, Finding, Findings, Permutations, Quality, RoutingRow,
};
use fuseline_engine::{Inputs, Labelled, Point, Provenance, StageError};
use fuseline_report as report;
use fuseline_stats::reliability::reliability_curve;

use crate::pool::Pooled;
use crate::report::supplements::rows;
use crate::rows::{Finder, cohort_rows, decision};
use crate::upstream::place_words;

/// Bins of a reliability curve.
const BINS: usize = 10;

/// Point and modality of a curve, with quality and the expert's correctness, example by example.
type Curve = ((Point, String), Vec<f64>, Vec<bool>);

/// Accuracy of each expert at each level of quality: one curve a modality and point of the
/// quality, pooled over the axes that the findings lack. None unless evidence, quality and cohort
/// arrived.
pub(crate) fn reliability(
    inputs: &Inputs<'_>,
    findings: &Findings,
) -> Result<Vec<report::ReliabilityCurve>, StageError> {
    let evidence: Vec<Labelled<Evidence>> = inputs.many("evidence")?;
    let quality: Vec<Labelled<Quality>> = inputs.many("quality")?;
    let Some(cohort) = inputs.optional::<Cohort>("cohort")? else { return Ok(Vec::new()) };
    let mut curves = Vec::<Curve>::new();
    for Labelled { point, artifact: quality } in &quality {
        let here: Point =
            point.iter().filter(|(axis, _)| findings.axes.contains(axis)).cloned().collect();
        let key = (here, quality.modality.clone());
        let slot = curves.iter().position(|(known, _, _)| *known == key).unwrap_or_else(|| {
            curves.push((key, Vec::new(), Vec::new()));
            curves.len() - 1
        });
        let (_, values, right) = &mut curves[slot];
        let mut at = Finder::new(&quality.example_id);
        let own = evidence.iter().filter(|labelled| {
            labelled.artifact.modality == quality.modality && agree(&labelled.point, point)
        });
        for Labelled { artifact: evidence, .. } in own {
            let rows = cohort_rows(evidence, &cohort)?;
            let each = evidence.example_id.iter().zip(rows).zip(crate::quality::each_row(evidence));
            for ((id, row), probabilities) in each {
                if let Some(at) = at.find(id) {
                    values.push(quality.quality[at]);
                    right.push(decision(probabilities) == cohort.label[row] as usize);
                }
            }
        }
    }
    let curve = |((point, modality), values, right): Curve| {
        let bins = reliability_curve(&values, &right, BINS)
            .map_err(|error| StageError::data(error.to_string()))?;
        let bins = bins.into_iter().map(|bin| report::ReliabilityBin {
            quality: bin.quality,
            accuracy: bin.accuracy,
            n: bin.rows as u64,
        });
        Ok(report::ReliabilityCurve { point, modality, bins: bins.collect() })
    };
    curves.into_iter().map(curve).collect()
}

/// Result of each point of the tables of `diagnose.routing`.
pub(crate) fn routing(inputs: &Inputs<'_>) -> Result<Vec<report::Routing>, StageError> {
    let mut points: Vec<report::Routing> = Vec::new();
    for (point, RoutingRow { measure, value, .. }) in rows(inputs, "routing")? {
        let place = points.iter().position(|of| of.point == point).unwrap_or_else(|| {
            points.push(report::Routing { point, ..report::Routing::default() });
            points.len() - 1
        });
        let of = &mut points[place];
        match measure.as_str() {
            "ba_fused" => of.fused = value,
            "ba_unimodal" => {
                of.best_expert = of.best_expert.into_iter().chain(value).reduce(f64::max);
            }
            "ba_router" => of.router = value,
            "ba_router_without_quality" => of.router_without_quality = value,
            "ba_oracle" => of.oracle = value,
            "routing_regret" => of.regret = value,
            _ => {}
        }
    }
    Ok(points)
}

/// True if two points agree in every axis that both have.
fn agree(one: &Point, other: &Point) -> bool {
    one.iter().all(|(axis, label)| {
        other.iter().find(|(known, _)| known == axis).is_none_or(|(_, also)| also == label)
    })
}

/// The gap of each part of a finding, such as each fold, where the permutations have exactly one
/// more axis.
pub(crate) fn spreads(
    findings: &Findings,
    permutations: &[Labelled<Permutations>],
) -> Result<Vec<report::Spread>, StageError> {
    let mut parts = BTreeMap::<(Vec<&str>, &str), Vec<(String, f64)>>::new();
    for Labelled { point, artifact } in permutations {
        let mut more = point.iter().filter(|(axis, _)| !findings.axes.contains(axis));
        let (Some((unit, name)), None) = (more.next(), more.next()) else { continue };
        let label = |axis: &String| {
            point.iter().find(|(known, _)| known == axis).map(|(_, label)| label.as_str())
        };
        let here: Option<Vec<&str>> = findings.axes.iter().map(label).collect();
        let Some(here) = here else { continue };
        let Pooled { clean, broken, .. } = Pooled::gather([artifact])?;
        let gap = clean - broken.iter().sum::<f64>() / broken.len() as f64;
        parts.entry((here, unit)).or_default().push((name.clone(), gap));
    }
    let mut spreads = Vec::new();
    for Finding { point, .. } in &findings.rows {
        let here: Vec<&str> = point.iter().map(String::as_str).collect();
        for ((_, unit), gaps) in parts.iter().filter(|((place, _), _)| *place == here) {
            spreads.push(report::Spread {
                point: findings.axes.iter().cloned().zip(point.iter().cloned()).collect(),
                unit: (*unit).to_owned(),
                gaps: gaps.clone(),
            });
        }
    }
    Ok(spreads)
}

/// The parts of findings, such as folds, whose test examples are all of one class.
pub(crate) fn one_class(
    findings: &Findings,
    permutations: &[Labelled<Permutations>],
) -> Vec<(String, String)> {
    let mut parts = Vec::new();
    for Labelled { point, artifact } in permutations {
        let clean = artifact.permutation.iter().zip(&artifact.class).zip(&artifact.n);
        let mut tested = clean.filter(|((at, _), n)| **at == -1 && **n > 0).map(|((_, of), _)| *of);
        let (Some(class), None) = (tested.next(), tested.next()) else { continue };
        let of_part = point.iter().filter(|(axis, _)| !findings.axes.contains(axis));
        let named = place_words(of_part.map(|(axis, label)| (axis, label)));
        let part = (named, artifact.classes[class as usize].clone());
        if !part.0.is_empty() && !parts.contains(&part) {
            parts.push(part);
        }
    }
    parts
}

/// The plugins that took part, with the version that each states.
pub(crate) fn plugins(
    inputs: &Inputs<'_>,
    provenance: &Provenance,
) -> Result<Vec<report::PluginUsed>, StageError> {
    let library = &inputs.services().plugins;
    let of = |(id, digest): &(String, String)| {
        let version = match digest.parse::<Digest>() {
            Ok(known) => {
                let file = library.find_by_digest(id, &known)?;
                inputs.load_rule(&file)?.descriptor().version.clone()
            }
            Err(_) => String::new(),
        };
        Ok(report::PluginUsed { id: id.clone(), digest: digest.clone(), version })
    };
    provenance.plugins.iter().map(of).collect()
}
