//! Kills real runs at random moments, where asked for beside others and with damage in between, lets
//! them go on, and compares every byte with an undisturbed
//! run.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::Lab;
use crate::damage::Numbers;

/// The workflow that is run: every stage of the diagnostic, in a fraction of a second.
pub const SMALL: &str = include_str!("cases/small.yaml");

/// Outcome of runs that were killed.
#[derive(Debug, Default)]
pub struct Kills {
    /// Runs that were killed before they ended.
    pub kills: usize,
    /// Runs that were started.
    pub runs: usize,
    /// Caches that were killed in until they were complete, and then compared.
    pub caches: usize,
    /// Collections, executions of single actions and other runs beside those that were killed.
    pub beside: usize,
    /// Objects and records that were changed, cut short or removed.
    pub damaged: usize,
    /// Outputs and objects that were compared byte by byte.
    pub compared: usize,
    /// Differences from an undisturbed run.
    pub differences: Vec<String>,
    /// Duration of an undisturbed run.
    pub undisturbed: Duration,
}

/// Kills this number of runs. `seed` decides the moments. `disturbed`: others work on the cache at
/// the same time, and objects and records are damaged in between.
pub fn kill_runs(kills: usize, seed: u64, disturbed: bool, mut say: impl FnMut(&Kills)) -> Kills {
    let whole = Lab::with_workflow(SMALL);
    let started = Instant::now();
    whole.run(["run", "workflow.yaml", "-j", "2"]).success();
    let undisturbed = started.elapsed();
    let expected = bytes_of(&whole);
    let mut found = Kills { runs: 1, undisturbed, ..Kills::default() };
    let (mut random, mut window) = (Numbers(seed), undisturbed);
    while found.kills < kills {
        let lab = Lab::with_workflow(SMALL);
        for fresh in std::iter::once(true).chain(std::iter::repeat(false)) {
            found.runs += 1;
            let mut run = lab
                .command(["run", "workflow.yaml", "-j", "2"])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("fuseline can be started");
            // Any moment of a run that is as fast as the fastest so far: a machine has other work,
            // too.
            let beside = if disturbed { start_beside(&lab, &mut random) } else { None };
            found.beside += usize::from(beside.is_some());
            let (began, moment) = (Instant::now(), window.mul_f64(random.fraction()));
            while began.elapsed() < moment {
                std::thread::sleep(Duration::from_millis(1));
                if run.try_wait().expect("a child can be asked").is_some() {
                    // One that went on from another had less to do.
                    window = if fresh { window.min(began.elapsed()) } else { window };
                    break;
                }
            }
            if run.try_wait().expect("a child can be asked").is_none() {
                run.kill().expect("a child can be killed");
            }
            let status = run.wait().expect("a child can be waited for");
            if let Some((what, beside)) = beside {
                let ended = beside.wait_with_output().expect("a child can be waited for");
                let (code, said) = (ended.status.code(), String::from_utf8_lossy(&ended.stderr));
                // A job that was collected meanwhile is not executed.
                if code != Some(0) && (what != "exec" || !matches!(code, Some(1 | 2))) {
                    found
                        .differences
                        .push(format!("{what} beside a run ended with {code:?}: {said}"));
                }
            }
            if status.code().is_some_and(|code| code != 0) {
                found.differences.push(format!("a run that goes on ended with {status}"));
            }
            if status.code().is_some() {
                break;
            }
            found.kills += 1;
            // Outputs delivered by a killed run are complete or absent.
            for (name, bytes) in delivered(&lab) {
                if expected.get(&name) != Some(&bytes) {
                    found.differences.push(format!("{name} is torn after a kill"));
                }
            }
            if disturbed && random.below(2) == 0 {
                found.damaged += usize::from(damage(&lab, &mut random));
            }
            if found.kills >= kills {
                break;
            }
        }
        if disturbed {
            // Names what is damaged, and what the next run makes again.
            found.runs += 1;
            lab.run(["run", "workflow.yaml"]);
            lab.run(["cache", "verify"]);
        }
        finish(&lab, &expected, disturbed, &mut found);
        say(&found);
    }
    found
}

