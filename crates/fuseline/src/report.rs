//! Reports of past runs, their figures, and deposits. Executes nothing and reads no data file: all
//! comes from the cache.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray};
use fuseline_artifact::{ArtifactKind, Cohort, Model, Typed as _};
use fuseline_cache::Cache;
use fuseline_engine::{FileRole, Inputs, InputsBuilder, Machine, Manifest, Services, StageError};
use fuseline_host::PluginLibrary;
use fuseline_report::{Checklist, FigureTable, FigureValues, PluginUsed, ReportData, RunUsed};

use crate::error::Error;
use crate::ro_crate::{DepositOptions, README};
use crate::run_context::{ReportInputs, RunContext};
use crate::runs::find_run;
use crate::table::{Form, Table};
use crate::{deliver, portable, ro_crate, suggest};

/// The parts of a report that are written.
#[derive(Debug, Clone, Default)]
pub struct ReportOptions {
    /// The stage of the report, where a workflow has several; all of them by default.
    pub stage: Option<String>,
    /// The only form of the figures; SVG, PDF and CSV by default.
    pub figures: Option<FigureForm>,
}

/// A form of figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FigureForm {
    /// Scalable Vector Graphics.
    Svg,
    /// PDF with embedded fonts.
    Pdf,
    /// Pixels; written only on request.
    Png,
    /// The numbers that they show, as tables.
    Csv,
}

/// Writes the report of a run into a folder: as HTML, Markdown and LaTeX, with its figures and
/// findings. A workflow with several reports has each in a folder named after its stage.
///
/// Returns the files that were written, relative to the folder.
pub fn report(
    cache: &Cache,
    run: &Manifest,
    folder: &Path,
    options: &ReportOptions,
) -> Result<Vec<PathBuf>, Error> {
    let context = RunContext::read(cache, &run.run)?;
    let mut files = Files { folder, written: Vec::new() };
    if context.reports.is_empty() {
        return Err(no_report(run));
    }
    write_reports(cache, run, &context, options, false, &mut files)?;
    Ok(files.into_paths())
}

/// The first screen and the figures of a run's report as HTML with styles of its own, for a page of
/// somebody else such as a notebook: that of the stage that the options name, or of the first.
pub fn fragment(cache: &Cache, run: &Manifest, options: &ReportOptions) -> Result<String, Error> {
    let context = RunContext::read(cache, &run.run)?;
    let reports = select(options, run, &context)?;
    let report = reports.first().ok_or_else(|| no_report(run))?;
    Ok(fuseline_report::fragment(&report_data(cache, run, &context, report)?))
}

/// A form of texts for a paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextForm {
    /// GitHub-flavoured Markdown.
    Markdown,
    /// LaTeX to `\input`.
    Latex,
}

/// A reporting checklist with what the record of a run tells, of the report that the options name,
/// or of the first.
pub fn checklist(
    cache: &Cache,
    run: &Manifest,
    checklist: Checklist,
    form: TextForm,
    options: &ReportOptions,
) -> Result<String, Error> {
    let context = RunContext::read(cache, &run.run)?;
    let reports = select(options, run, &context)?;
    let report = reports.first().ok_or_else(|| no_report(run))?;
    let mut data = report_data(cache, run, &context, report)?;
    if data.classes.is_empty() {
        data.classes = class_counts(cache, run)?;
    }
    Ok(match form {
        TextForm::Markdown => fuseline_report::checklist_markdown(&data, checklist),
        TextForm::Latex => fuseline_report::checklist_latex(&data, checklist),
    })
}

/// Number of examples of each class of the run's cohort; none where it has several cohorts.
fn class_counts(cache: &Cache, run: &Manifest) -> Result<Vec<(String, u64)>, Error> {
    let mut cohorts = Vec::new();
    for action in &run.actions {
        let outputs = run.stages.get(action.stage).map_or(&[][..], |stage| &stage.outputs);
        for ((_, kind), digest) in outputs.iter().zip(&action.outputs) {
            if kind == ArtifactKind::Cohort.name() && !cohorts.contains(digest) {
                cohorts.push(*digest);
            }
        }
    }
    let [cohort] = cohorts.as_slice() else { return Ok(Vec::new()) };
    let cohort = deliver::artifact(cache, ArtifactKind::Cohort, cohort)?;
    let cohort = Cohort::from_artifact(&cohort).map_err(Error::failed)?;
    Ok(fuseline_stages::report::html::class_counts(&cohort))
}

/// The answer of a run in words.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Verdict {
    /// The stage of the report that it is of.
    pub stage: String,
    /// The answer in a few words.
    pub headline: String,
    /// The rules that use quality and the quality, then the evidence for that.
    pub sentences: Vec<String>,
}

