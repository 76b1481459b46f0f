use arrow::array::Float64Array;
use fuseline_artifact::{Digest, Evidence, Folds, Texts};
use serde_json::{Value, json};

use super::*;
use crate::testing::{message, run};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/onnx");

#[derive(Deserialize)]
struct Said {
    rows: Vec<Vec<f64>>,
    models: BTreeMap<String, Vec<Vec<f64>>>,
}

/// Nets of three classes: what onnxruntime says of each for the same rows.
fn nets() -> BTreeMap<String, Vec<Vec<f64>>> {
    serde_json::from_str(include_str!("../../../tests/fixtures/onnx/nets/nets.json")).unwrap()
}

fn said() -> Said {
    serde_json::from_str(include_str!("../../../tests/fixtures/onnx/models.json")).unwrap()
}

/// The evidence of [`asked`].
fn expert(
    model: &str,
    classes: &[&str],
    more: &Value,
    change: impl FnOnce(&mut Features),
) -> Result<Vec<Vec<f64>>, StageError> {
    asked(model, classes, more, change).map(|(evidence, _)| evidence)
}

/// The evidence for the six rows of the fixture in three groups, the first two of them tested, and
/// the cautions; `change` may alter the features.
fn asked(
    model: &str,
    classes: &[&str],
    more: &Value,
    change: impl FnOnce(&mut Features),
) -> Result<(Vec<Vec<f64>>, Vec<String>), StageError> {
    let rows = said().rows;
    let ids: Texts = (0..rows.len()).map(|row| format!("e{row}")).collect();
    let mut features = Features {
        example_id: ids.clone(),
        columns: (0..4)
            .map(|at| (format!("f{at}"), rows.iter().map(|row| row[at]).collect::<Float64Array>()))
            .collect(),
    };
    change(&mut features);
    let cohort = Cohort {
        example_id: ids.clone(),
        group: (0..6).map(|row| format!("g{}", row / 2)).collect(),
        label: (0..6).map(|row| row % 2).collect(),
        classes: classes.iter().map(|class| (*class).to_owned()).collect(),
    };
    let folds = Folds { example_id: ids, fold: vec![0, 0, 1, 1, 1, 1] };
    let path = PathBuf::from(format!("{FOLDER}/{model}.onnx"));
    let digest = Digest::hash(std::fs::read(&path).unwrap());
    let mut options = json!({ "path": path, "test_fold": 0, "modality": "audio" });
    for (name, value) in more.as_object().unwrap() {
        options[name] = value.clone();
    }
    let outputs = run::<OnnxExpert>(options, 1, &[], |inputs| {
        let inputs = inputs.files(vec![(path, digest)]).artifact("features", vec![], features)?;
        inputs.artifact("cohort", vec![], cohort)?.artifact("folds", vec![], folds)
    })?;
    let [test, train]: [Evidence; 2] = [outputs.get("test")?, outputs.get("train")?];
    let all = [&test.probabilities[..], &train.probabilities].concat();
    let evidence = all.chunks(classes.len()).map(<[f64]>::to_vec).collect();
    Ok((evidence, outputs.cautions().to_vec()))
}

const THREE: [&str; 3] = ["rest", "stress", "talk"];

#[track_caller]
fn assert_close(found: &[Vec<f64>], expected: &[Vec<f64>]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        let away = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(found.len() == expected.len() && away < 1e-6, "{found:?}, not {expected:?}");
    }
}

#[test]
fn nets_give_what_onnxruntime_says() {
    for (net, expected) in nets() {
        let more = match net.as_str() {
            "matrix_and_column" => json!({
                "inputs": { "first": ["f0"], "rest": ["f1", "f2", "f3"] }, "output": "p",
            }),
            _ => json!({}),
        };
        let found = expert(&format!("nets/{net}"), &["Talk", "Rest", "Stress"], &more, |_| ());
        assert_close(&found.unwrap_or_else(|error| panic!("{net}: {error}")), &expected);
    }
}

