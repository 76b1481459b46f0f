//! Kills real runs at random moments, lets them go on, and compares every byte with an undisturbed
//! run.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::Lab;

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
    /// Outputs and objects that were compared byte by byte.
    pub compared: usize,
    /// Differences from an undisturbed run.
    pub differences: Vec<String>,
    /// Duration of an undisturbed run.
    pub undisturbed: Duration,
}

/// Kills this number of runs. `seed` decides the moments.
pub fn kill_runs(kills: usize, seed: u64, mut say: impl FnMut(&Kills)) -> Kills {
    let whole = Lab::with_workflow(SMALL);
    let started = Instant::now();
    whole.run(["run", "workflow.yaml", "-j", "2"]).success();
    let undisturbed = started.elapsed();
    let expected = bytes_of(&whole);
    let mut found = Kills { runs: 1, undisturbed, ..Kills::default() };
    let (mut random, mut window) = (Random(seed | 1), undisturbed);
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
            let (began, moment) = (Instant::now(), window.mul_f64(random.next()));
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
            if found.kills >= kills {
                break;
            }
        }
        finish(&lab, &expected, &mut found);
        say(&found);
    }
    found
}

/// Lets a cache become complete, and compares all that is in it.
fn finish(lab: &Lab, expected: &BTreeMap<String, Vec<u8>>, found: &mut Kills) {
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
        if bytes.get(name) != expected.get(name) {
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

/// Marsaglia's xorshift: moments that a seed repeats.
struct Random(u64);

impl Random {
    /// From 0 to 1.
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}
