//! Plan, explain, execute.
//!
//! Knows stage kinds ([`StageKind`]), the graph of actions of a checked workflow
//! ([`Plan`]), the parts of an action's key, and the execution of actions that are not cached.
//! Knows no stage kind by name, no command line, no report. Start at [`StageKind`] to write a stage
//! kind, at [`Plan`] to follow a run. **Invariant:** an action's outputs are a function of the
//! fields of its key, and of nothing else.

mod cautions;
pub mod codes;
pub mod compare;
mod conditions;
mod coordinator;
mod discovered;
pub mod environment;
pub mod error;
mod events;
pub mod execute;
pub mod executor;
mod explain;
pub mod files;
mod files_read;
pub mod inputs;
pub mod inspect;
mod installed;
pub mod job;
pub mod job_folder;
pub mod key;
pub mod kind;
mod leakage;
mod machine;
pub mod manifest;
mod memo;
pub mod plan;
mod plan_builder;
mod plan_check;
mod provenance;
mod recent;
mod resolve;
pub mod row_flow;
pub mod rows;
pub mod run_record;
pub mod services;

pub use cautions::{ActionCautions, Caution, is_cautions, read_cautions};
pub use compare::{Change, Comparison, Moved, compare};
pub use discovered::{DiscoveredFile, ReadFile, is_discovered, read_discovered};
pub use environment::{Environment, PythonEnvironment, RuleEnvironment};
pub use error::{Class, StageError};
pub use events::{EVENT_LOG_FORMAT, Event};
pub use execute::{
    ActionFailure, ActionState, ExecuteError, Execution, Outcome, PreviousRun, RunOptions, execute,
};
pub use executor::{Completion, Drive, Executed, Executor, JobQueue, Reply, Submission};
pub use files::{FileDigests, open_regular};
pub use files_read::{FileRead, FileRole};
pub use inputs::{Inputs, InputsBuilder, Labelled, Outputs, Point, Provenance, fits_memory};
pub use inspect::{ActionPreview, Inspection, Lookup, inspect, peek};
pub use installed::{Installation, Installed};
pub use job::{Job, JobLimits, LocalExecutor};
pub use job_folder::{JobFolder, batch_len, damaged_jobs, find_job, read_batch, read_batch_keys};
pub use key::KeyWriter;
pub use kind::{CheckSite, Kind, Kinds, Ports, Problem, StageKind, UnreadOption};
pub use machine::{Machine, machine_memory, peak_memory};
pub use manifest::{
    ActionCounts, MANIFEST_FILE, MANIFEST_FORMAT, Manifest, ManifestAction, ManifestError,
    ManifestStage,
};
pub use plan::{ActionId, Plan, PlannedRule};
pub use plan_builder::Depth;
pub use plan_check::{PlanSite, PlannedAction};
pub use provenance::{action_label, file_name};
pub use recent::SharedValues;
pub use resolve::ResolvedInput;
pub use row_flow::{Flowed, Leak, Offered, RowFlow, RowState, Trace};
pub use rows::{Fold, Rows};
pub use run_record::{EVENTS_FILE, RecordError, RunId, RunRecord, Unchanged, previous_keys};
pub use services::Services;
