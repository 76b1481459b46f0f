//! Fusion models that were fitted elsewhere: `fusion.load`, with test rows alone.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use fuseline_tests::{Lab, python, root};
use serde_json::Value;

use crate::conditions::says;

const EXAMPLES: usize = 160;

/// Numbers in 0 to 1 that look random and are the same each time.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// A cohort of two modalities whose quality tells which of them is right; no split, no training
/// rows. Gives the table and the evidence of each modality.
fn data() -> [String; 3] {
    let mut noise = Noise(7);
    let mut text = "id,person,label,q_audio,q_video\n".to_owned();
    let mut evidence = ["id,rest,stress\n".to_owned(), "id,rest,stress\n".to_owned()];
    for row in 0..EXAMPLES {
        let label = noise.next() < 0.5;
        let name = if label { "stress" } else { "rest" };
        write!(text, "r{row:03},s{:02},{name}", row / 4).expect("text");
        for of in &mut evidence {
            let is_sound = noise.next() < 0.5;
            let quality = f64::from(u8::from(is_sound)) + 0.3 * noise.next();
            let lead = if is_sound { 0.35 } else { 0.0 } + 0.2 * (noise.next() - 0.5);
            let stress = if label { 0.5 + lead } else { 0.5 - lead };
            write!(text, ",{quality}").expect("text");
            writeln!(of, "r{row:03},{},{stress}", 1.0 - stress).expect("text");
        }
        text.push('\n');
    }
    let [audio, video] = evidence;
    [text, audio, video]
}

