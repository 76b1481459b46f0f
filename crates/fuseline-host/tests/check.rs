//! The plugin check: what keeps its promises passes, and what breaks one is told which.
#![expect(clippy::unwrap_used, reason = "a helper of a test ends the test")]
#![cfg(target_os = "linux")]

mod common;
#[path = "common/table.rs"]
mod table;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{RULES, file};
use fuseline_host::check::{CheckReport, Given, Verdict, check};
use fuseline_host::scaffold::{Language, new_rule};
use fuseline_host::worker::{WORKER_ARGUMENT, WorkerProgram, WorkerSettings};
use fuseline_tests::has_python;

fn run(path: &Path) -> CheckReport {
    let program = WorkerProgram {
        program: env!("CARGO_BIN_EXE_fuseline-plugin-worker").into(),
        arguments: vec![WORKER_ARGUMENT.into()],
    };
    check(path, &Given::default(), &WorkerSettings::new(program))
}

fn lines(report: &CheckReport) -> String {
    report.checks.iter().map(|check| format!("{check}\n")).collect()
}

/// Skips that a sound plugin may have here.
const EXCUSED: [&str; 5] =
    ["locale", "takes longer", "fast path", "C functions", "exports no symbols"];

fn passes(path: &Path) {
    let report = run(path);
    assert!(report.passed(), "{}\n{}", path.display(), lines(&report));
    for check in &report.checks {
        if let Verdict::Skipped(reason) = &check.verdict {
            assert!(EXCUSED.iter().any(|excuse| reason.contains(excuse)), "{check}");
        }
    }
    assert!(report.checks.len() > 28);
}

#[test]
fn the_rules_in_the_box_keep_every_promise() {
    for name in RULES {
        passes(&file(name).path);
    }
}

fn compile(compiler: &str, source: &Path) -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("checked");
    std::fs::create_dir_all(&folder).unwrap();
    let plugin = folder.join(source.file_stem().unwrap()).with_extension("so");
    let output = Command::new(compiler)
        .args(["-O1", "-w", "-shared", "-fPIC", "-fvisibility=hidden", "-I"])
        .arg(here.join("../fuseline-abi/include"))
        .arg("-o")
        .arg(&plugin)
        .arg(source)
        .arg("-lm")
        .output()
        .unwrap_or_else(|error| panic!("a compiler is needed for this test: {error}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    plugin
}

#[test]
fn the_examples_in_c_and_cpp_keep_every_promise() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins/examples");
    passes(&compile("cc", &examples.join("c/best_modality.c")));
    passes(&compile("c++", &examples.join("cpp/geometric_mean.cpp")));
}

#[test]
fn a_new_rule_keeps_every_promise_as_it_is_in_each_language() {
    let folder = tempfile::tempdir().unwrap();
    let kit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuseline-plugin");
    let c = new_rule(folder.path(), "my_first", Language::C, &kit).unwrap();
    passes(&compile("cc", &c[0]));

    let rust = new_rule(folder.path(), "my_second", Language::Rust, &kit).unwrap();
    let project = rust[1].parent().unwrap();
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("scaffold");
    let output = Command::new(env!("CARGO"))
        .current_dir(project)
        .args(["build", "--quiet", "--offline", "--target-dir"])
        .arg(&target)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    passes(&target.join("debug/libmy_second.so"));

    let python = new_rule(folder.path(), "my_third", Language::Python, &kit).unwrap();
    if has_python("numpy") {
        passes(&python[0]);
    }
    let again = new_rule(folder.path(), "my_first", Language::C, &kit).unwrap_err();
    assert!(again.to_string().ends_with("my_first is there already"));
    assert!(new_rule(folder.path(), "My-Rule", Language::C, &kit).is_err());
}

#[test]
fn every_broken_promise_is_told() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile/checked");
    let mut sources: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    sources.sort();
    assert!(sources.len() >= 20);
    let (mut missed, mut rows) = (Vec::new(), Vec::new());
    for source in &sources {
        let text = std::fs::read_to_string(source).unwrap();
        let promise = text.lines().next().unwrap().strip_prefix("// breaks: ").unwrap();
        let is_c = source.extension().is_some_and(|extension| extension == "c");
        let report = run(&compile(if is_c { "cc" } else { "c++" }, source));
        let told = report.checks.iter().find(|check| {
            check.promise.starts_with(promise) && matches!(check.verdict, Verdict::Fail(_))
        });
        let name = source.file_stem().unwrap().to_str().unwrap();
        let words = told.map_or("nothing".to_owned(), |check| format!("FAIL {}", check.promise));
        rows.push([name.replace('_', " "), words]);
        for check in report.checks.iter().filter(|check| matches!(check.verdict, Verdict::Fail(_)))
        {
            println!("{name}: {check}");
        }
        if told.is_none() {
            missed.push(format!("{name} should break {promise:?}:\n{}", lines(&report)));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
    table::hold("checked", ["a plugin that", "what the check says"], &rows);
}

#[test]
fn what_is_no_plugin_is_told_without_running_it() {
    let folder = tempfile::tempdir().unwrap();
    let lr = std::fs::read(file("lr").path).unwrap();
    // The same file for another architecture, by its ELF header alone.
    let mut other = lr.clone();
    other[18..20].copy_from_slice(&183_u16.to_le_bytes());
    for (name, bytes, reason) in [
        ("text.so", b"not a library".to_vec(), "it is not a shared library"),
        ("empty.so", vec![], "it is not a shared library"),
        ("cut.so", lr[..lr.len() / 2].to_vec(), "is not a fusion rule"),
        ("arm.so", other, "it is built for Aarch64, this machine is X86_64"),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let report = run(&path);
        assert!(!report.passed());
        assert!(lines(&report).contains(reason), "{name}: {}", lines(&report));
    }
}
