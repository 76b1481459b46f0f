//! `load.csd`: computational sequences of the CMU-Multimodal SDK become features.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use fuseline_artifact::Features;
use fuseline_engine::{Inputs, KeyWriter, Outputs, Ports, RowFlow, StageError, StageKind};
use hdf5_reader::error::Error;
use hdf5_reader::group::Group;
use hdf5_reader::{ByteOrder, Dataset, Datatype, EnumMember, Hdf5File, OpenOptions};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::format::{Format, HEAD_BYTES, unreadable_as};
use super::limits::{check_expansion, contain_panics, expansion_limit, table_bytes, within_memory};
use super::numeric::{Class, Layout};
use super::reading::{Chosen, Gate, Id, NonFinite, Pool, Reading, pooled_names};
use super::table::{Cells, DAMAGED, Table, file_name};
use crate::pattern::{Column, Pattern, closest};

/// Reads features from a `.csd` file (HDF5), as the CMU-Multimodal SDK ships them: for each video a
/// table of features and the intervals of time that its rows span.
///
/// The rows of a video are pooled into one example. Features are called `f0.mean`, `f0.sd`, ..., or
/// by the dimension names that the file holds. A video without rows has no features, so that the
/// modality is unavailable for it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoadCsd {
    /// The file.
    #[schemars(extend("format" = "path"))]
    path: PathBuf,
    /// Which sequence of the file; needed only when it holds several.
    #[serde(default)]
    sequence: Option<String>,
    /// Which part of a video's name is the example_id; all of it when left out. Entries of one
    /// example_id, such as the segments `video[0]` and `video[1]`, become one example.
    #[serde(default)]
    id: Option<Pattern>,
    /// Pooling of the rows of a video: each feature becomes one for each word of this list.
    #[serde(default = "mean_and_sd")]
    #[schemars(length(min = 1))]
    pool: Vec<Pool>,
    /// Weight of a row in the mean and the sd: as much as any other, or as long as its
    /// interval lasts.
    #[serde(default)]
    weight: Weight,
    /// Videos to leave out, by their names in the file.
    #[serde(default)]
    exclude: Vec<String>,
    /// Which of the pooled features to take; all when left out.
    #[serde(default)]
    columns: Chosen,
    /// Treatment of infinite values, before pooling. The log says how many there were.
    #[serde(default = "missing")]
    non_finite: NonFinite,
}

/// Weight of a row of a video.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Weight {
    /// The same weight as any other.
    #[default]
    Rows,
    /// In proportion to the length of its interval, for rows such as words, which differ in length.
    Duration,
}

fn mean_and_sd() -> Vec<Pool> {
    vec![Pool::Mean, Pool::Sd]
}

/// One infinite row must not take a whole video with it.
fn missing() -> NonFinite {
    NonFinite::Missing
}

impl StageKind for LoadCsd {
    const NAME: &'static str = "load.csd";
    const REVISION: u32 = 1;
    const SUMMARY: &'static str =
        "Reads features from a CMU-Multimodal SDK file, the rows of a video pooled.";

    fn ports() -> Ports {
        super::ports()
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self { path, sequence, id, pool, weight, exclude, columns, non_finite } = self;
        key.file("path", path);
        key.field("sequence", sequence);
        key.field("id", id);
        key.field("pool", pool);
        if *weight != Weight::Rows {
            key.field("weight", weight);
        }
        if !exclude.is_empty() {
            key.field("exclude", exclude);
        }
        key.field("columns", columns);
        key.field("non_finite", non_finite);
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        super::rows(flow);
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let bytes = inputs.read_file(&self.path)?;
        let read = || self.read(bytes, || inputs.keep_going(), outputs);
        let features = within_memory(inputs, read)?;
        outputs.put("features", features)
    }
}

impl LoadCsd {
    fn read(
        &self,
        bytes: Vec<u8>,
        keep_going: impl Fn() -> Result<(), StageError>,
        outputs: &mut Outputs,
    ) -> Result<Features, StageError> {
        let file = file_name(&self.path);
        contain_panics(&file, || self.features(&file, bytes, keep_going, outputs))
    }

