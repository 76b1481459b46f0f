//! Several real runs on one cache.

#![expect(clippy::expect_used, reason = "a story that cannot be told has failed")]

use std::fs;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use fuseline_tests::kills::SMALL;
use fuseline_tests::{Lab, Ran};
use rustix::process::{Pid, Signal, kill_process};

/// One action of a given duration.
pub const SLOW: &str = include_str!("../cases/slow.yaml");

/// A run in the background.
pub fn start(lab: &Lab, arguments: &[&str]) -> Child {
    let mut command = lab.command(["run", "workflow.yaml", "--verbose"].iter().chain(arguments));
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("fuseline can be started")
}

pub fn end(child: Child) -> Ran {
    Ran(child.wait_with_output().expect("a child can be waited for"))
}

pub fn signal(child: &Child, signal: Signal) {
    let pid = Pid::from_child(child);
    kill_process(pid, signal).expect("a child that was not waited for can be signalled");
}

/// Waits for this line in the log of any run.
pub fn until_some_run_says(lab: &Lab, what: &str) {
    let give_up = Instant::now() + Duration::from_secs(60);
    loop {
        let runs = fs::read_dir(lab.path("cache/runs")).into_iter().flatten();
        let logs = runs
            .flatten()
            .filter_map(|run| fs::read_to_string(run.path().join("events.jsonl")).ok());
        if logs.into_iter().any(|log| log.contains(what)) {
            return;
        }
        assert!(Instant::now() < give_up, "no run says {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn eight_runs_at_once_execute_every_action_once_and_give_the_same_bytes() {
    let lab = Lab::with_workflow(SMALL);
    let outs: Vec<_> = (0..8).map(|number| format!("out-{number}")).collect();
    let runs: Vec<_> = outs
        .iter()
        .map(|out| start(&lab, &["-j", "2", "--format", "json", "--out", out]))
        .collect();
    let ended: Vec<_> = runs.into_iter().map(|run| end(run).json()).collect();
    let executed: u64 = ended.iter().filter_map(|run| run["executed"].as_u64()).sum();
    assert_eq!(ended[0]["actions"], 38);
    assert_eq!(executed, 38, "every action once, by whichever run came first");
    for out in &outs[1..] {
        for file in ["findings.parquet", "report.html"] {
            assert!(lab.read(&format!("{out}/{file}")) == lab.read(&format!("out-0/{file}")));
        }
    }
    lab.run(["cache", "verify"]).success();
}

#[test]
fn runs_beside_collections_find_all_that_they_have_seen() {
    let lab = Lab::with_workflow(SMALL);
    lab.run(["run", "workflow.yaml", "--out", "undisturbed"]).success();
    for round in 0..6 {
        let set = format!("permutations={}", 20 + round % 2);
        let out = format!("out-{round}");
        let run = start(&lab, &["--set", &set, "--out", &out]);
        let mut collections = 0;
        let mut run = Some(run);
        while let Some(mut going_on) = run.take() {
            lab.run(["cache", "gc", "--grace", "0", "--keep-runs", "0"]).success();
            collections += 1;
            match going_on.try_wait().expect("a child can be asked") {
                Some(_) => {
                    end(going_on).success();
                }
                None => run = Some(going_on),
            }
        }
        assert!(collections > 0);
    }
    assert!(lab.read("out-4/report.html") == lab.read("undisturbed/report.html"));
    lab.run(["cache", "verify"]).success();
}

#[test]
fn a_run_waits_for_one_that_is_stopped_and_takes_its_result_when_it_goes_on() {
    let lab = Lab::with_workflow(SLOW);
    let holder = start(&lab, &["--format", "json"]);
    until_some_run_says(&lab, "\"started\"");
    signal(&holder, Signal::STOP);
    let mut waiter = start(&lab, &["--format", "json"]);
    until_some_run_says(&lab, "\"waiting\"");
    // Longer than the action takes: the holder would be done by now.
    std::thread::sleep(Duration::from_millis(1500));
    assert!(waiter.try_wait().expect("a child can be asked").is_none(), "it waits");
    signal(&holder, Signal::CONT);
    let (holder, waiter) = (end(holder), end(waiter));
    assert_eq!(holder.json()["executed"], 1);
    assert_eq!(waiter.json()["executed"], 0);
    assert_eq!(waiter.json()["cached"], 1);
    let said = waiter.stderr();
    assert!(said.contains("wait: process ") && said.contains("is executing it; waiting"), "{said}");
}

#[test]
fn a_run_takes_over_from_one_that_is_killed_and_says_so() {
    let lab = Lab::with_workflow(SLOW);
    let mut holder = start(&lab, &[]);
    until_some_run_says(&lab, "\"started\"");
    let waiter = start(&lab, &["--format", "json"]);
    until_some_run_says(&lab, "\"waiting\"");
    holder.kill().expect("a child can be killed");
    holder.wait().expect("a child can be waited for");
    let waiter = end(waiter);
    assert_eq!(waiter.json()["executed"], 1);
    assert!(waiter.stderr().contains("wait: the other run did not finish it; taking over"));
}
