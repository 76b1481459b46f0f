//! `fuseline diagnose`: the diagnostic of a model that was fitted elsewhere and stays where it is.
//!
//! `serve` asks over standard input and output: lines of JSON, each with the raw bytes that it
//! announces behind it, numbers little-endian. docs/frozen-models.md describes it.

use std::io::{self, Read, Write};
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::{Duration, Instant};

use fuseline::counted;
use fuseline_engine::{Class, StageError};
use fuseline_stages::diagnose::frozen::files::{self, Asked, Sources};
use fuseline_stages::diagnose::frozen::{Answerer, Examples, Question, Settings, diagnose};
use fuseline_stages::report::frozen::data;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::args::parse_assignment;
use crate::exit::{Exit, Failure};
use crate::print;

/// The form of the conversation; raised when it changes.
const PROTOCOL: u32 = 1;
/// Bytes of a header at most.
const MAX_HEADER_BYTES: usize = 1 << 30;

/// Subcommands of `diagnose`.
#[derive(clap::Subcommand)]
pub enum Args {
    /// Write the questions for a model as Parquet files
    #[command(after_help = "\
Examples:
  fuseline diagnose ask --quality q.parquet --labels y.parquet --groups g.parquet -o ask
  (predict each row of ask/part-*.parquet: question, example_id, and a column a class)
  fuseline diagnose tell ask --predictions p.parquet -o out")]
    Ask(Ask),
    /// Read the predictions and write the finding and its report
    Tell(Tell),
    /// Ask a program on the other side of standard input and output, as the Python package does
    #[command(after_help = "\
Examples:
  fuseline diagnose serve

The other side sends a header, then answers questions; docs/frozen-models.md has the protocol. It \
is what
`fuseline.diagnose` in Python speaks, and any language with pipes can.")]
    Serve,
}

/// Arguments of `diagnose ask`.
#[derive(clap::Args)]
pub struct Ask {
    /// Ids and quality: a column a modality, or modality.0, modality.1, ...; empty where a modality
    /// is unavailable
    #[arg(long, value_name = "FILE")]
    pub quality: PathBuf,
    /// Ids and labels
    #[arg(long, value_name = "FILE")]
    pub labels: PathBuf,
    /// Ids and groups (subjects), which are resampled whole
    #[arg(long, value_name = "FILE")]
    pub groups: Option<PathBuf>,
    /// Ids and class probabilities of a modality's expert, for headroom and alignment; may be given
    /// more than once
    #[arg(long, value_name = "MODALITY=FILE", value_parser = parse_assignment)]
    pub evidence: Vec<(String, String)>,
    /// Permutation scheme of the quality: joint, per_modality, within_group, whole_groups,
    /// conditional, derangement, within_class, within_correct
    #[arg(long, default_value = "joint")]
    pub scheme: String,
    /// Number of permutations
    #[arg(long, default_value_t = 10_000)]
    pub permutations: u32,
    /// Seed of permutations and resamples
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// A gap within plus or minus this counts as none, such as 0.02
    #[arg(long, value_name = "GAP")]
    pub equivalence_margin: Option<f64>,
    /// Where the label is a number, what the gap is measured in: mae, rmse, pearson, concordance;
    /// predictions then have a column `prediction`
    #[arg(long, value_name = "METRIC", value_parser = ["mae", "rmse", "pearson", "concordance"])]
    pub metric: Option<String>,
    /// Largest difference between two answers to the same question
    #[arg(long, default_value_t = 0.0)]
    pub tolerance: f64,
    /// Title of the report
    #[arg(long, default_value = "")]
    pub title: String,
    /// The folder for the questions, new or empty
    #[arg(short, long, value_name = "DIR")]
    pub out: PathBuf,
}

