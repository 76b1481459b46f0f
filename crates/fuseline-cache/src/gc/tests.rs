use std::fs;

use tempfile::TempDir;

use super::*;
use crate::tests::forms::in_both_forms;
use crate::tests::{age, execute, is_cached, key, object_path, output_of, record_path};

in_both_forms! {
    what_the_latest_runs_reach_is_kept_and_the_rest_goes
    a_dry_run_says_what_would_go_and_removes_nothing
    pins_keep_actions_with_their_objects_and_bare_objects
    what_is_young_is_kept_whatever_reaches_it
    a_living_run_keeps_what_it_has_seen_however_long_it_lives
    an_action_under_lease_keeps_what_it_has_seen
    nothing_goes_while_something_lives_that_began_in_the_future
    the_record_that_explains_what_changed_outlives_its_objects
}

const LONG: Duration = Duration::from_secs(30 * 24 * 3600);

/// A cache with three runs of one action each, and one action of no run. Everything is a month old.
fn three_runs() -> (TempDir, Cache) {
    let folder = TempDir::new().unwrap();
    let cache = Cache::open(folder.path()).unwrap();
    for run in ["1", "2", "3"] {
        execute(&cache, run).unwrap();
        cache.new_run(run).unwrap();
        let manifest = format!("{{\"actions\":[[\"stage\",\"done\",\"{}\"]]}}", key(run));
        cache.write_run_file(run, "manifest.json", &[manifest.as_bytes()]).unwrap();
    }
    execute(&cache, "none").unwrap();
    drop(cache);
    age(folder.path(), LONG);
    let cache = Cache::open(folder.path()).unwrap();
    (folder, cache)
}

fn keep_runs(keep_runs: usize) -> GcOptions {
    GcOptions { keep_runs, ..GcOptions::default() }
}

fn cached(cache: &Cache) -> Vec<&'static str> {
    let is_there = |name: &&str| cache.is_here(&Digest::hash(output_of(name)));
    ["1", "2", "3", "none"].into_iter().filter(is_there).collect()
}

fn what_the_latest_runs_reach_is_kept_and_the_rest_goes() {
    let (_folder, cache) = three_runs();
    let report = cache.gc(&keep_runs(2)).unwrap();
    assert_eq!((report.objects, report.records, report.runs), (2, 2, 1));
    assert_eq!(report.kept_objects, 2);
    assert_eq!(cached(&cache), ["2", "3"]);
    assert_eq!(cache.runs().unwrap(), ["2", "3"]);
    assert!(is_cached(&cache, "2") && is_cached(&cache, "3"));
    assert!(cache.verify().unwrap().is_sound());
    assert_eq!(
        cache.gc(&keep_runs(2)).unwrap(),
        GcReport { kept_objects: 2, kept_bytes: report.kept_bytes, ..GcReport::default() }
    );
}

fn a_dry_run_says_what_would_go_and_removes_nothing() {
    let (_folder, cache) = three_runs();
    let dry = cache.gc(&GcOptions { dry_run: true, ..keep_runs(1) }).unwrap();
    assert_eq!(cached(&cache), ["1", "2", "3", "none"]);
    assert_eq!(cache.runs().unwrap().len(), 3);
    assert_eq!(cache.gc(&keep_runs(1)).unwrap(), dry);
    assert_eq!(cached(&cache), ["3"]);
}

fn pins_keep_actions_with_their_objects_and_bare_objects() {
    let (_folder, cache) = three_runs();
    let pins = vec![*key("1").digest(), Digest::hash(output_of("none"))];
    cache.gc(&GcOptions { pins, ..keep_runs(0) }).unwrap();
    assert_eq!(cached(&cache), ["1", "none"]);
    assert!(is_cached(&cache, "1"));
    assert!(!is_cached(&cache, "none"), "the object was pinned, not the action");
}

fn what_is_young_is_kept_whatever_reaches_it() {
    let (_folder, cache) = three_runs();
    execute(&cache, "new").unwrap();
    cache.gc(&keep_runs(0)).unwrap();
    assert!(is_cached(&cache, "new"));
    assert!(cached(&cache).is_empty());
    // Longer than a tick of the filesystem's clock.
    std::thread::sleep(Duration::from_millis(50));
    cache.gc(&GcOptions { grace: Duration::ZERO, ..keep_runs(0) }).unwrap();
    assert!(!is_cached(&cache, "new"), "without grace it goes");
}

#[test]
fn reading_a_record_keeps_it_and_its_objects() {
    let (_folder, cache) = three_runs();
    assert!(is_cached(&cache, "none"));
    cache.gc(&keep_runs(0)).unwrap();
    assert!(is_cached(&cache, "none"));
    assert_eq!(cached(&cache), ["none"]);
}

