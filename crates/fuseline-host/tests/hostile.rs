//! Hostile plugins: each is compiled, and costs one call and a clear message.
#![expect(clippy::unwrap_used, reason = "a helper of a test ends the test")]
#![cfg(target_os = "linux")]

mod common;
#[path = "common/table.rs"]
mod table;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use common::{Rows, defaults};
use fuseline_host::worker::{WORKER_ARGUMENT, WorkerLimits, WorkerProgram};
use fuseline_host::{HostError, Isolation, PluginLibrary, StopSignal};
use fuseline_tests::damage::Numbers;

fn worker() -> WorkerProgram {
    WorkerProgram {
        program: env!("CARGO_BIN_EXE_fuseline-plugin-worker").into(),
        arguments: vec![WORKER_ARGUMENT.into()],
    }
}

fn limits() -> WorkerLimits {
    WorkerLimits {
        memory: 512 << 20,
        call: Duration::from_secs(2),
        load: Duration::from_secs(2),
        ..WorkerLimits::default()
    }
}

/// Compiles a hostile plugin into a folder of its own.
fn compile(source: &Path) -> PathBuf {
    let name = source.file_stem().unwrap().to_str().unwrap();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hostile").join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let is_c = source.extension().is_some_and(|extension| extension == "c");
    let (compiler, language) = if is_c { ("cc", "-std=gnu11") } else { ("c++", "-std=gnu++17") };
    let output = Command::new(compiler)
        .args([language, "-O0", "-w", "-shared", "-fPIC", "-fvisibility=hidden", "-I"])
        .arg(here.join("../fuseline-abi/include"))
        .arg("-I")
        .arg(here.join("tests/hostile"))
        .arg("-o")
        .arg(folder.join("hostile.so"))
        .arg(source)
        .output()
        .unwrap_or_else(|error| panic!("a compiler is needed for this test: {error}"));
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    folder
}

/// Everything that a study does with a rule.
fn study(folder: &Path) -> Result<(), HostError> {
    let library = PluginLibrary::new(vec![folder.to_owned()]).with_workers(worker(), limits());
    let file = library.list().remove(0)?;
    let rule = library.load(&file, Isolation::Worker)?;
    let rows = Rows::new(40, 3, 2, true, 5);
    let model = rule.fit(&rows.training(), &defaults(&rule), 1, &StopSignal::new())?.model;
    let model = rule.open(&model)?;
    let first = model.predict(&rows.batch())?;
    assert_eq!(first, model.predict(&rows.batch())?);
    let index: Vec<u32> = (0..40).rev().collect();
    let mut out = vec![0.0; 80];
    model.predict_permuted(&rows.batch(), &index, 1, 1, u64::MAX, &mut out)
}

/// Number of damaged frames of each kind.
const MUTANTS: u64 = 24;

/// A frame: its length, and this text.
fn frame(text: &str) -> Vec<u8> {
    [&(text.len() as u32).to_le_bytes(), text.as_bytes()].concat()
}

#[test]
fn a_damaged_frame_of_a_worker_is_an_answer_or_an_error_soon() {
    let source = "tests/hostile/frames/sends_a_frame.c";
    let folder = compile(&Path::new(env!("CARGO_MANIFEST_DIR")).join(source));
    let library = PluginLibrary::new(vec![folder]).with_workers(worker(), limits());
    let file = library.list().remove(0).unwrap();
    let rule = library.load(&file, Isolation::Worker).unwrap();
    let batch = Rows::new(40, 3, 2, true, 5).batch();
    let nested = "[".repeat(100_000);
    let mut frames = vec![
        frame(r#"{"status":"ok","bytes":640}"#),
        frame(r#"{"status":"ok","bytes":18446744073709551615}"#),
        frame(
            r#"{"status":"ok","bytes":0,"messages":[{"level":"warning","text":"so"}],"reads":[{"path":"/x","size":3,"modified_ns":1}]}"#,
        ),
        frame(
            r#"{"status":"error","code":-2147483648,"message":"no","param":"p","row":-9223372036854775808}"#,
        ),
        frame(
            r#"{"status":"error","code":3,"message":"no","row":9223372036854775807,"messages":[]}"#,
        ),
        frame(r#"{"status":"ready","protocol":1,"descriptor":"{}","fast_path":true}"#),
        frame(r#"{"status":"refused","message":"\u0000\ud83d\u001b[2J"}"#),
        frame(&format!(r#"{{"status":"ok","bytes":0,"messages":{nested}}}"#)),
    ];
    // A length without a frame, and none at all.
    frames.extend([vec![0xff; 4], (8_u32 << 20).to_le_bytes().to_vec(), Vec::new()]);
    let mut numbers = Numbers(21);
    for frame in frames {
        for mutant in 0..MUTANTS {
            let mut bytes = frame.clone();
            if mutant > 1 {
                numbers.damage(&mut bytes);
            }
            // The first byte says which call is answered so.
            bytes.insert(0, (mutant % 2) as u8);
            let begun = Instant::now();
            if let Ok(model) = rule.open(&bytes) {
                // Of the damage that leaves an answer, none is a prediction.
                assert!(model.predict(&batch).is_err(), "{bytes:?}");
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "{bytes:?}: {:?}", begun.elapsed());
        }
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.split_whitespace().next().unwrap().parse().unwrap();
    assert!(peak < 1 << 20, "{peak} KiB were used");
}

#[test]
fn every_hostile_plugin_costs_one_call_and_a_clear_message() {
    let mut sources: Vec<_> =
        std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| {
                path.is_file() && path.extension().is_some_and(|extension| extension != "h")
            })
            .collect();
    sources.sort();
    assert!(sources.len() > 30);
    let (mut wrong, mut rows) = (Vec::new(), Vec::new());
    for source in &sources {
        let name = source.file_stem().unwrap().to_str().unwrap();
        let text = std::fs::read_to_string(source).unwrap();
        let expected = text.lines().next().unwrap().strip_prefix("// expect: ").unwrap();
        let seen = match study(&compile(source)) {
            Ok(()) => "ok".to_owned(),
            Err(error) => error.to_string(),
        };
        println!("{name}: {seen}");
        let told = match expected {
            "ok" if name == "well_behaved" => "nothing: it is as it should be".to_owned(),
            "ok" => "nothing: it has no effect outside its process, and the predictions are right"
                .to_owned(),
            words => words.replace("\\\"", "\""),
        };
        rows.push([name.replace('_', " "), told]);
        let right = if expected == "ok" {
            seen == "ok"
        } else {
            seen.contains(&expected.replace("\\\"", "\""))
        };
        if !right {
            wrong.push(format!("{name}: expected {expected:?}, saw {seen:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(!Path::new("/tmp/fuseline-hostile-was-here").exists());
    table::hold("hostile", ["a plugin that", "what the user sees"], &rows);
}
