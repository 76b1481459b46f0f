//! Guarantees of a cache, end to end.

mod faults;
pub mod forms;
mod heartbeats;
mod processes;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::time::{Duration, SystemTime};

use fuseline_artifact::{Digest, Sequence};
use tempfile::TempDir;

use crate::placement::Shelf;
use crate::runs::FEW;
use crate::tests::forms::{Harm, harm, in_both_forms, is_packed, packed_entry};
use crate::*;

in_both_forms! {
    two_that_write_the_first_file_of_a_folder_at_once_both_succeed
    what_is_put_comes_back_and_what_was_not_is_none
    a_cache_opened_again_has_what_it_had
    a_cache_lives_on_any_path
    a_folder_of_objects_on_another_disk_is_written_to_by_rename_within_it
    a_damaged_object_is_named_set_aside_and_made_again
    an_object_that_is_read_in_pieces_is_checked_as_a_whole
    putting_an_object_again_mends_a_damaged_one
    verify_names_what_is_damaged_and_what_is_missing_and_the_next_run_makes_it_again
    status_counts_what_there_is
    many_threads_on_one_cache_never_see_anything_but_whole_objects
    what_is_made_has_the_rights_that_the_folder_of_the_cache_gives
}

pub fn key(name: &str) -> ActionKey {
    ActionKey::from(Digest::hash(name))
}

/// An action whose output is too large to be held whole.
pub const LARGE: &str = "large";

/// Output of an action of this name.
pub fn output_of(name: &str) -> Vec<u8> {
    let times = if name == LARGE { 500 } else { 50 };
    format!("the output of {name}\n").repeat(times).into_bytes()
}

/// Makes a process one of a machine whose leases are heartbeats.
pub fn beat_as(cache: &Cache, machine: &str, beat: Duration) {
    let machine = Some(machine.to_owned());
    let leases = lease::Leases::heartbeat(&cache.layout.leases, beat, machine);
    cache.leases.set(leases).unwrap();
}

/// Executes an action, and returns the record that its own replaces.
pub fn execute_and_see(cache: &Cache, name: &str) -> Option<ActionRecord> {
    let record =
        ActionRecord { seconds: f64::from(std::process::id()), ..made(cache, name).unwrap() };
    cache.put_action(&key(name), &record).unwrap()
}

/// Executes an action: its object, then its record.
pub fn execute(cache: &Cache, name: &str) -> Result<ActionRecord, CacheError> {
    let record = made(cache, name)?;
    cache.put_action(&key(name), &record)?;
    Ok(record)
}

/// Makes the output of an action.
fn made(cache: &Cache, name: &str) -> Result<ActionRecord, CacheError> {
    let bytes = output_of(name);
    let write = |object: &mut ObjectWriter<'_>| {
        bytes.chunks(1_500).try_for_each(|part| object.write_all(part))
    };
    let (digest, size) = cache.put_object_of(write)?.expect("only the cache fails here");
    let output = OutputRecord {
        port: "main".to_owned(),
        kind: "evidence".to_owned(),
        digest,
        size,
        media_type: None,
    };
    Ok(ActionRecord {
        outputs: vec![output],
        key_text: vec![("name".to_owned(), name.to_owned())],
        seconds: 0.5,
    })
}

/// True if a plan would call the action cached.
pub fn is_cached(cache: &Cache, name: &str) -> bool {
    let record = cache.get_action(&key(name)).unwrap();
    record.is_some_and(|record| {
        record.outputs.iter().all(|output| cache.has_object(&output.digest, output.size))
    })
}

pub fn object_path(cache: &Cache, name: &str) -> PathBuf {
    cache.layout.object(&Digest::hash(output_of(name)))
}

pub fn record_path(cache: &Cache, name: &str) -> PathBuf {
    cache.layout.action(key(name).digest())
}

/// Makes every file of a folder old.
pub fn age(folder: &Path, by: Duration) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            age(&path, by);
        }
        let file = fs::File::open(&path).unwrap();
        file.set_modified(SystemTime::now() - by).unwrap();
    }
}

fn open() -> (TempDir, Cache) {
    let folder = TempDir::new().unwrap();
    let cache = Cache::open(folder.path().join("cache")).unwrap();
    (folder, cache)
}

