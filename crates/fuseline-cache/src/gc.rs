//! Garbage collection, safe beside running runs.
//!
//! A record is kept when a kept run or a pin names it, or when it was written or used lately; an
//! object is kept when a kept record names it, a pin does, or it was written or used lately.
//! *Lately* reaches back beyond the start of everything that holds a lease, so that what a living
//! run has seen is still there when it comes to need it.
//!
//! A file to remove is first given another name, then everything that could have changed meanwhile
//! is looked at again, and only then it is removed. The argument is written out in
//! `docs/design/cache.md`.

mod packs;

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use fuseline_artifact::Digest;

use crate::cache::{Cache, TOUCH_AFTER};
use crate::error::CacheError;
use crate::key::ActionKey;
use crate::layout::{DAMAGED, DOOMED, FADED, Layout, TEMPORARY, with_end};
use crate::lease::flock::FolderLock;
use crate::lease::{Lease, is_lease};
use crate::pack::{Packed, SMALL_BYTES};
use crate::placement::{FIRST_FILES, Shelf};
use crate::record::ActionRecord;
use crate::runs::RUN_LEASE;
use crate::store::{Entry, Stat};

/// Contents that a garbage collection retains.
#[derive(Debug, Clone)]
pub struct GcOptions {
    /// Number of the latest runs that are kept, with all that they reach.
    pub keep_runs: usize,
    /// Time for which everything is kept after it was written or used.
    pub grace: Duration,
    /// Digests of objects and action keys that are kept, with all that they reach.
    pub pins: Vec<Digest>,
    /// Say what would go, and remove nothing.
    pub dry_run: bool,
}

impl Default for GcOptions {
    /// Twenty runs and one day.
    fn default() -> Self {
        Self {
            keep_runs: 20,
            grace: Duration::from_secs(24 * 3600),
            pins: Vec::new(),
            dry_run: false,
        }
    }
}

/// Result of a garbage collection: what it removed, or would remove.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GcReport {
    /// Objects removed.
    pub objects: usize,
    /// Action records removed.
    pub records: usize,
    /// Run folders removed.
    pub runs: usize,
    /// Other files removed: what killed processes were writing, and damaged files set aside.
    pub debris: usize,
    /// Bytes removed.
    pub bytes: u64,
    /// Objects kept.
    pub kept_objects: usize,
    /// Bytes of the objects kept.
    pub kept_bytes: u64,
    /// Actions and runs that were alive meanwhile.
    pub alive: usize,
}

/// A file that may go.
struct Candidate {
    digest: Digest,
    path: PathBuf,
    stat: Stat,
}

impl Candidate {
    /// True if a pack may hold it.
    fn is_small(&self) -> bool {
        self.stat.size <= SMALL_BYTES as u64
    }
}

