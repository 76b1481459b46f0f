//! Finds, checks and loads fusion rules.
//!
//! Knows files, the C ABI and the rows a rule takes. Knows nothing of stages, workflows or the
//! cache. Start at [`PluginLibrary`]: what is on the plugin path; it gives a [`Rule`], which fits
//! and opens models. **Invariant:** what leaves this crate as a prediction keeps the output law:
//! finite, at least 0, each row summing to 1.

mod batch;
pub mod check;
mod conditions;
mod descriptor;
mod environment;
mod error;
mod image;
mod interpreter;
mod isolation;
mod library;
mod lock;
mod message;
mod model;
mod native;
mod params;
mod reads;
mod rule;
pub mod scaffold;
mod schema;
mod script;
mod shuffle;
mod stop;
mod tag_file;
mod witness;
pub mod worker;

pub use batch::{Batch, BatchColumns, BatchError};
pub use conditions::{Conditions, LimitOverrides, Sandbox, Sourced};
pub use descriptor::{Accepts, Capabilities, Count, Descriptor, Limits};
pub use environment::{PassedVariables, ProcessForm, set_environment};
pub use error::{HostError, RuleCode, RuleError};
pub use interpreter::{CHOOSE_INTERPRETER, Interpreter, InterpreterError, PythonInstallation};
pub use isolation::Isolation;
pub use library::{PluginFile, PluginForm, PluginLibrary, short_name};
pub use lock::{Lock, LockedPlugin};
pub use message::{MessageLevel, RuleMessage};
pub use model::OpenModel;
pub use params::{ParamProblem, Params};
pub use reads::{ReadFile, outside_of};
pub use rule::{Fitted, LoadFile, LoadSource, Permuted, Rule};
pub use stop::StopSignal;
pub use tag_file::{LibraryNeeds, library_needs};

/// The version of this host.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
