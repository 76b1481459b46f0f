//! The library as a program uses it: a test without a harness, since fusion rules run in copies of the program.
#![expect(clippy::expect_used, reason = "a test that cannot be set up has failed")]

#[path = "../examples/study.rs"]
#[expect(dead_code, reason = "the example's own main is not called")]
mod study;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use fuseline::{Class, Error, RunOptions, Study, cache_if_exists, find_run, inspect, worker};

fn main() -> ExitCode {
    if let Some(code) = worker::run_if_asked() {
        return code;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    the_example_runs_a_study_and_reads_its_findings(folder.path());
    an_inspection_says_of_every_action_whether_it_is_cached(folder.path());
    a_mistake_is_an_error_with_its_place(folder.path());
    ExitCode::SUCCESS
}

/// The study on made-up data, with the rules that `cargo build --workspace` makes.
fn small_study() -> Study {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let program = std::env::current_exe().expect("a program knows itself");
    let built = program.ancestors().nth(2).expect("tests lie in target/PROFILE/deps");
    Study::new(root.join("tests/cases/small.yaml")).plugin_path(built)
}

fn options(folder: &Path) -> RunOptions {
    let out: Option<PathBuf> = Some(folder.join("results"));
    RunOptions { cache: folder.join("cache"), out, ..RunOptions::default() }
}

fn the_example_runs_a_study_and_reads_its_findings(folder: &Path) {
    let json = study::run(&small_study(), &options(folder)).expect("the study runs");
    let rows: Vec<serde_json::Value> = serde_json::from_str(&json).expect("a list of rows");
    assert_eq!(rows.len(), 4, "a row for each rule and quality");
    assert!(rows.iter().all(|row| row["gap"].is_f64() && row["ba_clean"].is_f64()), "{json}");
    let exported = std::fs::read(folder.join("results/findings.parquet"));
    assert!(exported.expect("it was delivered").starts_with(b"PAR1"));
}

fn an_inspection_says_of_every_action_whether_it_is_cached(folder: &Path) {
    let cache = cache_if_exists(folder.join("cache")).expect("it opens");
    let study = small_study().open().expect("it opens");
    let plan = study.plan(&[]).expect("it has no mistakes");
    let inspection = inspect(&plan, cache.as_ref()).expect("it can be read");
    assert!(inspection.actions.iter().all(|action| action.is_cached()));
    let changed = small_study().set("permutations", "30").open().expect("it opens");
    let plan = changed.plan(&[]).expect("it has no mistakes");
    let inspection = inspect(&plan, cache.as_ref()).expect("it can be read");
    let misses: Vec<_> = inspection.actions.iter().filter_map(|of| of.miss.as_deref()).collect();
    assert!(misses.contains(&"with.permutations 20 -> 30"), "{misses:?}");
    let empty = inspect(&plan, None).expect("there is nothing to read");
    assert!(empty.actions.iter().all(|action| !action.is_cached()));
    let run = find_run(&cache.expect("it is there"), "latest").expect("it ran");
    assert_eq!(run.count("done") + run.count("cached"), run.actions.len());
}

fn a_mistake_is_an_error_with_its_place(folder: &Path) {
    let workflow = folder.join("wrong.yaml");
    let text = "fuseline: 1\nname: wrong\nstages:\n  a: { uses: load.nothing }\n";
    std::fs::write(&workflow, text).expect("it can be written");
    match Study::new(&workflow).run(&options(folder), &mut |_| {}) {
        Err(error @ Error::Workflow(_)) => {
            assert_eq!(error.class(), Class::Data);
            let Error::Workflow(mistakes) = error else { unreachable!() };
            let first = &mistakes.diagnostics[0];
            assert_eq!(mistakes.files.line_column(&first.place).line, 4, "{first:?}");
        }
        other => panic!("{other:?}"),
    }
}
