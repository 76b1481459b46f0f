//! Weights of rows.

use crate::input::InputError;

/// Balanced weights, s_i = n / (classes * n_class(i)): every class weighs alike.
///
/// `labels`: n class numbers below `classes`. Returns n weights that sum to n when every class is
/// present. Errors when there are no rows, or a label is no class number. A class without rows gets
/// no weight and no error.
pub fn balanced(labels: &[u32], classes: usize) -> Result<Vec<f64>, InputError> {
    if labels.is_empty() {
        return Err(InputError::Empty);
    }
    let mut count = vec![0_u64; classes];
    for (row, &label) in labels.iter().enumerate() {
        match count.get_mut(label as usize) {
            Some(count) => *count += 1,
            None => return Err(InputError::Label { row, label, classes }),
        }
    }
    let total = labels.len() as f64;
    Ok(labels
        .iter()
        .map(|&label| total / (classes as f64 * count[label as usize] as f64))
        .collect())
}
