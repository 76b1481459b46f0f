//! `split.stratified_group_kfold`: folds that never split a group and share the classes out evenly.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use fuseline_artifact::Cohort;
use fuseline_engine::kind::Problem;
use fuseline_engine::{
    CheckSite, Inputs, KeyWriter, Outputs, PlanSite, Ports, RowFlow, StageError, StageKind,
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::OneClass;
use super::group_kfold::stream;

/// Divides the groups of a cohort into folds that have about the same share of each class.
///
/// Groups come in code-point order, those with the most uneven classes first; each goes where the
/// shares of the classes then differ least between the folds, and among equals to the fold with the
/// fewest examples. This is scikit-learn's `StratifiedGroupKFold`, but that no tie is lost to
/// rounding, and that no fold stays empty: the last groups go to the folds that have none.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StratifiedGroupKFold {
    /// Number of folds.
    #[schemars(range(min = 2))]
    folds: u32,
    /// True if the groups are first shuffled by the workflow's seed.
    #[serde(default)]
    shuffle: bool,
    /// Which of several shuffled splits this is: an axis over it repeats the study on other folds.
    #[serde(default)]
    repeat: u32,
    /// Treatment of a fold that tests examples of one class alone.
    #[serde(default)]
    one_class: OneClass,
}

impl StageKind for StratifiedGroupKFold {
    const NAME: &'static str = "split.stratified_group_kfold";
    // 2: ties are found by whole numbers, no fold stays empty, and one that tests one class alone
    // is refused, unless that is allowed.
    const REVISION: u32 = 2;
    const SUMMARY: &'static str =
        "Divides the groups of a cohort into folds with even shares of the classes.";

    fn ports() -> Ports {
        super::ports()
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self { folds, shuffle, repeat, one_class } = self;
        key.field("folds", folds);
        key.field("shuffle", shuffle);
        key.field("repeat", repeat);
        key.field("one_class", one_class);
        if *shuffle {
            key.seed();
        }
    }

    fn check(&self, site: &mut CheckSite<'_>) {
        if self.repeat > 0 && !self.shuffle {
            site.report(
                Problem::new("repeat", "without shuffle every repeat is the same split")
                    .hint("set shuffle: true"),
            );
        }
    }

    fn check_plan(&self, site: &mut PlanSite<'_>) {
        super::check_folds(site, Some((self.folds, "folds")));
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        super::rows(flow);
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let cohort: Cohort = inputs.one("cohort")?;
        let classes = cohort.classes.len();
        let mut counts_of = BTreeMap::<&str, Vec<u32>>::new();
        for (group, &label) in cohort.group.iter().zip(&cohort.label) {
            counts_of.entry(group).or_insert_with(|| vec![0; classes])[label as usize] += 1;
        }
        if counts_of.len() < self.folds as usize {
            return Err(super::too_few_groups(self.folds, counts_of.len()));
        }
        let mut groups: Vec<(&str, Vec<u32>)> = counts_of.into_iter().collect();
        if self.shuffle {
            stream(inputs.seed(), Self::NAME, self.repeat).shuffle(&mut groups);
        }
        let fold_of = deal(groups, classes, self.folds);
        let fold = cohort.group.iter().map(|group| fold_of[group]).collect();
        super::put(outputs, cohort, fold, self.one_class)
    }
}

/// The fold of each group, from the number of its examples by class. There are at least as many
/// groups as folds.
fn deal(mut groups: Vec<(&str, Vec<u32>)>, classes: usize, folds: u32) -> BTreeMap<&str, i32> {
    groups.sort_by_key(|(_, counts)| Reverse(spread(counts.iter().copied())));
    let mut whole = vec![0_u32; classes];
    for (_, counts) in &groups {
        whole.iter_mut().zip(counts).for_each(|(whole, count)| *whole += count);
    }
    let mut dealt = vec![vec![0_u32; classes]; folds as usize];
    let mut fold_of = BTreeMap::new();
    let mut left = groups.len();
    for (group, counts) in groups {
        let empty = dealt.iter().filter(|dealt| size(dealt) == 0).count();
        let all_must_be_filled = left <= empty;
        left -= 1;
        let candidates: Vec<(usize, f64)> = (0..dealt.len())
            .filter(|&fold| !all_must_be_filled || size(&dealt[fold]) == 0)
            .map(|fold| (fold, unevenness(&dealt, &whole, fold, &counts)))
            .collect();
        let least = candidates.iter().map(|(_, uneven)| *uneven).fold(f64::INFINITY, f64::min);
        // Closeness as numpy's isclose has it.
        let ties = candidates.iter().filter(|(_, uneven)| uneven - least <= 1e-8 + 1e-5 * least);
        let best = ties.map(|(fold, _)| *fold).min_by_key(|&fold| size(&dealt[fold])).unwrap_or(0);
        dealt[best].iter_mut().zip(&counts).for_each(|(dealt, count)| *dealt += count);
        fold_of.insert(group, best as i32);
    }
    fold_of
}

/// The examples that a fold tests.
fn size(dealt: &[u32]) -> u64 {
    dealt.iter().copied().map(u64::from).sum()
}

/// The mean over the classes of the standard deviation, between the folds, of their shares of the
/// class, were a group put into `fold`.
fn unevenness(dealt: &[Vec<u32>], whole: &[u32], fold: usize, counts: &[u32]) -> f64 {
    let sd = |class: usize| {
        let of_folds = dealt.iter().enumerate().map(|(other, dealt)| {
            let more = if other == fold { counts[class] } else { 0 };
            dealt[class] + more
        });
        (spread(of_folds) as f64).sqrt() / (dealt.len() as f64 * f64::from(whole[class]))
    };
    (0..whole.len()).filter(|&class| whole[class] > 0).map(sd).sum::<f64>() / whole.len() as f64
}

/// The variance of some counts, times the square of their number: a whole number, so that equal
/// spreads are equal.
fn spread(counts: impl Iterator<Item = u32> + Clone) -> u128 {
    let number = counts.clone().count() as u128;
    let squares: u128 = counts.clone().map(|count| u128::from(count) * u128::from(count)).sum();
    let sum: u128 = counts.map(u128::from).sum();
    number * squares - sum * sum
}

#[cfg(test)]
mod tests;
