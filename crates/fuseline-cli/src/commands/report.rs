//! `fuseline report`: the report of a past run, and what a paper or a deposit needs. Executes
//! nothing.

use std::path::{Path, PathBuf};

use fuseline::{DepositOptions, ReportOptions, TextForm, attach_remote, find_run_of, open_cache};

use crate::args::{CacheArgs, RemoteArgs};
use crate::exit::{Exit, Failure};
use crate::{print, remote};

/// Arguments of `report`.
#[derive(clap::Args)]
#[command(after_help = "\
Nothing is executed and no data file is read: all comes from what the cache keeps of the run.

Writes report.html, report.md, report.tex, every figure as .svg and .pdf, and the findings as \
.parquet, .csv and .json. A
workflow with reports of several findings has each in a folder named after its stage.

Examples:
  fuseline report                            of the latest run, to results/NAME/report
  fuseline report latest~1 --out before      of the run before
  fuseline report latest --stage summary     of one of several reports
  fuseline report --figures paper/figures --format pdf
  fuseline report --fragment > cell.html
  fuseline report --checklist reforms > checklist.md
  fuseline report study.yaml --checklist neurips --format latex > checklist.tex
  fuseline report --ro-crate deposit --license https://creativecommons.org/licenses/by/4.0/")]
pub struct Args {
    /// The run: its id, the beginning of it, `latest`, `latest~1` for the one before, or a workflow
    /// file for the latest run of it as it is
    #[arg(default_value = "latest")]
    pub run: String,
    #[command(flatten)]
    pub cache: CacheArgs,
    #[command(flatten)]
    pub remote: RemoteArgs,
    /// Folder for the files [default: results/NAME/report]
    #[arg(long, value_name = "DIR", conflicts_with = "ro_crate")]
    pub out: Option<PathBuf>,
    /// The stage of the report, where a workflow has several
    #[arg(long, value_name = "STAGE")]
    pub stage: Option<String>,
    /// Write the figures alone into a folder
    #[arg(long, value_name = "DIR", conflicts_with_all = ["out", "ro_crate"])]
    pub figures: Option<PathBuf>,
    /// Print the first screen and the figures as HTML for a page of your own, such as a notebook:
    /// its styles hold for it alone
    #[arg(long, conflicts_with_all = ["out", "ro_crate", "figures", "format"])]
    pub fragment: bool,
    /// Print a reporting checklist, filled in with what the run recorded and where; the rest is
    /// marked as the authors' to fill in
    #[arg(long, value_enum, value_name = "NAME",
        conflicts_with_all = ["out", "ro_crate", "figures", "fragment"])]
    pub checklist: Option<Checklist>,
    /// Only this form: of the figures svg, pdf, png or csv, of a checklist markdown or latex
    #[arg(long, value_enum)]
    pub format: Option<ReportForm>,
    /// Write a Research Object Crate (RO-Crate 1.1) instead: results, report, workflow and their
    /// metadata
    #[arg(long, value_name = "DIR")]
    pub ro_crate: Option<PathBuf>,
    /// The licence that the deposit states: its address, or words
    #[arg(long, value_name = "LICENCE", requires = "ro_crate")]
    pub license: Option<String>,
    /// The person who ran it, for the deposit: a name, or the address of an ORCID record; nobody is
    /// named by default
    #[arg(long, value_name = "PERSON", requires = "ro_crate")]
    pub author: Option<String>,
}

/// A form of what is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ReportForm {
    /// Figures to put on a page and to edit
    Svg,
    /// Figures with fonts embedded, for a paper
    Pdf,
    /// Figures in pixels, for slides; only where it is asked for
    Png,
    /// The numbers that figures show
    Csv,
    /// A checklist to read and to edit
    Markdown,
    /// A checklist for a paper
    Latex,
}

impl ReportForm {
    /// The form of a figure; an error of the other forms.
    fn of_figures(self) -> Result<fuseline::FigureForm, Failure> {
        match self {
            Self::Svg => Ok(fuseline::FigureForm::Svg),
            Self::Pdf => Ok(fuseline::FigureForm::Pdf),
            Self::Png => Ok(fuseline::FigureForm::Png),
            Self::Csv => Ok(fuseline::FigureForm::Csv),
            Self::Markdown | Self::Latex => Err(wrong_form(
                "figures are written as svg, pdf, png or csv",
                "--checklist NAME takes markdown and latex; the report itself is always written as \
                 both",
            )),
        }
    }

    /// The form of a checklist; an error of the other forms.
    fn of_checklist(self) -> Result<TextForm, Failure> {
        match self {
            Self::Markdown => Ok(TextForm::Markdown),
            Self::Latex => Ok(TextForm::Latex),
            Self::Svg | Self::Pdf | Self::Png | Self::Csv => Err(wrong_form(
                "a checklist is written as markdown or latex",
                "say --format markdown, which is the default, or --format latex",
            )),
        }
    }
}

fn wrong_form(problem: &str, hint: &str) -> Failure {
    Failure::wrong(problem).hint(hint)
}

/// A reporting checklist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Checklist {
    /// Machine-learning-based science: 32 items
    Reforms,
    /// The paper checklist of NeurIPS: 16 questions
    Neurips,
    /// Prediction models in health: 27 items
    TripodAi,
}

impl From<Checklist> for fuseline::Checklist {
    fn from(checklist: Checklist) -> Self {
        match checklist {
            Checklist::Reforms => Self::Reforms,
            Checklist::Neurips => Self::Neurips,
            Checklist::TripodAi => Self::TripodAi,
        }
    }
}

pub fn run(args: &Args) -> Result<Exit, Failure> {
    let cache = open_cache(args.cache.folder()?)?;
    let (cache, remote) = attach_remote(cache, args.remote.settings()?.as_ref())?;
    let run = find_run_of(&cache, &args.run)?;
    if let Some(remote) = &remote {
        remote.set_workflow(&run.workflow);
    }
    if let Some(checklist) = args.checklist {
        let form = args.format.map_or(Ok(TextForm::Markdown), ReportForm::of_checklist)?;
        let options = ReportOptions { stage: args.stage.clone(), figures: None };
        print::data(fuseline::checklist(&cache, &run, checklist.into(), form, &options)?);
        return Ok(Exit::Done);
    }
    let figures = args.format.map(ReportForm::of_figures).transpose()?;
    let options = ReportOptions { stage: args.stage.clone(), figures };
    if args.fragment {
        print::data(fuseline::fragment(&cache, &run, &options)?);
        return Ok(Exit::Done);
    }
    let (folder, files) = if let Some(folder) = &args.ro_crate {
        let about = DepositOptions { license: args.license.clone(), author: args.author.clone() };
        (folder.clone(), fuseline::deposit(&cache, &run, folder, &about, &options)?)
    } else if let Some(folder) = &args.figures {
        (folder.clone(), fuseline::figures(&cache, &run, folder, &options)?)
    } else {
        let default = || Path::new("results").join(&run.workflow).join("report");
        let folder = args.out.clone().unwrap_or_else(default);
        let files = fuseline::report(&cache, &run, &folder, &options)?;
        (folder, files)
    };
    remote::finish(remote.as_deref());
    for path in files {
        print::result(folder.join(path).display().to_string());
    }
    Ok(Exit::Done)
}