/// Arguments of `diagnose tell`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  fuseline diagnose tell ask --predictions predictions.parquet -o out")]
pub struct Tell {
    /// The folder that `ask` wrote
    pub questions: PathBuf,
    /// The predictions, a file or a folder of files: question, example_id, then a column a class,
    /// or `decision`
    #[arg(long, value_name = "FILE")]
    pub predictions: PathBuf,
    /// The folder for finding.json and report.html
    #[arg(short, long, value_name = "DIR")]
    pub out: PathBuf,
}

pub fn run(args: &Args) -> Result<Exit, Failure> {
    match args {
        Args::Ask(args) => ask(args),
        Args::Tell(args) => tell(args),
        Args::Serve => serve(),
    }
}

fn ask(args: &Ask) -> Result<Exit, Failure> {
    let scheme = serde_json::from_value(args.scheme.clone().into())
        .map_err(|error| Failure::wrong(format!("--scheme: {error}")))?;
    let metric = args.metric.clone().map(|name| serde_json::from_value(name.into())).transpose();
    let metric = metric.map_err(|error| Failure::wrong(format!("--metric: {error}")))?;
    let settings = Settings {
        metric,
        scheme,
        permutations: args.permutations,
        seed: args.seed,
        equivalence_margin: args.equivalence_margin,
        tolerance: args.tolerance,
        ..Settings::default()
    };
    let evidence: Vec<(String, PathBuf)> =
        args.evidence.iter().map(|(name, path)| (name.clone(), path.into())).collect();
    let sources = Sources {
        quality: &args.quality,
        labels: &args.labels,
        groups: args.groups.as_deref(),
        evidence: &evidence,
    };
    let Asked { files, left_out } =
        files::ask(&sources, settings, &args.title, &args.out).map_err(failure)?;
    let columns = if args.metric.is_some() { "`prediction`" } else { "a column a class" };
    if left_out > 0 {
        print::note(format!(
            "{left_out} examples of {} have no quality and are not asked about",
            args.labels.display()
        ));
    }
    print::result(format!(
        "{} of questions in {}. Predict every row (question, example_id, {columns}), \
         then:\n  fuseline diagnose tell {} --predictions FILE -o DIR",
        counted(files, "file"),
        args.out.display(),
        args.out.display()
    ));
    Ok(Exit::Done)
}

fn tell(args: &Tell) -> Result<Exit, Failure> {
    let (title, settings, found) =
        files::tell(&args.questions, &args.predictions).map_err(failure)?;
    let report = data(&title, &found, &settings);
    let (headline, sentences) = fuseline_report::answer_in_words(&report);
    let mut finding = serde_json::to_value(&found).map_err(Failure::failed)?;
    finding["headline"] = headline.clone().into();
    finding["sentences"] = sentences.clone().into();
    let text = format!("{finding:#}\n");
    for (name, bytes) in [
        ("finding.json", text.as_bytes()),
        ("report.html", fuseline_report::html(&report).as_bytes()),
    ] {
        fuseline::write_file(&args.out.join(name), bytes)?;
    }
    print::result(format!(
        "{headline} {}\n  {}",
        sentences.join(" "),
        args.out.join("report.html").display()
    ));
    Ok(Exit::Done)
}

fn failure(error: StageError) -> Failure {
    let exit = match error.class {
        Class::Data => Exit::Wrong,
        Class::Failed | Class::Cancelled => Exit::ActionFailed,
    };
    Failure { exit, message: error.message, hint: error.hint, mistakes: None }
}

/// The first line of a conversation. Behind it come availability (a byte a row and modality),
/// quality and, where it says so, evidence (doubles).
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    protocol: u32,
    #[serde(default)]
    title: String,
    example_id: Option<Vec<String>>,
    group: Option<Vec<String>>,
    label: Vec<u32>,
    classes: Vec<String>,
    /// Labels that are numbers.
    #[serde(default)]
    value: Option<Vec<f64>>,
    modalities: Vec<String>,
    channels: usize,
    evidence: bool,
    /// Seconds after which no more permutations are asked.
    seconds: Option<f64>,
    settings: Settings,
}

