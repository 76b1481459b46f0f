//! Faults and their consequences. `docs/faults.md` lists these stories.

#![expect(clippy::expect_used, reason = "a story that cannot be told has failed")]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use fuseline_tests::kills::{SMALL, kill_runs};
use fuseline_tests::{Lab, Need, Ran, fuseline, skip};
use rustix::process::Signal;
use serde_json::Value;

use crate::concurrency::{SLOW, end, signal, start, until_some_run_says};

/// Flips one bit in the middle.
fn damage(path: &Path) {
    let mut bytes = fs::read(path).expect("an object can be read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).expect("an object can be written");
}

fn key_of(lab: &Lab, action: &str) -> String {
    let manifest = lab.run(["runs", "show", "latest", "--format", "json"]).json();
    let actions = manifest["actions"].as_array().expect("a list");
    let found = actions.iter().find(|of| of["action"] == action).expect("the action is there");
    found["key"].as_str().expect("it was reached").to_owned()
}

#[test]
fn runs_killed_at_random_moments_go_on_and_give_every_byte_of_an_undisturbed_one() {
    let found = kill_runs(8, 7, false, |_| {});
    assert_eq!(found.differences, Vec::<String>::new());
    assert_eq!(found.kills, 8);
    assert!(found.compared >= 40, "{found:?}");
}

#[test]
fn damaged_inputs_are_made_again_within_the_run() {
    let lab = Lab::with_workflow(SMALL);
    lab.run(["run", "workflow.yaml"]).success();
    let experts = lab.objects_of("expert");
    assert_eq!(experts.len(), 8, "two ports at two modalities and two folds");
    experts.iter().for_each(|path| damage(path));
    let again = lab.run(["run", "workflow.yaml", "--set", "permutations=40", "--format", "json"]);
    // Permute, summaries, findings, report; and the experts' four actions, which two damaged ports
    // share.
    assert_eq!(again.json()["executed"], 14 + 4);
    let said = again.stderr();
    assert!(
        said.contains("is damaged or gone; expert[modality=a,fold=0] makes it again"),
        "{said}"
    );

    let whole = Lab::with_workflow(SMALL);
    whole.run(["run", "workflow.yaml", "--set", "permutations=40"]).success();
    for file in ["results/small/report.html", "results/small/findings.parquet"] {
        assert!(lab.read(file) == whole.read(file), "{file} differs");
    }
    // The training evidence was not read again, so only its damaged copies are named now.
    lab.run(["cache", "verify"]);
    lab.run(["run", "workflow.yaml"]).success();
    lab.run(["cache", "verify"]).success();
}

#[test]
fn a_damaged_output_is_made_again_when_it_is_delivered() {
    let lab = Lab::with_workflow(SMALL);
    lab.run(["run", "workflow.yaml"]).success();
    let report = lab.read("results/small/report.html");
    lab.objects_of("report").iter().for_each(|path| damage(path));
    fs::remove_dir_all(lab.path("results")).expect("results can be removed");
    let again = lab.run(["run", "workflow.yaml", "--format", "json"]).json();
    assert_eq!((&again["executed"], &again["status"]), (&Value::from(1), &Value::from("ok")));
    assert!(lab.read("results/small/report.html") == report);
}

#[test]
fn verify_names_damage_and_the_next_run_makes_it_again() {
    let lab = Lab::with_workflow(SMALL);
    lab.run(["run", "workflow.yaml"]).success();
    lab.run(["cache", "verify"]).success();
    damage(&lab.objects_of("cohort")[0]);
    fs::remove_file(&lab.objects_of("folds")[0]).expect("an object can be removed");
    let record = fs::read_dir(lab.path("cache/actions"))
        .expect("a folder")
        .flat_map(|shard| fs::read_dir(shard.expect("a shard").path()).expect("a folder"))
        .map(|record| record.expect("a record").path())
        .next()
        .expect("there are records");
    damage(&record);
    let found = lab.run(["cache", "verify", "--format", "json"]);
    found.exits(1);
    let found: Value = serde_json::from_str(&found.stdout()).expect("JSON");
    assert_eq!(found["damaged_objects"].as_array().map(Vec::len), Some(1), "{found}");
    assert_eq!(found["damaged_records"].as_array().map(Vec::len), Some(1), "{found}");
    assert!(found["missing"].as_array().is_some_and(|missing| !missing.is_empty()), "{found}");
    lab.run(["run", "workflow.yaml"]).success();
    lab.run(["cache", "verify"]).success();
}

#[test]
fn a_workflow_edited_while_it_runs_is_the_one_that_was_read() {
    let lab = Lab::with_workflow(SLOW);
    let run = start(&lab, &["--format", "json"]);
    until_some_run_says(&lab, "\"started\"");
    lab.edit("workflow.yaml", "printf done", "printf edited");
    end(run).success();
    assert_eq!(lab.read("results/slow/waited.txt"), b"done");
    let next = lab.run(["run", "workflow.yaml", "--format", "json"]).json();
    assert_eq!(next["executed"], 1);
    assert_eq!(lab.read("results/slow/waited.txt"), b"edited");
}

#[test]
fn an_edit_of_the_same_size_right_after_a_run_is_seen() {
    let lab = Lab::with_workflow(
        "fuseline: 1\nname: load\nstages:\n  load:\n    uses: load.csv\n    with: { path: \
         data.csv, header: true, id: { column: 0 } }\noutputs: { features.parquet: load }\n",
    );
    lab.write("data.csv", "id,x\na,1\nb,2\n");
    for (text, executed) in [("a,1", 1), ("a,3", 1), ("a,3", 0), ("a,4", 1), ("a,1", 0)] {
        lab.write("data.csv", format!("id,x\n{text}\nb,2\n"));
        let run = lab.run(["run", "workflow.yaml", "--format", "json"]).json();
        assert_eq!(run["executed"], executed, "{text}");
    }
}

#[test]
fn a_source_edited_while_it_is_used_fails_the_action_and_not_the_cache() {
    let lab = Lab::with_workflow(
        "fuseline: 1\nname: load\nstages:\n  load:\n    uses: command\n    with:\n      run: [sh, \
         -c, \"cp data.txt outputs/main\"]\n      files: [data.txt]\n      outputs: { main: { \
         artifact: report, media_type: text/plain } }\noutputs: { copy.txt: load }\n",
    );
    lab.write("data.txt", "one");
    let first = lab.run(["run", "workflow.yaml"]);
    first.success();
    let key = key_of(&lab, "load");
    // The job names the file with the digest that it had; it is another one now.
    lab.write("data.txt", "two");
    let refused = lab.run(["exec", &key, "--again"]);
    refused.exits(2);
    assert!(refused.stderr().contains("file content changed"), "{}", refused.stderr());
    lab.run(["run", "workflow.yaml"]).success();
    assert_eq!(lab.read("results/load/copy.txt"), b"two");
}

#[test]
fn an_interrupted_run_finishes_what_is_in_flight_and_goes_on_later() {
    // A second stage that needs the first.
    let then = "  then:
    uses: command
    inputs: { before: wait }
    with:
      run: [sh, -c, \"printf more > outputs/main\"]
      inputs: { before: { artifact: report } }
      outputs: { main: { artifact: report, media_type: text/plain } }
outputs:
  then.txt: then";
    let lab = Lab::with_workflow(&SLOW.replace("outputs:\n  waited.txt: wait", then));
    let run = start(&lab, &["--format", "json"]);
    until_some_run_says(&lab, "\"started\"");
    signal(&run, Signal::INT);
    let ended = end(run);
    ended.exits(130);
    let said = ended.stderr();
    assert!(said.contains("Finishing what is in flight (1 action)"), "{said}");
    let runs = lab.run(["runs", "list", "--format", "json"]).json();
    assert_eq!(runs["runs"][0]["status"], "interrupted");
    assert_eq!(runs["runs"][0]["executed"], 1);
    assert_eq!(runs["runs"][0]["skipped"], 1);
    let next = lab.run(["run", "workflow.yaml", "--format", "json"]).json();
    assert_eq!((&next["cached"], &next["executed"]), (&Value::from(1), &Value::from(1)));
}

#[test]
fn a_run_interrupted_twice_stops_at_once_and_goes_on_later() {
    let lab = Lab::with_workflow(SLOW);
    let run = start(&lab, &["--set", "seconds=30"]);
    until_some_run_says(&lab, "\"started\"");
    let runs = lab.run(["runs", "list", "--format", "json"]).json();
    assert_eq!(runs["runs"][0]["status"], "running");
    let asked = Instant::now();
    signal(&run, Signal::INT);
    until_some_run_says(&lab, "\"stopping\"");
    signal(&run, Signal::INT);
    end(run).exits(130);
    assert!(asked.elapsed() < Duration::from_secs(10));
    let runs = lab.run(["runs", "list", "--format", "json"]).json();
    assert_eq!(runs["runs"][0]["status"], "unfinished");
    lab.run(["run", "workflow.yaml", "--set", "seconds=0"]).success();
    lab.run(["cache", "verify"]).success();
}

#[test]
fn an_action_that_takes_longer_than_its_timeout_fails_and_the_others_go_on() {
    let lab = Lab::with_workflow(
        &SLOW.replace("    uses: command", "    timeout: 300ms\n    uses: command"),
    );
    let started = Instant::now();
    let ended = lab.run(["run", "workflow.yaml", "--set", "seconds=30", "--format", "json"]);
    ended.exits(1);
    assert!(started.elapsed() < Duration::from_secs(10));
    let said = ended.stderr();
    assert!(said.contains("it took longer than its timeout of 0.3 s"), "{said}");
    // Nothing of it is in the cache, and a run with time enough succeeds.
    lab.run(["run", "workflow.yaml", "--set", "seconds=0"]).success();
}

/// The command as a user without rights, so that what is read-only is read-only for it.
fn without_rights(lab: &Lab, arguments: &[&str]) -> Ran {
    let mut command: Command = lab.command(arguments);
    if rustix::process::geteuid().is_root() {
        command.uid(65_534).gid(65_534);
    }
    Ran(command.output().expect("fuseline can be started"))
}

fn set_modes(folder: &Path, of_folders: u32, of_files: u32) {
    for entry in fs::read_dir(folder).expect("a folder can be listed") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            set_modes(&path, of_folders, of_files);
        } else {
            fs::set_permissions(&path, PermissionsExt::from_mode(of_files)).expect("modes");
        }
    }
    fs::set_permissions(folder, PermissionsExt::from_mode(of_folders)).expect("modes");
}

