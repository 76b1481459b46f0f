//! The records of all packs that were fetched, by key, and the objects that they name.

use std::collections::BTreeMap;

use fuseline_artifact::Digest;
use fuseline_cache::{ActionKey, ActionRecord};

use crate::pack::{MAX_UNPACKED_BYTES, Pack, PackName};

/// The records of packs.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    packs: Vec<ScopedPack>,
    /// The places of records by key: the pack, and the number within it.
    records: BTreeMap<ActionKey, (usize, usize)>,
    /// The lengths of all objects that records name.
    objects: BTreeMap<Digest, u64>,
    bytes: u64,
}

/// A pack, with the scope that it belongs to.
#[derive(Debug)]
struct ScopedPack {
    scope: String,
    name: PackName,
    pack: Pack,
}

impl Catalogue {
    /// True when a pack is there.
    pub fn has(&self, scope: &str, name: &PackName) -> bool {
        self.packs.iter().any(|of| of.scope == scope && of.name == *name)
    }

    /// True while more may be held in memory.
    pub fn has_room(&self) -> bool {
        self.bytes < MAX_UNPACKED_BYTES
    }

    /// Adds a pack. Of a key that is there already, the first record stays.
    pub fn add(&mut self, scope: &str, name: PackName, pack: Pack) {
        let number = self.packs.len();
        for (place, key, record) in pack.records() {
            self.records.entry(key).or_insert_with(|| {
                for output in record.outputs {
                    self.objects.entry(output.digest).or_insert(output.size);
                }
                (number, place)
            });
        }
        self.bytes += pack.size();
        self.packs.push(ScopedPack { scope: scope.to_owned(), name, pack });
    }

    /// The record of an action.
    pub fn record(&self, key: &ActionKey) -> Option<ActionRecord> {
        let (pack, place) = self.records.get(key)?;
        self.packs.get(*pack)?.pack.record(*place)
    }

    /// The length of an object that some record names.
    pub fn object(&self, digest: &Digest) -> Option<u64> {
        self.objects.get(digest).copied()
    }

    /// The packs of a scope.
    pub fn packs_of(&self, scope: &str) -> impl Iterator<Item = (&PackName, &Pack)> {
        let packs = self.packs.iter().filter(move |of| of.scope == scope);
        packs.map(|of| (&of.name, &of.pack))
    }

    /// The number of packs.
    pub fn packs(&self) -> usize {
        self.packs.len()
    }

    /// The number of records.
    pub fn records(&self) -> usize {
        self.records.len()
    }

    /// The number of objects that they name.
    pub fn objects(&self) -> usize {
        self.objects.len()
    }
}
