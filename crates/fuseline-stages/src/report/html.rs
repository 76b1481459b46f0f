//! `report.html`: one self-contained file.

use arrow::array::Array;
use fuseline_artifact::{
    AnyPermutations, ArtifactKind, Cohort, Digest, Features, Finding, Findings, Permutations,
    RegressionPermutations, Report,
};
use fuseline_engine::{
    Caution, FileRead, Inputs, KeyWriter, Labelled, Outputs, PlanSite, Point, Ports, RowFlow,
    StageError, StageKind,
};
use fuseline_report::{self as report, ReportData};
use fuseline_stats::metrics::NumberMetric;
use fuseline_workflow::Role;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::pool::{Pooled, PooledNumbers};
use crate::report::{curves, supplements};
use crate::upstream;

/// Writes the report: what was asked, the verdict in words, tables, figures, and where every number
/// comes from.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Html {
    /// The title; the workflow's name when left out.
    #[serde(default)]
    title: Option<String>,
}

impl StageKind for Html {
    const NAME: &'static str = "report.html";
    const REVISION: u32 = 13; // a figure on one page of paper, long names break, neutral quality is called so, no label that fits is cut; repetitions are folded away, with a sentence; ticks with all their digits; gains with their intervals, said once; methods say how many conditions count; no dose along repetitions, no row of no gap; a headline of too few permutations, labels of which accuracies are means, names that break at underscores, legends of what is drawn; files that were read; axes and ports of stages; folds of one class; the findings' heading on every page of paper; routing; controls that share a draw; strength 0 asks for quiet; who uses what, first; permutations of the findings alone; heads of rows keep a width on a phone
    const TAKES_NUMBERS: bool = true;
    const SUMMARY: &'static str =
        "One self-contained HTML file with verdict, tables, figures and provenance.";

    fn ports() -> Ports {
        ports()
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self { title } = self;
        key.field("title", title);
    }

    fn check_plan(&self, site: &mut PlanSite<'_>) {
        upstream::check_reported(site);
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        rows(flow);
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let bytes = report::html(&data(self.title.as_deref(), inputs)?).into_bytes();
        outputs.put("report", Report { media_type: "text/html".to_owned(), bytes })
    }
}

/// The ports that every form of the report has.
pub(crate) fn ports() -> Ports {
    let ports = Ports::new()
        .one("findings", ArtifactKind::Findings, Role::Neutral, "The findings of all points.")
        .many(
            "permutations",
            ArtifactKind::Permutations,
            Role::Neutral,
            "The permutation counts, for the figures of the null distributions.",
        )
        .optional()
        .many(
            "evidence",
            ArtifactKind::Evidence,
            Role::Neutral,
            "Test evidence, for the reliability curves.",
        )
        .optional()
        .many(
            "quality",
            ArtifactKind::Quality,
            Role::Neutral,
            "Test quality, for the reliability curves.",
        )
        .optional()
        .one(
            "cohort",
            ArtifactKind::Cohort,
            Role::Neutral,
            "The examples, for the reliability curves.",
        )
        .optional()
        .many(
            "features",
            ArtifactKind::Features,
            Role::Neutral,
            "The features, to count the values that are missing or not finite.",
        )
        .optional()
        .many(
            "routing",
            ArtifactKind::Table,
            Role::Neutral,
            "Tables of diagnose.routing, for what choosing between experts could reach.",
        )
        .optional();
    supplements::ports(ports)
        .output("report", ArtifactKind::Report, "The report.")
        .reads_provenance()
}

/// The rows of every form of the report: its curves are of examples that were tested.
pub(crate) fn rows(flow: &mut RowFlow<'_>) {
    flow.test_beside("findings", "evidence");
    flow.test_beside("findings", "quality");
    let all = flow.all_inputs();
    flow.give("report", all);
}

