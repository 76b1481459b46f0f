//! A run in which nothing changed is not planned again, and says the same as if it had been.

use std::fs;
use std::process::Command;

use fuseline_tests::{Lab, root};
use serde_json::Value;

/// The names of the runs, in order.
fn runs(lab: &Lab) -> Vec<String> {
    let entries = fs::read_dir(lab.path("cache/runs")).expect("there are runs");
    let mut runs: Vec<_> = entries
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("text"))
        .collect();
    runs.sort();
    runs
}

/// True if the last run planned: only then may it have jobs to write down.
fn planned(lab: &Lab) -> bool {
    lab.path(format!("cache/runs/{}/jobs", runs(lab).last().expect("a run"))).exists()
}

/// Everything that a run left behind, without the parts about that run alone.
fn left(lab: &Lab, run: &str) -> (Value, Vec<u8>, Vec<Value>) {
    let json = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
    let file = |name: &str| lab.read(&format!("cache/runs/{run}/{name}"));
    let text = |name: &str| String::from_utf8(file(name)).expect("text");
    let mut manifest = json(&text("manifest.json"));
    let fields = manifest.as_object_mut().expect("a mapping");
    for own in ["run", "started_at", "seconds", "peak_memory"] {
        fields.remove(own).expect("what is about the run is there");
    }
    let mut events: Vec<_> = text("events.jsonl").lines().map(json).collect();
    for own in events.iter_mut().filter_map(Value::as_object_mut) {
        for own_field in ["milliseconds", "run", "seconds"] {
            own.remove(own_field);
        }
    }
    (manifest, file("context.json"), events)
}

fn small() -> Lab {
    Lab::with_workflow(
        &fs::read_to_string(root().join("tests/cases/small.yaml")).expect("the workflow"),
    )
}

#[track_caller]
fn run(lab: &Lab, more: &[&str]) -> Value {
    lab.run([&["run", "workflow.yaml", "--format", "json"], more].concat()).json()
}

#[test]
fn it_leaves_behind_what_a_run_that_plans_leaves_behind() {
    let lab = small();
    run(&lab, &[]);
    assert!(planned(&lab), "nothing was known");
    let again = run(&lab, &[]);
    assert!(!planned(&lab));
    assert_eq!((&again["executed"], &again["status"]), (&0.into(), &"ok".into()));
    assert_eq!(again["cached"], again["actions"]);
    // The same plan, requested by other arguments.
    let other = run(&lab, &["--max-actions", "1000"]);
    assert!(planned(&lab));
    assert_eq!((&other["outputs"], &other["cached"]), (&again["outputs"], &again["cached"]));
    let runs = runs(&lab);
    assert_eq!(left(&lab, &runs[1]), left(&lab, &runs[2]));
    let diff = lab.run(["runs", "diff", &runs[0], &runs[1]]);
    assert!(diff.success().stdout().contains("0 changed"));
    let human = lab.run(["run", "workflow.yaml", "--max-actions", "1000"]);
    assert!(!planned(&lab), "what the last run noted counts");
    assert!(human.success().stdout().contains("0 executed"), "{}", human.stdout());
    lab.run(["cache", "verify"]).success();
}

#[test]
fn whatever_may_change_the_plan_is_noticed() {
    let lab = Lab::new();
    let text = fs::read_to_string(root().join("tests/cases/small.yaml")).expect("the workflow");
    let (head, stages) = text.split_once("stages:\n").expect("stages");
    let (included, report) = stages.split_once("  report:\n").expect("the last stage");
    lab.write("stages.yaml", format!("fuseline: 1\nstages:\n{included}"));
    let own = format!("{head}include: [stages.yaml]\nstages:\n  report:\n{report}");
    lab.write("workflow.yaml", own);
    lab.write("params.yaml", "permutations: 21\n");
    lab.write("plugins/nothing.py", "# no rule\n");
    let with = ["--params", "params.yaml", "--plugin-path", "plugins"];
    let executed = |what: &str| {
        let ran = run(&lab, &with);
        assert!(planned(&lab), "{what} was not noticed");
        let again = run(&lab, &with);
        assert!(!planned(&lab), "after {what} nothing changed any more");
        assert_eq!(again["executed"], 0, "{what}");
        ran["executed"].as_u64().expect("a number")
    };
    assert!(executed("the first run") > 0);
    lab.edit("params.yaml", "21", "22");
    assert!(executed("a param in a file") > 0);
    lab.edit("stages.yaml", "equivalence_margin: 0.02", "equivalence_margin: 0.03");
    assert!(executed("an included file") > 0);
    lab.edit("workflow.yaml", "seed: 1", "seed: 2");
    assert!(executed("the workflow") > 0);
    lab.edit("workflow.yaml", "seed: 2", "seed: 2  # a comment");
    assert_eq!(executed("a comment, which may be anything until it is read"), 0);
    lab.write("plugins/another.py", "# no rule either\n");
    assert_eq!(executed("a file that may be a rule"), 0);
    lab.write("plugins/nothing.py", "# still no rule\n");
    assert_eq!(executed("a file that may have become a rule"), 0);
    lab.run(["plugin", "lock"]).success();
    assert_eq!(executed("a lock"), 0);
    let objects = lab.objects_of("expert");
    fs::remove_file(&objects[0]).expect("it can be removed");
    assert!(executed("an artifact that is gone") > 0);
    fs::rename(lab.path("cache/workflows"), lab.path("elsewhere")).expect("it can be moved");
    fs::create_dir(lab.path("cache/workflows")).expect("a folder");
    assert_eq!(executed("a cache that lost what it noted"), 0);
}

