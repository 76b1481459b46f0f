//! Questions and answers in files, for a model in any language or on a cluster.
//!
//! `ask` writes each question as rows of a Parquet file, `tell` reads the predictions. A row of a
//! question is one example under one quality: the columns `question`, `example_id`, then quality as
//! in the file that was given.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int32Array, RecordBatch, StringArray};
use fuseline_engine::StageError;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use serde::{Deserialize, Serialize};

use fuseline_artifact::VALUE;

use super::{Answerer, Diagnosis, Examples, Metric, Question, Settings, diagnose};
use crate::load::csv::TextFormat;
use crate::load::table::{Table, open};
use crate::pattern::Column;

/// The form of the folder of questions; raised when it changes.
const FORMAT: u32 = 2;
/// The file that says what was asked.
const PLAN: &str = "questions.json";
/// Numbers of the questions that are no permutation.
const CLEAN: i32 = -1;
const NEUTRAL: i32 = -2;
const CLEAN_AGAIN: i32 = -3;
const MIXED: i32 = -4;
/// Number of questions that are no permutation.
const OTHERS: usize = 4;

/// The files that define the questions.
#[derive(Debug)]
pub struct Sources<'a> {
    /// A column of ids, then quality: a column a modality, or `modality.channel` for several.
    pub quality: &'a Path,
    /// A column of ids and one of labels.
    pub labels: &'a Path,
    /// A column of ids and one of groups.
    pub groups: Option<&'a Path>,
    /// For modalities: a column of ids and one of probabilities a class, called as the classes.
    pub evidence: &'a [(String, PathBuf)],
}

/// Plan of the question, so that the answers can be read.
#[derive(Debug, Serialize, Deserialize)]
struct Plan {
    format: u32,
    title: String,
    settings: Settings,
    example_id: Vec<String>,
    group: Vec<String>,
    label: Vec<u32>,
    classes: Vec<String>,
    modalities: Vec<String>,
    available: Vec<bool>,
    channels: usize,
    /// Doubles by their bits: exact whatever reads the file.
    quality: Vec<u64>,
    evidence: Option<Vec<u64>>,
    /// Labels that are numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<Vec<u64>>,
}

/// Writes all questions into a folder that is new or empty; gives how many files they are.
pub fn ask(
    sources: &Sources<'_>,
    settings: Settings,
    title: &str,
    folder: &Path,
) -> Result<usize, StageError> {
    let (examples, names) = read_examples(sources, settings.metric)?;
    let unwritable = |error: std::io::Error| {
        StageError::failed(format!("cannot write {}: {error}", folder.display()))
    };
    fs::create_dir_all(folder).map_err(unwritable)?;
    if fs::read_dir(folder).map_err(unwritable)?.next().is_some() {
        return Err(StageError::data(format!("{} is not empty", folder.display()))
            .hint("give a new folder: answers to other questions must not meet these"));
    }
    let mut files =
        QuestionFiles { examples: &examples, names: &names, folder, files: 0, clean: 0 };
    // The engine itself asks; what it is told meanwhile does not matter.
    diagnose(&examples, &settings, &mut files)?;
    let count = files.files;
    let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect();
    let plan = Plan {
        format: FORMAT,
        title: title.to_owned(),
        settings,
        quality: bits(&examples.quality),
        evidence: examples.evidence.as_deref().map(bits),
        value: examples.value.as_deref().map(bits),
        example_id: examples.example_id,
        group: examples.group,
        label: examples.label,
        classes: examples.classes,
        modalities: examples.modalities,
        available: examples.available,
        channels: examples.channels,
    };
    let text = serde_json::to_vec(&plan).map_err(|error| StageError::failed(error.to_string()))?;
    // Last: a folder without it is not whole.
    fs::write(folder.join(PLAN), text).map_err(unwritable)?;
    Ok(count)
}