fn two_that_write_the_first_file_of_a_folder_at_once_both_succeed() {
    for round in 0..50_u8 {
        let (_folder, cache) = open();
        let barrier = Barrier::new(4);
        std::thread::scope(|scope| {
            for thread in 0..4_u8 {
                let (cache, barrier) = (&cache, &barrier);
                scope.spawn(move || {
                    let mut key = [0xab; 32];
                    (key[1], key[2]) = (round, thread);
                    barrier.wait();
                    let key = ActionKey::from(Digest::from(key));
                    cache.put_action(&key, &ActionRecord::default()).unwrap();
                });
            }
        });
    }
}

fn what_is_put_comes_back_and_what_was_not_is_none() {
    let (_folder, cache) = open();
    for bytes in [&b""[..], b"a", &[7; 100_000]] {
        let digest = cache.put_object(bytes).unwrap();
        assert_eq!(digest, Digest::hash(bytes));
        assert_eq!(cache.put_object(bytes).unwrap(), digest);
        assert_eq!(cache.get_object(&digest).unwrap().unwrap(), bytes);
        assert!(cache.has_object(&digest, bytes.len() as u64));
        assert!(!cache.has_object(&digest, bytes.len() as u64 + 1));
    }
    assert_eq!(cache.get_object(&Digest::hash(b"never put")).unwrap(), None);
    assert_eq!(cache.get_action(&key("never executed")).unwrap(), None);
    let record = execute(&cache, "one").unwrap();
    assert_eq!(cache.get_action(&key("one")).unwrap(), Some(record));
}

fn a_cache_opened_again_has_what_it_had() {
    let (folder, cache) = open();
    execute(&cache, "one").unwrap();
    drop(cache);
    let cache = Cache::open(folder.path().join("cache")).unwrap();
    assert!(is_cached(&cache, "one"));
    assert!(cache.verify().unwrap().is_sound());
}

#[test]
fn work_that_is_sooner_done_again_than_flushed_is_left_to_the_kernel() {
    let folder = TempDir::new().unwrap();
    let cache = Cache::open(folder.path()).unwrap();
    let put = |name, seconds| {
        let record = ActionRecord { seconds, ..made(&cache, name).unwrap() };
        cache.put_action(&key(name), &record).unwrap();
        cache.is_worth_flushing()
    };
    assert!(!cache.is_worth_flushing(), "nothing was written");
    assert!(!put("one", 0.04));
    assert!(!put("two", 0.04));
    assert!(put("three", 0.04), "together they are worth it");
    cache.flush().unwrap();
    assert!(!cache.is_worth_flushing(), "all is on the disk");
    assert!(put("four", 20.0));
}

#[test]
fn a_cache_of_a_newer_format_is_refused_in_words() {
    let (folder, cache) = open();
    let root = cache.folder().to_owned();
    drop(cache);
    fs::write(root.join("format"), "{\"fuseline-cache\":3}\n").unwrap();
    let error = Cache::open(&root).unwrap_err();
    assert!(matches!(error, CacheError::Newer { found: 3, known: 2, .. }), "{error}");
    for text in ["", "{}", "\0\0\0", "{\"fuseline-cache\":\"1\"}"] {
        fs::write(root.join("format"), text).unwrap();
        assert!(matches!(Cache::open(&root), Err(CacheError::NotACache { .. })), "{text:?}");
    }
    drop(folder);
}

#[test]
fn a_folder_that_was_there_keeps_its_files_visible_to_git() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("README.md"), "mine").unwrap();
    Cache::open(folder.path()).unwrap();
    assert!(!folder.path().join(".gitignore").exists());
    assert_eq!(fs::read(folder.path().join("README.md")).unwrap(), b"mine");
    let new = folder.path().join("new");
    Cache::open(&new).unwrap();
    assert_eq!(fs::read(new.join(".gitignore")).unwrap(), b"*\n");
    assert!(
        fs::read(new.join("CACHEDIR.TAG"))
            .unwrap()
            .starts_with(b"Signature: 8a477f597d28d172789f06886806bc55")
    );
}

