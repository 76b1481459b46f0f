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

use fuseline_artifact::{Digest, VALUE};

use super::{
    Answerer, Diagnosis, Examples, Metric, Question, Settings, diagnose,
    study::{are_probabilities, to_probabilities},
};
use crate::load::csv::TextFormat;
use crate::load::table::{Table, file_name, open};
use crate::pattern::Column;

/// The form of the folder of questions; raised when it changes.
const FORMAT: u32 = 3;
/// The file that says what was asked.
const PLAN: &str = "questions.json";
/// Numbers of the questions that are no permutation.
const CLEAN: i32 = -1;
const NEUTRAL: i32 = -2;
const CLEAN_AGAIN: i32 = -3;
const MIXED: i32 = -4;
/// Beginning of the last field of a plan: the digest of all before it.
const SEAL: &str = ",\"digest\":\"";
/// Columns of questions and predictions that are no quality and no class.
const RESERVED: [&str; 3] = ["question", "example_id", "decision"];
/// Largest difference, relative to values beyond 1, of quality that came back in single precision.
const QUALITY_TOLERANCE: f64 = 1e-5;
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
    /// The columns of quality, in the order of the values.
    names: Vec<String>,
}

/// What was asked.
#[derive(Debug)]
pub struct Asked {
    /// Number of files of questions.
    pub files: usize,
    /// Number of labels of examples without quality, which are not asked about.
    pub left_out: usize,
}

/// Writes all questions into a folder that is new or empty.
pub fn ask(
    sources: &Sources<'_>,
    settings: Settings,
    title: &str,
    folder: &Path,
) -> Result<Asked, StageError> {
    let (examples, names, left_out) = read_examples(sources, settings.metric)?;
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
    let asked = Asked { files: files.files, left_out };
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
        names,
    };
    let text =
        serde_json::to_string(&plan).map_err(|error| StageError::failed(error.to_string()))?;
    // Last: a folder without it is not whole.
    fs::write(folder.join(PLAN), sealed(&text)).map_err(unwritable)?;
    Ok(asked)
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
    if !is_sealed(&text) {
        return Err(StageError::data(format!("{} is not as it was written", path.display()))
            .hint("ask again: what it says of labels and settings decides what answers mean"));
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
    let mut answers = AnswerFiles::read(&examples, &plan.names, &plan.settings, predictions)?;
    let diagnosis = diagnose(&examples, &plan.settings, &mut answers)?;
    Ok((plan.title, plan.settings, diagnosis))
}

/// The text of a plan with the digest of all before it as its last field.
fn sealed(text: &str) -> String {
    let text = text.trim_end_matches('}');
    format!("{text}{SEAL}{}\"}}", Digest::hash(text.as_bytes()))
}