#[test]
fn a_file_of_data_that_changed_is_noticed_and_one_that_was_touched_is_read() {
    let lab = Lab::with_workflow(
        "fuseline: 1\nname: w\nstages:\n  table:\n    uses: load.csv\n    with: { path: data.csv, \
         id: { column: example_id } }\noutputs:\n  table.parquet: table\n",
    );
    lab.write("data.csv", "example_id,x\na,1\nb,2\n");
    assert_eq!(run(&lab, &[])["executed"], 1);
    lab.write("data.csv", "example_id,x\na,1\nb,2\n");
    assert_eq!(run(&lab, &[])["executed"], 0);
    assert!(!planned(&lab), "the same bytes");
    lab.write("data.csv", "example_id,x\na,1\nb,3\n");
    assert_eq!(run(&lab, &[])["executed"], 1);
    fs::remove_file(lab.path("data.csv")).expect("it can be removed");
    let missing = lab.run(["run", "workflow.yaml"]);
    assert!(missing.exits(2).stderr().contains("data.csv"), "{}", missing.stderr());
}

#[test]
fn an_output_that_was_removed_or_changed_is_written_again() {
    let lab = small();
    run(&lab, &[]);
    let findings = lab.read("results/small/findings.parquet");
    fs::remove_file(lab.path("results/small/findings.parquet")).expect("it can be removed");
    lab.write("results/small/report.html", "something else");
    run(&lab, &[]);
    assert!(!planned(&lab));
    assert_eq!(lab.read("results/small/findings.parquet"), findings);
    assert_ne!(lab.read("results/small/report.html"), b"something else");
    run(&lab, &["--out", "elsewhere"]);
    assert!(!planned(&lab), "where the outputs go is no part of a plan");
    assert_eq!(lab.read("elsewhere/findings.parquet"), findings);
}

#[test]
fn what_is_made_in_every_run_and_what_must_be_said_in_every_run_is() {
    let lab = small();
    lab.edit("workflow.yaml", "    uses: report.html", "    cache: false\n    uses: report.html");
    for _ in 0..2 {
        run(&lab, &[]);
        assert_eq!(run(&lab, &[])["executed"], 1);
    }
    let warned = small();
    warned.edit("workflow.yaml", "  examples: 60", "  examples: 60\n  unused: 1");
    for _ in 0..3 {
        let ran = warned.run(["run", "workflow.yaml"]);
        assert!(ran.success().stderr().contains("nothing uses the param"), "{}", ran.stderr());
    }
}

#[test]
fn a_part_of_the_plan_does_not_stand_for_all_of_it() {
    let lab = small();
    let part = run(&lab, &["--only", "features"]);
    assert!(run(&lab, &[])["executed"].as_u64() > Some(0), "{part}");
    assert_eq!(run(&lab, &["--only", "features"])["cached"], part["executed"]);
    assert!(planned(&lab));
    assert_eq!(run(&lab, &[])["executed"], 0);
}

/// Removes, in all of a value, what differs between two runs of the same.
fn without_times(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for own in ["run", "started_at", "seconds", "cpu_seconds", "milliseconds"] {
                fields.remove(own);
            }
            fields.remove("peak_memory");
            fields.values_mut().for_each(without_times);
        }
        Value::Array(items) => items.iter_mut().for_each(without_times),
        _ => {}
    }
}

#[test]
fn after_any_edits_a_run_does_what_it_does_without_an_index() {
    let edits = [
        ("seed: 1", "seed: 2"),
        ("permutations: 20", "permutations: 21"),
        ("quality: [margin, constant]", "quality: [constant, margin, entropy]"),
        ("rule: [mean, lr]", "rule: [product, mean]"),
        ("fidelity: 0.9", "fidelity: 0.8"),
        ("equivalence_margin: 0.02", "equivalence_margin: 0.03"),
        ("    uses: report.html", "    retries: 1\n    uses: report.html"),
    ];
    let lab = small();
    let mut is_made = [false; 7];
    let last = |lab: &Lab| {
        let ran = run(lab, &["-j", "1"]);
        let runs = runs(lab);
        let (mut manifest, context, mut events) = left(lab, runs.last().expect("a run"));
        without_times(&mut manifest);
        events.iter_mut().for_each(without_times);
        let findings = lab.read("results/small/findings.parquet");
        (manifest, context, events, findings, ran["executed"].clone())
    };
    last(&lab);
    let (mut state, mut executed) = (7_u64, 0);
    for step in 0..4 {
        // One or two edits are made, or taken back.
        for _ in 0..=step % 2 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let edit = (state >> 33) as usize % edits.len();
            let (from, to) = edits[edit];
            let (from, to) = if is_made[edit] { (to, from) } else { (from, to) };
            is_made[edit] = !is_made[edit];
            lab.edit("workflow.yaml", from, to);
        }
        let (cache, kept) = (lab.path("cache"), lab.path("kept"));
        let copied = Command::new("cp").arg("-a").arg(&cache).arg(&kept).status();
        assert!(copied.expect("cp is there").success());
        let with_index = last(&lab);
        fs::remove_dir_all(&cache).expect("it can be removed");
        fs::rename(&kept, &cache).expect("it can be moved");
        for entry in fs::read_dir(cache.join("workflows")).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|end| end == "index" || end == "memo") {
                fs::remove_file(path).expect("it can be removed");
            }
        }
        assert_eq!(with_index, last(&lab), "step {step}: {is_made:?}");
        executed += with_index.4.as_u64().expect("a number");
    }
    assert!(executed > 0, "some edits reach results");
}
