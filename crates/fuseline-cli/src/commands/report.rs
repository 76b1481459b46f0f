//! `fuseline report`: the report of a past run, and what a paper or a deposit needs. Executes nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fuseline_artifact::{ArtifactKind, Model, Typed as _};
use fuseline_cache::Cache;
use fuseline_engine::{Inputs, InputsBuilder, Manifest, Services, StageError};
use fuseline_host::PluginLibrary;
use fuseline_report::{PluginUsed, ReportData};

use crate::args::{FigureForm, Report};
use crate::commands::cache::existing;
use crate::commands::runs;
use crate::context::{Context, ReportInputs};
use crate::crate_metadata::README;
use crate::exit::{Exit, Failure};
use crate::table::{Form, Table};
use crate::{crate_metadata, deliver, print, suggest};

pub fn run(args: &Report) -> Result<Exit, Failure> {
    let cache = existing(&args.cache)?;
    let manifest = runs::manifest(&cache, &args.run)?;
    let context = Context::of(&cache, &manifest.run)?;
    let reports = chosen(args, &manifest, &context)?;
    let folder = match (&args.ro_crate, &args.figures, &args.out) {
        (Some(folder), ..) | (_, Some(folder), _) | (.., Some(folder)) => folder.clone(),
        (None, None, None) => Path::new("results").join(&manifest.workflow).join("report"),
    };
    let mut files = Files { folder: &folder, written: Vec::new() };
    if args.ro_crate.is_some() {
        deposit(&cache, &manifest, &context, &mut files)?;
    }
    for report in &reports {
        // The only report lies in the folder itself.
        let below = if reports.len() == 1 {
            PathBuf::new()
        } else {
            PathBuf::from(file_name(&report.stage))
        };
        let data = data(&cache, &manifest, &context, report)?;
        if args.figures.is_some() {
            write_figures(&data, &below, args.format, &mut files)?;
            continue;
        }
        let first = args.ro_crate.is_some()
            && files.written.iter().all(|(path, _)| path != Path::new(README));
        write_report(&data, &below, first, &mut files)?;
        write_figures(&data, &below.join("figures"), args.format, &mut files)?;
        write_findings(&cache, report, &below, &mut files)?;
    }
    if args.ro_crate.is_some() {
        let license = args.license.as_deref();
        let text = crate_metadata::text(&manifest, &context, license, &files.written)?;
        files.write("ro-crate-metadata.json", text.as_bytes())?;
    }
    for (path, _) in &files.written {
        print::result(folder.join(path).display().to_string());
    }
    Ok(Exit::Done)
}

/// The reports that were asked for; a deposit may be without one.
fn chosen<'c>(
    args: &Report,
    manifest: &Manifest,
    context: &'c Context,
) -> Result<Vec<&'c ReportInputs>, Failure> {
    let all = || context.reports.iter();
    if context.reports.is_empty() && args.ro_crate.is_none() {
        return Err(Failure::wrong(format!(
            "the workflow {} has no report, or the run {} did not reach it",
            manifest.workflow, manifest.run
        ))
        .hint("a stage that uses report.html, report.markdown or report.latex makes one"));
    }
    let Some(stage) = &args.stage else { return Ok(all().collect()) };
    let is = |report: &&ReportInputs| {
        report.stage == *stage || report.stage.split('[').next() == Some(stage.as_str())
    };
    let found: Vec<_> = all().filter(is).collect();
    if found.is_empty() {
        let names = all().map(|report| report.stage.as_str());
        let failure = Failure::wrong(format!("the run {} has no report {stage}", manifest.run));
        return Err(match suggest::hint(stage, "report", names) {
            Some(hint) => failure.hint(hint),
            None => failure,
        });
    }
    Ok(found)
}

/// The name of a stage with its point as that of a folder.
fn file_name(stage: &str) -> String {
    let plain =
        |letter: char| if letter.is_alphanumeric() || "_-".contains(letter) { letter } else { ' ' };
    stage.chars().map(plain).collect::<String>().split_whitespace().collect::<Vec<_>>().join("-")
}

/// What is written below a folder: path and size in bytes.
struct Files<'a> {
    folder: &'a Path,
    written: Vec<(PathBuf, u64)>,
}

impl Files<'_> {
    fn write(&mut self, path: impl AsRef<Path>, bytes: &[u8]) -> Result<(), Failure> {
        deliver::to(&self.folder.join(&path), bytes)?;
        self.note(path)
    }

    fn note(&mut self, path: impl AsRef<Path>) -> Result<(), Failure> {
        let size = std::fs::metadata(self.folder.join(&path)).map_err(Failure::failed)?.len();
        self.written.push((path.as_ref().to_owned(), size));
        Ok(())
    }
}

