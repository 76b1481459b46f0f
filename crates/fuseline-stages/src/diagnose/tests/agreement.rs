//! Rules, permutations, pooled measures, intervals and comparisons beside
//! `tests/fixtures/diagnose.py`.

use fuseline_artifact::{
    AnyCohort, Cohort, Evidence, ExampleEffects, Findings, Model, Permutations, Quality,
};
use fuseline_engine::{InputsBuilder, StageError};
use serde_json::{Value, json};

use crate::diagnose::compare::Compare;
use crate::diagnose::metrics::Metrics;
use crate::diagnose::permute_quality::PermuteQuality;
use crate::diagnose::routing::Routing;
use crate::diagnose::summarize::Summarize;
use crate::fusion::fit::Fit;
use crate::testing::{cells, quality, run};

const MODALITIES: [&str; 2] = ["audio", "video"];
const CLASSES: usize = 3;
const RULES: [&str; 2] = ["weighted_mean", "mean"];

fn fixture() -> Value {
    serde_json::from_str(include_str!("../../../tests/fixtures/diagnose.json")).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|cell| cell.as_f64().unwrap()).collect()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|cell| cell.as_str().unwrap().to_owned()).collect()
}

fn classes() -> Vec<String> {
    ["calm", "tense", "loud"].map(str::to_owned).to_vec()
}

/// Everything that is known of one part: training rows, or the test rows of a fold.
struct Part {
    evidence: Vec<Evidence>,
    quality: Vec<Quality>,
}

fn part(fixture: &Value, name: &str) -> Part {
    let cells = &fixture[name];
    let ids = texts(&cells["id"]);
    let (evidence, qualities) = (numbers(&cells["evidence"]), numbers(&cells["quality"]));
    let available = cells["available"].as_array().unwrap();
    let mut part = Part { evidence: Vec::new(), quality: Vec::new() };
    for (place, modality) in MODALITIES.into_iter().enumerate() {
        let at = |row: usize| row * MODALITIES.len() + place;
        let rows: Vec<usize> = (0..ids.len()).filter(|&row| available[at(row)] == true).collect();
        part.evidence.push(Evidence {
            modality: modality.to_owned(),
            classes: classes(),
            example_id: rows.iter().map(|&row| ids[row].clone()).collect(),
            probabilities: rows
                .iter()
                .flat_map(|&row| &evidence[at(row) * CLASSES..][..CLASSES])
                .copied()
                .collect(),
            inner_fold: None,
            logits: None,
        });
        let own: Vec<(&str, f64)> =
            rows.iter().map(|&row| (ids[row].as_str(), qualities[at(row)])).collect();
        part.quality.push(quality(modality, &own));
    }
    part
}

/// All examples of the study; the tested ones alone when asked.
fn cohort(fixture: &Value, names: &[&str]) -> Cohort {
    let all = |column: &str| -> Vec<Value> {
        names.iter().flat_map(|name| fixture[name][column].as_array().unwrap().clone()).collect()
    };
    Cohort {
        example_id: texts(&Value::Array(all("id"))).into_iter().collect(),
        group: texts(&Value::Array(all("group"))).into_iter().collect(),
        label: numbers(&Value::Array(all("label"))).iter().map(|label| *label as u32).collect(),
        classes: classes(),
    }
}

struct Study {
    fixture: Value,
    cohort: Cohort,
    folds: [Part; 2],
    /// By rule.
    models: [Model; 2],
}

fn study() -> Study {
    let fixture = fixture();
    let cohort = cohort(&fixture, &["train", "fold0", "fold1"]);
    let models = RULES.map(|rule| {
        let outputs = run::<Fit>(json!({ "rule": rule }), 1, &[], |inputs| {
            let inputs = inputs.artifact("cohort", vec![], cohort.clone())?;
            give(inputs, part(&fixture, "train"), &[])
        });
        outputs.unwrap().get("model").unwrap()
    });
    let folds = ["fold0", "fold1"].map(|name| part(&fixture, name));
    Study { fixture, cohort, folds, models }
}

fn give<'a>(
    mut inputs: InputsBuilder<'a>,
    part: Part,
    point: &[(&str, &str)],
) -> Result<InputsBuilder<'a>, StageError> {
    for (evidence, quality) in part.evidence.into_iter().zip(part.quality) {
        let mut at = own(point);
        at.push(("modality".to_owned(), evidence.modality.clone()));
        inputs =
            inputs.artifact("evidence", at.clone(), evidence)?.artifact("quality", at, quality)?;
    }
    Ok(inputs)
}

