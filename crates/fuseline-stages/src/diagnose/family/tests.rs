use serde_json::{Value, json};

use super::*;
use crate::testing::{message, run};

/// A finding at (rule, quality).
fn finding(rule: &str, quality: &str, control: Control, p_value: f64, ba_clean: f64) -> Finding {
    Finding {
        point: vec![rule.to_owned(), quality.to_owned()],
        control,
        p_value,
        ba_clean,
        bound_low: -0.01,
        bound_high: 0.015,
        alignment: vec![None],
        quality_from_evidence: vec![None],
        quality_label_auroc: vec![None],
        quality_icc: vec![None],
        ..Finding::default()
    }
}

fn table(row: Finding) -> Findings {
    Findings {
        axes: vec!["rule".to_owned(), "quality".to_owned()],
        modalities: vec!["audio".to_owned()],
        settings: vec!["alpha=0.05".to_owned()],
        group_counts: None,
        rows: vec![row],
    }
}

fn family(options: Value, rows: Vec<Finding>) -> Result<Findings, StageError> {
    let outputs = run::<Family>(options, 1, &[], |mut inputs| {
        for row in rows {
            inputs = inputs.artifact("findings", vec![], table(row))?;
        }
        Ok(inputs)
    })?;
    outputs.get("findings")
}

fn four() -> Vec<Finding> {
    vec![
        finding("lr", "margin", Control::Native, 0.01, 0.80),
        finding("lr", "constant", Control::Negative, 0.50, 0.75),
        finding("moe", "margin", Control::Native, 0.04, 0.70),
        finding("moe", "aligned", Control::Positive, 0.03, 0.90),
    ]
}

#[test]
fn native_conditions_and_controls_are_adjusted_apart() {
    let adjusted: Vec<_> = family(json!({}), four())
        .unwrap()
        .rows
        .into_iter()
        .map(|row| row.p_adjusted.unwrap())
        .collect();
    assert_eq!(adjusted, [0.02, 0.50, 0.04, 0.03]);
}

#[test]
fn what_is_no_test_is_in_no_family_and_schemes_that_read_labels_are_apart() {
    // The first axis is the scheme here.
    let at = |scheme: &str, p| finding(scheme, "margin", Control::Native, p, 0.8);
    let rows = vec![
        at("joint", 0.01),
        at("conditional", 0.02),
        at("derangement", f64::NAN),
        at("within_class", 0.03),
    ];
    let outputs = run::<Family>(json!({}), 1, &[], |mut inputs| {
        for row in rows {
            let axes = vec!["scheme".to_owned(), "quality".to_owned()];
            let findings = Findings { axes, ..table(row) };
            inputs = inputs.artifact("findings", vec![], findings)?;
        }
        Ok(inputs)
    });
    let found: Findings = outputs.unwrap().get("findings").unwrap();
    let adjusted: Vec<_> = found.rows.into_iter().map(|row| row.p_adjusted).collect();
    assert_eq!(adjusted, [Some(0.02), Some(0.02), None, Some(0.03)]);
}

#[test]
fn without_adjustment_the_p_values_stay_as_they_are() {
    let rows = family(json!({ "adjust": "none" }), four()).unwrap().rows;
    assert!(rows.iter().all(|row| row.p_adjusted == Some(row.p_value)));
}

#[test]
fn equivalence_needs_the_whole_interval_inside_the_margin_and_a_margin_at_all() {
    let equivalent = |options| {
        let rows = family(options, four()).unwrap().rows;
        rows[0].equivalent
    };
    assert_eq!(equivalent(json!({})), None);
    assert_eq!(equivalent(json!({ "equivalence_margin": 0.02 })), Some(true));
    assert_eq!(equivalent(json!({ "equivalence_margin": 0.015 })), Some(false));
}

#[test]
fn what_is_not_testable_is_never_called_equivalent() {
    let mut rows = four();
    rows[0].not_testable = Some("nothing moved".to_owned());
    let rows = family(json!({ "equivalence_margin": 0.02 }), rows).unwrap().rows;
    assert_eq!((rows[0].equivalent, rows[2].equivalent), (Some(false), Some(true)));
}

