//! Arguments of the commands with which people look at results.

use std::path::PathBuf;

use clap::Args as Arguments;
use clap_complete::Shell;

use super::{CacheArgs, Format, WorkflowArgs};

/// Arguments of `show`.
#[derive(Arguments)]
#[command(after_help = "\
Nothing is executed: what is shown is what `fuseline run` with the same parameters would reuse.

Examples:
  fuseline show study.yaml findings
  fuseline show study.yaml 'permute.effects[rule=lr, fold=0]'
  fuseline show study.yaml 'quality.test[quality=margin|entropy]' --rows 40
  fuseline show study.yaml findings --export findings.csv
  fuseline show study.yaml cohort --format json | jq length")]
pub struct Show {
    #[command(flatten)]
    pub workflow: WorkflowArgs,
    /// What to show: STAGE, STAGE.PORT, or either with points, as in 'fusion[rule=lr|moe, fold=0]'
    #[arg(value_name = "STAGE[.PORT][AXIS=POINT]")]
    pub output: String,
    #[command(flatten)]
    pub cache: CacheArgs,
    /// How many rows are shown at most; 0 for all
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub rows: usize,
    /// Write it to a file instead: .csv, .json or .parquet; a document as it is
    #[arg(long, value_name = "FILE")]
    pub export: Option<PathBuf>,
    /// How it is printed
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Arguments of `report`.
#[derive(Arguments)]
#[command(after_help = "\
Nothing is executed and no data file is read: all comes from what the cache keeps of the run.

Writes report.html, report.md, report.tex, every figure as .svg and .pdf, and the findings as .parquet, .csv and .json. A
workflow with reports of several findings has each in a folder named after its stage.

Examples:
  fuseline report                            of the latest run, to results/NAME/report
  fuseline report latest~1 --out before      of the run before
  fuseline report latest --stage summary     of one of several reports
  fuseline report --figures paper/figures --format pdf
  fuseline report --ro-crate deposit --license https://creativecommons.org/licenses/by/4.0/")]
pub struct Report {
    /// The run: its id, the beginning of it, `latest`, or `latest~1` for the one before
    #[arg(default_value = "latest")]
    pub run: String,
    #[command(flatten)]
    pub cache: CacheArgs,
    /// Where the files go [default: results/NAME/report]
    #[arg(long, value_name = "DIR", conflicts_with = "ro_crate")]
    pub out: Option<PathBuf>,
    /// The stage of the report, where a workflow has several
    #[arg(long, value_name = "STAGE")]
    pub stage: Option<String>,
    /// Write the figures alone into a folder
    #[arg(long, value_name = "DIR", conflicts_with_all = ["out", "ro_crate"])]
    pub figures: Option<PathBuf>,
    /// Only this form of the figures
    #[arg(long, value_enum)]
    pub format: Option<FigureForm>,
    /// Write a Research Object Crate (RO-Crate 1.1) instead: results, report, workflow and their metadata
    #[arg(long, value_name = "DIR")]
    pub ro_crate: Option<PathBuf>,
    /// The licence that the deposit states: its address, or words
    #[arg(long, value_name = "LICENCE", requires = "ro_crate")]
    pub license: Option<String>,
}

/// A form of figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum FigureForm {
    /// To put on a page and to edit
    Svg,
    /// With fonts embedded, for a paper
    Pdf,
    /// Pixels, for slides; only where it is asked for
    Png,
}

/// Arguments of `completions`.
#[derive(Arguments)]
#[command(after_help = "\
Examples:
  fuseline completions bash > ~/.local/share/bash-completion/completions/fuseline
  fuseline completions zsh > ~/.zfunc/_fuseline
  fuseline completions fish > ~/.config/fish/completions/fuseline.fish")]
pub struct Completions {
    /// The shell
    pub shell: Shell,
}

/// Arguments of `man`.
#[derive(Arguments)]
#[command(after_help = "\
Examples:
  fuseline man | man -l -
  fuseline man --out ~/.local/share/man/man1")]
pub struct Man {
    /// Write a page for every command into a folder, instead of printing that of fuseline
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}