/// Reads the answers to the questions of a folder: a file, or a folder of files.
pub fn tell(
    questions: &Path,
    predictions: &Path,
) -> Result<(String, Settings, Diagnosis), StageError> {
    let path = questions.join(PLAN);
    let text = fs::read(&path).map_err(|error| {
        StageError::data(format!("cannot read {}: {error}", path.display()))
            .hint("give the folder that `fuseline diagnose ask` wrote")
    })?;
    let plan: Plan = serde_json::from_slice(&text)
        .map_err(|error| StageError::data(format!("{} is damaged: {error}", path.display())))?;
    if plan.format != FORMAT {
        return Err(StageError::data(format!("{} has another form", path.display()))
            .hint("ask again with this version"));
    }
    let doubles = |bits: Vec<u64>| bits.into_iter().map(f64::from_bits).collect();
    let examples = Examples {
        example_id: plan.example_id,
        group: plan.group,
        label: plan.label,
        classes: plan.classes,
        modalities: plan.modalities,
        available: plan.available,
        channels: plan.channels,
        quality: doubles(plan.quality),
        evidence: plan.evidence.map(doubles),
        value: plan.value.map(doubles),
    };
    let mut answers = AnswerFiles::read(&examples, &plan.settings, predictions)?;
    let diagnosis = diagnose(&examples, &plan.settings, &mut answers)?;
    Ok((plan.title, plan.settings, diagnosis))
}

/// The table of a file, by the ending of its name.
fn table(path: &Path) -> Result<Table, StageError> {
    let bytes = fs::read(path)
        .map_err(|error| StageError::data(format!("cannot read {}: {error}", path.display())))?;
    open(path, bytes, &TextFormat::default())?.with_rows()
}

/// The column of ids: `example_id`, `id`, or the first.
fn id_column(table: &Table) -> usize {
    let named = |name: &&str| table.names.iter().position(|known| known == *name);
    ["example_id", "id"].iter().find_map(named).unwrap_or(0)
}

/// The ids of a table, each once, with their rows.
fn ids(table: &Table) -> Result<BTreeMap<String, usize>, StageError> {
    let column = id_column(table);
    let mut rows = BTreeMap::new();
    for row in 0..table.rows() {
        let id = table.text(row, column)?.ok_or_else(|| {
            StageError::data(format!("{} of {} has no id", table.place(row), table.file))
        })?;
        if let Some(first) = rows.insert(id.to_string(), row) {
            return Err(StageError::data(format!(
                "{id} stands in {} of {}",
                table.places(first, row),
                table.file
            )));
        }
    }
    Ok(rows)
}

/// For each of some ids, its text in the only column of a table beside the ids.
fn texts(table: &Table, wanted: &[String]) -> Result<Vec<String>, StageError> {
    let (rows, id) = (ids(table)?, id_column(table));
    let others: Vec<usize> = (0..table.names.len()).filter(|&column| column != id).collect();
    let &[column] = others.as_slice() else {
        return Err(StageError::data(format!(
            "{} has {} columns beside the ids, and one is expected",
            table.file,
            others.len()
        ))
        .hint(table.columns_are()));
    };
    let value = |id: &String| {
        let row = *rows.get(id).ok_or_else(|| {
            StageError::data(format!("{} has no row for example {id}", table.file))
        })?;
        let text = table.label(row, column)?.ok_or_else(|| {
            StageError::data(format!("example {id} has no value in {}", table.file))
        })?;
        Ok(text.into_owned())
    };
    wanted.iter().map(value).collect()
}

/// The examples, and the names of the columns of quality.
fn read_examples(
    sources: &Sources<'_>,
    metric: Option<Metric>,
) -> Result<(Examples, Vec<String>), StageError> {
    let quality = table(sources.quality)?;
    let id = id_column(&quality);
    let columns: Vec<usize> = (0..quality.names.len()).filter(|&column| column != id).collect();
    let mut modalities = BTreeMap::<&str, Vec<usize>>::new();
    let mut order = Vec::<String>::new();
    for &column in &columns {
        let name = quality.names[column].as_str();
        let modality = name.split_once('.').map_or(name, |(modality, _)| modality);
        if !modalities.contains_key(modality) {
            order.push(modality.to_owned());
        }
        modalities.entry(modality).or_default().push(column);
    }
    let channels = modalities.values().map(Vec::len).max().unwrap_or(0);
    if channels == 0 || modalities.values().any(|columns| columns.len() != channels) {
        return Err(StageError::data(format!(
            "{} must have as many columns of quality for each modality",
            sources.quality.display()
        ))
        .hint("a column a modality, or modality.0, modality.1, ... for each"));
    }
    let placed: Vec<(String, usize)> = ids(&quality)?.into_iter().collect();
    let example_id: Vec<String> = placed.iter().map(|(id, _)| id.clone()).collect();
    let (mut available, mut values) = (Vec::new(), Vec::new());
    for (id, row) in &placed {
        for modality in &order {
            let own: Vec<Option<f64>> = modalities[modality.as_str()]
                .iter()
                .map(|&column| quality.number(*row, column))
                .collect::<Result<_, _>>()?;
            let there = own.iter().all(Option::is_some);
            if !there && own.iter().any(Option::is_some) {
                return Err(StageError::data(format!(
                    "example {id} has only some of the qualities of modality {modality}"
                )));
            }
            available.push(there);
            values.extend(own.into_iter().map(|value| value.unwrap_or(f64::NAN)));
        }
    }
    let label = texts(&table(sources.labels)?, &example_id)?;
    let value = metric.map(|_| numbers(&label, &example_id, sources.labels)).transpose()?;
    let label = match value {
        Some(_) => vec![VALUE.to_owned(); example_id.len()],
        None => label,
    };
    let mut classes: Vec<String> = label.clone();
    classes.sort();
    classes.dedup();
    if classes.iter().all(|class| class.parse::<f64>().is_ok()) {
        let number = |class: &String| class.parse::<f64>().unwrap_or_default();
        classes.sort_by(|one, other| number(one).total_cmp(&number(other)));
    }
    let class = |text: &String| classes.iter().position(|class| class == text).unwrap_or(0) as u32;
    let group = match sources.groups {
        Some(path) => texts(&table(path)?, &example_id)?,
        None => example_id.clone(),
    };
    let evidence = match sources.evidence {
        [] => None,
        files => Some(read_evidence(files, &order, &classes, &example_id, &available)?),
    };
    let names = order
        .iter()
        .flat_map(|modality| &modalities[modality.as_str()])
        .map(|&column| quality.names[column].clone())
        .collect();
    let label = label.iter().map(class).collect();
    let examples = Examples {
        example_id,
        group,
        label,
        modalities: order,
        available,
        quality: values,
        channels,
        evidence,
        classes,
        value,
    };
    Ok((examples, names))
}

