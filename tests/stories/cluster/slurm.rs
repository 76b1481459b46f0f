//! Slurm: slurmctld, two slurmd and munged, started by `tests/cluster/slurm.sh`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use fuseline_tests::{Lab, Need, real_data, root, skip};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{arguments, logs, notes, script, signal, start, sweep, wait_for, wait_until};

/// A cluster of two nodes with 16 processors each; it ends with the last story that uses it.
struct Slurm {
    folder: TempDir,
}

impl Slurm {
    /// The cluster that other stories use now, or a new one; `None`, with a notice, where there can
    /// be none.
    fn get() -> Option<Arc<Self>> {
        static CLUSTER: Mutex<Weak<Slurm>> = Mutex::new(Weak::new());
        if !Self::can_be_started() {
            return None;
        }
        let mut cluster = CLUSTER.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cluster) = cluster.upgrade() {
            return Some(cluster);
        }
        let new = Arc::new(Self::start(10));
        *cluster = Arc::downgrade(&new);
        Some(new)
    }

    /// True if a cluster can be started here; a notice where not.
    fn can_be_started() -> bool {
        let programs = ["slurmctld", "slurmd", "munged", "sbatch"];
        let missing = programs.iter().find(|program| {
            let there = Command::new("sh").args(["-c", &format!("command -v {program}")]).output();
            !there.is_ok_and(|there| there.status.success())
        });
        if let Some(missing) = missing {
            skip(Need::Cluster, &format!("{missing} is not installed"));
            return false;
        }
        if !rustix::process::geteuid().is_root() {
            skip(Need::Cluster, "only root starts a cluster of its own");
            return false;
        }
        true
    }

    /// A cluster in which a node counts as lost when it has not answered for some seconds.
    fn start(timeout_seconds: u32) -> Self {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        // Several checkouts may be tested at once, and the last cluster may still be ending. From
        // 32,768 on any connection may have the port.
        let started = STARTED.fetch_add(1, Ordering::Relaxed);
        let port = 20_000 + (std::process::id() % 600) * 20 + started % 5 * 4;
        let new = Self { folder: TempDir::new().expect("a folder can be made") };
        let up = Command::new(script("slurm.sh"))
            .arg("up")
            .arg(new.folder.path())
            .env("SLURM_TEST_PORT", port.to_string())
            .env("SLURM_TEST_TIMEOUT", timeout_seconds.to_string())
            .output()
            .expect("the script can be started");
        assert!(up.status.success(), "{}", String::from_utf8_lossy(&up.stderr));
        new
    }

    /// The processes of this cluster's jobs on a node, and before them those that look after them.
    fn processes_on(&self, node: &str) -> Vec<Pid> {
        let conf = format!("SLURM_CONF={}", self.conf().display());
        let node = format!("SLURMD_NODENAME={node}");
        let processes = std::fs::read_dir("/proc").expect("Linux").flatten();
        let jobs: Vec<i32> = processes
            .filter_map(|process| process.file_name().to_str()?.parse::<i32>().ok())
            .filter(|process| {
                let environment = std::fs::read(format!("/proc/{process}/environ"));
                let environment = environment.unwrap_or_default();
                let has = |wanted: &str| {
                    environment.split(|byte| *byte == 0).any(|of| of == wanted.as_bytes())
                };
                has(&node) && has(&conf)
            })
            .collect();
        // They would tell the controller how the jobs ended.
        let parents = jobs.iter().filter_map(|job| {
            let status = std::fs::read_to_string(format!("/proc/{job}/status")).ok()?;
            let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
            parent.trim().parse::<i32>().ok()
        });
        let is_step_daemon = |process: &i32| {
            let name = std::fs::read_to_string(format!("/proc/{process}/comm"));
            name.is_ok_and(|name| name.starts_with("slurmstepd"))
        };
        let daemons: BTreeSet<i32> = parents.filter(is_step_daemon).collect();
        assert!(!daemons.is_empty(), "the jobs {jobs:?} have daemons");
        daemons.into_iter().chain(jobs).filter_map(Pid::from_raw).collect()
    }

    fn conf(&self) -> PathBuf {
        self.folder.path().join("slurm.conf")
    }

    /// Runs a command of Slurm and returns its output.
    fn ask(&self, program: &str, arguments: &[&str]) -> String {
        let ran = Command::new(program).args(arguments).env("SLURM_CONF", self.conf()).output();
        let ran = ran.expect("it is installed");
        String::from_utf8_lossy(&ran.stdout).into_owned()
    }

    /// `fuseline` with this cluster.
    fn command(&self, lab: &Lab, arguments: &[String]) -> Command {
        let mut command = lab.command(arguments);
        command.env("SLURM_CONF", self.conf()).env("FUSELINE_EXECUTOR", "slurm");
        command
    }

    /// The jobs of a folder that the cluster still has to do, a line each: `ARRAY_TASK STATE`.
    fn jobs_of(&self, lab: &Lab) -> Vec<String> {
        let folder = lab.path("").canonicalize().expect("it is there");
        let queue = self.ask("squeue", &["--noheader", "--array", "--format=%F_%K %T %Z"]);
        let of_folder = queue.lines().filter(|line| line.ends_with(&*folder.to_string_lossy()));
        of_folder.map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect()
    }
}

