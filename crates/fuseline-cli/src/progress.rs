//! Progress of a run: bars in a terminal, plain lines in a pipe.

use std::time::Duration;

use fuseline_engine::Event;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::args::Global;
use crate::print;

/// How a run is shown while it goes on.
pub struct Progress {
    bar: Option<ProgressBar>,
    quiet: bool,
    verbose: bool,
    done: usize,
    cached: usize,
    total: usize,
    running: Vec<String>,
}

impl Progress {
    /// A display for a run of so many actions.
    pub fn new(global: &Global, total: usize) -> Self {
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
        Self { bar, quiet, verbose, done: 0, cached: 0, total, running: Vec::new() }
    }

    /// Shows one event.
    pub fn show(&mut self, event: &Event) {
        match event {
            Event::Cached { stage, actions } => {
                self.done += actions;
                self.cached += actions;
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
                self.running.retain(|running| running != action);
                self.line(&format!(
                    "{action}: its input {digest} is damaged or gone; {producer} makes it again"
                ));
            }
            Event::TimedOut { action, seconds } => {
                self.line(&format!("{action}: takes longer than {seconds} s; stopping it"));
            }
            Event::Stopping { running } => {
                self.line(&format!(
                    "Interrupted. Finishing what is in flight ({running} actions); once more stops at once."
                ));
            }
            Event::Started { action, reason, .. } => {
                self.running.push(action.clone());
                if self.verbose {
                    self.line(&format!("{action}: started, {reason}"));
                }
            }
            Event::Finished { action, seconds, .. } => {
                self.running.retain(|running| running != action);
                self.done += 1;
                if self.verbose {
                    self.line(&format!("{action}: done in {seconds:.2} s"));
                }
            }
            Event::Failed { action, message, .. } => {
                self.running.retain(|running| running != action);
                self.done += 1;
                self.line(&format!("{action}: failed: {message}"));
            }
            Event::Retrying { action, message, seconds } => {
                self.running.retain(|running| running != action);
                self.line(&format!("{action}: failed: {message}; trying again in {seconds:.1} s"));
            }
            Event::Skipped { stage, actions } => {
                self.line(&format!("{stage}: {actions} skipped"));
            }
            Event::RunStarted { stages, .. } => {
                if self.bar.is_none() {
                    let stages = stages.len();
                    self.line(&format!("{stages} stages, {} actions", self.total));
                }
            }
            Event::RunFinished { .. } => {
                if let Some(bar) = &self.bar {
                    bar.finish_and_clear();
                }
            }
        }
        match &self.bar {
            Some(bar) => {
                bar.set_position(self.done as u64);
                bar.set_message(self.running.join(", "));
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

    fn crossed_a_tenth(&self, event: &Event) -> bool {
        let step = match event {
            Event::Cached { actions, .. } => *actions,
            Event::Finished { .. } | Event::Failed { .. } => 1,
            _ => return false,
        };
        let tenth = |done: usize| done * 10 / self.total.max(1);
        tenth(self.done) > tenth(self.done - step)
    }

    fn line(&self, text: &str) {
        match &self.bar {
            _ if self.quiet => {}
            Some(bar) => bar.println(text),
            None => print::note(text),
        }
    }
}
