use super::*;

#[test]
fn a_class_without_rows_is_left_out_of_balanced_accuracy() {
    assert_eq!(balanced_accuracy(&[4, 0, 2], &[3, 0, 1]), Ok(0.625));
    assert_eq!(recalls(&[4, 0], &[3, 0]), Ok(vec![Some(0.75), None]));
    assert_eq!(balanced_accuracy(&[0, 0], &[0, 0]), Err(MetricError::Empty));
    assert_eq!(
        balanced_accuracy(&[4, 1], &[3, 2]),
        Err(MetricError::TooManyCorrect { class: 1, correct: 2, rows: 1 })
    );
}

#[test]
fn counts_of_folds_pool_by_adding() {
    let (labels, decisions) = ([0, 0, 1, 1, 1, 2], [0, 1, 1, 1, 0, 0]);
    let whole = Confusion::from_decisions(&labels, &decisions, 3).unwrap();
    let mut pooled = Confusion::from_decisions(&labels[..2], &decisions[..2], 3).unwrap();
    pooled.add(&Confusion::from_decisions(&labels[2..], &decisions[2..], 3).unwrap()).unwrap();
    assert_eq!(pooled, whole);
    assert_eq!((whole.rows(), whole.correct()), (vec![2, 3, 1], vec![1, 2, 0]));
    assert_eq!(whole.balanced_accuracy(), Ok((0.5 + 2.0 / 3.0) / 3.0));
}

#[test]
fn a_class_that_is_neither_label_nor_decision_is_no_part_of_macro_f1() {
    let confusion = Confusion::from_decisions(&[0, 0, 1], &[0, 1, 1], 4).unwrap();
    assert_eq!(confusion.macro_f1(), Ok(2.0 / 3.0));
    assert_eq!(Confusion::from_decisions(&[], &[], 4).unwrap().macro_f1(), Err(MetricError::Empty));
}

#[test]
fn the_lowest_class_wins_a_tie_and_nan_wins_nothing() {
    assert_eq!(decision(&[0.2, 0.4, 0.4]), 1);
    assert_eq!(decision(&[f64::NAN, 0.1, 0.0]), 1);
    assert_eq!(decision(&[f64::NAN]), 0);
    assert_eq!(decision(&[]), 0);
}

#[test]
fn ties_count_half_in_auroc() {
    assert_eq!(auroc(&[1.0, 1.0], &[true, false]), Ok(0.5));
    assert_eq!(auroc(&[3.0, 2.0, 2.0, 1.0], &[true, true, false, false]), Ok(0.875));
    assert_eq!(auroc(&[f64::INFINITY, f64::NEG_INFINITY], &[true, false]), Ok(1.0));
    assert!(matches!(auroc(&[1.0, 2.0], &[true, true]), Err(MetricError::Undefined { .. })));
    assert_eq!(auroc(&[1.0, f64::NAN], &[true, false]), Err(MetricError::NotANumber { row: 1 }));
}

#[test]
fn the_concordance_index_counts_pairs_of_different_outcomes_and_is_auroc_of_two() {
    let scores: [f64; 8] = [0.3, -1.0, 0.3, 2.0, 0.0, 0.5, 0.5, -1.0];
    let outcomes: [f64; 8] = [1.0, 0.5, 2.0, 2.0, -3.0, 0.5, 4.0, 7.0];
    let (mut sum, mut pairs) = (0.0, 0.0);
    for (one, more) in outcomes.iter().enumerate() {
        for (other, _) in outcomes.iter().enumerate().filter(|(_, less)| *less < more) {
            sum += match scores[one].total_cmp(&scores[other]) {
                std::cmp::Ordering::Greater => 1.0,
                std::cmp::Ordering::Equal => 0.5,
                std::cmp::Ordering::Less => 0.0,
            };
            pairs += 1.0;
        }
    }
    assert_eq!(concordance_index(&scores, &outcomes), Ok(sum / pairs));
    let positive = outcomes.map(|outcome| outcome > 1.0);
    let as_numbers = positive.map(|is| f64::from(u8::from(is)));
    assert_eq!(concordance_index(&scores, &as_numbers), auroc(&scores, &positive));
    let alike = concordance_index(&scores, &[1.0; 8]);
    assert!(matches!(alike, Err(MetricError::Undefined { .. })));
    assert!(matches!(concordance_index(&[1.0], &[]), Err(MetricError::Length { .. })));
    let unknown = concordance_index(&[1.0, 2.0], &[1.0, f64::NAN]);
    assert_eq!(unknown, Err(MetricError::NotANumber { row: 1 }));
}

#[test]
fn rank_correlation_sees_order_alone() {
    assert_eq!(spearman(&[1.0, 2.0, 3.0], &[1.0, 10.0, 1e9]), Ok(1.0));
    assert_eq!(spearman(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0]), Ok(-1.0));
    assert!(matches!(spearman(&[1.0, 2.0], &[5.0, 5.0]), Err(MetricError::Undefined { .. })));
    assert!(matches!(spearman(&[], &[]), Err(MetricError::Undefined { .. })));
    assert!(matches!(spearman(&[1.0], &[]), Err(MetricError::Length { .. })));
}

#[test]
fn distances_between_decisions_and_probabilities() {
    assert_eq!(flip_rate(&[0, 1, 1, 0], &[0, 1, 0, 0]), Ok(0.25));
    assert_eq!(flip_rate(&[], &[]), Err(MetricError::Empty));
    assert_eq!(total_variation(&[1.0, 0.0], &[0.0, 1.0]), 1.0);
    assert_eq!(mean_total_variation(&[1.0, 0.0, 0.5, 0.5], &[0.5, 0.5, 0.5, 0.5], 2), Ok(0.25));
    assert_eq!(mean_total_variation(&[], &[], 2), Err(MetricError::Empty));
}

#[test]
fn a_certain_mistake_costs_a_finite_loss() {
    let loss = log_loss(&[1.0, 0.0], &[1]).unwrap();
    assert!((loss - 52.0 * std::f64::consts::LN_2).abs() < 1e-12);
    assert_eq!(log_loss(&[1.0, 0.0], &[0]), Ok(0.0));
    assert_eq!(brier(&[1.0, 0.0], &[1]), Ok(2.0));
}

#[test]
fn shapes_and_labels_are_checked() {
    assert!(matches!(log_loss(&[0.5; 5], &[0, 1]), Err(MetricError::Length { .. })));
    assert!(matches!(log_loss(&[0.5; 4], &[0, 2]), Err(MetricError::Class { row: 1, .. })));
    assert!(log_loss(&[], &[0]).is_err());
    assert!(matches!(brier(&[f64::NAN, 1.0], &[0]), Err(MetricError::NotANumber { row: 0 })));
    assert!(matches!(Confusion::from_decisions(&[0], &[2], 2), Err(MetricError::Class { .. })));
    assert!(matches!(decisions(&[0.1; 3], 2), Err(MetricError::Length { .. })));
}
