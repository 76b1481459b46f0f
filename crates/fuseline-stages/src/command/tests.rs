use arrow::array::Float64Array;
use fuseline_artifact::{Evidence, Features, Folds, Texts};
use fuseline_engine::{Class, InputsBuilder};
use serde_json::json;

use super::*;
use crate::testing::{cohort, run, services};

fn features(ids: &[&str]) -> Features {
    Features {
        example_id: Texts::from_iter(ids.to_vec()),
        columns: vec![(
            "pitch".to_owned(),
            Float64Array::from((0..ids.len()).map(|row| row as f64).collect::<Vec<_>>()),
        )],
    }
}

fn folds(ids: &[&str], fold: &[i32]) -> Folds {
    Folds { example_id: ids.iter().map(|id| (*id).to_owned()).collect(), fold: fold.to_vec() }
}

fn copied(options: Value) -> Result<Features, StageError> {
    let ids = ["a", "b", "c", "d"];
    run::<Command>(options, 1, &[], |inputs| {
        inputs.artifact("features", vec![], features(&ids))?.artifact(
            "folds",
            vec![],
            folds(&ids, &[0, 1, 0, 1]),
        )
    })?
    .get("main")
}

fn names(features: &Features) -> Vec<&str> {
    features.example_id.iter().collect()
}

fn copy(role: &str, more: Value) -> Value {
    let mut options = json!({
        "run": ["cp", "inputs/features.parquet", "outputs/main.parquet"],
        "inputs": {
            "features": { "artifact": "features", "role": role },
            "folds": { "artifact": "folds" },
        },
        "outputs": { "main": { "artifact": "features", "rows_of": "features" } },
        "test_fold": 1,
    });
    for (name, value) in more.as_object().unwrap() {
        options[name] = value.clone();
    }
    options
}

#[test]
fn a_program_sees_the_rows_that_its_roles_permit_and_no_others() {
    assert_eq!(names(&copied(copy("fit", json!({}))).unwrap()), ["a", "c"]);
    assert_eq!(names(&copied(copy("apply", json!({}))).unwrap()), ["b", "d"]);
    assert_eq!(names(&copied(copy("neutral", json!({}))).unwrap()), ["a", "b", "c", "d"]);
}

#[test]
fn a_fold_in_which_nothing_is_tested_is_an_error() {
    let error = copied(copy("apply", json!({ "test_fold": 7 }))).unwrap_err();
    assert_eq!(error.message, "input features has no test row");
}

#[test]
fn rows_that_the_stage_does_not_declare_are_a_leak() {
    // It is given the training rows at `seen` and gives what it was given at `features`: all of
    // them.
    let options = copy(
        "neutral",
        json!({
            "inputs": {
                "features": { "artifact": "features" },
                "folds": { "artifact": "folds" },
                "seen": { "artifact": "features", "role": "fit" },
            },
            "outputs": { "main": { "artifact": "features", "rows_of": "seen" } },
        }),
    );
    let ids = ["a", "b", "c", "d"];
    let error = run::<Command>(options, 1, &[], |inputs| {
        inputs
            .artifact("features", vec![], features(&ids))?
            .artifact("seen", vec![], features(&ids))?
            .artifact("folds", vec![], folds(&ids, &[0, 1, 0, 1]))
    })
    .map(drop)
    .unwrap_err();
    assert_eq!(error.code, Some(&codes::LEAK_UNDECLARED_ROWS));
    assert!(error.message.contains("example b"), "{error}");
}

#[test]
fn a_group_on_both_sides_of_its_fold_is_a_leak() {
    let rows: Vec<_> = [("a", "ann"), ("b", "ben"), ("c", "ann"), ("d", "ann")]
        .map(|(id, group)| (id.to_owned(), group.to_owned(), 0))
        .into();
    let options = copy(
        "fit",
        json!({ "inputs": {
            "features": { "artifact": "features", "role": "fit" },
            "folds": { "artifact": "folds" },
            "cohort": { "artifact": "cohort", "role": "fit" },
        }}),
    );
    let ids = ["a", "b", "c", "d"];
    let error = run::<Command>(options, 1, &[], |inputs| {
        inputs
            .artifact("features", vec![], features(&ids))?
            .artifact("cohort", vec![], cohort(&rows))?
            .artifact("folds", vec![], folds(&ids, &[0, 1, 0, 1]))
    })
    .map(drop)
    .unwrap_err();
    assert_eq!(error.code, Some(&codes::LEAK_GROUP));
    assert!(error.message.contains("group ann"), "{error}");
}

#[test]
fn what_a_failing_program_said_and_how_it_ended_are_in_the_error() {
    let options =
        copy("fit", json!({ "run": ["sh", "-c", "echo the third row is odd >&2; exit 3"] }));
    let error = copied(options).unwrap_err();
    assert_eq!(error.message, "sh ended with exit code 3; it said:\nthe third row is odd");
    assert_eq!((error.class, error.option.as_deref()), (Class::Failed, Some("run")));
}

#[test]
fn a_program_that_is_not_there_and_one_that_writes_nothing_are_told_apart() {
    let error = copied(copy("fit", json!({ "run": ["no-such-program"] }))).unwrap_err();
    assert!(error.message.starts_with("cannot start no-such-program"), "{error}");
    let error = copied(copy("fit", json!({ "run": ["true"] }))).unwrap_err();
    assert!(error.message.contains("did not write output main"), "{error}");
    assert_eq!(error.hint.as_deref(), Some("write it to outputs/main.parquet"));
}