#[test]
fn outputs_are_bound_to_the_classes_that_the_file_names() {
    let said = said();
    let (found, cautions) =
        asked("scaled_logistic_zipmap", &["talk", "rest", "stress"], &json!({}), |_| ()).unwrap();
    let turned =
        |rows: &[Vec<f64>]| rows.iter().map(|p| vec![p[2], p[0], p[1]]).collect::<Vec<_>>();
    assert_close(&found, &turned(&said.models["scaled_logistic_zipmap"]));
    assert!(cautions.is_empty(), "{cautions:?}");
    // From a label output that picks one of the names; from the metadata, where case differs.
    let found = expert("mlp", &["talk", "rest", "stress"], &json!({}), |_| ()).unwrap();
    assert_close(&found, &turned(&said.models["mlp"]));
    let found = expert("nets/named", &["rest", "stress", "talk"], &json!({}), |_| ()).unwrap();
    let named: Vec<_> = nets()["named"].iter().map(|p| vec![p[1], p[2], p[0]]).collect();
    assert_close(&found, &named);
    // Names that are none of the cohort's: only the user knows.
    let sleep = ["awake", "light", "deep"];
    assert_eq!(
        message(&expert("nets/named", &sleep, &json!({}), |_| ()).unwrap_err()),
        "named.onnx calls its classes Talk, Rest, Stress, and the cohort calls them awake, \
         light, deep; \
         say which of the cohort's classes each is, in the order Talk, Rest, Stress: \
         classes: [...]"
    );
    let deep = json!({ "classes": ["deep", "awake", "light"] });
    let found = expert("nets/named", &sleep, &deep, |_| ()).unwrap();
    assert_close(&found, &named);
    let other = json!({ "classes": THREE });
    assert_eq!(
        message(&expert("nets/named", &THREE, &other, |_| ()).unwrap_err()),
        "named.onnx gives its classes in the order Talk, Rest, Stress, not rest, stress, talk; \
         leave classes out: the file says the order itself"
    );
}

#[test]
fn that_the_order_of_the_classes_was_taken_for_granted_is_said() {
    for (model, classes) in [("nets/lstm", &THREE[..]), ("logistic", &THREE[..2])] {
        let (found, cautions) = asked(model, classes, &json!({}), |_| ()).unwrap();
        let [caution] = &cautions[..] else { panic!("{cautions:?}") };
        let file = model.trim_start_matches("nets/");
        assert!(
            caution.starts_with(&format!("{file}.onnx does not name its classes, and")),
            "{caution}"
        );
        let more = json!({ "classes": classes });
        assert_eq!(asked(model, classes, &more, |_| ()).unwrap(), (found, vec![]));
    }
    // The numbers of scikit-learn are names where the classes are numbers.
    let (found, cautions) = asked("logistic", &["1", "0"], &json!({}), |_| ()).unwrap();
    let said: Vec<_> = said().models["logistic"].iter().map(|p| vec![p[1], p[0]]).collect();
    assert_close(&found, &said);
    assert!(cautions.is_empty(), "{cautions:?}");
    assert!(expert("logistic", &["1", "2"], &json!({}), |_| ()).is_err());
}

#[test]
fn inputs_are_given_the_features_that_are_called_as_they_are() {
    let reversed = |features: &mut Features| features.columns.reverse();
    let found = expert("nets/columns", &THREE, &json!({}), reversed).unwrap();
    assert_close(&found, &nets()["columns"]);
    let refused = |more: Value| {
        message(&expert("nets/matrix_and_column", &THREE, &more, |_| ()).unwrap_err())
    };
    assert_eq!(
        refused(json!({ "output": "p" })),
        "the output of matrix_and_column.onnx depends on 2 inputs: rest, first; \
         say which features each takes: inputs: { rest: [...], first: [...] }"
    );
    assert_eq!(
        refused(json!({ "output": "p", "inputs": { "first": ["f0"] } })),
        "the output of matrix_and_column.onnx depends on its input rest, and inputs does not \
         say what it takes"
    );
    assert_eq!(
        refused(json!({ "output": "p", "inputs": { "furst": ["f0"], "rest": ["f1"] } })),
        "matrix_and_column.onnx has no input furst; its inputs are rest, first"
    );
    assert_eq!(
        refused(json!({ "output": "p", "inputs": { "first": ["f0"], "rest": ["f1"] } })),
        "matrix_and_column.onnx takes 3 features and is given 1; columns: [...] says which, \
         in the model's order; \
         exclude: [...] leaves some out"
    );
    assert_eq!(
        refused(json!({})),
        "matrix_and_column.onnx has 2 outputs that may be probabilities; its outputs are \
         embedding, p"
    );
}

