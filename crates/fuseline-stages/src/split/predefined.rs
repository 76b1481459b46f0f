//! `split.predefined`: folds that a table gives.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use fuseline_artifact::AnyCohort;
use fuseline_engine::kind::Problem;
use fuseline_engine::{
    CheckSite, Inputs, KeyWriter, Outputs, PlanSite, Ports, RowFlow, StageError, StageKind,
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{NEVER_TESTED, OneClass};
use crate::guard::fold_apart;
use crate::load::csv::TextFormat;
use crate::load::notation::{Missing, Notation};
use crate::load::reading::{Id, twice};
use crate::load::table::{ending, read};
use crate::pattern::{Column, closest};

/// Takes the folds from a column of a table, such as the official split of a data set.
///
/// Every example of the cohort must be in the table and in a fold, and no group may be in two. As
/// in scikit-learn's `PredefinedSplit`, fold -1 is none: the example is a training example in every
/// fold.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Predefined {
    /// The file: csv, tsv, jsonl or parquet, by the ending of its name.
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
    /// Notations of a missing value, besides an empty cell: `...` is NA, N/A, NaN, null, None,
    /// `<NA>`, #N/A and #NA in any case; all else counts as it is written, as in [..., "-", -999].
    #[serde(default)]
    missing: Missing,
    /// The column that says where an example is tested.
    column: Column,
    /// The texts of the column that are tested in fold 0, in fold 1, and so on. The column holds
    /// the numbers of the folds when this is left out.
    #[serde(default)]
    folds: Option<Vec<Vec<String>>>,
    /// The number of the first fold in the column: with 1, what the column calls 1 is fold 0.
    #[serde(default)]
    first: u32,
    /// The texts of the column that are tested in no fold, such as `[train, dev]`: training
    /// examples everywhere. The number -1 is always one of them.
    #[serde(default)]
    never_tested: Vec<String>,
    /// Treatment of a fold that tests examples of one class alone.
    #[serde(default)]
    one_class: OneClass,
}

impl StageKind for Predefined {
    const NAME: &'static str = "split.predefined";
    // 2: text may stand for a missing fold; blanks around text do not count. 3: -1 is an example
    // that is never tested, whole numbers may be written as 1.0, and a fold that tests one class
    // alone is refused, unless that is allowed.
    const REVISION: u32 = 3;
    const TAKES_NUMBERS: bool = true;
    const SUMMARY: &'static str = "Takes the folds from a column of a table.";

    fn ports() -> Ports {
        super::ports()
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self {
            path,
            id,
            delimiter: _,
            header: _,
            missing: _,
            column,
            folds,
            first,
            never_tested,
            one_class,
        } = self;
        key.file_or_folder("path", path);
        // The ending of the name says how the file is read.
        key.field("format", &ending(path));
        self.format().write_key(key, "", path);
        key.field("id", id);
        key.field("column", column);
        key.field("folds", folds);
        key.field("first", first);
        key.field("never_tested", never_tested);
        key.field("one_class", one_class);
    }

    fn check(&self, site: &mut CheckSite<'_>) {
        let problems = self.format().problems_of_table("", &self.path);
        problems.into_iter().for_each(|problem| site.report(problem));
        let mut owner = BTreeMap::new();
        for (fold, texts) in self.folds.iter().flatten().enumerate() {
            for text in texts {
                if let Some(other) = owner.insert(text, fold) {
                    let message = format!("{text} is in fold {other} and in fold {fold}");
                    site.report(Problem::new("folds", message));
                }
            }
        }
        for (at, text) in self.never_tested.iter().enumerate() {
            if let Some(fold) = owner.get(text) {
                let message = format!("{text} is tested in fold {fold} and in no fold");
                site.report(Problem::new(format!("never_tested.{at}"), message));
            }
        }
        if self.folds.is_some() && self.first > 0 {
            site.report(
                Problem::new(
                    "first",
                    "folds says which text is which fold, so that no number is counted from first",
                )
                .hint("give one of the two"),
            );
        }
    }

