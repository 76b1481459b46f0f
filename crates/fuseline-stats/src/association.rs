//! Association of the folds of a split with what is known of its rows.

use crate::streams::Stream;

/// Rows that always lie in one fold together, such as those of one person.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Unit {
    /// Its fold.
    pub fold: u32,
    /// Number of its rows in each category that it has.
    pub counts: Vec<(u32, f64)>,
}

/// As [`Unit`], of rows that have a number each.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct NumberUnit {
    /// Its fold.
    pub fold: u32,
    /// Number of its rows.
    pub rows: f64,
    /// Sum of their values.
    pub sum: f64,
    /// Sum of the squares of their values.
    pub squares: f64,
}

/// Size and significance of an association.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Association {
    /// Cramér's V, or the correlation ratio eta: 0 is none, 1 complete.
    pub effect: f64,
    /// Share of the assignments of units to folds whose association is as strong, the one observed
    /// included.
    pub p_value: f64,
}

/// Pearson's chi-square of folds against categories, as Cramér's V, with a p-value from `draws`
/// assignments of the units to the folds, each fold keeping its number of units.
///
/// Units are dealt as wholes, so that rows of a unit that are alike make no false alarm. None where
/// there are fewer than two folds or categories.
#[must_use]
pub fn fold_by_category(units: &[Unit], draws: u32, stream: &Stream) -> Option<Association> {
    let categories = largest(units.iter().flat_map(|unit| unit.counts.iter().map(|of| of.0)));
    let folds = largest(units.iter().map(|unit| unit.fold));
    let mut totals = vec![0.0; categories];
    for (category, rows) in units.iter().flat_map(|unit| &unit.counts) {
        totals[*category as usize] += rows;
    }
    let all: f64 = totals.iter().sum();
    let mut table = vec![0.0; folds * categories];
    let mut chi_square = |fold_of: &[u32]| {
        table.fill(0.0);
        for (unit, fold) in units.iter().zip(fold_of) {
            for (category, rows) in &unit.counts {
                table[*fold as usize * categories + *category as usize] += rows;
            }
        }
        let mut sum = 0.0;
        for row in table.chunks_exact(categories.max(1)) {
            let own: f64 = row.iter().sum();
            for (count, total) in row.iter().zip(&totals) {
                let expected = own * total / all;
                if expected > 0.0 {
                    sum += (count - expected) * (count - expected) / expected;
                }
            }
        }
        sum
    };
    let mut fold_of: Vec<u32> = units.iter().map(|unit| unit.fold).collect();
    let used = |counts: &[f64]| counts.iter().filter(|count| **count > 0.0).count();
    let mut of_fold = vec![0.0; folds];
    for unit in units {
        of_fold[unit.fold as usize] += unit.counts.iter().map(|of| of.1).sum::<f64>();
    }
    let degrees = used(&of_fold).min(used(&totals)).checked_sub(1).filter(|least| *least > 0)?;
    let observed = chi_square(&fold_of);
    let p_value = share_as_strong(observed, &mut fold_of, draws, stream, chi_square);
    Some(Association { effect: (observed / (all * degrees as f64)).sqrt(), p_value })
}

/// The one-way analysis of variance of numbers over folds, as the correlation ratio eta (the root
/// of the share of variance between folds), with a p-value as that of [`fold_by_category`].
///
/// None where there are fewer than two folds or the numbers never vary.
#[must_use]
pub fn fold_by_number(units: &[NumberUnit], draws: u32, stream: &Stream) -> Option<Association> {
    let folds = largest(units.iter().map(|unit| unit.fold));
    let rows: f64 = units.iter().map(|unit| unit.rows).sum();
    let mean = units.iter().map(|unit| unit.sum).sum::<f64>() / rows;
    let squares: f64 = units.iter().map(|unit| unit.squares).sum();
    let variation = squares - rows * mean * mean;
    let mut sums = vec![(0.0, 0.0); folds];
    let mut between = |fold_of: &[u32]| {
        sums.fill((0.0, 0.0));
        for (unit, fold) in units.iter().zip(fold_of) {
            let (rows, sum) = &mut sums[*fold as usize];
            *rows += unit.rows;
            *sum += unit.sum - unit.rows * mean;
        }
        let filled = sums.iter().filter(|(rows, _)| *rows > 0.0);
        filled.map(|(rows, sum)| sum * sum / rows).sum::<f64>()
    };
    let mut fold_of: Vec<u32> = units.iter().map(|unit| unit.fold).collect();
    let varies = variation > 1e-12 * squares.abs();
    if fold_of.iter().all(|fold| *fold == fold_of[0]) || !varies {
        return None;
    }
    let observed = between(&fold_of);
    let p_value = share_as_strong(observed, &mut fold_of, draws, stream, between);
    Some(Association { effect: (observed / variation).clamp(0.0, 1.0).sqrt(), p_value })
}