#[test]
fn a_read_only_cache_can_be_planned_on_and_a_run_says_that_it_cannot_write() {
    let lab = Lab::with_workflow(SMALL);
    lab.run(["run", "workflow.yaml"]).success();
    set_modes(&lab.path(""), 0o555, 0o444);
    let plan = without_rights(&lab, &["plan", "workflow.yaml"]);
    let run = without_rights(&lab, &["run", "workflow.yaml"]);
    let verify = without_rights(&lab, &["cache", "verify"]);
    set_modes(&lab.path(""), 0o755, 0o644);
    plan.success();
    assert!(plan.stdout().contains("38 cached, 0 to run"), "{}", plan.stdout());
    run.exits(1);
    assert!(run.stderr().contains("is read-only for this user"), "{}", run.stderr());
    verify.success();
    assert_eq!(lab.run(["run", "workflow.yaml", "--format", "json"]).json()["executed"], 0);
}

/// Every file of a folder, with its time of change.
fn listing(folder: &Path) -> Vec<(PathBuf, std::time::SystemTime)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder can be listed") {
        let path = entry.expect("an entry").path();
        let changed = fs::metadata(&path).and_then(|of| of.modified()).expect("its time");
        if path.is_dir() {
            files.extend(listing(&path));
        }
        files.push((path, changed));
    }
    files.sort();
    files
}

