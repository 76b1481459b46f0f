//! Leases that are heartbeats: several processes, on one machine and on two.

use std::time::Instant;

use rustix::process::Signal;

use super::processes::Helper;
use super::*;
use crate::lease::Leases;

/// Beats of the tests in which somebody is silent.
const QUICK: Duration = Duration::from_millis(40);
/// Beats of the tests in which nobody may be taken for dead, however busy the machine is.
const SLOW: Duration = Duration::from_secs(2);

/// A cache as a process of a machine sees it.
fn open_on(machine: &str, beat: Duration) -> (TempDir, Cache) {
    let (folder, cache) = open();
    beat_as(&cache, machine, beat);
    (folder, cache)
}

/// Files among the leases but the records of processes.
fn leases_left(cache: &Cache) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(&cache.layout.leases)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with('.'))
        .collect();
    names.sort();
    names
}

#[test]
fn a_lease_is_had_by_one_thread_at_a_time_and_given_back_when_dropped() {
    let (folder, cache) = open_on("here", SLOW);
    let inside = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..25 {
                    let lease = loop {
                        if let Some(lease) = cache.try_lease(&key("one")).unwrap() {
                            break lease;
                        }
                        std::thread::yield_now();
                    };
                    assert_eq!(inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                    assert_eq!(inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst), 1);
                    drop(lease);
                }
            });
        }
    });
    assert_eq!(leases_left(&cache), [] as [&str; 0]);
    drop(cache);
    let leases = fs::read_dir(folder.path().join("cache/leases")).unwrap();
    assert_eq!(leases.count(), 0, "its record went with the process");
}

#[test]
fn a_holder_on_another_machine_that_dies_is_taken_over_when_it_was_silent_for_some_beats() {
    let (_folder, cache) = open_on("here", QUICK);
    let mut holder = Helper::start_on("there", QUICK, "hold", cache.folder());
    holder.says("holding");
    assert!(cache.try_lease(&key("one")).unwrap().is_none());
    let who = cache.lease_holder(&key("one")).unwrap();
    assert!(who.starts_with(&format!("process {} on ", holder.child.id())), "{who}");
    assert_eq!(cache.status().unwrap().actions_alive, 1);
    // As long as it beats, it is waited for, however long that is.
    let watched = Instant::now();
    while watched.elapsed() < 20 * QUICK {
        assert!(cache.try_lease(&key("one")).unwrap().is_none());
        std::thread::sleep(QUICK / 4);
    }
    holder.signal(Signal::KILL);
    let killed = Instant::now();
    let lease = cache.lease(&key("one")).unwrap();
    let silence = killed.elapsed();
    assert!(silence > 7 * QUICK, "it was taken over after {silence:?}");
    drop(lease);
    assert_eq!(leases_left(&cache), [] as [&str; 0]);
}

#[test]
fn a_holder_that_is_stopped_for_too_long_executes_too_and_both_know_how_it_ended() {
    let (_folder, cache) = open_on("here", QUICK);
    let mut holder = Helper::start_on("there", QUICK, "execute slowly", cache.folder());
    holder.says("executing");
    assert!(cache.try_lease(&key("one")).unwrap().is_none());
    holder.signal(Signal::STOP);
    let lease = cache.lease(&key("one")).unwrap();
    assert_eq!(execute_and_see(&cache, "one"), None, "the first record");
    // The other goes on while this process still holds the lease.
    holder.signal(Signal::CONT);
    fs::write(cache.folder().join("go"), "").unwrap();
    holder.says("a duplicate");
    holder.ends_well();
    assert!(cache.leases().unwrap().is_held(&key("one").to_string()), "it gave back its own only");
    drop(lease);
    assert_eq!(leases_left(&cache), [] as [&str; 0]);
    assert!(is_cached(&cache, "one") && cache.verify().unwrap().is_sound());
}

#[test]
fn on_one_machine_the_dead_are_taken_over_at_once_and_the_stopped_keep_what_they_have() {
    let (_folder, cache) = open_on("here", SLOW);
    let mut holder = Helper::start_on("here", SLOW, "hold", cache.folder());
    holder.says("holding");
    holder.signal(Signal::STOP);
    assert!(cache.try_lease(&key("one")).unwrap().is_none());
    holder.signal(Signal::KILL);
    holder.child.wait().unwrap();
    let began = Instant::now();
    drop(cache.lease(&key("one")).unwrap());
    assert!(began.elapsed() < 4 * SLOW, "the kernel knows");

    // Another with beats that nobody would wait for.
    let mut holder = Helper::start_on("here", QUICK, "hold", cache.folder());
    holder.says("holding");
    holder.signal(Signal::STOP);
    let watched = Instant::now();
    while watched.elapsed() < 15 * QUICK {
        assert!(cache.try_lease(&key("one")).unwrap().is_none(), "it lives");
        std::thread::sleep(QUICK / 2);
    }
}

