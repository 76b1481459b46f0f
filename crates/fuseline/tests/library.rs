//! The library as a program uses it: a test without a harness, since fusion rules run in copies of
//! the program.
//!
//! Needs the command and the rules that `cargo build --workspace` makes.

#![expect(clippy::expect_used, reason = "a test that cannot be set up has failed")]

#[path = "../examples/study.rs"]
#[expect(dead_code, reason = "the example's own main is not called")]
mod study;

#[path = "library/batch.rs"]
mod batch;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fuseline::{
    Cache, Class, Error, RemoteAddress, RemoteMode, RemoteSettings, RunOptions, Study,
    cache_if_exists, find_run, inspect, open_cache, worker,
};
use fuseline_engine::{Executor, JobFolder};

fn main() -> ExitCode {
    if let Some(code) = worker::run_if_asked() {
        return code;
    }
    if std::env::var_os(BUILT).is_none() {
        return run_apart();
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    the_example_runs_a_study_and_reads_its_findings(folder.path());
    an_inspection_says_of_every_action_whether_it_is_cached(folder.path());
    a_mistake_is_an_error_with_its_place(folder.path());
    jobs_that_xargs_executes_give_the_same_bytes(folder.path());
    jobs_elsewhere_find_their_inputs_though_the_run_alone_has_a_remote(folder.path());
    ExitCode::SUCCESS
}

/// The variable of [`built`].
const BUILT: &str = "FUSELINE_LIBRARY_TEST_BUILT";

/// Runs this program again from a folder of its own. Beside the programs of tests lie rules, too:
/// those that `cargo test` builds, which are others than those of the command where the two were
/// built with other flags. Apart from them, only the command's are found.
fn run_apart() -> ExitCode {
    let program = std::env::current_exe().expect("a program knows itself");
    let built = program.ancestors().nth(2).expect("tests lie in target/PROFILE/deps");
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary folder");
    let apart = folder.path().join("library");
    std::fs::hard_link(&program, &apart).expect("both lie in the target folder");
    let status = Command::new(apart).env(BUILT, built).status().expect("it can be started");
    if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The folder of programs and plugins that `cargo build` makes.
fn built() -> PathBuf {
    std::env::var_os(BUILT).expect("it is set for what runs apart").into()
}

/// The study on made-up data.
fn small_study() -> Study {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    Study::new(root.join("tests/cases/small.yaml")).plugin_path(built())
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

fn jobs_that_xargs_executes_give_the_same_bytes(folder: &Path) {
    let elsewhere = folder.join("elsewhere");
    let options = RunOptions { jobs: Some(100), ..options(&elsewhere) };
    let submitted = Arc::new(AtomicUsize::new(0));
    let make = |cache: Arc<Cache>, folder: JobFolder| -> Box<dyn Executor> {
        let (command, submitted) = (built().join("fuseline"), submitted.clone());
        Box::new(batch::Xargs { command, cache, folder, submitted })
    };
    let summary = small_study().run_on(&make, &options, &mut |_| {}).expect("it runs");
    assert_eq!((summary.executed, summary.failed), (summary.actions, 0), "{summary:?}");
    assert_eq!(submitted.load(Ordering::Relaxed), summary.actions, "every action once");
    for file in ["findings.parquet", "report.html"] {
        let read = |folder: &Path| {
            std::fs::read(folder.join("results").join(file)).expect("it was delivered")
        };
        assert!(read(folder) == read(&elsewhere), "{file} differs from that of a local run");
    }
    let keys = |folder: &Path| {
        let cache = open_cache(folder.join("cache")).expect("it opens");
        let run = find_run(&cache, "latest").expect("it ran");
        run.actions.into_iter().map(|action| (action.action, action.key)).collect::<Vec<_>>()
    };
    assert_eq!(keys(folder), keys(&elsewhere));
    let again = small_study().run_on(&make, &options, &mut |_| {}).expect("it runs");
    assert_eq!((again.executed, submitted.load(Ordering::Relaxed)), (0, summary.actions));
}

fn jobs_elsewhere_find_their_inputs_though_the_run_alone_has_a_remote(folder: &Path) {
    let remote = RemoteSettings::new(RemoteAddress::folder(&folder.join("remote")));
    let writing = RemoteSettings { mode: RemoteMode::Write, ..remote.clone() };
    let options = |name: &str, remote| RunOptions { remote, ..options(&folder.join(name)) };
    let written = small_study().run(&options("writer", Some(writing)), &mut |_| {});
    assert_eq!(written.expect("it runs").remote.expect("it was asked").actions_not_sent, 0);
    let make = |cache: Arc<Cache>, folder: JobFolder| -> Box<dyn Executor> {
        let (command, submitted) = (built().join("fuseline"), Arc::default());
        Box::new(batch::Xargs { command, cache, folder, submitted })
    };
    let changed = small_study().set("permutations", "21");
    let summary = changed.run_on(&make, &options("reader", Some(remote)), &mut |_| {});
    let summary = summary.expect("it runs");
    assert_eq!((summary.executed, summary.failed), (14, 0), "{summary:?}");
    assert!(summary.remote.expect("it was asked").objects_received > 2);
}
