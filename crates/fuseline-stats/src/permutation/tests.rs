use super::*;

const DIGEST: &[u8] = b"rows";

/// 60 rows of three modalities; availability, group and stratum in three rhythms.
struct Case {
    available: Vec<bool>,
    group: Vec<u32>,
    stratum: Vec<u32>,
}

impl Case {
    fn new() -> Self {
        Self {
            available: (0..180).map(|at| (at * 7 + at / 11) % 5 != 0).collect(),
            group: (0..60).map(|row| row / 5).collect(),
            stratum: (0..60).map(|row| row % 4).collect(),
        }
    }

    fn rows(&self) -> Rows<'_> {
        Rows {
            modalities: 3,
            available: &self.available,
            group: Some(&self.group),
            stratum: Some(&self.stratum),
            digest: DIGEST,
        }
    }
}

fn is_permutation(index: &[u32]) -> bool {
    let mut sorted = index.to_vec();
    sorted.sort_unstable();
    sorted.into_iter().eq((0_u32..).take(index.len()))
}

#[test]
fn every_scheme_permutes_within_its_strata() {
    let case = Case::new();
    for scheme in Scheme::ALL {
        let permuter = Permuter::new(scheme, &case.rows(), 1).unwrap();
        assert_eq!(permuter.columns(), if scheme == Scheme::PerModality { 3 } else { 1 });
        let mut moved = 0;
        for number in 0..20 {
            let index = permuter.draw(number);
            for (column, index) in index.chunks(60).enumerate() {
                assert!(is_permutation(index), "{scheme:?}");
                for (row, &other) in index.iter().enumerate() {
                    let other = other as usize;
                    moved += usize::from(row != other);
                    let there = |row: usize| &case.available[3 * row..][..3];
                    match scheme {
                        Scheme::PerModality => {
                            assert!(row == other || (there(row)[column] && there(other)[column]));
                        }
                        _ => assert_eq!(there(row), there(other), "{scheme:?}"),
                    }
                    if scheme == Scheme::WithinGroup {
                        assert_eq!(case.group[row], case.group[other]);
                    }
                    if scheme.strata().is_some() && scheme.parts_groups() {
                        assert_eq!(case.stratum[row], case.stratum[other]);
                    }
                }
            }
        }
        assert!(moved > 0, "{scheme:?} moved nothing");
    }
}

#[test]
fn whole_groups_go_together_to_groups_of_their_size() {
    // Groups of 1, 2 and 3 rows in turn, their rows apart; the last row of the last group lacks a
    // modality.
    let group: Vec<u32> = (0..4).flat_map(|at| [3 * at, 3 * at + 1, 3 * at + 2]).collect();
    let more: Vec<u32> = (0..4).flat_map(|at| [3 * at + 1, 3 * at + 2, 3 * at + 2]).collect();
    let group: Vec<u32> = group.into_iter().chain(more).collect();
    let mut available = vec![true; 24];
    available[23] = false;
    let rows = Rows {
        modalities: 1,
        available: &available,
        group: Some(&group),
        stratum: None,
        digest: DIGEST,
    };
    let permuter = Permuter::new(Scheme::WholeGroups, &rows, 1).unwrap();
    assert_eq!(permuter.movable_rows(), 4 + 8 + 9);
    let members =
        |of: u32| (0..24_u32).filter(|&row| group[row as usize] == of).collect::<Vec<_>>();
    let mut seen = BTreeMap::<Vec<u32>, u32>::new();
    for number in 0..6_000 {
        let index = permuter.draw(number);
        assert!(is_permutation(&index));
        for of in 0..12 {
            let own = members(of);
            let to = index[own[0] as usize];
            let other = members(group[to as usize]);
            let taken: Vec<u32> = own.iter().map(|&row| index[row as usize]).collect();
            assert_eq!(taken, other);
            assert!(of != 11 || own == other, "no group is like the last");
        }
        *seen.entry(vec![index[0], index[1]]).or_default() += 1;
    }
    // Where groups of one size go says nothing of where groups of another do: 4 x 4 places, 375
    // draws each.
    assert_eq!(seen.len(), 16);
    let chi_square: f64 =
        seen.values().map(|&count| (f64::from(count) - 375.0).powi(2) / 375.0).sum();
    assert!(chi_square < 37.7, "{chi_square}"); // the 0.999 quantile at 15 degrees of freedom
}

