//! The tests of a plan: how many, of which examples, at which level.

use std::collections::{BTreeMap, BTreeSet};

use fuseline_engine::{ActionId, Plan, PlannedAction, StageKind};

use crate::diagnose::family::{Family, PlannedFamily};
use crate::diagnose::summarize::Summarize;
use crate::upstream;

/// Native conditions of a plan that are tested on one cohort and adjusted together.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedTests {
    /// The action that adjusts them, or the stage of the findings where none does.
    pub name: String,
    /// Number of conditions; those whose rule turns out not to read quality are among them.
    pub conditions: usize,
    /// Permutations of each.
    pub permutations: u32,
    /// The least p-value that these can give.
    pub least_p: f64,
    /// The level of the tests.
    pub alpha: f64,
    /// Adjustment: `holm`, `benjamini_hochberg` or `none`.
    pub adjust: &'static str,
    /// Number of modalities.
    pub modalities: usize,
    /// The action that makes the cohort.
    pub cohort: ActionId,
    /// The action that makes the split, with the folds that are tested; none where only the run
    /// can tell.
    pub split: Option<(ActionId, BTreeSet<i64>)>,
}

/// The tests of a plan, family by family and cohort by cohort.
#[must_use]
pub fn planned_tests(plan: &Plan<'_>) -> Vec<PlannedTests> {
    let actions: Vec<PlannedAction<'_>> =
        plan.actions().map(|action| plan.action(action)).collect();
    let of_kind = |name: &str| -> Vec<PlannedAction<'_>> {
        actions.iter().filter(|action| action.kind_name() == name).copied().collect()
    };
    let mut tests = Vec::new();
    for action in of_kind(Family::NAME) {
        let (Some(findings), Some(family)) =
            (upstream::findings(action, "findings"), action.options::<Family>())
        else {
            continue;
        };
        for planned in family.planned_families(&findings) {
            tests.extend(by_cohort(&action.name(), family.adjust_name(), &planned));
        }
    }
    if tests.is_empty() {
        let findings: Vec<PlannedAction<'_>> = of_kind(Summarize::NAME);
        let alone: Option<Family> = serde_json::from_value(serde_json::json!({})).ok();
        for planned in alone.iter().flat_map(|alone| alone.planned_families(&findings)) {
            tests.extend(by_cohort(planned.findings[0].stage_name(), "none", &planned));
        }
    }
    tests
}

/// The tests of a family on each cohort; all are adjusted together.
fn by_cohort(name: &str, adjust: &'static str, family: &PlannedFamily<'_>) -> Vec<PlannedTests> {
    let PlannedFamily { findings, permutations, least, permute: _, alpha } = family;
    let mut cohorts = BTreeMap::<ActionId, &PlannedAction<'_>>::new();
    for finding in findings {
        if let Some(cohort) = finding.inputs("cohort").next() {
            cohorts.entry(cohort.id()).or_insert(finding);
        }
    }
    let tests = |(cohort, finding): (ActionId, &PlannedAction<'_>)| {
        let modalities: Option<BTreeSet<&str>> =
            upstream::modalities(*finding, "evidence").map(|names| names.into_iter().collect());
        let folds: Option<Vec<(ActionId, i64)>> =
            finding.inputs("evidence").map(upstream::tested_fold).collect();
        let split = folds.and_then(|folds| {
            let (split, _) = *folds.first()?;
            let same = folds.iter().all(|(other, _)| *other == split);
            same.then(|| (split, folds.iter().map(|(_, fold)| *fold).collect()))
        });
        PlannedTests {
            name: name.to_owned(),
            conditions: findings.len(),
            permutations: *permutations,
            least_p: *least,
            alpha: *alpha,
            adjust,
            modalities: modalities.map_or(0, |names| names.len()),
            cohort,
            split,
        }
    };
    cohorts.into_iter().map(tests).collect()
}
