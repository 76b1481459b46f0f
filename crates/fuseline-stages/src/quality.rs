//! `quality.*`: how reliable each modality is said to be, example by example.
//!
//! All members share their ports, so that `uses: quality.${{ quality }}` checks; each reads only
//! what it needs, and more always means more reliable. Those that are fitted give training rows
//! quality out of fold, over the inner folds of the expert: see `put_fitted`.

use fuseline_artifact::{
    AnyCohort, AnyEvidence, ArtifactKind, Cohort, Control, Evidence, Features, OptionalEvidence,
    Quality, Typed,
};
use fuseline_engine::{
    CheckSite, Inputs, KeyWriter, Outputs, PlanSite, PlannedAction, Ports, Problem, RowFlow,
    StageError, StageKind,
};
use fuseline_stats::streams::Stream;
use fuseline_workflow::{Arity, Role};
use rayon::prelude::*;

use crate::expert::{divide_by_group, inner_folds};
use crate::rows::{cohort_rows, rows_among};
use crate::upstream::check_modality_names;

/// Makes the stage kind of a quality that is a formula of a row's probabilities: its options are none
/// and its documentation is what `fuseline stages` prints.
macro_rules! quality_of_probabilities {
    ($(#[$doc:meta])+ $kind:ident, $name:literal, $summary:literal, $formula:path) => {
        $(#[$doc])+
        #[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $kind {}

        impl fuseline_engine::StageKind for $kind {
            const NAME: &'static str = concat!("quality.", $name);
            const REVISION: u32 = 1;
            const SUMMARY: &'static str = $summary;

            fn ports() -> fuseline_engine::Ports {
                super::ports(&["evidence_train", "evidence_test"])
            }

            fn key(&self, _: &mut fuseline_engine::KeyWriter<'_>) {
                let Self {} = self;
            }

            fn check_plan(&self, site: &mut fuseline_engine::PlanSite<'_>) {
                crate::upstream::check_experts(site, "evidence_test");
            }

            fn rows(&self, flow: &mut fuseline_engine::RowFlow<'_>) {
                super::rows(flow);
            }

            fn run(
                &self,
                inputs: &fuseline_engine::Inputs<'_>,
                outputs: &mut fuseline_engine::Outputs,
            ) -> Result<(), fuseline_engine::StageError> {
                super::put_formula(inputs, outputs, $name, $formula)
            }
        }
    };
}

pub mod aligned;
pub mod class_cue;
pub mod column;
pub mod conflict;
pub mod conformal_set_size;
pub mod constant;
pub mod energy;
mod ensemble;
pub mod ensemble_variance;
pub mod entropy;
pub mod evidential;
pub mod held;
pub mod in_distribution;
pub mod knn;
mod logits;
pub mod mahalanobis;
pub mod margin;
pub mod max_probability;
pub mod missingness;
pub mod mutual_information;
pub mod random;
pub mod relative;
mod scale;
pub mod tcp;

/// The ports of the family. Those not among `reads` are declared and not read.
pub(crate) fn ports(reads: &[&str]) -> Ports {
    ports_with(reads, &[])
}

/// As [`ports`]; those among `may_read` are read where they are given.
pub(crate) fn ports_with(reads: &[&str], may_read: &[&str]) -> Ports {
    let family = [
        ("evidence_train", ArtifactKind::Evidence, Role::Fit, "Evidence of the training rows."),
        ("evidence_test", ArtifactKind::Evidence, Role::Apply, "Evidence of the test rows."),
        ("features", ArtifactKind::Features, Role::Neutral, "The features of the modality."),
        ("cohort", ArtifactKind::Cohort, Role::Neutral, "The examples with their labels."),
        ("folds", ArtifactKind::Folds, Role::Neutral, "The fold in which each example is tested."),
    ];
    let of_all = [
        (
            "all_train",
            ArtifactKind::Evidence,
            Role::Fit,
            "Evidence of the training rows by all modalities: `expert.train[modality=a|b]`.",
        ),
        (
            "all_test",
            ArtifactKind::Evidence,
            Role::Apply,
            "Evidence of the test rows by all modalities: `expert.test[modality=a|b]`.",
        ),
        (
            "qualities_train",
            ArtifactKind::Quality,
            Role::Fit,
            "Another quality of the training rows, of all modalities.",
        ),
        (
            "qualities_test",
            ArtifactKind::Quality,
            Role::Apply,
            "Another quality of the test rows, of all modalities.",
        ),
    ];
    let family = family.map(|port| (Arity::One, port)).into_iter();
    let mut ports = Ports::new();
    for (arity, (name, artifact, role, doc)) in family.chain(of_all.map(|port| (Arity::Many, port)))
    {
        ports = match arity {
            Arity::One => ports.one(name, artifact, role, doc),
            Arity::Many => ports.many(name, artifact, role, doc),
        };
        if may_read.contains(&name) {
            ports = ports.optional();
        } else if !reads.contains(&name) {
            ports = ports.unread();
        }
    }
    ports.output("train", ArtifactKind::Quality, "Quality of the training rows.").output(
        "test",
        ArtifactKind::Quality,
        "Quality of the test rows.",
    )
}

/// The outputs hold the rows of the evidence, and were shaped by what shaped it.
pub(crate) fn rows(flow: &mut RowFlow<'_>) {
    flow.two_sides("evidence_train", "evidence_test");
    flow.pass("evidence_train", "train");
    flow.pass("evidence_test", "test");
}

/// As [`rows`], and what arrives at `port` is fitted on, on the training rows.
pub(crate) fn fitted_rows(flow: &mut RowFlow<'_>, port: &str) {
    flow.two_sides("evidence_train", "evidence_test");
    let fitted = flow.input("evidence_train").holds;
    flow.fit(port, &fitted);
    for (input, output) in [("evidence_train", "train"), ("evidence_test", "test")] {
        let state = flow.pass(input, output);
        *state = std::mem::take(state).taught(&fitted);
    }
}

/// As [`rows`], of what is computed from the rows of all modalities at `train` and `test`.
pub(crate) fn rows_beside(flow: &mut RowFlow<'_>, train: &str, test: &str) {
    flow.two_sides("evidence_train", "evidence_test");
    flow.pass_beside("evidence_train", train, "train");
    flow.pass_beside("evidence_test", test, "test");
}

/// True if a finding is one of a control, as far as the plan tells.
pub(crate) fn is_control(finding: PlannedAction<'_>) -> bool {
    let controls = [
        aligned::Aligned::NAME,
        class_cue::ClassCue::NAME,
        constant::Constant::NAME,
        random::Random::NAME,
    ];
    finding.inputs("quality").any(|quality| controls.contains(&quality.kind_name()))
}

/// Metadata of every member.
pub(crate) struct Source {
    /// The last part of the kind's name.
    pub name: &'static str,
    /// Control: condition of the study, positive or negative control.
    pub control: Control,
    /// True if quality is a function of the evidence alone: a plain permutation then makes pairs
    /// that cannot occur.
    pub evidence_derived: bool,
}

/// Type as which an estimator reads evidence: [`Evidence`] where it needs the probabilities,
/// [`OptionalEvidence`] where the rows are enough, [`AnyEvidence`] where those of a label that is a
/// number will do, too.
pub(crate) trait EvidenceInput: Typed {
    /// The rows. The probabilities of [`OptionalEvidence`] may say nothing.
    fn into_rows(self) -> Evidence;
}

impl EvidenceInput for Evidence {
    fn into_rows(self) -> Self {
        self
    }
}

impl EvidenceInput for OptionalEvidence {
    fn into_rows(self) -> Evidence {
        self.rows
    }
}

impl EvidenceInput for AnyEvidence {
    fn into_rows(self) -> Evidence {
        self.0.rows
    }
}

/// Gives the quality of the training and of the test rows, of evidence that is probabilities.
pub(crate) fn put(
    inputs: &Inputs<'_>,
    outputs: &mut Outputs,
    source: &Source,
    mut quality: impl FnMut(&Evidence) -> Result<Vec<f64>, StageError>,
) -> Result<(), StageError> {
    put_sides::<Evidence>(inputs, outputs, source, |_, evidence| quality(evidence))
}

/// As [`put`], of estimators that need the rows and no evidence, whether the label is a class or a
/// number.
pub(crate) fn put_rows(
    inputs: &Inputs<'_>,
    outputs: &mut Outputs,
    source: &Source,
    mut quality: impl FnMut(&Evidence) -> Result<Vec<f64>, StageError>,
) -> Result<(), StageError> {
    put_sides::<AnyEvidence>(inputs, outputs, source, |_, rows| quality(rows))
}

/// As [`put`]; `quality` is told the side too, `train` or `test`. `E`: the evidence that is needed.
pub(crate) fn put_sides<E: EvidenceInput>(
    inputs: &Inputs<'_>,
    outputs: &mut Outputs,
    source: &Source,
    mut quality: impl FnMut(&str, &Evidence) -> Result<Vec<f64>, StageError>,
) -> Result<(), StageError> {
    for (input, side) in [("evidence_train", "train"), ("evidence_test", "test")] {
        let evidence = inputs.one::<E>(input)?.into_rows();
        let quality = quality(side, &evidence)?;
        outputs.put(side, source.quality(evidence, quality))?;
    }
    Ok(())
}

impl Source {
    fn quality(&self, evidence: Evidence, quality: Vec<f64>) -> Quality {
        Quality {
            modality: evidence.modality,
            source: self.name.to_owned(),
            control: self.control,
            evidence_derived: self.evidence_derived,
            example_id: evidence.example_id,
            quality: quality.into(),
        }
    }
}

/// Gives the quality of the training and of the test rows by an estimator that is fitted, as
/// evidence is given: test rows by one that is fitted on all training rows, those of an inner fold
/// by one that is fitted on the other inner folds. A fusion rule is then fitted on qualities like
/// those that it is asked about.
///
/// `fit` is given evidence of the rows to fit on, and gives what estimates the quality of others.
/// `E`: the evidence that is needed.
pub(crate) fn put_fitted<E: EvidenceInput, Q>(
    inputs: &Inputs<'_>,
    outputs: &mut Outputs,
    source: &Source,
    inner_folds: Option<u32>,
    fit: impl Fn(&Evidence) -> Result<Q, StageError> + Sync,
) -> Result<(), StageError>
where
    Q: Fn(&Evidence) -> Result<Vec<f64>, StageError>,
{
    let training = inputs.one::<E>("evidence_train")?.into_rows();
    let test = inputs.one::<E>("evidence_test")?.into_rows();
    let inner = inner_fold_of_rows(inputs, &training, inner_folds)?;
    let folds = inner.iter().max().map_or(0, |last| last + 1);
    let parts = (0..folds).into_par_iter().map(|part| {
        inputs.keep_going()?;
        let (own, others): (Vec<usize>, Vec<usize>) =
            (0..inner.len()).partition(|&row| inner[row] == part);
        if own.is_empty() {
            return Ok((own, Vec::new()));
        }
        if others.is_empty() {
            return Err(StageError::data(format!(
                "all training rows of modality {} are in one inner fold: none is left to fit on",
                training.modality
            ))
            .hint("say inner_folds, to divide the rows anew"));
        }
        let quality = fit(&training.take(&others))?(&training.take(&own))?;
        Ok((own, quality))
    });
    let parts = parts.collect::<Result<Vec<_>, StageError>>()?;
    let tested = fit(&training)?(&test)?;
    let mut trained = vec![0.0; inner.len()];
    for (row, quality) in
        parts.into_iter().flat_map(|(rows, quality)| rows.into_iter().zip(quality))
    {
        trained[row] = quality;
    }
    outputs.put("train", source.quality(training, trained))?;
    outputs.put("test", source.quality(test, tested))
}

/// Reports inner folds that are asked for where there are no groups to divide.
pub(crate) fn check_inner_folds(site: &mut CheckSite<'_>, inner_folds: Option<u32>) {
    if inner_folds.is_some() && !site.inputs.contains(&"cohort") {
        let message = "the groups of a cohort are divided, and the stage is given none";
        let hint = "give it the cohort, or leave inner_folds out: those of the expert count then";
        site.report(Problem::new("inner_folds", message).hint(hint));
    }
}

/// The inner fold of each training row: as the evidence says it, unless `folds` says over how many
/// the groups are to be divided. Where the evidence does not say, over as many as an expert would.
fn inner_fold_of_rows(
    inputs: &Inputs<'_>,
    training: &Evidence,
    folds: Option<u32>,
) -> Result<Vec<u32>, StageError> {
    if let (None, Some(inner)) = (folds, &training.inner_fold) {
        return Ok(inner.clone());
    }
    let cohort: AnyCohort = inputs.optional("cohort")?.ok_or_else(|| {
        StageError::data(format!(
            "the training evidence of modality {} does not say its inner folds, and without a \
             cohort there are no groups to divide",
            training.modality
        ))
        .hint("give the stage the cohort: `inputs: { cohort: ... }`")
    })?;
    let cohort = cohort.cohort;
    let rows = cohort_rows(training, &cohort)?;
    divide_by_group(&cohort.group.take(rows.into_iter()), folds.unwrap_or_else(inner_folds))
}

/// An error when no other modality is there to compare with.
fn some_others(others: usize, port: &str, modality: &str) -> Result<(), StageError> {
    if others > 0 {
        return Ok(());
    }
    Err(StageError::data(format!("nothing but modality {modality} itself arrives at {port}"))
        .hint("select all modalities, as in `[modality=a|b]`: an axis that is shared is matched"))
}

/// The probabilities of each row.
pub(crate) fn each_row(evidence: &Evidence) -> std::slice::ChunksExact<'_, f64> {
    evidence.probabilities.chunks_exact(evidence.classes.len())
}

/// The row of the features for each row of evidence.
pub(crate) fn raw_rows(evidence: &Evidence, features: &Features) -> Result<Vec<usize>, StageError> {
    rows_among(evidence, &features.example_id, "features").map_err(|error| match error.hint {
        Some(_) => error,
        None => error.hint("give the features that the expert was given"),
    })
}

/// Standard normal noise of each row. It is drawn per example, so that an example's noise is the
/// same in every fold and whatever other examples there are. Draw 0 is the noise that there was
/// before there were others.
pub(crate) fn noise<'e>(
    seed: u64,
    purpose: &'static str,
    draw: u32,
    evidence: &'e Evidence,
) -> impl Iterator<Item = f64> + 'e {
    evidence.example_id.iter().map(move |id| {
        let stream =
            Stream::new(seed, purpose).with(evidence.modality.as_bytes()).with(id.as_bytes());
        if draw == 0 { stream } else { stream.with_u64(draw.into()) }.normal()
    })
}