impl Drop for Slurm {
    fn drop(&mut self) {
        let _ = Command::new(script("slurm.sh")).arg("down").arg(self.folder.path()).status();
    }
}

#[test]
fn what_uses_more_memory_than_it_asked_for_is_ended_by_slurm_and_tried_again_with_more() {
    let Some(slurm) = Slurm::get() else { return };
    let lab = sweep();
    lab.edit("workflow.yaml", "points: 12", "points: 2");
    let resources = "{ cpu: 1, memory: { request: 350 MB, retry: 3x } }";
    lab.edit("workflow.yaml", "{ cpu: 8 }", resources);
    // `tail` holds a line of 500 MB.
    let holds = "(head -c 500000000 /dev/zero; sleep 8) | tail -n 1 >/dev/null";
    lab.edit("workflow.yaml", "sleep $SECONDS_TO_WAIT", holds);
    let arguments = arguments(&lab, &["--set", "seconds=0"]);
    let ran = fuseline_tests::Ran(slurm.command(&lab, &arguments).output().expect("it runs"));
    ran.success();
    let said = "needed more memory than the 334 MiB that it asked for; it is submitted again with \
                1002 MiB";
    assert_eq!(ran.stderr().matches(said).count(), 2, "{}", ran.stderr());
    assert_eq!(notes(&lab), [0, 0, 1, 1]);
}

#[test]
fn a_study_on_slurm_gives_the_bytes_of_a_local_run_and_executes_each_action_once() {
    let (Some(slurm), Some(data)) = (Slurm::get(), real_data("stressid")) else { return };
    let lab = Lab::new();
    let workflow = root().join("workflows/stressid.yaml").display().to_string();
    let data = format!("data={}", data.display());
    let run = |cache: &str, out: &str| {
        let arguments = ["run", &workflow, "--set", &data, "--set", "permutations=100"];
        let more = ["--cache", cache, "--out", out, "--format", "json"];
        arguments.iter().chain(&more).map(|&argument| argument.to_owned()).collect::<Vec<_>>()
    };
    lab.run(run("local", "out-local")).success();
    let settings = "[executor]\nchunk = \"10s\"\n[executor.slurm]\npartition = \"main\"\n";
    lab.write("fuseline.toml", settings);
    let mut command = slurm.command(&lab, &run("shared", "out-slurm"));
    command.env("FUSELINE_SETTINGS", lab.path("fuseline.toml"));
    let ran = fuseline_tests::Ran(command.output().expect("it runs"));
    let summary = ran.json();
    assert_eq!(summary["executed"], 442, "{summary}");
    assert_eq!(lab.read("out-slurm/findings.parquet"), lab.read("out-local/findings.parquet"));
    let logs = logs(&lab.path("shared"));
    let executed: Vec<&str> = logs.lines().filter(|line| line.contains(": executed in")).collect();
    assert_eq!(executed.len(), 442, "each was executed once");
    assert_eq!(slurm.jobs_of(&lab), Vec::<String>::new());
}

