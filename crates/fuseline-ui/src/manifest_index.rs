//! The manifest of a run that has ended, without its actions in memory: where in the file each of
//! them is.
//!
//! A run of 100,000 actions has a manifest of tens of megabytes. It is read once; of an action its
//! stage, its state and its place stay, and the rest is read again for the page that shows it.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;

use fuseline_artifact::Digest;
use fuseline_cache::Cache;
use fuseline_engine::{MANIFEST_FILE, Manifest, ManifestAction};
use fuseline_workflow::StageIndex;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

/// A manifest of more bytes is not read.
const MOST_BYTES: u64 = 1 << 30;
/// Leading bytes of a manifest that hold the summary of a run.
const HEAD_BYTES: u64 = 1 << 16;

/// The last state of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Ended {
    /// Found in the cache.
    Cached,
    /// Executed.
    Done,
    /// Executed, and failed.
    Failed,
    /// Not tried.
    Skipped,
}

impl Ended {
    /// By the name in a manifest; what never began was not tried.
    fn from_name(name: &str) -> Self {
        match name {
            "cached" => Self::Cached,
            "done" => Self::Done,
            "failed" => Self::Failed,
            _ => Self::Skipped,
        }
    }
}

/// An action and its place in the file.
#[derive(Debug, Clone, Copy)]
struct Entry {
    offset: u64,
    length: u32,
    seconds: f32,
    stage: StageIndex,
    state: Ended,
}

/// A manifest and the places of its actions.
pub struct ManifestIndex {
    /// The manifest without its actions.
    pub head: Manifest,
    entries: Vec<Entry>,
    /// The beginnings of outputs' digests with the action that made each, in order.
    makers: Vec<(u64, u32)>,
    file: File,
}

impl ManifestIndex {
    /// Reads the manifest of a run; none when it has none.
    pub fn read(cache: &Cache, run: &str) -> Result<Option<Self>, String> {
        let file = cache.open_run_file(run, MANIFEST_FILE).map_err(|error| error.with_cause())?;
        let Some(mut file) = file else { return Ok(None) };
        let damaged = |problem: &str| format!("the manifest of run {run} {problem}");
        let cannot = |error: io::Error| damaged(&format!("cannot be read: {error}"));
        if file.metadata().map_err(cannot)?.len() > MOST_BYTES {
            return Err(damaged("is larger than a gigabyte"));
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(cannot)?;
        let list = top_level_list(&bytes, b"actions").ok_or_else(|| damaged("has no actions"))?;
        let head = [&bytes[..list.range.start], b"[]}"].concat();
        let head = Manifest::decode(run, &head).map_err(|error| error.to_string())?;
        let (mut entries, mut makers) = (Vec::with_capacity(list.items.len()), Vec::new());
        for item in &list.items {
            #[derive(Deserialize)]
            struct Action<'m> {
                stage: StageIndex,
                #[serde(borrow)]
                state: Cow<'m, str>,
                #[serde(default)]
                outputs: Vec<Digest>,
                #[serde(default)]
                seconds: Option<f32>,
            }
            let action: Action<'_> = serde_json::from_slice(&bytes[item.clone()])
                .map_err(|error| damaged(&format!("is damaged: {error}")))?;
            if head.stages.get(action.stage).is_none() {
                return Err(damaged("has an action of no stage"));
            }
            let (Ok(number), Ok(length)) =
                (u32::try_from(entries.len()), u32::try_from(item.len()))
            else {
                return Err(damaged("has more than can be shown"));
            };
            makers.extend(action.outputs.iter().map(|digest| (prefix(digest), number)));
            let state = Ended::from_name(&action.state);
            let seconds = action.seconds.unwrap_or(0.0);
            entries.push(Entry {
                offset: item.start as u64,
                length,
                seconds,
                stage: action.stage,
                state,
            });
        }
        makers.sort_unstable();
        Ok(Some(Self { head, entries, makers, file }))
    }

