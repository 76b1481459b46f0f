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
for argument; do case $argument in --jobs=*) ids=${argument#--jobs=} ;; esac; done
for id in $(echo "$ids" | tr , ' '); do
  state=COMPLETED
  [ "$id" -gt "$BROKEN" ] || state=$STATE
  for task in $(seq 0 "$(cat "$FAKE/last-$id")"); do echo "$id|$task|$state|None"; done
done
"#;

/// Runs two actions of the sweep, of which the tasks of the first arrays end in a state.
fn run(state: &str, broken: u32, more: &[&str]) -> (Lab, Ran) {
    let lab = sweep();
    for (name, text) in [("sbatch", SBATCH), ("squeue", SQUEUE), ("scancel", "#!/bin/sh\n")] {
        let file = format!("bin/{name}");
        lab.write(&file, text);
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(lab.path(&file), executable).expect("it can be made executable");
    }
    lab.edit("workflow.yaml", "{ cpu: 8 }", "{ cpu: 8, memory: 300 MB, time: 90s, gpus: 2 }");
    let more = [&["--executor", "slurm", "--set", "points=2", "--set", "seconds=0"], more].concat();
    let mut command: Command = lab.command(arguments(&lab, &more));
    let path = std::env::var("PATH").expect("it is text");
    command
        .env("PATH", format!("{}:{path}", lab.path("bin").display()))
        .env("FAKE", lab.path("bin"))
        .env("BROKEN", broken.to_string())
        .env("STATE", state);
    let ran = Ran(command.output().expect("it runs"));
    (lab, ran)
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
        assert!(ran.stderr().contains("actions of lost tasks are submitted again"));
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