    fn features(
        &self,
        file: &str,
        bytes: Vec<u8>,
        keep_going: impl Fn() -> Result<(), StageError>,
        outputs: &mut Outputs,
    ) -> Result<Features, StageError> {
        let file_bytes = bytes.len() as u64;
        let head = bytes[..bytes.len().min(HEAD_BYTES)].to_vec();
        let hdf5 = Hdf5File::from_vec_with_options(bytes, bounded(file_bytes))
            .map_err(|error| unreadable_as(Format::Hdf5, file, &head, "HDF5", &error))?;
        let sequence = self.sequence(file, &hdf5)?;
        let videos = self.videos(file, file_bytes, &sequence)?;
        let width = common_width(file, &videos)?;
        let mut entries = BTreeMap::<String, Vec<Video>>::new();
        for video in videos {
            entries.entry(self.example_id(file, &video.name)?).or_default().push(video);
        }

        let mut gate = Gate { rule: self.non_finite, seen: 0 };
        let (mut ids, mut values) = (Vec::new(), Vec::new());
        for (example, mut videos) in entries {
            keep_going()?;
            videos.retain(|video| video.rows > 0);
            videos.sort_by(|a, b| a.name.cmp(&b.name));
            if videos.is_empty() {
                continue;
            }
            // The finite values of each feature, and what each counts for.
            let mut columns = vec![(Vec::<f64>::new(), Vec::<f64>::new()); width];
            for video in &videos {
                let rows = video.numbers(file, "features", &video.features)?;
                let weights = video.weights(file, self.weight)?;
                for (row, &weight) in rows.chunks_exact(width).zip(&weights) {
                    for (at, ((values, weights), &value)) in columns.iter_mut().zip(row).enumerate()
                    {
                        let place = || format!("feature {at} of video {} of {file}", video.name);
                        if let Some(value) = gate.admit(Some(value), place)? {
                            values.push(value);
                            weights.push(weight);
                        }
                    }
                }
            }
            ids.push(example);
            for (column, weights) in &columns {
                values.extend(self.pool.iter().map(|pool| match (&column[..], self.weight) {
                    ([], _) => f64::NAN,
                    (_, Weight::Rows) => pool.pool(column),
                    (_, Weight::Duration) => weighted(*pool, column, weights),
                }));
            }
        }
        gate.report(file, outputs);
        let mut names = vec!["video".to_owned()];
        names.extend(pooled_names(&dimension_names(file, &sequence, width)?, &self.pool));
        let table = Table::new(file.to_owned(), names, None, Cells::Matrix { ids, values });
        let id = Id::of_column(Column::Place(0), None);
        let non_finite = NonFinite::Keep;
        Reading { id: &id, columns: &self.columns, long: None, pool: &[], non_finite }
            .features(table, outputs)
    }

    /// The videos that are not left out, none of them read yet.
    fn videos(
        &self,
        file: &str,
        file_bytes: u64,
        sequence: &Group,
    ) -> Result<Vec<Video>, StageError> {
        let groups = sequence
            .group("data")
            .and_then(|data| data.groups())
            .map_err(|error| unreadable(file, &error))?;
        let is = |wanted: &String| groups.iter().any(|group| group.name() == wanted);
        if let Some(unknown) = self.exclude.iter().find(|wanted| !is(wanted)) {
            let hint = match closest(unknown, groups.iter().map(Group::name)) {
                Some(name) => format!("did you mean {name}"),
                None => format!("it holds {} videos", groups.len()),
            };
            return Err(StageError::data(format!("{file} has no video {unknown}"))
                .at("exclude")
                .hint(hint));
        }
        let mut videos = Vec::new();
        let mut bytes = 0_u64;
        for group in groups {
            if self.exclude.iter().any(|name| name == group.name()) {
                continue;
            }
            let video = Video::open(file, &group)?;
            bytes = bytes.saturating_add(table_bytes(video.rows as u64, video.width as u64));
            check_expansion(file, file_bytes, &format!("video {}", video.name), bytes)?;
            videos.push(video);
        }
        Ok(videos)
    }

    fn sequence(&self, file: &str, hdf5: &Hdf5File) -> Result<Group, StageError> {
        let groups = hdf5
            .root_group()
            .and_then(|root| root.groups())
            .map_err(|error| unreadable(file, &error))?;
        let names: Vec<String> = groups.iter().map(|group| group.name().to_owned()).collect();
        let hint = format!("its sequences are {}", names.join(", "));
        let mut wanted = groups
            .into_iter()
            .filter(|group| self.sequence.as_deref().is_none_or(|name| name == group.name()));
        match (wanted.next(), wanted.next(), &self.sequence) {
            (Some(only), None, _) => Ok(only),
            (Some(_), Some(_), _) => {
                Err(StageError::data(format!("{file} holds several sequences"))
                    .at("sequence")
                    .hint(hint))
            }
            (None, _, Some(name)) => {
                Err(StageError::data(format!("{file} has no sequence {name}"))
                    .at("sequence")
                    .hint(hint))
            }
            (None, _, None) => {
                Err(StageError::data(format!("{file} holds no sequence")).at("path").hint(
                    "a file of the CMU-Multimodal SDK holds /NAME/data/VIDEO/features and \
                     intervals",
                ))
            }
        }
    }

