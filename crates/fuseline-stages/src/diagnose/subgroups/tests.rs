use arrow::array::StringArray;
use fuseline_artifact::Texts;
use serde_json::{Value, json};

use super::*;
use crate::testing::{cells, cohort, message, run};

const PERMUTATIONS: u32 = 100;

/// Effects of `groups` people with ten examples each, who differ by chance. `loss`: by person and
/// class, how much more often a decision is right under Clean-Q.
fn effects(groups: usize, seed: u64, loss: impl Fn(usize, u32) -> f64) -> ExampleEffects {
    let mut stream = Stream::new(seed, "effects");
    let (mut ids, mut clean, mut broken, mut flips) = (vec![], vec![], vec![], vec![]);
    for group in 0..groups {
        let own = 0.05 * stream.normal();
        for example in 0..10 {
            let kept = (100.0 * (0.4 + 0.25 * stream.uniform())).round();
            let right = stream.uniform() < kept / 100.0 + own + loss(group, example % 2);
            ids.push(format!("s{group:03}_{example}"));
            clean.push(right);
            broken.push(kept as i64);
            flips.push((kept as i64 - 100 * i64::from(right)).abs());
        }
    }
    ExampleEffects {
        permutations: PERMUTATIONS,
        probability_shift: vec![0.0; ids.len()],
        example_id: ids.iter().collect(),
        clean_correct: clean,
        broken_correct: broken,
        flips,
    }
}

fn cohort_of(effects: &ExampleEffects) -> Cohort {
    let rows: Vec<(String, String, u32)> = effects
        .example_id
        .iter()
        .map(|id| {
            let (group, example) = id.split_once('_').unwrap();
            (id.to_owned(), group.to_owned(), example.parse::<u32>().unwrap() % 2)
        })
        .collect();
    cohort(&rows)
}

/// Every third person is of unknown sex, the others are f and m in turn.
fn sex(ids: &Texts) -> Metadata {
    let text = |id: &str| match id[1..4].parse::<u32>().unwrap() % 3 {
        0 => None,
        1 => Some("f"),
        _ => Some("m"),
    };
    let column: StringArray = ids.iter().map(text).collect();
    Metadata { example_id: ids.clone(), columns: vec![("sex".to_owned(), column)] }
}

/// Rows of the table, by column.
type Rows = Vec<BTreeMap<String, String>>;

fn table(options: Value, conditions: &[(&str, ExampleEffects)]) -> Result<Rows, StageError> {
    let cohort = cohort_of(&conditions[0].1);
    let metadata = sex(&cohort.example_id);
    let outputs = run::<Subgroups>(options, 1, &[], |mut inputs| {
        for (rule, effects) in conditions {
            let point =
                vec![("rule".to_owned(), (*rule).to_owned()), ("fold".to_owned(), "0".to_owned())];
            inputs = inputs.artifact("effects", point, effects.clone())?;
        }
        inputs.artifact("cohort", vec![], cohort)?.artifact("metadata", vec![], metadata)
    })?;
    Ok(cells(&outputs))
}

fn value(row: &BTreeMap<String, String>, column: &str) -> f64 {
    row[column].parse().unwrap_or(f64::NAN)
}

#[test]
fn a_gap_of_one_subgroup_is_found_there_and_its_difference_from_the_rest_is_tested() {
    let only_f = |group: usize, _| if group % 3 == 1 { 0.3 } else { 0.0 };
    let options = json!({ "by": ["class", "sex"] });
    let rows = table(options, &[("lr", effects(60, 1, only_f))]).unwrap();
    let cells: Vec<(&str, &str)> =
        rows.iter().map(|row| (row["by"].as_str(), row["value"].as_str())).collect();
    assert_eq!(cells, [("class", "rest"), ("class", "stress"), ("sex", "f"), ("sex", "m")]);
    let [_, _, female, male] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!((female["examples"].as_str(), female["groups"].as_str()), ("200", "20"));
    assert!((value(female, "gap") - 0.3).abs() < 0.1, "{female:?}");
    assert!(value(female, "p_adjusted") < 0.001 && value(female, "difference_p_adjusted") < 0.001);
    assert!(value(female, "gap_low") > 0.0 && value(female, "difference_low") > 0.0);
    assert!(value(male, "gap").abs() < 0.1 && value(male, "difference") < -0.1);
    for row in &rows {
        let value = |column: &str| value(row, column);
        assert!(value("gap_low_adjusted") < value("gap_low"), "{row:?}");
        assert!(value("gap_high_adjusted") > value("gap_high"), "{row:?}");
        assert!(value("p_adjusted") >= value("p_value"), "{row:?}");
        assert_eq!(row["rule"], "lr");
    }
}

#[test]
fn what_is_too_small_or_does_not_move_is_not_testable_and_says_why() {
    let few = table(json!({ "by": ["sex"] }), &[("lr", effects(9, 1, |_, _| 0.1))]).unwrap();
    assert_eq!(few[0]["not_testable"], "3 groups, and 5 are needed");
    assert!(few[0]["p_value"].is_empty() && !few[0]["gap"].is_empty());
    let options = json!({ "by": ["sex"], "least_examples": 40 });
    let few = table(options, &[("lr", effects(18, 1, |_, _| 0.1))]).unwrap();
    assert_eq!(few[1]["not_testable"], "30 examples of rest, and 40 are needed");
    let mut still = effects(30, 1, |_, _| 0.0);
    still.broken_correct =
        still.clean_correct.iter().map(|right| i64::from(*right) * 100).collect();
    still.flips.fill(0);
    let rows = table(json!({}), &[("mean", still), ("lr", effects(30, 2, |_, _| 0.2))]).unwrap();
    assert_eq!(rows[0]["not_testable"], "no permutation changes a decision of it");
    // Subgroups that are not tested are not adjusted for.
    assert!((value(&rows[2], "p_adjusted") / value(&rows[2], "p_value")) <= 2.0 + 1e-9);
    let error = table(json!({ "by": ["sexs"] }), &[("lr", effects(9, 1, |_, _| 0.1))]).unwrap_err();
    assert_eq!(message(&error), "the metadata have no column sexs; did you mean sex?");
}

#[test]
fn without_dependence_the_tests_keep_their_level() {
    let studies = 150;
    let (mut gap, mut difference) = (0, 0);
    for seed in 0..studies {
        let options = json!({ "by": ["sex"], "bootstrap": 200 });
        let rows = table(options, &[("lr", effects(30, seed, |_, _| 0.0))]).unwrap();
        gap += u32::from(value(&rows[0], "p_value") <= 0.05);
        difference += u32::from(value(&rows[0], "difference_p_value") <= 0.05);
    }
    // 7.5 are expected of 150; 16 or more have a chance of 0.003.
    assert!(gap < 16 && difference < 16, "{gap} {difference}");
}