#[test]
fn a_pipe_or_a_device_that_a_program_leaves_is_not_read() {
    let whole = "cp inputs/features.parquet outputs/main.parquet";
    for made in ["mkfifo outputs/main.parquet", "ln -s /dev/zero outputs/main.parquet"] {
        let error = copied(copy("fit", json!({ "run": ["sh", "-c", made] }))).unwrap_err();
        assert!(error.message.contains("output main: it is a pipe or a device"), "{error}");
    }
    for made in ["mkfifo reads.json", "ln -s /dev/zero reads.json"] {
        let run = format!("{whole}; {made}");
        let error = copied(copy("fit", json!({ "run": ["sh", "-c", run] }))).unwrap_err();
        assert!(error.message.contains("reads.json: it is a pipe or a device"), "{error}");
    }
}

#[test]
fn a_program_sees_nothing_of_the_environment_but_what_its_stage_says() {
    let check = "test -z \"$CARGO\" && test -z \"$USER\" && test \"$HOME\" = \"$PWD\" && \
                 test \"$ALPHA\" = beta && cp inputs/features.parquet outputs/main.parquet";
    assert!(std::env::var_os("CARGO").is_some(), "cargo runs tests with CARGO set");
    let options = copy("fit", json!({ "run": ["sh", "-c", check], "env": { "ALPHA": "beta" } }));
    copied(options).unwrap();
}

#[test]
fn what_is_not_parquet_or_of_another_kind_is_said_in_words() {
    let write = |run: &str| copied(copy("fit", json!({ "run": ["sh", "-c", run] }))).unwrap_err();
    let error = write("echo hello > outputs/main.parquet");
    assert!(error.message.starts_with("output main: not Parquet"), "{error}");
    let error = write("cp inputs/folds.parquet outputs/main.parquet");
    // The column fold is a number, so folds read as features; they hold the rows of both sides.
    assert_eq!(error.code, Some(&codes::LEAK_UNDECLARED_ROWS));
    let options = copy(
        "fit",
        json!({ "outputs": { "main": { "artifact": "evidence", "rows_of": "features" } } }),
    );
    let error = copied(options).unwrap_err();
    assert_eq!(error.message, "output main: evidence needs modality: the modality of the expert");
}

/// A table as a program writes it.
fn parquet_bytes(table: &arrow::array::RecordBatch) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer =
        parquet::arrow::ArrowWriter::try_new(&mut bytes, table.schema(), None).unwrap();
    writer.write(table).unwrap();
    writer.close().unwrap();
    bytes
}

#[test]
fn a_column_of_another_name_is_told_with_the_name_that_is_given() {
    let texts = |values: Vec<&str>| {
        std::sync::Arc::new(arrow::array::StringArray::from(values)) as arrow::array::ArrayRef
    };
    let table = [("example_id", texts(vec!["a"])), ("qualty", texts(vec!["b"]))];
    let bytes = parquet_bytes(&arrow::array::RecordBatch::try_from_iter(table).unwrap());
    let declared = BTreeMap::from([("modality".to_owned(), "audio".to_owned())]);
    let known = conform::Known::gather([].iter(), &vec![]);
    let error = conform::read(ArtifactKind::Quality, bytes, &declared, &known).unwrap_err();
    assert!(error.message.starts_with("quality needs a column quality"), "{error}");
    assert_eq!(error.hint.as_deref(), Some("what the program gives is called qualty"));
}

#[test]
fn columns_of_classes_become_probabilities_and_rows_are_put_in_order() {
    // A data frame with one column a class, rows in any order, types of its own.
    let table = arrow::array::RecordBatch::try_from_iter([
        (
            "stress",
            std::sync::Arc::new(arrow::array::Float32Array::from(vec![0.25, 0.5]))
                as arrow::array::ArrayRef,
        ),
        ("example_id", std::sync::Arc::new(arrow::array::LargeStringArray::from(vec!["b", "a"]))),
        ("rest", std::sync::Arc::new(arrow::array::Float32Array::from(vec![0.75, 0.5]))),
    ])
    .unwrap();
    let bytes = parquet_bytes(&table);
    let declared = BTreeMap::from([
        ("modality".to_owned(), "audio".to_owned()),
        ("classes".to_owned(), r#"["rest","stress"]"#.to_owned()),
    ]);
    let known = conform::Known::gather([].iter(), &vec![]);
    let artifact = conform::read(ArtifactKind::Evidence, bytes, &declared, &known).unwrap();
    let evidence = <Evidence as fuseline_artifact::Typed>::from_artifact(&artifact).unwrap();
    assert_eq!(evidence.example_id, Texts::from_iter(["a", "b"]));
    assert_eq!(evidence.probabilities, [0.5, 0.5, 0.75, 0.25]);
}

#[test]
fn stopping_the_run_ends_the_program_and_what_it_started() {
    let stage: Command = serde_json::from_value(json!({
        "run": ["sh", "-c", "sleep 60 & sleep 60"],
        "outputs": { "main": { "artifact": "features" } },
    }))
    .unwrap();
    let services = services();
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let inputs = InputsBuilder::new(&services, 1).stop(stop.clone()).build();
    let started = std::time::Instant::now();
    std::thread::scope(|scope| {
        let run = scope.spawn(|| stage.run(&inputs, &mut Outputs::default()));
        std::thread::sleep(std::time::Duration::from_millis(100));
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        let error = run.join().unwrap().unwrap_err();
        assert_eq!(error.class, Class::Cancelled);
    });
    assert!(started.elapsed().as_secs() < 30, "it waited for the program");
}
