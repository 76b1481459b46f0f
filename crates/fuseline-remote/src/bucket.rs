//! Requests to an object store: bounded in time and bytes, counted, and given up when too many
//! fail.

use std::future::Future;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Location;
use object_store::{
    GetResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions,
    PutPayload,
};
use thiserror::Error;
use tokio::runtime::Runtime;

use crate::address::{Place, RemoteAddress};
use crate::breaker::{Breaker, MAX_FAILURES};
#[cfg(feature = "tls")]
use crate::network;
use crate::redact::redact;
use crate::report::Counts;

/// A transfer that is slower than this is a failure, in bytes a second.
const MIN_BYTES_PER_SECOND: u64 = 128 << 10;
/// The most names that are listed at once.
const MAX_LISTED: usize = 100_000;
/// The names of one page of a listing.
const PAGE: u64 = 1000;

/// A remote that cannot even be asked.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// This program was built without what the address needs.
    #[error("this fuseline was built without {0}")]
    NotBuilt(&'static str),
    /// The settings of the environment do not fit.
    #[error("the remote {address} cannot be used: {problem}")]
    Settings {
        /// The address.
        address: String,
        /// The problem, without secrets.
        problem: String,
    },
    /// The thread of the remote could not be started.
    #[error("the thread of the remote cannot be started")]
    Thread(#[source] std::io::Error),
}

/// A request that gave nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum RequestError {
    /// The remote was not asked: it had failed too often.
    #[error("the remote is left alone")]
    LeftAlone,
    /// There is no such object.
    #[error("it is not there")]
    NotFound,
    /// There is such an object already.
    #[error("it is there already")]
    Exists,
    /// The object has more bytes than it should.
    #[error("it has more bytes than its record says")]
    TooLong,
    /// The request failed.
    #[error("{0}")]
    Failed(String),
}

/// An object store, asked from any thread.
#[derive(Debug)]
pub(crate) struct Bucket {
    /// None once it is dropped.
    runtime: Option<Runtime>,
    store: Arc<dyn ObjectStore>,
    prefix: Location,
    /// The folder, when it is one.
    folder: Option<PathBuf>,
    /// True where the store has put-if-absent.
    has_create: bool,
    /// True where the store takes an object in parts.
    pub has_parts: bool,
    timeout: Duration,
    pub reads: Breaker,
    pub writes: Breaker,
    pub counts: Counts,
    /// True once any request was answered.
    was_reached: AtomicBool,
    /// Number of answers that were not what they should be, in a row or not.
    refusals: AtomicU32,
}

