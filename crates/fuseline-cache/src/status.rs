//! Contents of a cache in numbers.

use std::path::Path;

use crate::cache::Cache;
use crate::error::CacheError;
use crate::layout::DAMAGED;
use crate::pack::EntryKind;
use crate::placement::Shelf;
use crate::runs::RUN_LEASE;

/// Number and size of a cache's contents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CacheStatus {
    /// Objects.
    pub objects: usize,
    /// Their bytes.
    pub object_bytes: u64,
    /// Action records.
    pub records: usize,
    /// Their bytes.
    pub record_bytes: u64,
    /// Files that hold small objects and records of many actions.
    pub packs: usize,
    /// Runs that are kept.
    pub runs: usize,
    /// Runs that are going on.
    pub runs_alive: usize,
    /// Actions that are being executed.
    pub actions_alive: usize,
    /// Damaged files that were set aside.
    pub damaged: usize,
}

impl Cache {
    /// Counts what there is. Reads names and lengths only.
    pub fn status(&self) -> Result<CacheStatus, CacheError> {
        let mut status = CacheStatus { runs: self.runs()?.len(), ..CacheStatus::default() };
        let objects = self.count(&self.layout.objects, &mut status.damaged)?;
        let records = self.count(&self.layout.actions, &mut status.damaged)?;
        (status.objects, status.object_bytes) = objects;
        (status.records, status.record_bytes) = records;
        for shelf in [Shelf::Objects, Shelf::Actions] {
            let packs = self.packs(shelf);
            let cannot_read = || CacheError::read(packs.folder());
            status.packs += packs.segments().map_err(cannot_read())?;
            let (count, bytes) = match shelf {
                Shelf::Objects => (&mut status.objects, &mut status.object_bytes),
                Shelf::Actions => (&mut status.records, &mut status.record_bytes),
            };
            for packed in packs.entries(EntryKind::Live).map_err(cannot_read())? {
                *count += 1;
                *bytes += u64::from(packed.entry.length);
            }
        }
        let leases = self.leases()?;
        for name in self.lease_names()?.iter().filter(|name| leases.is_held(name)) {
            match name.starts_with(RUN_LEASE) {
                true => status.runs_alive += 1,
                false => status.actions_alive += 1,
            }
        }
        Ok(status)
    }

    fn count(&self, folder: &Path, damaged: &mut usize) -> Result<(usize, u64), CacheError> {
        let (mut files, mut bytes) = (0, 0);
        for shard in self.list(folder)?.iter().filter(|entry| entry.stat.folder) {
            for entry in self.list(&folder.join(&shard.name))? {
                if entry.name.ends_with(DAMAGED) {
                    *damaged += 1;
                } else if shard.name.len() + entry.name.len() == 64 {
                    files += 1;
                    bytes += entry.stat.size;
                }
            }
        }
        Ok((files, bytes))
    }
}