/// The program on the other side.
struct Peer<R> {
    input: R,
    /// To the thread that writes: questions go out while an answer comes in.
    output: Sender<Vec<u8>>,
    rows: usize,
    classes: usize,
    deadline: Option<Instant>,
    asked_again: bool,
    /// Questions that were written and not answered yet.
    announced: usize,
}

fn serve() -> Result<Exit, Failure> {
    let (output, lines) = mpsc::channel::<Vec<u8>>();
    let writer = thread::spawn(move || {
        let mut output = io::stdout().lock();
        // When the other side is gone, so are its answers: the reader says so.
        lines.into_iter().try_for_each(|line| output.write_all(&line).and_then(|()| output.flush()))
    });
    let (last, exit) = match converse(&mut io::stdin().lock(), &output) {
        Ok(result) => (json!({ "result": result }), Exit::Done),
        Err(error) => {
            let said = json!({ "message": error.message, "hint": error.hint });
            (json!({ "error": said }), Exit::Wrong)
        }
    };
    // Where the thread has ended, it says why.
    output.send(format!("{last}\n").into_bytes()).ok();
    drop(output);
    writer.join().unwrap_or_else(|panic| resume_unwind(panic)).map_err(Failure::failed)?;
    Ok(exit)
}

fn converse(input: &mut impl Read, output: &Sender<Vec<u8>>) -> Result<Value, StageError> {
    let header = read_header(&read_line(input)?)?;
    if header.protocol != PROTOCOL {
        return Err(StageError::data(format!(
            "the header speaks protocol {} and this program {PROTOCOL}",
            header.protocol
        ))
        .hint("the Python package and the program `fuseline` must be of one version"));
    }
    let (rows, width) = (header.label.len(), header.modalities.len());
    let available = read_bytes(input, rows * width)?;
    let quality = read_doubles(input, rows * width * header.channels)?;
    let evidence = header
        .evidence
        .then(|| read_doubles(input, rows * width * header.classes.len()))
        .transpose()?;
    // Numbers of equal width stand in the order of the rows, as code points too.
    let numbered = || (0..rows).map(|row| format!("{row:010}")).collect::<Vec<String>>();
    let example_id = header.example_id.unwrap_or_else(numbered);
    let examples = Examples {
        group: header.group.unwrap_or_else(|| example_id.clone()),
        example_id,
        label: header.label,
        classes: header.classes,
        value: header.value,
        modalities: header.modalities,
        available: available.into_iter().map(|there| there != 0).collect(),
        quality,
        channels: header.channels,
        evidence,
    };
    if let Some(seconds) = header.seconds.filter(|seconds| seconds.is_sign_negative()) {
        return Err(StageError::data(format!("seconds: a number from 0 on, and {seconds} is not")));
    }
    let deadline = header
        .seconds
        .and_then(|seconds| Instant::now().checked_add(Duration::try_from_secs_f64(seconds).ok()?));
    let mut peer = Peer {
        input,
        output: output.clone(),
        rows,
        classes: examples.classes.len(),
        deadline,
        asked_again: false,
        announced: 0,
    };
    let found = diagnose(&examples, &header.settings, &mut peer)?;
    let report = data(&header.title, &found, &header.settings);
    let (headline, sentences) = fuseline_report::answer_in_words(&report);
    let mut result = serde_json::to_value(&found)
        .map_err(|error| StageError::failed(format!("the result cannot be written: {error}")))?;
    result["headline"] = headline.into();
    result["sentences"] = sentences.into();
    result["report"] = fuseline_report::html(&report).into();
    result["fragment"] = fuseline_report::fragment(&report).into();
    Ok(result)
}