/// Labels as numbers.
fn numbers(label: &[String], example_id: &[String], path: &Path) -> Result<Vec<f64>, StageError> {
    let number = |(text, id): (&String, &String)| {
        text.trim().parse::<f64>().ok().filter(|number| number.is_finite()).ok_or_else(|| {
            StageError::data(format!(
                "the label of example {id} in {} is {text:?}, and a number is expected",
                path.display()
            ))
            .hint("leave --metric out where labels are classes")
        })
    };
    label.iter().zip(example_id).map(number).collect()
}

/// rows x modalities x classes; 0 where a modality is unavailable.
fn read_evidence(
    files: &[(String, PathBuf)],
    modalities: &[String],
    classes: &[String],
    example_id: &[String],
    available: &[bool],
) -> Result<Vec<f64>, StageError> {
    let mut evidence = vec![0.0; example_id.len() * modalities.len() * classes.len()];
    for (at, modality) in modalities.iter().enumerate() {
        let (_, path) = files.iter().find(|(name, _)| name == modality).ok_or_else(|| {
            StageError::data(format!("there is no evidence of modality {modality}"))
                .hint("give evidence of every modality, or of none: --evidence MODALITY=FILE")
        })?;
        let table = table(path)?;
        let rows = ids(&table)?;
        let columns = class_columns(&table, classes)?;
        for (number, id) in example_id.iter().enumerate() {
            if !available[number * modalities.len() + at] {
                continue;
            }
            let row = *rows.get(id).ok_or_else(|| {
                StageError::data(format!("{} has no row for example {id}", table.file))
            })?;
            let start = (number * modalities.len() + at) * classes.len();
            for (class, &column) in columns.iter().enumerate() {
                evidence[start + class] = table.number(row, column)?.unwrap_or(f64::NAN);
            }
        }
    }
    Ok(evidence)
}

/// The columns of the classes: called as the class, or `p_` before it.
fn class_columns(table: &Table, classes: &[String]) -> Result<Vec<usize>, StageError> {
    classes
        .iter()
        .map(|class| {
            table
                .column(&Column::Name(class.clone()), "")
                .or_else(|_| table.column(&Column::Name(format!("p_{class}")), ""))
                .map_err(|error| {
                    error.hint(format!(
                        "one column a class is expected, called as the classes: {}",
                        classes.join(", ")
                    ))
                })
        })
        .collect()
}

/// Writes down what it is asked.
struct QuestionFiles<'a> {
    examples: &'a Examples,
    names: &'a [String],
    folder: &'a Path,
    files: usize,
    clean: usize,
}

