//! Folds that differ in label or metadata, and groups that stand in several folds.

use std::collections::BTreeMap;

use fuseline_artifact::Severity;
use fuseline_stats::association::{
    Association, NumberUnit, Unit, fold_by_category, fold_by_number,
};
use fuseline_stats::multiple::holm;
use fuseline_stats::streams::Stream;

use super::collector::{Collector, fault};
use super::data::{Check, DataAudit};
use super::{Split, Study};
use crate::rows::Finder;

/// Assignments of groups to folds that are drawn at least.
const LEAST_DRAWS: u32 = 1999;
/// Groups that all assignments deal together at most.
const MOST_DEALT: f64 = 4e9;
/// Categories from which a column is an identifier and no variable.
const MOST_CATEGORIES: usize = 50;
/// Distinct numbers from which a column is a number and not a code.
const LEAST_NUMBERS: usize = 11;

/// A variable that is known of each row of the cohort, where it is.
enum Variable {
    Category(Vec<Option<u32>>),
    Number(Vec<Option<f64>>),
}

/// One test.
struct Test<'s> {
    split: &'s Split,
    variable: String,
    statistic: &'static str,
    found: Association,
}

/// Looks for folds that are no fair parts of the cohort.
pub(super) fn check(study: &Study, options: &DataAudit, seed: u64, found: &mut Collector) {
    if options.checks(Check::GroupInFolds) {
        for split in &study.splits {
            groups_in_folds(study, split, found);
        }
    }
    if !options.checks(Check::FoldAssociation) {
        return;
    }
    if study.splits.is_empty() {
        return found.not_examined(Check::FoldAssociation, "folds", "no folds were given");
    }
    let variables = variables(study, found);
    let Some(draws) = draws(study, study.splits.len() * variables.len(), options.level()) else {
        let reason = "so many splits and groups that the assignments to draw are too many";
        return found.not_examined(Check::FoldAssociation, "folds", reason);
    };
    let mut tests = Vec::new();
    for split in &study.splits {
        for (name, variable) in &variables {
            let stream =
                Stream::new(seed, "audit.data").with(split.name.as_bytes()).with(name.as_bytes());
            let (statistic, tested) = match variable {
                Variable::Category(values) => {
                    ("cramers_v", fold_by_category(&units(study, split, values), draws, &stream))
                }
                Variable::Number(values) => {
                    ("eta", fold_by_number(&numbers(study, split, values), draws, &stream))
                }
            };
            let source = format!("{}, {name}", split.name);
            match tested {
                Some(found_here) => {
                    found.examined(Check::FoldAssociation, &source);
                    let variable = name.clone();
                    tests.push(Test { split, variable, statistic, found: found_here });
                }
                None => found.not_examined(
                    Check::FoldAssociation,
                    &source,
                    "it never varies, or there is one fold",
                ),
            }
        }
    }
    let p_values: Vec<f64> = tests.iter().map(|test| test.found.p_value).collect();
    let Ok(adjusted) = holm(&p_values) else { return };
    for (test, p_value) in tests.iter().zip(adjusted) {
        let Association { effect, .. } = test.found;
        if p_value > options.level() || effect < options.least_effect() {
            continue;
        }
        let Test { split, variable, statistic, .. } = test;
        let message = format!(
            "the folds of {} differ in {variable} more than dealing the groups at random would \
             make them ({} {effect:.2}, p {p_value:.4} after Holm)",
            split.name,
            if *statistic == "eta" { "eta" } else { "Cramér's V" },
        );
        let mut fault =
            fault(Check::FoldAssociation, Severity::Warning, &split.name, statistic, message);
        fault.column = Some(variable.clone());
        (fault.value, fault.threshold) = (Some(effect), Some(options.least_effect()));
        fault.p_value = Some(p_value);
        found.add(fault);
    }
}

/// Number of assignments to draw, so that the least p-value of one of so many tests is well below
/// the level after Holm; none where that is too much work.
fn draws(study: &Study, tests: usize, level: f64) -> Option<u32> {
    let draws = (2.0 * tests as f64 / level).ceil().max(LEAST_DRAWS.into());
    (draws * (tests * study.groups) as f64 <= MOST_DEALT).then_some(draws as u32)
}