fn own(point: &[(&str, &str)]) -> Vec<(String, String)> {
    point.iter().map(|(axis, label)| ((*axis).to_owned(), (*label).to_owned())).collect()
}

impl Study {
    fn seed(&self) -> u64 {
        self.fixture["seed"].as_u64().unwrap()
    }

    fn again(&self, fold: usize) -> Part {
        let Part { evidence, quality } = &self.folds[fold];
        Part { evidence: evidence.clone(), quality: quality.clone() }
    }

    fn permuted(&self, rule: usize, fold: usize) -> (Permutations, ExampleEffects) {
        let options = json!({ "permutations": self.fixture["permutations"] });
        let outputs = run::<PermuteQuality>(options, self.seed(), &[], |inputs| {
            let inputs = inputs.artifact("cohort", vec![], self.cohort.clone())?.artifact(
                "model",
                vec![],
                self.models[rule].clone(),
            )?;
            give(inputs, self.again(fold), &[])
        })
        .unwrap();
        (outputs.get("permutations").unwrap(), outputs.get("effects").unwrap())
    }

    /// Permutations and effects of a rule in both folds.
    fn give_permuted<'a>(
        &self,
        mut inputs: InputsBuilder<'a>,
        rule: usize,
    ) -> Result<InputsBuilder<'a>, StageError> {
        for (fold, name) in ["0", "1"].into_iter().enumerate() {
            let (permutations, effects) = self.permuted(rule, fold);
            let point = own(&[("rule", RULES[rule]), ("fold", name)]);
            inputs = inputs
                .artifact("permutations", point.clone(), permutations)?
                .artifact("effects", point, effects)?;
        }
        Ok(inputs)
    }

    fn give_folds<'a>(
        &self,
        mut inputs: InputsBuilder<'a>,
    ) -> Result<InputsBuilder<'a>, StageError> {
        for (fold, name) in ["0", "1"].into_iter().enumerate() {
            inputs = give(inputs, self.again(fold), &[("fold", name)])?;
        }
        inputs.artifact("cohort", vec![], self.cohort.clone())
    }

    fn expects(&self, of: &str, name: &str, found: f64) {
        let expected = self.fixture[of][name].as_f64().unwrap();
        assert!((found - expected).abs() < 1e-12, "{of}, {name}: {found} is not {expected}");
    }
}

#[test]
fn measures_of_three_classes_agree_with_scikit_learn_under_the_same_permutations() {
    let study = study();
    let measured = |is_ordinal: bool| {
        let options = json!({ "permutations": study.fixture["permutations"] });
        let outputs = run::<Metrics>(options, study.seed(), &[], |mut inputs| {
            for (fold, name) in ["0", "1"].into_iter().enumerate() {
                inputs = give(inputs, study.again(fold), &[("fold", name)])?;
                let model = study.models[0].clone();
                inputs = inputs.artifact("model", own(&[("fold", name)]), model)?;
            }
            let cohort = AnyCohort { cohort: study.cohort.clone(), values: None, is_ordinal };
            inputs.artifact("cohort", vec![], cohort)
        });
        cells(&outputs.unwrap())
    };
    let expected = study.fixture["metrics"].as_array().unwrap();
    // Two of them know of an order, and are measured where the classes have one.
    assert_eq!((measured(false).len(), expected.len()), (5, 7));
    let table = measured(true);
    assert_eq!(table.len(), expected.len());
    for (found, expected) in table.iter().zip(expected) {
        assert_eq!(found["metric"], expected["metric"].as_str().unwrap());
        for column in ["clean", "broken", "gap", "null_sd", "p_value"] {
            let value: f64 = found[column].parse().unwrap();
            let wanted = expected[column].as_f64().unwrap();
            assert!((value - wanted).abs() < 1e-12, "{column} of {found:?} is not {wanted}");
        }
    }
}