/// Starts something that uses the cache beside a run; none now and then.
fn start_beside(lab: &Lab, random: &mut Numbers) -> Option<(&'static str, Child)> {
    let (what, arguments) = match random.below(4) {
        // It is an error where the run has not made the cache yet.
        0 if !lab.path("cache/objects").is_dir() => return None,
        0 => {
            ("gc", ["cache", "gc", "--grace", "0", "--keep-runs", "1"].map(str::to_owned).to_vec())
        }
        1 => {
            let runs = files(&lab.path("cache/runs"));
            let jobs: Vec<_> = runs.iter().flat_map(|run| files(&run.join("jobs"))).collect();
            let job = jobs.get(random.below(jobs.len()))?.file_name()?.to_str()?.to_owned();
            ("exec", vec!["exec".to_owned(), job])
        }
        2 => ("run", ["run", "workflow.yaml"].map(str::to_owned).to_vec()),
        _ => return None,
    };
    let mut command = lab.command(arguments);
    let started = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    Some((what, started.expect("fuseline can be started")))
}

/// Changes, cuts short or removes an object, a record or an index; false where there is none.
fn damage(lab: &Lab, random: &mut Numbers) -> bool {
    let kind = ["cache/objects", "cache/actions", "cache/workflows"][random.below(3)];
    let mut found: Vec<_> = files(&lab.path(kind));
    found.extend(found.clone().iter().flat_map(|folder| files(folder)));
    found.retain(|path| path.is_file());
    let Some(path) = found.get(random.below(found.len())) else { return false };
    let Ok(mut bytes) = fs::read(path) else { return false };
    match random.below(3) {
        0 => return fs::remove_file(path).is_ok(),
        _ => random.damage(&mut bytes),
    }
    // Objects are read-only, and so is what a disk does not ask about.
    fs::remove_file(path).and_then(|()| fs::write(path, bytes)).is_ok()
}

/// Lets a cache become complete, and compares all that is in it.
fn finish(lab: &Lab, expected: &BTreeMap<String, Vec<u8>>, was_collected: bool, found: &mut Kills) {
    found.runs += 1;
    let last = lab.run(["run", "workflow.yaml"]);
    if last.code() != 0 {
        found.differences.push(format!("the last run failed: {}", last.stderr()));
    }
    let sound = lab.run(["cache", "verify"]);
    if sound.code() != 0 {
        found.differences.push(format!("the cache is not sound: {}", sound.stdout()));
    }
    let bytes = bytes_of(lab);
    for name in bytes.keys().chain(expected.keys()) {
        // What nothing needs any more may be collected.
        let is_collected =
            was_collected && !bytes.contains_key(name) && !name.starts_with("results");
        if !is_collected && bytes.get(name) != expected.get(name) {
            found.differences.push(format!("{name} differs"));
        }
    }
    found.compared += bytes.len();
    found.caches += 1;
}

/// Every output and every object, by name.
fn bytes_of(lab: &Lab) -> BTreeMap<String, Vec<u8>> {
    let mut bytes = delivered(lab);
    for shard in files(&lab.path("cache/objects")) {
        for object in files(&shard) {
            let name = object.strip_prefix(lab.path("cache")).expect("it lies there").to_owned();
            // A file that a killed run was writing is never read.
            if object.extension().is_none() {
                let text = name.display().to_string();
                bytes.insert(text, fs::read(&object).expect("an object can be read"));
            }
        }
    }
    bytes
}

fn delivered(lab: &Lab) -> BTreeMap<String, Vec<u8>> {
    files(&lab.path("results/small"))
        .into_iter()
        .filter(|path| path.extension().is_none_or(|end| end != "tmp"))
        .map(|path| {
            let name = path.file_name().expect("a file has a name").display().to_string();
            (format!("results/{name}"), fs::read(&path).expect("an output can be read"))
        })
        .collect()
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries.map(|entry| entry.expect("a folder can be listed").path()).collect()
}
