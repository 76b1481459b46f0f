//! Progress of a run: bars in a terminal, plain lines in a pipe.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use fuseline::Event;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::args::Global;
use crate::print;

/// Progress display of a run.
pub struct Progress {
    bar: Option<ProgressBar>,
    quiet: bool,
    verbose: bool,
    done: usize,
    cached: usize,
    total: usize,
    stages: Vec<Stage>,
    /// Index of each stage in `stages`.
    by_name: BTreeMap<String, usize>,
}

/// Progress of one stage's actions.
struct Stage {
    name: String,
    total: usize,
    cached: usize,
    run: usize,
    running: usize,
}

impl Progress {
    /// A display for a run of stages with so many actions each.
    pub fn new(global: &Global, stages: Vec<(String, usize)>) -> Self {
        let total = stages.iter().map(|(_, actions)| actions).sum();
        let of = |(name, total)| Stage { name, total, cached: 0, run: 0, running: 0 };
        let stages: Vec<_> = stages.into_iter().map(of).collect();
        let bar = (print::is_rich() && !global.quiet && global.log.is_none()).then(|| {
            let bar =
                ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::stderr());
            // The template is fixed, so it parses; were it not to, the default is shown.
            if let Ok(style) = ProgressStyle::with_template(
                "{bar:24.cyan/blue} {pos}/{len} actions, {eta} left  {wide_msg:.dim}",
            ) {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        let (quiet, verbose) = (global.quiet, global.verbose);
        let by_name =
            stages.iter().enumerate().map(|(at, stage)| (stage.name.clone(), at)).collect();
        Self { bar, quiet, verbose, done: 0, cached: 0, total, stages, by_name }
    }

    /// Shows that the run waits for the remote.
    pub fn sending(&self, actions: usize) {
        let results = if actions == 1 { "result" } else { "results" };
        self.line(&format!(
            "Sending {actions} more {results} to the remote; Ctrl-C leaves it at what is sent."
        ));
    }

    /// Shows one event.
    pub fn show(&mut self, event: &Event) {
        match event {
            Event::Cached { stage, actions } => {
                self.done += actions;
                self.cached += actions;
                self.count(stage, |of| of.cached += actions);
                if self.verbose {
                    self.line(&format!("{stage}: {actions} cached"));
                }
            }
            Event::Waiting { action, holder } => {
                let holder = holder.as_deref().unwrap_or("another run");
                self.line(&format!("{action}: {holder} is executing it; waiting"));
            }
            Event::TakenOver { action } => {
                self.line(&format!("{action}: the other run did not finish it; taking over"));
            }
            Event::Remaking { action, producer, digest } => {
                self.count(action, |of| of.running = of.running.saturating_sub(1));
                // It counts again when it is made again.
                self.done = self.done.saturating_sub(1);
                self.line(&format!(
                    "{action}: its input {digest} is damaged or gone; {producer} makes it again"
                ));
            }
            Event::TimedOut { action, seconds } => {
                self.line(&format!("{action}: takes longer than {seconds} s; stopping it"));
            }
            Event::Stopping { running } => {
                let actions = if *running == 1 { "action" } else { "actions" };
                self.line(&format!(
                    "Interrupted. Finishing what is in flight ({running} {actions}); once more \
                     stops at once."
                ));
            }
            Event::Started { action, reason, .. } => {
                self.count(action, |of| of.running += 1);
                if self.verbose {
                    self.line(&format!("{action}: started, {reason}"));
                }
            }
            Event::Finished { action, seconds, .. } => {
                self.count(action, Stage::executed);
                self.done += 1;
                if self.verbose {
                    self.line(&format!("{action}: done in {seconds:.2} s"));
                }
            }
            Event::Failed { action, message, .. } => {
                self.count(action, Stage::executed);
                self.done += 1;
                // The whole message stands at the end of the run.
                self.line(&format!("{action}: failed: {}", fuseline::excerpt(message)));
            }
            Event::Retrying { action, message, seconds } => {
                self.count(action, |of| of.running = of.running.saturating_sub(1));
                let message = fuseline::excerpt(message);
                self.line(&format!("{action}: failed: {message}; trying again in {seconds:.1} s"));
            }
            Event::Engine { message } => self.line(message),
            Event::Skipped { stage, actions } => {
                self.line(&format!("{stage}: {actions} skipped"));
            }
            Event::RunStarted { .. } => {}
            Event::RunFinished { .. } => {
                if let Some(bar) = &self.bar {
                    bar.finish_and_clear();
                }
            }
        }
        self.done = self.done.min(self.total);
        match &self.bar {
            Some(bar) => {
                bar.set_position(self.done as u64);
                bar.set_message(self.in_flight());
            }
            // A pipe gets a line for every tenth of the work.
            None if !self.verbose && self.crossed_a_tenth(event) => {
                self.line(&format!(
                    "{}/{} actions, {} of them cached",
                    self.done, self.total, self.cached
                ));
            }
            None => {}
        }
    }

    /// Changes the counts of a stage, given its name or one of its actions.
    fn count(&mut self, of: &str, change: impl FnOnce(&mut Stage)) {
        let name = of.split('[').next().unwrap_or(of);
        if let Some(&at) = self.by_name.get(name) {
            change(&mut self.stages[at]);
        }
    }

    /// The stages that are being executed: `fusion 75: 60 cached, 12 run, 3 running`.
    fn in_flight(&self) -> String {
        let running = self.stages.iter().filter(|stage| stage.running > 0);
        running.map(Stage::to_string).collect::<Vec<_>>().join("; ")
    }

    /// True if an execution has just begun another tenth. A cached action is there at once, and
    /// worth no line of its own.
    fn crossed_a_tenth(&self, event: &Event) -> bool {
        let tenth = |done: usize| done * 10 / self.total.max(1);
        matches!(event, Event::Finished { .. } | Event::Failed { .. })
            && tenth(self.done) > tenth(self.done.saturating_sub(1))
    }

    fn line(&self, text: &str) {
        match &self.bar {
            _ if self.quiet => {}
            Some(bar) => bar.println(fuseline::visible(text)),
            None => print::note(text),
        }
    }
}

impl Stage {
    fn executed(&mut self) {
        self.running = self.running.saturating_sub(1);
        self.run += 1;
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, total, .. } = self;
        write!(f, "{name} {total}:")?;
        let counts = [(self.cached, "cached"), (self.run, "run"), (self.running, "running")];
        let counts = counts.iter().filter(|(count, _)| *count > 0);
        let counts: Vec<_> = counts.map(|(count, what)| format!(" {count} {what}")).collect();
        f.write_str(&counts.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_shown_by_their_stages() {
        let global = Global { log: None, quiet: true, verbose: false };
        let stages = [("cohort", 1), ("fusion", 75)].map(|(name, total)| (name.to_owned(), total));
        let mut progress = Progress::new(&global, stages.into());
        let fusion = || "fusion".to_owned();
        let action = |fold: u8| format!("fusion[fold={fold}]");
        assert_eq!(progress.in_flight(), "");
        progress.show(&Event::Cached { stage: fusion(), actions: 60 });
        for fold in 0..3 {
            let reason = "new".to_owned();
            progress.show(&Event::Started { action: action(fold), stage: fusion(), reason });
        }
        progress.show(&Event::Finished {
            action: action(0),
            stage: fusion(),
            seconds: 1.0,
            cpu_seconds: None,
        });
        progress.show(&Event::Retrying {
            action: action(1),
            message: "busy".to_owned(),
            seconds: 1.0,
        });
        assert_eq!(progress.in_flight(), "fusion 75: 60 cached, 1 run, 1 running");
    }
}
