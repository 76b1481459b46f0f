//! Fitted estimators beside numpy and scikit-learn, on `tests/fixtures/quality.py`, and their
//! training beside their test rows.

use fuseline_artifact::{Cohort, Folds};
use serde::Deserialize;

use super::super::conformal_set_size::ConformalSetSize;
use super::super::ensemble_variance::EnsembleVariance;
use super::super::in_distribution::InDistribution;
use super::super::knn::Knn;
use super::super::mahalanobis::Mahalanobis;
use super::super::tcp::Tcp;
use super::*;
use crate::expert::logistic::LogisticExpert;

#[derive(Deserialize)]
struct Fixture {
    group: Vec<String>,
    label: Vec<u32>,
    fold: Vec<i32>,
    /// True if an example has the modality.
    has: Vec<bool>,
    columns: Vec<Vec<Option<f64>>>,
    inner_fold: Vec<u32>,
    /// Of the training rows, then of the test rows.
    probabilities: Vec<[f64; 3]>,
    qualities: BTreeMap<String, BTreeMap<String, Sides>>,
    expert_logits: Vec<[f64; 3]>,
    logits: Vec<[f64; 3]>,
    /// For each row, five passes of three classes.
    passes: Vec<Vec<[f64; 3]>>,
    /// Evidence of another modality.
    other: Vec<[f64; 3]>,
    has_other: Vec<bool>,
    /// Formulas of the five above, of the training rows and then of the test rows.
    shelf: BTreeMap<String, Vec<f64>>,
}

#[derive(Deserialize)]
struct Sides {
    train: Vec<f64>,
    test: Vec<f64>,
}

/// Input of the estimators, with the evidence by the expert.
struct Study {
    cohort: Cohort,
    features: Features,
    evidence: [Evidence; 2],
}

fn fixture() -> (Fixture, Study) {
    let case: Fixture =
        serde_json::from_str(include_str!("../../../tests/fixtures/quality.json")).unwrap();
    let ids: Vec<String> = (0..case.group.len()).map(|row| format!("e{row:03}")).collect();
    let cohort = Cohort {
        example_id: Texts::from_iter(&ids),
        group: Texts::from_iter(&case.group),
        label: case.label.clone(),
        classes: ["a", "b", "c"].map(str::to_owned).into(),
    };
    let there: Vec<usize> = (0..ids.len()).filter(|&row| case.has[row]).collect();
    let column = |values: &Vec<Option<f64>>| there.iter().map(|&row| values[row]).collect();
    let features = Features {
        example_id: Texts::from_iter(there.iter().map(|&row| &ids[row])),
        columns: (0..).zip(&case.columns).map(|(at, of)| (format!("f{at}"), column(of))).collect(),
    };
    let folds = Folds { example_id: cohort.example_id.clone(), fold: case.fold.clone() };
    let options = json!({ "test_fold": 1, "inner_folds": 3, "modality": "audio", "logits": true });
    let outputs = run::<LogisticExpert>(options, 1, &[], |inputs| {
        inputs
            .artifact("features", vec![], features.clone())?
            .artifact("cohort", vec![], cohort.clone())?
            .artifact("folds", vec![], folds)
    })
    .unwrap();
    let evidence = ["train", "test"].map(|port| outputs.get(port).unwrap());
    (case, Study { cohort, features, evidence })
}

fn estimate<K: StageKind>(
    study: &Study,
    with_cohort: bool,
    options: Value,
) -> Result<[Quality; 2], StageError> {
    let [train, test] = &study.evidence;
    let outputs = run::<K>(options, 1, &[], |inputs| {
        let inputs = inputs
            .artifact("evidence_train", vec![], train.clone())?
            .artifact("evidence_test", vec![], test.clone())?
            .artifact("features", vec![], study.features.clone())?;
        match with_cohort {
            true => inputs.artifact("cohort", vec![], study.cohort.clone()),
            false => Ok(inputs),
        }
    })?;
    Ok([outputs.get("train")?, outputs.get("test")?])
}

