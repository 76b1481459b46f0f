//! Engines by their commands: a scheduler of a few lines, and HyperQueue.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use fuseline_tests::{Lab, Need, Ran, skip};

use super::{arguments, logs, notes, script, signal, start, sweep, wait_until};

/// The sweep with the settings of `tests/cluster/queue.sh`, which counts tasks from 1.
fn queue() -> Lab {
    let lab = sweep();
    std::fs::create_dir(lab.path("queue")).expect("a folder can be made");
    let (queue, folder) = (script("queue.sh"), lab.path("queue"));
    let (queue, folder) = (queue.display(), folder.display());
    lab.write(
        "fuseline.toml",
        format!(
            r#"
[executor]
default = "command"
[executor.command]
submit = "{queue} submit {folder} {{first}} {{last}} {{script}}"
id = 'array (\S+)'
poll = "{queue} poll {folder} {{id}}"
alive = 'running$'
cancel = "{queue} cancel {folder} {{id}}"
task = "QUEUE_TASK"
first = 1
"#
        ),
    );
    lab
}

#[test]
fn an_engine_by_its_commands_executes_each_action_once() {
    let lab = queue();
    lab.run(arguments(&lab, &[])).success();
    assert_eq!(notes(&lab), (0..12).collect::<Vec<_>>());
    assert_eq!(logs(&lab.path("cache")).matches(": executed in").count(), 13);
    assert_eq!(lab.read("results/sweep/last.txt"), b"all\n");
}

#[test]
fn arrays_of_an_engine_by_its_commands_outlive_the_run_and_can_be_cancelled() {
    let lab = queue();
    let arguments = arguments(&lab, &["--set", "seconds=3"]);
    let mut first = start(&lab, lab.command(&arguments), "output");
    wait_until("all have begun", || notes(&lab).len() == 12);
    signal(&first, "KILL");
    first.wait().expect("it was killed");
    lab.run(&arguments).success();
    assert_eq!(notes(&lab).len(), 12, "each was executed once");

    let lab = queue();
    let arguments = super::arguments(&lab, &["--set", "seconds=60"]);
    let mut run = start(&lab, lab.command(&arguments), "output");
    wait_until("all have begun", || notes(&lab).len() == 12);
    lab.run(["runs", "cancel", "latest"]).success();
    assert_eq!(run.wait().expect("it ends").code(), Some(130));
    let folders = std::fs::read_dir(lab.path("queue")).expect("it is there").flatten();
    assert!(folders.count() > 0);
    assert!(!lab.path("queue").join("pid").exists());
}

#[test]
fn where_an_engine_does_not_tell_why_a_task_ended_an_action_is_tried_again_with_more_memory() {
    let lab = queue();
    lab.edit("workflow.yaml", "points: 12", "points: 2");
    let resources = "{ cpu: 8, memory: { request: 300 MB, retry: 2x } }";
    lab.edit("workflow.yaml", "{ cpu: 8 }", resources);
    // The first try ends the process that executes it, as the kernel does where memory runs out.
    let ends = r#"[ $(grep -c \"^$POINT$\" \"$FOLDER/notes\") -gt 1 ] || { read -r _ _ _ above _ </proc/$PPID/stat; kill -9 $above; sleep 9; }; sleep $SECONDS_TO_WAIT"#;
    lab.edit("workflow.yaml", "sleep $SECONDS_TO_WAIT", ends);
    let asked = lab.path("asked");
    let note = format!("submit = \"echo {{memory_mb}} >>{}; ", asked.display());
    lab.edit("fuseline.toml", "submit = \"", &note);
    let ran = lab.run(arguments(&lab, &["--set", "seconds=0"]));
    ran.success();
    assert_eq!(lab.read("asked"), b"287\n573\n0\n", "{}", ran.stderr());
    assert_eq!(notes(&lab), [0, 0, 1, 1]);
    let said = "does not tell why; it is submitted again with 573 MiB of memory in place of 287";
    assert_eq!(ran.stderr().matches(said).count(), 2, "{}", ran.stderr());
    // A stage that does not say so asks for what it asked for.
    let without = queue();
    without.edit("workflow.yaml", "points: 12", "points: 1");
    without.edit("workflow.yaml", "{ cpu: 8 }", "{ cpu: 8, memory: 300 MB }");
    without.edit("workflow.yaml", "sleep $SECONDS_TO_WAIT", ends);
    let ran = without.run(arguments(&without, &["--set", "seconds=0"]));
    ran.success();
    assert!(ran.stderr().contains("1 action of lost tasks submitted again"));
}