#[test]
fn a_finding_agrees_with_numpy_from_permutation_to_interval() {
    let study = study();
    let options = json!({ "bootstrap": study.fixture["resamples"], "alpha": 0.1 });
    let outputs = run::<Summarize>(options, study.seed(), &[("rule", RULES[0])], |inputs| {
        study.give_permuted(study.give_folds(inputs)?, 0)
    });
    let found = outputs.unwrap().get::<Findings>("findings").unwrap().rows.remove(0);
    for (name, value) in [
        ("ba_clean", found.ba_clean),
        ("ba_broken", found.ba_broken),
        ("gap", found.gap),
        ("gap_low", found.gap_low),
        ("gap_high", found.gap_high),
        ("p_value", found.p_value),
        ("null_sd", found.null_sd),
        ("detectable_gap", found.detectable_gap),
        ("flip_rate", found.flip_rate),
        ("probability_shift", found.probability_shift),
        ("ba_oracle", found.ba_oracle),
        ("headroom", found.headroom),
        ("ba_best_unimodal", found.ba_best_unimodal),
    ] {
        study.expects("finding", name, value);
    }
    for (name, found, tolerance) in [
        ("alignment", &found.alignment, 1e-12),
        ("quality_from_evidence", &found.quality_from_evidence, 1e-8),
        ("quality_label_auroc", &found.quality_label_auroc, 1e-12),
    ] {
        let wanted = numbers(&study.fixture["finding"][name]);
        assert_eq!(found.len(), wanted.len());
        for (found, wanted) in found.iter().zip(wanted) {
            let found = found.unwrap();
            assert!((found - wanted).abs() < tolerance, "{name}: {found} is not {wanted}");
        }
    }
    assert!(found.evidence_derived, "the evidence tells 14 % of video's quality");
}

#[test]
fn routing_agrees_with_numpy_on_discordant_examples() {
    let study = study();
    let outputs = run::<Routing>(json!({}), study.seed(), &[], |inputs| {
        let mut inputs = study.give_folds(inputs)?;
        for (fold, name) in ["0", "1"].into_iter().enumerate() {
            let (_, effects) = study.permuted(0, fold);
            inputs = inputs.artifact("effects", own(&[("fold", name)]), effects)?;
        }
        Ok(inputs)
    });
    let table = cells(&outputs.unwrap());
    for name in ["ba_highest_quality", "selection_accuracy", "routing_regret", "beyond_oracle"] {
        let row = table.iter().find(|row| row["measure"] == name).unwrap();
        study.expects("routing", name, row["value"].parse().unwrap());
    }
}

#[test]
fn two_rules_compared_agree_with_numpy_under_the_same_permutations_and_resamples() {
    let study = study();
    let options = json!({ "axis": "rule", "bootstrap": study.fixture["resamples"] });
    let outputs = run::<Compare>(options, study.seed(), &[], |inputs| {
        let inputs = inputs.artifact("cohort", vec![], study.cohort.clone())?;
        study.give_permuted(study.give_permuted(inputs, 0)?, 1)
    });
    let table = cells(&outputs.unwrap());
    assert_eq!(table.len(), 1);
    let row = &table[0];
    assert_eq!([&row["first"], &row["second"]], RULES);
    for (name, value) in
        row.iter().filter(|(name, _)| !["first", "second"].contains(&name.as_str()))
    {
        study.expects("compare", name, value.parse().unwrap());
    }
}

#[test]
fn schemes_that_say_what_quality_is_used_for_agree_with_python() {
    let Study { fixture, cohort, folds, models } = study();
    let [weighted_mean, _] = models;
    for (scheme, expected) in fixture["schemes"].as_object().unwrap() {
        for (fold, expected) in folds.iter().zip(expected.as_array().unwrap()) {
            let options = json!({ "permutations": fixture["permutations"], "scheme": scheme });
            let seed = fixture["seed"].as_u64().unwrap();
            let outputs = run::<PermuteQuality>(options, seed, &[], |inputs| {
                let mut inputs = inputs
                    .artifact("model", vec![], weighted_mean.clone())?
                    .artifact("cohort", vec![], cohort.clone())?;
                let training = part(&fixture, "train");
                for (evidence, quality) in training.evidence.into_iter().zip(training.quality) {
                    inputs = inputs.artifact("evidence_train", vec![], evidence)?.artifact(
                        "quality_train",
                        vec![],
                        quality,
                    )?;
                }
                give(
                    inputs,
                    Part { evidence: fold.evidence.clone(), quality: fold.quality.clone() },
                    &[],
                )
            });
            let found: Permutations = outputs.unwrap().get("permutations").unwrap();
            let expected: Vec<i64> = expected
                .as_array()
                .unwrap()
                .iter()
                .flat_map(|row| row.as_array().unwrap())
                .map(|count| count.as_i64().unwrap())
                .collect();
            assert_eq!(found.correct, expected, "{scheme}");
            assert!(expected[CLASSES..] != expected[..expected.len() - CLASSES], "{scheme}");
        }
    }
}
