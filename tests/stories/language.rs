//! The language as people and editors see it: diagnostics in every format, explanations, graphs,
//! the schema.

use fuseline_tests::{Lab, fuseline, has_python, python, root};
use serde_json::Value;

const FAULTY: &str = "\
fuseline: 1
name: faulty
stages:
  cohort:
    uses: simulate.cohort
    with: { examples: 60, groups: twelve }
  folds:
    uses: split.group_kfold
    inputs: { cohort: cohorts }
    with: { folds: 3 }
outputs:
  folds.parquet: folds
";

const SMALL: &str = "\
fuseline: 1
name: small
axes:
  modality: [audio, video]
stages:
  cohort:
    uses: simulate.cohort
    with: { examples: 60, groups: 12 }
  features:
    uses: simulate.features
    over: [modality]
    inputs: { cohort: cohort }
    with: { strength: 1.0, fidelity: 0.5 }
  folds:
    uses: split.group_kfold
    inputs: { cohort: cohort }
    with: { folds: 3 }
outputs:
  folds.parquet: folds
  audio.parquet: features[modality=audio]
";

#[test]
fn sarif_and_json_tell_the_same_mistakes_at_the_same_places() {
    let lab = Lab::with_workflow(FAULTY);
    let ran = lab.run(["check", "workflow.yaml", "--format", "json"]);
    ran.exits(2);
    let json: Value = serde_json::from_str(&ran.stdout()).expect("JSON");
    let ran = lab.run(["check", "workflow.yaml", "--format", "sarif"]);
    ran.exits(2);
    let sarif: Value = serde_json::from_str(&ran.stdout()).expect("JSON");
    assert_eq!(sarif["version"], "2.1.0");
    let run = &sarif["runs"][0];
    let (found, results) = (&json["diagnostics"], &run["results"]);
    assert_eq!(results.as_array().map(Vec::len), found.as_array().map(Vec::len));
    let mut codes = Vec::new();
    for (found, result) in
        found.as_array().expect("a list").iter().zip(results.as_array().expect("a list"))
    {
        assert_eq!(found["code"], result["ruleId"]);
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "workflow.yaml");
        for (ours, theirs) in [
            ("line", "startLine"),
            ("column", "startColumn"),
            ("end_line", "endLine"),
            ("end_column", "endColumn"),
        ] {
            assert_eq!(found[ours], place["region"][theirs], "{ours}");
        }
        let rule =
            &run["tool"]["driver"]["rules"][result["ruleIndex"].as_u64().expect("a rule") as usize];
        assert_eq!(rule["id"], result["ruleId"]);
        codes.push(found["code"].as_str().expect("a code").to_owned());
    }
    assert_eq!(codes, ["fuseline::option_type", "fuseline::unknown_stage"]);
}

#[test]
fn every_code_that_is_printed_can_be_explained() {
    let lab = Lab::new();
    let listed = lab.run(["explain"]).success().stdout();
    let codes: Vec<&str> = listed.lines().filter(|line| line.starts_with("fuseline::")).collect();
    assert!(codes.len() > 50, "{} codes", codes.len());
    for code in &codes {
        let text = lab.run(["explain", code]).success().stdout();
        assert!(text.starts_with(code) && text.len() > code.len() + 30, "{text}");
    }
    let short = lab.run(["explain", "port_type"]).success().stdout();
    assert_eq!(short, lab.run(["explain", "fuseline::port_type"]).stdout());
    let wrong = lab.run(["explain", "port_typ"]);
    wrong.exits(2);
    assert!(wrong.stderr().contains("did you mean fuseline::port_type?"), "{}", wrong.stderr());
}

#[test]
fn a_graph_counts_actions_and_how_many_of_them_are_cached() {
    let lab = Lab::with_workflow(SMALL);
    let draw = |more: &[&str]| {
        let mut arguments = vec!["graph", "workflow.yaml"];
        arguments.extend(more);
        lab.run(arguments).success().stdout()
    };
    let mermaid = draw(&["--format", "mermaid"]);
    assert!(mermaid.contains("[\"features<br>2 actions, 0 cached\"]"), "{mermaid}");
    assert!(!lab.path("cache").exists(), "drawing makes no cache");
    lab.run(["run", "workflow.yaml", "--only", "folds"]).success();
    let dot = draw(&["--format", "dot"]);
    assert!(dot.contains("cohort\\n1 action, 1 cached"), "{dot}");
    assert!(dot.contains("features\\n2 actions, 0 cached"), "{dot}");
    let svg = draw(&[]);
    assert!(svg.starts_with("<svg ") && svg.contains(">2 actions, 0 cached</text>"), "{svg}");
    let expanded = draw(&["--expand", "--format", "mermaid"]);
    for action in ["cohort", "features[modality=audio]", "features[modality=video]", "folds"] {
        assert!(expanded.contains(&format!("[\"{action}\"]")), "{expanded}");
    }
    assert_eq!(expanded.matches("-->").count(), 3, "{expanded}");
}

