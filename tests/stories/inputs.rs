//! Inputs that were drawn from public bug reports: each folder of `tests/cases/inputs` holds a
//! workflow with its data, a `README` (where it comes from, and the expected result), the
//! commands (`cmd`), and their output (`expected`).
//!
//! `FUSELINE_BLESS=1 cargo test -p fuseline-tests inputs` writes what is printed; read the
//! difference before you commit it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use fuseline_tests::{fuseline, root};

/// The output of the commands of a case, without the parts that differ from run to run.
fn transcript(case: &Path) -> String {
    let scratch = tempfile::TempDir::new().expect("a temporary folder can be made");
    let ran = Command::new("sh")
        .args(["-c", "sh cmd 2>&1"])
        .current_dir(case)
        .env("FUSELINE", fuseline())
        .env("T", scratch.path())
        .env_remove("FUSELINE_CACHE")
        .output()
        .expect("sh can be started");
    let text = String::from_utf8_lossy(&ran.stdout);
    let text = text
        .replace(&scratch.path().display().to_string(), "$T")
        .replace(&case.display().to_string(), "$CASE");
    let lines = text.lines().filter(|line| !is_progress(line)).map(|line| match line {
        // `12 actions: 3 executed, 9 cached, in 0.1 s.`
        summary if summary.contains(" actions: ") && summary.ends_with(" s.") => {
            let end = summary.rfind(", in ").unwrap_or(summary.len());
            format!("{}\n", &summary[..end])
        }
        line => format!("{line}\n"),
    });
    lines.collect()
}

/// Lines that come in the order of threads: `3/7 actions, 0 of them cached`, `stage: failed: why`,
/// `stage: 2 skipped`.
fn is_progress(line: &str) -> bool {
    line.ends_with(" of them cached") || line.contains(": failed: ") || line.ends_with(" skipped")
}

#[test]
fn inputs_from_public_reports_are_read_right_or_refused_in_words() {
    let folder = root().join("tests/cases/inputs");
    let mut cases: Vec<PathBuf> = fs::read_dir(&folder)
        .expect("the cases are there")
        .map(|entry| entry.expect("a folder").path())
        .filter(|path| path.join("cmd").is_file())
        .collect();
    cases.sort();
    let bless = std::env::var_os("FUSELINE_BLESS").is_some();
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let printed = transcript(case);
                    let expected = case.join("expected");
                    if bless {
                        fs::write(&expected, &printed).expect("a transcript can be written");
                    } else if fs::read_to_string(&expected).unwrap_or_default() != printed {
                        let name = case.file_name().unwrap_or_default().to_string_lossy();
                        let text = format!("== {name}\n{printed}");
                        wrong.lock().expect("no thread panics").push(text);
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("no thread panics");
    assert!(wrong.is_empty(), "these print something else now:\n{}", wrong.join("\n"));
}