fn a_living_run_keeps_what_it_has_seen_however_long_it_lives() {
    let (folder, cache) = three_runs();
    let run = Cache::open(folder.path()).unwrap();
    run.new_run("4").unwrap();
    assert!(is_cached(&run, "none"));
    execute(&run, "made by it").unwrap();
    // The run has been going on for a month; all that it saw is as old.
    age(folder.path(), LONG);
    let report = cache.gc(&GcOptions { grace: Duration::ZERO, ..keep_runs(0) }).unwrap();
    assert_eq!(report.alive, 1);
    assert!(is_cached(&run, "none") && is_cached(&run, "made by it"));
    assert!(cache.runs().unwrap().contains(&"4".to_owned()));
    drop(run);
    age(folder.path(), LONG);
    cache.gc(&GcOptions { grace: Duration::ZERO, ..keep_runs(0) }).unwrap();
    assert!(cached(&cache).is_empty());
}

fn an_action_under_lease_keeps_what_it_has_seen() {
    let (folder, cache) = three_runs();
    let lease = cache.try_lease(&key("executed alone")).unwrap();
    age(folder.path(), LONG);
    cache.gc(&GcOptions { grace: Duration::ZERO, ..keep_runs(0) }).unwrap();
    assert_eq!(cached(&cache).len(), 4);
    drop(lease);
}

fn nothing_goes_while_something_lives_that_began_in_the_future() {
    let (folder, cache) = three_runs();
    let run = Cache::open(folder.path()).unwrap();
    run.new_run("4").unwrap();
    let lease = folder.path().join("leases").join("run-4");
    let file = fs::File::options().append(true).open(lease).unwrap();
    // As when the clock was set back by two days after the run began.
    file.set_modified(SystemTime::now() + Duration::from_secs(2 * 24 * 3600)).unwrap();
    let report = cache.gc(&GcOptions { grace: Duration::ZERO, ..keep_runs(0) }).unwrap();
    assert_eq!((report.objects, report.records), (0, 0));
}

fn the_record_that_explains_what_changed_outlives_its_objects() {
    let (folder, cache) = three_runs();
    cache.remember("workflow", [("stage".to_owned(), key("none"))].into_iter()).unwrap();
    age(folder.path(), LONG);
    cache.gc(&keep_runs(0)).unwrap();
    assert!(cached(&cache).is_empty());
    let recalled = || cache.recall_action(&key("none")).unwrap();
    assert_eq!(recalled().unwrap().key_text[0].1, "none");
    assert_eq!(cache.get_action(&key("none")).unwrap(), None, "nobody relies on it");
    assert!(cache.verify().unwrap().is_sound(), "and its objects are not missed");
    cache.gc(&keep_runs(0)).unwrap();
    assert!(recalled().is_some());
    cache.remember("workflow", std::iter::empty()).unwrap();
    cache.gc(&keep_runs(0)).unwrap();
    assert_eq!(recalled(), None, "what explains nothing goes");
}

#[test]
fn what_a_killed_collection_was_about_to_remove_can_be_read_and_comes_back() {
    let (_folder, cache) = three_runs();
    for path in [object_path(&cache, "3"), record_path(&cache, "3"), object_path(&cache, "none")] {
        fs::rename(&path, with_end(&path, DOOMED)).unwrap();
    }
    let digest = Digest::hash(output_of("3"));
    assert_eq!(cache.get_object(&digest).unwrap().unwrap(), output_of("3"));
    cache.gc(&keep_runs(1)).unwrap();
    assert!(is_cached(&cache, "3"), "a kept run reaches it");
    assert_eq!(cached(&cache), ["3"]);
    assert!(!with_end(&object_path(&cache, "none"), DOOMED).exists());
}

#[test]
fn debris_goes_and_is_counted() {
    let (folder, cache) = three_runs();
    let shard = object_path(&cache, "1").parent().unwrap().to_owned();
    fs::write(shard.join(".999999-0.tmp"), "half").unwrap();
    fs::write(with_end(&object_path(&cache, "2"), DAMAGED), "bad").unwrap();
    fs::write(folder.path().join("leases").join(key("dead").to_string()), "process 1 on x")
        .unwrap();
    let young = cache.gc(&keep_runs(3)).unwrap();
    assert_eq!(young.debris, 1, "what is young may still be written to");
    age(folder.path(), LONG);
    let old = cache.gc(&keep_runs(3)).unwrap();
    assert_eq!((old.debris, old.bytes), (1, 4));
    let leases = fs::read_dir(folder.path().join("leases")).unwrap();
    assert_eq!(leases.count(), 0);
}