#[test]
fn evidence_says_the_inner_folds_that_made_it() {
    let (case, Study { evidence: [train, test], .. }) = fixture();
    assert_eq!(train.inner_fold, Some(case.inner_fold));
    assert_eq!(test.inner_fold, None);
    let expected: Vec<f64> = case.probabilities.into_iter().flatten().collect();
    let found = train.probabilities.iter().chain(&test.probabilities);
    assert_eq!(found.clone().count(), expected.len());
    for (found, expected) in found.zip(expected) {
        assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
    }
    let expected = case.expert_logits.into_iter().flatten();
    let logits = [&train, &test].map(|evidence| evidence.logits.as_ref().unwrap());
    assert_eq!(logits.map(|logits| logits.len()), [&train, &test].map(|of| of.probabilities.len()));
    for (found, expected) in logits.into_iter().flatten().zip(expected) {
        assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
    }
}

#[test]
fn qualities_are_those_of_numpy_and_scikit_learn_over_the_inner_folds_of_the_expert() {
    let (case, mut study) = fixture();
    type Estimate = fn(&Study, bool, Value) -> Result<[Quality; 2], StageError>;
    let kinds: [(&str, Estimate, Value); 5] = [
        ("in_distribution", estimate::<InDistribution>, json!({})),
        ("mahalanobis", estimate::<Mahalanobis>, json!({})),
        ("conformal_set_size", estimate::<ConformalSetSize>, json!({ "coverage": 0.8 })),
        ("knn", estimate::<Knn>, json!({ "k": 4 })),
        ("tcp", estimate::<Tcp>, json!({})),
    ];
    let mut compare = |folds: &str, say: Option<u32>, forget: bool| {
        if forget {
            study.evidence[0].inner_fold = None;
        }
        for (name, estimate, options) in &kinds {
            let mut options = options.clone();
            options["inner_folds"] = json!(say);
            let [train, test] = estimate(&study, true, options).unwrap();
            let expected = &case.qualities[*name][folds];
            // The evidence that tcp reads is that of two optimisers.
            let bound = if *name == "tcp" { 1e-9 } else { 1e-12 };
            within(bound, &train.quality, &expected.train);
            within(bound, &test.quality, &expected.test);
            let derived = *name == "conformal_set_size";
            assert!([&train, &test].iter().all(|quality| quality.evidence_derived == derived));
        }
    };
    compare("of the expert", None, false);
    compare("five of its own", Some(5), false);
    compare("four of its own", None, true);
    compare("five of its own", Some(5), true);
}

#[test]
fn a_cohort_is_needed_only_where_the_evidence_does_not_say_its_inner_folds() {
    let (_, mut study) = fixture();
    let found = estimate::<Mahalanobis>(&study, false, json!({})).unwrap();
    assert_eq!(found, estimate::<Mahalanobis>(&study, true, json!({})).unwrap());
    study.evidence[0].inner_fold = None;
    let error = estimate::<Mahalanobis>(&study, false, json!({})).unwrap_err();
    assert_eq!(
        message(&error),
        "the training evidence of modality audio does not say its inner folds, and without a \
         cohort there are no groups to divide; give the stage the cohort: `inputs: { cohort: ... \
         }`"
    );
}

#[test]
fn rows_that_cannot_be_divided_are_refused() {
    let error = run_quality::<InDistribution>(json!({}), 1).unwrap_err();
    assert_eq!(
        message(&error),
        "4 inner folds of 3 training groups: some would be empty; \
         at most 3 inner folds are possible"
    );
    let (_, mut study) = fixture();
    let rows = study.evidence[0].example_id.len();
    study.evidence[0].inner_fold = Some(vec![0; rows]);
    let error = estimate::<InDistribution>(&study, true, json!({})).unwrap_err();
    assert_eq!(
        message(&error),
        "all training rows of modality audio are in one inner fold: none is left to fit on; \
         say inner_folds, to divide the rows anew"
    );
}

