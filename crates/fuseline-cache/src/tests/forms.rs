//! The two forms that small entries have: files of their own, and packs. Tests run over both.

use std::cell::Cell;

use super::*;
use crate::pack::{EntryKind, Packed};
use crate::placement::{Placement, Shelf};

/// Makes other processes write packs from their first entry on.
const PACKED: &str = "FUSELINE_CACHE_TEST_PACKED";

thread_local! {
    static IS_PACKED: Cell<bool> = const { Cell::new(false) };
}

/// Caches that are opened on this thread write packs from their first entry on.
pub fn packed(test: fn()) {
    IS_PACKED.set(true);
    test();
    IS_PACKED.set(false);
}

pub fn is_packed() -> bool {
    IS_PACKED.get() || std::env::var_os(PACKED).is_some()
}

/// Hands the form of this test on to a process.
pub fn hand_on(command: &mut std::process::Command) {
    if is_packed() {
        command.env(PACKED, "1");
    }
}

pub fn placement() -> Placement {
    if is_packed() { Placement::behind_first_files() } else { Placement::default() }
}

/// Makes a test of each function in both forms.
macro_rules! in_both_forms {
    ($($name:ident)*) => {
        mod files {
            $(#[test] fn $name() { super::$name(); })*
        }
        mod packs {
            $(#[test] fn $name() { $crate::tests::forms::packed(super::$name); })*
        }
    };
}
pub(crate) use in_both_forms;

/// Damage to an entry, whatever its form.
#[derive(Debug, Clone, Copy)]
pub enum Harm {
    FlipByte(usize),
    /// Nothing of what is behind this many bytes comes back.
    Cut(usize),
    Remove,
}

/// Harms the object or record of a digest.
pub fn harm(cache: &Cache, shelf: Shelf, digest: &Digest, harm: Harm) {
    let packs = cache.packs(shelf);
    let change = |bytes: &mut [u8]| match harm {
        Harm::FlipByte(at) => bytes[at] ^= 1,
        Harm::Cut(at) => bytes[at..].fill(0),
        Harm::Remove => unreachable!("nothing is left to change"),
    };
    if let Some(packed) = packs.find(digest, EntryKind::Live).unwrap() {
        if let Harm::Remove = harm {
            return packs.bury(&packed).unwrap();
        }
        let path = packs.path(&packed.segment);
        let mut bytes = fs::read(&path).unwrap();
        let payload = packed.entry.payload() as usize..packed.entry.end() as usize;
        change(&mut bytes[payload]);
        return write_in_place(&path, &bytes);
    }
    let path = cache.path_of(shelf, digest);
    match harm {
        Harm::Remove => fs::remove_file(path).unwrap(),
        Harm::Cut(at) => fs::write(&path, &fs::read(&path).unwrap()[..at]).unwrap(),
        Harm::FlipByte(_) => {
            let mut bytes = fs::read(&path).unwrap();
            change(&mut bytes);
            fs::write(path, bytes).unwrap();
        }
    }
}

/// Changes a file that others have open.
pub fn write_in_place(path: &Path, bytes: &[u8]) {
    let file = fs::File::options().write(true).open(path).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, bytes, 0).unwrap();
}

/// The entry of a digest in a pack.
pub fn packed_entry(cache: &Cache, shelf: Shelf, digest: &Digest) -> Option<Packed> {
    cache.packs(shelf).find(digest, EntryKind::Live).unwrap()
}

/// The segments of a shelf.
pub fn segments(cache: &Cache, shelf: Shelf) -> Vec<PathBuf> {
    let folder = cache.packs(shelf).folder();
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "pack"));
    paths.sort();
    paths
}