#[test]
fn a_softmax_of_probabilities_is_refused() {
    let refused = |model: &str, classes: &[&str]| {
        message(&expert(model, classes, &json!({ "softmax": true }), |_| ()).unwrap_err())
    };
    let hint = "leave softmax: true out; the softmax of probabilities is another distribution";
    assert_eq!(
        refused("nets/conv", &THREE),
        format!(
            "the outputs of conv.onnx are probabilities, not logits: it ends in the node \
             Softmax p; {hint}"
        )
    );
    assert!(refused("logistic", &THREE[..2]).contains("the node LinearClassifier "));
    assert_eq!(
        refused("forest", &THREE),
        format!(
            "the outputs of forest.onnx are probabilities, not logits: \
             for each row none is below 0, and they sum to 1, or to 100 as percentages do; {hint}"
        )
    );
}

#[test]
fn nodes_that_would_give_something_else_are_refused_by_name() {
    let refused = |net: &str| {
        message(&expert(&format!("nets/{net}"), &THREE, &json!({}), |_| ()).unwrap_err())
    };
    for (net, words) in [
        (
            "random",
            "random.onnx has the node noise of type RandomNormalLike, which draws random \
             numbers",
        ),
        ("dropout_in_training", "has the node drop of type Dropout, which is in training mode"),
        ("backwards", "has the node back of type LSTM, which runs backwards alone"),
        ("function", "has the node call of type Relu, which is a function of the file"),
        ("weights_apart", "keeps the weights w in model.onnx.data; save it as one file"),
        ("too_large", "cannot be run here: node fill makes 1099511627776 numbers of a row"),
        ("opset_8", "is written in version 8 of ONNX's operators, where 9 to 28 are read"),
    ] {
        assert!(refused(net).contains(words), "{net}: {}", refused(net));
    }
}

#[test]
fn models_of_scikit_learn_give_what_onnxruntime_says() {
    let said = said();
    let found = expert("logistic", &THREE[..2], &json!({}), |_| ()).unwrap();
    assert_close(&found, &said.models["logistic"]);
    for model in ["mlp", "forest", "scaled_logistic_zipmap"] {
        let found = expert(model, &THREE, &json!({}), |_| ()).unwrap();
        assert_close(&found, &said.models[model]);
    }
}

#[test]
fn logits_of_pytorch_become_probabilities() {
    let said = said();
    let softmax = |row: &Vec<f64>| {
        let sum: f64 = row.iter().map(|z| libm::exp(*z)).sum();
        row.iter().map(|z| libm::exp(*z) / sum).collect::<Vec<f64>>()
    };
    let expected: Vec<_> = said.models["torch_mlp"].iter().map(softmax).collect();
    let found = expert("torch_mlp", &THREE, &json!({ "softmax": true }), |_| ()).unwrap();
    assert_close(&found, &expected);
    let error = expert("torch_mlp", &THREE, &json!({}), |_| ()).unwrap_err();
    assert!(message(&error).ends_with(
        "which are no probabilities: each must lie in 0 to 1 and all sum to 1; \
         softmax: true makes probabilities of logits; output names another output"
    ));
    // One logit stands for two classes.
    let logistic =
        |row: &Vec<f64>| vec![1.0 / (1.0 + libm::exp(row[0])), 1.0 / (1.0 + libm::exp(-row[0]))];
    let expected: Vec<_> = said.models["torch_one_logit"].iter().map(logistic).collect();
    let one = json!({ "softmax": true });
    assert_close(&expert("torch_one_logit", &THREE[..2], &one, |_| ()).unwrap(), &expected);
}

