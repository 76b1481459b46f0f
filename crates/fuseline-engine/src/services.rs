//! Services from outside for stages and keys.

use std::collections::BTreeMap;
use std::path::PathBuf;

use fuseline_artifact::Digest;
use fuseline_cache::{Cache, CacheError};
use fuseline_host::{Descriptor, Isolation, PluginLibrary};
use serde::{Deserialize, Serialize};

pub use crate::files::FileDigests;
use crate::memo;
use crate::recent::SharedValues;

/// Services from outside for stages and keys.
pub struct Services {
    /// The fusion rules on the plugin path.
    pub plugins: PluginLibrary,
    /// Isolation of rules: in a worker process or in this one.
    ///
    /// `None`: as the stage or the workflow says, and in a worker process where neither does.
    pub isolation: Option<Isolation>,
    /// Digests of source files.
    pub files: FileDigests,
    /// Values that several actions would compute alike.
    pub shared: SharedValues,
}

/// The name of the memo of plugins in a cache.
const PLUGINS: &str = "plugins";

/// Descriptions that plugins gave of themselves, to the host that asked.
#[derive(Serialize, Deserialize)]
struct Described {
    /// Another version may read the same words otherwise.
    host: String,
    descriptors: BTreeMap<Digest, Descriptor>,
}

impl Services {
    /// Takes what earlier runs on a cache found out: digests of source files, and what plugins say
    /// about themselves, so that a run in which nothing changed reads no file again and starts no
    /// worker.
    pub fn recall(&mut self, cache: &Cache) {
        self.files = FileDigests::remembered(cache);
        let described: Option<Described> = memo::read(cache, PLUGINS);
        if let Some(described) =
            described.filter(|described| described.host == fuseline_host::VERSION)
        {
            self.plugins.recall(described.descriptors);
        }
    }

    /// The damaged memos of a cache; nothing is lost but time.
    pub fn damaged_memos(cache: &Cache) -> Result<Vec<PathBuf>, CacheError> {
        let mut damaged = Vec::new();
        for name in [crate::files::MEMO, PLUGINS] {
            if !memo::is_whole(cache, name)? {
                damaged.push(cache.folder().join("workflows").join(format!("{name}.memo")));
            }
        }
        Ok(damaged)
    }

    /// Keeps on a cache what later runs need not find out again, when there is something new.
    pub fn remember(&self, cache: &Cache) -> Result<(), CacheError> {
        self.files.remember(cache)?;
        let Some(descriptors) = self.plugins.learnt() else { return Ok(()) };
        let host = fuseline_host::VERSION.to_owned();
        memo::write(cache, PLUGINS, &Described { host, descriptors })
    }
}
