use arrow::array::Float64Array;
use serde_json::{Value, json};

use fuseline_artifact::{Features, Texts};

use fuseline_engine::Labelled;

use super::*;
use crate::load::table::open;

fn join<'f>(
    stage: &DefineCohort,
    features: &'f [Labelled<Features>],
) -> Result<Vec<&'f str>, StageError> {
    join_modalities(features, stage.require, &stage.join, &mut Outputs::default())
}

fn stage(options: Value) -> DefineCohort {
    let mut all = json!({
        "group": { "pattern": "^([^_]+)_" },
        "label": { "pattern": "_([^_.]+)", "classes": { "stress": ["Math", "Stroop"], "rest": ["Reading"] } },
    });
    for (name, value) in options.as_object().unwrap() {
        all[name] = value.clone();
    }
    serde_json::from_value(all).unwrap()
}

fn features(modality: &str, ids: &[&str]) -> Labelled<Features> {
    Labelled {
        point: vec![("modality".to_owned(), modality.to_owned())],
        artifact: Features {
            example_id: Texts::from_iter(ids),
            columns: vec![("a".to_owned(), Float64Array::from(vec![1.0; ids.len()]))],
        },
    }
}

fn two_modalities() -> Vec<Labelled<Features>> {
    vec![
        features("physio", &["b_Math", "b_Reading", "b_Relax", "a_Stroop"]),
        features("audio", &["a_Stroop", "b_Math", "b_Reading", "b_Relax", "c_Reading"]),
    ]
}

#[test]
fn complete_keeps_what_every_modality_has_ordered_by_example_id() {
    let stage = stage(json!({}));
    let features = two_modalities();
    let cohort =
        stage.define(&join(&stage, &features).unwrap(), None, &mut Outputs::default()).unwrap();
    assert_eq!(cohort.example_id, Texts::from_iter(["a_Stroop", "b_Math", "b_Reading"]));
    assert_eq!(cohort.group, Texts::from_iter(["a", "b", "b"]));
    assert_eq!(
        cohort.classes,
        ["stress", "rest"],
        "classes keep the order in which they were written"
    );
    assert_eq!(cohort.label, [0, 0, 1]);
}

#[test]
fn any_keeps_what_at_least_one_modality_has() {
    let stage = stage(json!({ "require": "any" }));
    let features = two_modalities();
    let cohort =
        stage.define(&join(&stage, &features).unwrap(), None, &mut Outputs::default()).unwrap();
    assert_eq!(
        cohort.example_id,
        Texts::from_iter(["a_Stroop", "b_Math", "b_Reading", "c_Reading"])
    );
}

#[test]
fn without_a_group_each_example_stands_alone() {
    let stage = stage(json!({ "group": null }));
    let cohort = stage.define(&["b_Math", "b_Reading"], None, &mut Outputs::default()).unwrap();
    assert_eq!(cohort.group, cohort.example_id);
}

#[test]
fn an_empty_join_says_what_each_modality_has() {
    let found = vec![features("physio", &["a_Math"]), features("audio", &["b_Rest"])];
    let error = join(&stage(json!({})), &found).unwrap_err();
    assert_eq!(error.message, "no example is in every modality");
    assert_eq!(
        error.hint.as_deref(),
        Some(
            "compare the example_ids: physio has 1, such as a_Math; audio has 1, such as b_Rest; \
             id.pattern of a loader takes the part that they share"
        )
    );
    let found = vec![features("physio", &["a_Math"]), features("audio", &["a_Math.wav"])];
    let error = join(&stage(json!({})), &found).unwrap_err();
    assert_eq!(
        error.message,
        "no example is in every modality; 1 of them differs by a file ending alone: \"a_Math\" in \
         physio, \"a_Math.wav\" in audio"
    );
    assert!(error.hint.unwrap().ends_with("pattern: '^(.+?)(?:[.]wav)?$' }"));
}

