//! `simulate.cohort`: examples in groups, with labels drawn from the seed.

use arrow::array::StringBuilder;
use fuseline_artifact::{AnyCohort, ArtifactKind, Cohort};
use fuseline_engine::kind::Problem;
use fuseline_engine::{
    CheckSite, Inputs, KeyWriter, Outputs, Ports, RowFlow, Rows, StageError, StageKind,
};
use fuseline_stats::streams::Stream;
use schemars::JsonSchema;
use serde::Deserialize;

/// Makes up a cohort: examples in groups of equal size, labels drawn from the workflow's seed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SimulateCohort {
    /// Number of examples.
    #[schemars(range(min = 1, max = 100_000_000))]
    examples: u32,
    /// Number of groups; their sizes differ by one at most.
    #[schemars(range(min = 1))]
    groups: u32,
    /// Class names, in order.
    #[serde(default = "rest_and_stress")]
    #[schemars(length(min = 2))]
    classes: Vec<String>,
    /// Relative frequency of each class, in the order of the classes; equal when left out. Only the
    /// ratios count.
    #[serde(default)]
    shares: Option<Vec<f64>>,
    /// Number of the replicate: cohorts of different replicates have different example_ids and are
    /// drawn independently, and so is all that is drawn for their examples.
    #[serde(default)]
    replicate: u32,
    /// True if the label is a number, standard normal, and there are no classes.
    #[serde(default)]
    regression: bool,
}

fn rest_and_stress() -> Vec<String> {
    vec!["rest".to_owned(), "stress".to_owned()]
}

impl StageKind for SimulateCohort {
    const NAME: &'static str = "simulate.cohort";
    const REVISION: u32 = 1;
    const TAKES_NUMBERS: bool = true;
    const SUMMARY: &'static str = "Makes up examples in groups, with labels drawn from the seed.";

    fn ports() -> Ports {
        Ports::new().output("cohort", ArtifactKind::Cohort, "The examples, with group and label.")
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self { examples, groups, classes, shares, replicate, regression } = self;
        key.field("examples", examples);
        key.field("groups", groups);
        key.field("classes", classes);
        key.field("shares", shares);
        key.field("replicate", replicate);
        // The key of classes is what it was before there were numbers.
        if *regression {
            key.field("regression", regression);
        }
        key.seed();
    }

    fn gives_numbers(&self) -> bool {
        self.regression
    }

    fn check(&self, site: &mut CheckSite<'_>) {
        if self.groups > self.examples {
            site.report(Problem::new("groups", "there are more groups than examples"));
        }
        if self.regression && self.shares.is_some() {
            site.report(Problem::new("shares", "a label that is a number has no classes"));
        }
        if let Some(shares) = &self.shares {
            if shares.len() != self.classes.len() {
                let message = format!("{} shares for {} classes", shares.len(), self.classes.len());
                site.report(Problem::new("shares", message));
            }
            if shares.iter().any(|share| !(share.is_finite() && *share > 0.0)) {
                site.report(Problem::new("shares", "every share must be above 0"));
            }
        }
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        flow.output("cohort", Rows::all(), Rows::none());
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let equal = vec![1.0; self.classes.len()];
        let shares = self.shares.as_deref().unwrap_or(&equal);
        let total: f64 = shares.iter().sum();
        let digits = |count: u32| count.to_string().len();
        let (group_digits, example_digits) = (digits(self.groups), digits(self.examples));

        let (mut ids, mut names) = (StringBuilder::new(), StringBuilder::new());
        let (mut label, mut values) = (Vec::new(), Vec::new());
        let mut number = 0_u32;
        for group in 0..self.groups {
            let name = match self.replicate {
                0 => format!("g{group:0group_digits$}"),
                replicate => format!("r{replicate}_g{group:0group_digits$}"),
            };
            let size = self.examples / self.groups + u32::from(group < self.examples % self.groups);
            for _ in 0..size {
                let example_id = format!("{name}_e{number:0example_digits$}");
                let mut stream = Stream::new(inputs.seed(), Self::NAME).with(example_id.as_bytes());
                if self.regression {
                    values.push(stream.normal());
                } else {
                    label.push(class_at(shares, stream.uniform() * total));
                }
                names.append_value(&name);
                ids.append_value(example_id);
                number += 1;
            }
        }
        let (example_id, group) = (ids.finish().into(), names.finish().into());
        if self.regression {
            return outputs.put("cohort", AnyCohort::of_values(example_id, group, values));
        }
        outputs.put("cohort", Cohort { example_id, group, label, classes: self.classes.clone() })
    }
}

/// The class in whose part of the shares, laid end to end, a place falls.
fn class_at(shares: &[f64], place: f64) -> u32 {
    let mut end = 0.0;
    let mut class = 0;
    for share in &shares[..shares.len() - 1] {
        end += share;
        if place < end {
            break;
        }
        class += 1;
    }
    class
}
