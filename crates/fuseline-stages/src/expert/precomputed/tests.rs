use std::path::PathBuf;

use fuseline_artifact::{Digest, Evidence, Folds, Texts};
use serde_json::{Value, json};

use super::*;
use crate::testing::{cohort, message, run};

/// Examples with training and with test evidence, and cautions.
fn with_files(
    more: Value,
    text: &str,
    files: Vec<(PathBuf, Digest)>,
) -> Result<(Texts, Texts, Vec<String>), StageError> {
    let outputs = outputs(more, "csv", text.as_bytes(), files)?;
    let [train, test]: [Evidence; 2] = [outputs.get("train")?, outputs.get("test")?];
    Ok((train.example_id, test.example_id, outputs.cautions().to_vec()))
}

/// The evidence of [`asked`], of a table of text.
fn expert(more: Value, text: &str) -> Result<[Evidence; 2], StageError> {
    asked(more, "csv", text.as_bytes()).map(|(evidence, _)| evidence)
}

/// Evidence of training and test rows, and cautions but for that of examples without evidence.
fn asked(
    more: Value,
    ending: &str,
    bytes: &[u8],
) -> Result<([Evidence; 2], Vec<String>), StageError> {
    let outputs = outputs(more, ending, bytes, Vec::new())?;
    let mut cautions = outputs.cautions().to_vec();
    cautions.retain(|caution| !caution.contains("has no evidence for"));
    Ok(([outputs.get("train")?, outputs.get("test")?], cautions))
}

/// Six examples of three groups, two of them tested in fold 0.
fn outputs(
    more: Value,
    ending: &str,
    bytes: &[u8],
    mut files: Vec<(PathBuf, Digest)>,
) -> Result<Outputs, StageError> {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join(format!("evidence.{ending}"));
    std::fs::write(&path, bytes).unwrap();
    let mut options = json!({
        "path": path, "id": { "column": "id" }, "probabilities": ["rest", "stress"], "test_fold": 0,
        "join": { "at_least": 0.1 },
    });
    for (name, value) in more.as_object().unwrap() {
        options[name] = value.clone();
    }
    let rows: Vec<_> =
        (0..6).map(|row| (format!("e{row}"), format!("g{}", row / 2), row % 2)).collect();
    let cohort = cohort(&rows);
    let folds = Folds { example_id: cohort.example_id.clone(), fold: vec![0, 0, 1, 1, 1, 1] };
    files.push((path, Digest::hash(bytes)));
    run::<PrecomputedExpert>(options, 1, &[("modality", "audio")], |inputs| {
        inputs.files(files).artifact("cohort", vec![], cohort)?.artifact("folds", vec![], folds)
    })
}

#[test]
fn rows_are_put_in_the_order_of_the_cohort_and_on_their_side_of_the_split() {
    let text = "id,stress,rest\ne5,0.25,0.75\ne0,1,0\nelsewhere,0.5,0.5\ne3,0.5,0.5\n";
    let [train, test] = expert(json!({}), text).unwrap();
    assert_eq!(train.modality, "audio");
    assert_eq!(
        (train.example_id, train.probabilities),
        (Texts::from_iter(["e3", "e5"]), vec![0.5, 0.5, 0.75, 0.25].into())
    );
    assert_eq!(
        (test.example_id, test.probabilities),
        (Texts::from_iter(["e0"]), vec![0.0, 1.0].into())
    );
}

#[test]
fn with_a_fold_column_only_the_rows_of_the_tested_fold_count() {
    let text = "id,rest,stress,fold\ne0,0.1,0.9,0\ne2,0.2,0.8,0\ne0,0.3,0.7,1\ne2,0.4,0.6,1\n";
    let [train, test] = expert(json!({ "fold": "fold" }), text).unwrap();
    assert_eq!(
        (train.probabilities, test.probabilities),
        (vec![0.2, 0.8].into(), vec![0.1, 0.9].into())
    );
    assert_eq!(
        message(&expert(json!({}), text).unwrap_err()),
        "lines 2 and 4 of evidence.csv are both e0; \
         where each fold has evidence of its own, say which column is the fold"
    );
}

