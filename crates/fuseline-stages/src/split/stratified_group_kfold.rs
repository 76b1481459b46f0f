//! `split.stratified_group_kfold`: folds that never split a group and share the classes out evenly.

use std::collections::BTreeMap;

use fuseline_artifact::{Cohort, Folds};
use fuseline_engine::kind::Problem;
use fuseline_engine::{
    CheckSite, Inputs, KeyWriter, Outputs, Ports, RowFlow, StageError, StageKind,
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::group_kfold::stream;

/// Divides the groups of a cohort into folds that have about the same share of each class.
///
/// Groups come in code-point order, those with the most uneven classes first; each goes where the shares of the classes
/// then differ least between the folds, and among equals to the fold with the fewest examples. This is scikit-learn's
/// `StratifiedGroupKFold`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StratifiedGroupKFold {
    /// How many folds.
    #[schemars(range(min = 2))]
    folds: u32,
    /// Whether the groups are put in an order drawn from the workflow's seed first.
    #[serde(default)]
    shuffle: bool,
    /// Which of several shuffled splits this is: an axis over it repeats the study on other folds.
    #[serde(default)]
    repeat: u32,
}

impl StageKind for StratifiedGroupKFold {
    const NAME: &'static str = "split.stratified_group_kfold";
    const REVISION: u32 = 1;
    const SUMMARY: &'static str =
        "Divides the groups of a cohort into folds with even shares of the classes.";

    fn ports() -> Ports {
        super::ports()
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self { folds, shuffle, repeat } = self;
        key.field("folds", folds);
        key.field("shuffle", shuffle);
        key.field("repeat", repeat);
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
        let fold: Vec<u32> = cohort.group.iter().map(|group| fold_of[group]).collect();
        super::all_classes_on_both_sides(&cohort, &fold)?;
        let fold = fold.into_iter().map(u32::cast_signed).collect();
        outputs.put("folds", Folds { example_id: cohort.example_id, fold })
    }
}

/// The fold of each group, from the number of its examples by class.
fn deal(mut groups: Vec<(&str, Vec<u32>)>, classes: usize, folds: u32) -> BTreeMap<&str, u32> {
    let spread =
        |counts: &[u32]| sd(&counts.iter().map(|&count| f64::from(count)).collect::<Vec<_>>());
    groups.sort_by(|(_, a), (_, b)| spread(b).total_cmp(&spread(a)));
    let mut whole = vec![0_u32; classes];
    for (_, counts) in &groups {
        whole.iter_mut().zip(counts).for_each(|(whole, count)| *whole += count);
    }
    let mut dealt = vec![vec![0_u32; classes]; folds as usize];
    let mut fold_of = BTreeMap::new();
    for (group, counts) in groups {
        let (mut best, mut best_spread, mut best_size) = (0, f64::INFINITY, u32::MAX);
        for fold in 0..dealt.len() {
            let shares = |class: usize| {
                let own = |(other, dealt): (usize, &Vec<u32>)| {
                    let more = if other == fold { counts[class] } else { 0 };
                    f64::from(dealt[class] + more) / f64::from(whole[class])
                };
                sd(&dealt.iter().enumerate().map(own).collect::<Vec<_>>())
            };
            let spread = (0..classes).map(shares).sum::<f64>() / classes as f64;
            let size: u32 = dealt[fold].iter().sum();
            // Closeness as numpy's isclose has it.
            let close = (spread - best_spread).abs() <= 1e-8 + 1e-5 * best_spread.abs();
            if spread < best_spread || (close && size < best_size) {
                (best, best_spread, best_size) = (fold, spread, size);
            }
        }
        dealt[best].iter_mut().zip(&counts).for_each(|(dealt, count)| *dealt += count);
        #[expect(clippy::cast_possible_truncation, reason = "folds are counted in 32 bits")]
        fold_of.insert(group, best as u32);
    }
    fold_of
}

/// Population standard deviation.
fn sd(values: &[f64]) -> f64 {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    (values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / count).sqrt()
}

#[cfg(test)]
mod tests;
