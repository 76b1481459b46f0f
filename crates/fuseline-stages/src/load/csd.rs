//! `load.csd`: computational sequences of the CMU-Multimodal SDK become features.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use fuseline_artifact::Features;
use fuseline_engine::{Inputs, KeyWriter, Outputs, Ports, RowFlow, StageError, StageKind};
use hdf5_reader::error::Error;
use hdf5_reader::group::Group;
use hdf5_reader::{Dataset, Datatype, Hdf5File};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::reading::{Chosen, Gate, Id, NonFinite, Pool, Reading, pooled_names};
use super::table::{Cells, DAMAGED, Table, file_name};
use crate::pattern::{Column, Pattern};

/// Reads features from a `.csd` file (HDF5), as the CMU-Multimodal SDK ships them: for each video a table of features
/// and the intervals of time that its rows span.
///
/// The rows of a video are pooled into one example. Features are called `f0.mean`, `f0.sd`, ..., or by the dimension
/// names that the file holds. A video without rows has no features, so that the modality is unavailable for it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoadCsd {
    /// The file.
    #[schemars(extend("format" = "path"))]
    path: PathBuf,
    /// Which sequence of the file; needed only when it holds several.
    #[serde(default)]
    sequence: Option<String>,
    /// Which part of a video's name is the example_id; all of it when left out. Entries of one example_id, such as the
    /// segments `video[0]` and `video[1]`, become one example.
    #[serde(default)]
    id: Option<Pattern>,
    /// What becomes of the rows of a video: each feature becomes one for each word of this list.
    #[serde(default = "mean_and_sd")]
    #[schemars(length(min = 1))]
    pool: Vec<Pool>,
    /// What a row counts for in the mean and the sd: as much as any other, or as long as its interval lasts.
    #[serde(default)]
    weight: Weight,
    /// Which of the pooled features to take; all when left out.
    #[serde(default)]
    columns: Chosen,
    /// What becomes of infinite values, before pooling. The log says how many there were.
    #[serde(default = "missing")]
    non_finite: NonFinite,
}

/// What a row of a video counts for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Weight {
    /// As much as any other.
    #[default]
    Rows,
    /// As long as its interval lasts: rows of words, say, which are not alike in length.
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
        let Self { path, sequence, id, pool, weight, columns, non_finite } = self;
        key.file("path", path);
        key.field("sequence", sequence);
        key.field("id", id);
        key.field("pool", pool);
        if *weight != Weight::Rows {
            key.field("weight", weight);
        }
        key.field("columns", columns);
        key.field("non_finite", non_finite);
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        super::rows(flow);
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let bytes = inputs.read_file(&self.path)?;
        let features = self.read(bytes, || inputs.keep_going(), outputs)?;
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
        let hdf5 = Hdf5File::from_vec(bytes).map_err(|error| unreadable(&file, &error))?;
        let sequence = self.sequence(&file, &hdf5)?;
        let data = sequence.group("data").map_err(|error| unreadable(&file, &error))?;
        let videos = data.groups().map_err(|error| unreadable(&file, &error))?;
        let mut entries = BTreeMap::<String, Vec<Group>>::new();
        for video in videos {
            entries.entry(self.example_id(&file, video.name())?).or_default().push(video);
        }

        let mut gate = Gate { rule: self.non_finite, seen: 0 };
        let (mut ids, mut values, mut width) = (Vec::new(), Vec::new(), None);
        for (example, mut videos) in entries {
            keep_going()?;
            videos.sort_by(|a, b| a.name().cmp(b.name()));
            // The finite values of each feature, and what each counts for.
            let mut columns = Vec::<(Vec<f64>, Vec<f64>)>::new();
            for video in &videos {
                let found = Rows::read(&file, video, self.weight)?;
                if found.width == 0 {
                    continue;
                }
                match &width {
                    None => width = Some((found.width, video.name().to_owned())),
                    Some((width, first)) if *width != found.width => {
                        return Err(StageError::data(format!(
                            "video {first} of {file} has {width} features and video {} has {}",
                            video.name(),
                            found.width
                        ))
                        .at("path"));
                    }
                    Some(_) => {}
                }
                columns.resize(found.width, Default::default());
                for (row, &weight) in found.values.chunks_exact(found.width).zip(&found.weights) {
                    for (at, ((values, weights), &value)) in columns.iter_mut().zip(row).enumerate()
                    {
                        let place = || format!("feature {at} of video {} of {file}", video.name());
                        if let Some(value) = gate.admit(Some(value), place)? {
                            values.push(value);
                            weights.push(weight);
                        }
                    }
                }
            }
            if columns.is_empty() {
                continue;
            }
            ids.push(example);
            for (column, weights) in &columns {
                values.extend(self.pool.iter().map(|pool| match (&column[..], self.weight) {
                    ([], _) => f64::NAN,
                    (_, Weight::Rows) => pool.of(column),
                    (_, Weight::Duration) => weighted(*pool, column, weights),
                }));
            }
        }
        gate.report(&file, outputs);
        let width = width.map_or(0, |(width, _)| width);
        let mut names = vec!["video".to_owned()];
        names.extend(pooled_names(&dimension_names(&file, &sequence, width)?, &self.pool));
        let table = Table::new(file, names, None, Cells::Matrix { ids, values });
        let id = Id::of_column(Column::Place(0), None);
        let non_finite = NonFinite::Keep;
        Reading { id: &id, columns: &self.columns, long: None, pool: &[], non_finite }
            .features(table, outputs)
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
                    "a file of the CMU-Multimodal SDK holds /NAME/data/VIDEO/features and intervals",
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

