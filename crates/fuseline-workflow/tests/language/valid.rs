//! Valid workflows, and their content independent of layout.

use std::time::Duration;

use fuseline_workflow::{ActionIndex, Isolation, Sandbox, Workflow};
use serde_json::json;

use crate::faulty::{check_case, files};
use crate::fixture::{cases, check_text, render};

#[test]
fn every_valid_workflow_has_nothing_wrong() {
    for path in files("valid") {
        let text = std::fs::read_to_string(&path).expect("a case");
        let text = format!("{text}# set data=stress\n");
        let text =
            if text.contains("  data:") { text } else { text.replace("# set data=stress\n", "") };
        let checked = check_case(&path, &text);
        assert_eq!(render(&checked.diagnostics, &checked.files), "", "{}", path.display());
        assert!(checked.workflow.is_some());
    }
}

fn everything() -> Workflow {
    let path = cases().join("valid/everything.yaml");
    let text = std::fs::read_to_string(&path).expect("the case");
    check_case(&path, &text).workflow.expect("a workflow")
}

#[test]
fn every_part_of_a_workflow_arrives() {
    let workflow = everything();
    assert_eq!((workflow.name.as_str(), workflow.seed), ("everything", 7));
    assert_eq!(workflow.path.to_str(), Some("/study/everything.yaml"));
    assert_eq!(workflow.plugins, [std::path::PathBuf::from("/rules")]);
    assert_eq!(workflow.rule_files, [("org.example.gate".to_owned(), "/study/gate.py".into())]);
    assert_eq!(workflow.isolation, Some(Isolation::InProcess));
    assert_eq!(workflow.sandbox, Some(Sandbox::Strict));
    let [(rule, sandbox, _)] = &workflow.sandboxes[..] else { panic!("one rule is named") };
    assert_eq!((rule.as_str(), *sandbox), ("gate", Sandbox::Off));
    let python = workflow.python.as_ref().expect("it is named");
    assert_eq!(python.value.to_str(), Some("/env/bin/python3"));
    let memory = workflow.limits.memory.as_ref().expect("it is limited");
    let stated = (memory.value, python.origin.as_str(), memory.origin.as_str());
    assert_eq!(stated, (64_000_000_000, "everything.yaml:114", "everything.yaml:113"));
    let stage = |name: &str| workflow.stages.iter().find(|s| s.name == name).expect("the stage");
    let expert = stage("expert");
    assert_eq!(expert.execution.retries, 2);
    assert_eq!(expert.execution.timeout, Some(Duration::from_secs(90)));
    assert_eq!(expert.execution.memory, Some(512 << 20));
    assert_eq!((expert.execution.cpu, expert.execution.cache), (Some(0.5), false));
    assert_eq!(expert.execution.isolation, Some(Isolation::Worker));
    assert_eq!(expert.execution.required_layers[0].0, "seccomp");
    assert_eq!(expert.execution.sandbox, Some(Sandbox::Strict));
    let call = expert.execution.limits.call.as_ref().map(|call| call.value);
    assert_eq!(call, Some(Duration::from_secs(6 * 3600)));
    assert_eq!(stage("fusion").actions.len(), 6, "where drops one rule at one quality");
    let options = &stage("fusion").variants.raw[1].options;
    assert_eq!(options["params"]["label"], "mean-flat-1");
    let score = stage("score");
    assert_eq!(
        score.variants.raw[2].options["run"],
        json!(["python", "/scripts/score.py", "--alpha=1.0", "1.0"])
    );
    assert_eq!(
        score.variants.raw[1].options["files"],
        json!(["/scripts/score.py", "/study/helper.py"])
    );
    let declared = score.variants.raw[0].declared.as_ref().expect("declared ports");
    assert_eq!((declared.inputs.len(), declared.outputs.len()), (2, 2));
    // A bare reference to a stage with several outputs is its `main`.
    let findings = stage("findings");
    assert_eq!(score.outputs[findings.inputs.raw[0].sources[1].output].name, "main");
    let log = workflow.outputs.iter().find(|output| output.file.ends_with("log.txt")).expect("it");
    assert_eq!((log.action, score.outputs[log.output].name.as_str()), (ActionIndex(1), "log"));
}

#[test]
fn a_place_of_an_option_falls_back_to_what_is_around_it() {
    let workflow = everything();
    let checked = check_case(
        &cases().join("valid/everything.yaml"),
        &std::fs::read_to_string(cases().join("valid/everything.yaml")).expect("the case"),
    );
    let cohort = workflow.stages.iter().find(|stage| stage.name == "cohort").expect("the stage");
    let places = &cohort.variants.raw[0].places;
    let at = |path: &str| checked.files.slice(&places.place(path)).to_owned();
    assert_eq!(at("require"), "any");
    assert_eq!(at("label.classes.rest[1]"), "c");
    assert_eq!(at("label.classes.other"), "{ \"no\": [a], rest: [b, c] }");
    assert_eq!(at("missing"), "with");
    assert_eq!(checked.files.slice(&places.key_place("label.classes.rest")), "rest");
}