fn a_cache_lives_on_any_path() {
    use std::os::unix::ffi::OsStrExt;
    let folder = TempDir::new().unwrap();
    let real = folder.path().join("real");
    fs::create_dir(&real).unwrap();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&real, &link).unwrap();
    let not_text = folder.path().join(std::ffi::OsStr::from_bytes(b"caf\xe9"));
    for path in [folder.path().join("with spaces and 'quotes'"), link, not_text] {
        let cache = Cache::open(&path).unwrap();
        execute(&cache, "one").unwrap();
        let lease = cache.try_lease(&key("one")).unwrap().unwrap();
        assert!(cache.try_lease(&key("one")).unwrap().is_none());
        drop(lease);
        cache.new_run("1").unwrap();
        cache.write_run_file("1", "manifest.json", &[key("one").to_string().as_bytes()]).unwrap();
        assert!(is_cached(&cache, "one"), "{}", path.display());
        assert!(cache.verify().unwrap().is_sound());
        cache.gc(&GcOptions::default()).unwrap();
        assert!(is_cached(&cache, "one"));
    }
    assert!(real.join("objects").is_dir());
}

fn a_folder_of_objects_on_another_disk_is_written_to_by_rename_within_it() {
    let (folder, cache) = open();
    let elsewhere = folder.path().join("elsewhere");
    fs::rename(cache.folder().join("objects"), &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, cache.folder().join("objects")).unwrap();
    execute(&cache, "one").unwrap();
    assert!(is_cached(&cache, "one"));
    // No temporary file was anywhere but beside its target.
    assert!(cache.verify().unwrap().is_sound());
}

fn a_damaged_object_is_named_set_aside_and_made_again() {
    let (_folder, cache) = open();
    execute(&cache, "one").unwrap();
    let digest = Digest::hash(output_of("one"));
    harm(&cache, Shelf::Objects, &digest, Harm::FlipByte(100));
    assert!(is_cached(&cache, "one"), "its length is right, so that only reading finds it");
    let error = cache.get_object(&digest).unwrap_err();
    assert!(error.to_string().contains(&digest.to_string()), "{error}");
    assert!(!is_cached(&cache, "one"));
    assert_eq!(cache.get_object(&digest).unwrap(), None);
    execute(&cache, "one").unwrap();
    assert_eq!(cache.get_object(&digest).unwrap().unwrap(), output_of("one"));
    assert_eq!(cache.status().unwrap().damaged, 1);
}

fn an_object_that_is_read_in_pieces_is_checked_as_a_whole() {
    let (_folder, cache) = open();
    let record = execute(&cache, LARGE).unwrap();
    let (digest, whole) = (record.outputs[0].digest, output_of(LARGE));
    assert_eq!((digest, record.outputs[0].size), (Digest::hash(&whole), whole.len() as u64));
    let size = whole.len();
    let read = |object: &mut ObjectReader| -> io::Result<Vec<Vec<u8>>> {
        assert_eq!(object.size(), size as u64);
        let mut pieces = vec![object.last(10)?, object.last(100)?, object.next(5)?];
        object.skip(1_000)?;
        pieces.extend([object.next(0)?, object.next(size - 1_055)?, object.next(30)?]);
        Ok(pieces.into_iter().map(Vec::from).collect())
    };
    let expected = [
        size - 10..size,
        size - 100..size,
        0..5,
        1_005..1_005,
        1_005..size - 50,
        size - 50..size - 20,
    ];
    let expected: Vec<_> = expected.map(|range| whole[range].to_vec()).into();
    assert_eq!(cache.read_object(&digest, read).unwrap().unwrap().unwrap(), expected);
    // More than there is, and the end after the beginning, are errors of who reads.
    let beyond = |object: &mut ObjectReader| {
        (object.next(size + 1).is_err(), object.next(1).is_ok(), object.last(1).is_err())
    };
    assert_eq!(cache.read_object(&digest, beyond).unwrap(), Some((true, true, true)));
    assert_eq!(cache.read_object(&Digest::hash("never put"), |_| ()).unwrap(), None);
    // Whatever was changed, looked at or not: what was read does not count.
    for changed in [0, 500, size / 2, size - 40, size - 1] {
        let path = object_path(&cache, LARGE);
        let mut bytes = whole.clone();
        bytes[changed] ^= 1;
        fs::write(path, bytes).unwrap();
        let error = cache.read_object(&digest, read).unwrap_err();
        assert!(matches!(error, CacheError::Damaged { .. }), "byte {changed}: {error}");
        assert!(!is_cached(&cache, LARGE));
        execute(&cache, LARGE).unwrap();
    }
    assert!(cache.verify().unwrap().is_sound());
}

