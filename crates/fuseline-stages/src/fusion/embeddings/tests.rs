use arrow::array::Float64Array;
use fuseline_artifact::{Cohort, Evidence, FittedOn, Predictions, Quality, Texts};
use fuseline_engine::{CheckSite, Point, StageKind};
use serde_json::{Value, json};

use super::*;
use crate::fusion::fit::Fit;
use crate::fusion::predict::Predict;
use crate::testing::{message, quality, run, services};

const MODALITIES: [&str; 2] = ["audio", "video"];
const CLASSES: usize = 3;

fn fixture() -> Value {
    serde_json::from_str(include_str!("../../../tests/fixtures/mid_fusion.json")).unwrap()
}

fn numbers(cells: &Value) -> Vec<f64> {
    let cells = cells.as_array().unwrap().iter();
    cells.map(|cell| cell.as_f64().unwrap_or(f64::NAN)).collect()
}

/// Input of a stage for one side of the fixture's split.
#[derive(Clone)]
struct Side {
    cohort: Cohort,
    evidence: Vec<Evidence>,
    quality: Vec<Quality>,
    embeddings: Vec<Labelled<Features>>,
}

fn side(part: &str) -> Side {
    let fixture = fixture();
    let cells = &fixture[part];
    let label: Vec<u32> = numbers(&cells["label"]).iter().map(|label| *label as u32).collect();
    let id = |row: usize| format!("{part}{row:03}");
    let ids: Texts = (0..label.len()).map(id).collect();
    let available: Vec<bool> =
        cells["available"].as_array().unwrap().iter().map(|cell| cell == true).collect();
    let (probabilities, qualities) = (numbers(&cells["evidence"]), numbers(&cells["quality"]));
    let classes = ["calm", "tense", "loud"].map(str::to_owned).to_vec();
    let mut side = Side {
        cohort: Cohort {
            group: ids.clone(),
            label,
            classes: classes.clone(),
            example_id: ids.clone(),
        },
        evidence: Vec::new(),
        quality: Vec::new(),
        embeddings: Vec::new(),
    };
    for (place, name) in MODALITIES.into_iter().enumerate() {
        let rows: Vec<usize> = (0..ids.len()).filter(|row| available[row * 2 + place]).collect();
        let cell = |row: &usize| row * 2 + place;
        side.evidence.push(Evidence {
            modality: name.to_owned(),
            classes: classes.clone(),
            example_id: rows.iter().map(|&row| id(row)).collect(),
            probabilities: rows
                .iter()
                .flat_map(|row| &probabilities[cell(row) * CLASSES..][..CLASSES])
                .copied()
                .collect(),
            inner_fold: None,
            logits: None,
        });
        let own: Vec<(String, f64)> =
            rows.iter().map(|row| (id(*row), qualities[cell(row)])).collect();
        let own: Vec<(&str, f64)> = own.iter().map(|(id, value)| (id.as_str(), *value)).collect();
        side.quality.push(quality(name, &own));
        let raw = numbers(&cells["embeddings"][place]);
        let width = raw.len() / ids.len();
        let column = |at: usize| {
            let values = raw.iter().skip(at).step_by(width);
            let column = values.map(|value| value.is_finite().then_some(*value));
            (format!("{name}{at}"), column.collect::<Float64Array>())
        };
        // Rows of examples without the modality stay: they must not count.
        side.embeddings.push(labelled(
            name,
            Features { example_id: ids.clone(), columns: (0..width).map(column).collect() },
        ));
    }
    side
}

fn labelled(modality: &str, artifact: Features) -> Labelled<Features> {
    let point: Point = vec![("modality".to_owned(), modality.to_owned())];
    Labelled { point, artifact }
}

