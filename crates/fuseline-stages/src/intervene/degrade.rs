//! `intervene.degrade`: the features of test examples get worse.

use std::collections::BTreeMap;

use arrow::array::{Array, Float64Array};
use fuseline_artifact::{AnyCohort, ArtifactKind, Cohort, Features, Folds};
use fuseline_engine::{
    CheckSite, Inputs, KeyWriter, Outputs, PlanSite, Ports, Problem, RowFlow, Rows, StageError,
    StageKind,
};
use fuseline_learn::standardise::standard_deviation;
use fuseline_stats::streams::Stream;
use fuseline_workflow::Role;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::expert::modality;
use crate::intervene::hit;
use crate::rows::{Finder, fold_of_rows, no_column};
use crate::split::some_tested;
use crate::upstream::check_modality_names;

/// Makes the features of the test rows of one fold worse; those of the training rows stay as they
/// are, so that an expert fitted on them is the expert of the intact study.
///
/// Severities are in standard deviations of each feature over the training rows, except for
/// `dropout`. Missing values stay missing.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Degrade {
    /// The fold whose examples are tested; they alone are degraded.
    test_fold: i32,
    /// Degradation of a feature.
    #[serde(default)]
    by: By,
    /// Severity of the degradation; 0 leaves the features as they are.
    #[schemars(range(min = 0.0))]
    severity: f64,
    /// Modalities that are degraded; all of them when left out.
    #[serde(default)]
    modalities: Option<Vec<String>>,
    /// Columns that stay as they are, such as one that is the quality.
    #[serde(default)]
    exclude: Vec<String>,
    /// Name of the modality; the label of the axis `modality` when left out.
    #[serde(default)]
    modality: Option<String>,
}

/// Degradation of a feature.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// Normal noise of `severity` standard deviations is added to each value.
    #[default]
    Noise,
    /// A share `severity` of the values goes missing, each on its own.
    Dropout,
    /// Each feature of a group moves away in a direction of its own, from nothing at the group's
    /// first example to `severity` standard deviations (root mean square) at its last, in the order
    /// of the cohort.
    Drift,
}

impl StageKind for Degrade {
    const NAME: &'static str = "intervene.degrade";
    const REVISION: u32 = 1;
    const TAKES_NUMBERS: bool = true;
    const SUMMARY: &'static str =
        "The features of test examples get worse: noise, dropout or drift, at a stated severity.";

    fn ports() -> Ports {
        Ports::new()
            .one("features", ArtifactKind::Features, Role::Fit, "The features of one modality.")
            .one(
                "cohort",
                ArtifactKind::Cohort,
                Role::Neutral,
                "The examples, for groups and their order.",
            )
            .one(
                "folds",
                ArtifactKind::Folds,
                Role::Neutral,
                "The fold in which each example is tested.",
            )
            .output("features", ArtifactKind::Features, "The same, with worse test rows.")
            .reads_point()
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self { test_fold, by, severity, modalities, exclude, modality } = self;
        key.field("test_fold", test_fold);
        key.field("by", by);
        key.field("severity", severity);
        key.field("modalities", modalities);
        key.field("exclude", exclude);
        key.field("modality", modality);
        key.seed();
    }

    fn check(&self, site: &mut CheckSite<'_>) {
        if self.by == By::Dropout && self.severity > 1.0 {
            site.report(Problem::new("severity", "a share of values lies between 0 and 1"));
        }
    }

    fn check_plan(&self, site: &mut PlanSite<'_>) {
        check_modality_names(site, "modalities", self.modalities.as_deref().unwrap_or(&[]));
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        let train = Rows::train(flow.fold("folds", self.test_fold.into()));
        flow.fit("features", &train);
        // By their values: labels are not read.
        let features = flow.pass("features", "features");
        features.shaped_by = features.shaped_by.union(&train);
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let mut features: Features = inputs.one("features")?;
        let modality = modality(self.modality.as_deref(), inputs);
        if let Some(unknown) = self
            .exclude
            .iter()
            .find(|name| features.columns.iter().all(|(known, _)| known != *name))
        {
            return Err(no_column(&features, unknown).at("exclude"));
        }
        if self.severity == 0.0 || !hit(self.modalities.as_ref(), &modality) {
            return outputs.put("features", features);
        }
        let cohort = inputs.one::<AnyCohort>("cohort")?.cohort;
        let fold = fold_of_rows(&cohort, &inputs.one::<Folds>("folds")?)?;
        let (test, train) = self.sides(&features, &cohort, &fold)?;
        for (name, values) in &mut features.columns {
            if !self.exclude.contains(name) {
                *values = self.worse(name, values, &test, &train, inputs.seed(), &modality);
            }
        }
        outputs.put("features", features)
    }
}

/// A test row: its row in the features, and its position in its group, from 0 to 1.
struct TestRow<'c> {
    row: usize,
    id: &'c str,
    group: &'c str,
    elapsed: f64,
}

impl Degrade {
    /// The test rows, and the places of the training rows in the features.
    fn sides<'c>(
        &self,
        features: &Features,
        cohort: &'c Cohort,
        fold: &[i32],
    ) -> Result<(Vec<TestRow<'c>>, Vec<usize>), StageError> {
        let mut place = Finder::new(&features.example_id);
        let mut size = BTreeMap::<&str, u32>::new();
        for group in cohort.group.iter() {
            *size.entry(group).or_default() += 1;
        }
        let mut passed = BTreeMap::<&str, u32>::new();
        let (mut test, mut train) = (Vec::new(), Vec::new());
        for (at, (id, group)) in cohort.example_id.iter().zip(cohort.group.iter()).enumerate() {
            let passed = passed.entry(group).or_default();
            let last = size.get(group).map_or(1, |size| size.saturating_sub(1).max(1));
            let elapsed = f64::from(*passed) / f64::from(last);
            *passed += 1;
            match place.find(id) {
                Some(row) if fold[at] == self.test_fold => {
                    test.push(TestRow { row, id, group, elapsed });
                }
                Some(row) => train.push(row),
                None => {}
            }
        }
        some_tested(self.test_fold, fold)?;
        if test.is_empty() {
            return Err(StageError::data(format!(
                "the features have none of the examples that are tested in fold {}",
                self.test_fold
            ))
            .hint("compare the example_ids of the features and the cohort"));
        }
        Ok((test, train))
    }

    fn worse(
        &self,
        name: &str,
        values: &Float64Array,
        test: &[TestRow<'_>],
        train: &[usize],
        seed: u64,
        modality: &str,
    ) -> Float64Array {
        let stream = |of: &str| {
            Stream::new(seed, Self::NAME)
                .with(modality.as_bytes())
                .with(name.as_bytes())
                .with(of.as_bytes())
        };
        let size = self.severity * spread(values, train);
        let mut worse: Vec<Option<f64>> = values.iter().collect();
        for TestRow { row, id, group, elapsed } in test {
            worse[*row] = worse[*row].and_then(|value| match self.by {
                By::Noise => Some(value + size * stream(id).normal()),
                By::Dropout => (stream(id).uniform() >= self.severity).then_some(value),
                By::Drift => Some(value + size * elapsed * stream(group).normal()),
            });
        }
        worse.into()
    }
}

/// Population standard deviation of the finite values of some rows; 0 when there are none.
fn spread(values: &Float64Array, rows: &[usize]) -> f64 {
    let there = rows.iter().filter(|&&row| values.is_valid(row)).map(|&row| values.value(row));
    standard_deviation(there.filter(|value| value.is_finite()))
}
