use fuseline_artifact::{Cohort, Evidence, Quality, Texts};
use fuseline_engine::Labelled;
use fuseline_stats::permutation::{Intervention, Scheme};

use super::*;
use crate::diagnose::broken::Plan;

/// Rows of one modality, in groups of four.
fn one_modality(quality: &[f64]) -> (Fusable, Cohort) {
    let ids: Vec<String> = (0..quality.len()).map(|row| format!("e{row:03}")).collect();
    let example_id = Texts::from_iter(&ids);
    let cohort = Cohort {
        example_id: example_id.clone(),
        group: (0..quality.len()).map(|row| format!("g{}", row / 4)).collect(),
        label: (0..).map(|row| row % 2).take(quality.len()).collect(),
        classes: vec!["rest".to_owned(), "stress".to_owned()],
    };
    let evidence = Evidence {
        modality: "audio".to_owned(),
        classes: cohort.classes.clone(),
        example_id: example_id.clone(),
        probabilities: vec![0.5; 2 * quality.len()].into(),
        inner_fold: None,
        logits: None,
    };
    let quality = Quality {
        modality: "audio".to_owned(),
        source: "column".to_owned(),
        control: Default::default(),
        evidence_derived: false,
        example_id,
        quality: quality.to_vec().into(),
    };
    let given = |artifact: Evidence| Labelled { point: Vec::new(), artifact: artifact.into() };
    let fusable = Fusable::join(
        [Ok(given(evidence))].into_iter(),
        [Ok(Labelled { point: Vec::new(), artifact: quality })].into_iter(),
        &cohort,
    );
    (fusable.unwrap(), cohort)
}

fn count(scheme: Scheme, quality: &[f64]) -> Moved {
    let (fusable, cohort) = one_modality(quality);
    let plan = Plan {
        intervention: Intervention::Permutation(scheme),
        permutations: 1000,
        bins: 3,
        seed: 1,
        chosen: &[true],
        regression: None,
    };
    let broken = Broken::new(&plan, &fusable, &cohort).unwrap();
    Moved::count(&broken, &fusable, &[true]).unwrap()
}

#[test]
fn a_rare_flag_changes_few_rows_and_no_scheme_could_change_more() {
    let quality: Vec<f64> = (0..40).map(|row| f64::from(u8::from(row == 7))).collect();
    let found = count(Scheme::Joint, &quality);
    // One row of 40: 2 * 39 / 40 rows change on average.
    assert!((found.movable - 1.95).abs() < 1e-12, "{found:?}");
    assert!((found.moved - 1.95).abs() < 0.1, "{found:?}");
}

#[test]
fn quality_that_is_one_value_a_group_does_not_move_within_groups() {
    let quality: Vec<f64> = (0..40).map(|row| f64::from(row / 4)).collect();
    let found = count(Scheme::WithinGroup, &quality);
    assert_eq!(found.moved, 0.0);
    assert!((found.movable - 36.0).abs() < 1e-9, "{found:?}");
}

#[test]
fn a_derangement_moves_every_row_and_a_constant_none() {
    let quality: Vec<f64> = (0..40).map(f64::from).collect();
    assert_eq!(count(Scheme::Derangement, &quality).moved, 40.0);
    let found = count(Scheme::Joint, &[0.5; 40]);
    assert_eq!(found, Moved { moved: 0.0, movable: 0.0 });
}
