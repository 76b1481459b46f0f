//! Quality that is the same within a class or within each group.

use std::collections::BTreeMap;

use fuseline_artifact::Severity;
use fuseline_stats::binomial::at_least;

use super::collector::{Collector, fault};
use super::data::{Check, DataAudit};
use super::{Scores, Study};

/// The chance of a false alarm, of each quality.
const FALSE_ALARM: f64 = 1e-3;

/// Looks at every native quality.
pub(super) fn check(study: &Study, options: &DataAudit, found: &mut Collector) {
    for scores in &study.quality {
        found.examined(Check::ConstantQuality, &scores.name);
        let shares = shares(&scores.values);
        if shares.len() < 2 {
            let message = format!(
                "{} has one value in all {} examples: no permutation changes anything",
                scores.name,
                scores.rows.len()
            );
            let mut fault = blank(scores, "distinct_values", message);
            (fault.value, fault.threshold) = (Some(1.0), Some(2.0));
            found.add(fault);
            continue;
        }
        within_classes(study, scores, &shares, found);
        within_groups(study, scores, &shares, options.constant_share(), found);
    }
}

fn blank(scores: &Scores, statistic: &str, message: String) -> fuseline_artifact::Fault {
    fault(Check::ConstantQuality, Severity::Warning, &scores.name, statistic, message)
}

/// Share of each distinct value.
fn shares(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let all = values.len() as f64;
    sorted.chunk_by(|a, b| a == b).map(|run| run.len() as f64 / all).collect()
}

/// Chance that so many examples drawn at random have one value.
fn chance_of_one_value(shares: &[f64], examples: usize) -> f64 {
    shares.iter().map(|share| libm::pow(*share, examples as f64)).sum()
}

/// Values by key, each with how many examples it has.
fn by_key<K: Ord + Copy>(scores: &Scores, key: impl Fn(usize) -> K) -> BTreeMap<K, (usize, bool)> {
    let mut first = BTreeMap::new();
    let mut found = BTreeMap::<K, (usize, bool)>::new();
    for (&row, &value) in scores.rows.iter().zip(&scores.values) {
        let key = key(row as usize);
        let (examples, is_one) = found.entry(key).or_insert((0, true));
        *examples += 1;
        *is_one &= *first.entry(key).or_insert(value) == value;
    }
    found
}

fn within_classes(study: &Study, scores: &Scores, shares: &[f64], found: &mut Collector) {
    let classes = by_key(scores, |row| study.cohort.label[row]);
    for (&class, &(examples, is_one)) in &classes {
        let chance = chance_of_one_value(shares, examples) * classes.len() as f64;
        if !is_one || chance > FALSE_ALARM {
            continue;
        }
        let name = &study.cohort.classes[class as usize];
        let message = format!(
            "{} has one value in all {examples} examples of {name}: it tells the label rather \
             than how reliable the evidence is",
            scores.name
        );
        let mut fault = blank(scores, "distinct_values_in_class", message);
        fault.severity = Severity::Error;
        fault.column = Some(name.clone());
        (fault.value, fault.threshold) = (Some(1.0), Some(2.0));
        fault.p_value = Some(chance);
        found.add(fault);
    }
}

fn within_groups(
    study: &Study,
    scores: &Scores,
    shares: &[f64],
    least: f64,
    found: &mut Collector,
) {
    let groups = by_key(scores, |row| study.group[row]);
    let several: Vec<(usize, bool)> =
        groups.into_values().filter(|(examples, _)| *examples > 1).collect();
    if several.len() < 3 {
        return;
    }
    let constant = several.iter().filter(|(_, is_one)| *is_one).count();
    let share = constant as f64 / several.len() as f64;
    // Groups differ in size: the tail of a sum of unequal chances is within that of their mean.
    let chances = several.iter().map(|(examples, _)| chance_of_one_value(shares, *examples));
    let mean = chances.sum::<f64>() / several.len() as f64;
    let chance = match mean {
        ..1.0 => at_least(constant as u64, several.len() as u64, mean.max(1e-300)),
        _ => 1.0,
    };
    if share < least || chance > FALSE_ALARM {
        return;
    }
    let message = format!(
        "{} has one value in {constant} of {} groups of two or more examples: the scheme \
         within_group changes nothing there, and exchanging rows one at a time tests whose \
         example it is; `whole_groups` exchanges groups",
        scores.name,
        several.len()
    );
    let mut fault = blank(scores, "share_of_groups", message);
    (fault.value, fault.threshold, fault.p_value) = (Some(share), Some(least), Some(chance));
    found.add(fault);
}