#[test]
fn a_class_without_examples_is_an_error_that_lists_the_unused_label_texts() {
    let error =
        stage(json!({})).define(&["a_Math", "a_Relax"], None, &mut Outputs::default()).unwrap_err();
    assert_eq!(error.message, "no example is of class rest");
    assert_eq!(error.hint.as_deref(), Some("label texts in no class: Relax"));
    assert_eq!(error.option.as_deref(), Some("label.classes.rest"));
}

#[test]
fn an_example_id_that_a_pattern_does_not_match_is_named() {
    let error = stage(json!({})).define(&["aMath"], None, &mut Outputs::default()).unwrap_err();
    assert_eq!(
        error.message,
        "the pattern _([^_.]+) matches none of the 1 example_ids, such as \"aMath\""
    );
    assert_eq!(error.option.as_deref(), Some("label.pattern"));
}

const TABLE: &str = "video,score,emotion,who\na,0.5,happy,p1\nb,-1,sad,p1\nc,0.25,happy,p2\nd,,angry,p2\ne,2,sad,p3\n";

/// Defines a cohort of the videos a to f with the labels of a table.
fn from_table(label: Value) -> Result<Cohort, StageError> {
    let options = json!({
        "table": { "path": "/data/labels.csv", "id": { "column": "video" } },
        "group": { "column": "who" },
        "label": label,
    });
    let stage: DefineCohort = serde_json::from_value(options).unwrap();
    assert!(stage.label.problems().is_empty());
    let table = open(
        std::path::Path::new("/data/labels.csv"),
        TABLE.as_bytes().to_vec(),
        &TextFormat::default(),
    )?;
    let side = Side::new(&stage.table.as_ref().unwrap().id, table)?;
    stage.define(&["a", "b", "c", "d", "e", "f"], Some(&side), &mut Outputs::default())
}

/// Labels of a table that are numbers, of as many examples, and what is said of them.
fn numbers(scores: &[&str], label: Value) -> Result<(Option<Vec<f64>>, String), StageError> {
    let options = json!({
        "table": { "path": "/data/labels.csv", "id": { "column": "id" } },
        "label": label,
    });
    let stage: DefineCohort = serde_json::from_value(options).unwrap();
    let ids: Vec<String> = (0..scores.len()).map(|row| format!("e{row:03}")).collect();
    let rows = ids.iter().zip(scores).map(|(id, score)| format!("{id},{score}\n"));
    let text = format!("id,score\n{}", rows.collect::<String>());
    let path = std::path::Path::new("/data/labels.csv");
    let table = open(path, text.into_bytes(), &TextFormat::default())?;
    let side = Side::new(&stage.table.as_ref().unwrap().id, table)?;
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let mut outputs = Outputs::default();
    let values = match stage.label.regression {
        true => stage.define_numbers(&ids, Some(&side), &mut outputs)?.values,
        false => stage.define(&ids, Some(&side), &mut outputs).map(|_| None)?,
    };
    Ok((values, outputs.cautions().join("; ")))
}

#[test]
fn a_number_to_predict_is_kept_as_it_is_and_must_be_one() {
    let regression = json!({ "column": "score", "regression": true });
    let (values, cautions) = numbers(&["0.5", "-1", "", "2e1"], regression.clone()).unwrap();
    assert_eq!(values, Some(vec![0.5, -1.0, 20.0]));
    assert!(cautions.starts_with("1 of 4 examples have no label"), "{cautions}");
    let refused = |scores: &[&str]| numbers(scores, regression.clone()).unwrap_err().message;
    assert!(refused(&["0.5", "happy", "1"]).contains("happy"));
    assert_eq!(
        refused(&["0.5", "inf", "1"]),
        "the label of e001 is inf in labels.csv, and a finite number is expected"
    );
    assert_eq!(refused(&["1", "1.0", "1"]), "all 3 labels are 1");
    assert_eq!(refused(&["", "NA"]), "no example has a label");
}

