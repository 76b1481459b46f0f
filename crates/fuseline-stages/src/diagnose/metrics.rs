//! `diagnose.metrics`: Clean-Q against Broken-Q in other measures than balanced accuracy.

use std::borrow::Cow;

use fuseline_artifact::{
    AnyCohort, ArtifactKind, Cohort, Features, MetricRow, Model, OptionalEvidence, Quality, Table,
};
use fuseline_engine::{
    CheckSite, Inputs, KeyWriter, Labelled, Outputs, PlanSite, Point, Ports, Problem, ReadFile,
    RowFlow, Rows, StageError, StageKind, UnreadOption,
};
use fuseline_host::{Batch, OpenModel};
use fuseline_stats::metrics::{self, Confusion, MetricError};
use fuseline_stats::permutation::Intervention;
use fuseline_stats::permutation_test::permutation_test;
use fuseline_workflow::Role;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::batch::Fusable;
use crate::diagnose::broken::{Broken, FirstPart, Plan};
use crate::diagnose::permute_quality::Scheme;
use crate::table::finite;
use crate::{fusion, guard, upstream};

/// Macro-F1, log loss, Brier score and AUROC beside balanced accuracy, each under Clean-Q and
/// Broken-Q, of the pooled predictions of all folds.
///
/// The permutations are those of `diagnose.permute_quality` with the same options, so its balanced
/// accuracy appears here again. A gap is positive where Clean-Q is better, also for log loss and
/// Brier score, of which less is better. The p-values are not adjusted: the measures tell of one
/// question from several sides. AUROC pools the scores of all folds.
///
/// Where the label is `ordinal`, two measures know of the order: `rank_mae`, the mean distance of
/// decision and label in classes, and `quadratic_kappa`, Cohen's kappa with quadratic weights.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    /// Number of permutations.
    #[serde(default = "thousand")]
    #[schemars(range(min = 1, max = 10_000_000))]
    permutations: u32,
    /// Permutation scheme of quality.
    #[serde(default)]
    scheme: Scheme,
    /// Only for `conditional`: into how many bins each expert's confidence is cut.
    #[serde(default = "three")]
    #[schemars(range(min = 1))]
    bins: u32,
}

fn thousand() -> u32 {
    1000
}

fn three() -> u32 {
    3
}

