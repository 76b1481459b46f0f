//! Collection of what lies in packs.
//!
//! The unit is the segment: it is as young as its youngest entry, or its last use. An old one of
//! which something goes is written anew without that, gets another name, is looked at again, and
//! goes, as files do.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::SystemTime;

use fuseline_artifact::Digest;

use super::{Cutoff, GcOptions};
use crate::cache::Cache;
use crate::error::CacheError;
use crate::key::ActionKey;
use crate::layout::{DOOMED, with_end};
use crate::pack::{EntryKind, Packed, Packs, SEGMENT, SEGMENT_BYTES, SegmentFile};
use crate::placement::Shelf;
use crate::record::ActionRecord;

/// Number of old segments, each less than a quarter of a full one, from which they are merged.
const MERGED_FROM: usize = 8;

/// An old segment that is to go.
pub(super) struct OldSegment {
    name: Arc<str>,
    modified: SystemTime,
    /// Entries that stay, in another segment, and the kinds that they have there.
    kept: Vec<(Packed, EntryKind)>,
    /// Entries that nothing needs any more.
    pub dropped: Vec<Packed>,
    /// Keys of which the record becomes an explanation.
    faded: Vec<Packed>,
}

impl OldSegment {
    /// The records or objects that go with it, and those that lose their meaning.
    pub fn losses(&self) -> impl Iterator<Item = &Packed> {
        self.dropped.iter().chain(&self.faded)
    }
}

/// Verdicts on the segments of a shelf.
#[derive(Default)]
pub(super) struct Judged {
    pub old: Vec<OldSegment>,
    /// Entries that stay, and their bytes.
    pub kept: usize,
    pub kept_bytes: u64,
}

impl Judged {
    fn keep(&mut self, packed: &Packed) {
        self.kept += 1;
        self.kept_bytes += u64::from(packed.entry.length);
    }
}

impl Cache {
    /// Judges the segments of a shelf. `stays` says of an entry whether it does, given whether its
    /// segment is young.
    pub(super) fn judge_segments(
        &self,
        shelf: Shelf,
        options: &GcOptions,
        cutoff: &Cutoff,
        remembered: &BTreeSet<Digest>,
        mut stays: impl FnMut(&Packed, bool) -> bool,
    ) -> Result<Judged, CacheError> {
        let packs = self.packs(shelf);
        if !options.dry_run {
            self.restore_segments(packs)?;
        }
        let files = packs.segment_files().map_err(CacheError::read(packs.folder()))?;
        let names: BTreeSet<Arc<str>> = files.iter().map(|file| file.name.clone()).collect();
        let (old, young): (Vec<SegmentFile>, Vec<SegmentFile>) =
            files.into_iter().partition(|file| cutoff.is_past(file.modified));
        let mut judged = Judged::default();
        let mut seen = BTreeSet::new();
        let is_live =
            |packed: &Packed| packed.entry.kind == EntryKind::Live && !packs.is_buried(packed);
        for packed in young.iter().flat_map(|file| &file.entries).filter(|packed| is_live(packed)) {
            if seen.insert(packed.entry.digest) {
                judged.keep(packed);
            }
            stays(packed, true);
        }
        // First of all segments what counts: an explanation goes where there is the record itself.
        let mut verdicts = Vec::new();
        for file in &old {
            let mut verdict = OldSegment {
                name: file.name.clone(),
                modified: file.modified,
                kept: Vec::new(),
                dropped: Vec::new(),
                faded: Vec::new(),
            };
            for packed in file.entries.iter().filter(|packed| is_live(packed)) {
                if seen.contains(&packed.entry.digest) {
                    continue;
                }
                if stays(packed, false) {
                    seen.insert(packed.entry.digest);
                    judged.keep(packed);
                    verdict.kept.push((packed.clone(), EntryKind::Live));
                } else if shelf == Shelf::Actions && remembered.contains(&packed.entry.digest) {
                    verdict.kept.push((packed.clone(), EntryKind::Faded));
                    verdict.faded.push(packed.clone());
                } else {
                    verdict.dropped.push(packed.clone());
                }
            }
            verdicts.push(verdict);
        }
        let mut explained = BTreeSet::new();
        for (file, verdict) in old.iter().zip(&mut verdicts) {
            for packed in &file.entries {
                let digest = &packed.entry.digest;
                let stays = match packed.entry.kind {
                    EntryKind::Live => false,
                    EntryKind::Faded => {
                        remembered.contains(digest)
                            && !seen.contains(digest)
                            && explained.insert(*digest)
                    }
                    EntryKind::Tombstone => Packs::buried_by(packed)
                        .is_some_and(|(segment, _)| names.contains(&segment)),
                };
                if stays {
                    verdict.kept.push((packed.clone(), packed.entry.kind));
                }
            }
        }
        let is_small = |file: &SegmentFile| file.size < SEGMENT_BYTES / 4;
        let merges = old.iter().filter(|file| is_small(file)).count() >= MERGED_FROM;
        judged.old = old
            .iter()
            .zip(verdicts)
            .filter(|(file, verdict)| {
                let loses = verdict.kept.len() < file.entries.len() || !verdict.faded.is_empty();
                loses || !file.is_sealed || merges && is_small(file)
            })
            .map(|(_, verdict)| verdict)
            .collect();
        Ok(judged)
    }