/// The answers of a run's reports, in the order of their stages; one answer of several forms of a
/// report, none of a run without one. `run`: the whole id.
pub fn verdicts(cache: &Cache, run: &str) -> Result<Vec<Verdict>, Error> {
    let context = RunContext::read(cache, run)?;
    let mut verdicts = Vec::<Verdict>::new();
    if context.reports.is_empty() {
        // The manifest names every action, and most workflows of many actions have no report.
        return Ok(verdicts);
    }
    let run = find_run(cache, run)?;
    for report in &context.reports {
        let data = report_data(cache, &run, &context, report)?;
        let (headline, sentences) = fuseline_report::answer_in_words(&data);
        let is_known = |known: &Verdict| known.headline == headline && known.sentences == sentences;
        if !verdicts.iter().any(is_known) {
            verdicts.push(Verdict { stage: report.stage.clone(), headline, sentences });
        }
    }
    Ok(verdicts)
}

/// Writes the figures of a run's reports into a folder.
///
/// Returns the files that were written, relative to the folder.
pub fn figures(
    cache: &Cache,
    run: &Manifest,
    folder: &Path,
    options: &ReportOptions,
) -> Result<Vec<PathBuf>, Error> {
    let context = RunContext::read(cache, &run.run)?;
    if context.reports.is_empty() {
        return Err(no_report(run));
    }
    let mut files = Files { folder, written: Vec::new() };
    let reports = select(options, run, &context)?;
    for report in &reports {
        let data = report_data(cache, run, &context, report)?;
        let below = subfolder(&reports, report);
        write_figures(&data, &below, options.figures, &mut files)?;
        if options.figures.is_none_or(|form| form == FigureForm::Csv) {
            write_findings(cache, report, &below, true, &mut files)?;
        }
    }
    Ok(files.into_paths())
}

/// Writes a Research Object Crate (RO-Crate 1.1) of a run into a folder: its results, reports and
/// workflow, and metadata of them and of every step of the run.
///
/// Returns the files that were written, relative to the folder.
pub fn deposit(
    cache: &Cache,
    run: &Manifest,
    folder: &Path,
    about: &DepositOptions,
    options: &ReportOptions,
) -> Result<Vec<PathBuf>, Error> {
    let context = RunContext::read(cache, &run.run)?;
    // An unknown stage is an error before anything is written.
    select(options, run, &context)?;
    let run = &portable::manifest(run);
    let mut files = Files { folder, written: Vec::new() };
    write_results(cache, run, &context, &mut files)?;
    write_reports(cache, run, &context, options, true, &mut files)?;
    let metadata = ro_crate::metadata(cache, run, &context, about, &files.written)?;
    files.write("ro-crate-metadata.json", metadata.as_bytes())?;
    Ok(files.into_paths())
}

fn no_report(run: &Manifest) -> Error {
    Error::request(format!(
        "the workflow {} has no report, or the run {} did not reach it",
        run.workflow, run.run
    ))
    .with_hint(
        "a stage that uses report.html, report.markdown or report.latex makes one".to_owned(),
    )
}

/// Writes the requested reports. The Markdown of a deposit's first one is its README.
fn write_reports(
    cache: &Cache,
    run: &Manifest,
    context: &RunContext,
    options: &ReportOptions,
    is_deposit: bool,
    files: &mut Files<'_>,
) -> Result<(), Error> {
    let reports = select(options, run, context)?;
    for (number, report) in reports.iter().enumerate() {
        let data = report_data(cache, run, context, report)?;
        let data = if is_deposit { data } else { with_paths(data, run) };
        let below = subfolder(&reports, report);
        write_report(&data, &below, is_deposit && number == 0, files)?;
        write_figures(&data, &below.join("figures"), options.figures, files)?;
        write_findings(cache, report, &below, false, files)?;
    }
    Ok(())
}

/// The folder of a report: the only one lies in the folder itself.
fn subfolder(reports: &[&ReportInputs], report: &ReportInputs) -> PathBuf {
    if reports.len() == 1 { PathBuf::new() } else { PathBuf::from(file_name(&report.stage)) }
}

/// The requested reports; a deposit may be without one.
fn select<'c>(
    options: &ReportOptions,
    run: &Manifest,
    context: &'c RunContext,
) -> Result<Vec<&'c ReportInputs>, Error> {
    let all = || context.reports.iter();
    let Some(stage) = &options.stage else { return Ok(all().collect()) };
    let is_named = |report: &&ReportInputs| {
        report.stage == *stage || report.stage.split('[').next() == Some(stage.as_str())
    };
    let named: Vec<_> = all().filter(is_named).collect();
    if named.is_empty() {
        let names = all().map(|report| report.stage.as_str());
        return Err(Error::request(format!("the run {} has no report {stage}", run.run))
            .with_hint(suggest::hint(stage, "report", names)));
    }
    Ok(named)
}

