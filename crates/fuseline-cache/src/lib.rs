//! Content-addressed storage of artifacts, and the records of the actions that made them.
//!
//! Knows digests, bytes, leases and garbage collection. Knows nothing of stages, axes or YAML.
//! Start at [`Cache`]. **Invariant:** a reader gets a whole, verified object, or none; no lease
//! outlives its process by more than some beats. The layout, the guarantees and the reasons are in `docs/design/cache.md`.

#[cfg(not(unix))]
compile_error!("fuseline is made for Linux; on Windows use WSL 2, which is Linux");

mod cache;
mod error;
mod gc;
mod index;
mod jobs;
mod key;
mod layout;
mod lease;
mod object;
mod pack;
mod placement;
mod record;
mod regular;
mod remote;
mod runs;
mod status;
mod store;
mod verify;

#[cfg(test)]
mod faulty;
#[cfg(test)]
mod tests;

pub use cache::Cache;
pub use error::CacheError;
pub use gc::{GcOptions, GcReport};
pub use index::{Attachment, Index, Made};
pub use jobs::Jobs;
pub use key::ActionKey;
pub use lease::{DEFAULT_BEAT, Lease, LeaseChoice, LeaseKind};
pub use object::{ObjectFile, ObjectReader, ObjectWriter};
pub use record::{ActionRecord, BadRecord, OutputRecord};
pub use regular::open_regular;
pub use remote::Remote;
pub use runs::PreviousKeys;
pub use status::CacheStatus;
pub use store::{Entry, LocalStore, ReadAt, ReadSeek, Stat, Store};
pub use verify::{MissingObject, SetAside, VerifyReport};