impl Bucket {
    /// A client of the store at an address. Nothing is asked yet.
    ///
    /// A folder that is not there is made when it is to be written to; when it cannot, the remote
    /// is away.
    pub fn connect(
        address: &RemoteAddress,
        writes: bool,
        timeout: Duration,
    ) -> Result<Self, ConnectError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("fuseline-remote")
            .enable_all()
            .build()
            .map_err(ConnectError::Thread)?;
        let settings = |problem: object_store::Error| ConnectError::Settings {
            address: address.to_string(),
            problem: redact(&problem.to_string()),
        };
        let mut away = None;
        let folder = match &address.place {
            Place::Folder(folder) => Some(folder.clone()),
            _ => None,
        };
        let (store, prefix) = match &folder {
            Some(folder) => (open_folder(folder, writes, &mut away), Location::default()),
            None => open_store(&address.place, timeout, settings)?,
        };
        let is_http = matches!(address.place, Place::Http(_));
        let bucket = Self {
            runtime: Some(runtime),
            store,
            prefix,
            folder,
            has_create: !is_http,
            has_parts: !is_http,
            timeout,
            reads: Breaker::default(),
            writes: Breaker::default(),
            counts: Counts::default(),
            was_reached: AtomicBool::new(false),
            refusals: AtomicU32::new(0),
        };
        if let Some(problem) = away {
            bucket.reads.fail(problem.clone(), true);
            bucket.writes.fail(problem, true);
        }
        Ok(bucket)
    }

    /// The names under a prefix with their sizes and times.
    pub fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>, RequestError> {
        self.runtime(&self.reads)?;
        let prefix = self.location(prefix);
        let mut listing = self.store.list(Some(&prefix));
        let mut listed = Vec::new();
        let end = loop {
            // Names come a page at a time, and each page may take its time.
            let next = async { listing.next().await.transpose() };
            match self.attempt(&self.reads, self.timeout, next) {
                Ok(Some(meta)) if listed.len() < MAX_LISTED => listed.push(meta),
                Ok(_) => break Ok(()),
                // A prefix of a folder, or of a server of WebDAV, that nobody has written to.
                Err(RequestError::NotFound) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.counts.list.add((listed.len() as u64).div_ceil(PAGE).max(1));
        end.map(|()| {
            self.reads.succeed();
            listed
        })
    }

    /// The length of an object, if it is there.
    pub fn head(&self, path: &str) -> Result<u64, RequestError> {
        self.runtime(&self.writes)?;
        self.counts.head.add(1);
        let location = self.location(path);
        let head = self.request(&self.writes, 0, self.store.head(&location));
        head.map(|meta| meta.size)
    }

    /// The bytes of an object of at most so many.
    pub fn get(&self, path: &str, max_bytes: u64) -> Result<Bytes, RequestError> {
        let mut bytes = Vec::new();
        // A vector takes all that is written to it.
        self.get_to(path, max_bytes, &mut bytes).map(|_| bytes.into())
    }

    /// Writes the bytes of an object, of at most so many, to a sink as they come. The inner error
    /// is the sink's.
    pub fn get_to(
        &self,
        path: &str,
        max_bytes: u64,
        sink: &mut dyn Write,
    ) -> Result<std::io::Result<()>, RequestError> {
        self.runtime(&self.reads)?;
        self.counts.get.add(1);
        let location = self.location(path);
        let result = self.attempt(&self.reads, self.allowance(0), self.store.get(&location))?;
        if result.meta.size > max_bytes {
            return Err(RequestError::TooLong);
        }
        let deadline = Instant::now() + self.allowance(max_bytes);
        self.drain(result, max_bytes, deadline, sink)
    }

    fn drain(
        &self,
        result: GetResult,
        max_bytes: u64,
        deadline: Instant,
        sink: &mut dyn Write,
    ) -> Result<std::io::Result<()>, RequestError> {
        let mut parts = result.into_stream();
        let mut received = 0;
        loop {
            let left = deadline.saturating_duration_since(Instant::now()).min(self.timeout);
            if left.is_zero() {
                let problem = format!("fewer than {} KiB/s", MIN_BYTES_PER_SECOND >> 10);
                self.reads.fail(problem.clone(), false);
                return Err(RequestError::Failed(problem));
            }
            let next = async { parts.next().await.transpose() };
            let Some(part) = self.attempt(&self.reads, left, next)? else {
                self.reads.succeed();
                return Ok(Ok(()));
            };
            self.counts.bytes_received.add(part.len() as u64);
            received += part.len() as u64;
            if received > max_bytes {
                return Err(RequestError::TooLong);
            }
            if let Err(error) = sink.write_all(&part) {
                return Ok(Err(error));
            }
        }
    }

    /// Stores an object unless there is one: [`RequestError::Exists`] then. `replace`: whatever is
    /// there is wrong.
    pub fn put(&self, path: &str, bytes: Bytes, replace: bool) -> Result<(), RequestError> {
        self.runtime(&self.writes)?;
        let location = self.location(path);
        let size = bytes.len() as u64;
        let mode = match replace || !self.has_create {
            true => PutMode::Overwrite,
            false => PutMode::Create,
        };
        self.make_shared_folder(&location);
        self.counts.put.add(1);
        let payload = PutPayload::from_bytes(bytes);
        let put_once =
            || self.store.put_opts(&location, payload.clone(), PutOptions::from(mode.clone()));
        let put = async {
            match put_once().await {
                // Two that make a folder of WebDAV at once: one of them is told that it is there.
                Err(object_store::Error::Generic { .. }) if !self.has_create => put_once().await,
                put => put,
            }
        };
        self.request(&self.writes, size, put)?;
        self.counts.bytes_sent.add(size);
        Ok(())
    }

    /// Begins an object that is sent in parts. It has its name when [`PartsWriter::complete`]
    /// returns.
    pub fn put_in_parts(&self, path: &str) -> Result<PartsWriter<'_>, RequestError> {
        self.runtime(&self.writes)?;
        let location = self.location(path);
        self.make_shared_folder(&location);
        self.counts.put.add(1);
        let upload = self.request(&self.writes, 0, self.store.put_multipart(&location))?;
        Ok(PartsWriter { bucket: self, upload })
    }

    /// Records that the remote returned unsound data.
    pub fn refuse(&self, problem: String) {
        let refusals = self.refusals.fetch_add(1, Ordering::Relaxed) + 1;
        self.reads.fail(problem, refusals >= MAX_FAILURES);
    }

    /// The time that so many bytes may take.
    fn allowance(&self, bytes: u64) -> Duration {
        self.timeout + Duration::from_secs(bytes / MIN_BYTES_PER_SECOND)
    }

    fn location(&self, path: &str) -> Location {
        path.split('/').fold(self.prefix.clone(), |location, part| location.join(part))
    }

    /// Makes the folder of an object with the rights of the remote's folder, so that others may
    /// write there too.
    fn make_shared_folder(&self, location: &Location) {
        if let Some(root) = &self.folder {
            use std::os::unix::fs::PermissionsExt;
            let Ok(mode) = std::fs::metadata(root).map(|root| root.permissions()) else { return };
            let Some(folder) = root.join(location.as_ref()).parent().map(PathBuf::from) else {
                return;
            };
            let new: Vec<_> = folder.ancestors().take_while(|folder| !folder.exists()).collect();
            // The store says what is wrong when it writes.
            let _ = std::fs::create_dir_all(&folder);
            let mode = std::fs::Permissions::from_mode(mode.mode() & 0o7777);
            for folder in new {
                let _ = std::fs::set_permissions(folder, mode.clone());
            }
        }
    }

    /// The runtime, unless the remote is left alone.
    fn runtime(&self, breaker: &Breaker) -> Result<&Runtime, RequestError> {
        self.runtime.as_ref().filter(|_| !breaker.is_open()).ok_or(RequestError::LeftAlone)
    }

    fn request<T>(
        &self,
        breaker: &Breaker,
        bytes: u64,
        request: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, RequestError> {
        let answer = self.attempt(breaker, self.allowance(bytes), request);
        if matches!(answer, Ok(_) | Err(RequestError::NotFound | RequestError::Exists)) {
            breaker.succeed();
        }
        answer
    }

    /// Waits for an answer. One that is part of a transfer is no success yet.
    fn attempt<T>(
        &self,
        breaker: &Breaker,
        time: Duration,
        request: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, RequestError> {
        let answer =
            self.runtime(breaker)?.block_on(async { tokio::time::timeout(time, request).await });
        let is_new = !self.was_reached.load(Ordering::Relaxed);
        let error = match answer {
            Ok(Ok(answer)) => {
                self.was_reached.store(true, Ordering::Relaxed);
                return Ok(answer);
            }
            Ok(Err(error)) => error,
            Err(_) => {
                let problem = format!("no answer within {:.1} s", time.as_secs_f64());
                // One that has never answered is away, and is not waited for again.
                breaker.fail(problem.clone(), is_new);
                return Err(RequestError::Failed(problem));
            }
        };
        use object_store::Error as StoreError;
        match error {
            StoreError::NotFound { .. } => {
                self.was_reached.store(true, Ordering::Relaxed);
                Err(RequestError::NotFound)
            }
            // 412, or 409 of a race that another has won.
            StoreError::AlreadyExists { .. } | StoreError::Precondition { .. } => {
                self.was_reached.store(true, Ordering::Relaxed);
                Err(RequestError::Exists)
            }
            error => {
                let is_final = matches!(
                    error,
                    StoreError::PermissionDenied { .. }
                        | StoreError::Unauthenticated { .. }
                        | StoreError::NotImplemented { .. }
                );
                let problem = redact(&describe(&error));
                breaker.fail(problem.clone(), is_final || is_new);
                Err(RequestError::Failed(problem))
            }
        }
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// An object that is sent in parts.
pub(crate) struct PartsWriter<'b> {
    bucket: &'b Bucket,
    upload: Box<dyn MultipartUpload>,
}

impl PartsWriter<'_> {
    /// Sends the next part; all but the last have one length, of 5 MiB at least.
    pub fn put_part(&mut self, bytes: Bytes) -> Result<(), RequestError> {
        let size = bytes.len() as u64;
        self.bucket.counts.put.add(1);
        let part = self.upload.put_part(PutPayload::from_bytes(bytes));
        self.bucket.request(&self.bucket.writes, size, part)?;
        self.bucket.counts.bytes_sent.add(size);
        Ok(())
    }

    /// Completes the object under its name.
    pub fn complete(mut self) -> Result<(), RequestError> {
        self.bucket.counts.put.add(1);
        self.bucket.request(&self.bucket.writes, 0, self.upload.complete()).map(drop)
    }

    /// Aborts the upload of the object.
    pub fn abort(mut self) {
        // Leftovers that cannot be removed here are removed by the rules of the bucket.
        let _ = self.bucket.request(&self.bucket.writes, 0, self.upload.abort());
    }
}

/// An error with its causes, which say more than it does, each once.
fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text += &format!(": {more}");
        }
        cause = error.source();
    }
    text
}