/// Qualities of rows that are drawn alike.
#[derive(Default)]
struct Pooled {
    train: Vec<f64>,
    test: Vec<f64>,
    /// Of the training rows, by an estimator that was fitted on them, too.
    in_sample: Vec<f64>,
}

/// Pools 80 studies of 30 training and 30 test rows of 8 features, each row a group.
fn pooled<K: StageKind>(options: &Value) -> Pooled {
    let mut pooled = Pooled::default();
    for seed in 0..80 {
        let ids: Vec<String> = (0..60).map(|row| format!("e{row:02}")).collect();
        let mut stream = Stream::new(seed, "rows that are drawn alike");
        let label: Vec<u32> = (0..60).map(|row| row / 3 % 2).collect();
        let column = |_| {
            let value = |&label: &u32| stream.normal() + 0.5 * f64::from(label);
            label.iter().map(value).collect::<Float64Array>()
        };
        let columns: Vec<Float64Array> = (0..8).map(column).collect();
        let features = Features {
            example_id: Texts::from_iter(&ids),
            columns: (0..).zip(columns).map(|(at, column)| (format!("f{at}"), column)).collect(),
        };
        let rows = ids.iter().zip(&label).map(|(id, label)| (id.clone(), id.clone(), *label));
        let cohort = cohort(&rows.collect::<Vec<_>>());
        let probability: Vec<f64> = label
            .iter()
            .map(|label| 1.0 / (1.0 + libm::exp(0.7 - f64::from(*label) - stream.normal())))
            .collect();
        let side = |range: std::ops::Range<usize>| {
            let rows = range.map(|row| (ids[row].as_str(), probability[row]));
            evidence("audio", &rows.collect::<Vec<_>>())
        };
        let [train, test] = [side(0..30), side(30..60)];
        let estimate = |test: &Evidence| {
            let outputs = run::<K>(options.clone(), seed, &[], |inputs| {
                inputs
                    .artifact("evidence_train", vec![], train.clone())?
                    .artifact("evidence_test", vec![], test.clone())?
                    .artifact("features", vec![], features.clone())?
                    .artifact("cohort", vec![], cohort.clone())
            })
            .unwrap();
            ["train", "test"].map(|port| outputs.get::<Quality>(port).unwrap().quality)
        };
        let [own, asked] = estimate(&test);
        pooled.train.extend_from_slice(&own);
        pooled.test.extend_from_slice(&asked);
        let [_, own] = estimate(&train);
        pooled.in_sample.extend_from_slice(&own);
    }
    pooled
}

/// The largest distance between two distribution functions (Kolmogorov and Smirnov).
fn distance(one: &[f64], other: &[f64]) -> f64 {
    let share = |of: &[f64], at: f64| {
        of.iter().filter(|value| **value <= at).count() as f64 / of.len() as f64
    };
    let apart = |at: &f64| (share(one, *at) - share(other, *at)).abs();
    one.iter().chain(other).map(apart).fold(0.0, f64::max)
}

#[test]
fn training_rows_have_the_qualities_of_test_rows_where_rows_are_exchangeable() {
    // Two samples of 2,400 lie further apart in one case of a hundred.
    let bound = 1.63 * (2.0_f64 / 2400.0).sqrt();
    let folds = json!({ "inner_folds": 10 });
    // Ranks 22 of 31 and 20 of 28: both leave out the same share.
    let sizes = json!({ "inner_folds": 10, "coverage": 0.7 });
    for (name, pooled, shows_in_sample) in [
        ("in_distribution", pooled::<InDistribution>(&folds), true),
        ("mahalanobis", pooled::<Mahalanobis>(&folds), true),
        // tcp is left out: its predictions have the level of their study's regression in common,
        // and the bound supposes rows that do not.
        ("knn", pooled::<Knn>(&json!({ "inner_folds": 10, "k": 2 })), true),
        // A rank among 30 moves little with one of them.
        ("conformal_set_size", pooled::<ConformalSetSize>(&sizes), false),
        ("ensemble_variance", pooled::<EnsembleVariance>(&json!({ "members": 8 })), false),
    ] {
        let found = distance(&pooled.train, &pooled.test);
        assert!(found < bound, "{name}: training and test rows are {found} apart");
        let in_sample = distance(&pooled.in_sample, &pooled.test);
        assert!(!shows_in_sample || in_sample > bound, "{name}, in-sample: {in_sample}");
        println!("{name}: {found:.3} out of fold, {in_sample:.3} in-sample, bound {bound:.3}");
    }
}

