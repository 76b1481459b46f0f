use super::*;

const FOLDS: i64 = 3;

fn fold(split: u32, fold: i64) -> Fold {
    Fold { split: Some(ActionId(split)), fold }
}

/// Every atom of two splits of three folds each.
fn atoms() -> Vec<Rows> {
    let mut atoms = vec![Rows::external(), Rows::all()];
    for split in [7, 8] {
        for number in 0..FOLDS {
            atoms.push(Rows::train(fold(split, number)));
            atoms.push(Rows::test(fold(split, number)));
        }
    }
    atoms
}

/// Every union of at most three atoms, in the order in which they are named.
fn unions() -> Vec<Rows> {
    let atoms = atoms();
    let mut unions = vec![Rows::none()];
    for (at, one) in atoms.iter().enumerate() {
        unions.push(one.clone());
        for (next, two) in atoms.iter().enumerate().skip(at + 1) {
            unions.push(one.union(two));
            unions.extend(atoms.iter().skip(next + 1).map(|three| one.union(two).union(three)));
        }
    }
    unions
}

/// The examples meant, a bit each: nine of this study, one in each pair of folds, and one of
/// another.
fn meant(rows: &Rows) -> u32 {
    let all = FOLDS * FOLDS;
    let bits = |has: &dyn Fn(i64) -> bool| {
        (0..all).filter(|&example| has(example)).map(|example| 1 << example).sum::<u32>()
    };
    let number = |split: Option<ActionId>, example: i64| match split.map(usize::from) {
        Some(7) => example % FOLDS,
        _ => example / FOLDS,
    };
    let atom = |atom: &Atom| match *atom {
        Atom::External => 1 << all,
        Atom::All => bits(&|_| true),
        Atom::Train(of) => bits(&|row| number(of.split, row) != of.fold),
        Atom::Test(of) => bits(&|row| number(of.split, row) == of.fold),
    };
    rows.atoms().iter().map(atom).fold(0, |meant, more| meant | more)
}

#[test]
fn a_union_holds_the_rows_of_both_and_no_others_whatever_the_order() {
    let unions: Vec<_> = unions().into_iter().map(|rows| (meant(&rows), rows)).collect();
    for (meant_by_one, one) in &unions {
        for (meant_by_other, other) in &unions {
            let union = one.union(other);
            assert_eq!(meant(&union), meant_by_one | meant_by_other, "{one} and {other}");
            assert_eq!(union, other.union(one), "{one} and {other}");
            assert_eq!(union, [one, other].into_iter().collect(), "{one} and {other}");
            assert_eq!(union.union(one), union);
        }
    }
}

#[test]
fn a_set_is_empty_where_no_example_is_in_it() {
    for rows in unions() {
        assert_eq!(rows.is_empty(), meant(&rows) == 0, "{rows}");
    }
}

#[test]
fn sets_overlap_where_an_example_is_in_both() {
    let unions: Vec<_> = unions().into_iter().map(|rows| (meant(&rows), rows)).collect();
    for (meant_by_one, one) in &unions {
        for (meant_by_other, other) in &unions {
            let common = meant_by_one & meant_by_other != 0;
            assert_eq!(one.overlaps(other), common, "{one} and {other}");
        }
    }
}

#[test]
fn external_rows_beside_the_training_rows_of_a_fold_are_apart_from_its_test_rows_alone() {
    let shaped = Rows::external().union(&Rows::train(fold(7, 1)));
    assert!(!shaped.overlaps(&Rows::test(fold(7, 1))));
    assert!(shaped.overlaps(&Rows::test(fold(7, 0))));
    assert!(shaped.overlaps(&Rows::test(fold(8, 1))), "folds of another split");
    assert!(shaped.overlaps(&Rows::all()));
    assert_eq!(shaped.held_out(), Rows::test(fold(7, 1)));
    assert_eq!(shaped.training_fold(), Some(fold(7, 1)));
}

