use fuseline_artifact::Finding;
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
        gap_low: -0.01,
        gap_high: 0.015,
        alignment: vec![None],
        ..Finding::default()
    }
}

fn table(row: Finding) -> Findings {
    Findings {
        axes: vec!["rule".to_owned(), "quality".to_owned()],
        modalities: vec!["audio".to_owned()],
        settings: vec!["alpha=0.05".to_owned()],
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
