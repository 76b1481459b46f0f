//! Caches with runs in them, a server on each, and a client that asks what a browser never would.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use fuseline_artifact::Digest;
use fuseline_cache::Cache;
use fuseline_engine::{
    ActionCounts, EVENT_LOG_FORMAT, MANIFEST_FORMAT, Manifest, ManifestAction, ManifestStage,
};
use fuseline_ui::Server;
use fuseline_workflow::{IndexVec, StageIndex};
use serde_json::json;
use tempfile::TempDir;

/// A cache in a folder, and a server on it.
pub struct Site {
    pub folder: TempDir,
    pub cache: Cache,
    pub address: String,
    stop: Arc<AtomicBool>,
    serving: Option<JoinHandle<()>>,
}

impl Site {
    pub fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let cache = Cache::open(folder.path().join("cache")).unwrap();
        let server = Server::bind(Cache::open(cache.folder()).unwrap(), 0).unwrap();
        let address = server.address();
        let stop = Arc::<AtomicBool>::default();
        let until = stop.clone();
        let serving = std::thread::spawn(move || server.serve(&until).unwrap());
        Self { folder, cache, address, stop, serving: Some(serving) }
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> &str {
        self.address.strip_prefix("http://").unwrap().split('/').next().unwrap()
    }

    pub fn token(&self) -> &str {
        self.address.split_once("token=").unwrap().1
    }

    pub fn cookie(&self) -> String {
        let port = self.host().split_once(':').unwrap().1;
        format!("fuseline-{port}={}", self.token())
    }

    /// The answer to a request that is written out, but for its end.
    pub fn ask(&self, request: &str) -> Answer {
        let mut socket = TcpStream::connect(self.host()).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        write!(socket, "{request}\r\nConnection: close\r\n\r\n").unwrap();
        let mut bytes = Vec::new();
        socket.read_to_end(&mut bytes).unwrap();
        Answer(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The answer to a client with the cookie.
    pub fn get(&self, path: &str) -> Answer {
        let (host, cookie) = (self.host(), self.cookie());
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}"))
    }

    /// The page, asked for until it waits for nothing any more.
    pub fn whole(&self, path: &str) -> Answer {
        for _ in 0..200 {
            let answer = self.get(path);
            if !answer.0.contains("data-again") {
                return answer;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("{path} is never whole");
    }

    /// Writes the manifest of a run, and the log that goes before it.
    pub fn end(&self, manifest: &Manifest) {
        if !self.cache.runs_folder().join(&manifest.run).exists() {
            std::fs::create_dir_all(self.cache.runs_folder().join(&manifest.run)).unwrap();
        }
        let bytes = serde_json::to_vec(manifest).unwrap();
        self.cache.write_run_file(&manifest.run, "manifest.json", &[&bytes]).unwrap();
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(serving) = self.serving.take() {
            let _ = serving.join();
        }
    }
}

/// An answer as it came.
pub struct Answer(pub String);

impl Answer {
    pub fn status(&self) -> u16 {
        self.0
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .unwrap_or_else(|| panic!("{}", self.0))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let head = self.0.split("\r\n\r\n").next().unwrap();
        head.lines().find_map(|line| {
            let (known, value) = line.split_once(": ")?;
            known.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub fn body(&self) -> &str {
        self.0.split_once("\r\n\r\n").map_or("", |(_, body)| body)
    }

    #[track_caller]
    pub fn has(&self, text: &str) -> &Self {
        assert!(self.body().contains(text), "no {text:?} in {}", self.0);
        self
    }

    #[track_caller]
    pub fn lacks(&self, text: &str) -> &Self {
        assert!(!self.body().contains(text), "{text:?} in {}", self.0);
        self
    }
}

/// A run that has ended, with one stage `fusion` of so many actions.
pub fn manifest(run: &str, actions: usize) -> Manifest {
    let action = |number: usize| ManifestAction {
        stage: StageIndex(0),
        action: format!("fusion[rule=lr,quality=margin,fold={number}]"),
        state: if number.is_multiple_of(2) { "done" } else { "cached" }.to_owned(),
        key: Some(Digest::hash(number.to_le_bytes()).to_string().parse().unwrap()),
        outputs: vec![Digest::hash(format!("output {number}"))],
        reason: (number.is_multiple_of(2)).then(|| "with.permutations 1000 -> 2000".to_owned()),
        attempts: None,
        seconds: (number.is_multiple_of(2)).then_some(0.25),
        cpu_seconds: None,
        memory: None,
        error: None,
    };
    let counts = ActionCounts {
        cached: actions / 2,
        done: actions - actions / 2,
        ..ActionCounts::default()
    };
    Manifest {
        format: MANIFEST_FORMAT,
        run: run.to_owned(),
        status: "ok".to_owned(),
        started_at: 1_800_000_000,
        seconds: 12.5,
        counts: Some(counts),
        machine: None,
        files: Vec::new(),
        peak_memory: None,
        remote: None,
        undelivered: None,
        fuseline_version: "0.1.0".to_owned(),
        workflow: "study".to_owned(),
        workflow_digest: Digest::hash("workflow"),
        params: serde_json::Map::new(),
        seed: 1,
        environment: Default::default(),
        plugins: Vec::new(),
        stages: IndexVec::from(vec![ManifestStage {
            name: "fusion".to_owned(),
            outputs: vec![("main".to_owned(), "cohort".to_owned())],
        }]),
        cautions: Vec::new(),
        actions: (0..actions).map(action).collect(),
    }
}

/// The first line of a log.
pub fn first_line(run: &str, actions: usize) -> String {
    json!({
        "milliseconds": 0, "event": "run_started", "format": EVENT_LOG_FORMAT, "run": run,
        "workflow": "study", "stages": [["fusion", actions]],
    })
    .to_string()
        + "\n"
}

/// The lines of an action that is executed.
pub fn action_lines(number: usize, milliseconds: usize) -> String {
    let action = format!("fusion[rule=lr,quality=margin,fold={number}]");
    let started = json!({
        "milliseconds": milliseconds, "event": "started", "action": action, "stage": "fusion",
        "reason": "with.permutations 1000 -> 2000",
    });
    let finished = json!({
        "milliseconds": milliseconds + 250, "event": "finished", "action": action,
        "stage": "fusion", "seconds": 0.25, "cpu_seconds": 0.2,
    });
    format!("{started}\n{finished}\n")
}