#[test]
fn numbers_are_no_classes_unless_they_can_be_meant_so() {
    let texts: Vec<String> =
        (0..60).map(|row| format!("{}", f64::from(row * 7 % 60) / 8.0)).collect();
    let many: Vec<&str> = texts.iter().map(String::as_str).collect();
    let column = || json!({ "column": "score" });
    let error = numbers(&many, column()).unwrap_err();
    assert!(
        error.message.starts_with("the label column holds 60 different numbers (0, 0.125, ...)"),
        "{}",
        error.message
    );
    assert!(error.hint.unwrap().starts_with("regression: true predicts the number itself"));
    // Codes of classes are whole numbers, or few; a scale with halves may be either.
    let codes: Vec<&str> = (0..40).map(|row| ["0", "1", "2", "3"][row % 4]).collect();
    assert_eq!(numbers(&codes, column()).unwrap().1, "");
    let halves: Vec<&str> = (0..40).map(|row| ["1", "1.5", "2", "2.5"][row % 4]).collect();
    assert!(numbers(&halves, column()).unwrap().1.contains("a number with 4 values"));
    let ids: Vec<String> = (0..90).map(|row| (row / 2).to_string()).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    assert!(numbers(&ids, column()).unwrap_err().message.contains("45 different numbers"));
}

#[test]
fn a_threshold_cuts_a_column_and_ties_go_where_they_are_told() {
    let cut = |ties| {
        let cut = json!({ "at": [0.0, 0.5], "classes": ["low", "middle", "high"], "ties": ties });
        from_table(json!({ "column": "score", "threshold": cut })).unwrap()
    };
    let above = cut("above");
    assert_eq!(
        above.example_id,
        Texts::from_iter(["a", "b", "c", "e"]),
        "d has no score, f is not in the table"
    );
    assert_eq!(above.group, Texts::from_iter(["p1", "p1", "p2", "p3"]));
    assert_eq!(above.classes, ["low", "middle", "high"]);
    assert_eq!(above.label, [2, 0, 1, 2]);
    assert_eq!(cut("below").label, [1, 0, 1, 2]);
}

#[test]
fn a_median_split_halves_the_cohort() {
    let cut = json!({ "at": [0.5], "classes": ["below", "above"] });
    let cohort = from_table(json!({ "column": "score", "quantile": cut })).unwrap();
    // The median of -1, 0.25, 0.5 and 2 is 0.375.
    assert_eq!(cohort.label, [1, 0, 0, 1]);
}

#[test]
fn texts_of_a_column_are_classes_or_are_mapped_to_them() {
    let plain = from_table(json!({ "column": "emotion" })).unwrap();
    assert_eq!(plain.classes, ["angry", "happy", "sad"]);
    assert_eq!(plain.label, [1, 2, 1, 0, 2]);
    let classes = json!({ "negative": ["sad", "angry"], "positive": ["happy"] });
    let mapped = from_table(json!({ "column": "emotion", "classes": classes })).unwrap();
    assert_eq!(mapped.label, [1, 0, 1, 0, 0]);
    let pattern = json!({ "column": "emotion", "pattern": "^(.)" });
    assert_eq!(from_table(pattern).unwrap().classes, ["a", "h", "s"]);
}

#[test]
fn a_class_above_every_value_is_an_error_at_the_cut() {
    let cut = json!({ "at": [9.0], "classes": ["low", "high"] });
    let error = from_table(json!({ "column": "score", "threshold": cut })).unwrap_err();
    assert_eq!(error.message, "no example is of class high");
    assert_eq!(error.option.as_deref(), Some("label.threshold.at"));
}