    /// Writes what stays of old segments into new ones, and tombstones the old ones by renaming
    /// them. One that was used since gets its name back at once; these come second.
    pub(super) fn doom_segments(
        &self,
        shelf: Shelf,
        mut old: Vec<OldSegment>,
        options: &GcOptions,
        cutoff: &Cutoff,
    ) -> Result<(Vec<OldSegment>, Vec<OldSegment>), CacheError> {
        let packs = self.packs(shelf);
        if options.dry_run || old.is_empty() {
            return Ok((old, Vec::new()));
        }
        let modified = old.iter().map(|old| old.modified).max().unwrap_or(SystemTime::UNIX_EPOCH);
        let kept: Vec<_> = old.iter().flat_map(|old| &old.kept).cloned().collect();
        let written = packs.write_segments(&kept, modified);
        match written.map_err(CacheError::write(packs.folder())) {
            Ok(()) => {}
            // What goes as a whole makes room for what is to be written anew.
            Err(CacheError::Full { .. }) => old.retain(|old| old.kept.is_empty()),
            Err(error) => return Err(error),
        }
        let (mut doomed, mut used) = (Vec::new(), Vec::new());
        for old in old {
            let path = packs.path(&old.name);
            let aside = with_end(&path, DOOMED);
            match self.store.rename(&path, &aside) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(CacheError::write(&path)(error)),
            }
            if self.is_doomed_segment_old(packs, &old, cutoff) {
                doomed.push(old);
            } else {
                self.restore_segment(packs, &old);
                used.push(old);
            }
        }
        packs.forget_listing();
        Ok((doomed, used))
    }

    /// Restores the name of a tombstoned segment if it was used since; true if it was.
    pub(super) fn reprieve_segment(
        &self,
        shelf: Shelf,
        old: &OldSegment,
        cutoff: &Cutoff,
        named: &BTreeSet<Digest>,
        options: &GcOptions,
    ) -> bool {
        let packs = self.packs(shelf);
        let is_named = old.losses().any(|packed| named.contains(&packed.entry.digest));
        if options.dry_run || !is_named && self.is_doomed_segment_old(packs, old, cutoff) {
            return false;
        }
        self.restore_segment(packs, old);
        true
    }

    /// Removes tombstoned segments.
    pub(super) fn bury_segments(
        &self,
        shelf: Shelf,
        doomed: &[OldSegment],
        options: &GcOptions,
    ) -> Result<(), CacheError> {
        let packs = self.packs(shelf);
        if !options.dry_run {
            for old in doomed {
                self.remove_if_there(&with_end(&packs.path(&old.name), DOOMED))?;
            }
            packs.forget_listing();
        }
        Ok(())
    }

    /// Adds the objects of a record in a pack. One that cannot be read reaches nothing; `verify`
    /// finds it.
    pub(super) fn reach_packed(&self, packed: &Packed, reached: &mut BTreeSet<Digest>) {
        let key = ActionKey::from(packed.entry.digest);
        let Ok(bytes) = packed.read() else { return };
        let Ok(record) = ActionRecord::decode(&key, &bytes) else { return };
        reached.extend(record.outputs.iter().map(|output| output.digest));
    }

    fn is_doomed_segment_old(&self, packs: &Packs, old: &OldSegment, cutoff: &Cutoff) -> bool {
        let stat = self.store.stat(&with_end(&packs.path(&old.name), DOOMED));
        stat.is_ok_and(|stat| cutoff.passes(&stat))
    }

    fn restore_segment(&self, packs: &Packs, old: &OldSegment) {
        let path = packs.path(&old.name);
        // If it fails, the next collection tries again. What was written of it twice does no harm.
        let _ = self.store.rename(&with_end(&path, DOOMED), &path);
        packs.forget_listing();
    }

    /// Gives the segments that a killed collection has renamed their names back: they stand the
    /// same trial as the others.
    fn restore_segments(&self, packs: &Packs) -> Result<(), CacheError> {
        for entry in self.list(packs.folder())? {
            let Some(name) = entry.name.strip_suffix(DOOMED) else { continue };
            let path = packs.path(name);
            if name.ends_with(SEGMENT) {
                let aside = with_end(&path, DOOMED);
                self.store.rename(&aside, &path).map_err(CacheError::write(&path))?;
                packs.forget_listing();
            }
        }
        Ok(())
    }
}
