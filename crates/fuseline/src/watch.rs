//! The events of a run, read from its folder while it goes on, from any machine that sees the
//! cache.

use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;

use fuseline_cache::{Cache, open_regular};
use fuseline_engine::Event;
use serde_json::Value;

use crate::error::Error;

/// The event log of a run, from its beginning on.
#[derive(Debug)]
pub struct RunEvents {
    path: PathBuf,
    offset: u64,
}

impl RunEvents {
    /// The events of a run of a cache.
    pub fn of_run(cache: &Cache, run: &str) -> Self {
        Self { path: cache.runs_folder().join(run).join("events.jsonl"), offset: 0 }
    }

    /// The events that are new since the last call. Those that another version wrote in another
    /// form are left out.
    pub fn read_new(&mut self) -> Result<Vec<Event>, Error> {
        let unreadable = |source| Error::Read { path: self.path.clone(), source };
        // Opened anew each time: on NFS that is what shows what another machine has written.
        let mut file = match open_regular(&self.path) {
            Ok(file) => file,
            // The run has only announced itself.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(unreadable(error)),
        };
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(self.offset)).map_err(unreadable)?;
        file.read_to_end(&mut bytes).map_err(unreadable)?;
        // The last line may be half-written.
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        self.offset += whole as u64;
        Ok(bytes[..whole].split(|byte| *byte == b'\n').filter_map(decode).collect())
    }
}

/// The event in a line.
fn decode(line: &[u8]) -> Option<Event> {
    let mut value: Value = serde_json::from_slice(line).ok()?;
    value.as_object_mut()?.remove("milliseconds");
    serde_json::from_value(value).ok()
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_log_without_end_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path()).unwrap();
        let run = cache.runs_folder().join("1-1");
        std::fs::create_dir_all(&run).unwrap();
        std::os::unix::fs::symlink("/dev/zero", run.join("events.jsonl")).unwrap();
        assert!(RunEvents::of_run(&cache, "1-1").read_new().is_err());
    }

    #[test]
    fn events_come_once_each_and_half_a_line_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path()).unwrap();
        let mut events = RunEvents::of_run(&cache, "1-1");
        assert_eq!(events.read_new().unwrap(), []);
        let run = cache.runs_folder().join("1-1");
        std::fs::create_dir_all(&run).unwrap();
        let mut file = File::create_new(run.join("events.jsonl")).unwrap();
        let line = "{\"milliseconds\":3,\"event\":\"cached\",\"stage\":\"a\",\"actions\":2}\n";
        write!(file, "{line}{{\"event\":\"of_another_version\"}}\n{}", &line[..20]).unwrap();
        let event = Event::Cached { stage: "a".to_owned(), actions: 2 };
        assert_eq!(events.read_new().unwrap(), std::slice::from_ref(&event));
        write!(file, "{}", &line[20..]).unwrap();
        assert_eq!(events.read_new().unwrap(), [event]);
        assert_eq!(events.read_new().unwrap(), []);
    }
}