#[test]
fn a_cache_of_another_user_is_looked_into_and_left_as_it_is() {
    let lab = Lab::with_workflow(SMALL);
    lab.run(["run", "workflow.yaml"]).success();
    // A damaged record and a missing object are left for a user with write access.
    let object = &lab.objects_of("cohort")[0];
    let key = key_of(&lab, "findings");
    let record = lab.path("cache/actions").join(&key[..2]).join(&key[2..]);
    let before = listing(&lab.path("cache"));
    set_modes(&lab.path(""), 0o555, 0o444);
    let there = without_rights(&lab, &["show", "workflow.yaml", "findings", "--format", "json"]);
    let other = ["show", "workflow.yaml", "findings", "--set", "permutations=40"];
    let missing = without_rights(&lab, &other);
    let graph = without_rights(&lab, &["graph", "workflow.yaml", "--format", "dot"]);
    set_modes(&lab.path(""), 0o755, 0o644);
    assert!(there.success().stdout().starts_with('['), "{}", there.stdout());
    let words = "findings is not in the cache";
    assert!(missing.exits(2).stderr().contains(words), "{}", missing.stderr());
    assert!(graph.success().stdout().contains("1 action, 1 cached"), "{}", graph.stdout());
    lab.run(other).exits(2);
    lab.run(["plan", "workflow.yaml"]).success();
    assert_eq!(listing(&lab.path("cache")), before, "looking changes nothing, not even times");
    fs::remove_file(object).expect("an object");
    fs::write(&record, b"torn").expect("a record");
    fs::remove_dir_all(lab.path("cache/workflows")).expect("the index");
    let damaged = listing(&lab.path("cache"));
    lab.run(["plan", "workflow.yaml"]).success();
    lab.run(["show", "workflow.yaml", "findings"]).exits(2);
    assert_eq!(listing(&lab.path("cache")), damaged);
}

