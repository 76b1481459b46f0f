//! The examples in other languages, as their authors would use them.
#![expect(clippy::unwrap_used, reason = "a helper of a test ends the test")]
#![cfg(target_os = "linux")]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Rows, defaults};
use fuseline_host::worker::{WORKER_ARGUMENT, WorkerLimits, WorkerProgram};
use fuseline_host::{HostError, Isolation, PluginLibrary, Rule, RuleCode, StopSignal};
use fuseline_tests::has_python;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn load(folder: &Path, name: &str) -> Rule {
    let program = WorkerProgram {
        program: env!("CARGO_BIN_EXE_fuseline-plugin-worker").into(),
        arguments: vec![WORKER_ARGUMENT.into()],
    };
    let library =
        PluginLibrary::new(vec![folder.to_owned()]).with_workers(program, WorkerLimits::default());
    library.load(&library.find(name).unwrap(), Isolation::Worker).unwrap()
}

/// Compiles as the first lines of the example say, with all warnings as errors.
fn compiled(compiler: &str, standard: &str, source: &str, name: &str) -> Rule {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("examples").join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let output = Command::new(compiler)
        .arg(format!("-std={standard}"))
        .args([
            "-Wall",
            "-Wextra",
            "-Wpedantic",
            "-Werror",
            "-O2",
            "-shared",
            "-fPIC",
            "-fvisibility=hidden",
            "-I",
        ])
        .arg(root().join("crates/fuseline-abi/include"))
        .arg("-o")
        .arg(folder.join(format!("{name}.so")))
        .arg(root().join("plugins/examples").join(source))
        .output()
        .unwrap_or_else(|error| panic!("a compiler is needed for this test: {error}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    load(&folder, name)
}

/// Fits, opens, predicts, and shows that the rule keeps its promises.
fn exercise(rule: &Rule) -> Vec<f64> {
    let rows = Rows::new(90, 3, 3, true, 47);
    let params = defaults(rule);
    let model = rule.fit(&rows.training(), &params, 1, &StopSignal::new()).unwrap().model;
    assert_eq!(rule.fit(&rows.training(), &params, 1, &StopSignal::new()).unwrap().model, model);
    let cut = rule.open(&model[..model.len() - 1]).unwrap_err();
    assert!(matches!(cut, HostError::Rule { error, .. } if error.code == RuleCode::Data));
    let opened = rule.open(&model).unwrap();
    let out = opened.predict(&rows.batch()).unwrap();
    let right = out
        .chunks_exact(3)
        .zip(&rows.label)
        .filter(|(row, label)| row.iter().all(|p| *p <= row[**label as usize]))
        .count();
    assert!(right > 60, "{right} of 90 are right");
    // A permutation that moves nothing changes nothing.
    let index: Vec<u32> = (0..90).collect();
    let mut permuted = vec![0.0; out.len()];
    opened.predict_permuted(&rows.batch(), &index, 1, 1, u64::MAX, &mut permuted).unwrap();
    assert_eq!(out, permuted);
    out
}

#[test]
fn the_rule_in_c_works() {
    let rule = compiled("cc", "c99", "c/best_modality.c", "best_modality");
    let rows = Rows::new(90, 3, 3, true, 47);
    for (row, out) in exercise(&rule).chunks_exact(3).enumerate() {
        let best = (0..3).filter(|m| rows.available[row * 3 + m] == 1).max_by(|one, other| {
            rows.quality[row * 3 + one].total_cmp(&rows.quality[row * 3 + other])
        });
        let Some(best) = best else { continue };
        for (found, expected) in out.iter().zip(&rows.evidence[(row * 3 + best) * 3..][..3]) {
            assert!((found - expected).abs() < 1e-12);
        }
    }
}

#[test]
fn the_rule_in_cpp_works() {
    exercise(&compiled("c++", "c++17", "cpp/geometric_mean.cpp", "geometric_mean"));
}

#[test]
fn the_rule_in_python_works() {
    if !has_python("numpy, sklearn") {
        return;
    }
    exercise(&load(&root().join("plugins/examples/python"), "forest"));
}