impl Cache {
    /// Removes what no kept run, no pin and no recent use reaches. Safe beside running runs and
    /// other collections.
    pub fn gc(&self, options: &GcOptions) -> Result<GcReport, CacheError> {
        // Two collections would only be in each other's way.
        let only = match options.dry_run {
            true => None,
            false => Some(self.lease_collection()?),
        };
        // The time of a file that was just written: the clock of the filesystem is not that of this
        // machine.
        let written = only.as_ref().and_then(|lease| {
            self.store.touch(&lease.path(&self.layout.leases)).ok()?;
            self.store.stat(&lease.path(&self.layout.leases)).ok()
        });
        let now = written.map_or_else(SystemTime::now, |stat| stat.modified);
        let mut report = GcReport::default();
        if !options.dry_run {
            // What this process appends to stands the same trial as what others have written.
            for shelf in [Shelf::Objects, Shelf::Actions] {
                self.packs(shelf).seal();
            }
            self.remove_dead_leases()?;
            self.remove_doomed_indexes()?;
        }
        let alive = self.alive()?;
        report.alive = alive.len();
        let cutoff = Cutoff { before: now.checked_sub(options.grace), now }.spare(&alive);

        let mut roots = Roots { pins: options.pins.iter().copied().collect(), ..Roots::default() };
        self.collect_temporary(options, &cutoff, &mut report)?;
        self.collect_runs(options, &cutoff, &mut roots, &mut report)?;
        self.collect_memory(&mut roots)?;
        let mut reached = roots.pins.clone();
        self.collect_indexes(options, &cutoff, &mut roots.reached, &mut reached)?;

        let mut small = Vec::new();
        // Records first: which objects are reached depends on which records stay.
        let mut doomed = Vec::new();
        for file in
            self.files(&self.layout.actions, options, &cutoff, &roots.remembered, &mut report)?
        {
            let rooted = roots.reached.contains(&file.digest) || roots.pins.contains(&file.digest);
            if rooted || !cutoff.passes(&file.stat) {
                self.reach(&file, &mut reached);
                small.extend(file.is_small().then_some((Shelf::Actions, file)));
            } else {
                doomed.push(file);
            }
        }
        let stays = |packed: &Packed, is_young: bool| {
            let digest = &packed.entry.digest;
            let stays = is_young || roots.reached.contains(digest) || roots.pins.contains(digest);
            if stays {
                self.reach_packed(packed, &mut reached);
            }
            stays
        };
        let remembered = &roots.remembered;
        let packed = self.judge_segments(Shelf::Actions, options, &cutoff, remembered, stays)?;
        let (mut removed, used) = self.doom(doomed, options, &cutoff)?;
        used.iter().for_each(|file| self.reach(file, &mut reached));
        let doomed = self.doom_segments(Shelf::Actions, packed.old, options, &cutoff)?;
        let (mut removed_segments, used_segments) = doomed;
        let losses = used_segments.iter().flat_map(|old| old.losses());
        losses.for_each(|packed| self.reach_packed(packed, &mut reached));
        // A run that began since may have seen a record before it lost its name. What it has seen
        // gets the name back.
        let cutoff = match options.dry_run {
            true => cutoff,
            false => cutoff.spare(&self.alive()?),
        };
        // So does what an index names that was written or used since.
        let mut named = BTreeSet::new();
        self.collect_indexes(options, &cutoff, &mut named, &mut reached)?;
        removed.retain(|file| {
            !self.reprieve(file, &cutoff, named.contains(&file.digest), options, &mut reached)
        });
        removed_segments.retain(|old| {
            let is_back = self.reprieve_segment(Shelf::Actions, old, &cutoff, &named, options);
            if is_back {
                old.losses().for_each(|packed| self.reach_packed(packed, &mut reached));
            }
            !is_back
        });
        // Nothing relies on these records any more: they are demoted to explanations.
        let (remembered, removed): (Vec<_>, Vec<_>) =
            removed.into_iter().partition(|file| roots.remembered.contains(&file.digest));
        for file in &removed {
            self.bury(file, options)?;
            report.bytes += file.stat.size;
        }
        report.records = removed.len();
        self.bury_segments(Shelf::Actions, &removed_segments, options)?;
        for packed in removed_segments.iter().flat_map(|old| &old.dropped) {
            report.records += 1;
            report.bytes += u64::from(packed.entry.length);
        }

        let mut doomed = Vec::new();
        for file in
            self.files(&self.layout.objects, options, &cutoff, &roots.remembered, &mut report)?
        {
            if reached.contains(&file.digest) || !cutoff.passes(&file.stat) {
                report.kept_objects += 1;
                report.kept_bytes += file.stat.size;
                small.extend(file.is_small().then_some((Shelf::Objects, file)));
            } else {
                doomed.push(file);
            }
        }
        // Between its new name and its end an object can still be read; see `get_object`.
        let (removed, used) = self.doom(doomed, options, &cutoff)?;
        report.kept_objects += used.len();
        report.kept_bytes += used.iter().map(|file| file.stat.size).sum::<u64>();
        for file in removed {
            self.bury(&file, options)?;
            report.objects += 1;
            report.bytes += file.stat.size;
        }
        let stays = |packed: &Packed, is_young| is_young || reached.contains(&packed.entry.digest);
        let none = BTreeSet::new();
        let packed = self.judge_segments(Shelf::Objects, options, &cutoff, &none, stays)?;
        report.kept_objects += packed.kept;
        report.kept_bytes += packed.kept_bytes;
        let doomed = self.doom_segments(Shelf::Objects, packed.old, options, &cutoff)?;
        let (removed_segments, used_segments) = doomed;
        for packed in used_segments.iter().flat_map(|old| old.losses()) {
            report.kept_objects += 1;
            report.kept_bytes += u64::from(packed.entry.length);
        }
        self.bury_segments(Shelf::Objects, &removed_segments, options)?;
        for packed in removed_segments.iter().flat_map(|old| old.losses()) {
            report.objects += 1;
            report.bytes += u64::from(packed.entry.length);
        }
        if !options.dry_run {
            remembered.iter().for_each(|file| self.fade(file));
            // Old small files go into packs, where there are packs already or so many files that a
            // single process would have written packs: objects before the records that name them.
            let small = small.into_iter().rev().filter(|(_, file)| cutoff.passes(&file.stat));
            let small: Vec<_> = small.map(|(shelf, file)| (shelf, file.digest)).collect();
            if small.len() > FIRST_FILES || self.object_packs.exist() {
                self.take_all_into_packs(&small)?;
            }
        }
        Ok(report)
    }

