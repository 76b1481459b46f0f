//! `expert.precomputed`: class probabilities that were made elsewhere.

use std::path::PathBuf;

use fuseline_artifact::Cohort;
use fuseline_engine::kind::Problem;
use fuseline_engine::{
    CheckSite, Inputs, KeyWriter, Outputs, Ports, RowFlow, StageError, StageKind, UnreadOption,
};
use schemars::JsonSchema;
use serde::Deserialize;

use self::columns::{Bound, Probabilities};

use super::ClassWeight;
use super::calibration::Calibration;
use super::external::{External, in_fold};
use crate::fitted_on::FittedOn;
use crate::join::{JoinOptions, Loss, Source, find_mismatch};
use crate::load::csv::TextFormat;
use crate::load::notation::{Decimal, Missing, Notation};
use crate::load::reading::{Id, twice};
use crate::load::table::{Table, ending, read};
use crate::pattern::Column;
use crate::rows::{EXACT, Finder, shares_of};

/// Reads class probabilities from a table: the evidence of a model that was fitted elsewhere.
///
/// Without `fold` one model made all rows, and a row serves every fold: `fitted_on` says what that
/// model has seen. With `fold` the table holds the evidence of each fold's own models, a row for
/// each example and fold: test rows from a model that was fitted on the other folds, training rows
/// out of fold. That this is so cannot be checked here: the plan takes it as stated. Rows of
/// examples outside the cohort are passed over; an example that is absent from the table gets no
/// evidence.
///
/// Columns are bound to classes by name. In each row they must lie in 0 to 1 and sum to 1, within
/// 1e-6, and are scaled to do so exactly; `normalise` is for probabilities that were rounded,
/// `logits` for what a softmax is yet to be taken of.
///
/// A calibration is fitted on training rows alone: for the test rows on the evidence of all of
/// them, for each inner fold of them on that of the others. Where a table with `fold` has training
/// evidence from models that saw one another's rows, as out-of-fold evidence does, the calibration
/// of training rows is as nested as that evidence is.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PrecomputedExpert {
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
    /// Decimal separator.
    #[serde(default)]
    decimal: Decimal,
    /// Notations of a missing value, besides an empty cell: `...` is NA, N/A, NaN, null, None,
    /// `<NA>`, #N/A and #NA in any case; all else counts as it is written, as in [..., "-", -999].
    #[serde(default)]
    missing: Missing,
    /// The column of each class, `{ class: column }`; or a list of columns, one a class. The
    /// columns of a list are bound to the classes that they name (`stress`, `p_stress`); where
    /// their names say nothing, to the cohort's classes in order.
    probabilities: Probabilities,
    /// True if the probabilities were rounded, to two decimals or more: a row may sum to 1 within
    /// 0.005 a class, and is divided by its sum.
    #[serde(default)]
    normalise: bool,
    /// True if the columns are logits or log probabilities, of which the softmax is taken. The
    /// evidence keeps them, for `quality.energy` and `quality.evidential`.
    #[serde(default)]
    logits: bool,
    /// The column that says to which fold's models a row belongs.
    #[serde(default)]
    fold: Option<Column>,
    /// The examples that the model has seen, without `fold`: `external` when left out.
    #[serde(default)]
    fitted_on: Option<FittedOn>,
    /// The fold whose examples are tested; without it, and without folds, all of the cohort: the
    /// test rows of a frozen model, with nothing to train on.
    #[serde(default)]
    test_fold: Option<i32>,
    /// Calibration of the evidence.
    #[serde(default)]
    calibration: Calibration,
    /// Over how many folds the training rows are divided for their calibration.
    #[serde(default = "super::inner_folds")]
    #[schemars(range(min = 2))]
    inner_folds: u32,
    /// Class weights of the rows for the calibration.
    #[serde(default)]
    class_weight: ClassWeight,
    /// Name of the modality; the label of the axis `modality` when left out.
    #[serde(default)]
    modality: Option<String>,
    /// Least share of the cohort's examples that must have evidence in the table.
    #[serde(default)]
    join: JoinOptions,
}

impl StageKind for PrecomputedExpert {
    const NAME: &'static str = "expert.precomputed";
    // 2: more texts stand for a missing value; blanks around an id do not count.
    // 3: columns are bound to classes by name; training evidence says its inner folds, where it is
    // calibrated; examples without evidence are a caution, and many of them an error.
    // 4: evidence keeps logits. 5: percentages and rounded probabilities are no logits.
    const REVISION: u32 = 5;
    const SUMMARY: &'static str = "Evidence of a model that was fitted elsewhere, from a table.";

