//! Runs of thousands of small actions, whose artifacts, records and jobs lie in packs.

#![expect(clippy::expect_used, reason = "a story that cannot be told has failed")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fuseline_tests::Lab;
use serde_json::Value;

use crate::concurrency::{end, start, until_some_run_says};
use crate::faults::SmallDisk;

/// Actions that do next to nothing, each with another result.
fn many(actions: usize) -> String {
    let side = 50;
    format!(
        "fuseline: 1
name: many
seed: 1
params: {{ strength: 1.0 }}
axes:
  a: ${{{{ range({}) }}}}
  b: ${{{{ range({side}) }}}}
stages:
  source: {{ uses: load.csv, with: {{ path: data.csv, id: {{ column: id }} }} }}
  cohort:
    uses: cohort.define
    inputs: {{ features: source }}
    with: {{ label: {{ pattern: \"_([ab])\", classes: {{ a: [a], b: [b] }} }} }}
  leaf:
    uses: simulate.features
    over: [a, b]
    inputs: {{ cohort: cohort }}
    with: {{ features: 1, modality: \"m${{{{ a * {side} + b }}}}\", strength: \"${{{{ params.strength }}}}\" }}
",
        actions.div_ceil(side)
    )
}

fn lab(actions: usize) -> Lab {
    let lab = Lab::with_workflow(&many(actions));
    lab.write("data.csv", "id,x\n1_a,1\n2_a,2\n3_b,3\n4_b,4\n");
    lab
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// The pack of a folder that has one.
fn pack(lab: &Lab, folder: &str) -> PathBuf {
    let packs = files(&lab.path(folder).join("packs"));
    let [pack] = &packs[..] else { panic!("{} packs in {folder}", packs.len()) };
    pack.clone()
}

/// The digests of the outputs of each action of the latest run.
fn outputs(lab: &Lab) -> BTreeMap<String, Value> {
    let manifest = lab.run(["runs", "show", "latest", "--format", "json"]).json();
    let actions = manifest["actions"].as_array().expect("a list").iter();
    let text = |action: &Value| action["action"].as_str().expect("a text").to_owned();
    actions.map(|action| (text(action), action["outputs"].clone())).collect()
}

#[test]
fn three_thousand_small_actions_leave_few_files_which_are_read_checked_and_mended_as_any() {
    let lab = lab(3_000);
    let run = |more: &[&str]| {
        let run = ["run", "workflow.yaml", "--format", "json", "--quiet"];
        lab.run(run.iter().chain(more)).json()
    };
    let first = run(&[]);
    assert_eq!(first["executed"], 3_002);
    let left = files(&lab.path("cache")).len();
    assert!(left < 40, "{left} files for 3,002 actions");
    assert_eq!(run(&[])["cached"], 3_002);
    // Also without the index, by the records themselves.
    let indexes = files(&lab.path("cache/workflows"));
    for path in indexes.iter().filter(|path| path.extension().is_some_and(|end| end == "index")) {
        fs::remove_file(path).expect("an index can be removed");
    }
    assert_eq!(run(&[])["cached"], 3_002);
    lab.run(["cache", "verify"]).success();
    let status = lab.run(["cache", "status", "--format", "json"]).json();
    assert_eq!((&status["records"], &status["packs"]), (&3_002.into(), &2.into()));

    // A job that is in a pack is executed apart from its run.
    let manifest = lab.run(["runs", "show", "latest", "--format", "json"]).json();
    let last = manifest["actions"].as_array().and_then(|actions| actions.last()).expect("one");
    lab.run(["exec", last["key"].as_str().expect("a key")]).success();

    // A bit of an artifact, and one of a record: both in the middle of much.
    for folder in ["cache/objects", "cache/actions"] {
        let path = pack(&lab, folder);
        let mut bytes = fs::read(&path).expect("a pack can be read");
        let magic = b"fuseline action record".as_slice();
        let looked_for = if folder.ends_with("actions") { magic } else { b"PAR1" };
        let middle = bytes.len() / 3;
        let found = bytes[middle..].windows(looked_for.len()).position(|at| at == looked_for);
        bytes[middle + found.expect("entries are plain bytes")] ^= 1;
        fs::write(&path, bytes).expect("a pack can be written");
    }
    let found = lab.run(["cache", "verify", "--format", "json"]);
    found.exits(1);
    let found: Value = serde_json::from_str(&found.stdout()).expect("JSON");
    assert_eq!(found["damaged_objects"].as_array().map(Vec::len), Some(1), "{found}");
    assert_eq!(found["damaged_records"].as_array().map(Vec::len), Some(1), "{found}");
    assert_eq!(run(&[])["executed"], 2, "what was damaged is made again, and nothing else");
    lab.run(["cache", "verify"]).success();

    // What no run needs any more goes, and what stays is as it was.
    let before = outputs(&lab);
    run(&["--set", "strength=2.0"]);
    lab.run(["cache", "gc", "--grace", "0", "--keep-runs", "1"]).success();
    let status = lab.run(["cache", "status", "--format", "json"]).json();
    assert_eq!(status["records"], 3_002);
    lab.run(["cache", "verify"]).success();
    assert_eq!(run(&["--set", "strength=2.0"])["cached"], 3_002);
    assert_eq!(run(&[])["executed"], 3_000);
    assert_eq!(outputs(&lab), before);
}

#[test]
fn three_thousand_small_actions_work_on_a_filesystem_of_a_thousand_inodes() {
    let lab = lab(3_000);
    let Some(_disk) = SmallDisk::mount_with(lab.path("cache"), "size=64m,nr_inodes=1000") else {
        return;
    };
    let ran = lab.run(["run", "workflow.yaml", "--format", "json", "--quiet"]).json();
    assert_eq!(ran["executed"], 3_002);
    let again = lab.run(["run", "workflow.yaml", "--set", "strength=2.0", "--format", "json"]);
    assert_eq!(again.json()["executed"], 3_000);
    lab.run(["cache", "verify"]).success();
}

#[test]
fn two_runs_at_once_share_what_they_pack() {
    let lab = lab(1_000);
    let runs =
        ["one", "two"].map(|out| start(&lab, &["--format", "json", "--out", out, "-j", "2"]));
    let ended = runs.map(|run| end(run).json());
    let executed: u64 = ended.iter().filter_map(|run| run["executed"].as_u64()).sum();
    assert_eq!(executed, 1_002, "every action once, by whichever run came first");
    lab.run(["cache", "verify"]).success();
}

#[test]
fn runs_of_many_actions_that_are_killed_go_on_from_what_they_packed() {
    let whole = lab(1_500);
    whole.run(["run", "workflow.yaml", "--quiet"]).success();
    let lab = lab(1_500);
    let mut executed = Vec::new();
    // Moments spread over a run, from before its first pack on.
    for moment in [50, 150, 300, 450, 600, 750] {
        let mut run = start(&lab, &[]);
        until_some_run_says(&lab, "\"started\"");
        std::thread::sleep(Duration::from_millis(moment));
        run.kill().expect("a child can be killed");
        run.wait().expect("a child can be waited for");
        lab.run(["cache", "verify"]).success();
        let status = lab.run(["cache", "status", "--format", "json"]).json();
        executed.push(status["records"].as_u64().expect("a number"));
    }
    assert!(executed.is_sorted(), "{executed:?}: nothing that was finished is lost");
    let last = lab.run(["run", "workflow.yaml", "--format", "json", "--quiet"]).json();
    assert_eq!(last["cached"].as_u64(), executed.last().copied());
    assert_eq!(outputs(&lab), outputs(&whole));
    lab.run(["cache", "verify"]).success();
}

#[test]
fn collections_beside_runs_of_many_actions_take_nothing_that_they_have_seen() {
    let lab = lab(600);
    lab.run(["run", "workflow.yaml", "--quiet"]).success();
    for round in 1..3 {
        let set = format!("strength={}.0", 1 + round % 2);
        let mut run = start(&lab, &["--set", &set, "--format", "json"]);
        while run.try_wait().expect("a child can be asked").is_none() {
            lab.run(["cache", "gc", "--grace", "0", "--keep-runs", "0"]).success();
            std::thread::sleep(Duration::from_millis(200));
        }
        end(run).success();
    }
    lab.run(["cache", "verify"]).success();
}
