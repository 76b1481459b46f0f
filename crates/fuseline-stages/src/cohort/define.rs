//! `cohort.define`: joins features and reads groups and labels from the example_ids.

use std::collections::BTreeMap;
use std::path::PathBuf;

use arrow::array::Array;
use fuseline_artifact::{ArtifactKind, Cohort, Features};
use fuseline_engine::kind::Problem;
use fuseline_engine::{
    CheckSite, Inputs, KeyWriter, Labelled, Outputs, Ports, StageError, StageKind,
};
use fuseline_workflow::Role;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::label::{Label, Labelling};
use super::side::Side;
use crate::load::reading::Id;
use crate::pattern::{Column, Pattern};

/// Says which examples are studied, in which groups, with which labels.
///
/// An example without a label, or whose label text is in no class, is left out; the log says how many. The rest is
/// ordered by example_id, in code-point order, and that order is the order of everything after.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DefineCohort {
    /// Which examples to keep.
    #[serde(default)]
    require: Require,
    /// A file beside the features, from which labels or groups are read.
    #[serde(default)]
    table: Option<LabelTable>,
    /// What belongs together and is never split, such as the recordings of one person. Each example alone when left out.
    #[serde(default)]
    group: Option<Group>,
    /// The label of each example.
    label: Label,
}

/// Which examples to keep.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Require {
    /// Those that every modality has.
    #[default]
    Complete,
    /// Those that at least one modality has.
    Any,
}

/// A file beside the features: csv, tsv, jsonl or parquet, by the ending of its name.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LabelTable {
    /// The file.
    #[schemars(extend("format" = "path"))]
    path: PathBuf,
    /// Where the example_id stands.
    id: Id,
}

/// The group of each example: a part of its example_id, or a column of the table.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Group {
    /// Which part of the example_id, or of the column's text, names the group.
    #[serde(default)]
    pattern: Option<Pattern>,
    /// The column of the table that names the group.
    #[serde(default)]
    column: Option<Column>,
}

impl StageKind for DefineCohort {
    const NAME: &'static str = "cohort.define";
    const REVISION: u32 = 1;
    const SUMMARY: &'static str = "Joins the modalities' examples and reads each one's group and label from its id or a table.";

    fn ports() -> Ports {
        Ports::new()
            .many(
                "features",
                ArtifactKind::Features,
                Role::Neutral,
                "The features of every modality; only their example_ids count.",
            )
            .output("cohort", ArtifactKind::Cohort, "The examples, with group and label.")
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self { require, table, group, label } = self;
        key.field("require", require);
        if let Some(LabelTable { path, id }) = table {
            key.file("table.path", path);
            // The ending of the name says how the file is read.
            key.field("table.format", &path.extension().map(|ending| ending.to_string_lossy()));
            key.field("table.id", id);
        }
        key.field("group", group);
        key.field("label", label);
    }

    fn check(&self, site: &mut CheckSite<'_>) {
        for problem in self.label.problems() {
            site.report(problem);
        }
        let group_column = self.group.as_ref().and_then(|group| group.column.as_ref());
        for (option, column) in
            [("label.column", self.label.column.as_ref()), ("group.column", group_column)]
        {
            if column.is_some() && self.table.is_none() {
                site.report(
                    Problem::new(option, "there is no table to take the column from")
                        .hint("table: { path: labels.csv, id: { column: 0 } }"),
                );
            }
        }
        if self
            .group
            .as_ref()
            .is_some_and(|group| group.pattern.is_none() && group.column.is_none())
        {
            site.report(Problem::new("group", "neither pattern nor column says what the group is"));
        }
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let features: Vec<Labelled<Features>> = inputs.many("features")?;
        let ids = self.join(&features)?;
        let side = match &self.table {
            Some(LabelTable { path, id }) => {
                Some(Side::new(id, crate::load::table::open(path, inputs.read_file(path)?)?)?)
            }
            None => None,
        };
        outputs.put("cohort", self.define(&ids, side.as_ref())?)
    }
}