/// A pool of weighted values; least and largest do not depend on weights. Without any weight the mean is missing.
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
        Pool::Min | Pool::Max => pool.of(values),
    }
}

/// The rows of one video, as many as it has intervals.
struct Rows {
    width: usize,
    values: Vec<f64>,
    /// What each row counts for.
    weights: Vec<f64>,
}

impl Rows {
    fn read(file: &str, video: &Group, weight: Weight) -> Result<Self, StageError> {
        let wrong = |what: String| {
            StageError::data(format!("video {} of {file} {what}", video.name())).at("path")
        };
        let dataset = |name| video.dataset(name).map_err(|error| wrong(format!("{error}")));
        let (features, intervals) = (dataset("features")?, dataset("intervals")?);
        let size = |length: u64| usize::try_from(length).unwrap_or(usize::MAX);
        let (rows, width) = match *features.shape() {
            [rows] => (size(rows), 1),
            [rows, width] => (size(rows), size(width)),
            ref shape => {
                return Err(wrong(format!(
                    "has features of {} dimensions where 2 are wanted",
                    shape.len()
                )));
            }
        };
        let spans = intervals.shape().first().copied().map_or(0, size);
        if spans != rows {
            return Err(wrong(format!("has {rows} rows of features and {spans} intervals")));
        }
        if rows == 0 {
            return Ok(Self { width: 0, values: Vec::new(), weights: Vec::new() });
        }
        let values = numbers(&features).map_err(|what| wrong(format!("has features {what}")))?;
        let weights = match weight {
            Weight::Rows => vec![1.0; rows],
            Weight::Duration => {
                let times =
                    numbers(&intervals).map_err(|what| wrong(format!("has intervals {what}")))?;
                let lengths: Vec<f64> =
                    times.chunks_exact(2).map(|time| time[1] - time[0]).collect();
                if intervals.shape().len() != 2 || lengths.len() != rows {
                    return Err(wrong(
                        "has intervals that are not pairs of start and end".to_owned(),
                    ));
                }
                if let Some(row) =
                    lengths.iter().position(|length| !(*length >= 0.0 && length.is_finite()))
                {
                    return Err(wrong(format!(
                        "has the interval {} to {} in row {row}, which has no length",
                        times[2 * row],
                        times[2 * row + 1]
                    ))
                    .at("weight")
                    .hint("weight: rows lets every row count alike"));
                }
                lengths
            }
        };
        Ok(Self { width, values, weights })
    }
}

/// The values of a dataset, row-major.
fn numbers(dataset: &Dataset) -> Result<Vec<f64>, String> {
    let failed = |error: Error| format!("that cannot be read: {error}");
    match dataset.dtype() {
        Datatype::FloatingPoint { size: 8, .. } => {
            Ok(dataset.read_array::<f64>().map_err(failed)?.into_iter().collect())
        }
        Datatype::FloatingPoint { size: 4, .. } => {
            Ok(dataset.read_array::<f32>().map_err(failed)?.into_iter().map(f64::from).collect())
        }
        #[expect(clippy::cast_precision_loss, reason = "a feature of more than 53 bits is rounded")]
        Datatype::FixedPoint { signed: true, size: 8, .. } => {
            Ok(dataset.read_array::<i64>().map_err(failed)?.into_iter().map(|v| v as f64).collect())
        }
        Datatype::FixedPoint { signed: true, size: 4, .. } => {
            Ok(dataset.read_array::<i32>().map_err(failed)?.into_iter().map(f64::from).collect())
        }
        other => Err(format!("of type {other:?}")),
    }
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