#[test]
fn what_is_given_up_while_it_is_written_leaves_nothing() {
    let (_folder, cache) = open();
    let given_up = cache.put_object_of(|object| {
        object.write_all(&output_of(LARGE)).unwrap();
        Err("no more")
    });
    assert_eq!(given_up.unwrap(), Err("no more"));
    let shard = cache.layout.object(&Digest::from([0; 32]));
    assert_eq!(fs::read_dir(shard.parent().unwrap()).unwrap().count(), 0);
}

fn putting_an_object_again_mends_a_damaged_one() {
    let (_folder, cache) = open();
    execute(&cache, "one").unwrap();
    let digest = Digest::hash(output_of("one"));
    harm(&cache, Shelf::Objects, &digest, Harm::FlipByte(output_of("one").len() - 1));
    let digest = cache.put_object(&output_of("one")).unwrap();
    assert_eq!(cache.get_object(&digest).unwrap().unwrap(), output_of("one"));
}

fn verify_names_what_is_damaged_and_what_is_missing_and_the_next_run_makes_it_again() {
    let (_folder, cache) = open();
    for name in ["whole", "flipped", "cut", "gone", "record"] {
        execute(&cache, name).unwrap();
    }
    let object = |name: &str| Digest::hash(output_of(name));
    harm(&cache, Shelf::Objects, &object("flipped"), Harm::FlipByte(0));
    harm(&cache, Shelf::Objects, &object("cut"), Harm::Cut(7));
    harm(&cache, Shelf::Objects, &object("gone"), Harm::Remove);
    harm(&cache, Shelf::Actions, key("record").digest(), Harm::FlipByte(0));

    let report = cache.verify().unwrap();
    assert!(!report.is_sound());
    assert_eq!((report.objects, report.records), (4, 5));
    let named = |found: &[SetAside]| found.iter().map(|found| found.digest).collect::<Vec<_>>();
    let mut objects = vec![Digest::hash(output_of("flipped")), Digest::hash(output_of("cut"))];
    objects.sort();
    assert_eq!(named(&report.damaged_objects), objects);
    assert_eq!(named(&report.damaged_records), [*key("record").digest()]);
    let mut missing = vec![key("flipped"), key("cut"), key("gone")];
    missing.sort();
    assert_eq!(report.missing.iter().map(|missing| missing.key).collect::<Vec<_>>(), missing);

    for name in ["whole", "flipped", "cut", "gone", "record"] {
        assert_eq!(is_cached(&cache, name), name == "whole", "{name}");
        execute(&cache, name).unwrap();
    }
    assert!(cache.verify().unwrap().is_sound());
}

#[test]
fn the_keys_of_the_last_run_are_remembered_per_workflow() {
    let (_folder, cache) = open();
    let action = "stage[fold=0]";
    assert_eq!(cache.remembered("none").unwrap().get(action), None);
    let remember = |workflow: &str, name: &str| {
        cache.remember(workflow, std::iter::once((action.to_owned(), key(name)))).unwrap();
    };
    remember("a/b ../c\n", "one");
    remember("other", "two");
    remember("a/b ../c\n", "three");
    assert_eq!(cache.remembered("a/b ../c\n").unwrap().get(action), Some(key("three")));
    assert_eq!(cache.remembered("other").unwrap().get(action), Some(key("two")));
}

#[test]
fn a_remembered_key_is_found_by_its_whole_name_however_often_one_asks() {
    let (_folder, cache) = open();
    // Each of the names but the first ends in all of the name before it, quotes included.
    let mut names = vec!["a".to_owned()];
    for before in ["b", "\"", ",\"", "{\"", "\\\"", "ä,"] {
        names.push(format!("{before}{}", names.last().unwrap()));
    }
    let entries = || names.iter().rev().map(|name| (name.clone(), key(name)));
    cache.remember("w", entries()).unwrap();
    for name in &names {
        let remembered = cache.remembered("w").unwrap();
        for _ in 0..FEW + 2 {
            assert_eq!(remembered.get(name), Some(key(name)), "{name}");
            assert_eq!(remembered.get(&format!("{name}x")), None, "{name}");
        }
    }
    let path = cache.layout.workflows.join(format!("{}.json", Digest::hash("w")));
    let text = fs::read_to_string(&path).unwrap();
    for length in (0..text.len()).filter(|at| text.is_char_boundary(*at)) {
        fs::write(&path, &text[..length]).unwrap();
        let remembered = cache.remembered("w").unwrap();
        for _ in 0..FEW + 2 {
            assert!(remembered.get("a").is_none_or(|found| found == key("a")));
        }
    }
}

