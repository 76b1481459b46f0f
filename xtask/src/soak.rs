//! `cargo xtask soak`: many kills, and every byte compared.

use std::error::Error;

use fuseline_tests::kills::kill_runs;

/// Kills this number of runs; an error when anything differs from an undisturbed run.
pub fn run(kills: usize, seed: u64) -> Result<(), Box<dyn Error>> {
    let found = kill_runs(kills, seed, true, |so_far| {
        say(&format!("{} kills, {} caches complete", so_far.kills, so_far.caches));
    });
    say(&format!(
        "{} kills in {} runs (seed {seed}), {} collections, executions and runs beside them, {} \
         objects, records and indexes damaged; {} caches became complete; {} outputs and objects \
         compared byte by byte; an undisturbed run takes {:.2} s; {} differences",
        found.kills,
        found.runs,
        found.beside,
        found.damaged,
        found.caches,
        found.compared,
        found.undisturbed.as_secs_f64(),
        found.differences.len()
    ));
    match found.differences.first() {
        None => Ok(()),
        Some(first) => Err(first.clone().into()),
    }
}

fn say(line: &str) {
    #[expect(clippy::print_stdout, reason = "the answer that the person asked for")]
    {
        println!("{line}");
    }
}
