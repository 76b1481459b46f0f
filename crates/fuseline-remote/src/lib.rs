//! A cache shared through a bucket or a folder.
//!
//! Knows object stores, packs of records and write-behind. Knows nothing of stages, axes or YAML.
//! Start at [`RemoteCache`]. **Invariant:** whatever a remote does, the cache before it is right: a
//! remote can only save work. The layout and the reasons are in `docs/design/remote.md`.

mod address;
mod breaker;
mod bucket;
mod catalogue;
#[cfg(feature = "tls")]
mod network;
mod pack;
mod read;
mod redact;
mod remote;
mod report;
mod transfer;
mod upload;

pub use address::{AddressError, RemoteAddress};
pub use bucket::ConnectError;
pub use remote::{RemoteCache, RemoteMode, RemoteSettings};
pub use report::{RemoteReport, Requests};
pub use transfer::{RemoteStatus, Transfer};