fn give<K: StageKind>(
    options: Value,
    model: Option<Model>,
    side: Side,
) -> Result<fuseline_engine::Outputs, StageError> {
    run::<K>(options, 7, &[], |mut inputs| {
        if let Some(model) = model {
            inputs = inputs.artifact("model", vec![], model)?;
        }
        inputs = inputs.artifact("cohort", vec![], side.cohort)?;
        for of in side.evidence {
            inputs = inputs.artifact("evidence", vec![], of)?;
        }
        for of in side.quality {
            inputs = inputs.artifact("quality", vec![], of)?;
        }
        for Labelled { point, artifact } in side.embeddings {
            inputs = inputs.artifact("embeddings", point, artifact)?;
        }
        Ok(inputs)
    })
}

fn fitted(options: Value, side: Side) -> Result<Model, StageError> {
    give::<Fit>(options, None, side)?.get("model")
}

fn predicted(model: &Model, side: Side) -> Result<Vec<f64>, StageError> {
    let outputs = give::<Predict>(json!({}), Some(model.clone()), side)?;
    Ok(outputs.get::<Predictions>("predictions")?.probabilities.to_vec())
}

fn attention() -> Value {
    json!({ "rule": "attention" })
}

fn assert_close(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((found - expected).abs() < tolerance, "at {at}: {found} is not {expected}");
    }
}

#[test]
fn attention_over_embeddings_agrees_with_numpy() {
    let fixture = fixture();
    let model = fitted(attention(), side("train")).unwrap();
    for (place, scale) in model.embeddings.iter().enumerate() {
        assert_eq!(scale.modality, MODALITIES[place]);
        assert_close(&scale.mean, &numbers(&fixture["mean"][place]), 1e-12);
        assert_close(&scale.scale, &numbers(&fixture["scale"][place]), 1e-12);
    }
    let test = side("test");
    assert_close(&predicted(&model, test.clone()).unwrap(), &numbers(&fixture["predicted"]), 1e-7);

    // An intervention on quality reaches the attention and nothing else.
    let mut moved = test;
    let cells = numbers(&fixture["moved_quality"]);
    for (place, of) in moved.quality.iter_mut().enumerate() {
        let row = |id: &str| id.trim_start_matches("test").parse::<usize>().unwrap();
        of.quality = of.example_id.iter().map(|id| cells[row(id) * 2 + place]).collect();
    }
    let expected = numbers(&fixture["predicted_with_moved_quality"]);
    assert_close(&predicted(&model, moved).unwrap(), &expected, 1e-7);
}

#[test]
fn test_rows_are_standardised_as_the_training_rows_say() {
    let model = fitted(attention(), side("train")).unwrap();
    let all = predicted(&model, side("test")).unwrap();
    let mut few = side("test");
    few.evidence.iter_mut().for_each(|of| {
        of.example_id = of.example_id.take(0..4);
        of.probabilities = of.probabilities.slice(0, 4 * CLASSES);
    });
    let some = predicted(&model, few).unwrap();
    let same = some.iter().zip(&all).take(3 * CLASSES);
    assert!(same.clone().all(|(one, other)| one.to_bits() == other.to_bits()), "{some:?}");
}

#[test]
fn a_rule_without_embeddings_is_not_the_same_rule() {
    let mut bare = side("train");
    bare.embeddings.clear();
    let without = fitted(attention(), bare).unwrap();
    let with = fitted(attention(), side("train")).unwrap();
    assert!(without.embeddings.is_empty());
    assert_ne!(without.bytes, with.bytes);
    assert_ne!(without.model_digest(), with.model_digest());
}

