//! Two machines on one cache, with leases that are heartbeats. The second is this one with another
//! space of process ids: there the kernel tells nothing of the processes of the first.

use std::process::{Child, Command};

use fuseline_tests::{Lab, Need, Ran, skip};

use super::{arguments, notes, start, sweep, wait_until};

/// A sweep of one action, with heartbeats: nine missed ones are 1.8 s.
fn study(seconds: u32) -> Lab {
    let lab = sweep();
    lab.edit("workflow.yaml", "points: 12", "points: 1");
    lab.edit("workflow.yaml", "seconds: 1", &format!("seconds: {seconds}"));
    lab.write("fuseline.toml", "[cache]\nleases = \"heartbeat\"\nlease_beat = \"200ms\"\n");
    lab
}

/// A run on another machine, for whom processes here are those of nobody.
fn start_elsewhere(lab: &Lab) -> Option<Child> {
    let unshare = ["--pid", "--fork", "--mount-proc", "--kill-child"];
    let can = Command::new("unshare").args(unshare).arg("true").output();
    if !can.is_ok_and(|ran| ran.status.success()) {
        skip(Need::Cluster, "unshare makes no space of process ids here");
        return None;
    }
    let run = lab.command(arguments(lab, &["--format", "json", "--out", "elsewhere"]));
    let mut command = Command::new("unshare");
    command.args(unshare).arg(run.get_program()).args(run.get_args());
    command.envs(run.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.current_dir(run.get_current_dir().expect("it has a folder"));
    let child = start(lab, command, "output-elsewhere");
    wait_until("the action is executed there", || notes(lab).len() == 1);
    Some(child)
}

/// Sends a signal to the process that `unshare` has started.
fn signal_elsewhere(child: &Child, signal: &str) {
    let children = format!("/proc/{0}/task/{0}/children", child.id());
    let children = std::fs::read_to_string(children).expect("the kernel tells");
    let mut kill = Command::new("kill");
    kill.arg(format!("-{signal}")).args(children.split_whitespace());
    assert!(kill.status().expect("it can be started").success());
}

#[test]
fn a_run_waits_for_one_on_another_machine_and_executes_nothing_twice() {
    let lab = study(4);
    let Some(mut elsewhere) = start_elsewhere(&lab) else { return };
    let run = lab.run(arguments(&lab, &["--format", "json"]));
    let summary = run.json();
    assert_eq!(notes(&lab), [0], "{summary}");
    assert_eq!(summary["duplicates"], 0, "{summary}");
    assert!(run.stderr().contains("process "), "it says for whom it waits: {}", run.stderr());
    assert!(elsewhere.wait().expect("it ends").success());
    assert_eq!(lab.read("results/sweep/last.txt"), lab.read("elsewhere/last.txt"));

    let status = lab.run(["cache", "status", "--format", "json"]).json();
    let leases = &status["leases"];
    assert_eq!((&leases["kind"], &leases["beat_seconds"]), (&"heartbeat".into(), &0.2.into()));
    assert_eq!(leases["reason"], "by the setting cache.leases");
    assert_eq!((&status["runs_alive"], &status["actions_alive"]), (&0.into(), &0.into()));
    let status = lab.run(["cache", "status"]);
    let said = "leases: heartbeats every 0.2 s, dead after 1.8 s of silence";
    assert!(status.stdout().contains(said), "{}", status.stdout());
}

#[test]
fn a_machine_that_stands_still_for_too_long_executes_twice_which_is_counted() {
    let lab = study(1);
    let Some(mut elsewhere) = start_elsewhere(&lab) else { return };
    signal_elsewhere(&elsewhere, "STOP");
    let run = Ran(lab.command(arguments(&lab, &["--format", "json"])).output().expect("it runs"));
    let summary = run.json();
    assert_eq!((&summary["executed"], &summary["duplicates"]), (&2.into(), &0.into()), "{summary}");
    assert_eq!(notes(&lab), [0, 0], "the other counted as dead");
    signal_elsewhere(&elsewhere, "CONT");
    assert!(elsewhere.wait().expect("it ends").success());
    let output = String::from_utf8(lab.read("output-elsewhere")).expect("text");
    let json = &output[output.find('{').expect("JSON")..];
    let summary: serde_json::Value = serde_json::from_str(json).expect("JSON");
    assert_eq!((&summary["duplicates"], &summary["status"]), (&1.into(), &"ok".into()), "{output}");
    let manifest = lab.run(["runs", "show", "latest~1", "--format", "json"]).json();
    assert_eq!(manifest["counts"]["duplicates"], 1, "{manifest}");
    assert_eq!(lab.read("results/sweep/last.txt"), lab.read("elsewhere/last.txt"));
    let left = std::fs::read_dir(lab.path("cache/leases")).expect("it is there").count();
    assert_eq!(left, 0, "no lease and no record of a process is left");
    lab.run(["cache", "verify"]).success();
}