const SMALL: &str = "fuseline: 1\nname: trial\nparams: { n: 2, m: 3 }\naxes: { fold: [0, 1], \
    rule: [a, b] }\nstages:\n  one: { uses: simulate.features, over: [fold, rule], with: { \
    examples: \"${{ params.n * params.m }}\" } }\n  two: { uses: simulate.features }\n";

fn digest(text: &str, set: &[(&str, &str)]) -> [u8; 32] {
    let checked = check_text(text, set);
    let found = render(&checked.diagnostics, &checked.files);
    checked.workflow.unwrap_or_else(|| panic!("{found}")).digest
}

#[test]
fn the_digest_does_not_depend_on_layout_order_of_names_or_overrides() {
    let other = "# a comment\nname: \"trial\"\nfuseline: 1\nparams:\n  m: 3 # more\n  n: \
        2\naxes:\n  fold:\n    - 0\n    - 1\n  rule: ['a', b]\nstages:\n  two:\n    uses: \
        simulate.features\n  one:\n    with:\n      examples: ${{ params.n * params.m \
        }}\n    over:\n      - fold\n      - rule\n    uses: simulate.features\n";
    assert_eq!(digest(SMALL, &[]), digest(other, &[("n", "5")]));
    let windows = format!("\u{feff}{}", other.replace('\n', "\r\n"));
    assert_eq!(digest(SMALL, &[]), digest(&windows, &[]), "nor on line ends and byte order marks");
}

#[test]
fn the_digest_depends_on_everything_that_a_workflow_says() {
    let first = digest(SMALL, &[]);
    for (from, to) in [
        ("trial", "other"),
        ("n: 2", "n: 4"),
        ("fold: [0, 1], rule: [a, b]", "rule: [a, b], fold: [0, 1]"),
        ("[0, 1]", "[1, 0]"),
        ("[0, 1]", "[0, \"1\"]"),
        ("two:", "three:"),
        ("params.n *", "params.n +"),
        ("params: {", "seed: 1\nparams: {"),
    ] {
        let text = SMALL.replacen(from, to, 1);
        assert_ne!(text, SMALL);
        assert_ne!(digest(&text, &[]), first, "{from} -> {to}");
    }
}

#[test]
fn set_goes_before_a_params_file_and_paths_are_relative_to_where_they_are_given() {
    let text = "fuseline: 1\nname: trial\nparams: { a: { type: path, default: a.csv }, b: { type: \
        path }, c: 1.5 }\nstages:\n  one: { uses: load.csv, with: { path: \"${{ params.a }}\", \
        id: { column: \"${{ params.b }}\" } } }\n  two: { uses: load.csv, with: { path: here.csv, \
        id: { column: \"${{ params.c }}\" } } }\n";
    let text = text.replace("column: \"${{ params.c }}\"", "column: \"${{ int(params.c) }}\"");
    let source = fuseline_workflow::Source { path: "flows/trial.yaml".as_ref(), text: &text };
    let params_file = fuseline_workflow::ParamsFile {
        path: "settings/p.yaml".into(),
        text: "a: file.csv\nb: file.csv\nc: 4\n".to_owned(),
    };
    let overrides = fuseline_workflow::Overrides {
        set: vec![("b".to_owned(), "../set.csv".to_owned())],
        params_file: Some(params_file),
        working_dir: "/study".into(),
        ..Default::default()
    };
    let checked = fuseline_workflow::check(
        source,
        &crate::fixture::catalogue(),
        &overrides,
        &fuseline_workflow::Limits::default(),
        &crate::fixture::no_files,
    );
    let workflow = checked.workflow.expect("a workflow");
    let values: Vec<_> = workflow.params.iter().map(|(_, value)| value.clone()).collect();
    assert_eq!(values, [json!("/study/settings/file.csv"), json!("/set.csv"), json!(4.0)]);
    assert_eq!(workflow.stages.raw[1].variants.raw[0].options["path"], "/study/flows/here.csv");
}

/// A stage of 700 points, whose options are made on several threads.
fn many_points(examples: &str) -> String {
    format!(
        "fuseline: 1\nname: many\naxes:\n  n: ${{{{ range(700) }}}}\nstages:\n  raw: {{ uses: \
         simulate.features, over: [n], with: {{ examples: \"${{{{ {examples} }}}}\" }} }}\n"
    )
}

#[test]
fn many_points_have_their_options_in_order() {
    let checked = check_text(&many_points("n + 2"), &[]);
    let workflow = checked.workflow.expect("a workflow");
    let stage = &workflow.stages.raw[0];
    let found: Vec<_> = stage.variants.iter().map(|of| of.options["examples"].as_u64()).collect();
    assert_eq!(found, (0..700).map(|n| Some(n + 2)).collect::<Vec<_>>());
}

#[test]
fn a_mistake_at_some_of_many_points_is_said_once_with_the_first_of_them() {
    let checked = check_text(&many_points("2 if n < 650 else 1"), &[]);
    assert!(checked.workflow.is_none());
    let labels: Vec<_> =
        checked.diagnostics.iter().filter(|found| found.is_error()).map(|of| &of.label).collect();
    assert_eq!(labels, [&Some("at n=650 and 49 more".to_owned())]);
}
