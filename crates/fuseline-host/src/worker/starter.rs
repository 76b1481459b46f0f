//! Starts processes on a thread that lives as long as this process.
//!
//! The kernel ends a worker with the thread that started it, which is how workers end with a host
//! that is killed.

use std::io;
use std::process::{Child, Command};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock, PoisonError};

type Job = (Command, Sender<io::Result<Child>>);

/// Starts a process.
pub fn spawn(command: Command) -> io::Result<Child> {
    static STARTER: OnceLock<Mutex<Sender<Job>>> = OnceLock::new();
    let gone = |_| io::Error::other("the thread that starts workers has ended");
    let jobs = STARTER.get_or_init(|| {
        let (jobs, asked) = channel::<Job>();
        std::thread::spawn(move || {
            while let Ok((mut command, answer)) = asked.recv() {
                let _ = answer.send(command.spawn());
            }
        });
        Mutex::new(jobs)
    });
    let (answer, started) = channel();
    let jobs = jobs.lock().unwrap_or_else(PoisonError::into_inner).clone();
    jobs.send((command, answer)).map_err(|_| gone(()))?;
    started.recv().map_err(|_| gone(()))?
}
