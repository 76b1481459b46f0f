//! The leakage guard on real rows: what the plan says by name, held against example_ids and groups while running.

use std::collections::BTreeMap;

use fuseline_artifact::{Cohort, Model};
use fuseline_engine::{StageError, codes};

/// An error when a model is asked about rows of the cohort that it was fitted on, or about their groups.
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
            cohort.example_id[row]
        ))
        .code(&codes::LEAK_MODEL_SAW_ROWS)
        .hint("match the fold: the model of a fold may only see that fold's test rows"));
    }
    let fitted: Vec<usize> = (0..fitted.len()).filter(|&row| fitted[row]).collect();
    groups_apart(cohort, &fitted, asked)
}

/// An error when a group stands on both sides of a split.
pub(crate) fn groups_apart(
    cohort: &Cohort,
    train: &[usize],
    test: &[usize],
) -> Result<(), StageError> {
    if train.is_empty() {
        return Ok(());
    }
    let tested: BTreeMap<&str, usize> =
        test.iter().map(|&row| (cohort.group[row].as_str(), row)).collect();
    for &row in train {
        if let Some(&other) = tested.get(cohort.group[row].as_str()) {
            return Err(StageError::data(format!(
                "group {} is on both sides of the split: {} is a training example and {} is a test example",
                cohort.group[row], cohort.example_id[row], cohort.example_id[other]
            ))
            .code(&codes::LEAK_GROUP)
            .hint("split by group, for example with split.group_kfold"));
        }
    }
    Ok(())
}