/// Evidence of the training rows (side 0) or of the test rows (side 1) of the fixture, with its
/// made-up logits.
fn made_up(case: &Fixture, study: &Study, modality: &str, side: usize) -> Evidence {
    let ids = &study.evidence[side].example_id;
    let first = if side == 0 { 0 } else { study.evidence[0].example_id.len() };
    let rows = first..first + ids.len();
    let softmax = |logits: &[f64; 3]| {
        let mut row = *logits;
        fuseline_learn::link::softmax(&mut row);
        row
    };
    let own = Evidence {
        modality: modality.to_owned(),
        classes: study.cohort.classes.clone(),
        example_id: ids.clone(),
        probabilities: case.logits[rows.clone()].iter().flat_map(softmax).collect(),
        inner_fold: None,
        logits: Some(case.logits[rows.clone()].iter().flatten().copied().collect()),
    };
    if modality == "audio" {
        return own;
    }
    let there: Vec<usize> = (0..ids.len()).filter(|&row| case.has_other[first + row]).collect();
    let other = Evidence {
        probabilities: case.other[rows].iter().flatten().copied().collect(),
        logits: None,
        ..own
    };
    other.take(&there)
}

/// The quality of training and test rows of the made-up logits, one after the other.
fn formula<K: StageKind>(
    case: &Fixture,
    study: &Study,
    options: Value,
    evidence_derived: bool,
) -> Vec<f64> {
    let evidence = |modality, side| made_up(case, study, modality, side);
    let quality = |modality, side| {
        let evidence = evidence(modality, side);
        Quality {
            modality: evidence.modality.clone(),
            source: "margin".to_owned(),
            control: Control::Native,
            evidence_derived: true,
            quality: each_row(&evidence).map(fuseline_stats::evidence::margin).collect(),
            example_id: evidence.example_id,
        }
    };
    let point = |modality: &str| vec![("modality".to_owned(), modality.to_owned())];
    let columns = (0..5).flat_map(|pass| (0..3).map(move |class| (pass, class)));
    let columns = columns.map(|(pass, class)| {
        let values = case.passes.iter().map(|row| Some(row[pass][class]));
        (format!("mc{pass}_{}", study.cohort.classes[class]), values.collect())
    });
    let [train, test] = &study.evidence;
    let passes = Features {
        example_id: train.example_id.iter().chain(test.example_id.iter()).collect(),
        columns: columns.collect(),
    };
    let read = Kind::new::<K>();
    let reads = |port: &str| read.spec().inputs.iter().any(|of| of.read && of.name == port);
    let outputs = run::<K>(options, 1, &[], |mut inputs| {
        inputs = inputs.artifact("evidence_train", vec![], evidence("audio", 0))?.artifact(
            "evidence_test",
            vec![],
            evidence("audio", 1),
        )?;
        if reads("features") {
            inputs = inputs.artifact("features", vec![], passes)?;
        }
        for (side, name) in ["train", "test"].into_iter().enumerate() {
            for modality in ["audio", "video"] {
                let (all, qualities) = (format!("all_{name}"), format!("qualities_{name}"));
                if reads(&all) {
                    inputs = inputs.artifact(&all, point(modality), evidence(modality, side))?;
                }
                if reads(&qualities) {
                    inputs =
                        inputs.artifact(&qualities, point(modality), quality(modality, side))?;
                }
            }
        }
        Ok(inputs)
    })
    .unwrap();
    let [train, test] = ["train", "test"].map(|port| outputs.get::<Quality>(port).unwrap());
    assert_eq!([train.evidence_derived, test.evidence_derived], [evidence_derived; 2]);
    train.quality.iter().chain(&test.quality).copied().collect()
}