#[test]
fn a_derangement_leaves_no_row_that_has_company() {
    let mut available = vec![true; 20];
    available[6] = false; // row 3 of two modalities is alone with its availability
    let rows =
        Rows { modalities: 2, available: &available, group: None, stratum: None, digest: DIGEST };
    let permuter = Permuter::new(Scheme::Derangement, &rows, 1).unwrap();
    assert_eq!(permuter.movable_rows(), 9);
    for number in 0..500 {
        for (row, &other) in permuter.draw(number).iter().enumerate() {
            assert_eq!(row == other as usize, row == 3, "permutation {number}");
        }
    }
}

#[test]
fn every_derangement_of_four_is_as_likely_as_any_other() {
    let rows =
        Rows { modalities: 1, available: &[true; 4], group: None, stratum: None, digest: DIGEST };
    let permuter = Permuter::new(Scheme::Derangement, &rows, 1).unwrap();
    let mut seen = BTreeMap::<Vec<u32>, f64>::new();
    for number in 0..9_000 {
        *seen.entry(permuter.draw(number)).or_default() += 1.0;
    }
    assert_eq!(seen.len(), 9);
    let chi_square: f64 = seen.values().map(|count| (count - 1_000.0).powi(2) / 1_000.0).sum();
    assert!(chi_square < 26.1, "{chi_square}"); // the 0.999 quantile at 8 degrees of freedom
}

#[test]
fn a_permutation_does_not_depend_on_what_was_drawn_before_or_how_groups_are_numbered() {
    let case = Case::new();
    let permuter = Permuter::new(Scheme::WithinGroup, &case.rows(), 1).unwrap();
    let late = permuter.draw(500);
    (0..10).for_each(|number| drop(permuter.draw(number)));
    assert_eq!(permuter.draw(500), late);
    let renamed: Vec<u32> = case.group.iter().map(|group| 1_000 - 7 * group).collect();
    let rows = Rows { group: Some(&renamed), ..case.rows() };
    assert_eq!(Permuter::new(Scheme::WithinGroup, &rows, 1).unwrap().draw(500), late);
}

#[test]
fn seed_scheme_and_rows_each_give_other_permutations() {
    let case = Case::new();
    let draw = |scheme, seed, digest: &'static [u8]| {
        Permuter::new(scheme, &Rows { digest, ..case.rows() }, seed).unwrap().draw(0)
    };
    let own = draw(Scheme::Joint, 1, DIGEST);
    assert_ne!(own, draw(Scheme::Joint, 2, DIGEST));
    assert_ne!(own, draw(Scheme::Joint, 1, b"others"));
    assert_ne!(own, draw(Scheme::Derangement, 1, DIGEST));
}

#[test]
fn permuters_that_draw_alike_have_one_digest() {
    let (case, mut other) = (Case::new(), Case::new());
    other.stratum.iter_mut().for_each(|stratum| *stratum = 9 - *stratum);
    let digest =
        |scheme, rows: &Rows<'_>, seed| Permuter::new(scheme, rows, seed).unwrap().digest();
    let mut digests: Vec<_> =
        Scheme::ALL.iter().map(|&scheme| digest(scheme, &case.rows(), 1)).collect();
    let renumbered = digest(Scheme::Conditional, &other.rows(), 1);
    assert_eq!(renumbered, digest(Scheme::Conditional, &case.rows(), 1));
    digests.push(digest(Scheme::Joint, &case.rows(), 2));
    digests.push(digest(Scheme::Joint, &Rows { digest: b"others", ..case.rows() }, 1));
    other.stratum[0] = other.stratum[1];
    digests.push(digest(Scheme::Conditional, &other.rows(), 1));
    other.available[4] = !other.available[4];
    digests.push(digest(Scheme::PerModality, &other.rows(), 1));
    let known = digests.len();
    digests.sort_unstable();
    digests.dedup();
    assert_eq!(digests.len(), known);
}

#[test]
fn modalities_permute_independently_of_each_other() {
    let rows =
        Rows { modalities: 2, available: &[true; 80], group: None, stratum: None, digest: DIGEST };
    let index = Permuter::new(Scheme::PerModality, &rows, 1).unwrap().draw(0);
    assert_ne!(index[..40], index[40..]);
}

