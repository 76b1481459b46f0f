//! What the outside offers to stages and keys.

use fuseline_host::{Isolation, PluginLibrary};

pub use crate::files::FileDigests;

/// What the outside offers to stages and keys.
pub struct Services {
    /// The fusion rules on the plugin path.
    pub plugins: PluginLibrary,
    /// Whether a rule runs in a worker process or in this one.
    ///
    /// `None`: as the stage or the workflow says, and in a worker process where neither does.
    pub isolation: Option<Isolation>,
    /// Digests of source files.
    pub files: FileDigests,
}
