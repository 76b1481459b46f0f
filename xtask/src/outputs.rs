//! `cargo xtask outputs`: digests of all that the shipped workflows make, so that a change that
//! should change no result can be seen to change none.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use fuseline_tests::Lab;
use serde_json::Value;

/// Time after which a workflow is left out.
const LIMIT: Duration = Duration::from_secs(300);

/// Hexadecimal digits from which a word is taken for a digest, short as a report prints them.
const DIGEST_LENGTH: usize = 12;

/// Folders of real data, and the workflows that read them: those whose file's name has the second.
const DATA: [(&str, &str); 2] = [("mosei", "mosei"), ("stressid", "")];

/// Runs every workflow of `workflows/` in a cache of its own and prints a line for each of its
/// stages, with a digest of all its artifacts, and for each of its outputs.
///
/// `data`: the folder with `stressid` and `mosei`; without it what reads them is left out. Where
/// `permutations` is given it replaces the number that a workflow states.
pub fn list(
    root: &Path,
    data: Option<&str>,
    permutations: Option<&str>,
) -> Result<(), Box<dyn Error>> {
    let data = data.map(Path::new).map(Path::canonicalize).transpose()?;
    let folder = root.join("workflows").read_dir()?;
    let mut files: Vec<PathBuf> =
        folder.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    files.retain(|file| file.extension().is_some_and(|ending| ending == "yaml"));
    files.sort();
    for file in files {
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let lines = match run(&file, &name, data.as_deref(), permutations)? {
            Ok(lines) => lines,
            Err(reason) => format!("{name} left out: {reason}\n"),
        };
        #[expect(clippy::print_stdout, reason = "the answer that the person asked for")]
        {
            print!("{lines}");
        }
    }
    Ok(())
}

/// The lines of one workflow, or the reason why it is left out.
fn run(
    file: &Path,
    name: &str,
    data: Option<&Path>,
    permutations: Option<&str>,
) -> Result<Result<String, String>, Box<dyn Error>> {
    let text = std::fs::read_to_string(file)?;
    let lab = Lab::new();
    let mut command = lab.command(["run", "--quiet", "--format", "json", "--out", "out"]);
    command.arg(file);
    if text.lines().any(|line| line.trim_start().starts_with("data: {")) {
        let Some(data) = data else { return Ok(Err("it reads real data".to_owned())) };
        let own = DATA.iter().find(|(_, part)| name.contains(part));
        let own = own.map_or_else(PathBuf::new, |(folder, _)| data.join(folder));
        command.arg("--set").arg(format!("data={}", own.display()));
    }
    if let Some(count) = permutations {
        command.arg("--set").arg(format!("permutations={count}"));
    }
    let mut child = command
        .stdout(std::fs::File::create(lab.path("summary.json"))?)
        .stderr(std::fs::File::create(lab.path("errors"))?)
        .stdin(Stdio::null())
        .spawn()?;
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if begun.elapsed() > LIMIT {
            child.kill()?;
            child.wait()?;
            return Ok(Err(format!("it takes more than {} s", LIMIT.as_secs())));
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    if !status.success() {
        let errors = String::from_utf8_lossy(&lab.read("errors")).into_owned();
        return Err(format!("{name} failed ({status}):\n{errors}").into());
    }

    let mut lines = String::new();
    let manifest = lab.run(["runs", "show", "latest", "--format", "json"]).json();
    let mut stages = BTreeMap::<&str, Vec<String>>::new();
    for action in manifest["actions"].as_array().ok_or("the manifest has no actions")? {
        let label = action["action"].as_str().ok_or("an action has no label")?;
        let stage = label.split('[').next().unwrap_or_default();
        stages.entry(stage).or_default().push(format!("{label} {}\n", action["outputs"]));
    }
    for (stage, mut actions) in stages {
        actions.sort();
        let digest = blake3::hash(actions.concat().as_bytes()).to_hex();
        writeln!(lines, "{name} stage {stage} {} {digest}", actions.len())?;
    }
    let summary: Value = serde_json::from_slice(&lab.read("summary.json"))?;
    for output in summary["outputs"].as_object().ok_or("the summary has no outputs")?.keys() {
        let bytes = without_digests(lab.read(&format!("out/{output}")));
        let digest = blake3::hash(&bytes).to_hex();
        writeln!(lines, "{name} output {output} {digest}")?;
    }
    Ok(Ok(lines))
}

/// A text without the digests in it: those of rules change whenever they are built from other
/// sources, results or not.
fn without_digests(bytes: Vec<u8>) -> Vec<u8> {
    if std::str::from_utf8(&bytes).is_err() {
        return bytes;
    }
    let is_letter = |byte: &u8| (b'a'..=b'f').contains(byte);
    let is_hex = |byte: &u8| byte.is_ascii_digit() || is_letter(byte);
    let runs = bytes.chunk_by(|one, other| is_hex(one) == is_hex(other));
    // The digits of a number have no letter among them.
    let is_digest = |run: &[u8]| {
        run.len() >= DIGEST_LENGTH && run.iter().all(is_hex) && run.iter().any(is_letter)
    };
    runs.filter(|run| !is_digest(run)).flatten().copied().collect()
}
