use fuseline_engine::Labelled;
use fuseline_host::Isolation;
use fuseline_stats::permutation::{Intervention, Scheme};

use super::*;
use crate::batch::Fusable;
use crate::diagnose::broken::Plan;
use crate::diagnose::tests::{fit, study};
use crate::testing::services;

/// Everything that is counted, to the last bit.
fn counted(tally: &Tally<'_>) -> (Vec<i64>, Vec<u32>, Vec<u32>, Vec<u128>, u32) {
    let Each { correct, flips, shift } = &tally.each;
    (tally.correct.clone(), correct.clone(), flips.clone(), shift.clone(), tally.broken)
}

#[test]
fn pairs_count_what_permutations_count_to_the_last_bit() {
    let (mut study, services) = (study(), services());
    // Not every example has video: joint permutation has strata of two sizes.
    let gaps = [3, 4, 17, 18, 19, 30];
    let (evidence, quality) = (&mut study.evidence[1], &mut study.quality[1]);
    let kept = (0..40).filter(|row| !gaps.contains(row));
    evidence.example_id = evidence.example_id.take(kept.clone());
    quality.example_id = quality.example_id.take(kept.clone());
    let probabilities = kept.clone().flat_map(|row| [2 * row, 2 * row + 1]);
    evidence.probabilities = probabilities.map(|at| evidence.probabilities[at]).collect();
    quality.quality = kept.map(|row| quality.quality[row]).collect();
    fn labelled<T: Clone, U: From<T>>(
        of: &[T],
    ) -> impl Iterator<Item = Result<Labelled<U>, StageError>> {
        of.iter().map(|own| Ok(Labelled { point: vec![], artifact: own.clone().into() }))
    }
    let (evidence, quality) = (labelled(&study.evidence), labelled(&study.quality));
    let fusable = Fusable::join(evidence, quality, &study.cohort).unwrap();
    let batch = fusable.batch().unwrap();
    let labels = fusable.labels(&study.cohort);
    let schemes = [
        Scheme::Joint,
        Scheme::WithinGroup,
        Scheme::Conditional,
        Scheme::Derangement,
        Scheme::WithinClass,
        Scheme::WithinCorrect,
    ];
    for rule in ["weighted_mean", "lr", "moe", "hgb"] {
        let model = fit(&study, rule);
        let file = services.plugins.find_by_digest(&model.plugin_id, &model.plugin_digest).unwrap();
        let rule = services.plugins.load(&file, Isolation::InProcess).unwrap();
        let model = rule.open(&model.bytes).unwrap();
        let clean = model.predict(&batch).unwrap();
        for scheme in schemes {
            let plan = Plan {
                intervention: Intervention::Permutation(scheme),
                permutations: 300,
                bins: 2,
                seed: 5,
                chosen: &[true, scheme != Scheme::Derangement],
                regression: None,
            };
            let broken = Broken::new(&plan, &fusable, &study.cohort).unwrap();
            let Broken::Permuted { permutations, mask, permuter } = &broken else {
                panic!("a scheme permutes")
            };
            let tally = || Tally::new(&labels, &clean[..], 2);
            let shifts = Shifts::new(&model, permuter, *permutations, 2)
                .expect("300 permutations of 40 examples pay for pairs");
            let (first, own) = shifts.ask_first(&model, &batch, permuter, *mask).unwrap();
            assert_eq!(first[own], clean, "Clean-Q is one of the first");
            assert!(first.len() > clean.len(), "and not alone");
            let known = (&shifts, &first[..]);
            let pairs = Pairs::ask(&tally(), &model, &batch, permuter, *mask, known).unwrap();
            let go_on = || Ok(());
            let shared = &services.shared;
            let asked = tally().count_rest(&model, &batch, &broken, shared, go_on).unwrap();
            // Predicted in the rows' own order, without any of what spares work.
            let mut plain = tally();
            for which in (0..300).step_by(50).map(|start| start..start + 50) {
                let mut predictions = vec![0.0; 50 * clean.len()];
                broken.predict(&model, &batch, which, &mut predictions).unwrap();
                plain.count_block(&predictions);
            }
            assert_eq!(counted(&asked), counted(&plain), "{scheme:?}");
            // Drawn, then found, then too many to be kept.
            let few = SharedValues::with_limit(100);
            let drawn_again = tally().count_rest(&model, &batch, &broken, &few, go_on).unwrap();
            assert_eq!(counted(&drawn_again), counted(&plain), "{scheme:?}");
            for shared in [&services.shared, &services.shared, &few] {
                let mut looked_up = tally();
                looked_up.add_block(pairs.count(shared, *permutations, go_on).unwrap());
                assert_eq!(counted(&looked_up), counted(&asked), "{scheme:?}");
            }
            let whole = Tally::ask(&labels, &model, &batch, &broken, shared, go_on).unwrap();
            assert_eq!(counted(&whole), counted(&asked), "{scheme:?}");
            assert_eq!(whole.clean(), clean);
            let few = Shifts::new(&model, permuter, 1, 2);
            assert!(few.is_none(), "1 permutation does not");
        }
    }
}

#[test]
fn distances_are_summed_without_rounding() {
    let unit = 1.0 / FIXED_POINT;
    for (number, units) in [(0.0, 0), (1.0, 1 << 52), (0.25, 1 << 50), (1.0 + 1e-9, 1 << 52)] {
        assert_eq!(fixed_point(number), units);
    }
    assert_eq!(fixed_point(3.0 * unit), 3);
    assert_eq!(fixed_point(0.4 * unit), 0, "rounded to the nearest");
    let outcome = Outcome::new(true, false, 1.0);
    assert_eq!((outcome.right(), outcome.flips(), outcome.shift()), (1, 0, 1 << 52));
}

#[test]
fn counting_sees_every_row_that_breaks_the_output_law() {
    let (rows, classes, permutations) = (70, 3, 4);
    let labels = vec![0; rows];
    let lawful: Vec<f64> = [0.5, 0.25, 0.25].repeat(rows * permutations);
    let order: Vec<usize> = (0..rows).rev().collect();
    let tiles = Tile::cut(&order, &labels, &labels, &lawful[..rows * classes], classes);
    let keeps_law = |predictions: &[f64]| {
        let mut block = Block::new(permutations, classes, rows);
        tiles::count(&tiles, predictions, &mut block.correct, &mut block.each)
    };
    assert!(keeps_law(&lawful));
    // The first row and the last, in the first permutation and the last.
    for row in [0, 63, 64, rows - 1].map(|row| [row, 3 * rows + row]).concat() {
        for (class, wrong) in [(0, f64::NAN), (1, f64::INFINITY), (2, 0.251), (1, f64::MAX)] {
            let mut predictions = lawful.clone();
            predictions[row * classes + class] = wrong;
            assert!(!keeps_law(&predictions), "{wrong} in row {row}");
        }
        let mut predictions = lawful.clone();
        predictions[row * classes..][..classes].copy_from_slice(&[-0.25, 1.0, 0.25]);
        assert!(!keeps_law(&predictions), "a negative probability in row {row}");
    }
}