/// Gives a quality that is a formula of each row's probabilities.
fn put_formula(
    inputs: &Inputs<'_>,
    outputs: &mut Outputs,
    name: &'static str,
    formula: fn(&[f64]) -> f64,
) -> Result<(), StageError> {
    let source = Source { name, control: Control::Native, evidence_derived: true };
    put(inputs, outputs, &source, |evidence| Ok(each_row(evidence).map(formula).collect()))
}

/// A positive control: the known value of each row, times `alpha`, plus normal noise of sd 0.25.
struct PositiveControl<'o> {
    /// Its name without the family.
    name: &'static str,
    /// The name of its stage kind, which its noise is drawn under.
    kind: &'static str,
    alpha: f64,
    /// The modalities whose quality carries it; all of them when none are named.
    modalities: Option<&'o [String]>,
    draw: u32,
    scale: scale::Scale<'o>,
}

/// Noise added to a positive control.
const CONTROL_NOISE: f64 = 0.25;

impl PositiveControl<'_> {
    /// Gives its quality. `E`: the evidence that is needed; `known`: what is known of a row by its
    /// class probabilities and the number of its label, of `classes` classes.
    fn put<E: EvidenceInput>(
        &self,
        inputs: &Inputs<'_>,
        outputs: &mut Outputs,
        known: impl Fn(&[f64], u32, usize) -> f64,
    ) -> Result<(), StageError> {
        let cohort: Cohort = inputs.one("cohort")?;
        let source =
            Source { name: self.name, control: Control::Positive, evidence_derived: false };
        let mut quantiles = None;
        put_sides::<E>(inputs, outputs, &source, |_, evidence| {
            let labels = cohort_rows(evidence, &cohort)?.into_iter().map(|row| cohort.label[row]);
            let alpha = self.strength(evidence);
            let noise = noise(inputs.seed(), self.kind, self.draw, evidence);
            let control = each_row(evidence)
                .zip(labels)
                .zip(noise)
                .map(|((probabilities, label), noise)| {
                    alpha * known(probabilities, label, cohort.classes.len())
                        + CONTROL_NOISE * noise
                })
                .collect();
            self.scale.apply(inputs, evidence, control, &mut quantiles)
        })
    }

    /// The same where the label is a number. `values`: that of each row of the cohort; `known`: what
    /// is known of a row by what its expert expects and its label.
    fn put_numbers(
        &self,
        inputs: &Inputs<'_>,
        outputs: &mut Outputs,
        cohort: &Cohort,
        values: &[f64],
        known: impl Fn(f64, f64) -> f64,
    ) -> Result<(), StageError> {
        let source =
            Source { name: self.name, control: Control::Positive, evidence_derived: false };
        let mut quantiles = None;
        put_sides::<AnyEvidence>(inputs, outputs, &source, |_, evidence| {
            let labels = cohort_rows(evidence, cohort)?.into_iter().map(|row| values[row]);
            let alpha = self.strength(evidence);
            let noise = noise(inputs.seed(), self.kind, self.draw, evidence);
            let control = evidence
                .probabilities
                .iter()
                .zip(labels)
                .zip(noise)
                .map(|((expected, label), noise)| {
                    alpha * known(*expected, label) + CONTROL_NOISE * noise
                })
                .collect();
            self.scale.apply(inputs, evidence, control, &mut quantiles)
        })
    }

    /// Its strength in a modality.
    fn strength(&self, evidence: &Evidence) -> f64 {
        let told = self.modalities.is_none_or(|told| told.contains(&evidence.modality));
        if told { self.alpha } else { 0.0 }
    }

    /// Keys the options; that of the first draw is what it was before there were others.
    fn key(&self, key: &mut KeyWriter<'_>) {
        key.field("alpha", &self.alpha);
        key.field("modalities", &self.modalities);
        key_draw(key, self.draw);
        self.scale.key(key);
        key.seed();
    }

    fn check(&self, site: &mut CheckSite<'_>) {
        if !self.alpha.is_finite() {
            site.report(Problem::new("alpha", "a finite number is needed"));
        }
        self.scale.check(site);
    }

    fn check_plan(&self, site: &mut PlanSite<'_>) {
        check_modality_names(site, "modalities", self.modalities.unwrap_or(&[]));
    }

    /// It reads the labels of the test rows, so that nothing which it shapes is a native condition.
    fn rows(&self, flow: &mut RowFlow<'_>) {
        let fitted = self.scale.measured.map(|_| {
            let rows = flow.input("evidence_train").holds;
            flow.fit("features", &rows);
            rows
        });
        flow.two_sides("evidence_train", "evidence_test");
        for (input, output) in [("evidence_train", "train"), ("evidence_test", "test")] {
            let state = flow.pass(input, output);
            if let Some(fitted) = &fitted {
                *state = std::mem::take(state).taught(fitted);
            }
            state.control = true;
        }
    }
}

/// Keys which of several draws of noise it is.
fn key_draw(key: &mut KeyWriter<'_>, draw: u32) {
    if draw > 0 {
        key.field("draw", &draw);
    }
}

#[cfg(test)]
mod tests;
