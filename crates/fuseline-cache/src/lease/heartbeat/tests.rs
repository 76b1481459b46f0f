//! The protocol on a simulated folder, by a simulated clock: processes on as many machines, of which
//! a seed decides who makes the next step, who is stopped for a while and who dies.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use super::*;

const BEAT: u64 = 10;
const ACTIONS: [&str; 2] = ["a", "b"];

/// Kinds of misfortune that may happen.
#[derive(Debug, Clone, Copy)]
struct Misfortunes {
    deaths: u32,
    /// Longest time that a process may be stopped.
    longest_stop: u64,
    /// A name is made in two steps, between which others come: no filesystem that can be used.
    torn_links: bool,
}

/// Processes that have died unwind with this.
struct Died;

#[derive(Default)]
struct State {
    random: u64,
    now: u64,
    /// The records by the names that they have.
    names: BTreeMap<String, usize>,
    /// Numbers of the last beats of the records; there is one a process.
    records: Vec<u64>,
    stopped_until: Vec<u64>,
    dead: BTreeSet<usize>,
    deaths_left: u32,
    longest_stop: u64,
    torn_links: bool,
    /// The threads that go on: their process, and when they go on.
    threads: BTreeMap<usize, (usize, u64)>,
    /// The thread whose turn it is.
    turn: Option<usize>,
    /// The processes that execute an action now.
    inside: BTreeMap<&'static str, BTreeSet<usize>>,
    together: usize,
    executions: usize,
    duplicates: usize,
    done: BTreeSet<&'static str>,
}

impl State {
    fn draw(&mut self, below: u64) -> u64 {
        // xorshift64*
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        (self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % below
    }

    /// Gives the turn to a thread that may go on. Time passes only when there is none.
    fn pass(&mut self) {
        if self.draw(40) == 0 && !self.records.is_empty() {
            let processes = self.records.len() as u64;
            let process = self.draw(processes) as usize;
            if self.deaths_left > 0 && self.draw(3) == 0 {
                self.deaths_left -= 1;
                self.dead.insert(process);
                self.inside.values_mut().for_each(|inside| {
                    inside.remove(&process);
                });
            } else if self.stopped_until[process] + 2 * BEAT < self.now {
                // One that goes on beats before it is stopped again.
                let time = self.draw(self.longest_stop + 1);
                self.stopped_until[process] = self.now + time;
            }
        }
        let due = |state: &Self, process: usize, wake: u64| match state.dead.contains(&process) {
            true => 0,
            false => wake.max(state.stopped_until[process]),
        };
        let dues: Vec<(u64, usize)> = self
            .threads
            .iter()
            .map(|(id, (process, wake))| (due(self, *process, *wake), *id))
            .collect();
        let Some(first) = dues.iter().map(|(due, _)| *due).min() else {
            self.turn = None;
            return;
        };
        self.now = self.now.max(first);
        let ready: Vec<usize> =
            dues.into_iter().filter(|(due, _)| *due <= self.now).map(|(_, id)| id).collect();
        let chosen = self.draw(ready.len() as u64) as usize;
        self.turn = Some(ready[chosen]);
    }
}

struct World {
    state: Mutex<State>,
    turns: Vec<Condvar>,
}

/// The folder as one thread of a process sees it.
#[derive(Clone)]
struct Simulated {
    world: Arc<World>,
    process: usize,
}

thread_local! {
    static THREAD: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

impl fmt::Debug for Simulated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}", self.process)
    }
}

impl Simulated {
    /// Waits for the turn of this thread, `time` from now at the earliest, and makes one step.
    fn step<T>(&self, time: u64, step: impl FnOnce(&mut State) -> T) -> T {
        let thread = THREAD.get();
        let mut state = self.world.state.lock().unwrap();
        let wake = state.now + time;
        state.threads.insert(thread, (self.process, wake));
        state.pass();
        state = self.wait(state, thread);
        if state.dead.contains(&self.process) {
            drop(state);
            resume_unwind(Box::new(Died));
        }
        step(&mut state)
    }