impl DefineCohort {
    /// The example_ids to keep, in code-point order.
    fn join<'f>(&self, features: &'f [Labelled<Features>]) -> Result<Vec<&'f str>, StageError> {
        let mut modalities_with = BTreeMap::<&str, usize>::new();
        for modality in features {
            for example_id in modality.artifact.example_id.iter().flatten() {
                *modalities_with.entry(example_id).or_default() += 1;
            }
        }
        let needed = match self.require {
            Require::Complete => features.len(),
            Require::Any => 1,
        };
        let ids: Vec<&str> = modalities_with
            .iter()
            .filter(|(_, count)| **count >= needed)
            .map(|(id, _)| *id)
            .collect();
        tracing::info!(kept = ids.len(), of = modalities_with.len(), "joined examples");
        if ids.is_empty() {
            let each: Vec<_> = features
                .iter()
                .map(|modality| {
                    let place: Vec<_> = modality.point.iter().map(|(_, label)| &**label).collect();
                    let ids = &modality.artifact.example_id;
                    let first = ids.iter().flatten().next().unwrap_or("none");
                    format!("{} has {}, such as {first}", place.join(" "), ids.len())
                })
                .collect();
            return Err(StageError::data("no example is in every modality")
                .at("require")
                .hint(format!("compare the example_ids: {}", each.join("; "))));
        }
        Ok(ids)
    }

    fn define(&self, ids: &[&str], side: Option<&Side>) -> Result<Cohort, StageError> {
        let ids = match side {
            Some(side) => side.keep(ids)?,
            None => ids.to_vec(),
        };
        let Labelling { classes, label, left_out } = self.label.of(&ids, side)?;
        let mut cohort =
            Cohort { example_id: Vec::new(), group: Vec::new(), label: Vec::new(), classes };
        for (&id, label) in ids.iter().zip(label) {
            let Some(class) = label else { continue };
            cohort.example_id.push(id.to_owned());
            cohort.group.push(self.group_of(id, side)?);
            cohort.label.push(class);
        }
        for (text, examples) in &left_out {
            tracing::info!(label = text, examples, "left out examples whose label is in no class");
        }
        for (class, name) in (0..).zip(&cohort.classes) {
            if !cohort.label.contains(&class) {
                let seen: Vec<_> = left_out.keys().take(8).map(String::as_str).collect();
                let mut error = StageError::data(format!("no example is of class {name}"))
                    .at(self.label.option_of_class(name));
                if !seen.is_empty() {
                    error = error.hint(format!("label texts in no class: {}", seen.join(", ")));
                }
                return Err(error);
            }
        }
        Ok(cohort)
    }

    fn group_of(&self, id: &str, side: Option<&Side>) -> Result<String, StageError> {
        let Some(Group { pattern, column }) = &self.group else { return Ok(id.to_owned()) };
        let column = match (column, side) {
            (Some(column), Some(side)) => {
                Some(side.text(id, column, "group.column")?.ok_or_else(|| {
                    StageError::data(format!("the group of {id} is empty")).at("group.column")
                })?)
            }
            _ => None,
        };
        let text = column.as_deref().unwrap_or(id);
        match pattern {
            Some(pattern) => matched(pattern, text, "group.pattern").map(str::to_owned),
            None => Ok(text.to_owned()),
        }
    }
}

/// What the pattern's first group matches; an error that names the text when it does not.
pub(super) fn matched<'t>(
    pattern: &Pattern,
    text: &'t str,
    option: &str,
) -> Result<&'t str, StageError> {
    pattern.first_group(text).ok_or_else(|| {
        let what = if option.starts_with("label.column") { "label" } else { "example_id" };
        StageError::data(format!(
            "the pattern {} does not match the {what} {text}",
            pattern.as_str()
        ))
        .at(option)
    })
}

#[cfg(test)]
mod tests;
