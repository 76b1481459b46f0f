//! `split.group_kfold`: folds that never split a group.

use fuseline_artifact::{ArtifactKind, Cohort, Folds};
use fuseline_engine::{Inputs, KeyWriter, Outputs, Ports, StageError, StageKind};
use fuseline_stats::streams::Stream;
use fuseline_workflow::Role;
use schemars::JsonSchema;
use serde::Deserialize;

/// Divides the groups of a cohort into folds.
///
/// Groups are sorted by code point; the group of rank r is tested in fold r mod `folds`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupKFold {
    /// How many folds.
    #[schemars(range(min = 2))]
    folds: u32,
    /// Whether the groups are put in an order drawn from the workflow's seed first.
    #[serde(default)]
    shuffle: bool,
}

impl StageKind for GroupKFold {
    const NAME: &'static str = "split.group_kfold";
    const REVISION: u32 = 1;
    const SUMMARY: &'static str =
        "Divides the groups of a cohort into folds; no group is ever split.";

    fn ports() -> Ports {
        Ports::new()
            .one("cohort", ArtifactKind::Cohort, Role::Neutral, "The examples and their groups.")
            .output("folds", ArtifactKind::Folds, "The fold in which each example is tested.")
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self { folds, shuffle } = self;
        key.field("folds", folds);
        key.field("shuffle", shuffle);
        if *shuffle {
            key.seed();
        }
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let cohort: Cohort = inputs.one("cohort")?;
        let fold =
            super::fold_by_rank(cohort.group.iter().map(String::as_str), self.folds, |groups| {
                if self.shuffle {
                    Stream::new(inputs.seed(), Self::NAME).shuffle(groups);
                }
            })
            .map_err(|groups| {
                StageError::data(format!(
                    "{} folds of {groups} groups: some would be empty",
                    self.folds
                ))
                .at("folds")
                .hint(format!("at most {groups} folds are possible"))
            })?;
        let fold = fold.into_iter().map(u32::cast_signed).collect();
        outputs.put("folds", Folds { example_id: cohort.example_id, fold })
    }
}

#[cfg(test)]
mod tests;