impl QuestionFiles<'_> {
    /// One file: for each of some questions, the quality of every row.
    fn write(&mut self, questions: &[i32], quality: &[f64]) -> Result<(), StageError> {
        let (rows, width) = (self.examples.example_id.len(), self.names.len());
        let number: Int32Array =
            questions.iter().flat_map(|&question| std::iter::repeat_n(question, rows)).collect();
        let ids = self.examples.example_id.iter().map(String::as_str);
        let ids: StringArray = questions.iter().flat_map(|_| ids.clone()).map(Some).collect();
        let mut columns: Vec<(&str, ArrayRef)> =
            vec![("question", Arc::new(number)), ("example_id", Arc::new(ids))];
        for (column, name) in self.names.iter().enumerate() {
            let values = quality.iter().skip(column).step_by(width);
            let values: Float64Array =
                values.map(|value| (!value.is_nan()).then_some(*value)).collect();
            columns.push((name, Arc::new(values)));
        }
        let failed = |error: &dyn std::error::Error| {
            StageError::failed(format!("cannot write {}: {error}", self.folder.display()))
        };
        let batch = RecordBatch::try_from_iter_with_nullable(
            columns.into_iter().enumerate().map(|(at, (name, column))| (name, column, at > 1)),
        )
        .map_err(|error| failed(&error))?;
        let path = self.folder.join(format!("part-{:05}.parquet", self.files));
        let file = fs::File::create(path).map_err(|error| failed(&error))?;
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties))
            .map_err(|error| failed(&error))?;
        writer.write(&batch).map_err(|error| failed(&error))?;
        writer.close().map_err(|error| failed(&error))?;
        self.files += 1;
        Ok(())
    }

    /// The quality of the rows that index vectors name.
    fn permuted(&self, columns: usize, index: &[u32]) -> Vec<f64> {
        let Examples { example_id, quality, channels, modalities, .. } = self.examples;
        let (rows, width) = (example_id.len(), self.names.len());
        let mut permuted = Vec::with_capacity(index.len() / columns * width);
        for permutation in index.chunks_exact(columns * rows) {
            for row in 0..rows {
                for modality in 0..modalities.len() {
                    let other = permutation[(modality % columns) * rows + row] as usize;
                    let start = other * width + modality * channels;
                    permuted.extend_from_slice(&quality[start..start + channels]);
                }
            }
        }
        permuted
    }

    /// The mean of each column of quality over the rows where its modality is there.
    fn neutral(&self) -> Vec<f64> {
        let mut neutral = self.examples.quality.clone();
        let width = self.names.len();
        for column in 0..width {
            let there =
                || (column..neutral.len()).step_by(width).filter(|&at| !neutral[at].is_nan());
            let sum: f64 = there().map(|at| neutral[at]).sum();
            let mean = sum / there().count().max(1) as f64;
            let places: Vec<usize> = there().collect();
            places.into_iter().for_each(|at| neutral[at] = mean);
        }
        neutral
    }
}

impl Answerer for QuestionFiles<'_> {
    fn answer(&mut self, question: &Question<'_>) -> Result<Vec<f64>, StageError> {
        let Examples { example_id, classes, quality, .. } = self.examples;
        let rows = example_id.len();
        let mut count = 1;
        match question {
            Question::Clean => {
                let number = if self.clean == 0 { CLEAN } else { CLEAN_AGAIN };
                self.clean += 1;
                self.write(&[number], quality)?;
            }
            Question::Neutral => self.write(&[NEUTRAL], &self.neutral())?,
            Question::Mixed { columns, index } => {
                self.write(&[MIXED], &self.permuted(*columns, index))?;
            }
            Question::Broken { first, count: several, columns, index } => {
                count = *several as usize;
                let numbers: Vec<i32> = (first.cast_signed()..).take(count).collect();
                self.write(&numbers, &self.permuted(*columns, index))?;
            }
        }
        // Any answers will do meanwhile; a correlation must be defined.
        Ok(match self.examples.value {
            Some(_) => (0..count * rows).map(|at| (at % rows) as f64).collect(),
            None => vec![1.0 / classes.len() as f64; count * rows * classes.len()],
        })
    }
}

/// Answers from files.
struct AnswerFiles<'a> {
    examples: &'a Examples,
    /// questions x rows x classes: permutations, then the [`OTHERS`], from -1 downwards.
    answers: Vec<f64>,
    permutations: usize,
    clean: usize,
}