    fn example_id(&self, file: &str, video: &str) -> Result<String, StageError> {
        let Some(pattern) = &self.id else { return Ok(video.to_owned()) };
        match pattern.first_group(video) {
            Some(id) if !id.is_empty() => Ok(id.to_owned()),
            _ => Err(StageError::data(format!(
                "the pattern {} does not match the video {video:?} of {file}",
                pattern.as_str()
            ))
            .at("id")
            .hint("change the pattern so that its first group matches the part that is meant")),
        }
    }
}

/// A pool of weighted values; least and largest do not depend on weights. Without any weight the
/// mean is missing.
fn weighted(pool: Pool, values: &[f64], weights: &[f64]) -> f64 {
    let total: f64 = weights.iter().sum();
    let mean_of = |term: &dyn Fn(f64) -> f64| {
        values.iter().zip(weights).map(|(&value, weight)| weight * term(value)).sum::<f64>() / total
    };
    match pool {
        Pool::Mean => mean_of(&|value| value),
        Pool::Sd => {
            let mean = mean_of(&|value| value);
            mean_of(&|value| (value - mean) * (value - mean)).sqrt()
        }
        Pool::Min | Pool::Max => pool.pool(values),
    }
}

/// A video: as many rows of features as it has intervals.
struct Video {
    name: String,
    rows: usize,
    width: usize,
    features: Dataset,
    intervals: Dataset,
}

impl Video {
    fn open(file: &str, group: &Group) -> Result<Self, StageError> {
        let name = group.name().to_owned();
        let dataset = |dataset| {
            group.dataset(dataset).map_err(|error| wrong(file, &name, &error.to_string()))
        };
        let (features, intervals) = (dataset("features")?, dataset("intervals")?);
        let size = |length: u64| usize::try_from(length).unwrap_or(usize::MAX);
        let (rows, width) = match *features.shape() {
            [rows] => (size(rows), 1),
            [rows, width] => (size(rows), size(width)),
            ref shape => {
                let what = format!("has features of {} dimensions where 2 are wanted", shape.len());
                return Err(wrong(file, &name, &what));
            }
        };
        let spans = intervals.shape().first().copied().map_or(0, size);
        if spans != rows {
            let what = format!("has {rows} rows of features and {spans} intervals");
            return Err(wrong(file, &name, &what));
        }
        let rows = if width == 0 { 0 } else { rows };
        Ok(Self { name, rows, width, features, intervals })
    }

    /// The values of one of its datasets, row-major.
    fn numbers(&self, file: &str, what: &str, dataset: &Dataset) -> Result<Vec<f64>, StageError> {
        let wrong = |why: String| wrong(file, &self.name, &format!("has {what} {why}"));
        let layout = layout(dataset).map_err(wrong)?;
        let bytes = dataset
            .read_raw_bytes()
            .map_err(|error| wrong(format!("that cannot be read: {error}")))?;
        Ok(layout.numbers(&bytes))
    }

    /// Weight of each row.
    fn weights(&self, file: &str, weight: Weight) -> Result<Vec<f64>, StageError> {
        if weight == Weight::Rows {
            return Ok(vec![1.0; self.rows]);
        }
        if !matches!(*self.intervals.shape(), [_, 2]) {
            let what = "has intervals that are not pairs of start and end";
            return Err(wrong(file, &self.name, what));
        }
        let times = self.numbers(file, "intervals", &self.intervals)?;
        let lengths: Vec<f64> = times.chunks_exact(2).map(|time| time[1] - time[0]).collect();
        if let Some(row) = lengths.iter().position(|length| !(*length >= 0.0 && length.is_finite()))
        {
            let what = format!(
                "has the interval {} to {} in row {row}, which has no length",
                times[2 * row],
                times[2 * row + 1]
            );
            let hint =
                format!("weight: rows lets every row count alike; {}", leave_out(&self.name));
            return Err(wrong(file, &self.name, &what).at("weight").hint(hint));
        }
        Ok(lengths)
    }
}

/// Common width of the rows of all videos; an error if some differ from most.
fn common_width(file: &str, videos: &[Video]) -> Result<usize, StageError> {
    let mut counts = BTreeMap::<usize, usize>::new();
    for video in videos.iter().filter(|video| video.rows > 0) {
        *counts.entry(video.width).or_default() += 1;
    }
    // Of widths that are equally common the widest, so that the message does not depend on chance.
    let Some((&width, &most)) = counts.iter().max_by_key(|(_, count)| **count) else {
        return Ok(0);
    };
    let mut others = videos.iter().filter(|video| video.rows > 0 && video.width != width);
    let Some(first) = others.next() else { return Ok(width) };
    let names: Vec<&str> =
        [first].into_iter().chain(others).map(|video| video.name.as_str()).collect();
    let shown = names.iter().take(8).copied().collect::<Vec<_>>().join(", ");
    let shown = if names.len() > 8 { format!("{shown}, ...") } else { shown };
    Err(StageError::data(format!(
        "video {} of {file} has {} features where {most} others have {width}",
        first.name, first.width
    ))
    .at("path")
    .hint(match names.len() {
        1 => leave_out(&first.name),
        many => format!("{many} videos differ; exclude: [{shown}] leaves them out"),
    }))
}