#[test]
fn what_a_task_of_an_earlier_run_executed_twice_is_counted_by_the_run_that_took_it_over() {
    let lab = queue();
    let arguments = arguments(&lab, &["--set", "seconds=6", "--format", "json"]);
    let mut first = start(&lab, lab.command(&arguments), "output");
    wait_until("all have begun", || notes(&lab).len() == 12);
    signal(&first, "KILL");
    first.wait().expect("it was killed");
    let run = std::fs::read_dir(lab.path("cache/runs")).expect("it is there").flatten();
    let run = run.map(|run| run.path()).next().expect("a run");
    let mut second = lab.command(&arguments);
    let second = second.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    wait_until("the second begins", || {
        std::fs::read_dir(lab.path("cache/runs")).expect("it is there").count() == 2
    });
    // Something that stood still for long ends now.
    let end = serde_json::json!({ "ended": {
        "key": "0".repeat(64), "status": "executed", "seconds": 1.0, "is_duplicate": true,
    } });
    wait_until("a task that was taken over has ended", || {
        let text = std::fs::read_to_string(run.join("outcomes/0-0.jsonl")).unwrap_or_default();
        text.contains("ended")
    });
    let mut outcomes =
        File::options().append(true).open(run.join("outcomes/0-0.jsonl")).expect("it is there");
    writeln!(outcomes, "{end}").expect("it can be written");
    let ran = Ran(second.wait_with_output().expect("it ends"));
    assert_eq!(ran.success().json()["duplicates"], 1, "{}", ran.stderr());
    assert_eq!(notes(&lab).len(), 12, "each was executed once");
}

#[test]
fn a_command_that_fails_or_prints_no_id_is_shown() {
    let lab = queue();
    lab.edit("fuseline.toml", "queue.sh submit", "queue.sh sumbit");
    let run = lab.run(arguments(&lab, &[]));
    run.exits(1);
    assert!(run.stderr().contains("in which there is no id"), "{}", run.stderr());
    lab.edit("fuseline.toml", "submit = \"", "submit = \"echo no such queue >&2; exit 3; ");
    let run = lab.run(arguments(&lab, &[]));
    run.exits(1);
    assert!(run.stderr().contains("no such queue"), "{}", run.stderr());
    lab.write("fuseline.toml", "[executor]\ndefault = \"command\"\n");
    let run = lab.run(arguments(&lab, &[]));
    run.exits(2);
    assert!(run.stderr().contains("[executor.command]"), "{}", run.stderr());
}

/// HyperQueue's server with two workers: by the command `hq` where it is installed, else by a
/// process of Python that stands in for it. They end with the story.
struct HyperQueue {
    program: PathBuf,
    processes: Vec<Child>,
}

impl HyperQueue {
    fn start(lab: &Lab) -> Option<Self> {
        let version = Command::new("hq").arg("--version").output();
        if version.is_ok_and(|ran| ran.status.success()) {
            return Some(Self::start_itself(lab));
        }
        let there = Command::new("python3").args(["-c", "import hyperqueue"]).output();
        if !there.is_ok_and(|ran| ran.status.success()) {
            skip(Need::Cluster, "there is no python3 with hyperqueue");
            return None;
        }
        let server = Command::new("python3")
            .arg(script("hq"))
            .arg("--server-dir")
            .arg(lab.path("hq"))
            .args(["server", "start"])
            .stdin(Stdio::null())
            .spawn()
            .expect("python can be started");
        wait_until("the server is there", || lab.path("hq/socket").exists());
        Some(Self { program: script("hq"), processes: vec![server] })
    }

    fn start_itself(lab: &Lab) -> Self {
        let hq = |arguments: &[&str], output: &str| {
            let mut command = Command::new("hq");
            command.arg("--server-dir").arg(lab.path("hq")).args(arguments);
            start(lab, command, output)
        };
        let mut processes = vec![hq(&["server", "start"], "hq-server")];
        wait_until("the server is there", || lab.path("hq/hq-current/access.json").exists());
        for worker in ["hq-worker-1", "hq-worker-2"] {
            processes.push(hq(&["worker", "start", "--cpus", "4"], worker));
        }
        Self { program: PathBuf::from("hq"), processes }
    }
}

impl Drop for HyperQueue {
    fn drop(&mut self) {
        for process in self.processes.iter_mut().rev() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

#[test]
fn a_study_on_hyperqueue_gives_the_bytes_of_a_local_run_and_a_failure_its_own_words() {
    let lab = Lab::with_workflow(fuseline_tests::kills::SMALL);
    let Some(server) = HyperQueue::start(&lab) else { return };
    let program = server.program.display();
    lab.write(
        "fuseline.toml",
        format!("[executor.hyperqueue]\nprogram = \"{program}\"\nserver_dir = \"hq\"\n"),
    );
    lab.run(["run", "workflow.yaml", "--cache", "local", "--out", "local-out"]).success();
    let run = lab.run(["run", "workflow.yaml", "--executor", "hyperqueue", "--format", "json"]);
    assert_eq!(run.json()["executed"], 38);
    assert_eq!(lab.read("results/small/findings.parquet"), lab.read("local-out/findings.parquet"));

    // The exit code of `hq` is 0 all the same.
    lab.write("workflow.yaml", super::SWEEP);
    lab.edit(
        "workflow.yaml",
        "sleep $SECONDS_TO_WAIT;",
        "[ $POINT != 3 ] || { echo no luck; exit 7; };",
    );
    lab.edit("workflow.yaml", "{ cpu: 8 }", "{ cpu: 1 }");
    let mut more = arguments(&lab, &["--set", "points=6", "--executor", "hyperqueue"]);
    more.push("--keep-going".to_owned());
    let run: Ran = lab.run(more);
    run.exits(1);
    for part in ["work[n=3]", "exit code 7", "no luck", "HyperQueue task "] {
        assert!(run.stderr().contains(part), "{part}: {}", run.stderr());
    }
}