/// Its mistakes are named by their field, which is the argument of whoever calls from Python: places
/// in a line that a program wrote help nobody.
fn read_header(line: &[u8]) -> Result<Header, StageError> {
    let mut text = serde_json::Deserializer::from_slice(line);
    serde_path_to_error::deserialize(&mut text).map_err(|error| {
        let path = error.path().to_string();
        let field = path.strip_prefix("settings.").unwrap_or(&path);
        let message = error.inner().to_string();
        let message = message.split(" at line ").next().unwrap_or_default();
        match field {
            "." => StageError::data(format!("the header is not understood: {message}")),
            field => StageError::data(format!("{field}: {message}")),
        }
    })
}

impl<R> Peer<R> {
    fn write(&mut self, question: &Question<'_>) -> Result<(), StageError> {
        let line = match question {
            Question::Clean => {
                let again = std::mem::replace(&mut self.asked_again, true);
                json!({ "ask": "clean", "again": again })
            }
            Question::Neutral => json!({ "ask": "neutral" }),
            Question::Broken { first, count, columns, .. } => {
                json!({ "ask": "broken", "first": first, "count": count, "columns": columns })
            }
            Question::Mixed { columns, .. } => {
                json!({ "ask": "mixed", "count": 1, "columns": columns })
            }
        };
        let mut bytes = format!("{line}\n").into_bytes();
        if let Question::Broken { index, .. } | Question::Mixed { index, .. } = question {
            bytes.extend(index.iter().flat_map(|row| row.to_le_bytes()));
        }
        self.output.send(bytes).map_err(|_| StageError::failed("the other side is gone"))
    }
}

impl<R: Read> Answerer for Peer<R> {
    fn answer(&mut self, question: &Question<'_>) -> Result<Vec<f64>, StageError> {
        match self.announced.checked_sub(1) {
            Some(left) => self.announced = left,
            None => self.write(question)?,
        }
        let count = match question {
            Question::Broken { count, .. } => *count as usize,
            Question::Clean | Question::Mixed { .. } | Question::Neutral => 1,
        };
        read_doubles(&mut self.input, count * self.rows * self.classes)
    }

    fn announce(&mut self, question: &Question<'_>) -> Result<(), StageError> {
        // With a deadline there may be no time for it.
        if self.deadline.is_none() {
            self.write(question)?;
            self.announced += 1;
        }
        Ok(())
    }

    fn is_timed(&self) -> bool {
        self.deadline.is_some()
    }

    fn has_time(&mut self) -> bool {
        self.deadline.is_none_or(|deadline| Instant::now() < deadline)
    }
}

/// A line of JSON, read byte by byte: raw bytes follow it.
fn read_line(input: &mut impl Read) -> Result<Vec<u8>, StageError> {
    let (mut line, mut byte) = (Vec::new(), [0]);
    loop {
        match input.read(&mut byte) {
            Ok(0) => return Err(StageError::data("standard input ended before the header did")),
            Ok(_) if byte[0] == b'\n' => return Ok(line),
            Ok(_) if line.len() < MAX_HEADER_BYTES => line.push(byte[0]),
            Ok(_) => return Err(StageError::data("the header is longer than 1 GiB")),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                return Err(StageError::failed(format!("cannot read standard input: {error}")));
            }
        }
    }
}

fn read_bytes(input: &mut impl Read, length: usize) -> Result<Vec<u8>, StageError> {
    // As many as arrive: a length that was announced falsely reserves nothing.
    let mut bytes = Vec::new();
    input
        .take(length as u64)
        .read_to_end(&mut bytes)
        .map_err(|error| StageError::failed(format!("cannot read standard input: {error}")))?;
    if bytes.len() < length {
        return Err(StageError::failed(format!(
            "the other side ended after {} of {length} bytes of an answer",
            bytes.len()
        )));
    }
    Ok(bytes)
}

fn read_doubles(input: &mut impl Read, count: usize) -> Result<Vec<f64>, StageError> {
    let bytes = read_bytes(input, count * 8)?;
    Ok(bytes.as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect())
}