#[test]
fn run_files_stay_within_their_folder() {
    let (_folder, cache) = open();
    let folder = cache.new_run("0001").unwrap();
    assert!(folder.is_dir());
    cache.write_run_file("0001", "manifest.json", &[b"{}"]).unwrap();
    assert_eq!(cache.read_run_file("0001", "manifest.json").unwrap().unwrap(), b"{}");
    assert_eq!(cache.read_run_file("0001", "none").unwrap(), None);
    assert_eq!(cache.runs().unwrap(), ["0001"]);
    assert!(cache.new_run("0001").is_err(), "an id is given once");
    for bad in ["", ".", "..", "../x", "a/b", "/etc", ".hidden", "a\0b", &"x".repeat(200)] {
        assert!(matches!(cache.new_run(bad), Err(CacheError::BadName { .. })), "{bad:?}");
        assert!(cache.write_run_file("0001", bad, &[b""]).is_err(), "{bad:?}");
        assert!(cache.read_run_file(bad, "manifest.json").is_err(), "{bad:?}");
    }
}

fn status_counts_what_there_is() {
    let (_folder, cache) = open();
    assert_eq!(cache.status().unwrap(), CacheStatus::default());
    execute(&cache, "one").unwrap();
    execute(&cache, "two").unwrap();
    cache.new_run("1").unwrap();
    let lease = cache.try_lease(&key("three")).unwrap();
    let status = cache.status().unwrap();
    assert_eq!(status.packs, if is_packed() { 2 } else { 0 });
    assert_eq!((status.objects, status.records, status.runs), (2, 2, 1));
    assert_eq!(status.object_bytes, (output_of("one").len() + output_of("two").len()) as u64);
    assert_eq!((status.runs_alive, status.actions_alive), (1, 1));
    drop(lease);
    assert_eq!(cache.status().unwrap().actions_alive, 0);
}

fn many_threads_on_one_cache_never_see_anything_but_whole_objects() {
    let (_folder, cache) = open();
    let barrier = Barrier::new(8);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (cache, barrier) = (&cache, &barrier);
            scope.spawn(move || {
                barrier.wait();
                for action in 0..100 {
                    // Each thread in its own order, all on the same actions.
                    let name = format!("action {}", (action * (2 * thread + 1)) % 100);
                    let record = match cache.get_action(&key(&name)).unwrap() {
                        Some(record) => record,
                        None => execute(cache, &name).unwrap(),
                    };
                    let bytes = cache.get_object(&record.outputs[0].digest).unwrap();
                    assert_eq!(bytes.unwrap(), output_of(&name));
                }
            });
        }
    });
    let report = cache.verify().unwrap();
    assert!(report.is_sound(), "{report:?}");
    assert_eq!((report.objects, report.records), (100, 100));
}

#[test]
fn links_that_lead_nowhere_stop_neither_verification_nor_collection() {
    use std::os::unix::fs::symlink;
    let (_folder, cache) = open();
    execute(&cache, "circle").unwrap();
    execute(&cache, "whole").unwrap();
    let object = cache.path_of(Shelf::Objects, &Digest::hash(output_of("circle")));
    fs::remove_file(&object).unwrap();
    symlink(&object, &object).unwrap();
    symlink("nowhere", object.with_file_name("a")).unwrap();
    let report = cache.verify().unwrap();
    assert_eq!((report.objects, report.damaged_objects.len(), report.missing.len()), (2, 1, 1));
    assert_eq!(report.damaged_objects[0].digest, Digest::hash(output_of("circle")));
    assert!(!is_cached(&cache, "circle") && is_cached(&cache, "whole"));
    execute(&cache, "circle").unwrap();
    assert!(cache.verify().unwrap().is_sound());
    symlink("gc", object.with_file_name("gc")).unwrap();
    cache.gc(&GcOptions::default()).unwrap();
}

#[test]
fn a_lease_is_had_by_one_at_a_time_and_given_back_when_dropped() {
    let (_folder, cache) = open();
    let inside = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let lease = cache.lease(&key("one")).unwrap();
                    assert_eq!(inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                    assert_eq!(inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst), 1);
                    drop(lease);
                }
            });
        }
    });
    assert!(fs::read_dir(cache.folder().join("leases")).unwrap().next().is_none());
}