fn doubles(values: [f64; 4]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// A folder with the study, its data, the gate in C and its file.
fn lab() -> Lab {
    let lab = Lab::new();
    let study = std::fs::read_to_string(root().join("tests/cases/loaded/workflow.yaml"));
    lab.write("workflow.yaml", study.expect("the study is there"));
    for (file, text) in ["data.csv", "audio.csv", "video.csv"].into_iter().zip(data()) {
        lab.write(file, text);
    }
    lab.write("gate.bin", doubles([1.7, 2.3, 0.1, -0.2]));
    lab.write("seen.txt", "x001\nx002\n");
    let output = Command::new("cc")
        .args(["-std=c99", "-O2", "-shared", "-fPIC", "-fvisibility=hidden", "-I"])
        .arg(root().join("crates/fuseline-abi/include"))
        .arg("-o")
        .arg(lab.path("linear_gate.so"))
        .arg(root().join("plugins/examples/c/linear_gate.c"))
        .arg("-lm")
        .output()
        .expect("cc is there");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    lab
}

fn run(lab: &Lab, workflow: &str) -> Value {
    let ran = lab.run(["run", workflow, "--format", "json", "--out", "out"]);
    ran.success();
    ran.json()
}

fn finding(lab: &Lab, column: &str) -> f64 {
    let text = String::from_utf8(lab.read("out/finding.csv")).expect("text");
    let mut lines = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let names = lines.next().expect("a header");
    let place = names.iter().position(|name| *name == column).expect("the column is there");
    lines.next().expect("a row")[place].parse().expect("a number")
}

#[test]
fn a_model_is_asked_with_test_rows_alone_and_its_files_are_part_of_the_key() {
    let lab = lab();
    assert_eq!(run(&lab, "workflow.yaml")["status"], "ok");
    assert!(finding(&lab, "gap") > 0.02, "the gate uses quality: {}", finding(&lab, "gap"));
    assert_eq!(run(&lab, "workflow.yaml")["executed"], 0);

    // Another checkpoint under the same name: a gate that does not look at quality.
    lab.write("gate.bin", doubles([0.0, 0.0, 0.1, -0.2]));
    let plan = lab.run(["plan", "workflow.yaml"]);
    assert!(
        plan.stdout().contains("with.files.weights: file content changed"),
        "{}",
        plan.stdout()
    );
    assert_eq!(run(&lab, "workflow.yaml")["executed"], 4);
    assert!(finding(&lab, "gap").abs() < f64::EPSILON);
}

#[test]
fn modalities_are_bound_by_name_whatever_the_order_of_the_axis() {
    let lab = lab();
    run(&lab, "workflow.yaml");
    let permutations = lab.read("out/permutations.parquet");
    lab.edit("workflow.yaml", "modality: [audio, video]", "modality: [video, audio]");
    run(&lab, "workflow.yaml");
    assert_eq!(lab.read("out/permutations.parquet"), permutations);
    // The order of the model's inputs is what `modalities` says.
    lab.edit("workflow.yaml", "modalities: [audio, video]", "modalities: [video, audio]");
    run(&lab, "workflow.yaml");
    assert_ne!(lab.read("out/permutations.parquet"), permutations);
}

#[test]
fn what_a_model_has_seen_is_not_tested() {
    let lab = lab();
    lab.edit("workflow.yaml", "fitted_on: external", "fitted_on: { ids: seen.txt }");
    assert_eq!(run(&lab, "workflow.yaml")["status"], "ok");
    lab.write("seen.txt", "r001\n");
    let ran = lab.run(["run", "workflow.yaml"]);
    ran.exits(2);
    assert!(ran.stderr().contains("the model was fitted on example r001"), "{}", ran.stderr());
    // One line of a table names a group: nobody of it is tested.
    lab.write("seen.csv", "example_id,group\nx001,s03\n");
    lab.edit("workflow.yaml", "seen.txt", "seen.csv");
    let ran = lab.run(["run", "workflow.yaml"]);
    ran.exits(2);
    assert!(ran.stderr().contains("the model was fitted on example r012"), "{}", ran.stderr());
    lab.edit("workflow.yaml", "fitted_on: { ids: seen.csv }", "fitted_on: all");
    let checked = lab.run(["check", "workflow.yaml"]);
    checked.exits(2);
    assert!(checked.stderr().contains("fuseline::leak_model_saw_rows"), "{}", checked.stderr());
}

#[test]
fn what_cannot_be_loaded_is_refused_in_words() {
    for (from, to, words) in [
        ("rule: linear_gate", "rule: mean", "the rule org.fuseline.mean does not load models"),
        (
            "[audio, video], fitted",
            "[audio, text], fitted",
            "the model has the modalities `audio` and `text`",
        ),
        ("[audio, video], fitted", "[audio, audio], fitted", "`modalities` names audio twice"),
        (
            "fitted_on: external",
            "fitted_on: train",
            "a model that was fitted elsewhere knows no fold",
        ),
        ("fitted_on: external", "fitted_on: external, standardise: true", "nothing is fitted here"),
        ("weights: gate.bin", "weights: none.bin", "none.bin"),
    ] {
        let lab = lab();
        lab.edit("workflow.yaml", from, to);
        let checked = lab.run(["check", "workflow.yaml"]);
        checked.exits(2);
        assert!(checked.stderr().contains(words), "{words}: {}", checked.stderr());
    }
    for (from, to, words) in [
        ("weights: gate.bin", "gate: gate.bin", "a file called weights is needed"),
        ("weights: gate.bin", "weights: data.csv", "weights must hold two doubles a modality"),
        (
            "fitted_on: external",
            "classes: [stress, rest]",
            "the model's outputs are of the classes stress, rest",
        ),
    ] {
        let lab = lab();
        lab.edit("workflow.yaml", from, to);
        let ran = lab.run(["run", "workflow.yaml"]);
        assert_ne!(ran.code(), 0);
        assert!(ran.stderr().contains(words), "{words}: {}", ran.stderr());
    }
}

#[test]
fn a_rule_that_only_loads_is_not_fitted() {
    let lab = lab();
    let study = std::fs::read_to_string(root().join("tests/cases/plugins/study.yaml"));
    let study = study.expect("the study is there").replace("my_rule", "linear_gate");
    lab.write("fit.yaml", study);
    let checked = lab.run(["check", "fit.yaml", "--plugin-path", "."]);
    checked.exits(2);
    assert!(checked.stderr().contains("is not fitted: it loads models"), "{}", checked.stderr());
}

#[test]
fn a_rule_that_loads_is_checked_with_its_files() {
    let lab = lab();
    let bare = lab.run(["plugin", "check", "linear_gate.so"]);
    bare.success();
    assert!(bare.stdout().contains("--files NAME=FILE"), "{}", bare.stdout());
    assert!(bare.stdout().ends_with("no promise was found broken.\n"), "{}", bare.stdout());
    let with = ["--files", "weights=gate.bin", "--modalities", "audio,video"];
    let checked = lab.run(["plugin", "check", "linear_gate.so"].into_iter().chain(with));
    checked.success();
    let text = checked.stdout();
    assert!(text.ends_with("Every promise that could be checked is kept.\n"), "{text}");
    for kept in ["a model opens in another process", "batches split and rows", "quality changes"] {
        assert!(text.lines().any(|line| line.starts_with("pass") && line.contains(kept)), "{text}");
    }
    // The gate is of two modalities, and these are three.
    let three = ["--files", "weights=gate.bin", "--modalities", "audio,video,text"];
    let refused = lab.run(["plugin", "check", "linear_gate.so"].into_iter().chain(three));
    refused.exits(1);
    assert!(refused.stdout().contains("weights must hold two doubles a modality"));
}

#[test]
fn a_rule_in_python_and_a_callable_give_the_same_numbers_to_the_last_bit() {
    let lab = lab();
    let sdk = std::fs::read(root().join("python/fuseline/_rule.py")).expect("the SDK is there");
    lab.write("fuseline_rule.py", sdk);
    let rule = std::fs::read(root().join("tests/cases/loaded/gate.py")).expect("the rule is there");
    lab.write("gate.py", rule);
    executable(&lab.path("gate.py"));
    lab.edit("workflow.yaml", "rule: linear_gate", "rule: gate");
    let script = root().join("tests/cases/loaded/callable.py");
    let Some(said) = python(
        "numpy,pandas,pyarrow",
        [script.as_os_str(), lab.path("").as_os_str(), fuseline_tests::fuseline().as_os_str()],
    ) else {
        return;
    };
    assert!(said.ends_with("equal to the last bit\n"), "{said}");
}

/// The study with the rule `onnx`, and some rows without video.
fn lab_of_onnx() -> Lab {
    let lab = lab();
    let video = String::from_utf8(lab.read("video.csv")).expect("text");
    let lines = video.lines().enumerate().filter(|(number, _)| *number == 0 || *number > 12);
    let lines: Vec<&str> = lines.map(|(_, line)| line).collect();
    lab.write("video.csv", lines.join("\n") + "\n");
    let params = "{ inputs: { q: quality, probs: evidence, a: available } }";
    lab.edit("workflow.yaml", "rule: linear_gate", &format!("rule: onnx, params: {params}"));
    lab.edit("workflow.yaml", "weights: gate.bin", "model: gate.onnx");
    lab
}

fn export(lab: &Lab) -> Option<String> {
    let script = root().join("tests/cases/loaded/onnx_gate.py");
    let (folder, command) = (lab.path(""), fuseline_tests::fuseline());
    let arguments = [script.as_os_str(), folder.as_os_str(), command.as_os_str()];
    python("numpy,pandas,pyarrow,onnx,onnxruntime", arguments)
}

#[test]
fn an_exported_model_answers_as_in_onnxruntime_and_is_refused_where_it_does_not_fit() {
    let lab = lab_of_onnx();
    let Some(said) = export(&lab) else { return };
    assert!(said.ends_with("equal to onnxruntime\n"), "{said}");
    for (from, to, words) in [
        ("q: quality", "q: available", "so that nothing can be asked of its use"),
        ("q: quality", "x: quality", "gate.onnx has no input x; its inputs are q, probs, a"),
        (", a: available", "", "it does not say what the input a of gate.onnx takes"),
        ("probs: evidence", "probs: proofs", "proofs is neither evidence, available, quality, nor"),
        (
            "model: gate.onnx",
            "model: gate.onnx, more: data.csv",
            "more is no file of an ONNX model",
        ),
        ("model: gate.onnx", "model: data.csv", "data.csv cannot be read as ONNX"),
        ("{ inputs", "{ softmax: true, inputs", "gate.onnx are probabilities, not logits"),
        ("model: gate.onnx", "model: turned.onnx", "is (rows, 3, 2), and evidence is (rows,"),
        ("model: gate.onnx", "model: whole.onnx", "the input whole takes whole numbers, and is"),
        ("model: gate.onnx", "model: batch.onnx", "it reads the batch"),
    ] {
        let right = lab.read("workflow.yaml");
        lab.edit("workflow.yaml", from, to);
        for (file, input) in [("whole", "whole"), ("batch", "given")] {
            if to.ends_with(&format!("{file}.onnx")) {
                lab.edit("workflow.yaml", "q: quality", &format!("{input}: quality"));
            }
        }
        let ran = lab.run(["run", "workflow.yaml"]);
        assert_ne!(ran.code(), 0);
        says(&ran, words);
        lab.write("workflow.yaml", right);
    }
}

fn executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(path, mode).expect("the mode can be set");
}
