use fuseline_artifact::Texts;

use super::*;

/// Two examples with both modalities, one with audio alone; quality counts cells from 1.
fn fusable() -> Fusable {
    Fusable {
        rows: vec![0, 1, 2],
        example_id: Texts::from_iter(["a", "b", "c"]),
        modalities: vec!["audio".to_owned(), "video".to_owned()],
        classes: vec!["rest".to_owned(), "stress".to_owned()],
        has_expert: vec![true, true],
        evidence: vec![0.5, 0.5, 0.6, 0.4, 0.1, 0.9, 0.5, 0.5, 0.3, 0.7, 0.0, 0.0],
        available: vec![1, 1, 1, 1, 1, 0],
        quality: vec![1.0, 2.0, 3.0, 4.0, 5.0, 0.0],
        embeddings: Vec::new(),
    }
}

fn broken(intervention: &str, chosen: &[bool], permutations: u32) -> Result<Broken, StageError> {
    let rows: Vec<_> = ["a", "b", "c"].map(|id| (id.to_owned(), id.to_owned(), 0)).into();
    let plan = Plan {
        intervention: Intervention::named(intervention).unwrap(),
        permutations,
        bins: 2,
        seed: 1,
        chosen,
        regression: None,
    };
    Broken::new(&plan, &fusable(), &crate::testing::cohort(&rows))
}

fn replaced(intervention: &str, chosen: &[bool]) -> Vec<Vec<f64>> {
    match broken(intervention, chosen, 20).unwrap() {
        Broken::Replaced(quality) => vec![quality],
        Broken::Drawn { permutations, from } => {
            (0..permutations).map(|number| from.draw(number).unwrap()).collect()
        }
        Broken::Permuted { .. } => panic!("quality is replaced, not permuted"),
    }
}

#[test]
fn constant_is_a_single_outcome_and_leaves_alone_what_was_not_chosen() {
    assert_eq!(replaced("constant", &[true, true]), [[3.0, 3.0, 3.0, 3.0, 3.0, 0.0]]);
    assert_eq!(replaced("constant", &[false, true]), [[1.0, 3.0, 3.0, 3.0, 5.0, 0.0]]);
}

#[test]
fn a_swap_stays_within_the_row_and_needs_two_chosen_modalities() {
    let swapped = replaced("modality_swap", &[true, true]);
    assert_eq!(swapped.len(), 20);
    for quality in &swapped {
        let mut first = quality[..2].to_vec();
        first.sort_by(f64::total_cmp);
        assert_eq!(first, [1.0, 2.0]);
        assert_eq!(quality[4..], [5.0, 0.0]);
    }
    assert!(swapped.iter().any(|quality| quality[..2] == [2.0, 1.0]));
    assert!(
        replaced("modality_swap", &[true, false])
            .iter()
            .all(|quality| *quality == fusable().quality)
    );
}

#[test]
fn a_scheme_that_can_move_nothing_is_refused_instead_of_finding_no_gap() {
    let error = broken("within_group", &[true, true], 20).err().unwrap();
    assert_eq!(error.message, "the scheme within_group can move the quality of no test example");
}

#[test]
fn only_the_chosen_modalities_are_masked_in() {
    let Broken::Permuted { mask, permuter, .. } = broken("joint", &[false, true], 20).unwrap()
    else {
        panic!("joint permutes");
    };
    assert_eq!(mask, 0b10);
    assert_eq!((permuter.columns(), permuter.movable_rows()), (1, 2));
}

#[test]
fn the_chance_to_change_counts_qualities_and_not_rows() {
    let chances = |intervention: &str, chosen: &[bool]| {
        broken(intervention, chosen, 20).unwrap().change_chances(&fusable()).unwrap()
    };
    assert_eq!(chances("joint", &[true, true]), [0.5, 0.5, 0.0]);
    assert_eq!(chances("joint", &[false, false]), [0.0; 3]);
    assert_eq!(chances("derangement", &[true, true]), [1.0, 1.0, 0.0]);
    // Three rows have audio and two have video.
    let both = 1.0 - 1.0 / 3.0 * 0.5;
    assert_eq!(chances("per_modality", &[true, true]), [both, both, 1.0 - 1.0 / 3.0]);
    assert_eq!(chances("modality_swap", &[true, true]), [0.5, 0.5, 0.0]);
    // The middle audio quality is the mean already, its video quality is not.
    assert_eq!(chances("constant", &[true, true]), [1.0, 1.0, 1.0]);
    assert_eq!(chances("constant", &[false, true]), [1.0, 1.0, 0.0]);
}

#[test]
fn residuals_need_training_rows() {
    let error = broken("conditional_residual", &[true, true], 20).err().unwrap();
    assert_eq!(error.message, "the scheme conditional_residual needs training rows");
}