#[test]
fn formulas_are_those_of_numpy_and_scipy() {
    use super::super::conflict::Conflict;
    use super::super::energy::Energy;
    use super::super::evidential::Evidential;
    use super::super::max_probability::MaxProbability;
    use super::super::mutual_information::MutualInformation;
    use super::super::relative::Relative;

    let (case, study) = fixture();
    type Formula = fn(&Fixture, &Study, Value, bool) -> Vec<f64>;
    let softplus = json!({ "activation": "softplus" });
    let passes = json!({ "passes": "^mc([0-9])_(.)$" });
    // The made-up logits do not sum to 0, so that energy is more than the probabilities.
    let formulas: [(&str, Formula, Value, bool); 9] = [
        ("energy", formula::<Energy>, json!({}), false),
        ("energy at 2.5", formula::<Energy>, json!({ "temperature": 2.5 }), false),
        ("evidential", formula::<Evidential>, json!({}), false),
        ("evidential softplus", formula::<Evidential>, softplus, false),
        ("max_probability", formula::<MaxProbability>, json!({}), true),
        ("mutual_information", formula::<MutualInformation>, passes, false),
        ("conflict", formula::<Conflict>, json!({}), true),
        ("conflict dempster", formula::<Conflict>, json!({ "measure": "dempster" }), true),
        ("relative", formula::<Relative>, json!({}), true),
    ];
    assert_eq!(formulas.len(), case.shelf.len());
    for (name, formula, options, derived) in formulas {
        within(1e-12, &formula(&case, &study, options, derived), &case.shelf[name]);
    }
}

#[test]
fn energy_of_a_logistic_regression_is_a_function_of_its_probabilities_and_says_so() {
    let (_, study) = fixture();
    let [train, _] = estimate::<energy::Energy>(&study, false, json!({})).unwrap();
    assert!(train.evidence_derived);
    // Logits that sum to 0: minus the mean of the log probabilities.
    let expected = each_row(&study.evidence[0])
        .map(|row| -row.iter().map(|p| libm::log(*p)).sum::<f64>() / row.len() as f64);
    within(1e-9, &train.quality, &expected.collect::<Vec<_>>());
}

#[test]
fn what_is_computed_from_logits_is_refused_where_there_are_none() {
    use super::super::energy::Energy;
    let (_, mut study) = fixture();
    for evidence in &mut study.evidence {
        evidence.logits = Some(evidence.probabilities.iter().map(|p| libm::log(*p)).collect());
    }
    let error = estimate::<Energy>(&study, false, json!({})).unwrap_err();
    assert_eq!(
        message(&error),
        "the logits of modality audio are log probabilities, whose energy is 0 by construction; \
         give what the model computes before its softmax"
    );
    study.evidence[0].logits = None;
    let error = estimate::<Energy>(&study, false, json!({})).unwrap_err();
    assert_eq!(
        error.message,
        "the evidence of modality audio has no logits, and probabilities alone do not tell them: \
         their energy is 0 by construction"
    );
}

#[test]
fn an_ensemble_that_agrees_less_has_less_evidence_behind_it_and_more_mutual_information() {
    use super::super::evidential::Evidential;
    use super::super::mutual_information::MutualInformation;
    let (_, study) = fixture();
    let of_ensemble = json!({ "from": "ensemble" });
    let [variance, _] = estimate::<EnsembleVariance>(&study, true, json!({})).unwrap();
    let [vacuity, _] = estimate::<Evidential>(&study, true, of_ensemble).unwrap();
    let [information, _] = estimate::<MutualInformation>(&study, true, json!({})).unwrap();
    for other in [&vacuity, &information] {
        assert!(!other.evidence_derived);
        let alike = spearman(&variance.quality, &other.quality).unwrap();
        assert!(alike > 0.8, "{}: {alike}", other.source);
    }
    assert!(vacuity.quality.iter().all(|quality| (-1.0..=0.0).contains(quality)));
}
