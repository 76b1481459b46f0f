//! `split.group_kfold`: folds that never split a group.

use fuseline_artifact::AnyCohort;
use fuseline_engine::kind::Problem;
use fuseline_engine::{
    CheckSite, Inputs, KeyWriter, Outputs, PlanSite, Ports, RowFlow, StageError, StageKind,
};
use fuseline_stats::streams::Stream;
use schemars::JsonSchema;
use serde::Deserialize;

use super::OneClass;

/// Divides the groups of a cohort into folds.
///
/// Groups are sorted by code point; the group of rank r is tested in fold r mod `folds`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupKFold {
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

impl StageKind for GroupKFold {
    const NAME: &'static str = "split.group_kfold";
    const REVISION: u32 = 2; // a fold that tests one class alone is refused, unless that is allowed
    const TAKES_NUMBERS: bool = true;
    const SUMMARY: &'static str =
        "Divides the groups of a cohort into folds; no group is ever split.";

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
        let cohort = inputs.one::<AnyCohort>("cohort")?.cohort;
        let fold = super::fold_by_rank(&cohort.group, self.folds, |ranks| {
            if self.shuffle {
                stream(inputs.seed(), Self::NAME, self.repeat).shuffle(ranks);
            }
        })
        .map_err(|groups| super::too_few_groups(self.folds, groups))?;
        let fold = fold.into_iter().map(u32::cast_signed).collect();
        super::put(outputs, cohort, fold, self.one_class)
    }
}

/// The random numbers of a repeat. The first has those that a split without repeats has.
pub(super) fn stream(seed: u64, kind: &str, repeat: u32) -> Stream {
    let stream = Stream::new(seed, kind);
    if repeat == 0 { stream } else { stream.with_u64(repeat.into()) }
}

#[cfg(test)]
mod tests;
