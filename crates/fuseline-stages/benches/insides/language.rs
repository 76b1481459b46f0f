//! From text to a plan whose keys are known.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use criterion::{BatchSize, Criterion, Throughput};
use fuseline_cache::{Cache, Index, PreviousKeys};
use fuseline_engine::{
    ActionPreview, Depth, FileDigests, Kinds, LocalExecutor, Plan, PreviousRun, RunOptions,
    Services, execute, inspect,
};
use fuseline_host::PluginLibrary;
use fuseline_workflow::{Checked, Limits, Overrides, Source, Workflow, check};

use crate::sizes;

const HEAD: &str = "\
fuseline: 1
name: bench
seed: 1
params: { sd: 1.0 }
";

/// A workflow of a size.
type Text = fn(usize) -> String;

/// Stages of ten lines each, every one needing the one before.
fn of_lines(lines: usize) -> String {
    let mut text = format!(
        "{HEAD}stages:\n  simulated: {{ uses: simulate.cohort, with: {{ examples: 20, groups: 4 \
         }} }}\n"
    );
    let mut last = "cohort".to_owned();
    text += "  cohort: { uses: simulate.features, inputs: { cohort: simulated }, with: { \
        features: 3, modality: audio } }\n";
    text +=
        "  folds: { uses: split.group_kfold, inputs: { cohort: simulated }, with: { folds: 2 } }\n";
    for stage in 0..(lines - 7) / 10 {
        // As written by hand: a comment, one option a line, an expression among them.
        let _ = write!(
            text,
            "  # Noise, once more.
  noisy{stage}:
    uses: intervene.degrade
    inputs:
      features: {last}
      cohort: simulated
      folds: folds
    with: {{ test_fold: 0, severity: \"${{{{ params.sd * {stage} / 1000 }}}}\" }}

"
        );
        last = format!("noisy{stage}");
    }
    text + "outputs:\n  last.parquet: " + &last + "\n"
}

/// One stage a line, all independent.
fn of_stages(stages: usize) -> String {
    let mut text = format!(
        "{HEAD}stages:\n  simulated: {{ uses: simulate.cohort, with: {{ examples: 20, groups: 4 \
         }} }}\n"
    );
    for stage in 0..stages {
        let _ = writeln!(
            text,
            "  leaf{stage}: {{ uses: simulate.features, inputs: {{ cohort: simulated }}, with: {{ \
             features: 1, modality: m{stage}, strength: 1.5 }} }}"
        );
    }
    text + "outputs:\n  simulated.parquet: simulated\n"
}

/// One stage over the given number of points, whose options are expressions that differ at each.
fn of_points(points: usize) -> String {
    format!(
        "{HEAD}axes:
  point: ${{{{ range({points}) }}}}
stages:
  simulated: {{ uses: simulate.cohort, with: {{ examples: 20, groups: 4 }} }}
  leaf:
    uses: simulate.features
    over: [point]
    inputs: {{ cohort: simulated }}
    with: {{ features: \"${{{{ point % 3 + 1 }}}}\", modality: \"m${{{{ point }}}}\", strength: \
    \"${{{{ params.sd + point / 2 }}}}\" }}
outputs:
  simulated.parquet: simulated
"
    )
}

/// The workflow that a text says; one with a mistake is a mistake of the bench.
fn checked(text: &str, kinds: &Kinds) -> Workflow {
    let source = Source { path: Path::new("bench.yaml"), text };
    let limits = Limits { max_actions: 1_000_000, ..Limits::default() };
    let no_file = |path: &Path| std::fs::read_to_string(path);
    let Checked { workflow, diagnostics, .. } =
        check(source, kinds.catalogue(), &Overrides::default(), &limits, &no_file);
    workflow.unwrap_or_else(|| panic!("{diagnostics:?}"))
}

pub fn benches(criterion: &mut Criterion) {
    let kinds = fuseline_stages::kinds();
    let mut group = criterion.benchmark_group("check");
    let texts: [(&str, Text, &[usize]); 3] = [
        ("lines", of_lines, &[100, 1_000]),
        ("stages", of_stages, &[100, 10_000]),
        ("expressions at points", of_points, &[100, 10_000]),
    ];
    for (what, text, all) in texts {
        for &size in sizes(all) {
            let text = text(size);
            group.throughput(Throughput::Bytes(text.len() as u64));
            group.bench_function(format!("{what} {size}"), |bencher| {
                bencher.iter(|| checked(&text, &kinds));
            });
        }
    }
    group.finish();

    let services = Services {
        plugins: PluginLibrary::new(Vec::new()),
        isolation: None,
        files: FileDigests::default(),
        shared: Default::default(),
    };
    let mut group = criterion.benchmark_group("plan");
    for &size in sizes(&[50, 1_000]) {
        let workflow = checked(&of_points(size), &kinds);
        group.throughput(Throughput::Elements(size as u64));
        let build = || Plan::build(&workflow, &kinds, &services, Depth::Key, &[]);
        group.bench_function(format!("build {size}"), |bencher| {
            bencher.iter_batched(
                || (),
                |()| build().unwrap_or_else(|found| panic!("{found:?}")),
                BatchSize::LargeInput,
            );
        });
        let plan = build().unwrap_or_else(|found| panic!("{found:?}"));
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path()).unwrap();
        let executor = LocalExecutor::new(&kinds, &services, &cache);
        let options = RunOptions { jobs: 2, ..RunOptions::default() };
        let stop = AtomicBool::new(false);
        let nothing = Index::default();
        let previous =
            PreviousRun { index: &nothing, keys: &PreviousKeys::default, files: &services.files };
        let ran = execute(&plan, &cache, previous, &executor, options, &stop, &mut |_| ());
        let index = ran.unwrap().index_update.unwrap();
        cache.write_index(&workflow.path, &nothing, &index, &[], &[]).unwrap();
        // Every key, looked up in the index; every object asked for.
        group.bench_function(format!("keys and lookups {size}"), |bencher| {
            bencher.iter(|| {
                let actions = inspect(&plan, Some(&cache)).unwrap().actions;
                assert!(actions.len() > size && actions.iter().all(ActionPreview::is_cached));
            });
        });
    }
    group.finish();
}
