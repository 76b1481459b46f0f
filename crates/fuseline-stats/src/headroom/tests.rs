use super::*;
use crate::streams::Stream;

const YES: bool = true;
const NO: bool = false;

/// Six rows of two modalities; the second is missing in rows 2 and 5, where it would have been
/// right.
fn experts() -> Experts<'static> {
    Experts {
        modalities: 2,
        available: &[YES, YES, YES, YES, YES, NO, YES, YES, YES, YES, YES, NO],
        correct: &[YES, NO, NO, YES, NO, YES, NO, NO, YES, YES, YES, YES],
        labels: &[0, 0, 0, 1, 1, 1],
        classes: 2,
    }
}

#[test]
fn the_oracle_is_right_where_any_available_modality_is() {
    assert_eq!(experts().oracle(), Ok(vec![YES, YES, NO, NO, YES, YES]));
}

#[test]
fn a_modality_alone_is_wrong_where_it_is_unavailable() {
    let expected = [(1.0 / 3.0 + 2.0 / 3.0) / 2.0, (1.0 / 3.0 + 1.0 / 3.0) / 2.0];
    assert_eq!(experts().unimodal(), Ok(expected.to_vec()));
    assert_eq!(experts().best_unimodal(), Ok((0, 0.5)));
}

#[test]
fn headroom_regret_and_what_no_routing_explains() {
    let found = experts().headroom(&[YES, NO, YES, NO, NO, YES]).unwrap();
    assert_eq!(
        (found.oracle, found.regret, found.beyond_oracle),
        (2.0 / 3.0, 2.0 / 6.0, 1.0 / 6.0)
    );
    assert_eq!(found.headroom, 2.0 / 3.0 - (2.0 / 3.0 + 1.0 / 3.0) / 2.0);
    let all_right = experts().headroom(&[YES; 6]).unwrap();
    assert!(all_right.headroom < 0.0, "a decision that beats the oracle has no headroom");
}

#[test]
fn alignment_is_over_the_rows_where_the_modality_is_available() {
    let quality = [0.9, 0.1, 0.2, 0.8, 0.3, f64::NAN, 0.1, 0.3, 0.8, 0.9, 0.7, f64::NAN];
    let found = experts().alignment(&quality).unwrap();
    assert_eq!(found[0].auroc, Some(1.0));
    assert_eq!(found[1].auroc, Some(1.0));
    assert!(found[0].spearman.unwrap() > 0.8);
    let flat = experts().alignment(&[1.0; 12]).unwrap();
    assert_eq!(flat[0], Alignment { auroc: Some(0.5), spearman: None });
}

#[test]
fn selection_is_judged_where_modalities_disagree() {
    // Rows 0 and 1 are discordant.
    let mut quality = [0.5; 12];
    (quality[0], quality[1], quality[2], quality[3]) = (0.9, 0.1, 0.9, 0.1);
    assert_eq!(experts().selection_accuracy(&quality), Ok(Some(0.5)));
    assert_eq!(experts().selection_accuracy(&[0.5; 12]), Ok(Some(0.5)));
    quality[3] = 1.0;
    assert_eq!(experts().selection_accuracy(&quality), Ok(Some(1.0)));
    let agreed = Experts { correct: &[YES; 12], ..experts() };
    assert_eq!(agreed.selection_accuracy(&quality), Ok(None));
}

#[test]
fn the_highest_quality_is_believed_and_equals_share_the_row() {
    // The first row's first modality is right, the second row's second is not.
    let mut quality = [0.5; 12];
    quality[0] = 1.0;
    quality[3] = 1.0;
    let expected = ((1.0 + 1.0 + 0.0) / 3.0 + (0.0 + 1.0 + 1.0) / 3.0) / 2.0;
    assert_eq!(experts().highest_quality(&quality), Ok(expected));
    // Nothing hangs on the order of modalities.
    let expected = ((0.5 + 0.5 + 0.0) / 3.0 + (0.0 + 1.0 + 1.0) / 3.0) / 2.0;
    assert_eq!(experts().highest_quality(&[0.5; 12]), Ok(expected));
    let gone = Experts { available: &[NO; 12], ..experts() };
    assert_eq!(gone.highest_quality(&[0.5; 12]), Ok(0.0));
    assert!(Experts { classes: 1, ..experts() }.highest_quality(&quality).is_err());
    assert!(experts().highest_quality(&[f64::NAN; 12]).is_err());
}