fn largest(numbers: impl Iterator<Item = u32>) -> usize {
    numbers.max().map_or(0, |last| last as usize + 1)
}

/// (b + 1) / (draws + 1) over shuffles of the folds; ties count as as strong.
fn share_as_strong(
    observed: f64,
    fold_of: &mut [u32],
    draws: u32,
    stream: &Stream,
    mut statistic: impl FnMut(&[u32]) -> f64,
) -> f64 {
    let mut stream = stream.clone();
    let least = observed * (1.0 - 1e-9);
    let mut as_strong = 0_u32;
    for _ in 0..draws {
        stream.shuffle(fold_of);
        as_strong += u32::from(statistic(fold_of) >= least);
    }
    f64::from(as_strong + 1) / f64::from(draws + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(counts: &[(u32, &[(u32, f64)])]) -> Vec<Unit> {
        counts.iter().map(|(fold, counts)| Unit { fold: *fold, counts: counts.to_vec() }).collect()
    }

    #[test]
    fn the_effect_is_that_of_scipy_and_the_p_value_that_of_whole_units() {
        // scipy.stats.contingency.association([[10, 20], [30, 5]], "cramer", False).
        let table = [(0, &[(0, 10.0), (1, 20.0)][..]), (1, &[(0, 30.0), (1, 5.0)])];
        let stream = Stream::new(1, "test");
        let found = fold_by_category(&units(&table), 99, &stream).unwrap();
        assert!((found.effect - 0.536_745_040_121_693_2).abs() < 1e-12, "{found:?}");
        // Two units in two folds: every deal is as strong.
        assert_eq!(found.p_value, 1.0);
        let one = units(&[(0, &[(0, 3.0)]), (1, &[(0, 4.0)])]);
        assert_eq!(fold_by_category(&one, 9, &stream), None, "one category");
        assert_eq!(fold_by_category(&units(&table[..1]), 9, &stream), None, "one fold");
    }

    #[test]
    fn numbers_that_follow_the_folds_are_found_and_noise_keeps_its_level() {
        let stream = Stream::new(1, "test");
        let mut noise = Stream::new(2, "noise");
        let mut unit = |fold: u32, shift: f64| {
            let value = noise.normal() + shift;
            NumberUnit { fold, rows: 1.0, sum: value, squares: value * value }
        };
        let of: Vec<NumberUnit> =
            (0..60).map(|row| unit(row % 3, f64::from(row % 3) * 2.0)).collect();
        let found = fold_by_number(&of, 199, &stream).unwrap();
        assert!(found.effect > 0.7 && found.p_value <= 0.005, "{found:?}");
        let rejected = (0..400)
            .filter(|number| {
                let of: Vec<NumberUnit> = (0..30).map(|row| unit(row % 3, 0.0)).collect();
                let stream = Stream::new(*number, "draws");
                fold_by_number(&of, 99, &stream).unwrap().p_value <= 0.05
            })
            .count();
        // 20 are expected; 3.3 standard deviations around them.
        assert!((6..=34).contains(&rejected), "{rejected}");
        let same = [NumberUnit { fold: 0, rows: 1.0, sum: 2.0, squares: 4.0 }; 3];
        assert_eq!(fold_by_number(&same, 9, &stream), None);
    }
}