#[test]
fn features_and_classes_are_put_in_the_order_of_the_model() {
    let expected = &said().models["mlp"];
    let mixed = |features: &mut Features| {
        let more = ("quality".to_owned(), Float64Array::from(vec![None; 6]));
        features.columns.reverse();
        features.columns.push(more);
    };
    let columns = json!({ "columns": ["f0", "f1", "f2", "f3"] });
    assert_close(&expert("mlp", &THREE, &columns, mixed).unwrap(), expected);
    let turned: Vec<Vec<f64>> = expected.iter().map(|p| vec![p[2], p[0], p[1]]).collect();
    let classes = json!({ "classes": THREE });
    let found = expert("mlp", &["talk", "rest", "stress"], &classes, |_| ()).unwrap();
    assert_close(&found, &turned);
}

#[test]
fn missing_values_are_refused_or_become_what_is_said() {
    let hole = |features: &mut Features| {
        let values = features.columns[1].1.iter().enumerate();
        features.columns[1].1 = values.map(|(row, value)| value.filter(|_| row != 0)).collect();
    };
    let error = expert("logistic", &THREE[..2], &json!({}), hole).unwrap_err();
    assert!(message(&error).starts_with("feature f1 of example e0 is missing"));
    let zero = expert("logistic", &THREE[..2], &json!({ "missing": "zero" }), hole).unwrap();
    let written = |features: &mut Features| {
        let values = features.columns[1].1.iter().enumerate();
        features.columns[1].1 =
            values.map(|(row, value)| if row == 0 { Some(0.0) } else { value }).collect();
    };
    assert_eq!(zero, expert("logistic", &THREE[..2], &json!({}), written).unwrap());
    assert_ne!(zero, expert("logistic", &THREE[..2], &json!({}), |_| ()).unwrap());
}

#[test]
fn what_a_model_says_of_a_row_depends_on_that_row_alone() {
    let whole = expert("mlp", &THREE, &json!({}), |_| ()).unwrap();
    let other = expert("mlp", &THREE, &json!({}), |features| {
        let values = features.columns[0].1.iter().enumerate();
        features.columns[0].1 =
            values.map(|(row, value)| value.map(|v| if row > 1 { -v } else { v })).collect();
    });
    let other = other.unwrap();
    assert_eq!(whole[..2], other[..2]);
    assert_ne!(whole[2..], other[2..]);
}

#[test]
fn models_that_do_not_fit_are_refused_in_words() {
    let refused = |model: &str, classes: &[&str], more: Value| {
        message(&expert(model, classes, &more, |_| ()).unwrap_err())
    };
    assert_eq!(
        refused("svc", &THREE[..2], json!({})),
        "svc.onnx has the node SVMc of type SVMClassifier, which cannot be run here; a \
         support vector machine of \
         scikit-learn can be fitted here by expert.linear_svm, or its \
         probabilities brought in by expert.precomputed"
    );
    let boosting = refused("boosting", &THREE[..2], json!({}));
    assert!(boosting.starts_with("boosting.onnx cannot be run here: "), "{boosting}");
    assert!(boosting.ends_with("expert.precomputed"), "{boosting}");
    assert_eq!(
        refused("mlp", &THREE, json!({ "exclude": ["f3"] })),
        "mlp.onnx takes 4 features and is given 3; columns: [...] says which, in the model's \
         order; \
         exclude: [...] leaves some out"
    );
    assert_eq!(
        refused("mlp", &THREE[..2], json!({})),
        "mlp.onnx gives 3 values for 2 classes: rest, stress"
    );
    assert_eq!(
        refused("mlp", &THREE, json!({ "output": "logits" })),
        "mlp.onnx has no output logits; its outputs are label, probabilities"
    );
    assert_eq!(
        refused("two_inputs", &THREE[..2], json!({})),
        "the output of two_inputs.onnx depends on 2 inputs: a, b; \
         say which features each takes: inputs: { a: [...], b: [...] }"
    );
    assert_eq!(
        refused("batch_of_eight", &THREE[..2], json!({})),
        "batch_of_eight.onnx takes 8 rows at a time; export it for one row, or with a first \
         dimension that is \
         left open"
    );
    assert_eq!(
        refused("mlp", &THREE, json!({ "columns": ["f0", "f1", "f2", "g3"] })),
        "the features have no column g3; did you mean f3"
    );
    assert_eq!(
        refused("mlp", &THREE, json!({ "classes": ["rest", "stress", "sleep"] })),
        "the model's classes rest, stress, sleep are not those of the cohort: rest, stress, \
         talk"
    );
}