    /// The lease of a collection. Where no file can be made any more, that of the folder of leases
    /// stands for it.
    fn lease_collection(&self) -> Result<CollectionLease, CacheError> {
        loop {
            match self.leases()?.acquire("gc", true) {
                Ok(Some(lease)) => return Ok(CollectionLease::File(lease)),
                Ok(None) => {}
                Err(CacheError::Full { .. }) => {
                    // Where there are no locks either, two collections do nothing worse than get in
                    // each other's way.
                    let lock = FolderLock::acquire(&self.layout.leases).ok();
                    return Ok(CollectionLease::Folder(lock));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// When everything that is alive began, by the leases that are held.
    fn alive(&self) -> Result<Vec<SystemTime>, CacheError> {
        let leases = self.leases()?;
        let entries = self.list(&self.layout.leases)?;
        let entries = entries.iter().filter(|entry| is_lease(&entry.name));
        Ok(entries.filter_map(|entry| leases.held_since(&entry.name, &entry.stat)).collect())
    }

    /// Removes what killed processes were writing beside objects and records: indexes, memos, what
    /// runs left behind.
    fn collect_temporary(
        &self,
        options: &GcOptions,
        cutoff: &Cutoff,
        report: &mut GcReport,
    ) -> Result<(), CacheError> {
        let Layout { root, runs, leases, workflows, remotes, .. } = &self.layout;
        let entries = self.list(root)?;
        // One that is a link leads to what is not the cache's.
        let own = |folder: &Path| {
            let name = folder.file_name().and_then(|name| name.to_str());
            entries.iter().any(|entry| entry.stat.folder && name == Some(&entry.name))
        };
        let list_own = |folder: &Path| match own(folder) {
            true => self.list(folder),
            false => Ok(Vec::new()),
        };
        let of_runs = list_own(runs)?.into_iter().filter(|entry| entry.stat.folder);
        let of_runs = of_runs.map(|entry| runs.join(entry.name));
        let folders = [leases, workflows].into_iter().filter(|folder| own(folder)).cloned();
        for folder in folders.chain([root.clone()]).chain(of_runs) {
            for entry in self.list(&folder)? {
                if entry.name.ends_with(TEMPORARY) && cutoff.passes(&entry.stat) {
                    self.remove_debris(&folder.join(&entry.name), &entry, options, report)?;
                }
            }
        }
        // Copies of a remote's contents that were not read of late can be fetched again.
        for remote in list_own(remotes)?.into_iter().filter(|entry| entry.stat.folder) {
            let folder = remotes.join(remote.name);
            for entry in self.list(&folder)?.iter().filter(|entry| cutoff.passes(&entry.stat)) {
                self.remove_debris(&folder.join(&entry.name), entry, options, report)?;
            }
        }
        Ok(())
    }

    /// Removes runs that are neither among the latest, nor young, nor alive; the others' digests
    /// are roots.
    fn collect_runs(
        &self,
        options: &GcOptions,
        cutoff: &Cutoff,
        roots: &mut Roots,
        report: &mut GcReport,
    ) -> Result<(), CacheError> {
        let runs = self.runs()?;
        let surplus = runs.len().saturating_sub(options.keep_runs);
        for (place, id) in runs.iter().enumerate() {
            let folder = self.layout.runs.join(id);
            let lease = format!("{RUN_LEASE}{id}");
            let stat = match self.store.stat(&folder) {
                Ok(stat) => stat,
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(CacheError::read(&folder)(error)),
            };
            if place < surplus && cutoff.passes(&stat) && !self.leases()?.is_held(&lease) {
                report.runs += 1;
                if !options.dry_run {
                    self.store.remove_folder(&folder).map_err(CacheError::write(&folder))?;
                }
                continue;
            }
            for entry in self.list(&folder)?.iter().filter(|entry| entry.name.ends_with(".json")) {
                let text = self.read_if_there(&folder.join(&entry.name))?;
                digests_in(&text.unwrap_or_default(), &mut roots.reached);
            }
        }
        Ok(())
    }

    /// Records that explain what changed since a workflow's last run are kept, for that alone.
    fn collect_memory(&self, roots: &mut Roots) -> Result<(), CacheError> {
        let entries = self.list(&self.layout.workflows)?.into_iter();
        for entry in entries.filter(|entry| entry.name.ends_with(".json")) {
            let text = self.read_if_there(&self.layout.workflows.join(&entry.name))?;
            digests_in(&text.unwrap_or_default(), &mut roots.remembered);
        }
        Ok(())
    }

    /// Collects indexes, with the actions and objects that they name. One that was not used lately
    /// goes: first its name, and when a run has renewed it until then, it gets its name back.
    fn collect_indexes(
        &self,
        options: &GcOptions,
        cutoff: &Cutoff,
        keys: &mut BTreeSet<Digest>,
        objects: &mut BTreeSet<Digest>,
    ) -> Result<(), CacheError> {
        for path in self.index_paths()? {
            let old = |path: &Path| self.store.stat(path).is_ok_and(|stat| cutoff.passes(&stat));
            if old(&path) && options.dry_run {
                continue;
            }
            if old(&path) {
                let aside = with_end(&path, DOOMED);
                // It may be renewed or replaced between any two of these steps; who finds no index
                // does without.
                let doomed = self.store.rename(&path, &aside).is_ok();
                if !doomed || old(&aside) {
                    self.remove_if_there(&aside)?;
                    continue;
                }
                self.store.rename(&aside, &path).map_err(CacheError::write(&path))?;
            }
            let Some(index) = self.read_index(&path) else { continue };
            for (key, outputs) in index.iter() {
                keys.insert(*key.digest());
                objects.extend(outputs.iter().map(|output| output.digest));
            }
        }
        Ok(())
    }

    /// The files of objects or records. Debris is removed on the way.
    fn files(
        &self,
        folder: &Path,
        options: &GcOptions,
        cutoff: &Cutoff,
        remembered: &BTreeSet<Digest>,
        report: &mut GcReport,
    ) -> Result<Vec<Candidate>, CacheError> {
        let mut files = Vec::new();
        for shard in self.list(folder)?.into_iter().filter(|entry| entry.stat.folder) {
            let folder = folder.join(&shard.name);
            for entry in self.list(&folder)? {
                let path = folder.join(&entry.name);
                if let Ok(digest) = format!("{}{}", shard.name, entry.name).parse() {
                    files.push(Candidate { digest, path, stat: entry.stat });
                } else if let Some(name) = entry.name.strip_suffix(DOOMED) {
                    // A killed collection has left it. It gets its name back, and stands the same
                    // trial as the others.
                    let original = folder.join(name);
                    if options.dry_run || self.store.stat(&original).is_ok() {
                        self.remove_debris(&path, &entry, options, report)?;
                    } else if let Ok(digest) = format!("{}{name}", shard.name).parse() {
                        self.store
                            .rename(&path, &original)
                            .map_err(CacheError::write(&original))?;
                        files.push(Candidate { digest, path: original, stat: entry.stat });
                    }
                } else if let Some(name) = entry.name.strip_suffix(FADED) {
                    let explains = format!("{}{name}", shard.name)
                        .parse()
                        .is_ok_and(|digest| remembered.contains(&digest));
                    if !explains || self.store.stat(&folder.join(name)).is_ok() {
                        self.remove_debris(&path, &entry, options, report)?;
                    }
                } else if entry.name.ends_with(DAMAGED)
                    || entry.name.ends_with(TEMPORARY) && cutoff.passes(&entry.stat)
                {
                    self.remove_debris(&path, &entry, options, report)?;
                }
            }
        }
        Ok(files)
    }

    fn remove_debris(
        &self,
        path: &Path,
        entry: &Entry,
        options: &GcOptions,
        report: &mut GcReport,
    ) -> Result<(), CacheError> {
        report.debris += 1;
        report.bytes += entry.stat.size;
        if options.dry_run { Ok(()) } else { self.remove_if_there(path) }
    }

    /// Adds the objects of a record that stays. An unreadable one reaches nothing; `verify` finds
    /// it.
    fn reach(&self, file: &Candidate, reached: &mut BTreeSet<Digest>) {
        let Ok((bytes, _)) = self.store.read(&file.path) else { return };
        let key = ActionKey::from(file.digest);
        let Ok(record) = ActionRecord::decode(&key, &bytes) else { return };
        reached.extend(record.outputs.iter().map(|output| output.digest));
    }

    /// Tombstones files by renaming them. One that was used since it was listed gets its own
    /// name back at once; these come second.
    fn doom(
        &self,
        files: Vec<Candidate>,
        options: &GcOptions,
        cutoff: &Cutoff,
    ) -> Result<(Vec<Candidate>, Vec<Candidate>), CacheError> {
        if options.dry_run {
            return Ok((files, Vec::new()));
        }
        let (mut doomed, mut used) = (Vec::with_capacity(files.len()), Vec::new());
        for file in files {
            let aside = with_end(&file.path, DOOMED);
            match self.store.rename(&file.path, &aside) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(CacheError::write(&file.path)(error)),
            }
            match self.store.stat(&aside) {
                Ok(stat) if cutoff.passes(&stat) => doomed.push(file),
                _ => {
                    self.restore(&file);
                    used.push(file);
                }
            }
        }
        Ok((doomed, used))
    }

    /// Restores the name of a tombstoned record that a run may have seen; true if it did.
    fn reprieve(
        &self,
        file: &Candidate,
        cutoff: &Cutoff,
        named: bool,
        options: &GcOptions,
        reached: &mut BTreeSet<Digest>,
    ) -> bool {
        if options.dry_run {
            return false;
        }
        let stat = self.store.stat(&with_end(&file.path, DOOMED));
        if !named && stat.is_ok_and(|stat| cutoff.passes(&stat)) {
            return false;
        }
        self.restore(file);
        self.reach(file, reached);
        true
    }

    /// Demotes a tombstoned record to a name under which it serves explanations alone.
    fn fade(&self, file: &Candidate) {
        // If it fails, an explanation is lost.
        let _ = self.store.rename(&with_end(&file.path, DOOMED), &with_end(&file.path, FADED));
    }

    fn restore(&self, file: &Candidate) {
        let aside = with_end(&file.path, DOOMED);
        // If it fails, the next collection tries again.
        let _ = match self.store.stat(&file.path) {
            Ok(_) => self.store.remove(&aside),
            Err(_) => self.store.rename(&aside, &file.path),
        };
    }

    fn bury(&self, file: &Candidate, options: &GcOptions) -> Result<(), CacheError> {
        if options.dry_run { Ok(()) } else { self.remove_if_there(&with_end(&file.path, DOOMED)) }
    }

    pub(crate) fn remove_if_there(&self, path: &Path) -> Result<(), CacheError> {
        match self.store.remove(path) {
            Err(error) if error.kind() == ErrorKind::IsADirectory => {
                self.store.remove_folder(path).map_err(CacheError::write(path))
            }
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(CacheError::write(path)(error))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn list(&self, folder: &Path) -> Result<Vec<Entry>, CacheError> {
        match self.store.list(folder) {
            Ok(entries) => Ok(entries),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(CacheError::read(folder)(error)),
        }
    }
}

/// The right to collect.
enum CollectionLease {
    File(#[expect(dead_code, reason = "held, and never read")] Lease),
    Folder(#[expect(dead_code, reason = "held, and never read")] Option<FolderLock>),
}

impl CollectionLease {
    /// Path that is locked, given the folder of leases.
    fn path(&self, folder: &Path) -> PathBuf {
        match self {
            Self::File(_) => folder.join("gc"),
            Self::Folder(_) => folder.to_owned(),
        }
    }
}

/// Roots of the collection: digests that are kept for their own sake.
#[derive(Default)]
struct Roots {
    /// Digests that the kept runs name: of actions, with their objects.
    reached: BTreeSet<Digest>,
    /// Keys of which the record alone is kept.
    remembered: BTreeSet<Digest>,
    /// Actions or objects that the caller names.
    pins: BTreeSet<Digest>,
}

/// Age limit of a collection: younger files stay.
struct Cutoff {
    /// Time from which on all that was written or used stays; everything, when there is no such
    /// time.
    before: Option<SystemTime>,
    now: SystemTime,
}

impl Cutoff {
    /// Retains all that a living run may have seen: its reads renew times at intervals only.
    fn spare(self, alive: &[SystemTime]) -> Self {
        let before = alive.iter().fold(self.before, |before, began| {
            // Something that began in the future: the clock was set back, and no age can be told.
            if *began > self.now + TOUCH_AFTER {
                return None;
            }
            before.and_then(|before| Some(before.min(began.checked_sub(2 * TOUCH_AFTER)?)))
        });
        Self { before, ..self }
    }

    /// True if a file is old enough to go.
    fn passes(&self, stat: &Stat) -> bool {
        self.is_past(stat.modified)
    }

    /// True if a time is old enough.
    fn is_past(&self, modified: SystemTime) -> bool {
        self.before.is_some_and(|before| modified < before)
    }
}

/// Every run of exactly 64 hexadecimal digits: what a run names, whatever the form of its files.
fn digests_in(text: &[u8], found: &mut BTreeSet<Digest>) {
    let words = text.split(|byte| !matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let digests =
        words.filter(|word| word.len() == 64).filter_map(|word| std::str::from_utf8(word).ok());
    found.extend(digests.filter_map(|word| word.parse::<Digest>().ok()));
}

#[cfg(test)]
mod tests;