    fn check_plan(&self, site: &mut PlanSite<'_>) {
        let folds = self.folds.as_ref().and_then(|folds| u32::try_from(folds.len()).ok());
        super::check_folds(site, folds.map(|folds| (folds, "folds")));
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        super::rows(flow);
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let cohort = inputs.one::<AnyCohort>("cohort")?.cohort;
        let mut table = read(inputs, &self.path, &self.format())?;
        let taken = self.id.column.iter().chain([&self.column]);
        table.take_cautions(taken).into_iter().for_each(|text| outputs.caution(text));
        let id = self.id.column(&table, "id.column")?;
        let column = table.column(&self.column, "column")?;
        let mut row_of = BTreeMap::new();
        for row in 0..table.rows() {
            let example = self.id.read(&table, row, id)?;
            if let Some(earlier) = row_of.insert(example.clone(), row) {
                let mut error = twice(&table, earlier, row, &example);
                error.hint = Some(
                    "each example_id may stand in one row only: take the others out".to_owned(),
                );
                return Err(error);
            }
        }
        let fold = cohort
            .example_id
            .iter()
            .map(|example| {
                let &row = row_of.get(example).ok_or_else(|| {
                    StageError::data(format!(
                        "example {example} of the cohort is not in {}",
                        table.file
                    ))
                    .at("id")
                    .hint(format!(
                        "it lacks {} of the {} examples; its own are such as {}",
                        cohort.example_id.iter().filter(|id| !row_of.contains_key(*id)).count(),
                        cohort.example_id.len(),
                        row_of.keys().next().map_or("none", String::as_str)
                    ))
                })?;
                let text = table.label(row, column)?.ok_or_else(|| {
                    StageError::data(format!(
                        "the fold of example {example} is missing in {} of {}",
                        table.place(row),
                        table.file
                    ))
                    .at("column")
                    .hint("write in which fold it is tested, or -1 where it never is")
                })?;
                self.fold_of(&text).ok_or_else(|| {
                    let error = StageError::data(format!(
                        "{text:?} in {} of {} is in no fold",
                        table.place(row),
                        table.file
                    ))
                    .at("column");
                    let known = self.folds.iter().flatten().flatten().map(String::as_str);
                    let known = known.chain(self.never_tested.iter().map(String::as_str));
                    match closest(&text, known) {
                        Some(name) => error.hint(format!("did you mean {name}")),
                        None if self.folds.is_some() => error.hint(
                            "list the text in folds, with the fold in which it is tested, or in \
                             never_tested",
                        ),
                        None => error.hint(format!(
                            "folds are numbers from {}, or folds says which text is which; -1, or \
                             a text of never_tested, is tested in no fold",
                            self.first
                        )),
                    }
                })
            })
            .collect::<Result<Vec<i32>, StageError>>()?;
        let mut tested: BTreeSet<i32> = fold.iter().copied().collect();
        tested.remove(&NEVER_TESTED);
        if tested.is_empty() {
            let message =
                format!("no example of the cohort is tested in any fold by {}", table.file);
            return Err(StageError::data(message).at("column").hint(
                "some must be in a fold: folds are numbers from 0, or folds says which text is \
                 which",
            ));
        }
        for tested in tested {
            fold_apart(&cohort, &fold, tested)?;
        }
        super::put(outputs, cohort, fold, self.one_class)
    }
}

impl Predefined {
    fn format(&self) -> TextFormat {
        let notation = Notation { missing: self.missing.clone(), ..Notation::default() };
        TextFormat { delimiter: self.delimiter, header: self.header, notation }
    }

    fn fold_of(&self, text: &str) -> Option<i32> {
        if self.never_tested.iter().any(|known| known == text) {
            return Some(NEVER_TESTED);
        }
        match &self.folds {
            Some(folds) => (0..)
                .zip(folds)
                .find_map(|(fold, texts)| texts.iter().any(|known| known == text).then_some(fold)),
            None => match whole_number(text)? {
                NEVER_TESTED => Some(NEVER_TESTED),
                number => number.checked_sub_unsigned(self.first).filter(|fold| *fold >= 0),
            },
        }
    }
}

/// A whole number, also one that was written as `1.0`.
fn whole_number(text: &str) -> Option<i32> {
    let written_as_float = || {
        let number: f64 = text.parse().ok()?;
        let whole = number as i32;
        (f64::from(whole) == number).then_some(whole)
    };
    text.parse().ok().or_else(written_as_float)
}

#[cfg(test)]
mod tests;
