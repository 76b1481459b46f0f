use super::*;

/// Two examples with both modalities, one with audio alone; quality counts cells from 1.
fn fusable() -> Fusable {
    Fusable {
        rows: vec![0, 1, 2],
        modalities: vec!["audio".to_owned(), "video".to_owned()],
        classes: vec!["rest".to_owned(), "stress".to_owned()],
        evidence: vec![0.5, 0.5, 0.6, 0.4, 0.1, 0.9, 0.5, 0.5, 0.3, 0.7, 0.0, 0.0],
        available: vec![1, 1, 1, 1, 1, 0],
        quality: vec![1.0, 2.0, 3.0, 4.0, 5.0, 0.0],
    }
}

#[test]
fn a_swap_shifts_quality_among_the_modalities_that_a_row_has() {
    assert_eq!(swapped(&fusable(), &[true, true]), [[2.0, 1.0, 4.0, 3.0, 5.0, 0.0]]);
}

#[test]
fn a_swap_of_one_modality_alone_changes_nothing() {
    assert_eq!(swapped(&fusable(), &[true, false]), [fusable().quality]);
}

#[test]
fn constant_is_the_mean_of_the_rows_that_have_the_modality() {
    assert_eq!(constant(&fusable(), &[true, true]), [3.0, 3.0, 3.0, 3.0, 3.0, 0.0]);
    assert_eq!(constant(&fusable(), &[false, true]), [1.0, 3.0, 3.0, 3.0, 5.0, 0.0]);
}

#[test]
fn strata_cut_the_rows_evenly_by_confidence() {
    // Confidence: (0.5 + 0.6) / 2, (0.9 + 0.5) / 2, 0.7; the tie goes to the earlier row.
    assert_eq!(confidence_strata(&fusable(), 3), [0, 1, 2]);
    assert_eq!(confidence_strata(&fusable(), 1), [0, 0, 0]);
}