#[test]
fn processes_of_two_machines_on_one_cache_execute_every_action_once() {
    let (_folder, cache) = open_on("here", SLOW);
    let start = |number: u32| {
        let machine = if number.is_multiple_of(2) { "here" } else { "there" };
        Helper::start_on(machine, SLOW, "execute", cache.folder())
    };
    let helpers: Vec<_> = (0..6).map(start).collect();
    helpers.into_iter().for_each(Helper::ends_well);
    let report = cache.verify().unwrap();
    assert!(report.is_sound(), "{report:?}");
    assert_eq!((report.objects, report.records), (100, 100));
    assert_eq!(leases_left(&cache), [] as [&str; 0]);
}

#[test]
fn a_collection_waits_until_it_knows_who_lives_on_other_machines() {
    let (_folder, cache) = open_on("here", QUICK);
    let mut run = Helper::start_on("there", QUICK, "be alive", cache.folder());
    run.says("alive");
    execute(&cache, "one").unwrap();
    age(&cache.layout.actions, Duration::from_secs(3600));
    age(&cache.layout.objects, Duration::from_secs(3600));
    let all = GcOptions { keep_runs: 0, grace: Duration::ZERO, ..GcOptions::default() };
    let report = cache.gc(&all).unwrap();
    assert_eq!((report.alive, report.records, report.runs), (1, 0, 0), "it may have seen all");
    run.signal(Signal::KILL);
    run.child.wait().unwrap();
    let report = cache.gc(&all).unwrap();
    assert_eq!((report.alive, report.records), (0, 1));
    assert_eq!(leases_left(&cache), [] as [&str; 0]);
    let records = fs::read_dir(&cache.layout.leases).unwrap().count();
    assert_eq!(records, 1, "that of this process; the one of the dead is gone");
}

#[test]
fn what_a_dead_process_left_of_a_takeover_stands_in_nobodys_way() {
    let (_folder, cache) = open_on("here", QUICK);
    for name in ["one", "one~1", "one~2"] {
        fs::write(cache.layout.leases.join(name), "what nobody can read").unwrap();
    }
    // Ten seconds are assumed between the beats of somebody whose record cannot be read.
    assert!(cache.leases().unwrap().acquire("one", false).unwrap().is_none());
    for name in ["one", "one~1", "one~2"] {
        let dead = r#"{"token":"1","beat_milliseconds":1,"began":0,"process":1,"host":"gone"}"#;
        fs::write(cache.layout.leases.join(name), format!("{:016x}\n{dead}\n", 7)).unwrap();
    }
    let lease = cache.leases().unwrap().acquire("one", true).unwrap();
    assert_eq!(leases_left(&cache), ["one"]);
    drop(lease);
    assert_eq!(leases_left(&cache), [] as [&str; 0]);
}

#[test]
fn the_kind_of_leases_is_one_for_all_and_changes_when_nothing_runs() {
    let (folder, cache) = open();
    let choice = cache.lease_choice().unwrap();
    assert_eq!(choice.kind, LeaseKind::Flock, "{choice:?}");
    assert!(!cache.folder().join("leases.json").exists(), "everybody sees a disk of this machine");
    let lease = cache.try_lease(&key("one")).unwrap();
    let other = Cache::open(folder.path().join("cache")).unwrap();
    let refused = other.set_leases(LeaseKind::Heartbeat, QUICK).unwrap_err();
    assert!(matches!(refused, CacheError::LeasesInUse { held: 1, .. }), "{refused}");
    drop(lease);
    other.set_leases(LeaseKind::Heartbeat, QUICK).unwrap();
    let next = Cache::open(folder.path().join("cache")).unwrap();
    let choice = next.lease_choice().unwrap();
    assert_eq!((choice.kind, choice.beat()), (LeaseKind::Heartbeat, QUICK));
    assert_eq!(choice.reason, "by the setting cache.leases");
    let _lease = next.try_lease(&key("one")).unwrap().unwrap();
    assert!(matches!(next.leases().unwrap(), Leases::Heartbeat { .. }));
    assert!(next.set_leases(LeaseKind::Flock, QUICK).is_err());
    fs::write(next.folder().join("leases.json"), "{").unwrap();
    assert!(Cache::open(next.folder()).unwrap().try_lease(&key("two")).is_err(), "no guesses");
}

#[test]
fn of_all_that_write_the_first_record_of_an_action_one_replaces_none() {
    let (_folder, cache) = open();
    for round in 0..20 {
        let name = round.to_string();
        let barrier = Barrier::new(4);
        let first = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        barrier.wait();
                        execute_and_see(&cache, &name).is_none()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).filter(|first| *first).count()
        });
        assert_eq!(first, 1, "round {round}");
    }
    let shards = fs::read_dir(&cache.layout.actions).unwrap();
    let files = shards.flat_map(|shard| fs::read_dir(shard.unwrap().path()).unwrap());
    assert_eq!(files.count(), 20, "no temporary names are left");
}
