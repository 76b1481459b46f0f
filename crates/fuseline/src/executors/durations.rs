//! Durations of actions by stage, to put short ones together.

use std::collections::BTreeMap;

use fuseline_cache::Cache;
use fuseline_engine::Manifest;

/// Seconds assumed for an action of a stage without past durations.
const UNKNOWN_SECONDS: f64 = 5.0;
/// Number of past runs that are read.
const RUNS: usize = 5;

/// The sum and the number of the times of some actions.
type Times = (f64, u32);

/// Durations of actions, by stage: of this run, else of the latest that executed some.
#[derive(Debug, Default)]
pub(super) struct Durations {
    past: BTreeMap<String, Times>,
    now: BTreeMap<String, Times>,
}

impl Durations {
    /// The durations of the latest runs of a cache.
    pub fn of_past_runs(cache: &Cache) -> Self {
        let mut past = BTreeMap::new();
        let runs = cache.runs().unwrap_or_default();
        // Runs that cannot be read say nothing.
        let manifests = runs.iter().rev().filter_map(|run| Manifest::read(cache, run).ok());
        for manifest in manifests.take(RUNS) {
            let mut of_run: BTreeMap<String, Times> = BTreeMap::new();
            for action in &manifest.actions {
                if let (Some(seconds), Some(stage)) =
                    (action.seconds, manifest.stages.get(action.stage))
                {
                    add(&mut of_run, &stage.name, seconds);
                }
            }
            for (stage, times) in of_run {
                past.entry(stage).or_insert(times);
            }
        }
        Self { past, now: BTreeMap::new() }
    }

    /// Records an action that was executed.
    pub fn note(&mut self, stage: &str, seconds: f64) {
        add(&mut self.now, stage, seconds);
    }

    /// Number of actions of a stage that take about so many seconds together; at least one.
    pub fn actions_within(&self, stage: &str, seconds: f64) -> u32 {
        let times = self.now.get(stage).or_else(|| self.past.get(stage));
        let mean = times.map_or(UNKNOWN_SECONDS, |(sum, count)| sum / f64::from(*count));
        // An action that takes no time at all still has to be looked up and written.
        (seconds / mean.max(0.02)).floor().clamp(1.0, 10_000.0) as u32
    }
}

fn add(times: &mut BTreeMap<String, Times>, stage: &str, seconds: f64) {
    let (sum, count) = times.entry(stage.to_owned()).or_default();
    *sum += seconds.max(0.0);
    *count += 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_actions_are_put_together_and_long_ones_are_not() {
        let mut durations = Durations::default();
        assert_eq!(durations.actions_within("fusion", 60.0), 12, "nothing is known of it");
        for seconds in [0.4, 0.6] {
            durations.note("fusion", seconds);
        }
        durations.note("permute", 3600.0);
        durations.note("load", 0.0);
        assert_eq!(durations.actions_within("fusion", 60.0), 120);
        assert_eq!(durations.actions_within("permute", 60.0), 1);
        assert_eq!(durations.actions_within("load", 60.0), 3000);
    }
}
