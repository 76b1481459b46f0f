//! `cohort.define`: joins features and reads groups and labels from the example_ids.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use fuseline_artifact::{AnyCohort, ArtifactKind, Cohort, Texts};
use fuseline_engine::kind::Problem;
use fuseline_engine::{
    CheckSite, Inputs, KeyWriter, Outputs, Ports, RowFlow, Rows, StageError, StageKind,
};
use fuseline_workflow::Role;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::label::{Label, Labelling, Values};
use super::modalities::join_modalities;
use super::side::Side;
use crate::join::{JoinOptions, Source, find_mismatch, find_variants};
use crate::load::csv::TextFormat;
use crate::load::notation::{Decimal, Missing, Notation, Sentinel};
use crate::load::reading::{Id, unmatched};
use crate::load::table::{ending, read};
use crate::pattern::{Column, Pattern};

/// Words that often stand for a label that nobody knows, in lower case. Texts without a letter or a
/// digit are taken for such words, too.
const PLACEHOLDERS: [&str; 12] = [
    "unknown",
    "missing",
    "undefined",
    "unlabeled",
    "unlabelled",
    "not available",
    "n.a.",
    "n.a",
    "nat",
    "\\n",
    "#value!",
    "#ref!",
];

/// Maximum number of listed label texts.
const MAX_LISTED: usize = 8;

/// Says which examples are studied, in which groups, with which labels.
///
/// An example whose label is missing, or whose label text is in no class, is left out with a
/// caution. The rest is ordered by example_id, in code-point order, and that order is the order of
/// everything after.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DefineCohort {
    /// Which examples to keep.
    #[serde(default)]
    require: Require,
    /// A file beside the features, from which labels or groups are read.
    #[serde(default)]
    table: Option<LabelTable>,
    /// Examples that belong together and are never split, such as the recordings of one person.
    /// Each example alone when left out.
    #[serde(default)]
    group: Option<Group>,
    /// The label of each example.
    label: Label,
    /// Least share of the examples that must have a row in the table, and be in the modalities that
    /// are required.
    #[serde(default)]
    join: JoinOptions,
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

/// A file beside the features: csv, tsv, jsonl or parquet, by the ending of its name. Text may be
/// packed by gzip.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LabelTable {
    /// The file.
    #[schemars(extend("format" = "path"))]
    path: PathBuf,
    /// Place of the example_id: a column, or the number of the row.
    id: Id,
    /// Separator of the cells of a file of delimited text; when left out, a tab in one whose name
    /// ends in tsv and a comma in others.
    #[serde(default)]
    delimiter: Option<char>,
    /// True if the first line of a file of delimited text names the columns. Without it they are
    /// called `c0`, `c1`, ... by their place.
    #[serde(default = "crate::load::yes")]
    header: bool,
    /// Decimal separator.
    #[serde(default)]
    decimal: Decimal,
    /// Thousands separator; none when left out.
    #[serde(default)]
    thousands: Option<char>,
    /// Notations of a missing value, besides an empty cell: `...` is NA, N/A, NaN, null, None,
    /// `<NA>`, #N/A and #NA in any case; all else counts as it is written, as in [..., "-", -999].
    /// An example without a label is left out, with a caution; one without a group is an error.
    #[serde(default)]
    missing: Missing,
}

