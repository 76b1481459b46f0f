//! `split.predefined`: folds that a table gives.

use std::collections::BTreeMap;
use std::path::PathBuf;

use fuseline_artifact::{Cohort, Folds};
use fuseline_engine::kind::Problem;
use fuseline_engine::{
    CheckSite, Inputs, KeyWriter, Outputs, Ports, RowFlow, StageError, StageKind,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::guard::fold_apart;
use crate::load::notation::{Missing, Notation};
use crate::load::reading::{Id, twice};
use crate::load::table::read;
use crate::pattern::{Column, closest};

/// Takes the folds from a column of a table, such as the official split of a data set.
///
/// Every example of the cohort must be in the table and in a fold, and no group may be in two.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Predefined {
    /// The file: csv, tsv, jsonl or parquet, by the ending of its name.
    #[schemars(extend("format" = "path"))]
    path: PathBuf,
    /// Where the example_id stands.
    id: Id,
    /// What stands for a missing value, besides an empty cell.
    #[serde(default)]
    missing: Missing,
    /// The column that says where an example is tested.
    column: Column,
    /// The texts of the column that are tested in fold 0, in fold 1, and so on. The column holds the numbers of the folds,
    /// counted from 0, when this is left out.
    #[serde(default)]
    folds: Option<Vec<Vec<String>>>,
}

impl StageKind for Predefined {
    const NAME: &'static str = "split.predefined";
    // 2: text may stand for a missing fold; blanks around text do not count.
    const REVISION: u32 = 2;
    const SUMMARY: &'static str = "Takes the folds from a column of a table.";

    fn ports() -> Ports {
        super::ports()
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self { path, id, missing, column, folds } = self;
        key.file_or_folder("path", path);
        // The ending of the name says how the file is read.
        key.field("format", &path.extension().map(|ending| ending.to_string_lossy()));
        key.field("id", id);
        key.field("missing", missing);
        key.field("column", column);
        key.field("folds", folds);
    }

    fn check(&self, site: &mut CheckSite<'_>) {
        let mut owner = BTreeMap::new();
        for (fold, texts) in self.folds.iter().flatten().enumerate() {
            for text in texts {
                if let Some(other) = owner.insert(text, fold) {
                    let message = format!("{text} is in fold {other} and in fold {fold}");
                    site.report(Problem::new("folds", message));
                }
            }
        }
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        super::rows(flow);
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let cohort: Cohort = inputs.one("cohort")?;
        let notation = Notation { missing: self.missing.clone(), ..Notation::default() };
        let table = read(inputs, &self.path, notation)?;
        let id = self.id.column(&table, "id.column")?;
        let column = table.column(&self.column, "column")?;
        let mut row_of = BTreeMap::new();
        for row in 0..table.rows() {
            let example = self.id.of(&table, row, id)?;
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
                    .hint("write in which fold it is tested")
                })?;
                self.fold_of(&text).ok_or_else(|| {
                    let error = StageError::data(format!(
                        "{text:?} in {} of {} is in no fold",
                        table.place(row),
                        table.file
                    ))
                    .at("column");
                    let known = self.folds.iter().flatten().flatten().map(String::as_str);
                    match closest(&text, known) {
                        Some(name) => error.hint(format!("did you mean {name}")),
                        None if self.folds.is_some() => error
                            .hint("list the text in folds, with the fold in which it is tested"),
                        None => error
                            .hint("folds are numbers from 0, or folds says which text is which"),
                    }
                })
            })
            .collect::<Result<Vec<u32>, StageError>>()?;
        for tested in fold.iter().copied().collect::<std::collections::BTreeSet<_>>() {
            fold_apart(&cohort, &fold, tested)?;
        }
        super::all_classes_on_both_sides(&cohort, &fold)?;
        let fold = fold.into_iter().map(u32::cast_signed).collect();
        outputs.put("folds", Folds { example_id: cohort.example_id, fold })
    }
}

impl Predefined {
    fn fold_of(&self, text: &str) -> Option<u32> {
        match &self.folds {
            Some(folds) => (0..)
                .zip(folds)
                .find_map(|(fold, texts)| texts.iter().any(|known| known == text).then_some(fold)),
            None => text.parse().ok().filter(|fold| *fold <= i32::MAX.cast_unsigned()),
        }
    }
}

#[cfg(test)]
mod tests;
