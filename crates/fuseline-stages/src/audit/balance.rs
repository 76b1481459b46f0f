//! Folds that lack a class, that are far larger than others, or that one group fills.

use std::collections::BTreeMap;

use fuseline_artifact::Severity;

use super::collector::{Collector, fault};
use super::data::{Check, DataAudit};
use super::{Split, Study};

/// One fold's test rows.
#[derive(Default)]
struct Fold {
    rows: usize,
    classes: Vec<usize>,
    groups: BTreeMap<u32, usize>,
}

/// Looks at the test rows of every fold.
pub(super) fn check(study: &Study, options: &DataAudit, found: &mut Collector) {
    if study.splits.is_empty() {
        return found.not_examined(Check::Balance, "folds", "no folds were given");
    }
    for split in &study.splits {
        found.examined(Check::Balance, &split.name);
        let folds = folds(study, split);
        classes(study, split, &folds, options, found);
        sizes(split, &folds, options, found);
        groups(study, split, &folds, options, found);
    }
}

fn folds(study: &Study, split: &Split) -> BTreeMap<i32, Fold> {
    let mut folds = BTreeMap::<i32, Fold>::new();
    for (row, &fold) in split.fold.iter().enumerate().filter(|(_, fold)| **fold >= 0) {
        let fold = folds.entry(fold).or_default();
        fold.rows += 1;
        fold.classes.resize(study.cohort.classes.len(), 0);
        fold.classes[study.cohort.label[row] as usize] += 1;
        *fold.groups.entry(study.group[row]).or_default() += 1;
    }
    folds
}

fn classes(
    study: &Study,
    split: &Split,
    folds: &BTreeMap<i32, Fold>,
    options: &DataAudit,
    found: &mut Collector,
) {
    for (number, fold) in folds {
        for (class, &rows) in study.cohort.classes.iter().zip(&fold.classes) {
            if rows >= options.least_in_class() {
                continue;
            }
            let message = format!(
                "fold {number} of {} tests {rows} examples of {class}, of {} in all",
                split.name, fold.rows
            );
            let mut fault =
                fault(Check::Balance, Severity::Warning, &split.name, "class_rows", message);
            fault.column = Some(class.clone());
            fault.value = Some(rows as f64);
            fault.threshold = Some(options.least_in_class() as f64);
            found.add(fault);
        }
    }
}

fn sizes(split: &Split, folds: &BTreeMap<i32, Fold>, options: &DataAudit, found: &mut Collector) {
    let largest = folds.iter().max_by_key(|(_, fold)| fold.rows);
    let smallest = folds.iter().min_by_key(|(_, fold)| fold.rows);
    let (Some((most, large)), Some((least, small))) = (largest, smallest) else { return };
    let ratio = large.rows as f64 / small.rows as f64;
    if ratio <= options.fold_size_ratio() {
        return;
    }
    let message = format!(
        "the folds of {} are of unequal size: fold {most} tests {} examples, fold {least} {}",
        split.name, large.rows, small.rows
    );
    let mut fault =
        fault(Check::Balance, Severity::Warning, &split.name, "fold_size_ratio", message);
    (fault.value, fault.threshold) = (Some(ratio), Some(options.fold_size_ratio()));
    found.add(fault);
}

/// Groups that make up most of their fold. Where folds have one group each, that is the design.
fn groups(
    study: &Study,
    split: &Split,
    folds: &BTreeMap<i32, Fold>,
    options: &DataAudit,
    found: &mut Collector,
) {
    if folds.values().all(|fold| fold.groups.len() == 1) {
        return;
    }
    for (number, fold) in folds {
        let Some((&group, &rows)) = fold.groups.iter().max_by_key(|(_, rows)| **rows) else {
            continue;
        };
        let share = rows as f64 / fold.rows as f64;
        if share <= options.group_share() {
            continue;
        }
        let row = study.group.iter().position(|of| *of == group).unwrap_or_default();
        let name = &study.cohort.group[row];
        let message = format!(
            "group {name} is {:.0} % of the examples that fold {number} of {} tests",
            100.0 * share,
            split.name
        );
        let mut fault =
            fault(Check::Balance, Severity::Warning, &split.name, "group_share", message);
        fault.column = Some(name.to_owned());
        (fault.value, fault.threshold) = (Some(share), Some(options.group_share()));
        found.add(fault);
    }
}