/// Report data from the inputs of its stage; the same for every form of it.
pub fn data(title: Option<&str>, inputs: &Inputs<'_>) -> Result<ReportData, StageError> {
    let findings: Findings = inputs.one("findings")?;
    let all: Vec<Labelled<AnyPermutations>> = inputs.many("permutations")?;
    let models: Vec<(Point, Digest)> = all.iter().map(model_of).collect();
    let (permutations, numbers) = parted(all);
    let metric = findings.metric().and_then(report::Metric::named);
    let provenance = inputs
        .provenance()
        .cloned()
        .ok_or_else(|| StageError::failed("the stage was not told where its inputs come from"))?;
    let plugins = curves::plugins(inputs, &provenance)?;
    let has = |kind: &str| provenance.stages.iter().any(|(_, known, _)| known == kind);
    let loaded = has("fusion.load") && !has("fusion.fit");
    let cautions = Caution::group(&provenance.cautions).into_iter();
    let settings = settings(&findings, &permutations);
    let is_of_labels = !settings.labels.is_empty();
    Ok(ReportData {
        title: title.unwrap_or_default().to_owned(),
        axes: findings.axes.clone(),
        modalities: findings.modalities.clone(),
        findings: findings
            .rows
            .iter()
            .map(|row| report::FindingRow::from_finding(&findings, row))
            .collect(),
        nulls: match metric {
            Some(_) => null_numbers(&findings, &numbers)?,
            // A finding of several labels is a mean: counts of their rows together are no part of it.
            None if is_of_labels => Vec::new(),
            None => nulls(&findings, &permutations)?,
        },
        settings: report::Settings {
            loaded,
            held: loaded && has("quality.held") && !has("quality.constant"),
            metric,
            ..settings
        },
        asked: report::Asked {
            workflow: provenance.workflow,
            description: provenance.description,
            file: Some(provenance.file),
            params: provenance.params,
            seed: provenance.seed,
            shortened: provenance.shortened,
            plugin_path: Vec::new(),
        },
        provenance: report::Provenance {
            fuseline_version: provenance.fuseline_version,
            workflow_digest: provenance.workflow_digest,
            inputs: provenance.sources,
            plugins,
            models: models
                .into_iter()
                .map(|(point, digest)| report::ModelUsed { point, digest: digest.to_string() })
                .collect(),
            stages: provenance
                .stages
                .into_iter()
                .enumerate()
                .map(|(number, (name, kind, actions))| report::StageRun {
                    name,
                    kind,
                    axes: provenance.stage_axes.get(number).cloned().unwrap_or_default(),
                    actions: actions as u64,
                    executed: None,
                })
                .collect(),
            edges: provenance.edges,
            ports: provenance
                .ports
                .into_iter()
                .map(|(from, output, to, input)| report::PortEdge { from, output, to, input })
                .collect(),
            files: files(&provenance.files),
            files_of_run: Vec::new(),
            run: None,
            environment: Vec::new(),
        },
        cautions: cautions
            .map(|Caution { actions, text }| report::Caution { actions, text })
            .collect(),
        reliability: match metric {
            // They show how often an expert is right.
            Some(_) => Vec::new(),
            None => curves::reliability(inputs, &findings)?,
        },
        spreads: match is_of_labels {
            true => Vec::new(),
            false => curves::spreads(&findings, &permutations)?,
        },
        one_class: curves::one_class(&findings, &permutations),
        observed: observed(inputs)?,
        routing: curves::routing(inputs)?,
        supplements: supplements::read(inputs, &findings)?,
        classes: classes(inputs)?,
    })
}

/// Files that were read, as a report lists them.
pub fn files(read: &[FileRead]) -> Vec<report::FileUsed> {
    let file = |file: &FileRead| report::FileUsed {
        role: file.role.name().to_owned(),
        name: file.portable_name().to_owned(),
        digest: file.digest.to_string(),
        size: file.size,
        stages: file.stages.clone(),
    };
    read.iter().map(file).collect()
}

/// Number of examples of each class, where the report has the cohort.
fn classes(inputs: &Inputs<'_>) -> Result<Vec<(String, u64)>, StageError> {
    Ok(inputs.optional::<Cohort>("cohort")?.map_or_else(Vec::new, |cohort| class_counts(&cohort)))
}

/// Number of examples of each class of a cohort, in the order of its classes.
pub fn class_counts(cohort: &Cohort) -> Vec<(String, u64)> {
    let count = |class: usize| cohort.label.iter().filter(|of| **of as usize == class).count();
    let names = cohort.classes.iter().enumerate();
    names.map(|(class, name)| (name.clone(), count(class) as u64)).collect()
}

/// The point of permutations, and the model that was asked.
fn model_of(labelled: &Labelled<AnyPermutations>) -> (Point, Digest) {
    let digest = match &labelled.artifact {
        AnyPermutations::Classes(counts) => counts.model_digest,
        AnyPermutations::Regression(sums) => sums.model_digest,
    };
    (labelled.point.clone(), digest)
}

/// Permutations of classes, and those of a label that is a number.
fn parted(
    all: Vec<Labelled<AnyPermutations>>,
) -> (Vec<Labelled<Permutations>>, Vec<Labelled<RegressionPermutations>>) {
    let (mut classes, mut numbers) = (Vec::new(), Vec::new());
    for Labelled { point, artifact } in all {
        match artifact {
            AnyPermutations::Classes(artifact) => classes.push(Labelled { point, artifact }),
            AnyPermutations::Regression(artifact) => numbers.push(Labelled { point, artifact }),
        }
    }
    (classes, numbers)
}

/// Null distributions where the label is a number, as [`nulls`].
fn null_numbers(
    findings: &Findings,
    permutations: &[Labelled<RegressionPermutations>],
) -> Result<Vec<report::NullDistribution>, StageError> {
    let Some(metric) = findings.metric().and_then(NumberMetric::named) else {
        return Ok(Vec::new());
    };
    let mut nulls = Vec::new();
    for row in &findings.rows {
        let point = point_of(findings, row);
        let parts = covering(permutations, &point);
        if !parts.is_empty() {
            let PooledNumbers { clean, broken, .. } = PooledNumbers::gather(parts, metric)?;
            let found = row.metric.as_ref().map(|of| [of.clean, of.broken]);
            nulls.push(null(point, clean, broken, found.unwrap_or([f64::NAN; 2]))?);
        }
    }
    Ok(nulls)
}

