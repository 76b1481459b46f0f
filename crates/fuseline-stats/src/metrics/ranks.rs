//! Metrics of rankings.

use super::{MetricError, classes, length};

/// Ranks from 1, ties sharing the mean of theirs. Errors when a value is NaN.
pub fn mid_ranks(values: &[f64]) -> Result<Vec<f64>, MetricError> {
    if let Some(row) = values.iter().position(|value| value.is_nan()) {
        return Err(MetricError::NotANumber { row });
    }
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].partial_cmp(&values[b]).unwrap_or(std::cmp::Ordering::Equal));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    #[expect(clippy::float_cmp, reason = "ties are equal values")]
    for tied in order.chunk_by(|&a, &b| values[a] == values[b]) {
        // Ranks start + 1 to start + tied.
        let rank = start as f64 + (tied.len() as f64 + 1.0) / 2.0;
        tied.iter().for_each(|&row| ranks[row] = rank);
        start += tied.len();
    }
    Ok(ranks)
}

/// Chance that a positive row scores above a negative one, ties half (Mann and Whitney 1947).
///
/// `scores` and `positive`: n each. Errors when the lengths differ, a score is NaN, or all rows are
/// of one kind.
pub fn auroc(scores: &[f64], positive: &[bool]) -> Result<f64, MetricError> {
    length("positive", scores.len(), positive.len())?;
    let ranks = mid_ranks(scores)?;
    let mut sum = 0.0;
    let mut count = 0_u64;
    for (rank, _) in ranks.iter().zip(positive).filter(|(_, positive)| **positive) {
        sum += rank;
        count += 1;
    }
    let rest = scores.len() as u64 - count;
    if count == 0 || rest == 0 {
        let reason = "every row is of one kind";
        return Err(MetricError::Undefined { metric: "AUROC", reason });
    }
    let (count, rest) = (count as f64, rest as f64);
    Ok((sum - count * (count + 1.0) / 2.0) / (count * rest))
}

/// Chance that of two rows of different outcome the one of the larger outcome scores higher, ties of
/// scores half: the concordance index (Harrell et al. 1982).
///
/// Of outcomes 0 and 1 it is [`auroc`]. `scores` and `outcomes`: n each. Errors when the lengths
/// differ, a value is NaN, or all outcomes are equal.
pub fn concordance_index(scores: &[f64], outcomes: &[f64]) -> Result<f64, MetricError> {
    length("outcomes", scores.len(), outcomes.len())?;
    // Twice the mid-rank is a whole number, equal for equal scores and in their order.
    let places: Vec<usize> = mid_ranks(scores)?.iter().map(|rank| (2.0 * rank) as usize).collect();
    if let Some(row) = outcomes.iter().position(|value| value.is_nan()) {
        return Err(MetricError::NotANumber { row });
    }
    let mut order: Vec<usize> = (0..outcomes.len()).collect();
    order.sort_by(|&a, &b| outcomes[a].total_cmp(&outcomes[b]));
    // Rows of smaller outcomes so far, counted by the place of their score (Fenwick 1994).
    let mut tree = vec![0_u64; 2 * scores.len() + 2];
    let below = |tree: &[u64], place: usize| {
        let (mut at, mut sum) = (place, 0);
        while at > 0 {
            sum += tree[at];
            at &= at - 1;
        }
        sum
    };
    let (mut doubled, mut pairs, mut smaller) = (0_u64, 0_u64, 0_u64);
    #[expect(clippy::float_cmp, reason = "pairs of equal outcomes do not count")]
    for tied in order.chunk_by(|&a, &b| outcomes[a] == outcomes[b]) {
        for place in tied.iter().map(|&row| places[row]) {
            doubled += below(&tree, place - 1) + below(&tree, place);
            pairs += smaller;
        }
        for mut at in tied.iter().map(|&row| places[row]) {
            while at < tree.len() {
                tree[at] += 1;
                at += at & at.wrapping_neg();
            }
        }
        smaller += tied.len() as u64;
    }
    if pairs == 0 {
        let reason = "all outcomes are equal";
        return Err(MetricError::Undefined { metric: "concordance index", reason });
    }
    Ok(doubled as f64 / (2.0 * pairs as f64))
}

/// Mean over classes of the AUROC of a class's probability for being that class.
///
/// `probabilities`: n rows by `class_count`, row-major. Two classes give the AUROC of class 1.
/// scikit-learn's `roc_auc_score(multi_class="ovr", average="macro")`. Errors when a shape or label
/// is wrong, or a class is absent.
pub fn auroc_one_against_rest(
    probabilities: &[f64],
    labels: &[u32],
    class_count: usize,
) -> Result<f64, MetricError> {
    length("probabilities", labels.len() * class_count, probabilities.len())?;
    classes("label", labels, class_count)?;
    let of = |class: usize| {
        let scores: Vec<f64> =
            probabilities.iter().skip(class).step_by(class_count).copied().collect();
        let positive: Vec<bool> = labels.iter().map(|&label| label as usize == class).collect();
        auroc(&scores, &positive)
    };
    match class_count {
        0 | 1 => Err(MetricError::Undefined { metric: "AUROC", reason: "there is but one class" }),
        2 => of(1),
        _ => Ok((0..class_count).map(of).sum::<Result<f64, _>>()? / class_count as f64),
    }
}

/// Spearman's rank correlation, ties by mid-ranks. Errors when the lengths differ, a value is NaN,
/// there are fewer than two rows, or a side is constant.
pub fn spearman(x: &[f64], y: &[f64]) -> Result<f64, MetricError> {
    length("y", x.len(), y.len())?;
    let (x, y) = (mid_ranks(x)?, mid_ranks(y)?);
    let mean = (x.len() as f64 + 1.0) / 2.0;
    let (mut across, mut along_x, mut along_y) = (0.0, 0.0, 0.0);
    for (x, y) in x.iter().zip(&y) {
        across += (x - mean) * (y - mean);
        along_x += (x - mean) * (x - mean);
        along_y += (y - mean) * (y - mean);
    }
    if along_x == 0.0 || along_y == 0.0 {
        return Err(MetricError::Undefined { metric: "Spearman", reason: "a side is constant" });
    }
    Ok((across / (along_x * along_y).sqrt()).clamp(-1.0, 1.0))
}
