//! `audit.*`: faults of the data that make results wrong however they are computed.

mod balance;
mod collector;
mod constant_quality;
pub mod data;
mod duplicates;
mod fold_association;
mod similar_ids;
mod tells_label;

use std::collections::BTreeMap;

use arrow::array::Array;
use fuseline_artifact::{Cohort, Features, Folds, Metadata, OptionalEvidence, Quality};
use fuseline_engine::{Inputs, Labelled, Point, StageError};

use crate::rows::{Finder, absent, fold_of_rows};
use crate::upstream::is_fold_axis;

/// Everything that an audit looks at, by row of the cohort.
struct Study {
    cohort: Cohort,
    /// Rank of each row's group, and their number.
    group: Vec<u32>,
    groups: usize,
    splits: Vec<Split>,
    features: Vec<Table>,
    metadata: Vec<Metadata>,
    quality: Vec<Scores>,
    evidence: Vec<Scores>,
}

/// One split of the cohort.
struct Split {
    /// Name for people.
    name: String,
    /// The fold of each row of the cohort; -1 is never tested.
    fold: Vec<i32>,
}

/// Features of one modality, for the examples of the cohort.
struct Table {
    name: String,
    features: Features,
    /// The row of the cohort and that of the features, of each example that has both.
    rows: Vec<(u32, u32)>,
}

impl Table {
    /// Value at the place of a row; NaN where it is missing or not finite.
    fn value(&self, place: usize, column: usize) -> f64 {
        let values = &self.features.columns[column].1;
        let row = self.rows[place].1 as usize;
        if values.is_valid(row) && values.value(row).is_finite() {
            values.value(row)
        } else {
            f64::NAN
        }
    }
}

/// Numbers of examples, by class or one each, pooled over folds.
struct Scores {
    name: String,
    /// Names of the columns: classes of evidence, one without a name of quality.
    columns: Vec<String>,
    /// The row of the cohort of each example.
    rows: Vec<u32>,
    /// Row-major: examples x columns.
    values: Vec<f64>,
}

/// Evidence or quality of one fold.
struct Part {
    name: String,
    columns: Vec<String>,
    rows: Vec<u32>,
    values: Vec<f64>,
}

impl Study {
    fn read(inputs: &Inputs<'_>) -> Result<Self, StageError> {
        let cohort: Cohort = inputs.one("cohort")?;
        let (group, groups) = cohort.group.ranks();
        let folds: Vec<Labelled<Folds>> = inputs.many("folds")?;
        let several = folds.len() > 1;
        let splits = folds.into_iter().map(|Labelled { point, artifact }| {
            let name = if several { named("folds", &point) } else { "folds".to_owned() };
            Ok(Split { name, fold: fold_of_rows(&cohort, &artifact)? })
        });
        let splits = splits.collect::<Result<_, StageError>>()?;
        let features: Vec<Labelled<Features>> = inputs.many("features")?;
        let features = features.into_iter().map(|Labelled { point, artifact }| {
            let mut place = Finder::new(&artifact.example_id);
            let ids = cohort.example_id.iter().zip(0_u32..);
            let rows = ids.filter_map(|(id, row)| Some((row, place.find(id)? as u32)));
            let rows = rows.collect();
            Table { name: named("features", &point), features: artifact, rows }
        });
        let features = features.collect();
        let metadata: Vec<Labelled<Metadata>> = inputs.many("metadata")?;
        let metadata: Vec<Metadata> = metadata.into_iter().map(|of| of.artifact).collect();
        for metadata in &metadata {
            let unknown = absent(&cohort.example_id, &metadata.example_id);
            if let Some(id) = unknown.first() {
                return Err(StageError::data(format!(
                    "example {id} of the cohort is not in the metadata"
                ))
                .hint("take the metadata of the same cohort"));
            }
        }
        let quality: Vec<Labelled<Quality>> = inputs.many("quality")?;
        let quality = quality
            .into_iter()
            // A control is what it is on purpose.
            .filter(|of| of.artifact.control == fuseline_artifact::Control::Native)
            .map(|Labelled { point, artifact }| {
                let rows = rows_of(&cohort, &artifact.example_id, "quality")?;
                let name = unfolded(&format!("quality {}", artifact.source), &point)
                    .modality(&artifact.modality);
                let values = artifact.quality.to_vec();
                Ok(Part { name, columns: vec![String::new()], rows, values })
            });
        let quality = pool(quality.collect::<Result<_, StageError>>()?);
        let evidence: Vec<Labelled<OptionalEvidence>> = inputs.many("evidence")?;
        // Without an expert there is nothing that could tell the label.
        let evidence = evidence.into_iter().filter(|of| of.artifact.has_expert);
        let evidence = evidence.map(|Labelled { point, artifact }| {
            let artifact = artifact.rows;
            let rows = rows_of(&cohort, &artifact.example_id, "evidence")?;
            let name = unfolded("evidence", &point).modality(&artifact.modality);
            let values = artifact.probabilities.to_vec();
            Ok(Part { name, columns: artifact.classes, rows, values })
        });
        let evidence = pool(evidence.collect::<Result<_, StageError>>()?);
        Ok(Self { group, groups, splits, features, metadata, quality, evidence, cohort })
    }

