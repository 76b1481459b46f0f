//! Every fault that a filesystem may have, at every call.

use std::io::ErrorKind;
use std::sync::Arc;

use super::*;
use crate::faulty::{Fault, FaultyStore};

const NAMES: [&str; 4] = ["one", "two", LARGE, "three"];

/// More calls than the scenario makes, so that the last rounds have no fault in them.
const CALLS: usize = 60;

in_both_forms! {
    a_write_that_fails_anywhere_is_an_error_and_loses_nothing
    a_torn_write_is_never_read
    a_file_cut_short_or_changed_behind_our_back_is_never_believed
    a_cache_that_cannot_be_written_can_be_read
}

/// Runs the scenario on a faulty store. Returns its result and the folder as it left it.
fn story(fault: Fault) -> (TempDir, Result<(), CacheError>) {
    let folder = TempDir::new().unwrap();
    let run = || {
        let cache = Cache::open_on(Arc::new(FaultyStore::new(fault)), folder.path())?;
        for name in NAMES {
            execute(&cache, name)?;
        }
        cache.write_run_file("1", "manifest.json", &[b"{}"])?;
        cache.flush()
    };
    let result = run();
    (folder, result)
}

/// On a sound store: nothing false is ever read, and the scenario can be completed.
fn recovers(folder: &TempDir, what: &str) {
    let cache = Cache::open(folder.path()).unwrap();
    for name in NAMES {
        let digest = Digest::hash(output_of(name));
        match cache.get_object(&digest) {
            Ok(None) | Err(CacheError::Damaged { .. }) => {}
            Ok(Some(bytes)) => assert_eq!(bytes, output_of(name), "{what}"),
            Err(error) => panic!("{what}: {error}"),
        }
        let record = cache.get_action(&key(name)).unwrap();
        if let Some(record) = record {
            assert_eq!(record.key_text[0].1, name, "{what}");
        }
        if !is_cached(&cache, name) {
            execute(&cache, name).unwrap();
        }
        assert_eq!(cache.get_object(&digest).unwrap().unwrap(), output_of(name), "{what}");
    }
    let report = cache.verify().unwrap();
    assert!(report.is_sound(), "{what}: {report:?}");
}

fn a_write_that_fails_anywhere_is_an_error_and_loses_nothing() {
    let kinds = [
        ErrorKind::StorageFull,
        ErrorKind::ReadOnlyFilesystem,
        ErrorKind::Other,
        ErrorKind::QuotaExceeded,
    ];
    for kind in kinds {
        for for_good in [false, true] {
            let mut sound = 0;
            for nth in 0..CALLS {
                let what = format!("{kind} at call {nth}, for good: {for_good}");
                let (folder, result) = story(Fault::Write { nth, kind, for_good });
                match (result, kind) {
                    (Ok(()), _) => sound += 1,
                    (
                        Err(CacheError::Full { .. }),
                        ErrorKind::StorageFull | ErrorKind::QuotaExceeded,
                    )
                    | (Err(CacheError::ReadOnly { .. }), ErrorKind::ReadOnlyFilesystem)
                    | (Err(CacheError::Write { .. }), ErrorKind::Other) => {}
                    (Err(error), _) => panic!("{what}: {error:?}"),
                }
                recovers(&folder, &what);
            }
            assert!((1..CALLS - 20).contains(&sound), "{sound} rounds met no fault");
        }
    }
}

fn a_torn_write_is_never_read() {
    for nth in 0..14 {
        let (folder, result) = story(Fault::TornWrite { nth });
        if let Err(error) = result {
            assert!(matches!(error, CacheError::Full { .. }), "{error}");
        }
        recovers(&folder, &format!("torn file {nth}"));
    }
}

fn a_file_cut_short_or_changed_behind_our_back_is_never_believed() {
    // From 3 on: the format file and its like are not content, and a damaged one is refused when it
    // is opened.
    for nth in 3..14 {
        for fault in [Fault::SilentlyTorn { nth }, Fault::FlippedBit { nth }] {
            let (folder, result) = story(fault);
            result.unwrap();
            recovers(&folder, &format!("{fault:?}"));
        }
    }
}

#[test]
fn a_read_that_fails_is_an_error_that_names_the_file() {
    let folder = TempDir::new().unwrap();
    execute(&Cache::open(folder.path()).unwrap(), "one").unwrap();
    // Call 0 reads the format.
    let broken = |nth| Arc::new(FaultyStore::new(Fault::Read { nth, kind: ErrorKind::Other }));
    assert!(matches!(Cache::open_on(broken(0), folder.path()), Err(CacheError::Read { .. })));
    let cache = Cache::open_on(broken(1), folder.path()).unwrap();
    let error = cache.get_object(&Digest::hash(output_of("one"))).unwrap_err();
    let name = object_path(&cache, "one").display().to_string();
    assert_eq!(error.to_string(), format!("cannot read {name}"));
    assert_eq!(
        cache.get_object(&Digest::hash(output_of("one"))).unwrap().unwrap(),
        output_of("one")
    );
    let cache = Cache::open_on(broken(1), folder.path()).unwrap();
    assert!(matches!(cache.get_action(&key("one")), Err(CacheError::Read { .. })));
    assert!(is_cached(&cache, "one"));
}

#[test]
fn a_file_that_cannot_be_read_is_damage_to_verify() {
    let folder = TempDir::new().unwrap();
    execute(&Cache::open(folder.path()).unwrap(), "one").unwrap();
    // Calls 1 and 2 list the objects, call 3 reads the only one.
    let store = Arc::new(FaultyStore::new(Fault::Read { nth: 3, kind: ErrorKind::Other }));
    let cache = Cache::open_on(store, folder.path()).unwrap();
    let report = cache.verify().unwrap();
    assert_eq!(report.damaged_objects[0].digest, Digest::hash(output_of("one")));
    assert!(!is_cached(&cache, "one"));
}

fn a_cache_that_cannot_be_written_can_be_read() {
    let folder = TempDir::new().unwrap();
    let cache = Cache::open(folder.path()).unwrap();
    execute(&cache, "one").unwrap();
    drop(cache);
    // So old that a reader would renew it.
    age(folder.path(), Duration::from_secs(1_000_000));
    let kind = ErrorKind::ReadOnlyFilesystem;
    let store = Arc::new(FaultyStore::new(Fault::Write { nth: 0, kind, for_good: true }));
    let cache = Cache::open_on(store, folder.path()).unwrap();
    assert!(is_cached(&cache, "one"));
    let digest = Digest::hash(output_of("one"));
    assert_eq!(cache.get_object(&digest).unwrap().unwrap(), output_of("one"));
    assert!(cache.verify().unwrap().is_sound());
    assert_eq!(cache.status().unwrap().objects, 1);
    let error = execute(&cache, "two").unwrap_err();
    assert!(matches!(error, CacheError::ReadOnly { .. }), "{error}");
}

#[test]
fn a_folder_that_cannot_be_made_is_an_error() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let error = Cache::open(folder.path().join("file/cache")).unwrap_err();
    assert!(matches!(error, CacheError::Read { .. } | CacheError::Write { .. }), "{error}");
}