    fn wait<'s>(&self, mut state: MutexGuard<'s, State>, thread: usize) -> MutexGuard<'s, State> {
        if let Some(turn) = state.turn {
            self.world.turns[turn].notify_one();
        }
        while state.turn != Some(thread) {
            state = self.world.turns[thread].wait(state).unwrap();
        }
        state
    }

    fn sleep(&self, time: u64) {
        self.step(time, |_| ());
    }
}

impl LeaseFolder for Simulated {
    fn now(&self) -> Duration {
        Duration::from_millis(self.world.state.lock().unwrap().now)
    }

    fn link(&self, name: &str) -> io::Result<bool> {
        let is_torn = |state: &mut State| state.torn_links.then(|| !state.names.contains_key(name));
        let was_free = self.step(0, is_torn);
        Ok(self.step(0, |state| {
            let is_free = was_free.unwrap_or(!state.names.contains_key(name));
            if is_free {
                state.names.insert(name.to_owned(), self.process);
            }
            is_free
        }))
    }

    fn read(&self, name: &str) -> io::Result<Option<Owner>> {
        Ok(self.step(0, |state| {
            let process = *state.names.get(name)?;
            Some(Owner {
                token: process.to_string(),
                sequence: state.records[process],
                beat_milliseconds: BEAT,
                began: 0,
                process: 0,
                started: None,
                host: String::new(),
                machine: None,
            })
        }))
    }