impl<'a> AnswerFiles<'a> {
    fn read(examples: &'a Examples, settings: &Settings, path: &Path) -> Result<Self, StageError> {
        let permutations = settings.permutations as usize;
        let (rows, classes) = (examples.example_id.len(), examples.classes.len());
        let answers = vec![f64::NAN; (permutations + OTHERS) * rows * classes];
        let mut this = Self { examples, answers, permutations, clean: 0 };
        let place: BTreeMap<&str, usize> =
            examples.example_id.iter().map(String::as_str).zip(0..).collect();
        for file in files(path)? {
            this.take(&table(&file)?, &place)?;
        }
        if let Some(at) = this.answers.iter().position(|value| value.is_nan()) {
            let (question, row) = (at / (rows * classes), at / classes % rows);
            return Err(StageError::data(format!(
                "{} has no prediction for question {} and example {}",
                path.display(),
                this.number(question),
                examples.example_id[row]
            ))
            .hint("each row of the questions needs one row of predictions"));
        }
        Ok(this)
    }

    /// The number of the question whose answers are kept at a place.
    fn number(&self, at: usize) -> i64 {
        match at.checked_sub(self.permutations) {
            None => at as i64,
            Some(other) => -1 - other as i64,
        }
    }

    /// The place of the answers to a question, by its number.
    fn place(&self, number: i32) -> usize {
        match usize::try_from(number) {
            Ok(permutation) => permutation,
            Err(_) => self.permutations + number.unsigned_abs() as usize - 1,
        }
    }

    fn take(&mut self, table: &Table, place: &BTreeMap<&str, usize>) -> Result<(), StageError> {
        let (rows, classes) = (self.examples.example_id.len(), self.examples.classes.len());
        let question = table.column(&Column::Name("question".to_owned()), "")?;
        let id = table.column(&Column::Name("example_id".to_owned()), "")?;
        let decision = table.column(&Column::Name("decision".to_owned()), "").ok();
        let columns = match (decision, &self.examples.value) {
            (_, Some(_)) => vec![table.column(&Column::Name("prediction".to_owned()), "")?],
            (Some(column), None) => vec![column],
            (None, None) => class_columns(table, &self.examples.classes)?,
        };
        for row in 0..table.rows() {
            let wrong = |what: String| {
                StageError::data(format!("{} of {} {what}", table.place(row), table.file))
            };
            let number = table.number(row, question)?.unwrap_or(f64::NAN);
            let asked = -(OTHERS as f64)..self.permutations as f64;
            if number.fract() != 0.0 || !asked.contains(&number) {
                return Err(wrong(format!("answers question {number}, which was not asked")));
            }
            let at = self.place(number as i32);
            let example = table.text(row, id)?.unwrap_or_default();
            let example = *place.get(&*example).ok_or_else(|| {
                wrong(format!("is of example {example}, which was not asked about"))
            })?;
            let out = &mut self.answers[(at * rows + example) * classes..][..classes];
            if out.iter().any(|value| !value.is_nan()) {
                return Err(wrong("answers a question that was answered before".to_owned()));
            }
            if decision.is_some() && self.examples.value.is_none() {
                let class = table.text(row, columns[0])?.unwrap_or_default();
                let class = self.examples.classes.iter().position(|name| *name == class);
                out.fill(0.0);
                *class
                    .and_then(|class| out.get_mut(class))
                    .ok_or_else(|| wrong("decides for no class of the labels".to_owned()))? = 1.0;
                continue;
            }
            for (value, &column) in out.iter_mut().zip(&columns) {
                *value = table
                    .number(row, column)?
                    .ok_or_else(|| wrong("lacks a probability".to_owned()))?;
            }
        }
        Ok(())
    }
}

impl Answerer for AnswerFiles<'_> {
    fn answer(&mut self, question: &Question<'_>) -> Result<Vec<f64>, StageError> {
        let width = self.examples.example_id.len() * self.examples.classes.len();
        let (number, count) = match question {
            Question::Clean => {
                self.clean += 1;
                (if self.clean == 1 { CLEAN } else { CLEAN_AGAIN }, 1)
            }
            Question::Neutral => (NEUTRAL, 1),
            Question::Mixed { .. } => (MIXED, 1),
            Question::Broken { first, count, .. } => (first.cast_signed(), *count as usize),
        };
        let at = self.place(number);
        Ok(self.answers[at * width..][..count * width].to_vec())
    }
}

/// A file, or those of a folder in the order of their names.
fn files(path: &Path) -> Result<Vec<PathBuf>, StageError> {
    let unreadable = |error: std::io::Error| {
        StageError::data(format!("cannot read {}: {error}", path.display()))
    };
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?.path();
        let hidden =
            entry.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if entry.is_file() && !hidden {
            files.push(entry);
        }
    }
    files.sort();
    match files.is_empty() {
        true => Err(StageError::data(format!("{} holds no file", path.display()))),
        false => Ok(files),
    }
}
