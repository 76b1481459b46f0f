//! Models in ONNX run in a process of their own, by the library of the rule `onnx`: they cost one
//! action, and the library that ran is part of the record.

use std::path::Path;
use std::process::Command;

use fuseline_tests::{Ran, fuseline, root};
use serde_json::Value;

use crate::conditions::{compile, says};
use crate::experts::{FROZEN, frozen};

/// A library in place of that of the rule `onnx`, which fails as the name of the model says.
const HOSTILE: &str = r#"
#define ID "org.fuseline.onnx"
#define GLOBALS \
static int has(const uint8_t *q, uint64_t n, const char *word) { return memmem(q, n, word, strlen(word)) != NULL; } \
static int32_t ask(const uint8_t *q, uint64_t n, const void *call, const fsl_sink *sink, fsl_error *err) { \
  if (has(q, n, "aborts.onnx")) abort(); \
  if (has(q, n, "crashes.onnx")) *(volatile int *)8 = 1; \
  if (has(q, n, "loops.onnx")) for (;;) {} \
  if (has(q, n, "prints.onnx")) puts("hello"); \
  return sink->write(sink, (const uint8_t *)"another", 7); \
} \
static const fsl_query table = { sizeof table, 0, ask }; \
static const void *extensions(fsl_string id) { return fsl_str_is(id, FSL_QUERY) ? &table : NULL; }
#define EXT extensions
"#;

const NAMED: &str = "plugins: [org.fuseline.onnx: ./library.so]\nstages:";

#[test]
fn a_model_that_breaks_its_process_costs_one_action() {
    let (lab, _) = frozen();
    compile(&lab, HOSTILE, "library.so");
    let models = ["aborts", "crashes", "loops", "prints", "answers"];
    let text = FROZEN
        .replace("  fold: [0, 1, 2]", &format!("  fold: [0]\n  model: [{}]", models.join(", ")))
        .replace("over: [fold]", "over: [fold, model]")
        .replace("path: model.onnx", "path: \"${{ model }}.onnx\"")
        .replace("stages:", &format!("limits: {{ call: 1 s }}\n{NAMED}"))
        .replace("  frozen.parquet: frozen.test[fold=0]", "  cohort.parquet: cohort");
    lab.write("workflow.yaml", text);
    for model in models {
        let bytes = lab.read("model.onnx");
        lab.write(&format!("{model}.onnx"), bytes);
    }
    let only = ["--only", "frozen", "--only", "cohort"];
    let ran = lab.run([&["run", "workflow.yaml", "--keep-going"], &only[..]].concat());
    ran.exits(1);
    for words in [
        "aborts.onnx cannot be run here: its process was killed by SIGABRT",
        "crashes.onnx cannot be run here: its process was killed by SIGSEGV",
        "loops.onnx cannot be run here: it did not answer within 1 s (`limits.call`",
        "prints.onnx cannot be run here: it wrote to standard output: \"hello\"",
        "library.so is of another version than this fuseline",
    ] {
        says(&ran, words);
    }
    let manifest = lab.run(["runs", "show", "latest", "--format", "json"]).json();
    assert_eq!(manifest["counts"]["failed"], 5);
}

#[test]
fn the_library_that_ran_is_recorded_and_another_one_runs_the_model_again() {
    let (lab, _) = frozen();
    let library = fuseline().with_file_name("libfuseline_rule_onnx.so");
    lab.write("library.so", std::fs::read(&library).expect("`cargo build --workspace` makes it"));
    lab.write("workflow.yaml", FROZEN.replace("stages:", NAMED));
    let before = lab.run(["run", "workflow.yaml", "--format", "json"]);
    before.success();
    let manifest = lab.run(["runs", "show", "latest", "--format", "json"]).json();
    let files = manifest["files"].as_array().expect("a list");
    let listed = files.iter().find(|file| {
        file["path"].as_str().is_some_and(|path| path.ends_with("library.so"))
            && file["role"] == "discovered"
    });
    assert!(listed.is_some(), "{manifest}");
    assert_eq!(lab.run(["run", "workflow.yaml", "--format", "json"]).json()["executed"], 0);

    let mut bytes = lab.read("library.so");
    bytes.push(0);
    lab.write("library.so", bytes);
    let plan = lab.run(["plan", "workflow.yaml", "--format", "json"]).json();
    let reasons: Vec<&str> = plan["actions"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|action| action["status"] == "run")
        .filter_map(|action| action["reason"].as_str())
        .collect();
    assert_eq!(reasons.len(), 3, "{plan}");
    assert!(reasons[0].contains("library.so"), "{reasons:?}");
    // The same answers: nothing else is executed.
    let again: Value = lab.run(["run", "workflow.yaml", "--format", "json"]).json();
    assert_eq!(again["executed"], 3);
}

#[test]
fn without_the_libraries_the_check_says_how_to_add_them() {
    let (lab, _) = frozen();
    lab.write("alone/fuseline", "");
    std::fs::copy(fuseline(), lab.path("alone/fuseline")).expect("the command can be copied");
    let check = |workflow: &Path| {
        let folder = lab.path("");
        let ran = Ran(Command::new(lab.path("alone/fuseline"))
            .current_dir(&folder)
            .arg("check")
            .arg(workflow)
            .env("XDG_DATA_HOME", &folder)
            .env("XDG_CONFIG_HOME", &folder)
            .env_remove("VIRTUAL_ENV")
            .env_remove("CONDA_PREFIX")
            .env_remove("FUSELINE_PLUGIN_PATH")
            .output()
            .expect("it starts"));
        ran.exits(2);
        ran
    };
    let onnx = check(Path::new("workflow.yaml"));
    says(
        &onnx,
        "models in ONNX are run by the library libfuseline_rule_onnx.so, which is not there",
    );
    says(&onnx, "`cargo build --workspace` puts it beside the command");

    // Four rules, none of which is there, are one mistake.
    let rules = check(&root().join("workflows/quickstart.yaml"));
    says(&rules, "there is no fusion rule on the plugin path; searched: ");
    says(&rules, "quickstart.yaml has 1 error.");
}