    fn ports() -> Ports {
        super::external_ports(false)
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self {
            path,
            id,
            delimiter: _,
            header: _,
            decimal: _,
            missing: _,
            probabilities,
            normalise,
            logits,
            fold,
            fitted_on,
            test_fold,
            calibration,
            inner_folds,
            class_weight,
            modality,
            join,
        } = self;
        key.file_or_folder("path", path);
        // The ending of the name says how the file is read.
        key.field("format", &ending(path));
        self.format().write_key(key, "", path);
        key.field("id", id);
        key.field("probabilities", probabilities);
        key.field("normalise", normalise);
        key.field("logits", logits);
        key.field("fold", fold);
        if let Some(fitted_on) = fitted_on {
            fitted_on.key(key);
        }
        key.field("test_fold", test_fold);
        key.field("calibration", calibration);
        if *calibration != Calibration::None {
            key.field("inner_folds", inner_folds);
            key.field("class_weight", class_weight);
        }
        key.field("modality", modality);
        key.field("join", join);
    }

    fn without_effect(&self, _inputs: &[&str]) -> Vec<UnreadOption> {
        self.calibration.without_effect()
    }

    fn check(&self, site: &mut CheckSite<'_>) {
        self.external().check(site);
        if self.fold.is_some() && self.fitted_on.is_some() {
            let message =
                "with `fold` each fold has models of its own, fitted on its training rows";
            site.report(
                Problem::new("fitted_on", message).hint("leave it out, or leave `fold` out"),
            );
        }
        let problems = self.format().problems_of_table("", &self.path);
        problems.into_iter().for_each(|problem| site.report(problem));
        if let Some(column) = self.probabilities.repeated() {
            let message = format!("column {column} is that of two classes");
            site.report(
                Problem::new("probabilities", message).hint("each class has a column of its own"),
            );
        }
        if self.normalise && self.logits {
            let message = "the softmax of logits sums to 1, so that nothing is left to normalise";
            site.report(Problem::new("normalise", message));
        }
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        self.external().rows(flow, None);
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let cohort: Cohort = inputs.one("cohort")?;
        let mut table = read(inputs, &self.path, &self.format())?;
        let columns = self.probabilities.columns();
        let taken = self.id.column.iter().chain(columns).chain(&self.fold);
        table.take_cautions(taken).into_iter().for_each(|text| outputs.caution(text));
        let Bound { columns, caution } = self.probabilities.bind(&table, &cohort.classes)?;
        let Found { evidence: found, logits, others } = self.evidence(&table, &columns, &cohort)?;
        if let Some(caution) = caution {
            outputs.caution(caution);
        }
        let lost = cohort.example_id.iter().zip(&found).filter(|(_, found)| found.is_none());
        let lost: Vec<&str> = lost.map(|(id, _)| id).collect();
        let file = &table.file;
        let sources = [
            Source::new("the cohort", lost.iter().copied()),
            Source::new(file, others.iter().map(String::as_str)),
        ];
        let mismatch = find_mismatch(&sources);
        let logits = self.logits.then_some(&logits[..]);
        self.external().put(inputs, outputs, &cohort, &found, logits, |rows, side| {
            let message = format!("{file} has evidence for none of the {rows} {side}");
            let error = match &mismatch {
                Some(found) => StageError::data(format!("{message}; {found}")).hint(found.hint()),
                None => StageError::data(message)
                    .hint("compare the example_ids, and the folds, of the table and the cohort"),
            };
            error.at("id")
        })?;
        if lost.is_empty() {
            return Ok(());
        }
        let (kept, of) = (found.len() - lost.len(), found.len());
        // The models of a fold need not have been asked about all examples.
        let by_design = self.fold.is_some();
        let fold = if by_design { in_fold(self.test_fold) } else { String::new() };
        let what = format!(
            "{file} has no evidence for {} of the {of} examples{fold}, which count as unavailable",
            lost.len()
        );
        self.join.judge(Loss { what, lost, kept, of, by_design, mismatch }, outputs)
    }
}

/// Evidence of a table.
struct Found {
    /// The probabilities of each row of the cohort, where there are some.
    evidence: Vec<Option<Vec<f64>>>,
    /// Their logits, where the table has them.
    logits: Vec<Option<Vec<f64>>>,
    /// The examples that only the table has.
    others: Vec<String>,
}

impl PrecomputedExpert {
    fn format(&self) -> TextFormat {
        let Self { delimiter, header, decimal, missing, .. } = self;
        let (decimal, missing) = (*decimal, missing.clone());
        let options = &["missing", "decimal"];
        let notation = Notation { missing, decimal, thousands: None, options };
        TextFormat { delimiter: *delimiter, header: *header, notation }
    }