#[test]
fn a_plan_makes_no_cache() {
    let lab = Lab::with_workflow(SMALL);
    let plan = lab.run(["plan", "workflow.yaml"]);
    assert!(plan.success().stdout().contains("0 cached, 38 to run"), "{}", plan.stdout());
    assert!(!lab.path("cache").exists());
}

/// A filesystem of its own, of this size; `None`, with a notice, where this user may not mount.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(folder: PathBuf, bytes: usize) -> Option<Self> {
        Self::mount_with(folder, &format!("size={bytes}"))
    }

    pub fn mount_with(folder: PathBuf, options: &str) -> Option<Self> {
        fs::create_dir_all(&folder).expect("a folder can be made");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(&folder)
            .output()
            .is_ok_and(|ended| ended.status.success());
        if !mounted {
            skip(Need::Mount, "this user may not mount a small filesystem");
            return None;
        }
        Some(Self(folder))
    }

    fn resize(&self, bytes: usize) {
        let size = format!("remount,size={bytes}");
        let ended = Command::new("mount").args(["-o", &size]).arg(&self.0).status();
        assert!(ended.expect("mount can be started").success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_collection_works_where_nothing_can_be_written() {
    for (what, options, bytes) in [
        ("no space is left", "size=2m", 4096),
        ("no file can be added", "size=20m,nr_inodes=1000", 0),
    ] {
        let lab = Lab::with_workflow(SMALL);
        let Some(_disk) = SmallDisk::mount_with(lab.path("disk"), options) else { return };
        lab.run(["run", "workflow.yaml", "--cache", "disk/cache"]).success();
        let fill = |number: usize| fs::write(lab.path(format!("disk/{number}")), vec![0; bytes]);
        assert!((0..1000).any(|number| fill(number).is_err()), "{what}");
        let arguments = ["cache", "gc", "--cache", "disk/cache", "--keep-runs=0", "--grace=0"];
        let collected = lab.run(arguments);
        let said = collected.success().stdout();
        assert!(!said.contains("Removed 0 objects"), "{what}: {said}");
    }
}

/// The command as one of two users of a group, or `None`, with a notice, where this one may not
/// become another.
fn as_user(lab: &Lab, user: u32, umask: &str, arguments: &[&str]) -> Option<Command> {
    let mut command = Command::new("setpriv");
    command.args([format!("--reuid={user}"), "--regid=41000".to_owned()]).arg("--clear-groups");
    command.args(["sh", "-c", &format!("umask {umask} && exec \"$@\""), "sh"]);
    let is_possible = {
        let mut probe = Command::new("setpriv");
        probe.args([format!("--reuid={user}"), "--regid=41000".to_owned()]).arg("--clear-groups");
        probe.arg(fuseline()).arg("--version").output().is_ok_and(|ran| ran.status.success())
    };
    if !is_possible {
        skip(Need::Mount, "this user may not run the command as another");
        return None;
    }
    command.arg(fuseline()).args(arguments).current_dir(lab.path(""));
    Some(command)
}

#[test]
fn a_shared_cache_goes_on_after_a_colleague_whose_run_was_killed() {
    let lab = Lab::with_workflow(SLOW);
    let set = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
    };
    set(&lab.path(""), 0o755);
    set(&lab.path("workflow.yaml"), 0o644);
    fs::create_dir(lab.path("lab")).expect("a folder");
    std::os::unix::fs::chown(lab.path("lab"), Some(41001), Some(41000)).expect("it is ours");
    set(&lab.path("lab"), 0o2775);
    let run = |out: &'static str, seconds: &'static str| {
        ["run", "workflow.yaml", "--cache", "lab/cache", "--out", out, "--set", seconds]
    };
    // The cache is of one who lets the group write.
    let first = as_user(&lab, 41001, "002", &run("lab/first", "seconds=0"));
    let Some(mut first) = first else { return };
    assert!(first.status().expect("it starts").success());
    let bob = as_user(&lab, 41002, "022", &run("lab/bob", "seconds=4"));
    let Some(mut bob) = bob else { return };
    let mut bob = bob.spawn().expect("it starts");
    let leases = || fs::read_dir(lab.path("lab/cache/leases")).expect("a folder").count();
    let give_up = Instant::now() + Duration::from_secs(60);
    while leases() < 2 {
        assert!(Instant::now() < give_up, "the colleague's run executes nothing");
        std::thread::sleep(Duration::from_millis(5));
    }
    bob.kill().expect("it goes on");
    bob.wait().expect("it was started");
    // As older programs have left them.
    for entry in fs::read_dir(lab.path("lab/cache/leases")).expect("a folder") {
        set(&entry.expect("an entry").path(), 0o644);
    }
    let gc = ["cache", "gc", "--cache", "lab/cache"];
    for arguments in [&run("lab/alice", "seconds=4")[..], &gc[..]] {
        let Some(mut alice) = as_user(&lab, 41001, "002", arguments) else { return };
        let ran = Ran(alice.output().expect("it starts"));
        ran.success();
    }
}

#[test]
fn a_full_disk_is_an_error_that_loses_nothing() {
    let lab = Lab::with_workflow(SMALL);
    let Some(disk) = SmallDisk::mount(lab.path("disk"), 160 << 10) else { return };
    let arguments = ["run", "workflow.yaml", "--cache", "disk/cache", "--format", "json"];
    let full = lab.run(arguments);
    full.exits(1);
    assert!(full.stderr().contains("no space left"), "{}", full.stderr());
    disk.resize(64 << 20);
    lab.run(["cache", "verify", "--cache", "disk/cache"]).success();
    let rest = lab.run(arguments).json();
    assert!(rest["cached"].as_u64() > Some(0), "what was made before is kept: {rest}");

    let whole = Lab::with_workflow(SMALL);
    whole.run(["run", "workflow.yaml"]).success();
    let file = "results/small/report.html";
    assert!(lab.read(file) == whole.read(file));
}

#[test]
fn a_limit_on_the_size_of_files_is_an_error_that_loses_nothing() {
    let lab = Lab::with_workflow(
        "fuseline: 1\nname: large\nstages:\n  cohort: { uses: simulate.cohort, with: { examples: 20000, \
         groups: 50 } }\noutputs: { cohort.parquet: cohort }\n",
    );
    let program = fuseline();
    let limited = format!("ulimit -f 16 && exec '{}' run workflow.yaml", program.display());
    let mut shell = Command::new("sh");
    shell.args(["-c", &limited]).current_dir(lab.path(""));
    let ran = Ran(shell.output().expect("a shell can be started"));
    assert!(ran.exits(1).stderr().contains("File too large"), "{}", ran.stderr());
    lab.run(["cache", "verify"]).success();
    lab.run(["run", "workflow.yaml"]).success();
}

#[test]
fn a_pipe_in_place_of_an_output_is_replaced_and_not_waited_for() {
    let lab = Lab::with_workflow(SMALL);
    lab.run(["run", "workflow.yaml"]).success();
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    for name in ["report.html", "findings.csv"] {
        let output = lab.path("results/small").join(name);
        let before = fs::read(&output).unwrap_or_default();
        let _ = fs::remove_file(&output);
        rustix::fs::mkfifoat(rustix::fs::CWD, &output, mode).expect("a pipe can be made");
        lab.run(["run", "workflow.yaml", "--rehash"]).success();
        // A name that is no output stays what it is.
        if !before.is_empty() {
            assert!(fs::read(&output).expect("it is a file again") == before, "{name}");
        }
    }
}

#[test]
fn a_working_directory_that_is_gone_is_named() {
    let lab = Lab::with_workflow(SMALL);
    let workflow = lab.path("workflow.yaml");
    fs::create_dir(lab.path("gone")).expect("it can be made");
    let script = format!(
        "cd gone && rmdir ../gone && exec '{}' run '{}'",
        fuseline().display(),
        workflow.display()
    );
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).current_dir(lab.path(""));
    let ran = Ran(shell.output().expect("a shell can be started"));
    assert!(ran.stderr().contains("there is no working directory"), "{}", ran.stderr());
    assert!(!ran.0.status.success());
}