    /// True if some split tests one of two rows and trains on the other; without splits, if one
    /// could.
    fn may_part(&self, one: usize, other: usize) -> bool {
        match self.splits.as_slice() {
            [] => self.group[one] != self.group[other],
            splits => splits.iter().any(|split| split.fold[one] != split.fold[other]),
        }
    }

    /// Name of the class of a row.
    fn class(&self, row: usize) -> &str {
        &self.cohort.classes[self.cohort.label[row] as usize]
    }

    fn id(&self, row: usize) -> &str {
        &self.cohort.example_id[row]
    }
}

/// Name of an input at a point: `features audio`, `features audio, severity=0.5`.
fn named(what: &str, point: &Point) -> String {
    let labels = point.iter().map(|(axis, label)| match axis.as_str() {
        "modality" => label.clone(),
        _ => format!("{axis}={label}"),
    });
    let labels: Vec<String> = labels.collect();
    if labels.is_empty() { what.to_owned() } else { format!("{what} {}", labels.join(", ")) }
}

/// Name of an input whose folds are pooled, before its modality is added.
struct Unfolded {
    what: String,
    others: Vec<String>,
}

/// The name without axes of folds, of the modality and of the quality, which it has already.
fn unfolded(what: &str, point: &Point) -> Unfolded {
    let others = point
        .iter()
        .filter(|(axis, _)| !is_fold_axis(axis) && axis != "modality" && axis != "quality")
        .map(|(axis, label)| format!("{axis}={label}"));
    Unfolded { what: what.to_owned(), others: others.collect() }
}

impl Unfolded {
    fn modality(self, modality: &str) -> String {
        let Self { what, others } = self;
        std::iter::once(format!("{what} {modality}")).chain(others).collect::<Vec<_>>().join(", ")
    }
}

/// The row of the cohort of each example.
fn rows_of(
    cohort: &Cohort,
    ids: &fuseline_artifact::Texts,
    what: &str,
) -> Result<Vec<u32>, StageError> {
    let mut place = Finder::new(&cohort.example_id);
    let row = |id: &str| {
        place.find(id).map(|row| row as u32).ok_or_else(|| {
            StageError::data(format!("example {id} has {what} and is not in the cohort"))
        })
    };
    ids.iter().map(row).collect()
}

/// Pools parts of one name, such as the test rows of every fold. Parts that share an example, such
/// as training rows, stay by themselves.
fn pool(parts: Vec<Part>) -> Vec<Scores> {
    let mut by_name = BTreeMap::<String, Vec<Part>>::new();
    let mut order = Vec::new();
    for part in parts {
        let of_name = by_name.entry(part.name.clone()).or_default();
        if of_name.is_empty() {
            order.push(part.name.clone());
        }
        of_name.push(part);
    }
    let mut pooled = Vec::new();
    for name in order {
        let Some(parts) = by_name.remove(&name) else { continue };
        let mut rows: Vec<u32> = parts.iter().flat_map(|part| part.rows.iter().copied()).collect();
        rows.sort_unstable();
        let is_disjoint = rows.windows(2).all(|pair| pair[0] != pair[1])
            && parts.iter().all(|part| part.columns == parts[0].columns);
        if is_disjoint {
            pooled.push(Scores {
                name,
                columns: parts[0].columns.clone(),
                rows: parts.iter().flat_map(|part| part.rows.iter().copied()).collect(),
                values: parts.iter().flat_map(|part| part.values.iter().copied()).collect(),
            });
        } else {
            pooled.extend(parts.into_iter().zip(1..).map(|(part, number)| {
                let Part { name, columns, rows, values } = part;
                Scores { name: format!("{name}, part {number}"), columns, rows, values }
            }));
        }
    }
    pooled
}