/// The name of a stage with its point as that of a folder.
fn file_name(stage: &str) -> String {
    let plain =
        |letter: char| if letter.is_alphanumeric() || "_-".contains(letter) { letter } else { ' ' };
    stage.chars().map(plain).collect::<String>().split_whitespace().collect::<Vec<_>>().join("-")
}

/// The files written below a folder: path and size in bytes.
struct Files<'a> {
    folder: &'a Path,
    written: Vec<(PathBuf, u64)>,
}

impl Files<'_> {
    fn write(&mut self, path: impl AsRef<Path>, bytes: &[u8]) -> Result<(), Error> {
        deliver::bytes(&self.folder.join(&path), bytes)?;
        self.note(path)
    }

    fn note(&mut self, path: impl AsRef<Path>) -> Result<(), Error> {
        let size = std::fs::metadata(self.folder.join(&path)).map_err(Error::failed)?.len();
        self.written.push((path.as_ref().to_owned(), size));
        Ok(())
    }

    fn into_paths(self) -> Vec<PathBuf> {
        self.written.into_iter().map(|(path, _)| path).collect()
    }
}

/// Writes the workflow's texts, the outputs and the manifest.
fn write_results(
    cache: &Cache,
    run: &Manifest,
    context: &RunContext,
    files: &mut Files<'_>,
) -> Result<(), Error> {
    for (name, text) in &context.texts {
        files.write(Path::new("workflow").join(name), text.as_bytes())?;
    }
    for output in &context.outputs {
        let path = Path::new("outputs").join(&output.file);
        deliver::object(cache, &output.digest, &files.folder.join(&path), None)?;
        files.note(path)?;
    }
    let manifest = serde_json::to_vec_pretty(run).map_err(Error::failed)?;
    files.write("manifest.json", &manifest)
}

/// Every form of the report. A deposit's first Markdown is what a visitor reads first.
fn write_report(
    data: &ReportData,
    below: &Path,
    first: bool,
    files: &mut Files<'_>,
) -> Result<(), Error> {
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
) -> Result<(), Error> {
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
    if wanted(FigureForm::Csv) {
        for table in fuseline_report::figure_tables(data) {
            let path = below.join(table.name).with_extension("csv");
            files.write(path, &table_of_numbers(table)?.write(Form::Csv)?)?;
        }
    }
    Ok(())
}

/// The numbers of figures as a table.
fn table_of_numbers(table: FigureTable) -> Result<Table, Error> {
    let columns = table.columns.into_iter().map(|column| {
        let values: ArrayRef = match column.values {
            FigureValues::Text(values) => Arc::new(StringArray::from(values)),
            FigureValues::Number(values) => Arc::new(Float64Array::from(values)),
            FigureValues::Integer(values) => Arc::new(Int64Array::from(values)),
        };
        (column.name, values)
    });
    Ok(Table::from_columns(columns.collect())?)
}

/// The findings that the report is about; as CSV alone beside figures.
fn write_findings(
    cache: &Cache,
    report: &ReportInputs,
    below: &Path,
    csv_alone: bool,
    files: &mut Files<'_>,
) -> Result<(), Error> {
    for input in report.inputs.iter().filter(|input| input.port == "findings") {
        let bytes = deliver::read(cache, &input.digest)?;
        if !csv_alone {
            let table = Table::points(bytes.clone())?;
            let typed = table.map(|table| table.write(Form::Parquet)).transpose()?;
            let typed = typed.as_deref().unwrap_or(&bytes);
            files.write(below.join("findings.parquet"), typed)?;
        }
        if let Some(table) = Table::parquet(bytes.clone())? {
            files.write(below.join("findings.csv"), &table.write(Form::Csv)?)?;
            if !csv_alone {
                files.write(below.join("findings.json"), &table.write(Form::Json)?)?;
            }
        }
    }
    Ok(())
}

/// Data of a report, with the number of actions of each stage that the run executed.
fn report_data(
    cache: &Cache,
    run: &Manifest,
    context: &RunContext,
    report: &ReportInputs,
) -> Result<ReportData, Error> {
    let services = Services {
        plugins: PluginLibrary::new(Vec::new()),
        isolation: None,
        files: Default::default(),
        shared: Default::default(),
    };
    let mut inputs =
        InputsBuilder::new(&services, run.seed).provenance(Arc::new(context.provenance.clone()));
    for input in &report.inputs {
        let load = move |_: Option<&[&str]>| {
            let read = deliver::artifact(cache, input.kind, &input.digest);
            Ok(Arc::new(read.map_err(|error| StageError::failed(error.to_string()))?))
        };
        inputs = inputs.lazy(&input.port, input.point.clone(), load);
    }
    let inputs: Inputs<'_> = inputs.build();
    let mut data =
        fuseline_stages::report::data(report.title.as_deref(), &inputs).map_err(Error::failed)?;
    data.provenance.plugins = plugins_used(cache, run)?;
    data.provenance.files_of_run = fuseline_stages::report::html::files(&run.files);
    data.provenance.run = Some(run_used(run));
    data.provenance.environment = run.environment.lines();
    for shown in &mut data.provenance.stages {
        let of_stage = run.actions.iter().filter(|action| {
            run.stages.get(action.stage).is_some_and(|stage| stage.name == shown.name)
        });
        shown.executed = Some(of_stage.filter(|action| action.state == "done").count() as u64);
    }
    Ok(data)
}