#[test]
fn a_new_experiment_is_commented_checked_and_told_from_what_is_there() {
    let lab = Lab::new();
    lab.run(["init", "My Study"]).success();
    let text = String::from_utf8(lab.read("My Study/workflow.yaml")).expect("UTF-8");
    assert!(text.contains("\nname: my-study\n"), "{text}");
    let comments = text.lines().filter(|line| line.trim_start().starts_with('#')).count();
    assert!(comments >= 15, "{comments} lines of comments");
    lab.run(["check", "My Study/workflow.yaml"]).success();
    let schema: Value =
        serde_json::from_slice(&lab.read("My Study/workflow.schema.json")).expect("JSON");
    assert_eq!(schema["title"], "fuseline workflow");
    let again = lab.run(["init", "My Study"]);
    again.exits(2);
    assert!(again.stderr().contains("workflow.yaml is there already"), "{}", again.stderr());
}

#[test]
fn the_schema_in_the_tree_is_the_one_that_is_printed() {
    let path = root().join("schemas/workflow.schema.json");
    let printed = Lab::new().run(["schema"]).success().stdout();
    if std::env::var_os("FUSELINE_UPDATE_SCHEMAS").is_some() {
        std::fs::write(&path, &printed).expect("the schema can be written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == printed, "it is stale: run this test with FUSELINE_UPDATE_SCHEMAS=1");
}

/// Validates with a program that knows nothing of fuseline: the jsonschema package of Python.
const VALIDATE: &str = r#"
import json, sys, yaml, jsonschema
schema = json.load(open(sys.argv[1]))
jsonschema.Draft202012Validator.check_schema(schema)
validator = jsonschema.Draft202012Validator(schema)
for path in sys.argv[2:]:
    errors = list(validator.iter_errors(yaml.safe_load(open(path))))
    print("refused" if errors else "valid", path)
"#;

#[test]
fn an_independent_validator_accepts_what_is_shipped_and_refuses_what_a_schema_can_see() {
    let lab = Lab::new();
    lab.write("schema.json", lab.run(["schema"]).success().stdout());
    let mut shipped = Vec::new();
    for folder in [
        "workflows",
        "examples/python_expert",
        "tests/cases/leaks/legal",
        "tests/cases/leaks/refused",
    ] {
        for entry in std::fs::read_dir(root().join(folder)).expect("it is there") {
            let path = entry.expect("it can be listed").path();
            if path.extension().is_some_and(|ending| ending == "yaml") {
                shipped.push(path);
            }
        }
    }
    let mut faulty = Vec::new();
    for (number, (from, to)) in [
        ("fuseline: 1", "fuseline: 2"),
        ("stages:\n", "stage:\n"),
        ("examples: 60", "example: 60"),
        ("examples: 60", "examples: many"),
        ("groups: 12", "groups: 0"),
        ("    uses: split.group_kfold\n", ""),
        (
            "inputs: { cohort: cohort }\n    with: { strength",
            "inputs: { cohorts: cohort }\n    with: { strength",
        ),
        ("    with: { folds: 3 }\n", ""),
        ("over: [modality]", "over: [[modality]]"),
        ("uses: simulate.cohort", "uses: simulate.cohrt"),
    ]
    .into_iter()
    .enumerate()
    {
        assert!(SMALL.contains(from), "{from}");
        let name = format!("faulty{number}.yaml");
        lab.write(&name, SMALL.replacen(from, to, 1));
        lab.run(["check", &name]).exits(2);
        faulty.push(lab.path(&name));
    }
    let mut arguments = vec!["-c".into(), VALIDATE.into(), lab.path("schema.json")];
    arguments.extend(shipped.iter().chain(&faulty).cloned());
    let Some(said) = python("yaml, jsonschema", arguments) else { return };
    for path in &shipped {
        assert!(
            said.contains(&format!("valid {}", path.display())),
            "{} is refused",
            path.display()
        );
    }
    for path in &faulty {
        assert!(
            said.contains(&format!("refused {}", path.display())),
            "{} is valid",
            path.display()
        );
    }
}

#[test]
fn the_schema_takes_null_for_a_key_or_an_option_exactly_when_the_check_does() {
    let lab = Lab::new();
    let script = root().join("tests/stories/data/nulls.py");
    let arguments = [script, fuseline(), lab.path("nulls.yaml")];
    let Some(said) = python("jsonschema", arguments) else { return };
    let agreed = said.strip_prefix("agreed on ").unwrap_or_else(|| panic!("{said}"));
    assert!(agreed.trim().parse::<usize>().expect("a number") > 250, "{said}");
}

#[test]
fn an_expert_written_in_python_runs_and_is_keyed_by_its_text() {
    if !has_python("numpy, pyarrow") {
        return;
    }
    assert!(fuseline().exists());
    let lab = Lab::new();
    for file in ["workflow.yaml", "expert.py"] {
        let path = root().join("examples/python_expert").join(file);
        lab.write(file, std::fs::read(path).expect("the example is there"));
    }
    let first = lab.run(["run", "workflow.yaml", "--format", "json"]).json();
    assert_eq!(first["executed"], first["actions"]);
    let again = lab.run(["run", "workflow.yaml", "--format", "json"]).json();
    assert_eq!(again["executed"], 0);
    // A comment changes the file, not what it answers: the program runs again and nothing after it
    // does.
    lab.edit("expert.py", "import json", "import json  # to read the task");
    let edited = lab.run(["run", "workflow.yaml", "--format", "json"]).json();
    assert_eq!(edited["executed"], 8, "one for each modality and fold");
    lab.edit("expert.py", "cohort = read(\"cohort\")", "raise SystemExit(\"the cohort is late\")");
    let failed = lab.run(["run", "workflow.yaml"]);
    failed.exits(1);
    assert!(failed.stderr().contains("the cohort is late"), "{}", failed.stderr());
}

#[test]
fn a_seed_a_word_of_python_and_a_home_folder_are_taken_from_the_command_line() {
    let lab = Lab::with_workflow(
        "fuseline: 1\nname: drawn\nseed: 1\nparams: { data: { type: path }, flag: false }\nstages:\n  \
         cohort: { uses: simulate.cohort, with: { examples: \"${{ 20 if params.flag else 10 }}\", groups: 5 } }\n  \
         features: { uses: load.csv, with: { path: \"${{ params.data }}\", id: { column: 0 } } }\n",
    );
    lab.write("home/d.csv", "id,x\na,1\nb,2\n");
    let show = |more: &[&str]| {
        let told = ["--set", "data=~/d.csv"].iter().chain(more).copied();
        let with = |head: &[&'static str]| -> String {
            let mut command = lab.command(head.iter().copied().chain(told.clone()));
            let ran = command.env("HOME", lab.path("home")).output().expect("it can be started");
            let said = String::from_utf8_lossy(&ran.stderr);
            assert!(ran.status.success(), "{said}");
            String::from_utf8(ran.stdout).expect("UTF-8")
        };
        with(&["run", "workflow.yaml"]);
        with(&["show", "workflow.yaml", "cohort"])
    };
    let [first, again, other] = [&["--seed", "1"][..], &[], &["--seed", "2"]].map(show);
    assert_eq!(first, again, "the file's own seed is 1");
    assert_ne!(first, other);
    assert!(show(&["--set", "flag=True"]).lines().count() > first.lines().count());
}

/// Runs what `init` wrote, with few permutations.
fn run_new(lab: &Lab, folder: &str, more: &[&str]) -> Value {
    let workflow = format!("{folder}/workflow.yaml");
    let checked = lab.run(["check", &workflow]);
    checked.success();
    assert_eq!(checked.stderr(), "", "{folder}: a new workflow has nothing to be warned of");
    let mut arguments = vec!["run", &workflow, "--set", "permutations=20", "--format", "json"];
    arguments.extend(more);
    lab.run(arguments).json()
}

#[test]
fn every_template_passes_the_check_and_runs_as_it_is() {
    let lab = Lab::new();
    let small = ["--set", "examples=120", "--set", "folds=2"];
    for (template, more) in [
        ("bring-csv", vec!["--set", "folds=2"]),
        ("frozen-onnx", [&small[..], &["--set", "permutations=5"]].concat()),
        ("frozen-python", small.to_vec()),
        ("sweep", [&small[..], &["--set", "repeats=2"]].concat()),
    ] {
        if template == "frozen-python" && !has_python("numpy, pyarrow") {
            continue;
        }
        lab.run(["init", template, "--template", template]).success();
        let ran = run_new(&lab, template, &more);
        assert_eq!(ran["status"], "ok", "{template}: {ran}");
        assert!(lab.path(format!("results/{template}/report.html")).exists(), "{template}");
        lab.run(["init", template, "--template", template]).exits(2);
    }
    // The workflow of `sweep`, with settings beside it.
    lab.run(["init", "cluster", "--template", "cluster"]).success();
    lab.run(["check", "cluster/workflow.yaml"]).success();
    let settings = lab.run(["config", "cluster/workflow.yaml"]).success().stdout();
    assert!(settings.contains("fuseline.toml"), "{settings}");
    let wrong = lab.run(["init", "x", "--template", "stdy"]);
    wrong.exits(2);
    assert!(wrong.stderr().contains("similar value exists: 'study'"), "{}", wrong.stderr());
}

/// A column: its name, and its text in each row.
type TextColumn<'a> = (&'a str, fn(usize) -> String);

/// Rows of a table of made-up recordings.
fn recordings(name: &str, separator: &str, more: &[TextColumn<'_>]) -> String {
    let head = ["file", "who", "mood"].map(str::to_owned).into_iter();
    let head = head.chain((0..3).map(|k| format!("{name}{k}")));
    let head = head.chain(more.iter().map(|(name, _)| (*name).to_owned()));
    let mut lines = vec![head.collect::<Vec<_>>().join(separator)];
    for row in 0..60_usize {
        let mood = if row % 2 == 0 { "calm" } else { "tense" };
        let noise =
            |k: usize| ((row * 7919 + k * 104_729 + name.len()) % 1000) as f64 / 500.0 - 1.0;
        let lead = if row % 2 == 0 { 0.4 } else { -0.4 };
        let mut cells = vec![format!("r{row:02}"), format!("p{}", row / 6), mood.to_owned()];
        cells.extend((0..3).map(|k| format!("{:.3}", noise(k) + lead)));
        cells.extend(more.iter().map(|(_, value)| value(row)));
        lines.push(cells.join(separator));
    }
    lines.join("\n") + "\n"
}

#[test]
fn a_workflow_is_written_for_the_columns_of_tables_that_are_there() {
    let lab = Lab::new();
    let snr: (&str, fn(usize) -> String) = ("snr", |row| format!("{}", row % 9));
    let note: (&str, fn(usize) -> String) = ("\"note, free\"", |_| "\"a, b\"".to_owned());
    lab.write("in/voice.csv", recordings("v", ",", &[snr, note]));
    lab.write("in/face.csv", recordings("f", ";", &[snr]));
    let named = ["--label", "mood", "--group", "who"];
    let init = |folder: &str, more: &[&str]| {
        let mut arguments = vec!["init", folder];
        arguments.extend(more);
        lab.run(arguments)
    };
    let both = ["--from", "in/voice.csv", "--from", "in/face.csv"];

    let ran = init("measured", &[&both[..], &named, &["--quality", "snr"]].concat());
    ran.success();
    for line in [
        "in/voice.csv: 60 examples by file, 3 features, quality in snr; no features: note, free",
        "in/face.csv: 60 examples by file, 3 features, quality in snr",
        "label mood: calm 30, tense 30",
        "group who: 10, never split",
    ] {
        assert!(ran.stderr().lines().any(|found| found == line), "{line}: {}", ran.stderr());
    }
    assert_eq!(run_new(&lab, "measured", &[])["status"], "ok");
    let findings =
        lab.run(["show", "measured/workflow.yaml", "findings", "--set", "permutations=20"]);
    findings.success();
    assert!(findings.stdout().contains("in_distribution"), "{}", findings.stdout());

    init("estimated", &[&both[..], &named].concat()).success();
    assert_eq!(run_new(&lab, "estimated", &[])["status"], "ok");
    let one = init("single", &["--from", "in/face.csv", "--label", "mood"]);
    assert!(one.success().stderr().contains("one modality: nothing is fused"), "{}", one.stderr());
    assert_eq!(run_new(&lab, "single", &[])["status"], "ok");

    // The index that pandas writes has no name, and readers know it by its number.
    let index = recordings("f", ",", &[snr]).replacen("file,", ",", 1);
    lab.write("in/index.csv", index);
    init("index", &["--from", "in/index.csv", "--label", "mood"]).success();
    assert_eq!(run_new(&lab, "index", &[])["status"], "ok");
    // It numbers the rows of its own file, and says nothing of another's where names are there.
    lab.write("in/first.csv", ",file,mood,x\n0,a,calm,1\n1,b,tense,2\n2,c,calm,3\n");
    lab.write("in/second.csv", ",file,mood,y\n0,c,calm,1\n1,a,calm,2\n2,b,tense,3\n");
    let indexed = ["--from", "in/first.csv", "--from", "in/second.csv", "--label", "mood"];
    let said = init("by_name", &indexed).success().stderr();
    assert!(said.contains("3 examples by file"), "{said}");

    lab.write("in/other.csv", "file,x\nq1,1\nq2,2\n");
    lab.write("in/twice.csv", "file,mood,x,x\nq1,calm,1,2\nq2,tense,2,3\n");
    lab.write(
        "in/commas.csv",
        "file;mood;x\nq1;calm;1,5\nq2;tense;2,5\nq3;calm;2,1\nq4;tense;1,1\n",
    );
    for (arguments, words) in [
        (vec!["--from", "in/voice.csv", "--label", "moood"], "did you mean `mood`?"),
        (vec!["--from", "in/voice.csv", "--label", "file"], "has 60 different values"),
        (vec!["--from", "in/voice.csv", "--label", "mood", "--id", "who"], "do not tell its rows"),
        (vec!["--from", "in/no.csv", "--label", "mood"], "in/no.csv: No such file"),
        (vec!["--from", "in/voice.csv"], "--label <COLUMN>"),
        (vec!["--from", "in/twice.csv", "--label", "mood"], "columns 3 and 4 are both called x"),
        (vec!["--from", "in/commas.csv", "--label", "mood"], "option `decimal`"),
        (
            vec![
                "--from",
                "in/voice.csv",
                "--from",
                "in/other.csv",
                "--label",
                "mood",
                "--id",
                "file",
            ],
            "share no value of `file`: `r00` there, `q1` here",
        ),
    ] {
        let ran = init("never", &arguments);
        ran.exits(2);
        assert!(ran.stderr().contains(words), "{words}: {}", ran.stderr());
    }
    assert!(!lab.path("never").exists());
    let again = init("measured", &[&both[..], &named].concat());
    again.exits(2);
    assert!(again.stderr().contains("workflow.yaml is there already"), "{}", again.stderr());
}

#[test]
fn an_action_that_failed_says_so_as_its_reason() {
    let workflow = "fuseline: 1\nname: failing\nstages:\n  cohort: { uses: simulate.cohort, with: { examples: 20, groups: \
                    5 } }\n  score:\n    uses: command\n    inputs: { cohort: cohort }\n    with:\n      run: [sh, \
                    script.sh]\n      files: [script.sh]\n      inputs: { cohort: { artifact: cohort } }\n      outputs: \
                    { main: { artifact: report, media_type: text/plain } }\n";
    let lab = Lab::with_workflow(workflow);
    let reason = || {
        let plan: Value = serde_json::from_str(
            &lab.run(["plan", "workflow.yaml", "--format", "json"]).success().stdout(),
        )
        .expect("JSON");
        let actions = plan["actions"].as_array().expect("a list").clone();
        let score = actions.iter().find(|action| action["stage"] == "score").expect("an action");
        score["reason"].as_str().expect("a text").to_owned()
    };
    lab.write("script.sh", "echo fine > outputs/main\n");
    lab.run(["run", "workflow.yaml", "--only", "cohort"]).success();
    assert_eq!(reason(), "never executed");
    lab.write("script.sh", "exit 3\n");
    lab.run(["run", "workflow.yaml"]).exits(1);
    assert_eq!(reason(), "failed when it was last executed");
    // A run that does not try it forgets nothing.
    lab.run(["run", "workflow.yaml", "--only", "cohort"]).success();
    assert_eq!(reason(), "failed when it was last executed");
    lab.write("script.sh", "echo fine > outputs/main\n");
    assert_eq!(reason(), "changed since it failed");
    lab.run(["run", "workflow.yaml"]).success();
    assert_eq!(reason(), "cached");
    // What is known of its last success outlives a failure.
    lab.write("script.sh", "echo fine > outputs/main; exit 3\n");
    lab.run(["run", "workflow.yaml"]).exits(1);
    lab.write("script.sh", "echo other > outputs/main\n");
    assert!(reason().contains("file content changed"), "{}", reason());
}

#[test]
fn what_a_failed_program_left_is_kept_where_the_message_says() {
    let workflow = "fuseline: 1\nname: kept\nstages:\n  cohort: { uses: simulate.cohort, with: { examples: 20, groups: 5 \
                    } }\n  score:\n    uses: command\n    inputs: { cohort: cohort }\n    with:\n      run: [sh, \
                    script.sh]\n      files: [script.sh]\n      inputs: { cohort: { artifact: cohort } }\n      outputs: { \
                    main: { artifact: report, media_type: text/plain } }\n";
    let lab = Lab::with_workflow(workflow);
    lab.write("script.sh", "echo half > half-written\necho 'no luck' >&2\nexit 3\n");
    let failed = lab.run(["run", "workflow.yaml"]);
    failed.exits(1);
    assert!(failed.stderr().contains("--keep-failed"), "{}", failed.stderr());
    assert!(failed.stderr().contains("no luck"), "{}", failed.stderr());
    let failed = lab.run(["run", "workflow.yaml", "--keep-failed"]);
    failed.exits(1);
    let runs = lab.path("cache/runs");
    let kept: Vec<_> = std::fs::read_dir(runs)
        .expect("there are runs")
        .map(|run| run.expect("a run").path().join("failed"))
        .filter(|folder| folder.is_dir())
        .flat_map(|folder| std::fs::read_dir(folder).expect("it can be listed"))
        .map(|entry| entry.expect("a folder").path())
        .collect();
    let [kept] = kept.as_slice() else { panic!("{kept:?}") };
    let half = std::fs::read_to_string(kept.join("half-written")).expect("what it wrote");
    assert_eq!(half, "half\n");
    assert!(kept.join("task.json").is_file() && kept.join("inputs/cohort.parquet").is_file());
    let words = failed.stderr().split_whitespace().collect::<String>();
    let name = kept.file_name().expect("a name").to_str().expect("UTF-8");
    assert!(words.contains(name), "{}", failed.stderr());
    // A program that succeeds leaves nothing.
    lab.write("script.sh", "echo fine > outputs/main\n");
    lab.run(["run", "workflow.yaml", "--keep-failed"]).success();
    let left = std::fs::read_dir(lab.path("cache/runs")).expect("runs").filter(|run| {
        let failed = run.as_ref().expect("a run").path().join("failed");
        failed.is_dir() && std::fs::read_dir(failed).expect("a folder").next().is_some()
    });
    assert_eq!(left.count(), 1);
}

#[test]
fn show_and_plan_take_the_params_of_the_last_run_and_say_so() {
    let lab = Lab::with_workflow(
        "fuseline: 1\nname: shown\nparams: { examples: { type: int }, groups: 5 }\nstages:\n  cohort: { uses: \
         simulate.cohort, with: { examples: \"${{ params.examples }}\", groups: \"${{ params.groups }}\" } }\n",
    );
    lab.run(["run", "workflow.yaml", "--set", "examples=20", "--seed", "3"]).success();
    let shown = lab.run(["show", "workflow.yaml", "cohort", "--rows", "0"]);
    shown.success();
    assert!(shown.stderr().contains("as in the last run"), "{}", shown.stderr());
    assert!(shown.stderr().contains("--set examples=20 --seed 3"), "{}", shown.stderr());
    let exact =
        ["show", "workflow.yaml", "cohort", "--rows", "0", "--set", "examples=20", "--seed", "3"];
    let same = lab.run(exact);
    assert_eq!(shown.stdout(), same.success().stdout());
    assert!(!same.stderr().contains("as in the last run"), "{}", same.stderr());
    let planned = lab.run(["plan", "workflow.yaml"]);
    assert!(planned.success().stdout().contains("1 cached, 0 to run."), "{}", planned.stdout());
    assert!(planned.stderr().contains("--set examples=20 --seed 3"), "{}", planned.stderr());
    let json = lab.run(["plan", "workflow.yaml", "--format", "json"]).json();
    assert_eq!(json["actions"][0]["status"], "cached");
    let other = lab.run(["plan", "workflow.yaml", "--set", "examples=21"]);
    assert!(other.success().stdout().contains("0 cached, 1 to run."), "{}", other.stdout());
    // An argument wins, and the rest is as before.
    lab.run(["run", "workflow.yaml", "--set", "examples=30"]).success();
    let other = lab.run(["show", "workflow.yaml", "cohort", "--set", "examples=20", "--seed", "3"]);
    assert!(!other.success().stderr().contains("as in the last run"), "{}", other.stderr());
    let wrong = lab.run(["show", "workflow.yaml", "cohort", "--set", "examples=40"]);
    wrong.exits(2);
    // A run that is given nothing has nothing to be remembered.
    lab.edit("workflow.yaml", "{ type: int }", "25");
    lab.run(["run", "workflow.yaml"]).success();
    let plain = lab.run(["show", "workflow.yaml", "cohort"]);
    assert!(!plain.success().stderr().contains("as in the last run"), "{}", plain.stderr());
}

#[test]
fn a_stage_draws_from_its_own_seed_and_points_that_share_a_result_are_told() {
    let lab = Lab::with_workflow(
        "fuseline: 1\nname: seeds\nseed: 1\naxes: { seed: [1, 2, 3], copy: [a, b] }\nstages:\n  cohort: { uses: \
         simulate.cohort, over: [seed], seed: \"${{ seed }}\", with: { examples: 20, groups: 5 } }\n  plain: { uses: \
         simulate.cohort, with: { examples: 20, groups: 5 } }\n  folds: { uses: split.group_kfold, over: [seed, copy], \
         inputs: { cohort: cohort }, with: { folds: 2 } }\n",
    );
    let ran = lab.run(["run", "workflow.yaml"]);
    let said = ran.success().stdout();
    // Cohorts 1 and plain are one, and so are the two folds of each seed.
    assert!(said.contains("10 actions: 6 executed, 4 cached (4 at points that share"), "{said}");
    assert!(!ran.stderr().contains("is executing it"), "{}", ran.stderr());
    let show = |output: &str| lab.run(["show", "workflow.yaml", output]).success().stdout();
    assert_eq!(show("cohort[seed=1]"), show("plain"));
    assert_ne!(show("cohort[seed=2]"), show("plain"));
    let again = lab.run(["run", "workflow.yaml"]).success().stdout();
    assert!(again.contains("10 actions: 0 executed, 10 cached, in"), "{again}");
}

#[test]
fn a_fault_of_the_data_is_underlined_at_the_input_that_has_it() {
    let lab = Lab::with_workflow(
        "fuseline: 1\nname: fault\naxes: { modality: [a] }\nstages:\n  features:\n    uses: load.csv\n    over: \
         [modality]\n    with: { path: d.csv, id: { column: id }, columns: { include: [x] } }\n  cohort:\n    uses: \
         cohort.define\n    inputs: { features: features }\n    with: { table: { path: d.csv, id: { column: id } }, \
         label: { column: y } }\n  folds: { uses: split.group_kfold, inputs: { cohort: cohort }, with: { folds: 2 } \
         }\n  other:\n    uses: load.csv\n    over: [modality]\n    with: { path: e.csv, id: { column: id } }\n  \
         expert:\n    uses: expert.logistic\n    over: [modality]\n    inputs:\n      cohort: cohort\n      folds: \
         folds\n      features: other\n    with: { test_fold: 0, inner_folds: 2 }\n",
    );
    let rows = (0..12).map(|row| format!("r{row},{row},{}\n", ["no", "yes"][row / 2 % 2]));
    lab.write("d.csv", format!("id,x,y\n{}", rows.collect::<String>()));
    lab.write("e.csv", "id,x\nq1,1\nq2,2\n");
    let ran = lab.run(["run", "workflow.yaml"]);
    ran.exits(2);
    let text = String::from_utf8(lab.read("workflow.yaml")).expect("UTF-8");
    let line =
        text.lines().position(|line| line.trim() == "features: other").expect("the input") + 1;
    assert!(ran.stderr().contains(&format!("workflow.yaml:{line}:7")), "{}", ran.stderr());
}
