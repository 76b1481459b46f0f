//! Examples that are copies of one another, or nearly, where a split may part them.

use std::collections::BTreeMap;

use fuseline_artifact::{Digest, Severity};
use fuseline_stats::duplicates::{FeatureRows, Limits, NearestLaw, find_near};
use fuseline_stats::streams::Stream;

use super::collector::{Collector, fault};
use super::data::{Check, DataAudit};
use super::{Study, Table};

/// Expected number of pairs that chance makes as equal, of one modality, that is accepted.
const FALSE_ALARMS: f64 = 1e-3;
/// Comparisons of two rows after which a search ends.
const MAX_COMPARISONS: u64 = 1_000_000_000;
/// Share of its features that an example must have to be compared.
const LEAST_OBSERVED: f64 = 0.5;

/// Looks for copies in every modality.
pub(super) fn check(study: &Study, options: &DataAudit, found: &mut Collector) {
    for table in &study.features {
        check_table(study, table, options, found);
    }
}

/// Mean and scale of a feature that varies.
struct Scaled {
    column: usize,
    mean: f64,
    scale: f64,
}

fn check_table(study: &Study, table: &Table, options: &DataAudit, found: &mut Collector) {
    let exact = options.checks(Check::Duplicate);
    let near = options.checks(Check::NearDuplicate);
    if !exact && !near {
        return;
    }
    let columns = scaled(table);
    let places = observed(table, &columns);
    let row = |place: usize| table.rows[places[place]].0 as usize;
    let value = |place: usize, column: usize| {
        let Scaled { column, mean, scale } = columns[column];
        let value = table.value(places[place], column);
        if value.is_nan() { 0.0 } else { (value - mean) / scale }
    };
    let of = FeatureRows {
        rows: places.len(),
        columns: columns.len(),
        value: &value,
        compares: &|one, other| study.group[row(one)] != study.group[row(other)],
    };
    let stream = Stream::new(0, "audit.data");
    let Some(law) = NearestLaw::learn(&of, &stream) else {
        let reason = "too few examples of different groups, or features too coarse to tell a copy \
                      from a coincidence";
        for check in [Check::Duplicate, Check::NearDuplicate] {
            if options.checks(check) {
                found.not_examined(check, &table.name, reason);
            }
        }
        return;
    };
    let (copies, digests) = equal_rows(table, &columns, &places);
    if exact {
        let ties =
            ln_coincidence(table, &columns, &places) * (law.dimension / columns.len() as f64);
        let pairs = places.len() as f64 * (places.len() as f64 - 1.0) / 2.0;
        if libm::log(pairs) + ties > libm::log(FALSE_ALARMS) {
            let reason = "features too few or too coarse to tell a copy from a coincidence";
            found.not_examined(Check::Duplicate, &table.name, reason);
        } else {
            found.examined(Check::Duplicate, &table.name);
            for [one, other] in copies.iter().flat_map(|copies| parted(study, &row, copies)) {
                add(study, Check::Duplicate, table, [row(one), row(other)], (0.0, 0.0), found);
            }
        }
    }
    if near {
        let compares = |one: usize, other: usize| {
            digests[one] != digests[other] && study.may_part(row(one), row(other))
        };
        let of = FeatureRows { compares: &compares, ..of };
        let limits = Limits {
            distance: options.near(),
            false_alarms: FALSE_ALARMS,
            comparisons: MAX_COMPARISONS,
        };
        let near = find_near(&of, &law, &limits, &stream);
        let source = format!("{}, within {:.4}", table.name, near.distance);
        found.examined(Check::NearDuplicate, &source);
        if !near.complete {
            let reason = "so many examples are this near each other that the search ended early";
            found.not_examined(Check::NearDuplicate, &table.name, reason);
        }
        for pair in near.pairs {
            let rows = [row(pair.first), row(pair.second)];
            let measured = (pair.distance, near.distance);
            add(study, Check::NearDuplicate, table, rows, measured, found);
        }
    }
}

/// The features that vary, with mean and population standard deviation of what was observed.
fn scaled(table: &Table) -> Vec<Scaled> {
    (0..table.features.columns.len())
        .filter_map(|column| {
            let values = || {
                (0..table.rows.len())
                    .map(|place| table.value(place, column))
                    .filter(|value| !value.is_nan())
            };
            let count = values().count() as f64;
            let mean = values().sum::<f64>() / count;
            let squares: f64 = values().map(|value| (value - mean) * (value - mean)).sum();
            let scale = (squares / count).sqrt();
            (scale > 1e-12 * mean.abs().max(1.0)).then_some(Scaled { column, mean, scale })
        })
        .collect()
}