#[test]
fn folders_may_have_any_name_and_be_links() {
    let lab = Lab::new();
    let names: [&OsStr; 3] =
        [OsStr::new("a b  c"), OsStr::from_bytes(b"not \xff\xfe text"), OsStr::new("$HOME;'\"*")];
    for name in names {
        let folder = lab.path(name);
        fs::create_dir(&folder).expect("a folder can be made");
        fs::write(folder.join("workflow.yaml"), SMALL).expect("a file can be written");
        let cache = folder.join("the cache");
        let out = folder.join("the out");
        let arguments = || {
            [
                OsStr::new("run").to_owned(),
                folder.join("workflow.yaml").into(),
                "--cache".into(),
                cache.clone().into(),
                "--out".into(),
                out.clone().into(),
                "--format".into(),
                "json".into(),
            ]
        };
        assert_eq!(lab.run(arguments()).json()["executed"], 38, "{name:?}");
        assert_eq!(lab.run(arguments()).json()["executed"], 0, "{name:?}");
        assert!(out.join("report.html").is_file());
    }
    symlink(lab.path("a b  c/the cache"), lab.path("linked")).expect("a link can be made");
    lab.write("workflow.yaml", SMALL);
    let linked = lab.run(["run", "workflow.yaml", "--cache", "linked", "--format", "json"]).json();
    assert_eq!(linked["executed"], 0);
}