/// The workflow's texts, the outputs and the manifest.
fn deposit(
    cache: &Cache,
    manifest: &Manifest,
    context: &Context,
    files: &mut Files<'_>,
) -> Result<(), Failure> {
    for (name, text) in &context.texts {
        files.write(Path::new("workflow").join(name), text.as_bytes())?;
    }
    for output in &context.outputs {
        let path = Path::new("outputs").join(&output.file);
        deliver::object(cache, &output.digest, &files.folder.join(&path), None)?;
        files.note(path)?;
    }
    let manifest = serde_json::to_vec_pretty(manifest).map_err(Failure::failed)?;
    files.write("manifest.json", &manifest)
}

/// Every form of the report. A deposit's first Markdown is what a visitor reads first.
fn write_report(
    data: &ReportData,
    below: &Path,
    first: bool,
    files: &mut Files<'_>,
) -> Result<(), Failure> {
    files.write(below.join("report.html"), fuseline_report::html(data).as_bytes())?;
    let markdown = if first { PathBuf::from(README) } else { below.join("report.md") };
    files.write(markdown, fuseline_report::markdown(data).as_bytes())?;
    files.write(below.join("report.tex"), fuseline_report::latex(data).as_bytes())
}

/// Every figure, as SVG and PDF or in one form.
fn write_figures(
    data: &ReportData,
    below: &Path,
    form: Option<FigureForm>,
    files: &mut Files<'_>,
) -> Result<(), Failure> {
    let wanted = |one: FigureForm| form.is_none_or(|form| form == one);
    for figure in fuseline_report::figures(data) {
        let path = below.join(&figure.name);
        if wanted(FigureForm::Svg) {
            files.write(path.with_extension("svg"), figure.svg().as_bytes())?;
        }
        if wanted(FigureForm::Pdf) {
            files.write(path.with_extension("pdf"), &figure.pdf())?;
        }
        if form == Some(FigureForm::Png) {
            files.write(path.with_extension("png"), &figure.png())?;
        }
    }
    Ok(())
}

/// The findings that the report is about.
fn write_findings(
    cache: &Cache,
    report: &ReportInputs,
    below: &Path,
    files: &mut Files<'_>,
) -> Result<(), Failure> {
    for given in report.given.iter().filter(|given| given.port == "findings") {
        let bytes = deliver::read(cache, &given.digest)?;
        files.write(below.join("findings.parquet"), &bytes)?;
        if let Some(table) = Table::parquet(bytes.clone())? {
            files.write(below.join("findings.csv"), &table.write(Form::Csv)?)?;
            files.write(below.join("findings.json"), &table.write(Form::Json)?)?;
        }
    }
    Ok(())
}

/// What the report shows, with how much of each stage the run executed.
fn data(
    cache: &Cache,
    manifest: &Manifest,
    context: &Context,
    report: &ReportInputs,
) -> Result<ReportData, Failure> {
    let services = Services {
        plugins: PluginLibrary::new(Vec::new()),
        isolation: None,
        files: Default::default(),
    };
    let mut inputs = InputsBuilder::new(&services, manifest.seed)
        .provenance(Arc::new(context.provenance.clone()));
    for given in &report.given {
        let load = move |_: Option<&[&str]>| {
            let read = deliver::artifact(cache, given.kind, &given.digest);
            Ok(Arc::new(read.map_err(|failure| StageError::failed(failure.message))?))
        };
        inputs = inputs.lazy(&given.port, given.point.clone(), load);
    }
    let inputs: Inputs<'_> = inputs.build();
    let mut data =
        fuseline_stages::report::data(report.title.as_deref(), &inputs).map_err(Failure::failed)?;
    data.provenance.plugins = plugins(cache, manifest)?;
    for shown in &mut data.provenance.stages {
        let of_stage = manifest.actions.iter().filter(|action| {
            manifest.stages.get(action.stage).is_some_and(|stage| stage.name == shown.name)
        });
        shown.executed = Some(of_stage.filter(|action| action.state == "done").count() as u64);
    }
    Ok(data)
}

/// The plugins of the run. Their versions are in the models that they wrote, so that none has to be loaded.
fn plugins(cache: &Cache, manifest: &Manifest) -> Result<Vec<PluginUsed>, Failure> {
    let used = manifest.plugins.iter().map(|(id, digest)| PluginUsed {
        id: id.clone(),
        digest: digest.to_string(),
        version: String::new(),
    });
    let mut used: Vec<_> = used.collect();
    for action in &manifest.actions {
        if used.iter().all(|plugin| !plugin.version.is_empty()) {
            break;
        }
        let outputs = manifest.stages.get(action.stage).map_or(&[][..], |stage| &stage.outputs);
        for ((_, kind), digest) in outputs.iter().zip(&action.outputs) {
            if kind != ArtifactKind::Model.name() {
                continue;
            }
            let model = deliver::artifact(cache, ArtifactKind::Model, digest)?;
            let model = Model::from_artifact(&model).map_err(Failure::failed)?;
            let digest = model.plugin_digest.to_string();
            let of = used.iter_mut().find(|of| (&of.id, &of.digest) == (&model.plugin_id, &digest));
            if let Some(plugin) = of {
                plugin.version = model.plugin_version;
            }
        }
    }
    Ok(used)
}
