//! Studies on clusters: Slurm itself, two nodes on this machine; HyperQueue's server and workers; a
//! scheduler of thirty lines; and programs that answer as Slurm does where memory ends, time is
//! over or nodes fail; and two machines on one cache whose leases are heartbeats.

mod engines;
mod machines;
mod slurm;
mod told;
mod watch;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fuseline_tests::{Lab, root};

/// One action per point, each of which records that it is executed, and takes a while. What
/// comes after needs all.
const SWEEP: &str = r#"
fuseline: 1
name: sweep
params:
  points: 12
  seconds: 1
  folder: { type: string }
axes:
  n: ${{ range(params.points) }}
stages:
  work:
    uses: command
    over: [n]
    with:
      run: [sh, -c, "echo $POINT >> \"$FOLDER/notes\"; sleep $SECONDS_TO_WAIT; echo $POINT > outputs/main"]
      env:
        POINT: "${{ str(n) }}"
        FOLDER: "${{ params.folder }}"
        SECONDS_TO_WAIT: "${{ str(params.seconds) }}"
      outputs: { main: { artifact: report, media_type: text/plain } }
    resources: { cpu: 8 }
  last:
    uses: command
    inputs: { work: work }
    with:
      run: [sh, -c, "echo all > outputs/main"]
      inputs: { work: { artifact: report, many: true } }
      outputs: { main: { artifact: report, media_type: text/plain } }
    resources: { cpu: 1 }
outputs:
  last.txt: last
"#;

/// A folder with the sweep.
fn sweep() -> Lab {
    Lab::with_workflow(SWEEP)
}

/// The arguments that run the sweep, with its notes in the folder.
fn arguments(lab: &Lab, more: &[&str]) -> Vec<String> {
    let folder = format!("folder={}", lab.path("").display());
    let arguments = ["run", "workflow.yaml", "--set", &folder];
    arguments.iter().chain(more).map(|&argument| argument.to_owned()).collect()
}

/// The executions that the actions of the sweep have noted, sorted.
fn notes(lab: &Lab) -> Vec<u32> {
    let text = std::fs::read_to_string(lab.path("notes")).unwrap_or_default();
    let mut notes: Vec<u32> = text.lines().map(|line| line.parse().expect("a number")).collect();
    notes.sort_unstable();
    notes
}

/// Waits until something holds, a minute at most.
#[track_caller]
fn wait_until(what: &str, holds: impl FnMut() -> bool) {
    wait_for(what, 60, holds);
}

/// The same, for so many seconds at most.
#[track_caller]
fn wait_for(what: &str, seconds: u64, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(seconds), "{seconds} s, and not: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Starts a command whose output goes to a file of the folder.
fn start(lab: &Lab, mut command: Command, output: &str) -> Child {
    let file = std::fs::File::create(lab.path(output)).expect("a file can be made");
    let stderr = file.try_clone().expect("it can be opened twice");
    command.stdin(Stdio::null()).stdout(file).stderr(stderr).spawn().expect("it can be started")
}

/// Sends a signal to a process.
fn signal(child: &Child, name: &str) {
    let pid = child.id().to_string();
    let sent = Command::new("kill").args([&format!("-{name}"), &pid]).status();
    assert!(sent.expect("kill can be started").success());
}

/// The logs that the tasks of all runs in a cache have left.
fn logs(cache: &Path) -> String {
    let runs = std::fs::read_dir(cache.join("runs")).expect("there are runs").flatten();
    let files = runs
        .flat_map(|run| std::fs::read_dir(run.path().join("logs")).into_iter().flatten().flatten());
    files.map(|file| std::fs::read_to_string(file.path()).expect("text")).collect()
}

/// A script beside these stories.
fn script(name: &str) -> PathBuf {
    root().join("tests/cluster").join(name)
}