#[test]
fn a_condition_is_counted_once_and_one_that_does_not_read_quality_never() {
    let mut rows = four();
    // A rule that does not read quality, and the same condition under another name.
    let mean = finding("mean", "margin", Control::Native, 1.0, 0.7);
    rows.push(Finding { reads_quality: Some(false), ..mean });
    rows.push(finding("lr", "margin again", Control::Native, 0.01, 0.80));
    rows.push(finding("lr", "entropy", Control::Native, 0.01, 0.81));
    let found = family(json!({}), rows).unwrap().rows;
    let adjusted: Vec<_> = found.iter().map(|row| row.p_adjusted).collect();
    // Three native conditions: 0.01, 0.01 and 0.04.
    let expected = [Some(0.03), Some(0.5), Some(0.04), Some(0.03), None, None, Some(0.03)];
    assert_eq!(adjusted, expected);
    let said: Vec<_> = found.iter().filter_map(|row| row.not_counted.as_deref()).collect();
    assert_eq!(said, ["the rule does not read quality", "equal in every number to lr, margin"]);
}

#[test]
fn repetitions_of_a_condition_are_shown_and_counted_once() {
    let rows = vec![
        finding("lr", "split 1", Control::Native, 0.01, 0.80),
        finding("lr", "split 2", Control::Native, 0.30, 0.78),
    ];
    let found = family(json!({ "repeats": ["quality"] }), rows).unwrap();
    assert_eq!(found.rows[0].p_adjusted, Some(0.01));
    assert_eq!(found.rows[1].not_counted.as_deref(), Some("a repetition: split 2"));
    assert!(found.settings.contains(&"repeats=quality".to_owned()));
}

#[test]
fn a_gain_has_an_interval_from_resamples_that_both_conditions_share() {
    // Four groups of five rows a class.
    let counts = |correct: [u32; 8]| GroupCounts {
        tested: "rows".to_owned(),
        classes: 2,
        rows: vec![5; 8],
        correct: correct.into(),
    };
    let with = counts([5, 4, 4, 5, 5, 3, 4, 4]);
    let without = counts([4, 4, 3, 4, 4, 3, 3, 4]);
    let of = Resampling::from_settings(&["bootstrap=2000".to_owned()], 1);
    let found = gain_interval(&with, &without, &of).unwrap().unwrap();
    // Group by group the gain is 0.1, 0.2, 0.1, 0.1: of 4 draws none is the second in 32 %, three
    // are in 5 % of resamples.
    assert!((found.low - 0.1).abs() < 1e-12 && (found.high - 0.175).abs() < 1e-12, "{found:?}");
    let other = GroupCounts { tested: "others".to_owned(), ..without };
    assert_eq!(gain_interval(&with, &other, &of).unwrap(), None);
}

#[test]
fn each_finding_gets_the_same_rule_refitted_without_quality() {
    let options = json!({ "without_quality": { "quality": "constant" } });
    let found: Vec<_> =
        family(options, four()).unwrap().rows.iter().map(|row| row.ba_without_quality).collect();
    assert_eq!(found, [Some(0.75), Some(0.75), None, None], "moe was not run with constant");
}

#[test]
fn a_reference_that_does_not_exist_is_refused_with_what_does() {
    let refused = |options| message(&family(options, four()).unwrap_err());
    assert_eq!(
        refused(json!({ "without_quality": { "qality": "constant" } })),
        "the findings have no axis qality; their axes are rule, quality"
    );
    assert_eq!(
        refused(json!({ "without_quality": { "quality": "konstant" } })),
        "no finding has quality konstant; its labels are aligned, constant, margin"
    );
}

#[test]
fn the_table_says_how_it_was_made() {
    let options = json!({ "adjust": "benjamini_hochberg", "equivalence_margin": 0.02 });
    let settings = family(options, four()).unwrap().settings;
    assert_eq!(settings, ["alpha=0.05", "adjust=benjamini_hochberg", "equivalence_margin=0.02"]);
}

#[test]
fn one_point_twice_is_refused() {
    let row = || finding("lr", "margin", Control::Native, 0.5, 0.5);
    let error = family(json!({}), vec![row(), row()]).unwrap_err();
    assert_eq!(error.message, "two findings are of lr, margin");
}