/// Artifacts at a point, whatever its other axes.
fn covering<'p, T>(permutations: &'p [Labelled<T>], point: &Point) -> Vec<&'p T> {
    let own = permutations.iter().filter(|labelled| {
        let place = |axis| labelled.point.iter().find(|(name, _)| name == axis);
        point.iter().all(|(axis, label)| place(axis).is_some_and(|(_, at)| at == label))
    });
    own.map(|labelled| &labelled.artifact).collect()
}

/// Number of values that the features lack, one line an artifact.
fn observed(inputs: &Inputs<'_>) -> Result<Vec<report::Observed>, StageError> {
    let features: Vec<Labelled<Features>> = inputs.many("features")?;
    Ok(features
        .into_iter()
        .map(|Labelled { point, artifact }| {
            let labels: Vec<String> = point.into_iter().map(|(_, label)| label).collect();
            let mut of = report::Observed { modality: labels.join(" "), ..Default::default() };
            if labels.is_empty() {
                "the modality".clone_into(&mut of.modality);
            }
            for (_, column) in &artifact.columns {
                of.values += column.len() as u64;
                of.missing += column.null_count() as u64;
                of.not_finite +=
                    column.iter().flatten().filter(|value| !value.is_finite()).count() as u64;
            }
            of
        })
        .collect())
}

/// The point of a finding, with the names of its axes.
fn point_of(findings: &Findings, row: &Finding) -> Point {
    findings.axes.iter().cloned().zip(row.point.iter().cloned()).collect()
}

/// The null distribution of each finding that the permutations cover, pooled over the axes that
/// findings lack.
fn nulls(
    findings: &Findings,
    permutations: &[Labelled<Permutations>],
) -> Result<Vec<report::NullDistribution>, StageError> {
    let mut nulls = Vec::new();
    for row in &findings.rows {
        let point = point_of(findings, row);
        let parts = covering(permutations, &point);
        if !parts.is_empty() {
            let Pooled { clean, broken, .. } = Pooled::gather(parts)?;
            nulls.push(null(point, clean, broken, [row.ba_clean, row.ba_broken])?);
        }
    }
    Ok(nulls)
}

/// The null distribution of a finding. `found`: what the finding says of Clean-Q and of the mean of
/// Broken-Q, which the permutations give again where they are those of the finding.
fn null(
    point: Point,
    clean: f64,
    broken: Vec<f64>,
    found: [f64; 2],
) -> Result<report::NullDistribution, StageError> {
    let mean = broken.iter().sum::<f64>() / broken.len() as f64;
    let is_same = |one: f64, other: f64| (one - other).abs() <= 1e-9 * (1.0 + other.abs());
    if is_same(clean, found[0]) && is_same(mean, found[1]) {
        return Ok(report::NullDistribution { point, clean, broken });
    }
    Err(StageError::data(format!(
        "the permutations are not those of the finding at {}: they give {clean:.4} under Clean-Q and \
         {mean:.4} under Broken-Q, and the finding says {:.4} and {:.4}",
        upstream::place_words(point.iter().map(|(axis, label)| (axis, label))),
        found[0],
        found[1]
    ))
    .hint("give the report the permutations of all folds that its findings were made of"))
}

/// Settings of the tests, as stated in the findings.
fn settings(findings: &Findings, permutations: &[Labelled<Permutations>]) -> report::Settings {
    let text = |name: &str| {
        findings.settings.iter().find_map(|setting| {
            let (known, value) = setting.split_once('=')?;
            (known == name).then_some(value)
        })
    };
    let number = |name: &str| text(name).and_then(|value| value.parse::<f64>().ok());
    let list = |name: &str| -> Vec<String> {
        text(name).map_or_else(Vec::new, |names| names.split(',').map(str::to_owned).collect())
    };
    let default = report::Settings::default();
    report::Settings {
        frozen: false,
        loaded: false,
        held: false,
        metric: None,
        labels: list("labels"),
        adjust: text("adjust").unwrap_or("none").to_owned(),
        families: list("families"),
        without_quality: text("without_quality")
            .and_then(|of| of.split_once(' '))
            .map(|(axis, label)| (axis.to_owned(), label.to_owned())),
        equivalence_margin: number("equivalence_margin"),
        alpha: number("alpha").unwrap_or(default.alpha),
        permutations: findings
            .rows
            .iter()
            .map(|row| row.n_permutations.unsigned_abs())
            .max()
            .unwrap_or_default(),
        scheme: text("scheme")
            .or_else(|| permutations.first().map(|labelled| labelled.artifact.scheme.as_str()))
            .unwrap_or_default()
            .to_owned(),
        bootstrap_resamples: number("bootstrap").map_or(default.bootstrap_resamples, |n| n as u64),
        confidence: number("confidence").unwrap_or(default.confidence),
        least_moved_share: number("least_moved_share"),
        best_on_training: text("best_expert") == Some("on_training"),
        interval: text("interval").map_or(default.interval, str::to_owned),
    }
}

#[cfg(test)]
mod tests;