#[test]
fn a_swap_keeps_the_set_of_a_rows_qualities_and_touches_nothing_unavailable() {
    let case = Case::new();
    let quality: Vec<f64> = (0..180).map(f64::from).collect();
    let swapped = modality_swap(&quality, &case.rows(), 1, 0).unwrap();
    assert_ne!(swapped, quality);
    assert_ne!(swapped, modality_swap(&quality, &case.rows(), 1, 1).unwrap());
    for (row, (own, swapped)) in quality.chunks(3).zip(swapped.chunks(3)).enumerate() {
        let mut sorted = swapped.to_vec();
        sorted.sort_by(f64::total_cmp);
        assert_eq!(sorted, own);
        for at in 0..3 {
            assert!(case.available[3 * row + at] || own[at] == swapped[at]);
        }
    }
}

#[test]
fn constant_quality_is_the_mean_of_the_available() {
    let rows = Rows {
        modalities: 2,
        available: &[true, false, true, true, true, true],
        group: None,
        stratum: None,
        digest: DIGEST,
    };
    let levelled = constant(&[1.0, 99.0, 2.0, 4.0, 6.0, 8.0], &rows).unwrap();
    assert_eq!(levelled, [3.0, 99.0, 3.0, 6.0, 3.0, 6.0]);
}

#[test]
fn strata_cut_each_modality_by_rank_and_ties_stay_together() {
    let rows =
        Rows { modalities: 1, available: &[true; 8], group: None, stratum: None, digest: DIGEST };
    let confidence = [0.9, 0.1, 0.8, 0.2, 0.7, 0.3, 0.6, 0.4];
    assert_eq!(confidence_strata(&confidence, &rows, 2).unwrap(), [0, 1, 0, 1, 0, 1, 0, 1]);
    assert_eq!(confidence_strata(&confidence, &rows, 1).unwrap(), [0; 8]);
    let tied = [0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.9, 0.9];
    assert_eq!(confidence_strata(&tied, &rows, 4).unwrap(), [0, 0, 0, 0, 0, 0, 1, 1]);
}

#[test]
fn what_cannot_be_permuted_is_refused() {
    let rows =
        Rows { modalities: 2, available: &[true; 6], group: None, stratum: None, digest: DIGEST };
    let new = |scheme, rows: &Rows<'_>| Permuter::new(scheme, rows, 1).unwrap_err();
    let error = new(Scheme::WithinGroup, &rows);
    assert_eq!(error.to_string(), "the scheme within_group needs groups");
    assert!(matches!(new(Scheme::Conditional, &rows), PermutationError::Missing { .. }));
    let short = Rows { group: Some(&[1, 2]), ..rows };
    assert!(matches!(
        new(Scheme::WithinGroup, &short),
        PermutationError::Length { expected: 3, .. }
    ));
    let ragged = Rows { available: &[true; 5], ..rows };
    assert!(matches!(new(Scheme::Joint, &ragged), PermutationError::Length { .. }));
    let none = Rows { modalities: 0, ..rows };
    assert!(matches!(new(Scheme::Joint, &none), PermutationError::Modalities { modalities: 0 }));
    assert!(modality_swap(&[0.0; 5], &rows, 1, 0).is_err());
}

#[test]
fn no_rows_are_permuted_to_no_rows() {
    let rows = Rows { modalities: 2, available: &[], group: None, stratum: None, digest: DIGEST };
    let permuter = Permuter::new(Scheme::PerModality, &rows, 1).unwrap();
    assert_eq!((permuter.rows(), permuter.movable_rows(), permuter.draw(3)), (0, 0, vec![]));
}

#[test]
fn interventions_are_found_by_their_names() {
    for name in [
        "joint",
        "per_modality",
        "within_group",
        "conditional",
        "derangement",
        "modality_swap",
        "constant",
    ] {
        assert_eq!(Intervention::named(name).map(Intervention::name), Some(name));
    }
    assert_eq!(Intervention::named("Joint"), None);
    assert!(!Intervention::Constant.is_random());
}