#[test]
fn quantiles_that_fall_together_and_cells_that_are_no_numbers_are_refused() {
    let cut = json!({ "at": [0.4, 0.41], "classes": ["a", "b", "c"] });
    let table = "id,x\na,1\nb,1\nc,1\nd,2\n";
    let table =
        open(std::path::Path::new("t.csv"), table.as_bytes().to_vec(), &TextFormat::default())
            .unwrap();
    let id: Id = serde_json::from_value(json!({ "column": "id" })).unwrap();
    let side = Side::new(&id, table).unwrap();
    let label: Label = serde_json::from_value(json!({ "column": "x", "quantile": cut })).unwrap();
    let error = label.assign(&["a", "b", "c", "d"], Some(&side)).err().unwrap();
    assert_eq!(
        error.message,
        "the quantiles [0.4, 0.41] of the 4 labels do not differ: [1.0, 1.0]"
    );

    let cut = json!({ "at": [0.5], "classes": ["low", "high"] });
    let error = from_table(json!({ "column": "emotion", "threshold": cut })).unwrap_err();
    assert_eq!(
        error.message,
        "\"happy\" in line 2, column 3 (emotion) of labels.csv is not a number, nor are 4 other \
         cells of the column"
    );
    assert_eq!(error.option.as_deref(), Some("label.column"));
}

#[test]
fn a_table_without_any_of_the_examples_says_what_both_have() {
    let options = json!({
        "table": { "path": "/data/labels.csv", "id": { "column": "emotion", "pattern": "^(...)" } },
        "label": { "column": "score" },
    });
    let stage: DefineCohort = serde_json::from_value(options).unwrap();
    let open = |text: &str| {
        open(std::path::Path::new("labels.csv"), text.as_bytes().to_vec(), &TextFormat::default())
            .unwrap()
    };
    let id = &stage.table.as_ref().unwrap().id;
    let error = Side::new(id, open(TABLE)).err().unwrap();
    assert_eq!(error.message, "lines 2 and 4 of labels.csv are both hap");
    let side = Side::new(id, open("emotion,score\nhappy,1\n")).unwrap();
    let error = stage.define(&["a", "b"], Some(&side), &mut Outputs::default()).unwrap_err();
    assert_eq!(error.message, "no example of the features is in labels.csv");
    assert_eq!(
        error.hint.as_deref(),
        Some(
            "compare the example_ids: the features have 2, such as a; the table has 1, such as hap"
        )
    );
}

#[test]
fn options_that_contradict_each_other_are_found_before_anything_runs() {
    let problems = |label: Value| -> Vec<String> {
        let label: Label = serde_json::from_value(label).unwrap();
        label.problems().into_iter().map(|problem| problem.message).collect()
    };
    let cut = json!({ "at": [2.0, 1.0], "classes": ["a", "a"] });
    assert_eq!(
        problems(json!({ "column": "x", "quantile": cut })),
        [
            "2 cuts make 3 classes, and 2 are named",
            "two classes have one name",
            "the cuts must ascend",
            "a quantile lies between 0 and 1"
        ]
    );
    assert_eq!(
        problems(json!({})),
        [
            "neither pattern nor column says what the label is",
            "classes are needed: which label text is in which"
        ]
    );
    let both = json!({ "column": "x", "classes": { "a": ["1"], "b": ["1"] }, "threshold": { "at": [0.5], "classes": ["a", "b"] } });
    assert_eq!(
        problems(both),
        [
            "classes, ordinal, threshold and quantile exclude each other",
            "the label text 1 is in class a too"
        ]
    );
}

