//! `simulate.features`: class-conditional Gaussian features whose noise is known, example by
//! example.

use arrow::array::{Float64Array, Float64Builder};
use fuseline_artifact::{AnyCohort, ArtifactKind, Features};
use fuseline_engine::{Inputs, KeyWriter, Outputs, Ports, RowFlow, Rows, StageError, StageKind};
use fuseline_stats::streams::Stream;
use fuseline_workflow::Role;
use schemars::JsonSchema;
use serde::Deserialize;

/// Simulates one modality of a cohort.
///
/// Every example has a latent quality q, standard normal. Its features are the mean of its class
/// plus the offset of its group plus normal noise of sd exp(-`noise_spread` q), so that low quality
/// means a low signal-to-noise ratio. Where the label is a number, a random direction of length
/// `strength` times the label stands for the mean of the class. The column `quality` is what is observed of q: its
/// correlation with q is `fidelity`. All draws are made per example from the workflow's seed, the
/// modality and the example_id, whatever the options, so that two settings differ in nothing but
/// what the options change.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SimulateFeatures {
    /// Number of features, besides the column `quality`.
    #[serde(default = "ten")]
    #[schemars(range(min = 1, max = 100_000))]
    features: u32,
    /// Root mean square distance of the class means from their centre, in sd of the noise at q = 0.
    #[serde(default = "one")]
    #[schemars(range(min = 0.0))]
    strength: f64,
    /// Spread of the noise between examples: sd of its logarithm.
    #[serde(default = "one")]
    #[schemars(range(min = 0.0))]
    noise_spread: f64,
    /// Sd of the groups' offsets, in sd of the noise at q = 0.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    group_spread: f64,
    /// Correlation of the observed quality with the latent one.
    #[serde(default = "one")]
    #[schemars(range(min = 0.0, max = 1.0))]
    fidelity: f64,
    /// Share of the examples that have the modality at all.
    #[serde(default = "one")]
    #[schemars(range(min = 0.0, max = 1.0))]
    available: f64,
    /// Share of the cells that are missing.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0))]
    missing: f64,
    /// Name of the modality, which its random numbers depend on; the label of the axis `modality`
    /// when left out.
    #[serde(default)]
    modality: Option<String>,
}

fn ten() -> u32 {
    10
}

fn one() -> f64 {
    1.0
}

impl StageKind for SimulateFeatures {
    const NAME: &'static str = "simulate.features";
    const REVISION: u32 = 1;
    const TAKES_NUMBERS: bool = true;
    const SUMMARY: &'static str =
        "Makes up Gaussian features of one modality, with a known quality per example.";

    fn ports() -> Ports {
        Ports::new()
            .one(
                "cohort",
                ArtifactKind::Cohort,
                Role::Neutral,
                "The examples with group and label.",
            )
            .output("features", ArtifactKind::Features, "The features, and the column `quality`.")
            .reads_point()
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self {
            features,
            strength,
            noise_spread,
            group_spread,
            fidelity,
            available,
            missing,
            modality,
        } = self;
        key.field("features", features);
        key.field("strength", strength);
        key.field("noise_spread", noise_spread);
        key.field("group_spread", group_spread);
        key.field("fidelity", fidelity);
        key.field("available", available);
        key.field("missing", missing);
        key.field("modality", modality);
        key.seed();
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        let cohort = flow.input("cohort");
        flow.output("features", cohort.holds, Rows::none());
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let cohort: AnyCohort = inputs.one("cohort")?;
        let modality = crate::expert::modality(self.modality.as_deref(), inputs);
        outputs.put("features", self.simulate(&cohort, inputs.seed(), &modality))
    }
}

impl SimulateFeatures {
    fn simulate(&self, of: &AnyCohort, seed: u64, modality: &str) -> Features {
        let AnyCohort { cohort, values, .. } = of;
        let stream = |what: &str, name: &str| {
            Stream::new(seed, Self::NAME)
                .with(what.as_bytes())
                .with(modality.as_bytes())
                .with(name.as_bytes())
        };
        let width = self.features as usize;
        let means = self.class_means(&cohort.classes, |class| stream("class", class));
        let mut present = Vec::new();
        let mut observed_quality = Vec::new();
        let mut columns: Vec<_> =
            (0..width).map(|_| Float64Builder::with_capacity(cohort.example_id.len())).collect();
        for (row, label) in cohort.label.iter().enumerate() {
            let (id, group) = (&cohort.example_id[row], &cohort.group[row]);
            let mut draw = stream("example", id);
            let mut offset = stream("group", group);
            let absent = draw.uniform() >= self.available;
            let latent = draw.normal();
            let blur = draw.normal();
            if absent {
                continue;
            }
            present.push(row);
            observed_quality
                .push(self.fidelity * latent + (1.0 - self.fidelity * self.fidelity).sqrt() * blur);
            let noise_sd = libm::exp(-self.noise_spread * latent);
            let factor = values.as_ref().map_or(1.0, |values| values[row]);
            for (column, mean) in columns.iter_mut().zip(&means[*label as usize]) {
                let value =
                    factor * mean + self.group_spread * offset.normal() + noise_sd * draw.normal();
                column.append_option((draw.uniform() >= self.missing).then_some(value));
            }
        }
        let named = columns
            .into_iter()
            .enumerate()
            .map(|(at, mut column)| (format!("x{at}"), column.finish()));
        Features {
            example_id: cohort.example_id.take(present.into_iter()),
            columns: named
                .chain([("quality".to_owned(), Float64Array::from(observed_quality))])
                .collect(),
        }
    }

    /// Random directions, centred, at a root mean square distance of `strength` from their centre; a
    /// single one from 0.
    fn class_means(&self, classes: &[String], stream: impl Fn(&str) -> Stream) -> Vec<Vec<f64>> {
        let width = self.features as usize;
        let mut means: Vec<Vec<f64>> = classes
            .iter()
            .map(|class| {
                let mut draw = stream(class);
                (0..width).map(|_| draw.normal()).collect()
            })
            .collect();
        let count = classes.len() as f64;
        let centred = if classes.len() > 1 { 0..width } else { 0..0 };
        for at in centred {
            let centre = means.iter().map(|mean| mean[at]).sum::<f64>() / count;
            means.iter_mut().for_each(|mean| mean[at] -= centre);
        }
        let square: f64 = means.iter().flatten().map(|value| value * value).sum::<f64>() / count;
        let scale = self.strength / square.sqrt();
        means.iter_mut().flatten().for_each(|value| *value *= scale);
        means
    }
}

#[cfg(test)]
mod tests;