#[test]
fn training_rows_that_the_model_saw_get_no_evidence_and_test_rows_stop_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let list = |ids: &str| {
        let path = folder.path().join("seen.txt");
        std::fs::write(&path, ids).unwrap();
        (json!({ "fitted_on": { "ids": path } }), vec![(path, Digest::hash(ids.as_bytes()))])
    };
    let text = "id,rest,stress\ne0,0.5,0.5\ne2,0.5,0.5\ne4,0.5,0.5\n";
    let (options, files) = list("far\ne4\n");
    let (train, test, cautions) = with_files(options, text, files).unwrap();
    assert_eq!((train, test), (Texts::from_iter(["e2"]), Texts::from_iter(["e0"])));
    assert_eq!(
        cautions,
        [
            "1 of 4 training examples get no evidence, since seen.txt has them or their groups: e4",
            "evidence.csv has no evidence for 3 of the 6 examples, which count as unavailable: \
             e1, e3, e5",
        ]
    );
    // A study that fits nothing may still test.
    let (options, files) = list("e2\ne3\ne4\ne5\n");
    let (train, test, _) = with_files(options, text, files).unwrap();
    assert_eq!((train.len(), test.len()), (0, 1));
    let (options, files) = list("e1\n");
    let error = with_files(options, text, files).unwrap_err();
    assert_eq!(error.message, "seen.txt has 1 of the 2 test examples of fold 0: e1");
}

#[test]
fn what_are_no_probabilities_is_refused() {
    for row in ["e0,0.5,0.6", "e0,1.5,-0.5", "e0,inf,0"] {
        let error = expert(json!({}), &format!("id,rest,stress\n{row}\n")).unwrap_err();
        assert!(
            error.message.contains("in line 2 of evidence.csv are no probabilities"),
            "{error}"
        );
    }
    for missing in ["", "NaN"] {
        let error = expert(json!({}), &format!("id,rest,stress\ne0,{missing},1\n")).unwrap_err();
        assert_eq!(error.message, "column rest is missing in line 2 of evidence.csv");
    }
    let error =
        expert(json!({ "probabilities": ["rest", "stress", "id"] }), "id,rest,stress\ne0,1,0\n");
    assert_eq!(
        error.unwrap_err().message,
        "3 columns of probabilities for 2 classes: rest, stress"
    );
    let error = expert(json!({}), "id,rest,stress\ne0,1,0\n").unwrap_err();
    assert_eq!(
        error.message,
        "evidence.csv has evidence for none of the 4 train examples of fold 0"
    );
}

#[test]
fn columns_are_bound_to_classes_by_name() {
    let text = "id,p_stress,p_rest\ne0,0.9,0.1\ne2,0.25,0.75\n";
    let bound = |probabilities: Value| {
        let more = json!({ "probabilities": probabilities });
        let ([_, test], cautions) = asked(more, "csv", text.as_bytes()).unwrap();
        (test.probabilities.to_vec(), cautions)
    };
    for silent in [
        json!(["p_rest", "p_stress"]),
        json!({ "rest": "p_rest", "stress": "p_stress" }),
        json!({ "Stress": "p_stress", "Rest": 2 }),
    ] {
        assert_eq!(bound(silent), (vec![0.1, 0.9], vec![]));
    }
    for said in [json!(["p_stress", "p_rest"]), json!([1, 2])] {
        let (found, cautions) = bound(said);
        assert_eq!(found, [0.1, 0.9]);
        assert_eq!(
            cautions,
            ["the columns of evidence.csv are bound to the classes that they name, not in the \
                 order of probabilities: \
              p_rest for rest, p_stress for stress"]
        );
    }
    // A mapping says what it says, whatever the names of the columns.
    let swapped = json!({ "rest": "p_stress", "stress": "p_rest" });
    assert_eq!(bound(swapped), (vec![0.9, 0.1], vec![]));
}

#[test]
fn columns_that_name_no_class_are_bound_in_order_and_that_is_said() {
    let more = json!({ "probabilities": ["p0", "p1"] });
    let ([_, test], cautions) =
        asked(more, "csv", b"id,p0,p1\ne0,0.9,0.1\ne2,0.25,0.75\n").unwrap();
    assert_eq!(test.probabilities[..], [0.9, 0.1]);
    assert_eq!(
        cautions,
        ["the columns of evidence.csv do not name the classes and are bound to them in order: \
          p0 for rest, p1 for stress; \
          write probabilities as { class: column } to say which is which"]
    );
}

#[test]
fn columns_that_contradict_the_classes_are_refused() {
    let refused = |probabilities: Value, header: &str| {
        let zeros = header.matches(',').map(|_| ",0").collect::<String>();
        let text = format!("id,{header}\ne0,1{zeros}\n");
        message(&expert(json!({ "probabilities": probabilities }), &text).unwrap_err())
    };
    assert_eq!(
        refused(json!(["other", "rest"]), "other,rest"),
        "column rest of evidence.csv is listed for class stress and named as rest is: \
         order and names contradict each other; \
          say which is which: probabilities: { rest: other, ... }"
    );
    assert_eq!(
        refused(json!({ "rest": "a", "stres": "b" }), "a,b"),
        "stres is no class of the cohort; did you mean stress"
    );
    assert_eq!(
        refused(json!({ "rest": "a" }), "a,b"),
        "no column is named for class stress; the classes are rest, stress"
    );
    assert_eq!(
        refused(json!({ "rest": "a", "stress": "b", "talk": "c" }), "a,b,c"),
        "talk is no class of the cohort; the classes are rest, stress"
    );
    assert_eq!(
        refused(json!({ "rest": "a", "stress": 1 }), "a,b"),
        "column a is that of two classes"
    );
}

