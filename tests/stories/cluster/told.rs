//! Slurm's reports of tasks that it ended: programs that answer as it does, and execute or do not.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use fuseline_tests::{Lab, Ran};

use super::{arguments, notes, sweep};

/// Executes every task at once but those of the first arrays, BROKEN in number.
const SBATCH: &str = r#"#!/bin/sh
number=$(($(cat "$FAKE/number" 2>/dev/null || echo 0) + 1))
echo $number >"$FAKE/number"
echo "$*" >>"$FAKE/submitted"
for argument; do
  case $argument in --array=0-*) last=${argument#--array=0-} ;; esac
  case $argument in --comment=*) echo "${argument#--comment=}" >"$FAKE/comment-$number" ;; esac
  script=$argument
done
echo "$last" >"$FAKE/last-$number"
if [ "$number" -gt "$BROKEN" ]; then
  for task in $(seq 0 "$last"); do SLURM_ARRAY_TASK_ID=$task sh "$script"; done
fi
echo "$number"
"#;
/// The tasks of the first arrays are in the state STATE.
const SQUEUE: &str = r#"#!/bin/sh
comments=
for argument; do
  case $argument in --jobs=*) ids=${argument#--jobs=} ;; '--format=%F|%k') comments=1 ;; esac
done
for id in $(echo "$ids" | tr , ' '); do
  if [ "$comments" ]; then echo "$id|$(cat "$FAKE/comment-$id")"; continue; fi
  state=COMPLETED
  [ "$id" -gt "$BROKEN" ] || state=$STATE
  for task in $(seq 0 "$(cat "$FAKE/last-$id")"); do echo "$id|$task|$state|None"; done
done
"#;

/// Notes what is cancelled.
const SCANCEL: &str = "#!/bin/sh\necho \"$*\" >>\"$FAKE/cancelled\"\n";

/// Resources of the two actions.
const RESOURCES: &str = "{ cpu: 8, memory: 300 MB, time: 90s, gpus: 2 }";

/// Runs two actions of the sweep, of which the tasks of the first arrays end in a state.
fn run(state: &str, broken: u32, more: &[&str]) -> (Lab, Ran) {
    run_asking(RESOURCES, state, broken, more)
}

/// The same with other resources of an action.
fn run_asking(resources: &str, state: &str, broken: u32, more: &[&str]) -> (Lab, Ran) {
    let lab = fake(resources);
    let arguments = arguments(&lab, &[&["--set", "seconds=0"], more].concat());
    let ran = Ran(command(&lab, state, broken, &arguments).output().expect("it runs"));
    (lab, ran)
}

/// The sweep with these programs in `bin`.
fn fake(resources: &str) -> Lab {
    let lab = sweep();
    for (name, text) in [("sbatch", SBATCH), ("squeue", SQUEUE), ("scancel", SCANCEL)] {
        let file = format!("bin/{name}");
        lab.write(&file, text);
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(lab.path(&file), executable).expect("it can be made executable");
    }
    lab.edit("workflow.yaml", "{ cpu: 8 }", resources);
    lab.edit("workflow.yaml", "points: 12", "points: 2");
    lab
}

/// `fuseline` with these programs.
fn command(lab: &Lab, state: &str, broken: u32, arguments: &[String]) -> Command {
    let mut command: Command = lab.command(arguments);
    let path = std::env::var("PATH").expect("it is text");
    command
        .env("FUSELINE_EXECUTOR", "slurm")
        .env("PATH", format!("{}:{path}", lab.path("bin").display()))
        .env("FAKE", lab.path("bin"))
        .env("BROKEN", broken.to_string())
        .env("STATE", state);
    command
}

#[test]
fn resources_of_a_stage_are_asked_for() {
    let (lab, ran) = run("COMPLETED", 0, &[]);
    ran.success();
    let submitted = String::from_utf8(lab.read("bin/submitted")).expect("text");
    let first = submitted.lines().next().expect("a line");
    for option in
        ["--cpus-per-task=8", "--mem=287M", "--time=0-00:01:30", "--gres=gpu:2", "--array=0-1"]
    {
        assert!(first.contains(option), "{option}: {first}");
    }
    let second = submitted.lines().nth(1).expect("a line");
    assert!(second.contains("--cpus-per-task=1") && !second.contains("--mem"), "{second}");
    assert_eq!(notes(&lab), [0, 1]);
}

#[test]
fn a_task_without_memory_or_time_fails_with_the_setting_to_raise() {
    for (state, said, setting) in [
        ("OUT_OF_MEMORY", "more memory than the 287 MiB", "`resources: {memory}`"),
        ("TIMEOUT", "longer than 90 s an action", "`resources: {time}`"),
    ] {
        let (_, ran) = run(state, 1, &[]);
        ran.exits(1);
        for part in [said, setting, "Slurm task 1_", "/logs/"] {
            assert!(ran.stderr().contains(part), "{part}: {}", ran.stderr());
        }
    }
}

#[test]
fn a_lost_task_is_submitted_again_but_not_for_ever() {
    for state in ["NODE_FAIL", "PREEMPTED"] {
        let (lab, ran) = run(state, 2, &[]);
        ran.success();
        assert!(ran.stderr().contains("actions of lost tasks submitted again"));
        assert_eq!(notes(&lab), [0, 1], "{}", ran.stderr());
    }
    let (lab, ran) = run("NODE_FAIL", 99, &[]);
    ran.exits(1);
    assert!(ran.stderr().contains("its task was lost 4 times (NODE_FAIL)"), "{}", ran.stderr());
    assert_eq!(notes(&lab), [] as [u32; 0]);
}

#[test]
fn a_task_that_somebody_else_cancelled_has_failed_and_so_has_one_that_ended_before_it_began() {
    let (_, ran) = run("CANCELLED", 1, &[]);
    ran.exits(1);
    assert!(ran.stderr().contains("somebody cancelled task 1_"), "{}", ran.stderr());
    let (_, ran) = run("FAILED", 1, &[]);
    ran.exits(1);
    for part in ["before fuseline began there", "[executor] program"] {
        assert!(ran.stderr().contains(part), "{part}: {}", ran.stderr());
    }
}

/// The memory that each array asked for, in MiB.
fn asked_memory(lab: &Lab) -> Vec<u32> {
    let submitted = String::from_utf8(lab.read("bin/submitted")).expect("text");
    let options = submitted.split_whitespace().filter_map(|word| word.strip_prefix("--mem="));
    options.map(|option| option.trim_end_matches('M').parse().expect("a number")).collect()
}

#[test]
fn out_of_memory_is_tried_again_with_more_where_the_stage_says_so_and_not_for_ever() {
    let resources = "{ cpu: 8, memory: { request: 300 MB, retry: 2x } }";
    let (lab, ran) = run_asking(resources, "OUT_OF_MEMORY", 1, &[]);
    ran.success();
    assert_eq!(asked_memory(&lab), [287, 573], "both tasks of the first array were killed");
    for point in ["0", "1"] {
        let said = format!(
            "work[n={point}] needed more memory than the 287 MiB that it asked for; it is submitted \
             again with 573 MiB"
        );
        assert!(ran.stderr().contains(&said), "{}", ran.stderr());
    }
    assert_eq!(notes(&lab), [0, 1]);
    let manifest = lab.run(["runs", "show", "latest", "--format", "json"]).json();
    let memory: Vec<_> = manifest["actions"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|action| action["memory"].as_u64())
        .collect();
    assert_eq!(memory, [Some(600_000_000), Some(600_000_000), None], "{manifest}");

    let (lab, ran) = run_asking(resources, "OUT_OF_MEMORY", 99, &[]);
    ran.exits(1);
    let tries = asked_memory(&lab);
    assert_eq!(tries, [287, 573, 1145], "twice again, unless the stage says how often");
    for part in ["more memory than the 1145 MiB", "in the last of 3 tries", "`resources: {memory}`"]
    {
        assert!(ran.stderr().contains(part), "{part}: {}", ran.stderr());
    }

    let once = "{ cpu: 8, memory: { request: 300 MB, retry: 1.5x, times: 1 } }";
    let (lab, ran) = run_asking(once, "OUT_OF_MEMORY", 99, &[]);
    ran.exits(1);
    assert_eq!(asked_memory(&lab), [287, 430]);
}

#[test]
fn a_job_that_has_the_id_of_an_array_of_a_dead_run_is_not_cancelled() {
    for is_ours in [true, false] {
        let lab = fake(RESOURCES);
        let mut run =
            command(&lab, "RUNNING", 99, &arguments(&lab, &[])).spawn().expect("it starts");
        let record = || {
            let runs = std::fs::read_dir(lab.path("cache/runs")).into_iter().flatten().flatten();
            runs.into_iter().any(|run| run.path().join("batches/0.array").exists())
        };
        super::wait_until("the array is submitted", record);
        super::signal(&run, "KILL");
        run.wait().expect("it was killed");
        if !is_ours {
            // The controller began anew, and gave the id to somebody else's job.
            lab.write("bin/comment-1", "somebody else\n");
        }
        let cancel = ["runs", "cancel", "latest"].map(str::to_owned);
        let cancel = Ran(command(&lab, "RUNNING", 99, &cancel).output().expect("it runs"));
        cancel.success();
        let cancelled = std::fs::read_to_string(lab.path("bin/cancelled")).unwrap_or_default();
        assert_eq!(cancelled.trim(), if is_ours { "1" } else { "" }, "{}", cancel.stderr());
        assert_eq!(cancel.stderr().contains("array is cancelled"), is_ours);
    }
}
