//! Arguments of `diagnose`.

use std::path::PathBuf;

use clap::{Args as Arguments, Subcommand};

/// What `diagnose` does.
#[derive(Subcommand)]
pub enum Diagnose {
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

The other side sends a header, then answers questions; docs/frozen-models.md has the protocol. It is what
`fuseline.diagnose` in Python speaks, and any language with pipes can.")]
    Serve,
}

/// Arguments of `diagnose ask`.
#[derive(Arguments)]
pub struct Ask {
    /// Ids and quality: a column a modality, or modality.0, modality.1, ...; empty where a modality is unavailable
    #[arg(long, value_name = "FILE")]
    pub quality: PathBuf,
    /// Ids and labels
    #[arg(long, value_name = "FILE")]
    pub labels: PathBuf,
    /// Ids and groups (subjects), which are resampled whole
    #[arg(long, value_name = "FILE")]
    pub groups: Option<PathBuf>,
    /// Ids and class probabilities of a modality's expert, for headroom and alignment; may be given more than once
    #[arg(long, value_name = "MODALITY=FILE", value_parser = super::assignment)]
    pub evidence: Vec<(String, String)>,
    /// How quality is permuted: joint, per_modality, within_group, conditional, derangement
    #[arg(long, default_value = "joint")]
    pub scheme: String,
    /// How many permutations
    #[arg(long, default_value_t = 10_000)]
    pub permutations: u32,
    /// Seed of permutations and resamples
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// A gap within plus or minus this counts as none, such as 0.02
    #[arg(long, value_name = "GAP")]
    pub equivalence_margin: Option<f64>,
    /// How far two answers to the same question may differ
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
#[derive(Arguments)]
#[command(after_help = "\
Examples:
  fuseline diagnose tell ask --predictions predictions.parquet -o out")]
pub struct Tell {
    /// The folder that `ask` wrote
    pub questions: PathBuf,
    /// The predictions, a file or a folder of files: question, example_id, then a column a class, or `decision`
    #[arg(long, value_name = "FILE")]
    pub predictions: PathBuf,
    /// The folder for finding.json and report.html
    #[arg(short, long, value_name = "DIR")]
    pub out: PathBuf,
}
