//! Events of a run, as one linear stream: the log on disk and the progress display are both fed
//! from it.

use serde::{Deserialize, Serialize};

/// The form of event logs that is written, and the only one that is read.
pub const EVENT_LOG_FORMAT: u32 = 1;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    /// The run began.
    RunStarted {
        /// The form of the log that this event begins: [`EVENT_LOG_FORMAT`]. 0 in logs from before
        /// there was one.
        #[serde(default)]
        format: u32,
        /// Its id.
        run: String,
        /// The workflow's name.
        workflow: String,
        /// Stages and their numbers of actions, in order.
        stages: Vec<(String, usize)>,
    },
    /// An action's outputs were found in the cache.
    Cached {
        /// The stage.
        stage: String,
        /// Number of its actions since the last such event.
        actions: usize,
    },
    /// Another run is executing the same action; this one waits for it.
    Waiting {
        /// `stage[axis=label]`.
        action: String,
        /// The process that executes it and its machine, when it says so.
        holder: Option<String>,
    },
    /// The other run ended without finishing the action that this one waited for; this one executes
    /// it.
    TakenOver {
        /// `stage[axis=label]`.
        action: String,
    },
    /// An input of an action is damaged or gone, and what made it runs again first.
    Remaking {
        /// `stage[axis=label]` of the action that needs it.
        action: String,
        /// `stage[axis=label]` of the action that makes it.
        producer: String,
        /// The object's digest.
        digest: String,
    },
    /// An action started.
    Started {
        /// `stage[axis=label]`.
        action: String,
        /// Its stage.
        stage: String,
        /// Reason why it was not reused.
        reason: String,
    },
    /// An action is done and its outputs are in the cache.
    Finished {
        /// `stage[axis=label]`.
        action: String,
        /// Its stage.
        stage: String,
        /// Duration in seconds.
        seconds: f64,
        /// The processor time of the thread that executed it, where that is known.
        cpu_seconds: Option<f64>,
    },
    /// An action took longer than its stage's timeout and was asked to stop.
    TimedOut {
        /// `stage[axis=label]`.
        action: String,
        /// The timeout.
        seconds: f64,
    },
    /// An action failed.
    Failed {
        /// `stage[axis=label]`.
        action: String,
        /// Its stage.
        stage: String,
        /// Error message.
        message: String,
    },
    /// An action failed and is tried again.
    Retrying {
        /// `stage[axis=label]`.
        action: String,
        /// Error message.
        message: String,
        /// Delay in seconds.
        seconds: f64,
    },
    /// The engine that executes actions did something, or could not.
    Engine {
        /// Message for people.
        message: String,
    },
    /// Actions that were not tried, because one that they need failed or the run was stopped.
    Skipped {
        /// The stage.
        stage: String,
        /// Number of its actions.
        actions: usize,
    },
    /// The run was told to stop: what is in flight is finished, nothing new is started.
    Stopping {
        /// Number of actions in flight.
        running: usize,
    },
    /// The run ended.
    RunFinished {
        /// `ok`, `failed` or `interrupted`.
        status: String,
        /// Seconds since it began.
        seconds: f64,
    },
}
