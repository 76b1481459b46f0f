//! Several processes on one cache, and the sudden death of some.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};

use super::*;

const TASK: &str = "FUSELINE_CACHE_TEST_TASK";
const FOLDER: &str = "FUSELINE_CACHE_TEST_FOLDER";
/// The machine that the process takes itself to be on, if leases are heartbeats, and milliseconds
/// between two of them.
const MACHINE: &str = "FUSELINE_CACHE_TEST_MACHINE";
const BEAT: &str = "FUSELINE_CACHE_TEST_BEAT";

/// Another process that does a task on a cache.
pub struct Helper {
    pub child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Helper {
    fn start(task: &str, folder: &Path) -> Self {
        Self::start_by(Command::new(std::env::current_exe().unwrap()), task, folder)
    }

    /// A process on another machine, as far as it knows.
    pub fn start_on(machine: &str, beat: Duration, task: &str, folder: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.env(MACHINE, machine).env(BEAT, beat.as_millis().to_string());
        Self::start_by(command, task, folder)
    }

    fn start_by(mut command: Command, task: &str, folder: &Path) -> Self {
        forms::hand_on(&mut command);
        let mut child = command
            .args(["--exact", "tests::processes::helper", "--ignored", "--nocapture"])
            .env(TASK, task)
            .env(FOLDER, folder)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdout }
    }

    /// Reads until the process says so.
    pub fn says(&mut self, word: &str) {
        let mut line = String::new();
        while self.stdout.read_line(&mut line).unwrap() > 0 {
            if line.trim_end().ends_with(word) {
                return;
            }
            line.clear();
        }
        panic!("the process ended without saying {word}");
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub fn ends_well(mut self) {
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Not a test of its own: what the other processes do.
#[test]
#[ignore = "started by other tests in a process of its own"]
fn helper() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let cache = Cache::open(folder).unwrap();
    if let Ok(machine) = std::env::var(MACHINE) {
        let beat = std::env::var(BEAT).unwrap().parse().unwrap();
        beat_as(&cache, &machine, Duration::from_millis(beat));
    }
    match std::env::var(TASK).unwrap().as_str() {
        "hold" => {
            let _lease = cache.try_lease(&key("one")).unwrap().unwrap();
            println!("\nholding");
            std::thread::sleep(Duration::from_secs(600));
        }
        "be alive" => {
            cache.new_run("1").unwrap();
            println!("\nalive");
            std::thread::sleep(Duration::from_secs(600));
        }
        "execute slowly" => {
            let lease = cache.try_lease(&key("one")).unwrap().unwrap();
            println!("\nexecuting");
            let go = cache.folder().join("go");
            while !go.exists() {
                std::thread::sleep(Duration::from_millis(5));
            }
            let replaced = execute_and_see(&cache, "one");
            drop(lease);
            println!("\n{}", if replaced.is_some() { "a duplicate" } else { "the first" });
        }
        "execute" => {
            println!("\nexecuting");
            for action in 0..100 {
                let name = format!("action {action}");
                let _lease = cache.lease(&key(&name)).unwrap();
                if !is_cached(&cache, &name) {
                    // Only one of all processes comes here: it would fail otherwise.
                    let mark = cache.folder().join(format!("executed {action}"));
                    fs::File::create_new(mark).unwrap();
                    execute(&cache, &name).unwrap();
                }
                let digest = Digest::hash(output_of(&name));
                assert_eq!(cache.get_object(&digest).unwrap().unwrap(), output_of(&name));
            }
        }
        "write for ever" => {
            println!("\nwriting");
            for action in 0.. {
                let name = format!("{} {action}", std::process::id());
                let _lease = cache.lease(&key(&name)).unwrap();
                execute(&cache, &name).unwrap();
            }
        }
        "collect for ever" => {
            println!("\ncollecting");
            loop {
                let grace = Duration::ZERO;
                cache.gc(&GcOptions { keep_runs: 0, grace, ..GcOptions::default() }).unwrap();
            }
        }
        task => panic!("there is no task {task}"),
    }
}

in_both_forms! {
    eight_processes_on_one_cache_execute_every_action_once
    a_writer_killed_at_any_moment_leaves_nothing_half_written
    a_run_beside_a_collection_in_another_process_finds_all_that_it_has_seen
}

#[test]
fn a_second_run_takes_over_when_the_holder_of_a_lease_is_killed() {
    let (_folder, cache) = open();
    let mut holder = Helper::start("hold", cache.folder());
    holder.says("holding");
    assert!(cache.try_lease(&key("one")).unwrap().is_none());
    let who = cache.lease_holder(&key("one")).unwrap();
    assert!(who.starts_with(&format!("process {} on ", holder.child.id())), "{who}");
    assert!(cache.try_lease(&key("two")).unwrap().is_some(), "another action is free");

    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| cache.lease(&key("one")).map(drop));
        std::thread::sleep(Duration::from_millis(100));
        assert!(!waiter.is_finished(), "the holder lives");
        holder.signal(Signal::KILL);
        waiter.join().unwrap().unwrap();
    });
    assert_eq!(cache.lease_holder(&key("one")), None);
}

