//! Rows of features that are nearly equal, without comparing every two.

use crate::streams::Stream;

/// Projections of a row; the first [`GRID`] of them are the axes of a grid.
const PROJECTIONS: usize = 8;
/// Axes of the grid in which neighbours are looked for.
const GRID: usize = 3;
/// Standard deviations of a projected difference within which a pair is not missed: 6 in 100,000
/// lie beyond, for each of the projections.
const REACH: f64 = 4.0;
/// Pairs drawn to learn how near pairs come to each other by chance.
const SAMPLE: usize = 10_000;
/// Sampled pairs of which the 1st and the 5th of a hundred can be told.
const LEAST_SAMPLE: usize = 400;

/// Rows to compare: standardised features, of which missing ones are 0.
pub struct FeatureRows<'a> {
    /// Number of rows.
    pub rows: usize,
    /// Number of features, each of which varies.
    pub columns: usize,
    /// Value of a row in a column.
    pub value: &'a (dyn Fn(usize, usize) -> f64 + 'a),
    /// True for two rows that are to be compared.
    pub compares: &'a (dyn Fn(usize, usize) -> bool + 'a),
}

/// Limits of a search.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Largest distance of a near pair: root of the mean squared difference of the features.
    pub distance: f64,
    /// Expected number of pairs as near by chance that is accepted.
    pub false_alarms: f64,
    /// Maximum number of comparisons.
    pub comparisons: u64,
}

/// Two rows that are near each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// The lower row.
    pub first: usize,
    /// The other.
    pub second: usize,
    /// Root of the mean squared difference of the features.
    pub distance: f64,
}

/// Result of a search.
#[derive(Debug, Clone, PartialEq)]
pub struct Near {
    /// The pairs, nearest first.
    pub pairs: Vec<Pair>,
    /// The distance that was used: that of the limits, or less where chance would come as near.
    pub distance: f64,
    /// False if the search ended at its maximum number of comparisons.
    pub complete: bool,
}

/// How distances of pairs are distributed near 0: P(distance <= t) is about
/// 0.01 (t / hundredth)^dimension.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NearestLaw {
    /// The distance that one pair in a hundred does not exceed.
    pub hundredth: f64,
    /// The local dimension, from the 1st and the 5th of a hundred.
    pub dimension: f64,
}

impl NearestLaw {
    /// Learns the law from pairs drawn at random among those to compare. None where too few can be
    /// compared, or where one pair in a hundred is equal: features so coarse say nothing of copies.
    #[must_use]
    pub fn learn(of: &FeatureRows<'_>, stream: &Stream) -> Option<Self> {
        if of.rows * of.rows.saturating_sub(1) / 2 < LEAST_SAMPLE || of.columns == 0 {
            return None;
        }
        let mut stream = stream.clone().with(b"pairs");
        let mut row = || stream.below(of.rows as u64) as usize;
        let mut distances = Vec::with_capacity(SAMPLE);
        for _ in 0..4 * SAMPLE {
            let (first, second) = (row(), row());
            if first != second && (of.compares)(first, second) {
                distances.push(distance(of, first, second, f64::INFINITY).unwrap_or(f64::INFINITY));
                if distances.len() == SAMPLE {
                    break;
                }
            }
        }
        if distances.len() < LEAST_SAMPLE {
            return None;
        }
        distances.sort_by(f64::total_cmp);
        let (hundredth, twentieth) =
            (distances[distances.len() / 100], distances[distances.len() / 20]);
        let dimension = if twentieth > hundredth {
            (libm::log(5.0) / libm::log(twentieth / hundredth)).min(of.columns as f64)
        } else {
            of.columns as f64
        };
        (hundredth > 0.0).then_some(Self { hundredth, dimension })
    }

    /// The distance within which that many of `pairs` pairs are expected by chance.
    ///
    /// Distributions thin out faster than the power law towards 0, so that this errs towards less.
    #[must_use]
    pub fn distance(&self, pairs: f64, expected: f64) -> f64 {
        let share = expected / (0.01 * pairs.max(1.0));
        self.hundredth * libm::pow(share.min(1.0), 1.0 / self.dimension)
    }
}