#[test]
fn a_run_goes_on_with_its_tasks_after_the_process_that_submitted_them_was_killed() {
    let Some(slurm) = Slurm::get() else { return };
    let lab = sweep();
    let arguments = arguments(&lab, &["--set", "seconds=2"]);
    let mut first = start(&lab, slurm.command(&lab, &arguments), "first");
    // Four run at once, and eight wait.
    wait_until("some have begun", || notes(&lab).len() >= 2);
    signal(&first, "KILL");
    first.wait().expect("it was killed");
    assert!(!slurm.jobs_of(&lab).is_empty(), "the tasks of a killed run go on");
    let second = fuseline_tests::Ran(slurm.command(&lab, &arguments).output().expect("it runs"));
    second.success();
    assert!(second.stderr().contains("of an earlier run go on there"), "{}", second.stderr());
    assert_eq!(notes(&lab), (0..12).collect::<Vec<_>>(), "each was executed once");
    assert_eq!(lab.read("results/sweep/last.txt"), b"all\n");
}

#[test]
fn a_requeued_task_is_waited_for_and_executed_again() {
    let Some(slurm) = Slurm::get() else { return };
    let lab = sweep();
    let arguments = arguments(&lab, &["--set", "points=2", "--set", "seconds=3"]);
    let mut run = start(&lab, slurm.command(&lab, &arguments), "output");
    wait_until("both have begun", || notes(&lab).len() == 2);
    let jobs = slurm.jobs_of(&lab);
    let task = jobs[0].split(' ').next().expect("a task").to_owned();
    slurm.ask("scontrol", &["requeue", &task]);
    wait_until("it has begun again", || notes(&lab).len() == 3);
    assert!(run.wait().expect("it ends").success(), "{:?}", lab.read("output"));
    let logs = logs(&lab.path("cache"));
    assert_eq!(logs.matches(": executed in").count(), 3, "two, and the one after them: {logs}");
}

#[test]
fn a_failure_names_the_machine_and_the_log_and_says_what_the_program_said() {
    let Some(slurm) = Slurm::get() else { return };
    let lab = sweep();
    lab.edit(
        "workflow.yaml",
        "sleep $SECONDS_TO_WAIT;",
        "[ $POINT != 3 ] || { echo no luck; exit 7; };",
    );
    let arguments = arguments(&lab, &["--keep-going", "--set", "points=6"]);
    let run = fuseline_tests::Ran(slurm.command(&lab, &arguments).output().expect("it runs"));
    run.exits(1);
    let manifest = lab.run(["runs", "show", "latest", "--format", "json"]).json();
    let actions = manifest["actions"].as_array().expect("a list");
    let failed: Vec<_> = actions.iter().filter(|action| action["state"] == "failed").collect();
    assert_eq!(failed.len(), 1, "{manifest}");
    let error = failed[0]["error"].as_str().expect("text");
    for part in ["exit code 7", "no luck", "Slurm task ", " on n"] {
        assert!(error.contains(part), "{part}: {error}");
    }
    let log = error.rsplit("log ").next().expect("a path");
    let log = std::fs::read_to_string(log).expect("the log is there");
    assert!(log.contains("work[n=3]"), "{log}");
    assert_eq!(actions.iter().filter(|action| action["state"] == "done").count(), 5, "{manifest}");
}

#[test]
fn the_first_interrupt_lets_finish_what_executes_and_the_second_cancels_it() {
    let Some(slurm) = Slurm::get() else { return };
    let lab = sweep();
    let command = slurm.command(&lab, &arguments(&lab, &["--set", "seconds=2"]));
    let mut run = start(&lab, command, "output");
    wait_until("some have begun", || !notes(&lab).is_empty());
    signal(&run, "INT");
    assert_eq!(run.wait().expect("it ends").code(), Some(130));
    let begun = notes(&lab).len();
    assert!((1..12).contains(&begun), "what had not begun was cancelled: {begun}");
    assert_eq!(slurm.jobs_of(&lab), Vec::<String>::new());
    let manifest = lab.run(["runs", "show", "latest", "--format", "json"]).json();
    let actions = manifest["actions"].as_array().expect("a list");
    let done = actions.iter().filter(|action| action["state"] == "done").count();
    assert_eq!(done, begun, "what had begun was finished: {manifest}");

    let lab = sweep();
    let command = slurm.command(&lab, &arguments(&lab, &["--set", "seconds=60"]));
    let mut run = start(&lab, command, "output");
    wait_until("some have begun", || !notes(&lab).is_empty());
    signal(&run, "INT");
    wait_until("the rest is cancelled", || slurm.jobs_of(&lab).len() <= 4);
    signal(&run, "INT");
    assert_eq!(run.wait().expect("it ends").code(), Some(130));
    wait_until("nothing is left", || slurm.jobs_of(&lab).is_empty());
}