/// True if a text ends in the digest of all before it.
fn is_sealed(text: &[u8]) -> bool {
    let start = text.windows(SEAL.len()).rposition(|found| found == SEAL.as_bytes());
    start
        .and_then(|start| std::str::from_utf8(&text[..start]).ok())
        .is_some_and(|plan| sealed(plan).as_bytes() == text)
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

/// The columns beside the ids that have a name: an index that pandas wrote has none.
fn value_columns(table: &Table) -> Vec<usize> {
    let id = id_column(table);
    let columns = 0..table.names.len();
    columns.filter(|&column| column != id && !table.is_unnamed(column)).collect()
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
    let (rows, others) = (ids(table)?, value_columns(table));
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

/// The examples, the names of the columns of quality, and the number of labels without quality.
fn read_examples(
    sources: &Sources<'_>,
    metric: Option<Metric>,
) -> Result<(Examples, Vec<String>, usize), StageError> {
    let quality = table(sources.quality)?;
    let columns = value_columns(&quality);
    let mut modalities = BTreeMap::<&str, Vec<usize>>::new();
    let mut order = Vec::<String>::new();
    for &column in &columns {
        let name = quality.names[column].as_str();
        not_reserved(name, &quality.file)?;
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
            if own.iter().flatten().any(|value| value.is_infinite()) {
                return Err(StageError::data(format!(
                    "the quality of modality {modality} of example {id} is infinite"
                ))
                .hint("quality is a finite number; leave it empty where the modality is missing"));
            }
            available.push(there);
            values.extend(own.into_iter().map(|value| value.unwrap_or(f64::NAN)));
        }
    }
    let labels = table(sources.labels)?;
    let label = texts(&labels, &example_id)?;
    // Ids are unique in both files, and each id of the quality has a label.
    let left_out = labels.rows() - example_id.len();
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
    if metric.is_none() {
        check_classes(&classes, example_id.len(), sources.labels)?;
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
    Ok((examples, names, left_out))
}

/// Error where a column of quality or a class has the name of a column that questions or
/// predictions have.
fn not_reserved(name: &str, file: &str) -> Result<(), StageError> {
    if !RESERVED.contains(&name) {
        return Ok(());
    }
    let message = format!("{name} in {file} is a name that the columns of predictions have");
    Err(StageError::data(message).hint("give it another name"))
}

/// Error where labels are no classes.
fn check_classes(classes: &[String], rows: usize, path: &Path) -> Result<(), StageError> {
    let file = file_name(path);
    classes.iter().try_for_each(|class| not_reserved(class, &file))?;
    if let [class] = classes {
        let message = format!("all labels of {file} are {class}, and two classes are needed");
        return Err(StageError::data(message));
    }
    let are_numbers = classes.iter().all(|class| class.parse::<f64>().is_ok());
    if are_numbers && classes.len() > 2 && classes.len() > rows / 2 {
        return Err(StageError::data(format!(
            "the labels of {file} are {} different numbers of {rows} examples: no classes",
            classes.len()
        ))
        .hint("name what the gap of a label that is a number is measured in: --metric mae"));
    }
    Ok(())
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
    for (number, (name, _)) in files.iter().enumerate() {
        if !modalities.contains(name) {
            return Err(StageError::data(format!("there is evidence of {name}, and no quality"))
                .hint(format!("the modalities are {}", modalities.join(", "))));
        }
        if files[..number].iter().any(|(earlier, _)| earlier == name) {
            return Err(StageError::data(format!("there are two files of evidence of {name}")));
        }
    }
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
                .or_else(|error| {
                    let prefixed = table.column(&Column::Name(format!("p_{class}")), "");
                    prefixed.map_err(|_| error)
                })
                .map_err(|error| {
                    error.hint(format!(
                        "one column a class is expected, called as the classes: {}; {}",
                        classes.join(", "),
                        table.columns_are()
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
}

/// The quality that a question asks about: questions x rows x columns of quality.
fn asked_quality(examples: &Examples, question: &Question<'_>) -> Vec<f64> {
    match question {
        Question::Clean => examples.quality.clone(),
        Question::Neutral => neutral(examples),
        Question::Mixed { columns, index } | Question::Broken { columns, index, .. } => {
            permuted(examples, *columns, index)
        }
    }
}

/// The quality of the rows that index vectors name.
fn permuted(examples: &Examples, columns: usize, index: &[u32]) -> Vec<f64> {
    let Examples { example_id, quality, channels, modalities, .. } = examples;
    let (rows, width) = (example_id.len(), modalities.len() * channels);
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
fn neutral(examples: &Examples) -> Vec<f64> {
    let mut neutral = examples.quality.clone();
    let width = examples.modalities.len() * examples.channels;
    for column in 0..width {
        let there = || (column..neutral.len()).step_by(width).filter(|&at| !neutral[at].is_nan());
        let sum: f64 = there().map(|at| neutral[at]).sum();
        let mean = sum / there().count().max(1) as f64;
        let places: Vec<usize> = there().collect();
        places.into_iter().for_each(|at| neutral[at] = mean);
    }
    neutral
}

/// The number of a question, or of the first of several, and how many there are. `clean`: how often
/// Clean-Q was asked.
fn numbered(question: &Question<'_>, clean: &mut usize) -> (i32, usize) {
    match question {
        Question::Clean => {
            *clean += 1;
            (if *clean == 1 { CLEAN } else { CLEAN_AGAIN }, 1)
        }
        Question::Neutral => (NEUTRAL, 1),
        Question::Mixed { .. } => (MIXED, 1),
        Question::Broken { first, count, .. } => (first.cast_signed(), *count as usize),
    }
}

impl Answerer for QuestionFiles<'_> {
    fn answer(&mut self, question: &Question<'_>) -> Result<Vec<f64>, StageError> {
        let Examples { example_id, classes, .. } = self.examples;
        let rows = example_id.len();
        let (number, count) = numbered(question, &mut self.clean);
        let numbers: Vec<i32> = (number..).take(count).collect();
        self.write(&numbers, &asked_quality(self.examples, question))?;
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
    /// The columns of quality.
    names: &'a [String],
    /// The quality that came back beside predictions, in the order of the answers, NaN where none
    /// did; none where no file has any.
    returned: Option<Vec<f32>>,
    permutations: usize,
    clean: usize,
}

impl<'a> AnswerFiles<'a> {
    fn read(
        examples: &'a Examples,
        names: &'a [String],
        settings: &Settings,
        path: &Path,
    ) -> Result<Self, StageError> {
        let permutations = settings.permutations as usize;
        let (rows, classes) = (examples.example_id.len(), examples.classes.len());
        let answers = vec![f64::NAN; (permutations + OTHERS) * rows * classes];
        let mut this = Self { examples, answers, names, returned: None, permutations, clean: 0 };
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
        if decision.is_some() && class_columns(table, &self.examples.classes).is_ok() {
            let message = format!("{} has a decision and probabilities", table.file);
            return Err(StageError::data(message).hint("give one of the two"));
        }
        let quality: Vec<usize> = self
            .names
            .iter()
            .map_while(|name| table.column(&Column::Name(name.clone()), "").ok())
            .collect();
        let has_quality = quality.len() == self.names.len();
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
            if has_quality {
                let width = self.names.len();
                let total = (self.permutations + OTHERS) * rows * width;
                let returned = self.returned.get_or_insert_with(|| vec![f32::NAN; total]);
                let own = &mut returned[(at * rows + example) * width..][..width];
                for (value, &column) in own.iter_mut().zip(&quality) {
                    *value = table.number(row, column)?.unwrap_or(f64::NAN) as f32;
                }
            }
            if decision.is_some() && self.examples.value.is_none() {
                let name = table.text(row, columns[0])?.unwrap_or_default();
                let classes = &self.examples.classes;
                let class = classes.iter().position(|class| *class == name);
                out.fill(0.0);
                *class.and_then(|class| out.get_mut(class)).ok_or_else(|| {
                    let classes = classes.join(", ");
                    wrong(format!("decides for {name:?}, which is none of the classes {classes}"))
                })? = 1.0;
                continue;
            }
            for (value, &column) in out.iter_mut().zip(&columns) {
                *value = table
                    .number(row, column)?
                    .ok_or_else(|| wrong("lacks a probability".to_owned()))?;
            }
            if self.examples.value.is_none() && !are_probabilities(out) {
                return Err(wrong(format!("has {out:?}: no probabilities that sum to 1"))
                    .hint(to_probabilities(out)));
            }
        }
        Ok(())
    }
}

impl Answerer for AnswerFiles<'_> {
    fn answer(&mut self, question: &Question<'_>) -> Result<Vec<f64>, StageError> {
        let rows = self.examples.example_id.len();
        let width = rows * self.examples.classes.len();
        let (number, count) = numbered(question, &mut self.clean);
        let at = self.place(number);
        if let Some(returned) = &self.returned {
            let asked = asked_quality(self.examples, question);
            let returned = &returned[at * rows * self.names.len()..][..asked.len()];
            let other = returned.iter().zip(&asked).position(|(returned, asked)| {
                let difference = (f64::from(*returned) - asked).abs();
                difference > QUALITY_TOLERANCE * asked.abs().max(1.0)
            });
            if let Some(other) = other {
                let (row, column) = (other / self.names.len(), other % self.names.len());
                return Err(StageError::data(format!(
                    "the predictions of question {} were made at {} = {} of example {}, and {} \
                     was asked",
                    i64::from(number) + (row / rows) as i64,
                    self.names[column],
                    returned[other],
                    self.examples.example_id[row % rows],
                    asked[other]
                ))
                .hint("these predictions answer other questions: predict those of this folder"));
            }
        }
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