/// Places of the examples that have half of these features or more.
fn observed(table: &Table, columns: &[Scaled]) -> Vec<usize> {
    let least = LEAST_OBSERVED * columns.len() as f64;
    let counts = |place: &usize| {
        columns.iter().filter(|of| !table.value(*place, of.column).is_nan()).count() as f64
    };
    (0..table.rows.len()).filter(|place| counts(place) >= least).collect()
}

/// Sets of examples whose features are equal, and the digest of each example's.
fn equal_rows(
    table: &Table,
    columns: &[Scaled],
    places: &[usize],
) -> (Vec<Vec<usize>>, Vec<Digest>) {
    let digests: Vec<Digest> = places
        .iter()
        .map(|&place| {
            Digest::of_pieces(|take| {
                for of in columns {
                    // One bit pattern for each number: 0 and -0 are equal, and so are all NaN.
                    let value = table.value(place, of.column) + 0.0;
                    let bits = if value.is_nan() { u64::MAX } else { value.to_bits() };
                    take(&bits.to_le_bytes());
                }
            })
        })
        .collect();
    let mut by_digest = BTreeMap::<Digest, Vec<usize>>::new();
    for (at, digest) in digests.iter().enumerate() {
        by_digest.entry(*digest).or_default().push(at);
    }
    let mut copies: Vec<Vec<usize>> =
        by_digest.into_values().filter(|copies| copies.len() > 1).collect();
    copies.sort();
    (copies, digests)
}

/// Natural logarithm of the chance that two examples have equal features, were these independent.
fn ln_coincidence(table: &Table, columns: &[Scaled], places: &[usize]) -> f64 {
    let pairs = places.len() as f64 * (places.len() as f64 - 1.0) / 2.0;
    columns
        .iter()
        .map(|of| {
            let mut values: Vec<f64> =
                places.iter().map(|&place| table.value(place, of.column)).collect();
            values.sort_by(f64::total_cmp);
            let runs = values.chunk_by(|a, b| a == b || a.is_nan() && b.is_nan());
            let ties: f64 = runs.map(|run| run.len() as f64 * (run.len() as f64 - 1.0) / 2.0).sum();
            libm::log(ties.max(1.0) / pairs)
        })
        .sum()
}

/// Pairs of a set of copies that a split may part: each example with the first that it is parted
/// from.
fn parted<'s>(
    study: &'s Study,
    row: &'s impl Fn(usize) -> usize,
    copies: &'s [usize],
) -> impl Iterator<Item = [usize; 2]> + 's {
    copies.iter().enumerate().skip(1).filter_map(move |(at, &other)| {
        let first = copies[..at].iter().find(|one| study.may_part(row(**one), row(other)))?;
        Some([*first, other])
    })
}

fn add(
    study: &Study,
    check: Check,
    table: &Table,
    [one, other]: [usize; 2],
    (distance, threshold): (f64, f64),
    found: &mut Collector,
) {
    let what = match check {
        Check::Duplicate => "have equal features",
        _ => "have nearly equal features",
    };
    let split = study.splits.iter().find(|split| split.fold[one] != split.fold[other]);
    let parted = match split {
        Some(split) => format!(
            "stand in folds {} and {} of {}: while one is tested, the other trains",
            split.fold[one], split.fold[other], split.name
        ),
        None => "are of different groups, so that a split may part them".to_owned(),
    };
    let labels = match study.class(one) == study.class(other) {
        true => format!("both are {}", study.class(one)),
        false => format!("one is {} and the other {}", study.class(one), study.class(other)),
    };
    let severity = if split.is_some() { Severity::Error } else { Severity::Warning };
    let message = format!(
        "{} and {} {what} in {} and {parted}; {labels}",
        study.id(one),
        study.id(other),
        table.name
    );
    let mut fault = fault(check, severity, &table.name, "rms_difference", message);
    fault.first_example_id = Some(study.id(one).to_owned());
    fault.second_example_id = Some(study.id(other).to_owned());
    (fault.value, fault.threshold) = (Some(distance), Some(threshold));
    found.add(fault);
}
