//! Outcomes of a task's actions: a line each in `runs/ID/outcomes/BATCH-TASK.jsonl`, which the task
//! appends and the run reads.
//!
//! An action that was executed has its record in the cache all the same, and that is what counts.
//! The lines tell of failures, of times, and of how far the task came.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::sync::OnceLock;

use fuseline_artifact::Digest;
use fuseline_cache::ActionKey;
use fuseline_engine::{Class, StageError};
use fuseline_workflow::Code;
use serde::{Deserialize, Serialize};

/// A line of the file of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Line {
    /// The task began on a machine.
    Began(String),
    /// An action ended.
    Ended(Box<ActionEnd>),
}

/// End of an action in a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ActionEnd {
    /// Its key.
    pub key: ActionKey,
    /// Its final state.
    pub status: ActionStatus,
    /// Wall time; none when it was cached.
    pub seconds: Option<f64>,
    /// Processor time of the thread that executed it.
    pub cpu_seconds: Option<f64>,
    /// True if another process executed it at the same time and ended first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_duplicate: bool,
    /// The reason why it failed.
    pub error: Option<Failure>,
}

/// Final state of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ActionStatus {
    Executed,
    Cached,
    Failed,
}

/// A [`StageError`] on its way between processes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Failure {
    is_data: bool,
    message: String,
    code: Option<String>,
    hint: Option<String>,
    option: Option<String>,
    #[serde(default)]
    input: Option<String>,
    lost: Option<Digest>,
}

impl From<&StageError> for Failure {
    fn from(error: &StageError) -> Self {
        Self {
            is_data: error.class == Class::Data,
            message: error.message.clone(),
            code: error.code.map(ToString::to_string),
            hint: error.hint.clone(),
            option: error.option.clone(),
            input: error.input.clone(),
            lost: error.lost.as_deref().copied(),
        }
    }
}

impl From<Failure> for StageError {
    fn from(failure: Failure) -> Self {
        let code = failure.code.as_deref();
        Self {
            class: if failure.is_data { Class::Data } else { Class::Failed },
            message: failure.message,
            code: code.and_then(|name| codes().iter().find(|code| code.0 == name)),
            hint: failure.hint,
            option: failure.option,
            input: failure.input,
            lost: failure.lost.map(Box::new),
        }
    }
}

/// Every code that an error may have.
fn codes() -> &'static [Code] {
    static CODES: OnceLock<Vec<Code>> = OnceLock::new();
    CODES.get_or_init(|| crate::codes::all().into_iter().map(|(code, _)| code).collect())
}

/// The file of a task, for the task itself.
pub(crate) struct OutcomeWriter(File);

impl OutcomeWriter {
    /// Opens the file of a task and notes that it began here. A task that begins again appends.
    pub fn begin(path: &Path, machine: &str) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut writer = Self(File::options().create(true).append(true).open(path)?);
        // A line that the attempt before left half-written ends here.
        if writer.0.metadata()?.len() > 0 {
            writer.0.write_all(b"\n")?;
        }
        writer.write(&Line::Began(machine.to_owned()))?;
        Ok(writer)
    }

    /// Appends a line.
    pub fn write(&mut self, line: &Line) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.0.write_all(&text)
    }
}

/// The file of a task, for the run.
#[derive(Debug, Default, Clone)]
pub(crate) struct OutcomeReader {
    offset: u64,
}

impl OutcomeReader {
    /// The lines that are new since the last call; none when there is no file yet.
    pub fn new_lines(&mut self, path: &Path) -> io::Result<Vec<Line>> {
        // Opened anew each time: on NFS that is what shows what another machine has written.
        let mut file = match fuseline_cache::open_regular(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        if file.metadata()?.len() <= self.offset {
            return Ok(Vec::new());
        }
        file.seek(SeekFrom::Start(self.offset))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        // The last line may be half-written.
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        self.offset += whole as u64;
        let lines = bytes[..whole].split(|byte| *byte == b'\n');
        Ok(lines.filter_map(|line| serde_json::from_slice(line).ok()).collect())
    }

    /// Counts, of the lines that are new since the last call, executions of actions that another
    /// process executed at the same time.
    pub fn count_duplicates(&mut self, path: &Path) -> usize {
        let lines = self.new_lines(path).unwrap_or_default().into_iter();
        lines.filter(|line| matches!(line, Line::Ended(end) if end.is_duplicate)).count()
    }
}

/// Counts the executions in a run's folder of actions that another process executed at the same
/// time: a task that its engine takes for lost may go on beside the one that was submitted again.
pub(crate) fn count_duplicates(run: &Path) -> usize {
    let files = fs::read_dir(run.join("outcomes")).into_iter().flatten().flatten();
    files.map(|file| OutcomeReader::default().count_duplicates(&file.path())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(status: ActionStatus, error: Option<Failure>) -> Line {
        let key = "0".repeat(64).parse().expect("a key");
        Line::Ended(Box::new(ActionEnd {
            key,
            status,
            seconds: Some(0.5),
            cpu_seconds: None,
            is_duplicate: false,
            error,
        }))
    }

    #[test]
    fn whole_lines_are_read_once_and_torn_ones_when_they_are_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("outcomes/0-1.jsonl");
        let mut reader = OutcomeReader::default();
        assert_eq!(reader.new_lines(&path).unwrap(), []);
        let mut writer = OutcomeWriter::begin(&path, "n1").unwrap();
        assert_eq!(reader.new_lines(&path).unwrap(), [Line::Began("n1".to_owned())]);
        let line = ended(ActionStatus::Executed, None);
        writer.write(&line).unwrap();
        writer.0.write_all(b"{\"ended\":").unwrap();
        assert_eq!(reader.new_lines(&path).unwrap(), [line]);
        assert_eq!(reader.new_lines(&path).unwrap(), []);
        // The task was killed there, and begins again on another machine.
        OutcomeWriter::begin(&path, "n2").unwrap();
        assert_eq!(reader.new_lines(&path).unwrap(), [Line::Began("n2".to_owned())]);
    }

    #[test]
    fn duplicates_are_counted_wherever_they_ended() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(count_duplicates(folder.path()), 0);
        for (name, is_duplicate) in [("0-0.jsonl", true), ("0-1.jsonl", false), ("3-7.jsonl", true)]
        {
            let path = folder.path().join("outcomes").join(name);
            let mut writer = OutcomeWriter::begin(&path, "n1").unwrap();
            let Line::Ended(end) = ended(ActionStatus::Executed, None) else { unreachable!() };
            writer.write(&Line::Ended(ActionEnd { is_duplicate, ..*end }.into())).unwrap();
        }
        assert_eq!(count_duplicates(folder.path()), 2);
    }

    #[test]
    fn an_error_is_the_same_on_the_other_side() {
        static CODE: Code = crate::codes::SETTINGS_KEY;
        let error = StageError::data("no column `a`").at("id.column").code(&CODE).hint("add it");
        let failure = Failure::from(&error);
        let line = ended(ActionStatus::Failed, Some(failure.clone()));
        let read: Line = serde_json::from_str(&serde_json::to_string(&line).unwrap()).unwrap();
        assert_eq!(read, line);
        let back = StageError::from(failure);
        assert_eq!((back.class, &back.message), (error.class, &error.message));
        assert_eq!((back.code, back.hint, back.option), (error.code, error.hint, error.option));
    }
}
