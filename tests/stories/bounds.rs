//! Hostile inputs: one that is too large, without end, or mislabelled gets an error in words,
//! in bounded time and memory.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use fuseline_tests::damage::Numbers;
use fuseline_tests::{Lab, Ran, fuseline, root};

/// Nothing of these takes longer, on a machine that does much else.
const SOON: Duration = Duration::from_secs(60);
/// The address space that a command may have, in KiB: what it reserves counts, and not what it
/// uses.
const ADDRESS_SPACE_KIB: u32 = 6 << 20;
/// The memory that a run may use.
const MEMORY: u64 = 1 << 30;

const INCLUDES: &str = "fuseline: 1
name: t
include: [FILE]
stages:
  c: { uses: simulate.cohort, with: { examples: 20, groups: 5 } }
outputs: { c.parquet: c }
";

/// Runs the command within bounds.
fn bounded(lab: &Lab, arguments: &[&str]) -> Ran {
    let start = Instant::now();
    let limited = format!("ulimit -v {ADDRESS_SPACE_KIB} && exec \"$@\"");
    let mut command = Command::new("sh");
    command.args(["-c", &limited, "sh"]).arg(fuseline()).args(arguments).current_dir(lab.path(""));
    let ran = Ran(command.output().expect("a shell can be started"));
    assert!(start.elapsed() < SOON, "{arguments:?} takes {:?}", start.elapsed());
    ran
}

#[test]
fn a_small_stack_of_the_shell_is_enough() {
    let lab = Lab::new();
    lab.write("workflow.yaml", INCLUDES.replace("include: [FILE]\n", ""));
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -s 64 && exec \"$@\"", "sh"]).arg(fuseline());
    command.args(["run", "workflow.yaml", "--out", "out"]).current_dir(lab.path(""));
    Ran(command.output().expect("a shell can be started")).exits(0);
}

#[test]
fn only_a_file_that_is_part_of_a_workflow_is_included() {
    let lab = Lab::new();
    lab.write("secret", "root:$6$salt$hash:19000:0:99999:7:::\nalice:!:19000::::::\n");
    lab.write("token.yaml", "# of somebody\ntoken: abc-secret\n");
    lab.write("large.yaml", format!("fuseline: 1\nstages:\n{}", " ".repeat(3 << 20)));
    rustix::fs::mkfifoat(rustix::fs::CWD, lab.path("pipe"), rustix::fs::Mode::RWXU)
        .expect("a pipe");
    for (file, why) in [
        ("/dev/zero", "it is a pipe or a device"),
        ("pipe", "it is a pipe or a device"),
        ("secret", "is no part of a workflow"),
        ("token.yaml", "is no part of a workflow"),
        ("large.yaml", "more than 2097152 bytes"),
        (".", "it is a folder"),
    ] {
        lab.write("workflow.yaml", INCLUDES.replace("FILE", file));
        let ran = bounded(&lab, &["check", "workflow.yaml"]);
        let said = ran.exits(2).stderr();
        assert!(said.contains(why), "{file}: {said}");
        assert!(!said.contains("salt") && !said.contains("abc-secret"), "{said}");
    }
    lab.write("part.yaml", "{\"fuseline\": 1, \"params\": {\"n\": 1}}\n");
    lab.write("workflow.yaml", INCLUDES.replace("FILE", "part.yaml"));
    bounded(&lab, &["check", "workflow.yaml"]).success();
}

#[test]
fn a_text_that_is_too_large_is_named_with_the_limit() {
    let lab = Lab::new();
    let large = format!("fuseline: 1\nname: t\ndescription: {}\n", "x".repeat(3 << 20));
    lab.write("large.yaml", &large);
    lab.write("workflow.yaml", INCLUDES.replace("include: [FILE]\n", "params: { n: 1 }\n"));
    for arguments in [
        &["check", "large.yaml"][..],
        &["check", "/dev/zero"],
        &["check", "workflow.yaml", "--params", "large.yaml"],
        &["check", "workflow.yaml", "--params", "/dev/zero"],
    ] {
        let ran = bounded(&lab, arguments);
        assert!(ran.exits(2).stderr().contains("more than 2097152 bytes"), "{}", ran.stderr());
    }
}

#[test]
fn a_thousand_mistakes_are_counted_and_not_all_shown() {
    let mistakes =
        |n: usize| format!("  s{n}: {{ uses: simulate.cohrt, inputs: {{ a: none{n} }} }}\n");
    let stages: String = (0..2_000).map(mistakes).collect();
    let lab = Lab::with_workflow(&format!("fuseline: 1\nname: t\nstages:\n{stages}"));
    for format in ["human", "json", "sarif"] {
        let ran = bounded(&lab, &["check", "workflow.yaml", "--format", format]);
        let said = ran.exits(2).stdout() + &ran.stderr();
        assert!(said.contains("more of such"), "{format}");
        assert!(said.len() < 4 << 20, "{} bytes of {format}", said.len());
    }
}

/// Number of damaged files of each format.
const MUTANTS: usize = 40;

#[test]
fn damaged_files_of_every_format_neither_crash_nor_fill_the_memory_of_a_run() {
    let fixtures = root().join("crates/fuseline-stages/tests/fixtures");
    let fixture = |name: &str| fs::read(fixtures.join(name)).expect("a fixture");
    let table: String = (0..40).map(|row| format!("e{row},{row}.5,{}\n", row % 3)).collect();
    let lines: String =
        (0..40).map(|row| format!("{{\"id\": \"e{row}\", \"x\": {row}.5}}\n")).collect();
    let formats: [(&str, &str, Vec<u8>); 6] = [
        ("load.csv", "id: { column: id }", format!("id,x,y\n{table}").into_bytes()),
        ("load.jsonl", "id: { column: id }", lines.into_bytes()),
        ("load.npz", "id: { array: ids }, features: { array: x }", fixture("load/arrays.npz")),
        ("load.parquet", "id: { column: id }", fixture("load/table_zstd.parquet")),
        ("load.parquet", "id: { column: id }", fixture("load/table_snappy.parquet")),
        ("load.csd", "weight: duration", fixture("load/words.csd")),
    ];
    for (number, (kind, options, sound)) in formats.iter().enumerate() {
        let lab = Lab::with_workflow(&format!(
            "fuseline: 1\nname: mutants\naxes:\n  file: ${{{{ range({MUTANTS}) \
             }}}}\nstages:\n  load:\n    uses: {kind}\n    over: [file]\n    with: {{ path: \
             \"mutants/${{{{ file }}}}\", {options} }}\n"
        ));
        for mutant in 0..MUTANTS {
            let mut bytes = sound.clone();
            Numbers((number * MUTANTS + mutant) as u64).damage(&mut bytes);
            lab.write(&format!("mutants/{mutant}"), bytes);
        }
        let ran = bounded(&lab, &["run", "workflow.yaml", "--keep-going", "-j", "2", "-q"]);
        let code = ran.0.status.code();
        assert!(matches!(code, Some(0 | 2)), "{kind} ended with {code:?}: {}", ran.stderr());
        let manifest = lab.run(["runs", "show", "latest", "--format", "json"]).json();
        let memory = manifest["peak_memory"].as_u64().expect("it is known");
        assert!(memory < MEMORY, "{kind} took {memory} bytes");
        for action in manifest["actions"].as_array().expect("a list") {
            let seconds = action["seconds"].as_f64().unwrap_or(0.0);
            assert!(seconds < 5.0, "{kind}: {action}");
        }
    }
}
