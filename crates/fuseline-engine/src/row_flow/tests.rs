use fuseline_workflow::Arity;

use super::*;

const SPLIT: ActionId = ActionId(4);

fn fold(fold: i64) -> Fold {
    Fold { split: Some(SPLIT), fold }
}

fn port(name: &str, role: Role) -> InputPort {
    InputPort {
        name: name.to_owned(),
        artifact: "features".to_owned(),
        arity: Arity::Many,
        required: true,
        read: true,
        role,
        doc: String::new(),
    }
}

/// A stage that fits on `fitted`, asks the model at `model` about `asked`, and gives `main`.
fn ports() -> [InputPort; 5] {
    [
        port("fitted", Role::Fit),
        port("model", Role::Apply),
        port("asked", Role::Apply),
        port("folds", Role::Neutral),
        InputPort { read: false, ..port("splits", Role::Fit) },
    ]
}

fn flow(
    inputs: &[(&str, RowState)],
    rows: impl Fn(&mut RowFlow<'_>),
) -> Result<Flowed, Vec<String>> {
    let offered = Offered {
        ports: &ports(),
        outputs: &["main"],
        inputs: inputs.to_vec(),
        producers: vec![("folds", SPLIT)],
        split_name: &|split| format!("split {}", usize::from(split)),
    };
    let mut flow = RowFlow::new(&offered);
    rows(&mut flow);
    flow.finish()
}

fn well(flow: &mut RowFlow<'_>) {
    flow.fit("fitted", &Rows::train(fold(1)));
    flow.apply("model", "asked");
    flow.pass("asked", "main");
}

/// Code, port and message of each leak.
fn leaks(inputs: &[(&str, RowState)], rows: impl Fn(&mut RowFlow<'_>)) -> Vec<(Code, String)> {
    let flowed = flow(inputs, |flow| {
        rows(flow);
        let used = ["fitted", "model", "asked"];
        used.iter().for_each(|port| drop(flow.take(port)));
        flow.give("main", RowState::default());
    });
    let leaks = flowed.unwrap().leaks.into_iter();
    leaks.map(|leak| (leak.code, format!("{} {}", leak.port, leak.message))).collect()
}

#[test]
fn whoever_says_all_is_believed() {
    let test = RowState::unshaped(Rows::test(fold(1)));
    let flowed = flow(&[("asked", test.clone())], well).unwrap();
    assert_eq!(flowed.outputs, [test]);
    assert!(flowed.leaks.is_empty());
}

#[test]
fn what_a_stage_kind_does_not_say_says_twice_or_says_of_no_port_is_a_mistake() {
    let mistakes = |rows: fn(&mut RowFlow<'_>)| flow(&[], rows).unwrap_err();
    assert_eq!(
        mistakes(|_| {}),
        [
            "does not say which rows output main holds",
            "does not say what it does with the rows of fitted",
            "does not say what it does with the rows of model",
            "does not say what it does with the rows of asked",
        ]
    );
    let twice = mistakes(|flow| {
        well(flow);
        flow.output("main", Rows::all(), Rows::none());
    });
    assert_eq!(twice, ["says twice which rows output main holds"]);
    let unknown = mistakes(|flow| {
        well(flow);
        flow.output("other", Rows::all(), Rows::none());
        flow.no_control("quality");
        flow.fold("splits", 1);
    });
    assert_eq!(
        unknown,
        [
            "says which rows output other holds, which it has not",
            "asks for the rows of quality, which it does not read",
            "asks for the rows of splits, which it does not read",
        ]
    );
}

#[test]
fn an_input_that_is_only_looked_at_is_not_yet_used() {
    let mistakes = flow(&[], |flow| {
        flow.input("fitted");
        flow.same_rows("model", "asked");
        flow.no_control("asked");
        flow.output("main", Rows::all(), Rows::none());
    });
    assert_eq!(mistakes.unwrap_err().len(), 3);
}

#[test]
fn a_model_of_external_and_training_rows_may_be_asked_about_test_rows_of_that_fold() {
    let shaped = Rows::external().union(&Rows::train(fold(1)));
    let model = ("model", RowState::default().taught(&shaped));
    let asked = |number| ("asked", RowState::unshaped(Rows::test(fold(number))).taught(&shaped));
    let apply = |flow: &mut RowFlow<'_>| flow.apply("model", "asked");
    assert_eq!(leaks(&[model.clone(), asked(1)], apply), []);
    assert_eq!(
        leaks(&[model, asked(0)], apply),
        [(
            codes::LEAK_MODEL_SAW_ROWS,
            "model applies a model shaped by {external, train(fold 1)} to test(fold 0)".to_owned()
        )]
    );
}

#[test]
fn fitting_is_refused_on_test_rows_on_what_they_shaped_and_in_fold() {
    let fit = |rows: Rows| move |flow: &mut RowFlow<'_>| flow.fit("fitted", &rows);
    let fitted = |state: RowState| [("fitted", state)];
    let train = RowState::unshaped(Rows::train(fold(1)));
    let two = Rows::test(fold(0)).union(&Rows::test(fold(2)));
    assert_eq!(
        leaks(&fitted(RowState::unshaped(two.clone())), fit(two)),
        [(
            codes::LEAK_FIT_ON_TEST,
            "fitted fits on test(folds 0, 2), the rows that are held out for testing".to_owned()
        )]
    );
    let shaped = RowState { shaped_by: Rows::all(), ..train.clone() };
    assert_eq!(
        leaks(&fitted(shaped), fit(Rows::train(fold(1)))),
        [(
            codes::LEAK_SHAPED_BY_TEST,
            "fitted fits on train(fold 1), but what arrives was shaped by all rows, which \
             overlaps test(fold 1)"
                .to_owned()
        )]
    );
    let in_fold = RowState { in_fold: true, ..train.clone().taught(&Rows::train(fold(1))) };
    let found = leaks(&fitted(in_fold), fit(Rows::train(fold(1))));
    assert_eq!(found.iter().map(|(code, _)| *code).collect::<Vec<_>>(), [codes::LEAK_IN_FOLD]);
    let frozen = train.taught(&Rows::external().union(&Rows::train(fold(1))));
    assert_eq!(leaks(&fitted(frozen), fit(Rows::train(fold(1)))), []);
}

#[test]
fn the_split_is_named_where_there_are_two() {
    let other = Rows::train(Fold { split: Some(ActionId(9)), fold: 1 });
    let found = leaks(
        &[
            ("model", RowState::default().taught(&other)),
            ("asked", RowState::unshaped(Rows::test(fold(1)))),
        ],
        |flow| flow.apply("model", "asked"),
    );
    assert_eq!(
        found[0].1,
        "model applies a model shaped by train(fold 1 of split 9) to test(fold 1 of split 4)"
    );
}

#[test]
fn values_of_tested_rows_may_shape_what_is_tested_and_their_labels_may_not() {
    let apply = |flow: &mut RowFlow<'_>| flow.apply("model", "asked");
    let model = ("model", RowState::default().taught(&Rows::train(fold(1))));
    let asked = RowState::unshaped(Rows::test(fold(1)));
    let by_values = RowState { shaped_by: Rows::test(fold(1)), ..asked.clone() };
    assert_eq!(leaks(&[model.clone(), ("asked", by_values)], apply), []);
    let by_labels = asked.taught(&Rows::test(fold(1)));
    assert_eq!(
        leaks(&[model, ("asked", by_labels)], apply),
        [(
            codes::LEAK_IN_FOLD,
            "asked tests on test(fold 1) with what the labels of test(fold 1) shaped".to_owned()
        )]
    );
}

#[test]
fn what_is_beside_is_asked_about_the_same_rows_and_a_leak_of_those_is_said_once() {
    let beside = |flow: &mut RowFlow<'_>| flow.apply_beside("model", "fitted", "asked");
    let model = |number| ("model", RowState::default().taught(&Rows::train(fold(number))));
    let asked = ("asked", RowState::unshaped(Rows::test(fold(1))));
    let features = ("fitted", RowState::unshaped(Rows::all()).taught(&Rows::all()));
    let codes = |inputs: &[(&str, RowState)]| {
        leaks(inputs, beside).into_iter().map(|(code, _)| code).collect::<Vec<_>>()
    };
    assert_eq!(codes(&[model(1), asked.clone(), features.clone()]), [codes::LEAK_IN_FOLD]);
    assert_eq!(codes(&[model(0), asked.clone(), features.clone()]), []);
    assert_eq!(codes(&[asked, features]), [], "without a model");
}

#[test]
fn what_a_stage_learns_itself_is_not_applied_to_those_rows() {
    let own = |learnt: Rows| {
        move |flow: &mut RowFlow<'_>| flow.apply_own(&learnt, "asked", &Rows::test(fold(1)))
    };
    let asked = |state: RowState| [("asked", state)];
    let test = RowState::unshaped(Rows::test(fold(1)));
    assert_eq!(leaks(&asked(test.clone()), own(Rows::train(fold(1)))), []);
    assert_eq!(
        leaks(&asked(test.clone()), own(Rows::all())),
        [(
            codes::LEAK_MODEL_SAW_ROWS,
            "asked learns from all rows and applies that to test(fold 1)".to_owned()
        )]
    );
    let taught = test.taught(&Rows::all());
    assert_eq!(leaks(&asked(taught.clone()), own(Rows::none())), [], "it learns nothing");
    assert_eq!(leaks(&asked(taught), own(Rows::train(fold(1))))[0].0, codes::LEAK_IN_FOLD);
}

#[test]
fn rows_of_two_inputs_must_be_the_same_where_both_are_there() {
    let same = |flow: &mut RowFlow<'_>| flow.same_rows("fitted", "asked");
    let one = |rows: Rows| ("fitted", RowState::unshaped(rows));
    let other = |rows: Rows| ("asked", RowState::unshaped(rows));
    let test = |number| Rows::test(fold(number));
    assert_eq!(leaks(&[one(test(1)), other(test(1))], same), []);
    assert_eq!(leaks(&[one(test(1))], same), []);
    assert_eq!(leaks(&[other(test(1))], same), []);
    assert_eq!(
        leaks(&[one(test(1)), other(Rows::train(fold(1)))], same),
        [(
            codes::LEAK_ROWS_DIFFER,
            "asked takes fitted of test(fold 1) and asked of train(fold 1)".to_owned()
        )]
    );
}

#[test]
fn a_control_is_refused_and_in_fold_evidence_of_many_folds_too() {
    let control = RowState { control: true, ..RowState::unshaped(Rows::all()) };
    let found = leaks(&[("asked", control)], |flow| flow.no_control("asked"));
    assert_eq!(found[0].0, codes::LEAK_CONTROL);
    let in_fold = RowState { in_fold: true, ..RowState::unshaped(Rows::all()) };
    let each = |flow: &mut RowFlow<'_>| flow.apply_each("model", &["asked"]);
    assert_eq!(leaks(&[("asked", in_fold)], each)[0].0, codes::LEAK_IN_FOLD);
    assert_eq!(leaks(&[("asked", RowState::unshaped(Rows::all()))], each), []);
}

#[test]
fn states_together_have_what_any_has_and_a_leak_takes_its_shape_away() {
    let one = RowState { in_fold: true, ..RowState::unshaped(Rows::test(fold(0))) };
    let other = RowState { control: true, ..RowState::unshaped(Rows::test(fold(1))) }
        .taught(&Rows::external());
    let both = RowState::together([&one, &other].into_iter());
    let holds = Rows::test(fold(0)).union(&Rows::test(fold(1)));
    assert_eq!(
        both,
        RowState {
            holds: holds.clone(),
            shaped_by: Rows::external(),
            taught_by: Rows::external(),
            in_fold: true,
            control: true,
            gathered_training: None,
        }
    );
    let unshaped = RowState::unshaped(holds);
    for code in [codes::LEAK_IN_FOLD, codes::LEAK_SHAPED_BY_TEST, codes::LEAK_CONTROL] {
        assert_eq!(both.without(code), unshaped);
    }
    assert_eq!(both.without(codes::LEAK_FIT_ON_TEST), RowState::default());
}

#[test]
fn the_two_sides_of_a_split_have_changed_places_only_if_both_have_and_that_is_the_one_leak() {
    let sides = |one: Rows, other: Rows| {
        let inputs =
            [("fitted", RowState::unshaped(one.clone())), ("asked", RowState::unshaped(other))];
        let found = leaks(&inputs, |flow| {
            flow.fit("fitted", &one);
            flow.two_sides("fitted", "asked");
        });
        found.into_iter().map(|(code, _)| code).collect::<Vec<_>>()
    };
    let (train, test) = (Rows::train(fold(1)), Rows::test(fold(1)));
    assert_eq!(sides(test.clone(), train.clone()), [codes::LEAK_SIDES_SWAPPED]);
    assert_eq!(sides(train.clone(), test.clone()), []);
    assert_eq!(sides(train.clone(), train), []);
    assert_eq!(sides(test.clone(), test), [codes::LEAK_FIT_ON_TEST]);
}

#[test]
fn what_is_fitted_beside_training_rows_is_checked_and_beside_test_rows_it_was_reported() {
    let shaped = RowState { shaped_by: Rows::all(), ..RowState::default() };
    let codes = |rows: Rows| {
        let inputs = [("fitted", shaped.clone()), ("asked", RowState::unshaped(rows))];
        let found = leaks(&inputs, |flow| flow.fit_beside("fitted", "asked"));
        found.into_iter().map(|(code, _)| code).collect::<Vec<_>>()
    };
    assert_eq!(codes(Rows::train(fold(1))), [codes::LEAK_SHAPED_BY_TEST]);
    assert_eq!(codes(Rows::test(fold(1))), []);
    let in_fold = RowState { in_fold: true, ..RowState::default() };
    let tested = RowState::unshaped(Rows::test(fold(1)));
    let inputs = [("fitted", in_fold), ("asked", tested)];
    assert_eq!(leaks(&inputs, |flow| flow.fit_beside("fitted", "asked")), []);
}

#[test]
fn evidence_in_fold_is_not_tested_with_whoever_taught_it() {
    let asked = RowState { in_fold: true, ..RowState::unshaped(Rows::test(fold(1))) };
    let model = ("model", RowState::default().taught(&Rows::train(fold(1))));
    let found = leaks(&[model, ("asked", asked)], |flow| flow.apply("model", "asked"));
    assert_eq!(found[0].0, codes::LEAK_IN_FOLD);
}

#[test]
fn rows_passed_beside_others_are_the_first_ones_shaped_by_what_shaped_both() {
    let rows = RowState::unshaped(Rows::test(fold(1)));
    let beside = RowState::unshaped(Rows::all()).taught(&Rows::external());
    let pass = |flow: &mut RowFlow<'_>| {
        flow.fit("fitted", &Rows::none());
        flow.take("model");
        flow.pass_beside("asked", "fitted", "main");
    };
    let flowed = flow(&[("asked", rows.clone()), ("fitted", beside)], pass).unwrap();
    assert_eq!(flowed.outputs, [rows.clone().taught(&Rows::external())]);
    let other = RowState::unshaped(Rows::train(fold(1)));
    let flowed = flow(&[("asked", rows), ("fitted", other)], pass).unwrap();
    assert_eq!(flowed.leaks[0].code, codes::LEAK_ROWS_DIFFER);
}
