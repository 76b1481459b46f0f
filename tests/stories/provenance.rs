//! Records of a run: files that were read, checklists, and the line that runs it again.

use std::process::Command;

use fuseline_tests::{Lab, Need, files_below, fuseline, root, skip};
use serde_json::Value;

/// A study of the tutorial's data, which lie beside its folder, in a folder that shells and LaTeX
/// must be told of with care. A program reads a file that no one named.
const STUDY: &str = "fuseline: 1
name: study
description: Does 100% of it_hold & how?
seed: 7
include: [quality.yaml]
params:
  data: { type: path }
  folds: 4
  permutations: 19
axes:
  modality: [voice, face]
  fold: ${{ range(params.folds) }}
stages:
  features:
    uses: load.csv
    over: [modality]
    with: { path: \"${{ params.data }}/${{ modality }}.csv\", id: { column: recording } }
  cohort:
    uses: cohort.define
    inputs: { features: features }
    with:
      group: { pattern: \"^(.+)_\" }
      label:
        pattern: \"_(.+)$\"
        classes: { rest: [rest1, rest2, rest3], stress: [talk, maths, crowd] }
  folds:
    uses: split.group_kfold
    inputs: { cohort: cohort }
    with: { folds: \"${{ params.folds }}\" }
  expert:
    uses: expert.logistic
    over: [modality, fold]
    inputs: { features: features, cohort: cohort, folds: folds }
    with: { test_fold: \"${{ fold }}\", inner_folds: 3, exclude: [quality] }
  fusion:
    uses: fusion.fit
    over: [fold]
    inputs: { evidence: expert.train, quality: quality.train, cohort: cohort }
    with: { rule: lr }
  permute:
    uses: diagnose.permute_quality
    over: [fold]
    inputs: { model: fusion, evidence: expert.test, quality: quality.test, cohort: cohort }
    with: { permutations: \"${{ params.permutations }}\" }
  finding:
    uses: diagnose.summarize
    inputs:
      permutations: permute.permutations
      effects: permute.effects
      evidence: expert.test
      quality: quality.test
      cohort: cohort
  report:
    uses: report.html
    inputs: { findings: finding, permutations: permute.permutations }
  note:
    uses: command
    with:
      run: [sh, -c, \"cat $FOLDER/$NAME > outputs/main; printf '[{\\\"path\\\": \\\"%s\\\"}]' $FOLDER/$NAME > reads.json\"]
      env: { FOLDER: HELPER_FOLDER, NAME: helper_words.txt }
      outputs: { main: { artifact: report, media_type: text/plain } }
outputs:
  report.html: report
  finding.parquet: finding
  note.txt: note
";

/// The study after a run, with its data in `the study's 50% & data_` beside its folder.
fn lab() -> Lab {
    let lab = Lab::new();
    lab.write("helper_words.txt", "read, and named by nobody\n");
    let helper = lab.path("helper_words.txt");
    let folder = helper.parent().expect("a folder").display().to_string();
    let text = STUDY.replace("HELPER_FOLDER", &folder);
    lab.write("my study/workflow.yaml", text);
    lab.write(
        "my study/quality.yaml",
        "fuseline: 1\nstages:\n  quality:\n    uses: quality.column\n    over: [modality, fold]\n    \
         inputs: { evidence_train: expert.train, evidence_test: expert.test, features: features }\n",
    );
    for name in ["voice", "face"] {
        let data = std::fs::read(root().join(format!("examples/tutorial/{name}.csv")));
        lab.write(&format!("{DATA}/{name}.csv"), data.expect("the tutorial's data"));
    }
    lab.write("my study/few.yaml", "folds: 3\n");
    lab
}

const DATA: &str = "the study's 50% & data_";

fn run(lab: &Lab) {
    let set = format!("data={DATA}");
    let params = "my study/few.yaml";
    lab.run(["run", "my study/workflow.yaml", "--params", params, "--set", &set]).success();
}

fn text(lab: &Lab, path: &str) -> String {
    String::from_utf8(lab.read(path)).expect("UTF-8")
}

#[test]
fn every_file_that_was_read_is_in_manifest_and_report() {
    let lab = lab();
    run(&lab);
    let manifest = lab.run(["runs", "show", "latest", "--format", "json"]).json();
    let files = manifest["files"].as_array().expect("a list of files");
    let of =
        |role: &str| -> Vec<&Value> { files.iter().filter(|file| file["role"] == role).collect() };
    let paths = |role: &'static str| -> Vec<String> {
        of(role).iter().map(|file| file["path"].as_str().expect("a path").to_owned()).collect()
    };
    assert_eq!(paths("workflow"), ["workflow.yaml"]);
    assert_eq!(paths("include"), ["quality.yaml"]);
    assert_eq!(paths("params"), ["few.yaml"]);
    let absolute = |path: &str| lab.path(path).display().to_string();
    let data = ["face", "voice"].map(|name| absolute(&format!("{DATA}/{name}.csv")));
    assert_eq!(paths("input"), data);
    assert_eq!(paths("discovered"), [absolute("helper_words.txt")]);
    assert_eq!((of("rule").len(), of("program").len()), (1, 1));
    for file in files {
        let path = lab.path("my study").join(file["path"].as_str().expect("a path"));
        let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        assert_eq!(file["size"], bytes.len(), "{path:?}");
        assert_eq!(file["digest"], blake3::hash(&bytes).to_hex().as_str(), "{path:?}");
    }
    assert_eq!(of("input")[0]["stages"], serde_json::json!(["features"]));
    assert_eq!(of("discovered")[0]["stages"], serde_json::json!(["note"]));

    // The report of the run has what is upstream of it; a page that is written later has all.
    let own = text(&lab, "results/study/report.html");
    let digest = |role: &'static str| of(role)[0]["digest"].as_str().expect("a digest").to_owned();
    assert!(own.contains(&digest("input")) && own.contains("voice.csv"));
    assert!(!own.contains(&absolute("")), "where a file lies is not part of a result");
    lab.run(["report", "--out", "again"]).success();
    let again = text(&lab, "again/report.html");
    for role in ["workflow", "include", "params", "input", "discovered", "rule", "program"] {
        assert!(again.contains(&digest(role)), "{role}");
    }

    // A second run finds all as it was, and says the same.
    run(&lab);
    let second = lab.run(["runs", "show", "latest", "--format", "json"]).json();
    assert_ne!(second["run"], manifest["run"]);
    assert_eq!(second["files"], manifest["files"]);
    assert!(second["machine"]["cores"].as_u64().is_some_and(|cores| cores > 0));
}

#[test]
fn the_line_of_the_report_runs_it_again_in_the_workflows_folder() {
    let lab = lab();
    run(&lab);
    let own = text(&lab, "results/study/report.html");
    assert!(own.contains("PATH/TO/the study"));
    lab.run(["report", "--out", "again"]).success();
    let report = text(&lab, "again/report.md");
    let (_, command) = report.split_once("```sh\n").expect("a command");
    let (command, _) = command.split_once("\n```").expect("its end");
    assert!(command.starts_with("fuseline run workflow.yaml"), "{command}");
    let program = fuseline();
    let folder = program.parent().expect("a folder").display().to_string();
    let path = std::env::var("PATH").expect("a path");
    let ran = Command::new("sh")
        .args(["-c", command])
        .current_dir(lab.path("my study"))
        .env("PATH", format!("{folder}:{path}"))
        .env_remove("FUSELINE_CACHE")
        .env("XDG_CONFIG_HOME", lab.path("user-config"))
        .output()
        .expect("a shell");
    assert!(ran.status.success(), "{command}\n{}", String::from_utf8_lossy(&ran.stderr));
    for output in ["finding.parquet", "report.html", "note.txt"] {
        let path = format!("results/study/{output}");
        assert_eq!(lab.read(&format!("my study/{path}")), lab.read(&path), "{output}");
    }
}

#[test]
fn a_checklist_says_what_the_run_recorded_and_compiles() {
    let lab = lab();
    run(&lab);
    let set = |name: &str, form: &str| {
        let ran = lab.run(["report", "latest", "--checklist", name, "--format", form]);
        ran.success().stdout()
    };
    let reforms = lab.run(["report", "my study/workflow.yaml", "--checklist", "reforms"]);
    let reforms = reforms.success().stdout();
    assert_eq!(reforms, set("reforms", "markdown"));
    for said in [
        "**2a** Dataset, with a link or DOI (recorded in part)\n\n- 2 files were read: face.csv (",
        "Classes of the outcome in the cohort: rest: ",
        "folds = 3",
        "from seed 7",
        "fuseline run workflow.yaml --set",
    ] {
        let seed = set("neurips", "markdown");
        assert!(reforms.contains(said) || seed.contains(said), "{said} is not in {reforms}");
    }
    let items = [("reforms", 32), ("neurips", 16), ("tripod-ai", 52)];
    for (name, items) in items {
        let latex = set(name, "latex");
        let numbers: Vec<&str> = latex
            .match_indices("\\item[")
            .map(|(at, start)| &latex[at + start.len()..])
            .map(|rest| rest.split(']').next().expect("an end"))
            .collect();
        let mut distinct = numbers.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!((numbers.len(), distinct.len()), (items, items), "{name}");
        lab.write(&format!("paper/{name}.tex"), latex);
        lab.write(
            "paper/paper.tex",
            format!(
                "\\documentclass{{article}}\\usepackage[T1]{{fontenc}}\\begin{{document}}\n\
                 \\input{{{name}}}\n\\end{{document}}\n"
            ),
        );
        let ran = Command::new("pdflatex")
            .args(["-halt-on-error", "-interaction=nonstopmode", "-no-shell-escape", "paper.tex"])
            .current_dir(lab.path("paper"))
            .output();
        match ran {
            Ok(ran) => assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stdout)),
            Err(_) => skip(Need::Latex, "there is no pdflatex"),
        }
    }
    let wrong = lab.run(["report", "--checklist", "reforms", "--format", "pdf"]);
    assert!(wrong.exits(2).stderr().contains("markdown or latex"), "{}", wrong.stderr());
    let wrong = lab.run(["report", "--figures", "f", "--format", "latex"]);
    assert!(wrong.exits(2).stderr().contains("svg, pdf, png or csv"), "{}", wrong.stderr());
    // Of a workflow that says something else by now there is no run.
    lab.edit("my study/workflow.yaml", "seed: 7", "seed: 8");
    let changed = lab.run(["report", "my study/workflow.yaml", "--checklist", "reforms"]);
    assert!(changed.exits(2).stderr().contains("was of another text"), "{}", changed.stderr());
}

#[test]
fn the_numbers_of_figures_come_as_csv() {
    let lab = lab();
    run(&lab);
    lab.run(["report", "--figures", "numbers", "--format", "csv"]).success();
    let mut names: Vec<String> = std::fs::read_dir(lab.path("numbers"))
        .expect("a folder")
        .map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert_eq!(names, ["findings.csv", "null.csv", "spread.csv", "stages.csv"]);
    let null = text(&lab, "numbers/null.csv");
    assert_eq!(null.lines().next(), Some("permutation,balanced_accuracy"));
    assert_eq!(null.lines().count(), 1 + 1 + 19);
    let gaps = text(&lab, "numbers/spread.csv");
    assert_eq!(gaps.lines().count(), 1 + 3, "{gaps}");
    assert!(text(&lab, "numbers/stages.csv").contains("expert,expert.logistic,modality fold,"));
}

#[test]
fn a_deposit_follows_its_profiles_and_answers_their_questions() {
    let lab = lab();
    run(&lab);
    let orcid = "https://orcid.org/0000-0002-1825-0097";
    let deposit = |folder: &str| {
        let author = format!("J. Carberry <{orcid}>");
        lab.run(["report", "--ro-crate", folder, "--license", "CC-BY-4.0", "--author", &author])
            .success();
        let metadata = lab.read(&format!("{folder}/ro-crate-metadata.json"));
        serde_json::from_slice::<Value>(&metadata).expect("JSON")
    };
    let crate_of_run = deposit("deposit");
    let graph = crate_of_run["@graph"].as_array().expect("a graph");
    let entity = |id: &str| graph.iter().find(|entity| entity["@id"] == id).expect("an entity");
    let of_type = |name: &'static str| graph.iter().filter(move |entity| entity["@type"] == name);

    // One execution an action, and the run's own; each with its times, its tool and its agent.
    let manifest = lab.run(["runs", "show", "latest", "--format", "json"]).json();
    let actions = manifest["actions"].as_array().expect("a list").len();
    assert_eq!(of_type("CreateAction").count(), actions + 1);
    for action in of_type("CreateAction") {
        assert!(action["startTime"].is_string() && action["endTime"].is_string(), "{action}");
        assert_eq!(action["agent"]["@id"], orcid);
    }
    assert_eq!(entity(orcid)["name"], "J. Carberry");
    let stages = manifest["stages"].as_array().expect("a list").len();
    assert_eq!((of_type("ControlAction").count(), of_type("HowToStep").count()), (stages, stages));
    assert_eq!(of_type("OrganizeAction").count(), 1);
    // An artifact that one execution made and another read is one entity, named by its content.
    let expert = of_type("CreateAction").find(|of| of["name"] == "expert[modality=voice,fold=0]");
    let made = expert.expect("an execution")["result"].as_array().expect("results").clone();
    let fusion = of_type("CreateAction").find(|of| of["name"] == "fusion[fold=0]");
    let read = fusion.expect("an execution")["object"].as_array().expect("objects").clone();
    assert!(made.iter().any(|artifact| read.contains(artifact)), "{made:?} {read:?}");

    let script = root().join("tests/stories/data/ro_crate.py");
    let folder = lab.path("deposit");
    // Where files lie on this machine is in none of its texts but the authors' own.
    let machine = lab.path(".").canonicalize().expect("a folder").display().to_string();
    for path in files_below(&folder) {
        let inside = path.strip_prefix(&folder).expect("below");
        let bytes = std::fs::read(&path).expect("readable");
        let is_named = bytes.windows(machine.len()).any(|part| part == machine.as_bytes());
        assert!(inside.starts_with("workflow") || !is_named, "{}", inside.display());
    }
    let deposited: Value =
        serde_json::from_slice(&lab.read("deposit/manifest.json")).expect("JSON");
    assert!(deposited["files"].as_array().is_some_and(|files| !files.is_empty()));
    let needs = "rocrate_validator, rocrate, rdflib";
    if let Some(said) = fuseline_tests::python(needs, [script.as_os_str(), folder.as_os_str()]) {
        assert!(said.contains("provenance-run-crate-0.5 passed 0 issues"), "{said}");
    }

    // An action that was reused was not executed, and has no times.
    run(&lab);
    let reused = deposit("reused");
    let graph = reused["@graph"].as_array().expect("a graph");
    let of_tools = graph.iter().filter(|of| of["@type"] == "CreateAction" && of["@id"] != "#run");
    for action in of_tools {
        assert!(
            action["endTime"].is_null()
                && action["description"]
                    .as_str()
                    .is_some_and(|text| text.starts_with("Reused: executed by an earlier run")),
            "{action}"
        );
    }
}