/// Puts whole paths in, where the provenance has last components alone: for the user, and not for
/// what is published.
fn with_paths(mut data: ReportData, run: &Manifest) -> ReportData {
    for (name, value) in &mut data.asked.params {
        if let Some(path) = run.params.get(name).and_then(serde_json::Value::as_str)
            && data.asked.shortened.contains(name)
        {
            path.clone_into(value);
        }
    }
    data.asked.shortened.clear();
    data.asked.plugin_path = plugin_folders(run);
    data
}

/// Time that a run took, and its machine.
fn run_used(run: &Manifest) -> RunUsed {
    let cpu_seconds = run.actions.iter().filter_map(|action| action.cpu_seconds);
    let cpu_seconds: Vec<f64> = cpu_seconds.collect();
    RunUsed {
        id: run.run.clone(),
        started: crate::utc_text(run.started_at),
        seconds: run.seconds,
        cpu_seconds: (!cpu_seconds.is_empty()).then(|| cpu_seconds.iter().sum()),
        actions: run.actions.len() as u64,
        executed: run.count("done") as u64,
        peak_memory: run.peak_memory,
        machine: run.machine.as_ref().map(machine_in_words).unwrap_or_default(),
    }
}

/// System, processor and memory of a machine.
pub(crate) fn machine_in_words(machine: &Machine) -> String {
    let mut words = format!("{} on {}", machine.system, machine.architecture);
    if let Some(processor) = &machine.processor {
        words.push_str(&format!(", {processor}"));
    }
    match machine.cores {
        Some(1) => words.push_str(", 1 processor"),
        Some(cores) => words.push_str(&format!(", {cores} processors")),
        None => {}
    }
    if let Some(bytes) = machine.memory {
        words.push_str(&format!(", {:.1} GB of memory", bytes as f64 / 1e9));
    }
    words
}

/// The folders of the run's fusion rules that lie where nobody looks without being told to.
pub(crate) fn plugin_folders(run: &Manifest) -> Vec<String> {
    let files = |role| run.files.iter().filter(move |file| file.role == role);
    let program = files(FileRole::Program).next().and_then(|file| Path::new(&file.path).parent());
    let beside = |folder: &Path| {
        program.is_some_and(|program| {
            let installed = program.parent().map(|prefix| prefix.join("share/fuseline/rules"));
            folder == program
                || folder == program.join("plugins")
                || installed.is_some_and(|installed| folder.starts_with(installed))
        })
    };
    let mut folders = Vec::new();
    for folder in files(FileRole::Rule).filter_map(|file| Path::new(&file.path).parent()) {
        let text = match folder.as_os_str().is_empty() {
            true => ".".to_owned(),
            false => folder.display().to_string(),
        };
        if !beside(folder) && !folders.contains(&text) {
            folders.push(text);
        }
    }
    folders
}

/// The plugins of the run. Their versions are in the models that they wrote, so that none has to be
/// loaded.
fn plugins_used(cache: &Cache, run: &Manifest) -> Result<Vec<PluginUsed>, Error> {
    let used = run.plugins.iter().map(|(id, digest)| PluginUsed {
        id: id.clone(),
        digest: digest.to_string(),
        version: String::new(),
    });
    let mut used: Vec<_> = used.collect();
    for action in &run.actions {
        if used.iter().all(|plugin| !plugin.version.is_empty()) {
            break;
        }
        let outputs = run.stages.get(action.stage).map_or(&[][..], |stage| &stage.outputs);
        for ((_, kind), digest) in outputs.iter().zip(&action.outputs) {
            if kind != ArtifactKind::Model.name() {
                continue;
            }
            let model = deliver::artifact(cache, ArtifactKind::Model, digest)?;
            let model = Model::from_artifact(&model).map_err(Error::failed)?;
            let digest = model.plugin_digest.to_string();
            let of = used.iter_mut().find(|of| (&of.id, &of.digest) == (&model.plugin_id, &digest));
            if let Some(plugin) = of {
                plugin.version = model.plugin_version;
            }
        }
    }
    Ok(used)
}