/// Finds the pairs of rows within a distance of each other that chance does not explain.
///
/// Rows are put into a grid of random projections of their features and compared with those of the
/// same and of neighbouring cells alone; a pair within the distance is missed in less than 6 of
/// 10,000 cases. `law`: how near pairs come to each other by chance.
#[must_use]
pub fn find_near(of: &FeatureRows<'_>, law: &NearestLaw, limits: &Limits, stream: &Stream) -> Near {
    let all = of.rows as f64 * (of.rows as f64 - 1.0) / 2.0;
    let reach = limits.distance.min(law.distance(all, limits.false_alarms));
    let projected = project(of, stream);
    let width = REACH * reach;
    let mut cells: Vec<([i64; GRID], u32)> = (0_u32..)
        .zip(projected.chunks_exact(PROJECTIONS))
        .map(|(row, point)| (std::array::from_fn(|axis| cell(point[axis], width)), row))
        .collect();
    cells.sort_unstable();
    let mut near = Near { pairs: Vec::new(), distance: reach, complete: true };
    let mut left = limits.comparisons;
    let point = |row: u32| &projected[row as usize * PROJECTIONS..][..PROJECTIONS];
    let compare = |one: u32, other: u32, near: &mut Near| {
        let close = point(one).iter().zip(point(other)).all(|(a, b)| (a - b).abs() <= width);
        let (first, second) = (one.min(other) as usize, one.max(other) as usize);
        if close
            && (of.compares)(first, second)
            && let Some(distance) = distance(of, first, second, reach)
        {
            near.pairs.push(Pair { first, second, distance });
        }
    };
    'search: for own in cells.chunk_by(|a, b| a.0 == b.0) {
        for place in 0..own.len() {
            for other in place + 1..own.len() {
                if left == 0 {
                    near.complete = false;
                    break 'search;
                }
                left -= 1;
                compare(own[place].1, own[other].1, &mut near);
            }
        }
        for key in later_neighbours(own[0].0) {
            let start = cells.partition_point(|of| of.0 < key);
            for of in cells[start..].iter().take_while(|of| of.0 == key) {
                for own in own {
                    if left == 0 {
                        near.complete = false;
                        break 'search;
                    }
                    left -= 1;
                    compare(own.1, of.1, &mut near);
                }
            }
        }
    }
    near.pairs.sort_by(|a, b| {
        a.distance.total_cmp(&b.distance).then((a.first, a.second).cmp(&(b.first, b.second)))
    });
    near
}

/// Number of a cell along an axis; what lies far out shares the last.
fn cell(value: f64, width: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "a cast saturates")]
    let number = (value / width).floor() as i64;
    number.clamp(i64::MIN / 2, i64::MAX / 2)
}

/// The 13 neighbours of a cell that come after it.
fn later_neighbours(cell: [i64; GRID]) -> impl Iterator<Item = [i64; GRID]> {
    let steps = [-1_i64, 0, 1];
    let all = steps.into_iter().flat_map(move |x| {
        steps.into_iter().flat_map(move |y| steps.into_iter().map(move |z| [x, y, z]))
    });
    all.filter(|step| *step > [0; GRID])
        .map(move |step| std::array::from_fn(|axis| cell[axis] + step[axis]))
}

/// Random projections of every row, each of the scale of a standardised feature: rows x
/// [`PROJECTIONS`].
fn project(of: &FeatureRows<'_>, stream: &Stream) -> Vec<f64> {
    let mut projected = vec![0.0; of.rows * PROJECTIONS];
    let mut stream = stream.clone().with(b"projections");
    let scale = 1.0 / (of.columns as f64).sqrt();
    for column in 0..of.columns {
        let direction: [f64; PROJECTIONS] = std::array::from_fn(|_| scale * stream.normal());
        for (row, point) in projected.chunks_exact_mut(PROJECTIONS).enumerate() {
            let value = (of.value)(row, column);
            point.iter_mut().zip(direction).for_each(|(sum, part)| *sum += part * value);
        }
    }
    projected
}