#[test]
fn what_nobody_writes_any_more_goes_wherever_it_lies() {
    let (folder, cache) = three_runs();
    let left = ["", "leases/", "workflows/", "runs/3/", "objects/00/", "actions/00/"]
        .map(|place| folder.path().join(place).join(".1-0123456789abcdef-0.tmp"));
    for path in &left {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "left behind").unwrap();
    }
    let young = cache.gc(&keep_runs(3)).unwrap();
    assert_eq!(young.debris, 0, "it may be being written");
    age(folder.path(), LONG);
    assert_eq!(cache.gc(&keep_runs(3)).unwrap().debris, left.len());
    assert!(left.iter().all(|path| !path.exists()));
}

#[test]
fn what_is_kept_of_a_remote_goes_when_it_was_not_read_of_late() {
    let (folder, cache) = three_runs();
    for name in ["old", "read", "new"] {
        cache.write_remote_file("0123", name, b"pack").unwrap();
    }
    fs::write(folder.path().join("remotes/0123/.1-2-3.tmp"), "torn").unwrap();
    age(&folder.path().join("remotes"), LONG);
    assert_eq!(cache.read_remote_file("0123", "read").unwrap().unwrap(), b"pack");
    cache.write_remote_file("0123", "new", b"pack").unwrap();
    assert_eq!(cache.gc(&keep_runs(3)).unwrap().debris, 2);
    assert_eq!(cache.remote_files("0123").unwrap(), ["new", "read"]);
    assert!(cache.write_remote_file("../x", "name", b"").is_err());
    assert!(cache.read_remote_file("0123", "../../format").is_err());
}

#[test]
fn an_object_from_elsewhere_is_stored_under_its_own_name_or_not_at_all() {
    let (_folder, cache) = three_runs();
    let digest = Digest::hash(b"right");
    let receive = |bytes: &[u8]| {
        let write = |object: &mut crate::ObjectWriter<'_>| std::io::Write::write_all(object, bytes);
        cache.receive_object(&digest, write).unwrap().unwrap()
    };
    let before = cache.status().unwrap().objects;
    assert!(!receive(b"wrong") && !receive(b"right and more") && !receive(&vec![1; 1 << 20]));
    assert_eq!(cache.status().unwrap().objects, before);
    assert!(receive(b"right"));
    assert_eq!(cache.get_object(&digest).unwrap().unwrap(), &b"right"[..]);
}

#[test]
fn nothing_is_removed_or_written_behind_links_that_somebody_planted() {
    use std::os::unix::fs::symlink;
    let (folder, cache) = three_runs();
    let elsewhere = tempfile::tempdir().unwrap();
    let names = ["notes", ".1-2-3.tmp", "run-notes"];
    for name in names {
        fs::write(elsewhere.path().join(name), name).unwrap();
    }
    let place = |name: &str| folder.path().join(name);
    fs::create_dir_all(place("remotes")).unwrap();
    for link in ["remotes/x", "runs/1-1", "objects/0000", "actions/0000"] {
        symlink(elsewhere.path(), place(link)).unwrap();
    }
    let leases = ["gc".to_owned(), "run-1".to_owned(), key("new").to_string()];
    for lease in &leases {
        symlink(elsewhere.path().join("notes"), place("leases").join(lease)).unwrap();
    }
    age(folder.path(), LONG);
    age(elsewhere.path(), LONG);
    execute(&cache, "new").unwrap();
    cache.gc(&keep_runs(0)).unwrap();
    assert!(leases.iter().all(|lease| !place("leases").join(lease).is_symlink()));
    for own in ["leases", "runs", "remotes", "workflows"] {
        fs::remove_dir_all(place(own)).unwrap();
        symlink(elsewhere.path(), place(own)).unwrap();
    }
    age(elsewhere.path(), LONG);
    let cache = Cache::open(folder.path()).unwrap();
    cache.gc(&keep_runs(0)).unwrap();
    for name in names {
        let found = fs::read_to_string(elsewhere.path().join(name));
        assert_eq!(found.ok().as_deref(), Some(name));
    }
}

#[test]
fn a_folder_in_the_place_of_an_object_goes_as_a_damaged_one() {
    let (_folder, cache) = three_runs();
    let path = object_path(&cache, "2");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    fs::rename(&path, with_end(&path, DAMAGED)).unwrap();
    assert_eq!(cache.gc(&keep_runs(3)).unwrap().debris, 1);
    assert!(!with_end(&path, DAMAGED).exists());
}