#[test]
fn a_holder_that_is_stopped_keeps_its_lease_until_it_goes_on_or_dies() {
    let (_folder, cache) = open();
    let mut holder = Helper::start("hold", cache.folder());
    holder.says("holding");
    holder.signal(Signal::STOP);
    std::thread::sleep(Duration::from_millis(50));
    assert!(cache.try_lease(&key("one")).unwrap().is_none());
    holder.signal(Signal::CONT);
    assert!(cache.try_lease(&key("one")).unwrap().is_none());
    holder.signal(Signal::STOP);
    holder.signal(Signal::KILL);
    holder.child.wait().unwrap();
    assert!(cache.try_lease(&key("one")).unwrap().is_some());
}

fn eight_processes_on_one_cache_execute_every_action_once() {
    let (_folder, cache) = open();
    let helpers: Vec<_> = (0..8).map(|_| Helper::start("execute", cache.folder())).collect();
    helpers.into_iter().for_each(Helper::ends_well);
    let report = cache.verify().unwrap();
    assert!(report.is_sound(), "{report:?}");
    assert_eq!((report.objects, report.records), (100, 100));
    assert_eq!(cache.status().unwrap().damaged, 0);
}

fn a_writer_killed_at_any_moment_leaves_nothing_half_written() {
    let (_folder, cache) = open();
    let mut records = 0;
    for round in 0..30 {
        let mut writer = Helper::start("write for ever", cache.folder());
        writer.says("writing");
        // Moments spread over one action's time and beyond.
        std::thread::sleep(Duration::from_micros(137 * (1 + round * round)));
        writer.signal(Signal::KILL);
        writer.child.wait().unwrap();
        let report = cache.verify().unwrap();
        assert!(report.is_sound(), "round {round}: {report:?}");
        records = report.records;
    }
    assert!(records > 30, "{records} records: the writers were killed too early to test anything");
    // Their unfinished files go with the next collection, and so do the leases they held.
    age(cache.folder(), Duration::from_secs(1_000_000));
    let all = cache.gc(&GcOptions { keep_runs: 0, ..GcOptions::default() }).unwrap();
    assert_eq!((all.records, all.kept_objects), (records, 0));
    // Segments of the dead are read by nobody any more, and gone.
    assert!(forms::segments(&cache, Shelf::Objects).is_empty());
    let left = fs::read_dir(cache.folder().join("objects")).unwrap();
    assert_eq!(
        left.map(|shard| fs::read_dir(shard.unwrap().path()).unwrap().count()).sum::<usize>(),
        0
    );
}

fn a_run_beside_a_collection_in_another_process_finds_all_that_it_has_seen() {
    let (_folder, cache) = open();
    for action in 0..40 {
        execute(&cache, &action.to_string()).unwrap();
    }
    let root = cache.folder().to_owned();
    let mut collector = Helper::start("collect for ever", &root);
    collector.says("collecting");
    let (mut hits, mut misses) = (0, 0);
    let started = Instant::now();
    for round in 0.. {
        // On a busy machine the other process may not come to it in three seconds.
        let enough = if hits > 0 && misses > 0 { 3 } else { 60 };
        if started.elapsed() > Duration::from_secs(enough) {
            break;
        }
        // So old that nothing but this run keeps it. Between two collections: time does not jump
        // within one.
        let between = loop {
            if let Some(lease) = cache.leases().unwrap().acquire("gc", true).unwrap() {
                break lease;
            }
        };
        age(&root.join("actions"), Duration::from_secs(1_000_000));
        age(&root.join("objects"), Duration::from_secs(1_000_000));
        drop(between);
        let run = Cache::open(&root).unwrap();
        run.new_run(&format!("{round:06}")).unwrap();
        let mut seen = Vec::new();
        for action in 0..40 {
            let name = action.to_string();
            if is_cached(&run, &name) {
                hits += 1;
            } else {
                misses += 1;
                execute(&run, &name).unwrap();
            }
            seen.push(name);
        }
        std::thread::sleep(Duration::from_millis(20));
        for name in seen {
            let bytes = run.get_object(&Digest::hash(output_of(&name))).unwrap();
            let whole = bytes.is_some_and(|bytes| bytes == output_of(&name));
            assert!(whole, "round {round}, action {name}");
        }
    }
    assert!(hits > 0 && misses > 0, "{hits} hits, {misses} misses: one of the two was not tested");
}