/// A measure: its name, and whether more is better.
type Measure = (&'static str, bool);

const MEASURES: [Measure; 5] = [
    ("balanced_accuracy", true),
    ("macro_f1", true),
    ("auroc", true),
    ("log_loss", false),
    ("brier", false),
];

/// Those of classes that have an order.
const ORDINAL_MEASURES: [Measure; 2] = [("rank_mae", false), ("quadratic_kappa", true)];

/// Inputs of kinds that ask the models of all folds.
pub(crate) fn ports_of_all_folds() -> Ports {
    Ports::new()
        .many("model", ArtifactKind::Model, Role::Apply, "The frozen rules, one a fold.")
        .many(
            "evidence",
            ArtifactKind::Evidence,
            Role::Apply,
            "Test evidence, one a fold and modality.",
        )
        .many(
            "quality",
            ArtifactKind::Quality,
            Role::Apply,
            "Test quality, one a fold and modality.",
        )
        .many("embeddings", ArtifactKind::Features, Role::Apply, fusion::embeddings::PORT)
        .optional()
        .one("cohort", ArtifactKind::Cohort, Role::Neutral, "The examples with group and label.")
}

/// Reports a scheme that is fitted in each fold, where a kind takes all folds at once.
pub(crate) fn check_scheme(site: &mut CheckSite<'_>, scheme: Scheme, kind: &str) {
    if scheme == Scheme::ConditionalResidual {
        let message = format!(
            "the scheme conditional_residual fits a regression in each fold, and {kind} takes all \
             folds at once"
        );
        let hint = "use it in diagnose.permute_quality; the other schemes work here";
        site.report(Problem::new("scheme", message).hint(hint));
    }
}

/// Reports evidence and quality that cannot be pooled over folds, or that a scheme cannot use.
pub(crate) fn check_folds(site: &mut PlanSite<'_>, scheme: Scheme) {
    upstream::check_pooled(site, &["evidence", "quality"]);
    upstream::check_same_experts(site);
    if scheme.reads_evidence() {
        upstream::check_experts(site, "evidence");
    }
}

/// The leakage guard of kinds that ask the models of all folds and give one table.
pub(crate) fn rows_of_all_folds(flow: &mut RowFlow<'_>, scheme: Scheme) {
    flow.apply_each("model", &["evidence", "quality", "embeddings"]);
    flow.same_rows("evidence", "quality");
    flow.no_control("evidence");
    flow.no_control("embeddings");
    let all = flow.all_inputs();
    let table = flow.give("table", all);
    table.holds = Rows::all();
    table.control |= scheme.reads_labels();
}

impl StageKind for Metrics {
    const NAME: &'static str = "diagnose.metrics";
    // 2: models keep how embeddings are standardised. 3: permutations are other ones. 4: no p-value
    // of derangements. 5: its table is an artifact of kind table. 6: every fold has its
    // model.
    const REVISION: u32 = 6;
    const SUMMARY: &'static str =
        "Macro-F1, AUROC, log loss and Brier score under Clean-Q and Broken-Q.";

    fn ports() -> Ports {
        ports_of_all_folds().output("table", ArtifactKind::Table, "One row a measure.")
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self { permutations, scheme, bins } = self;
        key.field("permutations", permutations);
        key.field("scheme", scheme);
        key.field("bins", bins);
        key.seed();
    }

    fn without_effect(&self, _inputs: &[&str]) -> Vec<UnreadOption> {
        self.scheme.without_effect("bins")
    }

    fn check(&self, site: &mut CheckSite<'_>) {
        check_scheme(site, self.scheme, Self::NAME);
    }

    fn check_plan(&self, site: &mut PlanSite<'_>) {
        check_folds(site, self.scheme);
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        rows_of_all_folds(flow, self.scheme);
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let AnyCohort { cohort, is_ordinal, .. } = inputs.one("cohort")?;
        let folds = self.folds(inputs, &cohort)?;
        let labels = labels(&folds);
        let classes = cohort.classes.len();
        let (clean, broken) = measure_each(inputs, &folds, classes, |probabilities| {
            measures(probabilities, &labels, classes, is_ordinal)
        })?;
        let of_order = ORDINAL_MEASURES.iter().filter(|_| is_ordinal);

        outputs.discover(reads(&folds));
        let mut rows = Vec::new();
        for (at, &(name, more)) in MEASURES.iter().chain(of_order).enumerate() {
            let side = if more { 1.0 } else { -1.0 };
            let null: Vec<f64> = broken.iter().map(|measures| side * measures[at]).collect();
            let test = permutation_test(side * clean[at], &null);
            let [gap, null_sd, p] = match &test {
                Ok(test) => {
                    let is_test = Intervention::from(self.scheme).has_p_value();
                    let p = if is_test { test.p_value } else { f64::NAN };
                    [test.gap, test.null_sd.unwrap_or(f64::NAN), p]
                }
                // A measure that these rows do not have.
                Err(_) => [f64::NAN; 3],
            };
            let mean = test.map_or(f64::NAN, |test| side * test.broken);
            let row = MetricRow {
                metric: name.to_owned(),
                better: if more { "higher" } else { "lower" }.to_owned(),
                clean: finite(clean[at]),
                broken: finite(mean),
                gap: finite(gap),
                null_sd: finite(null_sd),
                p_value: finite(p),
                permutations: broken.len() as i64,
                scheme: Intervention::from(self.scheme).name().to_owned(),
            };
            rows.push((Vec::new(), row));
        }
        outputs.put("table", Table { axes: Vec::new(), rows })
    }
}

/// A fold's frozen model with the rows that it is asked about.
pub(super) struct Fold {
    model: OpenModel,
    batch: Batch,
    labels: Vec<u32>,
    broken: Broken,
}

/// The files that the rules of all folds have read.
pub(super) fn reads(folds: &[Fold]) -> impl Iterator<Item = ReadFile> {
    folds.iter().flat_map(|fold| fold.model.reads())
}

/// The labels of the rows of all folds, in the order in which [`measure_each`] pools them.
pub(super) fn labels(folds: &[Fold]) -> Vec<u32> {
    folds.iter().flat_map(|fold| fold.labels.iter().copied()).collect()
}

/// Results of `measure` for the pooled probabilities, rows x classes, under Clean-Q and under every
/// permutation.
pub(super) fn measure_each<T: Send>(
    inputs: &Inputs<'_>,
    folds: &[Fold],
    classes: usize,
    measure: impl Fn(&[f64]) -> Result<T, StageError> + Sync,
) -> Result<(T, Vec<T>), StageError> {
    let count = folds.first().map_or(0, |fold| fold.broken.len());
    let rows: usize = folds.iter().map(|fold| fold.labels.len()).sum();
    let size = ((1 << 19) / (rows * classes).max(1)).clamp(8, 64) as u32;
    let first: Vec<FirstPart> = folds
        .iter()
        .map(|fold| fold.broken.ask_first(&fold.model, &fold.batch, size.min(count)))
        .collect::<Result<_, StageError>>()?;
    for (fold, first) in folds.iter().zip(&first) {
        fold.model.confirm(&fold.batch, &first.clean)?;
    }
    let clean: Vec<f64> = first.iter().flat_map(|first| first.clean.iter().copied()).collect();
    let clean = measure(&clean)?;
    let starts: Vec<u32> = (0..count).step_by(size as usize).collect();
    let broken: Vec<Vec<T>> = starts
        .into_par_iter()
        .map(|start| {
            inputs.keep_going()?;
            let end = count.min(start + size);
            let each = folds
                .iter()
                .zip(&first)
                .map(|(fold, first)| match start {
                    0 => Ok(Cow::Borrowed(&first.predictions)),
                    _ => fold.broken(start..end, classes).map(Cow::Owned),
                })
                .collect::<Result<Vec<_>, StageError>>()?;
            (0..(end - start) as usize)
                .map(|number| {
                    let rows = folds.iter().zip(&each).flat_map(|(fold, each)| {
                        let width = fold.labels.len() * classes;
                        each[number * width..][..width].iter().copied()
                    });
                    measure(&rows.collect::<Vec<f64>>())
                })
                .collect()
        })
        .collect::<Result<_, StageError>>()?;
    Ok((clean, broken.into_iter().flatten().collect()))
}

impl Fold {
    /// Some permutations x rows x classes.
    fn broken(&self, which: std::ops::Range<u32>, classes: usize) -> Result<Vec<f64>, StageError> {
        let mut out = vec![0.0; which.len() * self.labels.len() * classes];
        self.broken.predict(&self.model, &self.batch, which, &mut out)?;
        Ok(out)
    }
}

impl Metrics {
    /// A kind that permutes as this one does.
    pub(super) fn new(permutations: u32, scheme: Scheme, bins: u32) -> Self {
        Self { permutations, scheme, bins }
    }

    /// The frozen models with the rows that each is asked about.
    pub(super) fn folds(
        &self,
        inputs: &Inputs<'_>,
        cohort: &Cohort,
    ) -> Result<Vec<Fold>, StageError> {
        let mut evidence: Vec<Labelled<OptionalEvidence>> = inputs.many("evidence")?;
        let mut quality: Vec<Labelled<Quality>> = inputs.many("quality")?;
        let embeddings: Vec<Labelled<Features>> = inputs.many("embeddings")?;
        let mut tested = vec![false; cohort.len()];
        let models: Vec<Labelled<Model>> = inputs.many("model")?;
        let folds = models
            .into_iter()
            .map(|Labelled { point, artifact: model }| {
                let own_evidence = take(&mut evidence, &point);
                let own_quality = take(&mut quality, &point);
                let mut fusable = Fusable::join(
                    own_evidence.into_iter().map(Ok),
                    own_quality.into_iter().map(Ok),
                    cohort,
                )?;
                fusion::bind(&model, &mut fusable)?;
                // Embeddings need not have an axis of the model: features are the same in every
                // fold unless degraded.
                let own = embeddings.iter().filter(|of| agree(&of.point, &point)).cloned();
                fusion::embeddings::apply(&model, &own.collect::<Vec<_>>(), &mut fusable)?;
                guard::not_fitted_on(&model, cohort, &fusable.rows)?;
                for &row in &fusable.rows {
                    if std::mem::replace(&mut tested[row], true) {
                        return Err(StageError::data(format!(
                            "example {} was tested twice",
                            &cohort.example_id[row]
                        ))
                        .hint("gather folds only: the stage must run over every other axis"));
                    }
                }
                let chosen = vec![true; fusable.modalities.len()];
                let plan = Plan {
                    intervention: self.scheme.into(),
                    permutations: self.permutations,
                    bins: self.bins,
                    seed: inputs.seed(),
                    chosen: &chosen,
                    regression: None,
                };
                let (model, batch) = fusion::open_for(inputs, &model, &fusable)?;
                Ok(Fold {
                    model,
                    batch,
                    labels: fusable.labels(cohort),
                    broken: Broken::new(&plan, &fusable, cohort)?,
                })
            })
            .collect::<Result<_, StageError>>()?;
        let evidence = evidence.iter().map(|of| ("evidence", &of.point));
        let unasked = evidence.chain(quality.iter().map(|of| ("quality", &of.point))).next();
        match unasked {
            None => Ok(folds),
            Some((port, point)) => Err(StageError::data(format!(
                "{port} arrives at {}, and no model to ask about it",
                upstream::place_words(point.iter().map(|(axis, label)| (axis, label)))
            ))
            .hint("let the models of all folds arrive, or select the same of them at each input")),
        }
    }
}

/// Removes the items at a point: those that agree in every axis that both have. An axis of the
/// point that was selected, such as a quality, is none of the evidence.
fn take<T>(all: &mut Vec<Labelled<T>>, point: &Point) -> Vec<Labelled<T>> {
    let (own, rest) =
        std::mem::take(all).into_iter().partition(|labelled| agree(&labelled.point, point));
    *all = rest;
    own
}

/// True if two points have the same label on every axis that both have.
fn agree(one: &Point, other: &Point) -> bool {
    one.iter().all(|(axis, label)| other.iter().all(|(also, other)| axis != also || label == other))
}

/// The measures of pooled rows x classes, in the order of [`MEASURES`], then of
/// [`ORDINAL_MEASURES`] where the classes have an order; NaN where one is undefined.
fn measures(
    probabilities: &[f64],
    labels: &[u32],
    classes: usize,
    is_ordinal: bool,
) -> Result<Vec<f64>, StageError> {
    let defined = |found: Result<f64, MetricError>| match found {
        Err(MetricError::Undefined { .. }) => Ok(f64::NAN),
        found => found,
    };
    let of = || -> Result<Vec<f64>, MetricError> {
        let confusion = Confusion::from_decisions(
            labels,
            &metrics::decisions(probabilities, classes)?,
            classes,
        )?;
        let auroc = metrics::auroc_one_against_rest(probabilities, labels, classes);
        let mut found = vec![
            confusion.balanced_accuracy()?,
            confusion.macro_f1()?,
            defined(auroc)?,
            metrics::log_loss(probabilities, labels)?,
            metrics::brier(probabilities, labels)?,
        ];
        if is_ordinal {
            found.push(confusion.rank_error()?);
            found.push(defined(confusion.quadratic_kappa())?);
        }
        Ok(found)
    };
    of().map_err(|error| StageError::data(error.to_string()))
}
