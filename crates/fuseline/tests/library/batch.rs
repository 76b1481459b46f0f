//! An executor on `xargs`: a folder of jobs, and `fuseline exec --batch FILE:NUMBER` for each of
//! them.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use fuseline::Cache;
use fuseline_engine::execute::ExecuteError;
use fuseline_engine::{
    Completion, Drive, Executed, Executor, JobFolder, JobQueue, Lookup, StageError, Submission,
    peek,
};

pub struct Xargs {
    pub command: PathBuf,
    pub cache: Arc<Cache>,
    pub folder: JobFolder,
    /// The number of jobs that were submitted.
    pub submitted: Arc<AtomicUsize>,
}

/// Jobs, and the process that executes them.
type Batch = (Child, Vec<Submission>);

struct Queue<'q> {
    xargs: &'q Xargs,
    batches: Sender<Batch>,
}

impl Executor for Xargs {
    fn serve(&self, _: usize, drive: &mut Drive<'_>) -> Result<(), ExecuteError> {
        let (batches, submitted) = channel();
        std::thread::scope(|scope| {
            // One thread, however many jobs.
            scope.spawn(move || self.collect(submitted));
            let queue = Queue { xargs: self, batches };
            drive(&queue)
        })
    }
}

impl JobQueue for Queue<'_> {
    fn submit(&self, submissions: Vec<Submission>) {
        let Xargs { command, cache, folder, submitted } = self.xargs;
        submitted.fetch_add(submissions.len(), Ordering::Relaxed);
        let jobs = submissions.iter().map(|submission| &submission.job);
        for job in jobs.clone() {
            let lease = cache.try_lease(&job.key).expect("leases work");
            assert!(lease.is_some(), "the run holds no lease of what it asks others for");
        }
        let batch = folder.write_batch(jobs).expect("a batch can be written");
        let mut child = Command::new("xargs")
            .args(["-P", "2", "-I", "{}"])
            .arg(command)
            .args(["exec", "--quiet", "--batch"])
            .arg(format!("{}:{{}}", batch.display()))
            .stdin(Stdio::piped())
            .spawn()
            .expect("xargs can be started");
        let numbers: String = (0..submissions.len()).map(|number| format!("{number}\n")).collect();
        let mut input = child.stdin.take().expect("it is piped");
        input.write_all(numbers.as_bytes()).expect("xargs reads");
        drop(input);
        self.batches.send((child, submissions)).expect("they are collected");
    }
}

impl Xargs {
    /// Waits for processes. The truth is the record of an action, and not an exit code.
    fn collect(&self, batches: Receiver<Batch>) {
        for (mut child, submissions) in batches {
            child.wait().expect("a child can be waited for");
            for Submission { job, reply, .. } in submissions {
                reply.ended(match peek(&self.cache, &job.key) {
                    Ok(Lookup::Cached(record)) => Completion::Executed(Executed {
                        record,
                        cpu_seconds: None,
                        is_duplicate: false,
                        memory: None,
                    }),
                    Ok(_) => Completion::Failed(StageError::failed("it left no record")),
                    Err(error) => Completion::CacheFailed(error),
                });
            }
        }
    }
}