    fn external(&self) -> External<'_> {
        External {
            test_fold: self.test_fold,
            fitted_on: match &self.fold {
                None => Some(self.fitted_on.as_ref().unwrap_or(&FittedOn::External)),
                Some(_) => None,
            },
            modality: self.modality.as_deref(),
            calibration: self.calibration,
            inner_folds: self.inner_folds,
            class_weight: self.class_weight,
        }
    }

    /// The evidence of each row of the cohort; `columns`: that of each class.
    fn evidence(
        &self,
        table: &Table,
        columns: &[usize],
        cohort: &Cohort,
    ) -> Result<Found, StageError> {
        let id = self.id.column(table, "id.column")?;
        let fold = self.fold.as_ref().map(|column| table.column(column, "fold")).transpose()?;
        let mut place = Finder::new(&cohort.example_id);
        let mut found = vec![None; cohort.len()];
        let mut logits = vec![None; cohort.len()];
        let mut first = vec![0; cohort.len()];
        // Examples that the cohort has not.
        let mut others = Vec::new();
        let mut are_logits = false;
        for row in 0..table.rows() {
            if let Some(fold) = fold
                && table.number(row, fold)? != self.test_fold.map(f64::from)
            {
                continue;
            }
            let example = self.id.read(table, row, id)?;
            let Some(at) = place.find(&example) else {
                others.push(example);
                continue;
            };
            if found[at].is_some() {
                let mut error = twice(table, first[at], row, &example);
                error.hint = Some(match fold {
                    Some(_) => "each example may stand in one row of a fold only".to_owned(),
                    None => "where each fold has evidence of its own, say which column is the fold"
                        .to_owned(),
                });
                return Err(error);
            }
            let values = values(table, row, columns)?;
            are_logits |= shares_of(&values).is_none();
            found[at] = Some(if self.logits {
                logits[at] = Some(values.clone());
                softmax(values, table, row)?
            } else {
                self.probabilities(values, table, row)?
            });
            first[at] = row;
        }
        if self.logits && !are_logits && found.iter().any(Option::is_some) {
            return Err(StageError::data(format!(
                "the columns of {} are probabilities, not logits: they are at least 0 and sum to \
                 1, or to 100, in each row",
                table.file
            ))
            .at("logits")
            .hint("leave logits: true out; the softmax of probabilities is another distribution"));
        }
        Ok(Found { evidence: found, logits, others })
    }

    /// Scales a row of probabilities so that they sum to 1 exactly.
    fn probabilities(
        &self,
        mut values: Vec<f64>,
        table: &Table,
        row: usize,
    ) -> Result<Vec<f64>, StageError> {
        let shares = shares_of(&values);
        let is_exact = (values.iter().sum::<f64>() - 1.0).abs() <= EXACT;
        if !(shares == Some(1.0) && (self.normalise || is_exact)) {
            let bounded = values.iter().all(|p| (-EXACT..=1.0 + EXACT).contains(p));
            let hint = match shares {
                Some(1.0) => "normalise: true divides rounded probabilities by their sum",
                Some(_) => "they are percentages: divide them by 100 where they are made",
                None if bounded => "divide the scores of a row by their sum where they are made",
                None => "logits: true takes the softmax of logits or log probabilities",
            };
            let sum: f64 = values.iter().sum();
            return Err(StageError::data(format!(
                "{values:?} in {} of {} are no probabilities: each must lie in 0 to 1, and they \
                 sum to {sum:.6} where 1 is meant",
                table.place(row),
                table.file
            ))
            .at("probabilities")
            .hint(hint));
        }
        values.iter_mut().for_each(|p| *p = p.clamp(0.0, 1.0));
        let sum: f64 = values.iter().sum();
        Ok(values.into_iter().map(|p| p / sum).collect())
    }
}

/// The values of a row, none of which may be missing.
fn values(table: &Table, row: usize, columns: &[usize]) -> Result<Vec<f64>, StageError> {
    let value = |&column: &usize| {
        table.number(row, column)?.ok_or_else(|| {
            StageError::data(format!(
                "column {} is missing in {} of {}",
                table.names[column],
                table.place(row),
                table.file
            ))
            .at("probabilities")
            .hint("leave out the row of an example that the model says nothing about")
        })
    };
    columns.iter().map(value).collect()
}

/// The softmax of a row of logits; that of a class may be -inf.
fn softmax(mut values: Vec<f64>, table: &Table, row: usize) -> Result<Vec<f64>, StageError> {
    if values.contains(&f64::INFINITY) || values.iter().all(|z| z.is_infinite()) {
        return Err(StageError::data(format!(
            "{values:?} in {} of {} are no logits: none may be inf, and not all -inf",
            table.place(row),
            table.file
        ))
        .at("logits"));
    }
    fuseline_learn::link::softmax(&mut values);
    Ok(values)
}

mod columns;
#[cfg(test)]
mod tests;