#[test]
fn probabilities_that_were_rounded_are_normalised_when_it_is_asked_for() {
    let text = "id,rest,stress\ne0,0.3333,0.6668\ne2,0.99,0.02\n";
    assert_eq!(
        message(&expert(json!({}), text).unwrap_err()),
        "[0.3333, 0.6668] in line 2 of evidence.csv are no probabilities: each must lie in 0 to 1, \
         and they sum to 1.000100 where 1 is meant; \
         normalise: true divides rounded probabilities by their sum"
    );
    let [train, test] = expert(json!({ "normalise": true }), text).unwrap();
    assert_eq!(test.probabilities[..], [0.3333 / 1.0001, 0.6668 / 1.0001]);
    let sum: f64 = train.probabilities.iter().sum();
    assert!((sum - 1.0).abs() < 1e-15, "{sum}");
    // Probabilities that are off by more than rounding are refused, whatever is asked for.
    for row in ["0.5,0.45", "2,3", "1.2,-0.2"] {
        let text = format!("id,rest,stress\ne0,{row}\ne2,0.5,0.5\n");
        assert!(expert(json!({ "normalise": true }), &text).is_err(), "{row}");
    }
    // Errors of arithmetic in the last digits need no word.
    let text = "id,rest,stress\ne0,1.0000000000000007,-1e-17\ne2,0.1,0.9\n";
    let [_, test] = expert(json!({}), text).unwrap();
    assert_eq!(test.probabilities[..], [1.0, 0.0]);
}

#[test]
fn probabilities_in_half_precision_are_read() {
    use std::sync::Arc;

    use ::parquet::arrow::ArrowWriter;
    use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray};
    use arrow::compute::cast;
    use arrow::datatypes::DataType;

    let half = |values: [f64; 2]| -> ArrayRef {
        cast(&Float64Array::from(values.to_vec()), &DataType::Float16).unwrap()
    };
    let columns: [(&str, ArrayRef); 3] = [
        ("id", Arc::new(StringArray::from(vec!["e0", "e2"]))),
        ("rest", half([1.0 / 3.0, 0.9])),
        ("stress", half([2.0 / 3.0, 0.1])),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let error = asked(json!({}), "parquet", &bytes).unwrap_err();
    assert!(
        message(&error).ends_with("normalise: true divides rounded probabilities by their sum")
    );
    let ([_, test], _) = asked(json!({ "normalise": true }), "parquet", &bytes).unwrap();
    assert!((test.probabilities[0] - 1.0 / 3.0).abs() < 1e-3, "{:?}", test.probabilities);
}

#[test]
fn the_softmax_of_logits_is_taken_and_that_of_probabilities_is_refused() {
    let text = "id,rest,stress\ne0,-1.5,0.25\ne2,-inf,-0.5\n";
    let [train, test] = expert(json!({ "logits": true }), text).unwrap();
    let stress = 1.0 / (1.0 + libm::exp(-1.75));
    assert!((test.probabilities[1] - stress).abs() < 1e-15);
    assert_eq!(train.probabilities[..], [0.0, 1.0]);
    assert!(
        message(&expert(json!({}), text).unwrap_err())
            .ends_with("logits: true takes the softmax of logits or log probabilities")
    );
    for (row, hint) in [
        ("0.1,0.9", None),
        ("0.1235,0.8766", Some("normalise: true divides rounded probabilities by their sum")),
        ("12.35,87.65", Some("they are percentages: divide them by 100 where they are made")),
    ] {
        let text = format!("id,rest,stress\ne0,{row}\ne2,{row}\n");
        assert_eq!(
            message(&expert(json!({ "logits": true }), &text).unwrap_err()),
            "the columns of evidence.csv are probabilities, not logits: they are at least 0 and \
             sum to 1, or to 100, in each row; \
             leave logits: true out; the softmax of probabilities is another distribution"
        );
        let without = expert(json!({}), &text).map_err(|error| message(&error));
        assert_eq!(without.is_ok(), hint.is_none(), "{row}");
        assert!(hint.is_none_or(|hint| without.unwrap_err().ends_with(hint)), "{row}");
    }
    for row in ["inf,0", "-inf,-inf"] {
        let text = format!("id,rest,stress\ne0,{row}\ne2,0,1.5\n");
        let error = expert(json!({ "logits": true }), &text).unwrap_err();
        assert!(error.message.contains("in line 2 of evidence.csv are no logits"), "{error}");
    }
}