/// The classes, labels and cautions that a column of labels gives, whose table may say what is
/// missing.
fn labelled(texts: &[&str], label: Value, missing: Value) -> (Vec<String>, Vec<u32>, Vec<String>) {
    let rows: String = (0..).zip(texts).map(|(id, text)| format!("e{id},\"{text}\"\n")).collect();
    let options = json!({ "label": label });
    let stage: DefineCohort = serde_json::from_value(options).unwrap();
    let notation =
        Notation { missing: serde_json::from_value(missing).unwrap(), ..Notation::default() };
    let path = std::path::Path::new("labels.csv");
    let bytes = format!("id,task\n{rows}").into_bytes();
    let table = open(path, bytes, &TextFormat { notation, ..TextFormat::default() }).unwrap();
    let id: Id = serde_json::from_value(json!({ "column": "id" })).unwrap();
    let side = Side::new(&id, table).unwrap();
    let ids: Vec<String> = (0..texts.len()).map(|id| format!("e{id}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let mut outputs = Outputs::default();
    let cohort = stage.define(&ids, Some(&side), &mut outputs).unwrap();
    (cohort.classes, cohort.label, outputs.cautions().to_vec())
}

#[test]
fn a_label_that_reads_as_missing_is_left_out_and_counted() {
    let texts = ["rest", "NA", "maths", "", "nan", "rest", "NA"];
    let (classes, label, cautions) = labelled(&texts, json!({ "column": "task" }), json!(["..."]));
    assert_eq!((classes, label), (vec!["maths".to_owned(), "rest".to_owned()], vec![1, 0, 1]));
    assert_eq!(
        cautions,
        ["4 of 7 examples have no label in labels.csv and are left out: empty (1), NA (2), nan \
            (1); table: { missing: [...] } says what stands for a missing label"]
    );
}

#[test]
fn what_is_missing_can_be_said_and_a_class_may_be_called_none() {
    let texts = ["none", "-", "some", "none"];
    let more = labelled(&texts, json!({ "column": "task" }), json!(["-"]));
    assert_eq!(more.0, ["none", "some"]);
    let classes = json!({ "column": "task", "classes": { "no": ["none"], "yes": ["some"] } });
    let named = labelled(&texts, classes, json!(["...", "-"]));
    assert_eq!(named.1, [0, 1, 0], "a label text that a class names is no missing one");
    assert!(named.2[0].starts_with("1 of 4 examples have no label"), "{:?}", named.2);
}

#[test]
fn classes_that_are_numbers_are_in_numeric_order_however_they_are_written() {
    let classes = |texts: &[&str]| labelled(texts, json!({ "column": "task" }), json!(["..."]));
    assert_eq!(classes(&["10", "9", "-2", "0.5", "-10"]).0, ["-10", "-2", "0.5", "9", "10"]);
    let (names, label, _) = classes(&["1", "1.0", "+1", "0", "-0.0", "1.50"]);
    assert_eq!(
        (names, label),
        (["0", "1", "1.5"].map(str::to_owned).to_vec(), vec![1, 1, 1, 0, 0, 2])
    );
    assert_eq!(classes(&["10", "9", "x"]).0, ["10", "9", "x"], "in code-point order otherwise");
    assert_eq!(classes(&["10", "09", "9"]).0, ["09", "10", "9"], "codes are no numbers");
    let long = ["9007199254740993", "9007199254740992", "3"];
    assert_eq!(classes(&long).0, ["3", "9007199254740992", "9007199254740993"]);
}

#[test]
fn a_class_finds_its_numbers_and_truth_values_however_they_are_written() {
    let classes =
        json!({ "column": "task", "classes": { "no": ["0", "false"], "yes": ["1", "True"] } });
    let texts = ["1.0", "0.0", "TRUE", "False", "1", "0"];
    assert_eq!(labelled(&texts, classes, json!(["..."])).1, [1, 0, 1, 0, 1, 0]);
}

#[test]
fn an_infinite_number_is_cut_as_any_other() {
    let cut = json!({ "column": "task", "threshold": { "at": [0], "classes": ["low", "high"] } });
    assert_eq!(labelled(&["inf", "-1", "-inf", "2"], cut, json!(["..."])).1, [1, 0, 0, 1]);
    let cut = json!({ "column": "task", "quantile": { "at": [0.5], "classes": ["low", "high"] } });
    assert_eq!(labelled(&["inf", "1", "2", "0"], cut, json!(["..."])).1, [1, 0, 1, 0]);
}
