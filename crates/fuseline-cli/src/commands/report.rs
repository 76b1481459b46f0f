//! `fuseline report`: the report of a past run, and what a paper or a deposit needs. Executes
//! nothing.

use std::path::{Path, PathBuf};

use fuseline::{ReportOptions, attach_remote, find_run, open_cache};

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
  fuseline report --ro-crate deposit --license https://creativecommons.org/licenses/by/4.0/")]
pub struct Args {
    /// The run: its id, the beginning of it, `latest`, or `latest~1` for the one before
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
    /// Only this form of the figures
    #[arg(long, value_enum)]
    pub format: Option<FigureForm>,
    /// Write a Research Object Crate (RO-Crate 1.1) instead: results, report, workflow and their
    /// metadata
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

impl From<FigureForm> for fuseline::FigureForm {
    fn from(form: FigureForm) -> Self {
        match form {
            FigureForm::Svg => Self::Svg,
            FigureForm::Pdf => Self::Pdf,
            FigureForm::Png => Self::Png,
        }
    }
}

pub fn run(args: &Args) -> Result<Exit, Failure> {
    let cache = open_cache(args.cache.folder()?)?;
    let (cache, remote) = attach_remote(cache, args.remote.settings()?.as_ref())?;
    let run = find_run(&cache, &args.run)?;
    if let Some(remote) = &remote {
        remote.set_workflow(&run.workflow);
    }
    let figures = args.format.map(Into::into);
    let options = ReportOptions { stage: args.stage.clone(), figures };
    if args.fragment {
        print::data(fuseline::fragment(&cache, &run, &options)?);
        return Ok(Exit::Done);
    }
    let (folder, files) = if let Some(folder) = &args.ro_crate {
        let license = args.license.as_deref();
        (folder.clone(), fuseline::deposit(&cache, &run, folder, license, &options)?)
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
