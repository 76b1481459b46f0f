//! `split.leave_one_group_out`: each group is a fold.

use std::collections::BTreeMap;

use fuseline_artifact::AnyCohort;
use fuseline_engine::{
    Inputs, KeyWriter, Outputs, PlanSite, Ports, RowFlow, StageError, StageKind,
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::OneClass;

/// Tests each group in a fold of its own: the group of rank r in code-point order in fold r.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LeaveOneGroupOut {
    /// Number of groups in the cohort, so that the axis of folds is known before anything runs:
    /// `range(53)` for 53.
    #[schemars(range(min = 2))]
    groups: u32,
    /// Treatment of a group whose examples are all of one class.
    #[serde(default)]
    one_class: OneClass,
}

impl StageKind for LeaveOneGroupOut {
    const NAME: &'static str = "split.leave_one_group_out";
    const REVISION: u32 = 2; // a group of one class alone is refused, unless that is allowed
    const TAKES_NUMBERS: bool = true;
    const SUMMARY: &'static str = "Tests each group of a cohort in a fold of its own.";

    fn ports() -> Ports {
        super::ports()
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self { groups, one_class } = self;
        key.field("groups", groups);
        key.field("one_class", one_class);
    }

    fn check_plan(&self, site: &mut PlanSite<'_>) {
        super::check_folds(site, Some((self.groups, "groups")));
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        super::rows(flow);
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let cohort = inputs.one::<AnyCohort>("cohort")?.cohort;
        let mut fold_of: BTreeMap<&str, i32> =
            cohort.group.iter().map(|group| (group, 0)).collect();
        if fold_of.len() != self.groups as usize {
            let found = fold_of.len();
            return Err(StageError::data(format!(
                "the cohort has {found} groups, not {}",
                self.groups
            ))
            .at("groups")
            .hint(format!("write groups: {found}, and an axis of folds that is range({found})")));
        }
        for (of, fold) in fold_of.values_mut().zip(0..) {
            *of = fold;
        }
        let fold = cohort.group.iter().map(|group| fold_of[group]).collect();
        super::put(outputs, cohort, fold, self.one_class)
    }
}

#[cfg(test)]
mod tests;
