use super::Binding::{Contradictory, Named, Unnamed};
use super::*;

#[track_caller]
fn bound(names: &[&str], classes: &[&str]) -> Binding {
    let classes: Vec<String> = classes.iter().map(|class| (*class).to_owned()).collect();
    bind_columns(names, &classes)
}

#[test]
fn columns_are_bound_to_the_classes_that_they_name() {
    assert_eq!(bound(&["c", "b", "a"], &["a", "b", "c"]), Named(vec![2, 1, 0]));
    assert_eq!(bound(&["pa", "pb", "pc"], &["a", "b", "c"]), Named(vec![0, 1, 2]));
    assert_eq!(bound(&["p_stress", "p_rest"], &["rest", "stress"]), Named(vec![1, 0]));
    assert_eq!(bound(&["P(stress)", "P(rest)"], &["rest", "stress"]), Named(vec![1, 0]));
    assert_eq!(bound(&["stressProb", "restProb"], &["rest", "stress"]), Named(vec![1, 0]));
    assert_eq!(bound(&["pstress", "prest"], &["rest", "stress"]), Named(vec![1, 0]));
}

#[test]
fn case_separators_and_how_a_number_is_written_make_no_difference() {
    assert_eq!(bound(&["no stress", "STRESS"], &["Stress", "No_Stress"]), Named(vec![1, 0]));
    assert_eq!(bound(&["p_NoStress", "p_stress"], &["stress", "no-stress"]), Named(vec![1, 0]));
    assert_eq!(bound(&["1.0", "0.0", "-1.0"], &["-1", "0", "1"]), Named(vec![2, 1, 0]));
    assert_eq!(
        bound(&["p-2", "p-1", "p0", "p1", "p2"], &["-1", "-2", "0", "1", "2"]),
        Named(vec![1, 0, 2, 3, 4])
    );
    assert_eq!(bound(&["p_1", "p_-1"], &["-1", "1"]), Named(vec![1, 0]));
    assert_eq!(bound(&["größe", "müde"], &["MÜDE", "Größe"]), Named(vec![1, 0]));
    // Names that differ in case alone go by the letter.
    assert_eq!(bound(&["a", "A"], &["A", "a"]), Named(vec![1, 0]));
}

#[test]
fn a_class_whose_name_is_part_of_anothers_is_told_apart() {
    assert_eq!(bound(&["p_no_stress", "p_stress"], &["stress", "no_stress"]), Named(vec![1, 0]));
    assert_eq!(bound(&["pno_stress", "pstress"], &["stress", "no_stress"]), Named(vec![1, 0]));
}

#[test]
fn names_that_say_nothing_leave_the_order() {
    for names in [["p0", "p1"], ["left", "right"], ["x_a", "x_b"], ["rest", "p1"], ["", "?"]] {
        assert_eq!(bound(&names, &["rest", "stress"]), Unnamed, "{names:?}");
    }
    assert_eq!(bound(&["p0", "p1", "p2"], &["1", "2", "3"]), Unnamed);
    assert_eq!(bound(&["a_vs_b", "b_vs_a"], &["a", "b"]), Unnamed);
    assert_eq!(bound(&["?", "!"], &["!", "?"]), Named(vec![1, 0]));
}

#[test]
fn names_that_speak_against_the_order_without_telling_all_bind_nothing() {
    assert_eq!(bound(&["p0", "rest"], &["rest", "stress"]), Contradictory { name: 1, class: 0 });
    assert_eq!(bound(&["0", "1", "2"], &["1", "2", "3"]), Contradictory { name: 1, class: 0 });
    assert_eq!(
        bound(&["rest", "p_rest"], &["rest", "stress"]),
        Contradictory { name: 1, class: 0 }
    );
}

#[test]
fn the_classes_of_a_model_are_bound_by_their_whole_names() {
    let classes = ["stress".to_owned(), "no_stress".to_owned()];
    let bound = |names: &[&str]| {
        bind_classes(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>(), &classes)
    };
    assert_eq!(bound(&["no_stress", "stress"]), Some(vec![1, 0]));
    assert_eq!(bound(&["No Stress", "Stress"]), Some(vec![1, 0]));
    assert_eq!(bound(&["p_no_stress", "p_stress"]), None);
    assert_eq!(bound(&["no_stress", "stress", "talk"]), None);
    assert_eq!(bound(&["stress", "stress"]), None);
}