    /// Numbers of actions by state: in all, or of a stage.
    pub fn count(&self, stage: Option<StageIndex>, state: Ended) -> usize {
        self.numbers(stage, Some(state)).count()
    }

    /// The actions of a stage or of all, in a state or in any, by their numbers.
    pub fn numbers(
        &self,
        stage: Option<StageIndex>,
        state: Option<Ended>,
    ) -> impl Iterator<Item = usize> {
        let fits = move |entry: &Entry| {
            stage.is_none_or(|stage| entry.stage == stage)
                && state.is_none_or(|state| entry.state == state)
        };
        let entries = self.entries.iter().enumerate();
        entries.filter(move |(_, entry)| fits(entry)).map(|(number, _)| number)
    }

    /// Seconds that the executed actions of a stage took together.
    pub fn busy(&self, stage: StageIndex) -> f64 {
        let of_stage =
            self.entries.iter().filter(|entry| entry.stage == stage && entry.state == Ended::Done);
        of_stage.map(|entry| f64::from(entry.seconds)).sum()
    }

    /// Number of actions.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The state of an action.
    pub fn state(&self, number: usize) -> Option<Ended> {
        self.entries.get(number).map(|entry| entry.state)
    }

    /// An action, read from the file; none when there is no such action.
    pub fn action(&self, number: usize) -> Option<Result<ManifestAction, String>> {
        let entry = self.entries.get(number)?;
        let mut bytes = vec![0; entry.length as usize];
        let read = self.file.read_exact_at(&mut bytes, entry.offset);
        let action = read.map_err(|error| error.to_string()).and_then(|()| {
            serde_json::from_slice(&bytes).map_err(|error| format!("it is damaged: {error}"))
        });
        Some(action.map_err(|error| format!("the action cannot be read: {error}")))
    }

    /// The action that made an object.
    pub fn maker(&self, digest: &Digest) -> Option<(usize, ManifestAction, usize)> {
        let wanted = prefix(digest);
        let from = self.makers.partition_point(|&(known, _)| known < wanted);
        let same = self.makers[from..].iter().take_while(|&&(known, _)| known == wanted);
        for &(_, number) in same {
            let number = number as usize;
            if let Some(Ok(action)) = self.action(number)
                && let Some(output) = action.outputs.iter().position(|output| output == digest)
            {
                return Some((number, action, output));
            }
        }
        None
    }
}