/// The store in a folder; `away` says why it cannot be used, if it cannot.
fn open_folder(folder: &Path, writes: bool, away: &mut Option<String>) -> Arc<dyn ObjectStore> {
    let made = match writes {
        true => std::fs::create_dir(folder),
        false => Ok(()),
    };
    let made = made.or_else(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => Ok(()),
        _ => Err(error.to_string()),
    });
    let opened = made.and_then(|()| match folder.is_dir() {
        true => LocalFileSystem::new_with_prefix(folder).map_err(|error| error.to_string()),
        false => Err("there is no such folder".to_owned()),
    });
    Arc::new(opened.unwrap_or_else(|problem| {
        *away = Some(problem);
        LocalFileSystem::new()
    }))
}

/// A store, and the prefix of all that is in it.
pub(crate) type Opened = (Arc<dyn ObjectStore>, Location);

#[cfg_attr(not(feature = "tls"), expect(unused_variables, reason = "no store is built"))]
fn open_store(
    place: &Place,
    timeout: Duration,
    settings: impl Fn(object_store::Error) -> ConnectError + Copy,
) -> Result<Opened, ConnectError> {
    match place {
        Place::Folder(_) => Err(ConnectError::NotBuilt("buckets")),
        #[cfg(feature = "network")]
        Place::S3(url) => network::open_s3(url, timeout).map_err(settings),
        #[cfg(feature = "network")]
        Place::Http(url) => network::open_http(url, timeout).map_err(settings),
        #[cfg(feature = "gcs")]
        Place::Gcs(url) => network::open_gcs(url, timeout).map_err(settings),
        #[cfg(feature = "azure")]
        Place::Azure(url) => network::open_azure(url, timeout).map_err(settings),
        #[cfg(not(feature = "network"))]
        Place::S3(_) | Place::Http(_) => Err(ConnectError::NotBuilt("the feature `network`")),
        #[cfg(not(feature = "gcs"))]
        Place::Gcs(_) => Err(ConnectError::NotBuilt("the feature `gcs`")),
        #[cfg(not(feature = "azure"))]
        Place::Azure(_) => Err(ConnectError::NotBuilt("the feature `azure`")),
    }
}