#[test]
fn training_rows_of_two_folds_and_both_sides_of_one_are_all_rows() {
    let train = |number| Rows::train(fold(7, number));
    assert_eq!(train(0).union(&train(1)), Rows::all());
    assert_eq!(train(0).union(&Rows::test(fold(7, 0))), Rows::all());
    assert_eq!(train(0).union(&Rows::test(fold(7, 2))), train(0));
    assert_ne!(train(0).union(&Rows::train(fold(8, 1))), Rows::all());
    assert_eq!(train(0).union(&train(1)).held_out(), Rows::none());
}

#[test]
fn test_rows_of_several_folds_may_be_all_rows_and_not_those_of_other_folds() {
    let tests = |folds: &[i64]| -> Rows {
        let each: Vec<_> = folds.iter().map(|&number| Rows::test(fold(7, number))).collect();
        each.iter().collect()
    };
    assert!(tests(&[0, 1, 2]).may_equal(&Rows::all()) && Rows::all().may_equal(&tests(&[0, 1, 2])));
    assert!(tests(&[0, 1]).may_equal(&tests(&[1, 0])));
    assert!(!tests(&[0, 1]).may_equal(&tests(&[0, 1, 2])));
    assert!(!tests(&[0]).may_equal(&Rows::all()) && !Rows::all().may_equal(&tests(&[0])));
    assert!(tests(&[0, 1]).hold_test_rows() && !Rows::all().hold_test_rows());
    assert!(Rows::external().union(&tests(&[2])).hold_test_rows());
}

#[test]
fn a_side_of_a_fold_stays_as_it_is_when_it_is_cut_and_all_else_becomes_that_side() {
    let side = Rows::train(fold(7, 1));
    for same in [Rows::none(), Rows::train(fold(7, 0)), Rows::test(fold(7, 1))] {
        assert_eq!(same.cut_to(side.clone()), same);
    }
    let tests = Rows::test(fold(7, 0)).union(&Rows::test(fold(7, 1)));
    for cut in [Rows::all(), tests] {
        assert_eq!(cut.cut_to(side.clone()), side);
    }
}

#[test]
fn sets_are_named_as_a_reader_would_name_them() {
    let tests = |folds: &[i64]| -> Rows {
        let each: Vec<_> = folds.iter().map(|&number| Rows::test(fold(7, number))).collect();
        each.iter().collect()
    };
    assert_eq!(Rows::none().to_string(), "no rows");
    assert_eq!(Rows::external().to_string(), "external rows");
    let mixed = Rows::train(fold(7, 1)).union(&Rows::external());
    assert_eq!(mixed.to_string(), "{external, train(fold 1)}");
    assert_eq!(mixed.union(&Rows::all()).to_string(), "{external, all rows}");
    assert_eq!(tests(&[3]).to_string(), "test(fold 3)");
    assert_eq!(tests(&[0, 1, 2, 3]).to_string(), "test(folds 0 to 3)");
    assert_eq!(tests(&[2, 3, 4]).to_string(), "test(folds 2 to 4)");
    assert_eq!(tests(&[0, 2, 5]).to_string(), "test(folds 0, 2, 5)");
    assert_eq!(tests(&[0, 2, 3, 4, 5, 6, 9]).to_string(), "test(folds 0, 2, 3, 4, 5 and 2 more)");
    let two = tests(&[0]).union(&Rows::train(fold(8, 4)));
    let name =
        |split: ActionId| Some(if split == ActionId(7) { "folds" } else { "others" }.to_owned());
    assert_eq!(two.words(&name), "{train(fold 4 of others), test(fold 0 of folds)}");
    let apart = tests(&[0]).union(&Rows::test(fold(8, 4)));
    assert_eq!(apart.words(&name), "{test(fold 0 of folds), test(fold 4 of others)}");
    assert_eq!(two.splits().collect::<Vec<_>>(), [8, 7].map(|split| Some(ActionId(split))));
}

#[test]
fn gathering_many_folds_takes_time_in_proportion() {
    let each: Vec<Rows> = (0..100_000).map(|number| Rows::test(fold(7, number))).collect();
    let whole: Rows = each.iter().rev().collect();
    assert_eq!(whole.atoms().len(), each.len());
    // Covered rows are shared and not copied.
    let again: Rows = std::iter::repeat_n(&whole, 100).collect();
    assert_eq!(again, whole);
    assert_eq!(whole.union(&each[7]).to_string(), "test(folds 0 to 99999)");
}