fn prefix(digest: &Digest) -> u64 {
    let bytes = digest.as_bytes();
    bytes[..8].iter().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

/// A list in a JSON text.
struct List {
    /// From its bracket on, to the one that closes it.
    range: Range<usize>,
    items: Vec<Range<usize>>,
}

/// The places of the items of a list in the outermost object under a name. They are JSON only if
/// the text is.
fn top_level_list(text: &[u8], name: &[u8]) -> Option<List> {
    let (mut depth, mut at) = (0_usize, 0);
    let (mut last_string, mut list): (&[u8], Option<List>) = (&[], None);
    let mut item: Option<usize> = None;
    while at < text.len() {
        let byte = text[at];
        match byte {
            b'"' => {
                let end = string_end(text, at)?;
                if depth == 1 {
                    last_string = &text[at + 1..end];
                }
                item.get_or_insert(at);
                at = end;
            }
            b'{' | b'[' => {
                let opens = byte == b'[' && depth == 1 && last_string == name && list.is_none();
                if opens {
                    list = Some(List { range: at..at, items: Vec::new() });
                    item = None;
                } else if depth == 2 {
                    item = Some(at);
                }
                depth += 1;
            }
            b'}' | b']' | b',' => {
                let closes = byte != b',';
                if depth == 2
                    && let Some(list) = list.as_mut().filter(|list| list.range.is_empty())
                {
                    if let Some(item) = item.take() {
                        list.items.push(item..at);
                    }
                    if closes {
                        list.range.end = at + 1;
                    }
                }
                if closes {
                    depth = depth.checked_sub(1)?;
                }
            }
            _ => {}
        }
        at += 1;
    }
    list.filter(|list| !list.range.is_empty())
}

/// End of a string that begins with a quote.
fn string_end(text: &[u8], begin: usize) -> Option<usize> {
    let mut at = begin + 1;
    loop {
        match text.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// Summary of a run in a list of runs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Summary {
    /// The form of the manifest.
    pub format: u64,
    /// The workflow's name.
    pub workflow: String,
    /// Final status.
    pub status: String,
    /// Seconds since 1970.
    pub started_at: u64,
    /// Duration in seconds.
    pub seconds: f64,
    /// Numbers of actions by state, where they are written down.
    pub counts: Option<fuseline_engine::ActionCounts>,
}

impl Summary {
    /// Reads only the beginning of a run's manifest; none when it has none, or no such beginning.
    pub fn read(cache: &Cache, run: &str) -> Result<Option<Self>, String> {
        let file = cache.open_run_file(run, MANIFEST_FILE).map_err(|error| error.with_cause())?;
        let Some(file) = file else { return Ok(None) };
        let mut head = Vec::new();
        file.take(HEAD_BYTES).read_to_end(&mut head).map_err(|error| error.to_string())?;
        let mut summary = Self::default();
        // The rest is not read, so that the text seems to end too early: the values count.
        let _ =
            SummarySeed(&mut summary).deserialize(&mut serde_json::Deserializer::from_slice(&head));
        match summary.workflow.is_empty() {
            true => Err("its manifest is damaged".to_owned()),
            false => Ok(Some(summary)),
        }
    }
}

struct SummarySeed<'s>(&'s mut Summary);

impl<'de> DeserializeSeed<'de> for SummarySeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for SummarySeed<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a manifest")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "format" => self.0.format = map.next_value()?,
                "status" => self.0.status = map.next_value()?,
                "started_at" => self.0.started_at = map.next_value()?,
                "seconds" => self.0.seconds = map.next_value()?,
                "counts" => self.0.counts = map.next_value()?,
                "workflow" => {
                    self.0.workflow = map.next_value()?;
                    return Ok(());
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(text: &str) -> Option<Vec<&str>> {
        let list = top_level_list(text.as_bytes(), b"actions")?;
        assert_eq!(&text[list.range.start..=list.range.start], "[");
        Some(list.items.into_iter().map(|item| &text[item]).collect())
    }

    #[test]
    fn items_of_the_outermost_list_are_found_and_no_others() {
        let text = r#"{"params":{"actions":[1]},"x":"\"actions\":[7]","cautions":[{"actions":["a"]}],"actions":[{"a":[1,{"b":"]}"}]},{"c":"\\"}]}"#;
        assert_eq!(items(text).unwrap(), [r#"{"a":[1,{"b":"]}"}]}"#, r#"{"c":"\\"}"#]);
        assert_eq!(items(r#"{"actions":[]}"#).unwrap(), [""; 0]);
        assert_eq!(items(r#"{"actions":{}}"#), None);
        for damaged in [r#"{"actions":[{"a":1}"#, r#"{"actions":[{"a"#, "", "]", r#"{"actions":["#]
        {
            assert_eq!(items(damaged), None, "{damaged}");
        }
    }

    #[test]
    fn the_beginning_of_a_manifest_is_read_and_the_rest_left() {
        let mut summary = Summary::default();
        let text = br#"{"format":2,"run":"1-1","status":"ok","started_at":5,"seconds":0.5,"counts":{"cached":1,"done":2,"failed":0,"skipped":0},"workflow":"w","params":{"cut"#;
        let _ =
            SummarySeed(&mut summary).deserialize(&mut serde_json::Deserializer::from_slice(text));
        assert_eq!((summary.workflow.as_str(), summary.status.as_str()), ("w", "ok"));
        assert_eq!(summary.counts.unwrap().done, 2);
    }
}