impl LabelTable {
    fn format(&self) -> TextFormat {
        let Self { delimiter, header, decimal, thousands, missing, .. } = self;
        let (decimal, thousands, missing) = (*decimal, *thousands, missing.clone());
        let options = &["missing", "decimal", "thousands"];
        let notation = Notation { missing, decimal, thousands, options };
        TextFormat { delimiter: *delimiter, header: *header, notation }
    }
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
    // 2: text may stand for a missing label; classes that are numbers are in numeric order;
    // infinite numbers are cut. 3: joins that lose examples caution, or stop. 4: numbers that are
    // hardly classes are refused.
    const REVISION: u32 = 4;
    const TAKES_NUMBERS: bool = true;
    const SUMMARY: &'static str = "Joins the modalities' examples and reads each one's group and \
        label from its id or a table.";

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
        let Self { require, table, group, label, join } = self;
        key.field("require", require);
        if let Some(table) = table {
            let LabelTable {
                path,
                id,
                delimiter: _,
                header: _,
                decimal: _,
                thousands: _,
                missing: _,
            } = table;
            key.file_or_folder("table.path", path);
            // The ending of the name says how the file is read.
            key.field("table.format", &ending(path));
            key.field("table.id", id);
            table.format().write_key(key, "table.", path);
        }
        key.field("group", group);
        key.field("label", label);
        key.field("join", join);
    }

    fn gives_numbers(&self) -> bool {
        self.label.regression
    }

    fn check(&self, site: &mut CheckSite<'_>) {
        for problem in self.label.problems() {
            site.report(problem);
        }
        if let Some(table) = &self.table {
            let problems = table.format().problems_of_table("table.", &table.path);
            problems.into_iter().for_each(|problem| site.report(problem));
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

    fn rows(&self, flow: &mut RowFlow<'_>) {
        // Of the features only their example_ids count, whatever shaped their values.
        let features = flow.input("features");
        flow.output("cohort", features.holds, Rows::none());
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let side = match &self.table {
            Some(label_table) => {
                let LabelTable { path, id, .. } = label_table;
                let mut table = read(inputs, path, &label_table.format())
                    .map_err(|error| error.at("table.path"))?;
                let group = self.group.iter().flat_map(|group| &group.column);
                let taken = id.column.iter().chain(&self.label.column).chain(group);
                table.take_cautions(taken).into_iter().for_each(|text| outputs.caution(text));
                Some(Side::new(id, table)?)
            }
            None => None,
        };
        // The table's own columns of an example must not be among its features.
        let answers = self.answers(side.as_ref())?;
        let columns: Vec<&str> = answers.iter().map(|(_, column)| column.as_str()).collect();
        let features = inputs.columns("features", &columns)?;
        let ids = join_modalities(&features, self.require, &self.join, outputs)?;
        let cohort = match self.label.regression {
            true => self.define_numbers(&ids, side.as_ref(), outputs)?,
            false => {
                let cohort = self.define(&ids, side.as_ref(), outputs)?;
                AnyCohort { cohort, values: None, is_ordinal: self.label.ordinal.is_some() }
            }
        };
        if let Some(side) = &side {
            for (what, column) in &answers {
                let ids = &cohort.cohort.example_id;
                side.caution_of_feature(what, column, &features, ids, outputs);
            }
        }
        outputs.put("cohort", cohort)
    }
}

impl DefineCohort {
    fn define(
        &self,
        ids: &[&str],
        side: Option<&Side>,
        outputs: &mut Outputs,
    ) -> Result<Cohort, StageError> {
        let ids = self.labelled(ids, side, outputs)?;
        let Labelling { classes, label, left_out, missing, sentinel, seen, of_numbers } =
            self.label.assign(&ids, side)?;
        of_numbers.into_iter().for_each(|text| outputs.caution(text));
        caution_of_missing(&ids, side, &missing, sentinel.as_ref(), outputs);
        let (ids, label): (Vec<&str>, Vec<u32>) =
            ids.iter().zip(label).filter_map(|(&id, label)| Some((id, label?))).unzip();
        let group = self.groups(&ids, side)?;
        let example_id = ids.into_iter().collect();
        let cohort = Cohort { example_id, group, label, classes };
        let ids_with_label = cohort.example_id.len() + left_out.values().sum::<usize>();
        self.outside_classes(&left_out, ids_with_label, outputs)?;
        self.caution_of_groups(&cohort, outputs);
        if let Some(found) = find_variants("the classes", cohort.classes.iter().map(String::as_str))
        {
            outputs
                .caution(format!("classes that may be one are kept apart: {}", found.variants()));
        }
        if side.is_some() && self.label.takes_every_text() {
            caution_of_placeholders(&cohort, outputs);
        }
        for (class, name) in (0..).zip(&cohort.classes) {
            if !cohort.label.contains(&class) {
                return Err(StageError::data(format!("no example is of class {name}"))
                    .at(self.label.option_of_class(name))
                    .hint(seen));
            }
        }
        Ok(cohort)
    }

    /// The examples that the table has too, where there is one.
    fn labelled<'i>(
        &self,
        ids: &[&'i str],
        side: Option<&Side>,
        outputs: &mut Outputs,
    ) -> Result<Vec<&'i str>, StageError> {
        match side {
            Some(side) => side.keep(ids, &self.join, outputs),
            None => Ok(ids.to_vec()),
        }
    }

    /// The cohort of a label that is a number.
    fn define_numbers(
        &self,
        ids: &[&str],
        side: Option<&Side>,
        outputs: &mut Outputs,
    ) -> Result<AnyCohort, StageError> {
        let ids = self.labelled(ids, side, outputs)?;
        let Values { numbers, missing, sentinel } = self.label.values(&ids, side)?;
        caution_of_missing(&ids, side, &missing, sentinel.as_ref(), outputs);
        let (ids, values): (Vec<&str>, Vec<f64>) =
            ids.iter().zip(numbers).filter_map(|(&id, number)| Some((id, number?))).unzip();
        if values.iter().all(|value| *value == values[0]) {
            let message = match values.first() {
                Some(only) => format!("all {} labels are {only}", values.len()),
                None => "no example has a label".to_owned(),
            };
            return Err(StageError::data(message)
                .at("label.column")
                .hint("a number that varies is needed: take another column"));
        }
        let group = self.groups(&ids, side)?;
        let cohort = AnyCohort::of_values(ids.into_iter().collect(), group, values);
        self.caution_of_groups(&cohort.cohort, outputs);
        Ok(cohort)
    }

    /// Says which groups may be one, in another notation.
    fn caution_of_groups(&self, cohort: &Cohort, outputs: &mut Outputs) {
        // Without groups, each example is its own.
        let groups: BTreeSet<_> = self.group.iter().flat_map(|_| cohort.group.iter()).collect();
        if let Some(found) = find_variants("the groups", groups) {
            outputs.caution(format!(
                "groups that may be one are kept apart, and a split may part them: {}",
                found.variants()
            ));
        }
    }

    /// The columns of the table that are the label and the group: what each is, and its name.
    fn answers(&self, side: Option<&Side>) -> Result<Vec<(&'static str, String)>, StageError> {
        let Some(side) = side else { return Ok(Vec::new()) };
        let group = self.group.as_ref().and_then(|group| group.column.as_ref());
        let columns = [("label", self.label.column.as_ref()), ("group", group)];
        let named = |(what, column): (&'static str, Option<&Column>)| {
            let place = side.table.column(column?, &format!("{what}.column"));
            Some(place.map(|place| (what, side.table.names[place].clone())))
        };
        columns.into_iter().filter_map(named).collect()
    }

    /// Says which labels are in no class, and stops when most examples seem to miss theirs by its
    /// writing.
    fn outside_classes(
        &self,
        left_out: &BTreeMap<String, usize>,
        of: usize,
        outputs: &mut Outputs,
    ) -> Result<(), StageError> {
        if left_out.is_empty() {
            return Ok(());
        }
        let (mut lost, mut misspelt) = (0, 0);
        let mut texts = Vec::new();
        for (text, examples) in left_out {
            lost += examples;
            let sources = [
                Source::new("the labels", [text.as_str()]),
                Source::new("the classes", self.label.class_texts()),
            ];
            match find_mismatch(&sources) {
                Some(found) => {
                    misspelt += examples;
                    let (_, meant) = &found.example[1];
                    texts
                        .push(format!("{text} ({examples}; {meant} but for {})", found.difference));
                }
                None => texts.push(format!("{text} ({examples})")),
            }
        }
        let more = if texts.len() > MAX_LISTED { ", ..." } else { "" };
        texts.truncate(MAX_LISTED);
        let text = format!(
            "{lost} of the {of} examples are left out since their labels are in no class: {}{more}",
            texts.join(", ")
        );
        if of - lost < misspelt {
            return Err(StageError::data(text)
                .at(match self.label.ordinal {
                    Some(_) => "label.ordinal",
                    None => "label.classes",
                })
                .hint("write the label texts under the classes as the data write them"));
        }
        outputs.caution(text);
        Ok(())
    }

    /// The group of each example.
    fn groups(&self, ids: &[&str], side: Option<&Side>) -> Result<Texts, StageError> {
        let Some(Group { pattern, column }) = &self.group else {
            return Ok(ids.iter().collect());
        };
        let text = |&id| match (column, side) {
            (Some(column), Some(side)) => {
                let text = side.text(id, column, "group.column")?.unwrap_or_default();
                if !side.is_missing(&text) {
                    return Ok(text);
                }
                let what = if text.is_empty() {
                    "empty".to_owned()
                } else {
                    format!("{text}, which stands for a missing value,")
                };
                Err(StageError::data(format!("the group of {id} is {what} in {}", side.table.file))
                    .at("group.column")
                    .hint(
                        "write which group it is in, or take the example out of the table; where \
                         the text names a group, table: { missing: [...] } says what stands for a \
                         missing value",
                    ))
            }
            _ => Ok(Cow::Borrowed(id)),
        };
        let mut texts = ids.iter().map(text).collect::<Result<Vec<_>, StageError>>()?;
        if let Some(pattern) = pattern {
            texts = matched(pattern, texts, column.as_ref(), "group.pattern")?;
        }
        Ok(texts.into_iter().collect())
    }
}