/// Label, size of the group and metadata.
fn variables(study: &Study, found: &mut Collector) -> Vec<(String, Variable)> {
    let label = study.cohort.label.iter().map(|label| Some(*label)).collect();
    let mut variables = vec![("label".to_owned(), Variable::Category(label))];
    let mut rows = vec![0_u32; study.groups];
    study.group.iter().for_each(|group| rows[*group as usize] += 1);
    if rows.iter().any(|size| *size != rows[0]) {
        let size = study.group.iter().map(|group| Some(f64::from(rows[*group as usize])));
        variables.push(("size of the group".to_owned(), Variable::Number(size.collect())));
    }
    for metadata in &study.metadata {
        let mut place = Finder::new(&metadata.example_id);
        let at: Vec<Option<usize>> =
            study.cohort.example_id.iter().map(|id| place.find(id)).collect();
        for (name, values) in &metadata.columns {
            let all: Vec<Option<&str>> = values.iter().collect();
            let texts: Vec<Option<&str>> =
                at.iter().map(|row| row.and_then(|row| all[row])).collect();
            match variable(&texts) {
                Some(variable) => variables.push((name.clone(), variable)),
                None => found.not_examined(
                    Check::FoldAssociation,
                    &format!("metadata {name}"),
                    "so many different texts are names and no categories",
                ),
            }
        }
    }
    variables
}

/// A column of metadata as numbers where all of it are, or as categories unless it names
/// something else in nearly every row.
fn variable(texts: &[Option<&str>]) -> Option<Variable> {
    let mut names: Vec<&str> = texts.iter().flatten().copied().collect();
    names.sort_unstable();
    names.dedup();
    let code_of: BTreeMap<&str, u32> = names.into_iter().zip(0..).collect();
    let number = |text: &Option<&str>| match text {
        None => Some(None),
        Some(text) => text.parse().ok().filter(|number: &f64| number.is_finite()).map(Some),
    };
    let numbers: Option<Vec<Option<f64>>> = texts.iter().map(number).collect();
    match numbers {
        Some(numbers) if code_of.len() >= LEAST_NUMBERS => Some(Variable::Number(numbers)),
        _ if code_of.len() > MOST_CATEGORIES => None,
        _ => {
            let code = |text: &Option<&str>| text.and_then(|text| code_of.get(text).copied());
            Some(Variable::Category(texts.iter().map(code).collect()))
        }
    }
}

/// Rows of each unit: a group, or its part in a fold where it is in several.
fn rows_of_units(study: &Study, split: &Split) -> BTreeMap<(u32, i32), Vec<usize>> {
    let mut units = BTreeMap::<(u32, i32), Vec<usize>>::new();
    for (row, (&group, &fold)) in study.group.iter().zip(&split.fold).enumerate() {
        units.entry((group, fold)).or_default().push(row);
    }
    units
}

/// Folds from 0 up; rows that are never tested are a fold of their own.
fn fold_number(fold: i32) -> u32 {
    (fold + 1).unsigned_abs()
}

fn units(study: &Study, split: &Split, values: &[Option<u32>]) -> Vec<Unit> {
    rows_of_units(study, split)
        .into_iter()
        .map(|((_, fold), rows)| {
            let mut counts = BTreeMap::<u32, f64>::new();
            for value in rows.iter().filter_map(|row| values[*row]) {
                *counts.entry(value).or_default() += 1.0;
            }
            Unit { fold: fold_number(fold), counts: counts.into_iter().collect() }
        })
        .collect()
}

fn numbers(study: &Study, split: &Split, values: &[Option<f64>]) -> Vec<NumberUnit> {
    rows_of_units(study, split)
        .into_iter()
        .map(|((_, fold), rows)| {
            let mut unit = NumberUnit { fold: fold_number(fold), ..NumberUnit::default() };
            for value in rows.iter().filter_map(|row| values[*row]) {
                unit.rows += 1.0;
                unit.sum += value;
                unit.squares += value * value;
            }
            unit
        })
        .collect()
}

fn groups_in_folds(study: &Study, split: &Split, found: &mut Collector) {
    found.examined(Check::GroupInFolds, &split.name);
    let mut folds = BTreeMap::<u32, Vec<i32>>::new();
    for (&group, &fold) in study.group.iter().zip(&split.fold) {
        let of_group = folds.entry(group).or_default();
        if !of_group.contains(&fold) {
            of_group.push(fold);
        }
    }
    for (group, folds) in folds.iter().filter(|(_, folds)| folds.len() > 1) {
        let row = study.group.iter().position(|of| of == group).unwrap_or_default();
        let name = &study.cohort.group[row];
        let message = format!(
            "group {name} stands in {} folds of {}: while one part is tested, another trains",
            folds.len(),
            split.name
        );
        let mut fault = fault(Check::GroupInFolds, Severity::Error, &split.name, "folds", message);
        fault.column = Some(name.to_owned());
        (fault.value, fault.threshold) = (Some(folds.len() as f64), Some(2.0));
        found.add(fault);
    }
}
