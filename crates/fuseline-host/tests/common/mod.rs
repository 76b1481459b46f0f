//! Shared parts of this crate's tests: the built-in plugins and made-up rows.
#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(
    clippy::allow_attributes,
    reason = "whether something is used differs between the test binaries"
)]
#![expect(clippy::unwrap_used, reason = "a test ends where its rows cannot be made")]

#[path = "../../src/check/rows.rs"]
mod rows;

use std::path::PathBuf;
use std::sync::OnceLock;

use fuseline_host::{Batch, BatchColumns, Isolation, Params, PluginFile, PluginLibrary, Rule};

pub use rows::{Numbers, Rows};

/// The built-in rules.
pub const RULES: [&str; 16] = [
    "mean",
    "weighted_mean",
    "product",
    "max_confidence",
    "dempster_shafer",
    "attention",
    "lr",
    "hgb",
    "moe",
    "stacking",
    "qmf",
    "pdf",
    "tmc",
    "rcml",
    "trust_discount",
    "switch",
];

/// The folder into which cargo puts the plugins that this crate's tests depend on.
pub fn plugin_folder() -> PathBuf {
    std::env::current_exe().unwrap().parent().unwrap().to_owned()
}

/// The built-in rules, without what a test sets for itself.
pub fn library() -> PluginLibrary {
    PluginLibrary::new(vec![plugin_folder()])
}

/// The built-in rules, read once for all the tests of a program: their files are a hundred
/// megabytes.
fn shared_library() -> &'static PluginLibrary {
    static LIBRARY: OnceLock<PluginLibrary> = OnceLock::new();
    LIBRARY.get_or_init(library)
}

/// The file of a built-in rule.
pub fn file(name: &str) -> PluginFile {
    shared_library().find(name).unwrap()
}

/// A built-in rule in this process.
pub fn rule(name: &str) -> Rule {
    shared_library().load(&file(name), Isolation::InProcess).unwrap()
}

pub fn defaults(rule: &Rule) -> Params {
    rule.params(&serde_json::Map::new()).unwrap()
}

impl Rows {
    pub fn batch(&self) -> Batch {
        Batch::new(&self.modalities, &self.classes, self.columns()).unwrap()
    }

    pub fn training(&self) -> Batch {
        self.batch().with_labels(&self.label, &self.weight).unwrap()
    }
}

/// A permutation of the rows.
pub fn shuffled(rows: usize, numbers: &mut Numbers) -> Vec<u32> {
    numbers.order(rows).into_iter().map(|row| row as u32).collect()
}
