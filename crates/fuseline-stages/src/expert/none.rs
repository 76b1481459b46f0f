//! `expert.none`: a modality that no expert rates.

use fuseline_artifact::{ArtifactKind, Cohort, Features, OptionalEvidence};
use fuseline_engine::{
    CheckSite, Inputs, KeyWriter, Outputs, Ports, RowFlow, StageError, StageKind,
};
use fuseline_workflow::Role;
use schemars::JsonSchema;
use serde::Deserialize;

use super::calibration::Calibration;
use super::external::External;
use super::{ClassWeight, FOLDS, Row, Sides};
use crate::fitted_on::FittedOn;
use crate::rows::{Finder, fold_of_rows};

/// Stands where a modality has no expert: for models that take its embedding and its quality and
/// decide end to end.
///
/// It gives the rows of the modality and no evidence: those of the cohort that the features have,
/// or all of the cohort where there are no features. A model that is asked about them is shown to
/// ignore evidence, and refused where it does not. What needs evidence is refused (`margin`,
/// `entropy`, `aligned`, the schemes `conditional`, `within_correct` and `conditional_residual`) or
/// left out and said so (headroom, the oracle, the best expert, alignment).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoExpert {
    /// The fold whose examples are tested; without it, and without folds, all of the cohort: the
    /// test rows of a frozen model, with nothing to train on.
    #[serde(default)]
    test_fold: Option<i32>,
    /// Name of the modality; the label of the axis `modality` when left out.
    #[serde(default)]
    modality: Option<String>,
}

impl StageKind for NoExpert {
    const NAME: &'static str = "expert.none";
    const REVISION: u32 = 1;
    const SUMMARY: &'static str =
        "The rows of a modality without an expert, for end-to-end models.";

    fn ports() -> Ports {
        Ports::new()
            .one(
                "features",
                ArtifactKind::Features,
                Role::Neutral,
                "The features of one modality, for which examples have it.",
            )
            .optional()
            .one("cohort", ArtifactKind::Cohort, Role::Fit, "The examples with group and label.")
            .one("folds", ArtifactKind::Folds, Role::Neutral, FOLDS)
            .optional()
            .output("train", ArtifactKind::Evidence, "The training rows, without evidence.")
            .output("test", ArtifactKind::Evidence, "The test rows, without evidence.")
            .reads_point()
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self { test_fold, modality } = self;
        key.field("test_fold", test_fold);
        key.field("modality", modality);
    }

    fn check(&self, site: &mut CheckSite<'_>) {
        self.external().check(site);
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        self.external().rows(flow, Some("features"));
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let cohort: Cohort = inputs.one("cohort")?;
        // No column is needed: which examples there are says which have the modality.
        let features: Option<Features> =
            inputs.columns("features", &[])?.pop().map(|labelled| labelled.artifact);
        let mut place = features.as_ref().map(|features| Finder::new(&features.example_id));
        let found = |row: usize| match &mut place {
            Some(place) => place.find(&cohort.example_id[row]),
            None => Some(row),
        };
        let test_fold = self.test_fold.unwrap_or_default();
        let fold = match self.test_fold {
            Some(_) => fold_of_rows(&cohort, &inputs.one("folds")?)?,
            None => vec![test_fold; cohort.len()],
        };
        let sides = Sides::new(&cohort, &fold, test_fold, 0, found)?;
        let modality = super::modality(self.modality.as_deref(), inputs);
        if sides.test.is_empty() {
            return Err(StageError::data(format!(
                "none of the {} test examples is in the features of modality {modality}",
                sides.all.1
            ))
            .hint("compare the example_ids of the cohort and of the features"));
        }
        let rows = |rows: &[Row]| {
            let ids = super::ids(&cohort.example_id, rows);
            OptionalEvidence::unrated(modality.clone(), cohort.classes.clone(), ids)
        };
        outputs.put("train", rows(&sides.train))?;
        outputs.put("test", rows(&sides.test))
    }
}

impl NoExpert {
    fn external(&self) -> External<'_> {
        External {
            test_fold: self.test_fold,
            fitted_on: Some(&FittedOn::External),
            modality: self.modality.as_deref(),
            calibration: Calibration::None,
            inner_folds: 0,
            class_weight: ClassWeight::None,
        }
    }
}
