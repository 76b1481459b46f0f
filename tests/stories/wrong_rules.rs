//! Fusion rules that are wrong or hostile in one way each: none changes a result in silence, and
//! none reaches beyond its process. `tests/cases/rules` holds them; `sound_*` are right.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fuseline_tests::{Lab, Ran, has_python, root};

/// Expected outcome of a study with a rule.
enum Outcome {
    /// The findings of a sound rule.
    Right(Truth),
    /// The rule's actions fail with these words, and no finding of it is made.
    Fails(&'static str),
}
use Outcome::{Fails, Right};

/// Finding of a sound rule.
#[derive(Clone, Copy)]
enum Truth {
    /// It takes the mean: no gap.
    Mean,
    /// It weighs by quality.
    Weighted,
}

const CASES: &[(&str, Outcome)] = &[
    ("sound_mean.c", Right(Truth::Mean)),
    ("sound_quality.c", Right(Truth::Weighted)),
    ("sound_fast.c", Right(Truth::Weighted)),
    // Answers that are no function of a row's own values.
    ("tile_bug.c", Fails("does not predict row")),
    ("fast_path_lies.c", Fails("does not predict row")),
    ("fast_path_off_by_one.c", Fails("does not predict row")),
    ("row_id_feature.c", Fails("does not predict row")),
    ("swallows_sigsegv.c", Fails("does not predict row")),
    ("detects_check.c", Fails("does not predict row")),
    ("first_call_differs.c", Fails("does not predict row")),
    ("hides_quality.c", Fails("declares that it does not read quality")),
    // Their remembered state and files are absent.
    ("labels_through_static.c", Right(Truth::Mean)),
    ("permutation_detector_shm.c", Right(Truth::Weighted)),
    ("reads_own_folder.c", Right(Truth::Mean)),
    ("locks_files.c", Right(Truth::Mean)),
    ("sees_page_cache.c", Right(Truth::Mean)),
    // Errors that are hidden, or hard to find.
    ("ignores_sink_error.c", Fails("a part of its model was refused")),
    ("undefined_symbol.c", Fails("undefined symbol: not_there")),
    ("error_ansi_html.c", Fails("\\u{1b}[2J")),
    ("d_html.c", Fails("control characters")),
    ("d_300kb_params.c", Right(Truth::Mean)),
    ("log_simple.c", Right(Truth::Mean)),
    // Beyond their process.
    ("check_runs_unsandboxed.c", Right(Truth::Mean)),
    ("chmods_files.c", Right(Truth::Mean)),
    ("sends_datagram.c", Right(Truth::Mean)),
    ("tgkill_parent.c", Right(Truth::Mean)),
    ("prlimit_parent.c", Right(Truth::Mean)),
    ("close_crashes.c", Right(Truth::Mean)),
    ("socket_flood4.c", Fails("it broke the protocol")),
    ("threads_3000.c", Fails("and may run 256")),
    ("shared_memory_hog.c", Fails("no shared memory")),
];

const SCRIPTS: &[(&str, Outcome)] = &[
    ("p_sound.py", Right(Truth::Mean)),
    ("p_script_loop_bug.py", Fails("does not predict row")),
    ("p_row_negative.py", Fails("row minus one, as in the header")),
    ("p_error_900k.py", Fails("characters ... EEE")),
    ("p_locks_files.py", Right(Truth::Mean)),
    ("p_fork_child.py", Right(Truth::Mean)),
    ("p_fork_many.py", Fails("failed to fit")),
    ("p_orphan.py", Fails("failed to fit")),
    ("p_pidfd_kill.py", Fails("Permission denied")),
];

fn cases() -> std::path::PathBuf {
    root().join("tests/cases/rules")
}

/// A study with one rule, in the folder `rules`.
fn lab(source: &str) -> Lab {
    let study = std::fs::read_to_string(cases().join("case.yaml")).expect("the study is there");
    let lab = Lab::with_workflow(&study);
    let rules = lab.path("rules");
    std::fs::create_dir_all(&rules).expect("a folder can be made");
    if source.ends_with(".py") {
        std::fs::copy(cases().join(source), rules.join(source)).expect("it can be copied");
        let kit = root().join("plugins/examples/python/fuseline_rule.py");
        std::fs::copy(kit, rules.join("fuseline_rule.py")).expect("it can be copied");
    } else {
        compile(&cases().join(source), &rules.join("case.so"));
    }
    // Files that some of them try to reach.
    let labels: String = (0..600).map(|row| format!("{}\n", row % 2)).collect();
    lab.write("rules/secret_labels.txt", labels);
    lab.write("victim/file.txt", "untouched");
    lab
}

fn compile(source: &Path, library: &Path) {
    let output = Command::new("cc")
        .args(["-shared", "-fPIC", "-O2", "-w", "-D_GNU_SOURCE", "-I"])
        .arg(root().join("crates/fuseline-abi/include"))
        .arg("-I")
        .arg(cases())
        .arg(source)
        .arg("-o")
        .arg(library)
        .arg("-lm")
        .output()
        .expect("a C compiler is needed");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {words}", source.display());
}

fn run(lab: &Lab) -> Ran {
    let arguments = ["run", "workflow.yaml", "--plugin-path", "rules", "--keep-going"];
    lab.run([&arguments[..], &["--cache", "cache", "--out", "out"]].concat())
}

/// Balanced accuracy and gap of the rule, where it has a finding.
fn finding(lab: &Lab) -> Option<(f64, f64)> {
    let text = std::fs::read_to_string(lab.path("out/findings.csv")).ok()?;
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next()?.split(',').collect();
    let row = lines.find(|line| line.contains("org.plugins.case"))?;
    let row: Vec<&str> = row.split(',').collect();
    let value = |name: &str| -> Option<f64> {
        row.get(header.iter().position(|column| *column == name)?)?.parse().ok()
    };
    Some((value("ba_clean")?, value("gap")?))
}

fn hold(cases: &[(&str, Outcome)]) {
    let mut wrong = Vec::new();
    for (source, expected) in cases {
        let lab = lab(source);
        let ran = run(&lab);
        let (said, found) = (ran.stderr().replace("\n  │ ", " "), finding(&lab));
        let is_right = match (expected, found) {
            (Right(truth), Some((accuracy, gap))) => {
                let (right_accuracy, right_gap) = match truth {
                    Truth::Mean => (0.8269, 0.0),
                    Truth::Weighted => (0.9064, 0.096963),
                };
                ran.code() == 0
                    && (accuracy - right_accuracy).abs() < 1e-4
                    && (gap - right_gap).abs() < 1e-6
            }
            (Fails(words), None) => [1, 2].contains(&ran.code()) && said.contains(words),
            _ => false,
        };
        if !is_right {
            wrong.push(format!("{source}: exit {}, {found:?}: {said}", ran.code()));
        }
        assert_eq!(lab.read("victim/file.txt"), b"untouched", "{source}");
        let file = std::fs::metadata(lab.path("victim/file.txt")).expect("it is there");
        let age = file.modified().expect("it has a time").elapsed().unwrap_or_default();
        assert!(age.as_secs() < 3600, "{source} has set its times back");
        assert!(!lab.path("pwned.txt").exists(), "{source} wrote a file");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn no_wrong_or_hostile_rule_in_c_changes_a_result_in_silence() {
    hold(CASES);
}

#[test]
fn no_wrong_or_hostile_script_changes_a_result_in_silence() {
    if has_python("numpy, pyarrow") {
        hold(SCRIPTS);
    }
}

/// Every file in the folder of cases is tried.
#[test]
fn every_case_is_tried() {
    let tried: Vec<&str> = CASES.iter().chain(SCRIPTS).map(|(source, _)| *source).collect();
    for entry in std::fs::read_dir(cases()).expect("the folder is there").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_rule = name.ends_with(".c") || name.ends_with(".py");
        let has_own_test = ["p_busy.py", "never_fits.c"].contains(&&*name);
        assert!(!is_rule || tried.contains(&&*name) || has_own_test, "{name} is not tried");
    }
}

#[test]
fn a_script_that_never_answers_costs_its_timeout() {
    if !has_python("numpy, pyarrow") {
        return;
    }
    let lab = lab("p_busy.py");
    lab.edit(
        "workflow.yaml",
        "uses: diagnose.permute_quality,",
        "uses: diagnose.permute_quality, timeout: 4s,",
    );
    let ran = run(&lab);
    ran.exits(1);
    assert!(ran.stderr().contains("timeout of 4 s"), "{}", ran.stderr());
    assert_eq!(finding(&lab), None);
}

#[test]
fn the_check_of_a_rule_that_never_answers_ends_with_its_time() {
    let lab = lab("never_fits.c");
    let checked = lab.run(["plugin", "check", "rules/case.so", "--timeout", "3s"]);
    checked.exits(1);
    let words = checked.stdout();
    assert!(words.contains("`limits.call`, a fifth of --timeout"), "{words}");
    assert!(words.contains("the 3 s for all checks are over; --timeout gives more"), "{words}");
    lab.run(["plugin", "check", "rules/case.so", "--timeout", "0s"]).exits(2);
}

#[test]
fn the_check_runs_nothing_outside_the_sandbox() {
    let lab = lab("check_runs_unsandboxed.c");
    let checked = lab.run(["plugin", "check", "rules/case.so"]);
    assert!(!lab.path("pwned.txt").exists());
    // It may leave a file in the folder that a probe is given to see just that; a shell and a
    // socket it never gets.
    checked.exits(1);
    assert!(checked.stdout().contains("it left a file behind"), "{}", checked.stdout());
}

/// The processes that a process has started, and those that they have started.
fn descendants(process: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let mut found = Vec::new();
    for task in tasks {
        let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        for child in children.split_whitespace().filter_map(|child| child.parse().ok()) {
            found.push(child);
            found.extend(descendants(child));
        }
    }
    found
}

fn is_running(process: &u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // A process that nobody has waited for yet has ended, too.
    stat.rsplit_once(") ").is_some_and(|(_, fields)| !fields.starts_with('Z'))
}

/// Kills a run once it has this number of processes, and waits until none of them is left.
fn end_with_host(lab: &Lab, processes: usize) {
    let mut command =
        lab.command(["run", "workflow.yaml", "--plugin-path", "rules", "--jobs", "1"]);
    let mut host = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    let begun = Instant::now();
    let started = loop {
        let started = descendants(host.id());
        if started.len() >= processes {
            break started;
        }
        assert!(begun.elapsed().as_secs() < 120, "only {started:?} were started");
        std::thread::sleep(Duration::from_millis(20));
    };
    host.kill().expect("it can be killed");
    host.wait().expect("it ends");
    let killed = Instant::now();
    while started.iter().any(is_running) {
        assert!(killed.elapsed().as_secs() < 20, "{started:?} go on");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn workers_end_with_a_host_that_is_killed() {
    let sleeps = lab("sound_mean.c");
    sleeps.write("sleeps.c", "#define BEFORE_FIT for (;;) sleep(1);\n#include \"rule.h\"\n");
    compile(&sleeps.path("sleeps.c"), &sleeps.path("rules/case.so"));
    end_with_host(&sleeps, 1);

    if has_python("numpy, pyarrow") {
        let script = lab("p_sound.py");
        let starts = "        subprocess.Popen([\"/bin/sleep\", \"600\"]); time.sleep(600)\n";
        script.edit("rules/p_sound.py", "        #FIT\n", starts);
        // The one beside the script, the script, and its children.
        end_with_host(&script, 3);
    }
}