#[test]
fn chances_to_change_are_the_shares_of_draws_that_change() {
    let case = Case::new();
    // Few values, so that many rows of a stratum have the same.
    let quality: Vec<u32> = (0..180).map(|at| at * at % 3).collect();
    for scheme in Scheme::ALL {
        let permuter = Permuter::new(scheme, &case.rows(), 1).unwrap();
        let key = |column: usize, row: u32| -> Vec<u32> {
            let own = &quality[3 * row as usize..][..3];
            if permuter.columns() == 1 { own.to_vec() } else { vec![own[column]] }
        };
        let chances = permuter.change_chances(key);
        let draws = 4_000;
        let mut changed = vec![0_u32; 60];
        for number in 0..draws {
            let index = permuter.draw(number);
            for (row, count) in changed.iter_mut().enumerate() {
                let columns = index.chunks(60).enumerate();
                let other = |(column, index): (usize, &[u32])| {
                    key(column, row as u32) != key(column, index[row])
                };
                *count += u32::from(columns.map(other).fold(false, |any, other| any | other));
            }
        }
        for (row, (chance, count)) in chances.iter().zip(changed).enumerate() {
            let share = f64::from(count) / draws as f64;
            // Five standard errors of a share of 4,000 draws.
            let error = 5.0 * (chance * (1.0 - chance) / draws as f64).sqrt();
            assert!((share - chance).abs() <= error + 1e-12, "{scheme:?} {row}: {share} {chance}");
        }
    }
}

#[test]
fn rows_of_equal_quality_have_no_chance_to_change() {
    let case = Case::new();
    let permuter = Permuter::new(Scheme::WithinGroup, &case.rows(), 1).unwrap();
    assert!(permuter.movable_rows() > 0);
    let by_group = permuter.change_chances(|_, row| case.group[row as usize]);
    assert_eq!(by_group, [0.0; 60], "one value of quality a group");
    let rows = Rows {
        modalities: 3,
        available: &[true, true, true, true, true, false, true, true, true],
        group: None,
        stratum: None,
        digest: DIGEST,
    };
    let swapped = [1.0, 2.0, 2.0, 1.0, 1.0, 5.0, 1.0, 2.0, 3.0];
    let found = swap_change_chances(&swapped, &rows).unwrap();
    assert_eq!(found, [1.0 - 2.0 / 6.0, 0.0, 1.0 - 1.0 / 6.0]);
}

#[test]
fn rows_whose_experts_are_right_alike_share_a_stratum() {
    let rows = Rows {
        modalities: 2,
        available: &[true, true, true, false, true, true, true, true],
        group: None,
        stratum: None,
        digest: DIGEST,
    };
    let correct = [true, false, true, true, true, false, false, true];
    assert_eq!(correct_strata(&correct, &rows).unwrap(), [0, 0, 0, 1]);
    assert!(correct_strata(&correct[1..], &rows).is_err());
    assert!(Scheme::WithinCorrect.reads_labels() && !Scheme::ConditionalResidual.reads_labels());
    let error = Permuter::new(Scheme::WithinClass, &rows, 1).unwrap_err();
    assert_eq!(error.to_string(), "the scheme within_class needs labels");
}

#[test]
fn residuals_are_exchanged_and_what_the_evidence_says_stays() {
    let available = [true, true, true, true, true, false];
    let quality = [1.0, 5.0, 2.0, 7.0, 4.0, 9.0];
    // The first modality is its expectation but for rounding.
    let expected = vec![1.0 + 1e-9, 4.0, 2.0, 4.0, 4.0, 0.0];
    let parts = Residuals::new(2, &available, &quality, expected.clone()).unwrap();
    assert_eq!(parts.exchange(&[0, 1, 2], &[true, true]), quality);
    let swapped = parts.exchange(&[1, 0, 2], &[true, true]);
    assert_eq!(swapped, [1.0, 7.0, 2.0, 5.0, 4.0, 9.0]);
    assert_eq!(parts.exchange(&[1, 0, 2], &[true, false]), quality);
    assert!(Residuals::new(2, &available, &quality, expected[1..].to_vec()).is_err());
}

#[test]
fn derangements_have_no_p_value() {
    for scheme in Scheme::ALL {
        let tested = Intervention::Permutation(scheme).has_p_value();
        assert_eq!(tested, scheme != Scheme::Derangement);
    }
}
