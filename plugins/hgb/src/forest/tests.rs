use fuseline_learn::boosting::Options;

use super::*;

/// Pseudo-random numbers below 1 (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

const WIDTH: usize = 5;
const FIRST_MOVING: usize = 2;

/// Trees on two classes or three; the last column is skewed, the one before has few values.
fn fitted(classes: usize, max_leaves: usize, numbers: &mut Numbers) -> Boosting {
    let rows: Vec<[f64; WIDTH]> = (0..600)
        .map(|_| {
            let mut row = [0.0; WIDTH].map(|_: f64| numbers.uniform() - 0.3);
            row[3] = (row[3] * 4.0).round();
            row[4] = row[4].powi(9) * 1e9;
            row
        })
        .collect();
    let label = |row: &[f64; WIDTH]| {
        let score = row[0] * row[3] + row[1] + row[2] * 2.0 + row[4].cbrt() / 800.0;
        if score > 0.2 { 1 } else { u32::from(score > -0.2 && classes > 2) * 2 }
    };
    let labels: Vec<u32> = rows.iter().map(label).collect();
    let options = Options { rounds: 7, max_leaves, min_rows_per_leaf: 2, ..Options::default() };
    let (rows, weights) = (rows.as_flattened(), vec![1.0; labels.len()]);
    Boosting::fit(rows, WIDTH, &labels, &weights, classes, &options).unwrap()
}

#[test]
fn a_forest_scores_as_its_trees_do_to_the_last_bit() {
    let mut numbers = Numbers(1);
    for (classes, max_leaves) in [(2, 2), (2, 31), (3, 8), (3, 9), (3, 64)] {
        let boosting = fitted(classes, max_leaves, &mut numbers);
        let forest = Forest::new(&boosting, FIRST_MOVING).expect("small trees");
        let nodes = boosting.nodes().iter().filter(|node| node.threshold.is_finite());
        let thresholds: Vec<_> = nodes.collect();
        // Values that are thresholds, next to them, anywhere, and far out.
        for turn in 0..40 {
            let mut lanes = [[0.0; TILE]; WIDTH];
            for (column, lane) in lanes.iter_mut().enumerate() {
                let own: Vec<f64> = thresholds
                    .iter()
                    .filter(|node| node.feature as usize == column)
                    .map(|node| node.threshold)
                    .chain([0.0])
                    .collect();
                for value in lane.iter_mut() {
                    let threshold = own[(numbers.uniform() * own.len() as f64) as usize];
                    *value = match (numbers.uniform() * 6.0) as usize {
                        0 => threshold,
                        1 => threshold.next_up(),
                        2 => threshold.next_down(),
                        3 => numbers.uniform(),
                        4 => (numbers.uniform() - 0.5) * 1e7,
                        _ => [-0.0, 1e100, -1e100, f64::NAN][turn % 4],
                    };
                }
            }
            let blocks = boosting.baseline().len();
            let mut scores: Vec<Lane> =
                boosting.baseline().iter().map(|&baseline| [baseline; TILE]).collect();
            let open = forest.decide(|column| &lanes[column]);
            let mut codes = vec![[0; TILE]; WIDTH - FIRST_MOVING];
            forest.add(&open, &lanes[FIRST_MOVING..], &mut codes, &mut scores);
            let rows: Vec<f64> =
                (0..TILE).flat_map(|at| lanes.iter().map(move |lane| lane[at])).collect();
            let expected = boosting.scores(&rows).unwrap();
            for (at, expected) in expected.chunks_exact(blocks).enumerate() {
                for (score, expected) in scores.iter().zip(expected) {
                    assert_eq!(score[at].to_bits(), expected.to_bits(), "{classes} {max_leaves}");
                }
            }
        }
    }
}

#[test]
fn trees_that_are_too_large_are_no_forest() {
    let boosting = fitted(2, 65, &mut Numbers(2));
    let leaves = boosting.nodes().iter().filter(|node| !node.threshold.is_finite()).count();
    assert!(leaves > MOST_LEAVES * boosting.trees().len() / 2, "trees are grown large");
    assert!(Forest::new(&boosting, FIRST_MOVING).is_none());
    assert!(Thresholds::new((0..255).map(f64::from).collect()).is_some());
    assert!(Thresholds::new((0..256).map(f64::from).collect()).is_none());
}
