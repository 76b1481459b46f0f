//! `split.*`: which examples are tested in which fold.

use std::collections::BTreeMap;

pub mod group_kfold;

/// The fold of each row: groups sorted by code point, the group of rank r in fold r mod `folds`.
///
/// Errors with the number of groups when there are fewer of them than folds.
pub(crate) fn fold_by_rank<'g>(
    groups: impl Iterator<Item = &'g str> + Clone,
    folds: u32,
    reorder: impl FnOnce(&mut [&'g str]),
) -> Result<Vec<u32>, usize> {
    let mut fold_of: BTreeMap<&str, u32> = groups.clone().map(|group| (group, 0)).collect();
    if fold_of.len() < folds as usize {
        return Err(fold_of.len());
    }
    let mut ranked: Vec<&str> = fold_of.keys().copied().collect();
    reorder(&mut ranked);
    for (group, fold) in ranked.into_iter().zip((0..folds).cycle()) {
        fold_of.insert(group, fold);
    }
    Ok(groups.map(|group| fold_of[group]).collect())
}