#[test]
fn shapes_are_checked() {
    assert!(experts().headroom(&[YES; 5]).is_err());
    assert!(experts().alignment(&[0.0; 11]).is_err());
    assert!(experts().alignment(&[f64::NAN; 12]).is_err());
    assert!(Experts { available: &[YES; 11], ..experts() }.oracle().is_err());
    assert!(Experts { classes: 1, ..experts() }.unimodal().is_err());
}

#[test]
fn quality_that_tells_the_label_has_an_auroc_far_from_a_half() {
    let quality = [0.1, 0.9, 0.2, 0.9, 0.1, f64::NAN, 0.8, 0.1, 0.9, 0.2, 0.7, f64::NAN];
    let found = experts().label_auroc(&quality).unwrap();
    assert_eq!(found, [Some(1.0), Some(0.0)]);
    let one_class = Experts { labels: &[1; 6], ..experts() };
    assert_eq!(one_class.label_auroc(&quality).unwrap(), [None, None]);
    assert_eq!(experts().label_auroc(&[1.0; 12]).unwrap(), [Some(0.5), Some(0.5)]);
    assert!(experts().label_auroc(&[1.0; 3]).is_err());
}

#[test]
fn a_choice_before_the_label_is_seen_counts_as_wrong_where_it_is_unavailable() {
    let chosen = experts().chosen(&[0, 1, 1, 1, 1, 0]).unwrap();
    // Rest: right, right, unavailable. Stress: wrong, right, right.
    assert_eq!(chosen, 2.0 / 3.0);
    assert!(experts().chosen(&[0; 5]).is_err());
    assert!(experts().chosen(&[0, 0, 0, 0, 0, 2]).is_err());
}

#[test]
fn of_three_equal_experts_the_best_on_test_rows_flatters_by_3_points_and_that_on_training_rows_not()
{
    // The sizes of StressID: 53 and 317 examples, five folds; every expert is right in 65 %.
    const STUDIES: u64 = 1000;
    let labels: Vec<u32> = (0..370).map(|row| u32::from(row >= 53)).collect();
    let available = vec![YES; 370 * 3];
    let (mut on_test, mut on_training) = (0.0, 0.0);
    for seed in 0..STUDIES {
        let mut stream = Stream::new(seed, "three equal experts");
        let correct: Vec<bool> = (0..370 * 3).map(|_| stream.uniform() < 0.65).collect();
        let mut fold: Vec<usize> = (0..370).map(|row| row % 5).collect();
        stream.shuffle(&mut fold);
        let of = |correct: &[bool], labels: &[u32]| {
            let experts = Experts {
                modalities: 3,
                available: &available[..correct.len()],
                correct,
                labels,
                classes: 2,
            };
            experts.best_unimodal().unwrap()
        };
        let best_of_fold: Vec<usize> = (0..5)
            .map(|tested| {
                let rows = || (0..370).filter(|&row| fold[row] != tested);
                let correct: Vec<bool> =
                    rows().flat_map(|row| correct[row * 3..][..3].to_vec()).collect();
                of(&correct, &rows().map(|row| labels[row]).collect::<Vec<_>>()).0
            })
            .collect();
        let chosen: Vec<usize> = fold.iter().map(|&fold| best_of_fold[fold]).collect();
        let experts = Experts {
            modalities: 3,
            available: &available,
            correct: &correct,
            labels: &labels,
            classes: 2,
        };
        on_test += experts.best_unimodal().unwrap().1 - 0.65;
        on_training += experts.chosen(&chosen).unwrap() - 0.65;
    }
    let (on_test, on_training) = (on_test / STUDIES as f64, on_training / STUDIES as f64);
    println!("chosen on test rows {on_test:+.4}, on training rows {on_training:+.4}");
    // The standard error of a mean of 1,000 is 0.0011.
    assert!((on_test - 0.03).abs() < 0.004, "{on_test}");
    assert!(on_training.abs() < 0.004, "{on_training}");
}