#[test]
fn a_model_is_asked_with_the_embeddings_that_it_was_fitted_with() {
    let model = fitted(attention(), side("train")).unwrap();
    let refused = |change: &dyn Fn(&mut Side)| {
        let mut test = side("test");
        change(&mut test);
        message(&predicted(&model, test).unwrap_err())
    };
    assert_eq!(
        refused(&|test| test.embeddings.truncate(1)),
        "the model was fitted with embeddings of modalities: audio, video; and is asked with: \
         audio; give the input embeddings as the stage that fitted the model has it"
    );
    let named = refused(&|test| test.embeddings[1].artifact.columns[0].0 = "gaze".to_owned());
    assert_eq!(
        named,
        "the embedding of modality video has other columns than the model was fitted on: gaze \
         stands where video0 was"
    );
    let narrow = refused(&|test| drop(test.embeddings[0].artifact.columns.pop()));
    assert!(narrow.ends_with("2 columns were 3"), "{narrow}");
    let absent = refused(&|test| {
        let features = &mut test.embeddings[0].artifact;
        features.example_id = features.example_id.take(0..20);
        for (_, column) in &mut features.columns {
            *column = column.slice(0, 20);
        }
    });
    assert_eq!(absent, "example test020 has evidence but no embedding in modality audio");
    let nameless = refused(&|test| test.embeddings[0].point.clear());
    assert!(nameless.starts_with("an embedding does not say its modality"), "{nameless}");
    let twice = refused(&|test| {
        let again = test.embeddings[0].clone();
        test.embeddings.push(again);
    });
    assert!(twice.starts_with("two embeddings artifacts are of modality audio"), "{twice}");

    let mut bare = side("train");
    bare.embeddings.clear();
    let error = predicted(&fitted(attention(), bare).unwrap(), side("test")).unwrap_err();
    assert!(message(&error).contains("modalities: none; and is asked with: audio, video"));
}

#[test]
fn quality_cannot_hide_among_the_embeddings() {
    let mut train = side("train");
    let mut values = vec![None; train.cohort.len()];
    for (id, value) in train.quality[0].example_id.iter().zip(&train.quality[0].quality) {
        values[id.trim_start_matches("train").parse::<usize>().unwrap()] = Some(*value);
    }
    train.embeddings[0].artifact.columns.push(("snr".to_owned(), values.into()));
    let error = fitted(attention(), train.clone()).unwrap_err();
    assert_eq!(
        message(&error),
        "column snr of the embedding of modality audio is the quality itself: an intervention on \
         quality would not reach it there; say exclude: [snr]"
    );
    let options = json!({ "rule": "attention", "exclude": ["snr"] });
    let excluded = fitted(options.clone(), train).unwrap();
    let without = fitted(attention(), side("train")).unwrap();
    assert_eq!(excluded.bytes, without.bytes);
    assert_eq!(excluded.embeddings[0].excluded, ["snr"]);
    assert!(excluded.embeddings[1].excluded.is_empty());
    let error = fitted(options, side("train")).unwrap_err();
    assert!(message(&error).starts_with("the features have no column snr"), "{error}");

    // The option need not be repeated to apply the model, whether the column is there or not.
    let test = side("test");
    let mut also = test.clone();
    let column = Float64Array::from(vec![1.0; also.cohort.len()]);
    also.embeddings[0].artifact.columns.insert(0, ("snr".to_owned(), column));
    assert_eq!(predicted(&excluded, test).unwrap(), predicted(&excluded, also).unwrap());
}

#[test]
fn a_model_that_saw_the_rows_is_refused_with_embeddings_too() {
    let mut model = fitted(attention(), side("train")).unwrap();
    model.fitted_on = FittedOn::examples(["test003"]);
    let error = predicted(&model, side("test")).unwrap_err();
    assert!(error.message.contains("example test003"), "{error}");
}

#[test]
fn a_rule_that_takes_no_embeddings_is_found_before_anything_runs() {
    let services = services();
    let problems = |rule: &str, inputs: Vec<&'static str>| {
        let stage: Fit = serde_json::from_value(json!({ "rule": rule })).unwrap();
        let mut site = CheckSite::new(&services, &inputs);
        StageKind::check(&stage, &mut site);
        site.problems
    };
    let found = problems("lr", vec!["evidence", "embeddings"]);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].option, "rule");
    assert_eq!(found[0].message, "the rule org.fuseline.lr takes no embeddings");
    assert!(problems("lr", vec!["evidence"]).is_empty());
    assert!(problems("attention", vec!["evidence", "embeddings"]).is_empty());
}
