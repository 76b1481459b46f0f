//! Files that a run reads from outside: their identity, and when they are read again.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fuseline_tests::{Lab, Need, Ran, skip};
use rustix::process::{Pid, Signal, kill_process};

const TABLE: &str = "fuseline: 1
name: table
params:
  data: { type: path, default: data.csv }
stages:
  table:
    uses: load.csv
    with: { path: \"${{ params.data }}\", id: { column: id } }
outputs: { table.csv: table }
";

/// A program that is given the paths of its files.
const PROGRAM: &str = "fuseline: 1
name: program
params:
  script: { type: path, default: script.sh }
  data: { type: path, default: my data }
stages:
  told:
    uses: command
    with:
      run: [sh, \"${{ params.script }}\"]
      env: { DATA: \"${{ params.data }}\" }
      params: { also: \"${{ params.data }}/a.txt\" }
      outputs: { main: { artifact: report, media_type: text/plain } }
  shell:
    uses: command
    with:
      run: [sh, -c, \"cat '${{ params.data }}/b.txt' > outputs/main\"]
      outputs: { main: { artifact: report, media_type: text/plain } }
outputs: { told.txt: told, shell.txt: shell }
";

fn executed(ran: &Ran) -> u64 {
    ran.json()["executed"].as_u64().expect("a number")
}

fn program(folder: &str) -> Lab {
    let lab = Lab::new();
    lab.write(&format!("{folder}/workflow.yaml"), PROGRAM);
    lab.write(&format!("{folder}/script.sh"), "cat \"$DATA\"/*.txt > outputs/main\n");
    lab.write(&format!("{folder}/my data/a.txt"), "one");
    lab.write(&format!("{folder}/my data/b.txt"), "two");
    lab
}

#[test]
fn a_path_that_reaches_a_program_counts_by_content_and_not_by_place() {
    let lab = program("here");
    let run = |folder: &str| {
        let workflow = format!("{folder}/workflow.yaml");
        executed(&lab.run(["run", &workflow, "--format", "json"]))
    };
    assert_eq!((run("here"), run("here")), (2, 0));
    assert_eq!(lab.read("results/program/told.txt"), b"onetwo");
    lab.write("here/script.sh", "cat \"$DATA\"/*.txt | tr a-z A-Z > outputs/main\n");
    assert_eq!(run("here"), 1, "the script was edited");
    assert_eq!(lab.read("results/program/told.txt"), b"ONETWO");
    lab.write("here/my data/b.txt", "tow");
    assert_eq!(run("here"), 2, "a file that both read was edited");
    assert_eq!(lab.read("results/program/shell.txt"), b"tow");
    lab.write("here/my data/_c.txt", "three");
    assert_eq!(run("here"), 1, "a file appeared in a folder that is given");
    fs::rename(lab.path("here"), lab.path("there")).expect("it can be moved");
    assert_eq!(run("there"), 0, "where it lies is no part of a key");
    fs::remove_file(lab.path("there/script.sh")).expect("it can be removed");
    let missing = lab.run(["run", "there/workflow.yaml"]);
    assert!(missing.exits(2).stderr().contains("script.sh"), "{}", missing.stderr());
}

#[test]
fn a_file_that_a_program_read_and_that_changed_meanwhile_fails_the_action() {
    let lab = program("here");
    let script = "cat \"$DATA\"/*.txt > outputs/main; echo more >> \"$DATA/a.txt\"\n";
    lab.write("here/script.sh", script);
    let ran = lab.run(["run", "here/workflow.yaml"]);
    assert!(ran.exits(2).stderr().contains("changed"), "{}", ran.stderr());
}

#[test]
fn a_file_that_a_program_could_have_had_and_that_appears_is_seen() {
    let lab = Lab::new();
    let later = lab.path("later.txt");
    lab.write(
        "workflow.yaml",
        PROGRAM
            .replace(
                "sh, \"${{ params.script }}\"",
                &format!("sh, -c, \"cat {} > outputs/main; true\"", later.display()),
            )
            .replace("  script: { type: path, default: script.sh }\n", ""),
    );
    lab.write("my data/a.txt", "one");
    lab.write("my data/b.txt", "two");
    let run = || executed(&lab.run(["run", "workflow.yaml", "--format", "json"]));
    assert_eq!((run(), run()), (2, 0));
    fs::write(&later, "later").expect("a file can be written");
    assert_eq!(run(), 1);
    assert_eq!(lab.read("results/program/told.txt"), b"later");
}

#[test]
fn an_image_with_times_that_say_nothing_is_read_every_time() {
    let lab = Lab::with_workflow(TABLE);
    let Some(image) = Image::new(lab.path("image")) else { return };
    for (text, executed_now) in
        [("id,x\na,1\nb,2\n", 1), ("id,x\na,9\nb,2\n", 1), ("id,x\na,1\nb,2\n", 0)]
    {
        lab.write("source/data.csv", text);
        image.mount(&lab.path("source"));
        let data = format!("data={}", image.mounted().join("data.csv").display());
        for expected in [executed_now, 0] {
            let ran = lab.run(["run", "workflow.yaml", "--set", &data, "--format", "json"]);
            assert_eq!(executed(&ran), expected, "{text}");
        }
        image.unmount();
        let cells: Vec<u8> = lab.read("results/table/table.csv");
        let value = text.split([',', '\n']).nth(3).expect("a cell");
        assert!(String::from_utf8_lossy(&cells).contains(&format!("a,{value}")), "{text}");
    }
}

#[test]
fn rehash_reads_what_times_say_is_unchanged() {
    let lab = Lab::with_workflow(TABLE);
    lab.write("data.csv", "id,x\na,1\n");
    for arguments in [&["run"][..], &["run", "--rehash"], &["plan", "--rehash"]] {
        lab.run(arguments.iter().chain(&["workflow.yaml"])).success();
    }
}

#[test]
fn what_comes_from_a_pipe_is_read_once() {
    let lab = Lab::new();
    for (examples, executed_now) in [(20, 1), (20, 0), (30, 1), (30, 0)] {
        let text = format!(
            "fuseline: 1\nname: piped\nstages:\n  c:\n    uses: simulate.cohort\n    with: {{ \
             examples: {examples}, groups: 5 }}\noutputs: {{ c.parquet: c }}\n"
        );
        let mut command = lab.command(["run", "/dev/stdin", "--format", "json"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut run = command.spawn().expect("fuseline can be started");
        let mut stdin = run.stdin.take().expect("it was asked for");
        stdin.write_all(text.as_bytes()).expect("it reads");
        drop(stdin);
        let ran = Ran(run.wait_with_output().expect("it can be waited for"));
        assert_eq!(executed(&ran), executed_now, "{examples} examples");
    }
}

#[test]
fn data_in_a_pipe_is_refused_at_once() {
    let lab = Lab::with_workflow(TABLE);
    let pipe = lab.path("data.csv");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).expect("a pipe");
    for command in ["check", "plan", "run"] {
        let mut child = lab
            .command([command, "workflow.yaml"])
            .stderr(Stdio::piped())
            .spawn()
            .expect("fuseline can be started");
        let give_up = Instant::now() + Duration::from_secs(30);
        while child.try_wait().expect("a child").is_none() {
            if Instant::now() > give_up {
                kill_process(Pid::from_child(&child), Signal::KILL).expect("a child");
                panic!("{command} waits for the pipe");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let ran = Ran(child.wait_with_output().expect("it has ended"));
        assert!(ran.exits(2).stderr().contains("it is a pipe"), "{}", ran.stderr());
    }
}

#[test]
fn outputs_elsewhere_are_not_written_over_what_the_last_run_read() {
    let lab = Lab::with_workflow(&TABLE.replace("table.csv: table", "data.csv: table"));
    lab.write("data.csv", "id,x\na,1\n");
    lab.run(["run", "workflow.yaml"]).success();
    let ran = lab.run(["run", "workflow.yaml", "--out", "."]);
    assert!(ran.exits(2).stderr().contains("which the run reads"), "{}", ran.stderr());
    assert_eq!(lab.read("data.csv"), b"id,x\na,1\n");
}

#[test]
fn an_included_file_is_not_written_over() {
    let (head, stages) = TABLE.split_once("stages:\n").expect("stages");
    let (stages, _) = stages.split_once("outputs:").expect("outputs");
    let own =
        "stages:\n  cohort:\n    uses: simulate.cohort\n    with: { examples: 20, groups: 5 }\n";
    let outputs = "outputs: { stages.yaml: table, c.parquet: cohort }\n";
    let lab = Lab::with_workflow(&format!("{head}include: [stages.yaml]\n{own}{outputs}"));
    let included = format!("fuseline: 1\nstages:\n{stages}");
    lab.write("stages.yaml", &included);
    lab.write("data.csv", "id,x\na,1\n");
    let ran = lab.run(["run", "workflow.yaml", "--out", "."]);
    assert!(ran.exits(2).stderr().contains("which the run reads"), "{}", ran.stderr());
    assert_eq!(lab.read("stages.yaml"), included.as_bytes());
}

#[test]
fn a_lock_that_appears_while_a_run_goes_on_is_obeyed_by_the_next() {
    let lab = Lab::with_workflow(include_str!("../cases/slow.yaml"));
    let run = crate::concurrency::start(&lab, &["--format", "json"]);
    crate::concurrency::until_some_run_says(&lab, "\"started\"");
    lab.write("fuseline.lock", "this is no lock\n");
    assert_eq!(executed(&crate::concurrency::end(run)), 1);
    let next = lab.run(["run", "workflow.yaml"]);
    assert!(next.exits(2).stderr().contains("fuseline.lock"), "{}", next.stderr());
}

/// A read-only image that is made the same from the same bytes: all of its times are 0.
struct Image {
    folder: PathBuf,
}

impl Image {
    fn new(folder: PathBuf) -> Option<Self> {
        fs::create_dir_all(folder.join("mounted")).expect("a folder");
        let image = Self { folder };
        let source = image.folder.join("source");
        fs::create_dir(&source).expect("a folder");
        if !image.try_mount(&source) {
            skip(Need::Mount, "this user may not make and mount a squashfs image");
            return None;
        }
        image.unmount();
        Some(image)
    }

    fn mounted(&self) -> PathBuf {
        self.folder.join("mounted")
    }

    fn try_mount(&self, source: &Path) -> bool {
        let file = self.folder.join("image.squashfs");
        let _ = fs::remove_file(&file);
        let ran = |command: &mut Command| command.output().is_ok_and(|ran| ran.status.success());
        ran(Command::new("mksquashfs").args([source, &file]).args([
            "-all-time",
            "0",
            "-mkfs-time",
            "0",
            "-all-root",
            "-quiet",
            "-no-progress",
        ])) && ran(Command::new("mount").args(["-o", "loop,ro"]).args([file, self.mounted()]))
    }

    fn mount(&self, source: &Path) {
        assert!(self.try_mount(source), "it could be mounted before");
    }

    fn unmount(&self) {
        let _ = Command::new("umount").arg(self.mounted()).status();
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.mounted()).stderr(Stdio::null()).status();
    }
}
