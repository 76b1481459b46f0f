//! `split.*`: which examples are tested in which fold.

use fuseline_artifact::{ArtifactKind, Cohort, Texts};
use fuseline_engine::{Ports, RowFlow, Rows, StageError};
use fuseline_workflow::Role;

pub mod group_kfold;
pub mod leave_one_group_out;
pub mod predefined;
pub mod stratified_group_kfold;

/// The ports of every split.
fn ports() -> Ports {
    Ports::new()
        .one("cohort", ArtifactKind::Cohort, Role::Neutral, "The examples and their groups.")
        .output("folds", ArtifactKind::Folds, "The fold in which each example is tested.")
}

/// A split divides the rows of the cohort and learns nothing from them.
fn rows(flow: &mut RowFlow<'_>) {
    let cohort = flow.input("cohort");
    flow.output("folds", cohort.holds, Rows::none());
}

/// An error when a fold leaves a class without a training example; a word in the log when it tests none of a class.
fn all_classes_on_both_sides(cohort: &Cohort, fold: &[u32]) -> Result<(), StageError> {
    let classes = cohort.classes.len();
    let folds = fold.iter().max().map_or(0, |last| *last as usize + 1);
    let mut tested = vec![0_usize; folds * classes];
    let mut whole = vec![0_usize; classes];
    for (&fold, &label) in fold.iter().zip(&cohort.label) {
        tested[fold as usize * classes + label as usize] += 1;
        whole[label as usize] += 1;
    }
    let mut untested = Vec::new();
    for (fold, tested) in tested.chunks_exact(classes).enumerate() {
        for ((class, &tested), &whole) in cohort.classes.iter().zip(tested).zip(&whole) {
            if tested == whole {
                return Err(StageError::data(format!(
                    "all examples of class {class} are tested in fold {fold}: none is left to train on"
                ))
                .hint("split.stratified_group_kfold spreads the classes; a class in one group alone cannot be learned"));
            }
            if tested == 0 {
                untested.push((fold, class));
            }
        }
    }
    if let Some((fold, class)) = untested.first() {
        tracing::warn!(fold, class, of = untested.len(), "a fold tests no example of a class");
    }
    Ok(())
}

/// What to say when there are fewer groups than folds.
fn too_few_groups(folds: u32, groups: usize) -> StageError {
    StageError::data(format!("{folds} folds of {groups} groups: some would be empty"))
        .at("folds")
        .hint(format!("at most {groups} folds are possible"))
}

/// The fold of each row: groups sorted by code point, the group of rank r in fold r mod `folds`. `reorder` may put the
/// ranks in another order first.
///
/// Errors with the number of groups when there are fewer of them than folds.
pub(crate) fn fold_by_rank(
    group: &Texts,
    folds: u32,
    reorder: impl FnOnce(&mut [u32]),
) -> Result<Vec<u32>, usize> {
    let (ranks, groups) = group.ranks();
    if groups < folds as usize {
        return Err(groups);
    }
    let mut ranked: Vec<u32> = (0..groups as u32).collect();
    reorder(&mut ranked);
    let mut fold_of = vec![0; groups];
    for (rank, fold) in ranked.into_iter().zip((0..folds).cycle()) {
        fold_of[rank as usize] = fold;
    }
    Ok(ranks.into_iter().map(|rank| fold_of[rank as usize]).collect())
}