fn leave_out(video: &str) -> String {
    format!("exclude: [{video}] leaves the video out")
}

fn wrong(file: &str, video: &str, what: &str) -> StageError {
    StageError::data(format!("video {video} of {file} {what}")).at("path").hint(leave_out(video))
}

/// Byte layout of the numbers of a dataset. The error says what they are instead.
fn layout(dataset: &Dataset) -> Result<Layout, String> {
    let dtype = dataset.dtype();
    let (class, size, order) = match dtype {
        Datatype::FixedPoint { size, signed, byte_order } => {
            (if *signed { Class::Signed } else { Class::Unsigned }, *size, *byte_order)
        }
        Datatype::FloatingPoint { size, byte_order } => (Class::Float, *size, *byte_order),
        // h5py's truth values.
        Datatype::Enum { base, members } if are_truths(members) => match **base {
            Datatype::FixedPoint { size, signed: true, byte_order } => {
                (Class::Signed, size, byte_order)
            }
            _ => return Err("that are no numbers".to_owned()),
        },
        other => return Err(format!("that are {}, not numbers", in_words(other))),
    };
    let layout = Layout::new(class, size as usize, order == ByteOrder::BigEndian);
    match layout {
        Some(layout) if is_ieee(dataset, class, size as usize) => Ok(layout),
        _ => Err(format!("that are {}, which are not read", in_words(dtype))),
    }
}

/// True if floats of two bytes are IEEE halves; other formats spend more of them on the exponent.
fn is_ieee(dataset: &Dataset, class: Class, size: usize) -> bool {
    const EXPONENT_BITS: usize = 13;
    (class, size) != (Class::Float, 2)
        || dataset.raw_datatype().is_ok_and(|raw| raw.get(EXPONENT_BITS) == Some(&5))
}

fn are_truths(members: &[EnumMember]) -> bool {
    members.iter().all(|member| ["FALSE", "TRUE"].contains(&&*member.name))
}

/// Name of an HDF5 type in words.
fn in_words(dtype: &Datatype) -> String {
    match dtype {
        Datatype::FixedPoint { size, .. } => format!("whole numbers of {size} bytes"),
        Datatype::FloatingPoint { size, .. } => format!("floats of {size} bytes"),
        Datatype::String { .. } => "texts".to_owned(),
        Datatype::Compound { .. } => "records of several fields".to_owned(),
        Datatype::Enum { .. } => "names of an enumeration".to_owned(),
        Datatype::VarLen { .. } => "lists of any length".to_owned(),
        Datatype::Array { .. } => "arrays".to_owned(),
        _ => "bytes or references".to_owned(),
    }
}

/// Bounds for the reader of a file.
fn bounded(file_bytes: u64) -> OpenOptions {
    let limit = usize::try_from(expansion_limit(file_bytes)).unwrap_or(usize::MAX);
    OpenOptions::default().with_max_chunk_bytes(limit).with_max_read_bytes(limit)
}

/// The names that the file gives the features, where it gives each another; else `f0`, `f1`, ...
fn dimension_names(file: &str, sequence: &Group, width: usize) -> Result<Vec<String>, StageError> {
    let stored = sequence
        .group("metadata")
        .and_then(|metadata| metadata.dataset("dimension names"))
        .and_then(|names| names.read_strings());
    let names: Vec<String> = match stored {
        // The SDK writes a list as JSON text.
        Ok(texts) if texts.len() == 1 => serde_json::from_str(&texts[0]).unwrap_or_default(),
        Ok(texts) => texts,
        Err(Error::GroupNotFound(_) | Error::DatasetNotFound(_)) => Vec::new(),
        Err(error) => return Err(unreadable(file, &error)),
    };
    if names.len() == width && names.iter().collect::<BTreeSet<_>>().len() == width {
        return Ok(names);
    }
    Ok((0..width).map(|place| format!("f{place}")).collect())
}

fn unreadable(file: &str, error: &Error) -> StageError {
    StageError::data(format!("{file} cannot be read as HDF5: {error}")).at("path").hint(DAMAGED)
}

#[cfg(test)]
mod tests;