    fn is_own(&self, name: &str) -> io::Result<bool> {
        Ok(self.step(0, |state| state.names.get(name) == Some(&self.process)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.step(0, |state| {
            let record = state.names.remove(from).ok_or(ErrorKind::NotFound)?;
            state.names.insert(to.to_owned(), record);
            Ok(())
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.step(0, |state| state.names.remove(name));
        Ok(())
    }

    fn is_gone(&self, _: &Owner) -> bool {
        false
    }

    fn is_living(&self, _: &Owner) -> bool {
        false
    }
}

/// Executes every action that is not done, or waits for whoever does.
fn work(leases: &Heartbeats<Simulated>) {
    let folder = &leases.folder;
    for action in ACTIONS {
        loop {
            if folder.step(0, |state| state.done.contains(action)) {
                break;
            }
            if !leases.acquire(action).unwrap() {
                folder.sleep(2);
                continue;
            }
            let is_mine = folder.step(0, |state| {
                let is_mine = !state.done.contains(action);
                if is_mine {
                    let inside = state.inside.entry(action).or_default();
                    inside.insert(folder.process);
                    state.together = state.together.max(inside.len());
                }
                is_mine
            });
            if is_mine {
                let time = folder.step(0, |state| state.draw(5 * BEAT));
                folder.sleep(time);
                folder.step(0, |state| {
                    state.executions += 1;
                    state.duplicates += usize::from(!state.done.insert(action));
                    state.inside.entry(action).or_default().remove(&folder.process);
                });
            }
            leases.release(action).unwrap();
        }
    }
}

/// Ends the turn of a thread for good.
fn leave(folder: &Simulated) {
    let mut state = folder.world.state.lock().unwrap();
    state.threads.remove(&THREAD.get());
    state.pass();
    if let Some(turn) = state.turn {
        folder.world.turns[turn].notify_one();
    }
}

/// Lets four processes loose on two actions.
fn simulate(seed: u64, misfortunes: Misfortunes) -> State {
    const PROCESSES: usize = 4;
    let state = State {
        random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
        records: vec![0; PROCESSES],
        stopped_until: vec![0; PROCESSES],
        deaths_left: misfortunes.deaths,
        longest_stop: misfortunes.longest_stop,
        torn_links: misfortunes.torn_links,
        // All are there before the first makes a step.
        threads: (0..2 * PROCESSES).map(|thread| (thread, (thread / 2, 0))).collect(),
        ..State::default()
    };
    let turns = (0..2 * PROCESSES).map(|_| Condvar::new()).collect();
    let world = Arc::new(World { state: Mutex::new(state), turns });
    let ended: Vec<Box<dyn Any + Send>> = std::thread::scope(|scope| {
        let begin = |process: usize| {
            let folder = Simulated { world: world.clone(), process };
            let leases = Arc::new(Heartbeats::new(folder));
            let is_done = Arc::new(std::sync::atomic::AtomicBool::new(false));
            (0..2).map(move |part| (2 * process + part, part, leases.clone(), is_done.clone()))
        };
        let threads: Vec<_> = (0..PROCESSES)
            .flat_map(begin)
            .map(|(thread, part, leases, is_done)| {
                scope.spawn(move || {
                    THREAD.set(thread);
                    let ended = catch_unwind(AssertUnwindSafe(|| {
                        let folder = leases.folder.clone();
                        let state = folder.world.state.lock().unwrap();
                        drop(folder.wait(state, thread));
                        let ordering = std::sync::atomic::Ordering::SeqCst;
                        if part == 0 {
                            work(&leases);
                            is_done.store(true, ordering);
                            return;
                        }
                        while !is_done.load(ordering) {
                            folder.sleep(BEAT);
                            folder.step(0, |state| state.records[folder.process] += 1);
                            leases.check().unwrap();
                        }
                    }));
                    leave(&leases.folder);
                    ended.err()
                })
            })
            .collect();
        // The first turn.
        {
            let mut state = world.state.lock().unwrap();
            state.pass();
            if let Some(turn) = state.turn {
                world.turns[turn].notify_one();
            }
        }
        threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
    });
    for panic in ended {
        if !panic.is::<Died>() {
            eprintln!("seed {seed}");
            resume_unwind(panic);
        }
    }
    std::mem::take(&mut world.state.lock().unwrap())
}

/// Checks what holds whatever happens.
fn check_end(seed: u64, end: &State) {
    if end.dead.len() < 4 {
        assert_eq!(end.done.len(), ACTIONS.len(), "seed {seed}: all is done");
        assert_eq!(end.duplicates, end.executions - ACTIONS.len(), "seed {seed}: and counted");
    }
    let living = end.names.iter().find(|(_, process)| !end.dead.contains(process));
    assert_eq!(living, None, "seed {seed}: the living hold nothing any more");
}

#[test]
fn one_at_a_time_holds_a_lease_whoever_dies_and_whoever_is_stopped_for_less_than_its_silence() {
    let mut takeovers = 0;
    for seed in 0..300 {
        let deaths = (seed % 4) as u32;
        let misfortunes = Misfortunes { deaths, longest_stop: 6 * BEAT, torn_links: false };
        let end = simulate(seed, misfortunes);
        check_end(seed, &end);
        assert!(end.together <= 1, "seed {seed}: two at once");
        assert_eq!(end.duplicates, 0, "seed {seed}");
        takeovers += usize::from(end.now > u64::from(MISSED_BEATS) * BEAT);
    }
    assert!(takeovers > 30, "{takeovers} of the runs had to wait for the silence of the dead");
}

#[test]
fn whoever_is_stopped_for_longer_may_execute_too_and_that_is_counted_and_harmless() {
    let mut duplicates = 0;
    for seed in 1000..1300 {
        let deaths = (seed % 3) as u32;
        let misfortunes = Misfortunes { deaths, longest_stop: 40 * BEAT, torn_links: false };
        let end = simulate(seed, misfortunes);
        check_end(seed, &end);
        duplicates += end.duplicates;
    }
    assert!(duplicates > 10, "{duplicates} double executions: nothing was tested");
}

#[test]
fn a_folder_in_which_names_are_not_made_in_one_step_is_found_out() {
    let misfortunes = Misfortunes { deaths: 0, longest_stop: 0, torn_links: true };
    let found = (0..100).filter(|seed| simulate(*seed, misfortunes).together > 1).count();
    assert!(found > 0, "the simulation finds nothing");
}

#[test]
fn a_simulation_is_the_same_for_the_same_seed() {
    let misfortunes = Misfortunes { deaths: 2, longest_stop: 20 * BEAT, torn_links: false };
    let (first, second) = (simulate(7, misfortunes), simulate(7, misfortunes));
    assert_eq!((first.now, first.executions), (second.now, second.executions));
    assert_eq!((first.random, first.names), (second.random, second.names));
}