/// The distance of two rows, unless it is above `most`.
fn distance(of: &FeatureRows<'_>, first: usize, second: usize, most: f64) -> Option<f64> {
    let columns = of.columns as f64;
    let most = most * most * columns;
    let mut sum = 0.0;
    for column in 0..of.columns {
        let difference = (of.value)(first, column) - (of.value)(second, column);
        sum += difference * difference;
        if sum > most {
            return None;
        }
    }
    Some((sum / columns).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(rows: usize, columns: usize, seed: u64) -> Vec<f64> {
        let mut stream = Stream::new(seed, "noise");
        (0..rows * columns).map(|_| stream.normal()).collect()
    }

    fn find(values: &[f64], columns: usize, limits: &Limits) -> Option<Near> {
        let value = |row: usize, column: usize| values[row * columns + column];
        let of = FeatureRows {
            rows: values.len() / columns,
            columns,
            value: &value,
            compares: &|_, _| true,
        };
        let stream = Stream::new(1, "test");
        NearestLaw::learn(&of, &stream).map(|law| find_near(&of, &law, limits, &stream))
    }

    const LIMITS: Limits = Limits { distance: 0.05, false_alarms: 1e-3, comparisons: 100_000_000 };

    #[test]
    fn near_copies_are_found_as_every_comparison_finds_them() {
        let columns = 12;
        let mut values = noise(2000, columns, 1);
        let mut jitter = Stream::new(2, "jitter");
        for copy in 0..50 {
            let from: Vec<f64> = values[copy * columns..][..columns].to_vec();
            for (column, value) in from.into_iter().enumerate() {
                values[(1000 + copy) * columns + column] = value + 0.02 * jitter.normal();
            }
        }
        let near = find(&values, columns, &LIMITS).unwrap();
        let expected: Vec<(usize, usize)> = (0..50).map(|copy| (copy, 1000 + copy)).collect();
        let mut found: Vec<_> = near.pairs.iter().map(|pair| (pair.first, pair.second)).collect();
        found.sort_unstable();
        assert_eq!(found, expected);
        assert!(near.complete && (near.distance - 0.05).abs() < 1e-12, "{}", near.distance);
        assert!(near.pairs.windows(2).all(|pair| pair[0].distance <= pair[1].distance));
    }

    #[test]
    fn noise_of_any_number_of_features_gives_nothing() {
        for columns in [1, 2, 3, 6, 30] {
            for seed in 0..20 {
                let near = find(&noise(300, columns, seed), columns, &LIMITS).unwrap();
                assert_eq!(near.pairs, [], "{columns} features, seed {seed}");
            }
        }
    }

    #[test]
    fn coarse_features_are_not_judged_and_a_search_that_is_too_long_says_so() {
        let coarse: Vec<f64> = (0..600).map(|row| f64::from(row % 4)).collect();
        assert_eq!(find(&coarse, 2, &LIMITS), None);
        assert_eq!(find(&noise(3, 2, 1), 2, &LIMITS), None, "too few rows");
        let limits = Limits { comparisons: 10, ..LIMITS };
        let copies = [noise(40, 8, 3), noise(40, 8, 3), noise(300, 8, 4)].concat();
        let near = find(&copies, 8, &limits).unwrap();
        assert!(!near.complete && near.pairs.len() < 40);
    }

    #[test]
    fn a_hundred_thousand_rows_end() {
        let columns = 6;
        let mut values = noise(100_000, columns, 9);
        let (head, tail) = values.split_at_mut(50_000 * columns);
        tail[..columns].copy_from_slice(&head[..columns]);
        let near = find(&values, columns, &LIMITS).unwrap();
        assert!(near.complete && near.pairs.iter().any(|pair| pair.second == 50_000));
    }
}