#[test]
fn a_run_is_cancelled_from_elsewhere_and_so_is_one_that_was_killed() {
    let Some(slurm) = Slurm::get() else { return };
    for is_killed in [false, true] {
        let lab = sweep();
        let command = slurm.command(&lab, &arguments(&lab, &["--set", "seconds=60"]));
        let mut run = start(&lab, command, "output");
        wait_until("some have begun", || !notes(&lab).is_empty());
        if is_killed {
            signal(&run, "KILL");
            run.wait().expect("it was killed");
        }
        let cancel = ["runs", "cancel", "latest"].map(str::to_owned);
        let cancel = fuseline_tests::Ran(slurm.command(&lab, &cancel).output().expect("it runs"));
        cancel.success();
        assert!(cancel.stderr().contains("array is cancelled"), "{}", cancel.stderr());
        wait_until("nothing is left", || slurm.jobs_of(&lab).is_empty());
        let ended = run.wait().expect("it ends").code();
        if !is_killed {
            assert_eq!(ended, Some(130));
            lab.run(["runs", "cancel", "latest"]).exits(2);
        }
    }
}

#[test]
fn a_node_that_is_set_down_or_dies_costs_time_and_no_result() {
    if !Slurm::can_be_started() {
        return;
    }
    // Alone: the other stories would wait for the node.
    let slurm = Slurm::start(3);
    let lab = sweep();
    let arguments = arguments(&lab, &["--set", "points=4", "--set", "seconds=3"]);
    let mut run = start(&lab, slurm.command(&lab, &arguments), "output");
    wait_until("all have begun", || notes(&lab).len() == 4);
    // Two tasks are on each node. Slurm ends those of the one, and begins them anew on the other.
    slurm.ask("scontrol", &["update", "nodename=n2", "state=down", "reason=test"]);
    wait_until("they have begun anew", || notes(&lab).len() == 6);
    assert!(run.wait().expect("it ends").success(), "{:?}", lab.read("output"));
    check_once_each(&lab, 4);
    slurm.ask("scontrol", &["update", "nodename=n2", "state=resume"]);
    wait_until("the node is back", || {
        slurm.ask("sinfo", &["-h", "-N", "-o", "%N %T"]).contains("n2 idle")
    });

    let second = sweep();
    let arguments = super::arguments(&second, &["--set", "points=4", "--set", "seconds=3"]);
    let mut run = start(&second, slurm.command(&second, &arguments), "output");
    wait_until("all have begun", || notes(&second).len() == 4);
    let daemon = slurm.folder.path().join("run/slurmd-n2.pid");
    let daemon =
        std::fs::read_to_string(daemon).expect("it runs").trim().parse().expect("a number");
    let mut lost = slurm.processes_on("n2");
    assert!(lost.len() >= 2, "{lost:?}");
    lost.insert(0, Pid::from_raw(daemon).expect("a process"));
    for process in lost {
        // One may have ended with another.
        let _ = kill_process(process, Signal::KILL);
    }
    // The controller asks for half a minute before it takes the node for lost.
    wait_for("the lost ones have begun anew", 120, || notes(&second).len() == 6);
    assert!(run.wait().expect("it ends").success(), "{:?}", second.read("output"));
    check_once_each(&second, 4);
    assert_eq!(second.read("results/sweep/last.txt"), lab.read("results/sweep/last.txt"));
}

/// Checks that every action was executed to its end once, whatever began.
fn check_once_each(lab: &Lab, points: usize) {
    let logs = logs(&lab.path("cache"));
    assert_eq!(logs.matches(": executed in").count(), points + 1, "{logs}");
    let status = lab.run(["cache", "status", "--format", "json"]).json();
    assert_eq!(status["records"], points + 1, "{status}");
    let manifest = lab.run(["runs", "show", "latest", "--format", "json"]).json();
    assert_eq!(manifest["counts"]["done"], points + 1, "{manifest}");
    assert_eq!(manifest["counts"]["duplicates"], 0, "{manifest}");
}