#[test]
fn a_cache_of_a_newer_format_is_refused_in_words() {
    let lab = Lab::with_workflow(SMALL);
    lab.write("cache/format", "{\"fuseline-cache\":99}\n");
    let refused = lab.run(["run", "workflow.yaml"]);
    refused.exits(1);
    assert!(refused.stderr().contains("is a cache of format 99"), "{}", refused.stderr());
}

#[test]
fn a_written_down_action_is_executed_without_the_workflow() {
    let lab = Lab::with_workflow(SMALL);
    lab.run(["run", "workflow.yaml"]).success();
    let key = key_of(&lab, "fusion[fold=0,quality=margin,rule=lr]");
    let cached = lab.run(["exec", &key, "--format", "json"]).json();
    assert_eq!(cached["status"], "cached");
    fs::remove_file(lab.path("workflow.yaml")).expect("the workflow can be removed");
    let (shard, rest) = key.split_at(2);
    fs::remove_file(lab.path(format!("cache/actions/{shard}/{rest}"))).expect("a record");
    let executed = lab.run(["exec", &key, "--format", "json"]).json();
    assert_eq!(executed["status"], "executed");
    assert_eq!(executed["outputs"], cached["outputs"]);
    lab.run(["cache", "verify"]).success();
    let unknown = "0".repeat(64);
    lab.run(["exec", &unknown]).exits(2);
}

#[test]
fn runs_are_listed_shown_and_compared() {
    let lab = Lab::with_workflow(SMALL);
    lab.run(["run", "workflow.yaml"]).success();
    lab.run(["run", "workflow.yaml", "--set", "permutations=40"]).success();
    lab.run(["run", "workflow.yaml", "--set", "permutations=40"]).success();
    let runs = lab.run(["runs", "list", "--format", "json"]).json();
    let executed: Vec<_> = runs["runs"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|run| run["executed"].as_u64().expect("a number"))
        .collect();
    assert_eq!(executed, [38, 14, 0]);
    let diff = lab.run(["runs", "diff", "latest~2", "latest~1", "--format", "json"]).json();
    assert_eq!(diff["settings"], serde_json::json!([["params.permutations", 20, 40]]));
    assert_eq!(diff["same"], 24);
    let changed = diff["changed"].as_array().expect("a list");
    assert_eq!(changed.len(), 14);
    assert_eq!(changed[0]["stage"], "permute");
    assert_eq!(changed[0]["reason"], "with.permutations 20 -> 40");
    let moved = diff["findings"].as_array().expect("a list");
    assert_eq!(moved.len(), 4, "every row has another number of permutations");
    let same = lab.run(["runs", "diff", "latest~1", "latest"]);
    same.success();
    let last = same.stdout().lines().last().map(str::to_owned);
    assert_eq!(
        last.as_deref(),
        Some(
            "38 actions the same, 0 changed, 0 only before, 0 only after; 0 rows of findings \
             moved."
        )
    );
    lab.run(["runs", "show", "no-such-run"]).exits(2);
}