#[test]
fn a_lease_of_a_run_is_one_more_name_of_its_file_and_excludes_as_any_other() {
    use std::os::unix::fs::MetadataExt;
    let (_folder, run) = open();
    run.new_run("1").unwrap();
    let leases = run.folder().join("leases");
    let names = || fs::metadata(leases.join("run-1")).unwrap().nlink();
    let (one, two) = (run.try_lease(&key("one")).unwrap(), run.try_lease(&key("two")).unwrap());
    assert!(one.is_some() && two.is_some());
    assert_eq!(names(), 3);
    let (root, other) = (run.folder().to_owned(), Cache::open(run.folder()).unwrap());
    for cache in [&run, &other] {
        assert!(cache.try_lease(&key("one")).unwrap().is_none());
    }
    assert!(other.lease_holder(&key("one")).unwrap().starts_with("process "));
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| other.lease(&key("one")).map(drop));
        std::thread::sleep(Duration::from_millis(30));
        assert!(!waiter.is_finished());
        drop(one);
        waiter.join().unwrap().unwrap();
    });
    // Those that outlive their run end on their own.
    drop(run);
    assert!(other.try_lease(&key("two")).unwrap().is_none());
    assert!(other.is_run_alive("1").unwrap(), "something of it lives");
    drop(two);
    assert!(!other.is_run_alive("1").unwrap());
    assert!(fs::read_dir(root.join("leases")).unwrap().next().is_none());
}

#[test]
fn leases_of_a_dead_run_are_taken_over_one_by_one() {
    let (_folder, cache) = open();
    let leases = cache.folder().join("leases");
    // As a run leaves them that was killed.
    fs::write(leases.join("run-1"), "process 1 on x").unwrap();
    for name in ["one", "two"] {
        fs::hard_link(leases.join("run-1"), leases.join(key(name).to_string())).unwrap();
    }
    let one = cache.try_lease(&key("one")).unwrap();
    assert!(one.is_some());
    assert!(!cache.is_run_alive("1").unwrap(), "its file is not that of the new lease");
    assert!(cache.try_lease(&key("two")).unwrap().is_some());
    cache.gc(&GcOptions::default()).unwrap();
    assert_eq!(fs::read_dir(&leases).unwrap().count(), 1, "that of the living");
}

fn what_is_made_has_the_rights_that_the_folder_of_the_cache_gives() {
    use std::os::unix::fs::PermissionsExt;
    let folder = TempDir::new().unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    let umask_gives = {
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        mode(&file)
    };
    for (root, file) in [(0o2777, 0o666), (0o2775, 0o664), (0o755, umask_gives)] {
        let root_name = folder.path().join(format!("{root:o}"));
        fs::create_dir(&root_name).unwrap();
        fs::set_permissions(&root_name, fs::Permissions::from_mode(root)).unwrap();
        let cache = Cache::open(&root_name).unwrap();
        execute(&cache, "one").unwrap();
        let _lease = cache.try_lease(&key("two")).unwrap().unwrap();
        let run = cache.new_run("1-1").unwrap();
        let place = |shelf, digest: &Digest| match packed_entry(&cache, shelf, digest) {
            Some(packed) => cache.packs(shelf).path(&packed.segment),
            None => cache.path_of(shelf, digest),
        };
        for path in [
            place(Shelf::Objects, &Digest::hash(output_of("one"))),
            place(Shelf::Actions, key("one").digest()),
            cache.layout.leases.join(key("two").to_string()),
        ] {
            assert_eq!(mode(&path), file, "{} in a folder of {root:o}", path.display());
            if root != 0o755 {
                assert_eq!(mode(path.parent().unwrap()), root, "{}", path.display());
            }
        }
        assert!(root == 0o755 || mode(&run) == root);
    }
}

#[test]
fn what_is_no_file_is_not_read_as_one() {
    let folder = TempDir::new().unwrap();
    let cache = Cache::open(folder.path()).unwrap();
    execute(&cache, "one").unwrap();
    let object = object_path(&cache, "one");
    fs::remove_file(&object).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, &object, rustix::fs::Mode::RWXU).unwrap();
    assert!(
        cache.get_object(&Digest::hash(output_of("one"))).is_err(),
        "and nobody waits for the pipe"
    );
}