/// Says which classes are named by a text that may stand for a missing label.
fn caution_of_placeholders(cohort: &Cohort, outputs: &mut Outputs) {
    for (class, name) in (0..).zip(&cohort.classes) {
        let is_placeholder = !name.chars().any(char::is_alphanumeric)
            || PLACEHOLDERS.contains(&name.to_lowercase().as_str());
        if is_placeholder {
            let examples = cohort.label.iter().filter(|&&label| label == class).count();
            let plural = if examples == 1 { "" } else { "s" };
            outputs.caution(format!(
                "the label text {name:?} is a class of its own, of {examples} example{plural}: where it \
                 stands for a missing label, write table: {{ missing: [..., {name:?}] }}"
            ));
        }
    }
}

/// Says which labels are missing, and which number seems to stand for one.
fn caution_of_missing(
    ids: &[&str],
    side: Option<&Side>,
    missing: &BTreeMap<String, usize>,
    sentinel: Option<&Sentinel>,
    outputs: &mut Outputs,
) {
    let Some(side) = side else { return };
    if let Some(sentinel) = sentinel {
        let option = side.table.notation.missing.option_with(&sentinel.value.to_string());
        outputs.caution(format!(
            "the label in {} {sentinel}: write table: {{ {option} }} where it stands for a \
             missing label",
            side.table.file
        ));
    }
    if missing.is_empty() {
        return;
    }
    let each: Vec<_> = missing
        .iter()
        .map(|(text, count)| match text.as_str() {
            "" => format!("empty ({count})"),
            text => format!("{text} ({count})"),
        })
        .collect();
    outputs.caution(format!(
        "{} of {} examples have no label in {} and are left out: {}; table: {{ missing: [...] }} \
         says what stands for a missing label",
        missing.values().sum::<usize>(),
        ids.len(),
        side.table.file,
        each.join(", ")
    ));
}

/// Text matched by the pattern's first group in each text; an error that counts those that it does
/// not match.
pub(super) fn matched<'t>(
    pattern: &Pattern,
    texts: Vec<Cow<'t, str>>,
    column: Option<&Column>,
    option: &str,
) -> Result<Vec<Cow<'t, str>>, StageError> {
    let matches = |text: &&Cow<'_, str>| pattern.first_group(text).is_some();
    if let Some(missed) = texts.iter().find(|text| !matches(text)) {
        let what = match column {
            Some(column) => format!("texts of column {column}"),
            None => "example_ids".to_owned(),
        };
        let counts = (texts.iter().filter(matches).count(), texts.len());
        return Err(unmatched(pattern, counts, &what, missed, "").at(option));
    }
    let group = |text| match text {
        Cow::Borrowed(text) => pattern.first_group(text).map(Cow::Borrowed),
        Cow::Owned(text) => pattern.first_group(&text).map(|group| Cow::Owned(group.to_owned())),
    };
    Ok(texts.into_iter().filter_map(group).collect())
}

#[cfg(test)]
mod tests;
