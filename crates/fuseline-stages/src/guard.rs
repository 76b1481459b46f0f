//! The leakage guard on real rows: what the plan says by name, held against example_ids and groups
//! while running.

use fuseline_artifact::{Cohort, Model};
use fuseline_engine::{StageError, codes};

/// An error when a model is asked about rows of the cohort that it was fitted on, or about their
/// groups.
pub(crate) fn not_fitted_on(
    model: &Model,
    cohort: &Cohort,
    asked: &[usize],
) -> Result<(), StageError> {
    let fitted: Vec<bool> =
        cohort.example_id.iter().map(|id| model.fitted_on.contains(id)).collect();
    if let Some(&row) = asked.iter().find(|&&row| fitted[row]) {
        return Err(StageError::data(format!(
            "the model was fitted on example {} and is asked about it",
            &cohort.example_id[row]
        ))
        .code(&codes::LEAK_MODEL_SAW_ROWS)
        .at_input("model")
        .hint("match the fold: the model of a fold may only see that fold's test rows"));
    }
    let fitted = (0..fitted.len()).filter(|&row| fitted[row]);
    groups_apart(cohort, fitted, asked.iter().copied())
}

/// An error when a group is both in a fold and outside of it. `fold`: that of each row of the
/// cohort.
pub(crate) fn fold_apart<F: Copy + PartialEq>(
    cohort: &Cohort,
    fold: &[F],
    tested: F,
) -> Result<(), StageError> {
    let rows = |test| (0..fold.len()).filter(move |&row| (fold[row] == tested) == test);
    groups_apart(cohort, rows(false), rows(true))
}

/// An error when a group is on both sides of a split.
fn groups_apart(
    cohort: &Cohort,
    train: impl IntoIterator<Item = usize>,
    test: impl IntoIterator<Item = usize>,
) -> Result<(), StageError> {
    let mut train = train.into_iter().peekable();
    if train.peek().is_none() {
        return Ok(());
    }
    let (group, groups) = cohort.group.ranks();
    let mut tested = vec![None; groups];
    test.into_iter().for_each(|row| tested[group[row] as usize] = Some(row));
    for row in train {
        if let Some(other) = tested[group[row] as usize] {
            return Err(StageError::data(format!(
                "group {} is on both sides of the split: {} is a training example and {} is a \
                 test example",
                &cohort.group[row], &cohort.example_id[row], &cohort.example_id[other]
            ))
            .code(&codes::LEAK_GROUP)
            .hint("split by group, for example with split.group_kfold"));
        }
    }
    Ok(())
}
