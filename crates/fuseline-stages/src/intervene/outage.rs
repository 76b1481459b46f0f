//! `intervene.outage`: test examples lose a modality.

use std::collections::{BTreeMap, BTreeSet};

use fuseline_artifact::{AnyCohort, AnyEvidence, ArtifactKind, Cohort, Features};
use fuseline_engine::{
    CheckSite, Inputs, KeyWriter, Outputs, PlanSite, Ports, Problem, RowFlow, StageError,
    StageKind, UnreadOption,
};
use fuseline_stats::streams::Stream;
use fuseline_workflow::Role;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::intervene::hit;
use crate::upstream::{check_modality_names, listed};

/// Hint for donors that are not given.
const DONORS: &str =
    "give the features before the cohort was made complete, and a cohort of them that requires any";

/// Takes the evidence of one modality from some test examples: to a fusion rule the modality is
/// then unavailable.
///
/// Quality is left as it is; where there is no evidence it does not count. An example that loses
/// every modality is no longer tested, unless `spare` names the modalities of which one is always
/// left.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Outage {
    /// Pattern of outages over the examples.
    #[serde(default)]
    pattern: Pattern,
    /// Share of the examples that lose the modality; 0 leaves the evidence as it is. Not looked at
    /// by `natural`.
    #[serde(default = "third")]
    #[schemars(range(min = 0.0, max = 1.0))]
    rate: f64,
    /// Only for `burst`: mean number of examples in a row that are out. At most rate / (1 - rate)
    /// times as many can be between two bursts, so `rate` may not be above length / (length + 1).
    #[serde(default = "five")]
    #[schemars(range(min = 1.0))]
    length: f64,
    /// Modalities that may fail; all of them when left out.
    #[serde(default)]
    modalities: Option<Vec<String>>,
    /// Modalities that never fail all at once: where they would, one of them, drawn evenly, stays.
    /// Write the same list at every modality. The share that is out then lies below `rate`.
    #[serde(default)]
    spare: Vec<String>,
}

/// Pattern of outages over the examples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pattern {
    /// Each example on its own, each modality on its own.
    #[default]
    Random,
    /// In runs of neighbouring examples of a group, in the order of the cohort, as of a sensor that
    /// comes loose: a Markov chain with the stationary share `rate` and runs of the mean length
    /// `length`.
    Burst,
    /// As in real data: each example takes the availability of an example drawn from the cohort
    /// `donors`, the same one for every modality, so that modalities fail together as they do
    /// there.
    Natural,
}

fn third() -> f64 {
    1.0 / 3.0
}

fn five() -> f64 {
    5.0
}

/// The reason why a length has no effect.
const OF_BURST: &str = "the pattern `burst` alone has bursts of a length";

impl StageKind for Outage {
    const NAME: &'static str = "intervene.outage";
    const REVISION: u32 = 1;
    const TAKES_NUMBERS: bool = true;
    const SUMMARY: &'static str =
        "Test examples lose a modality: at random, in bursts, or as in real data.";

    fn ports() -> Ports {
        Ports::new()
            .one(
                "evidence",
                ArtifactKind::Evidence,
                Role::Neutral,
                "Test evidence of one modality.",
            )
            .one(
                "cohort",
                ArtifactKind::Cohort,
                Role::Neutral,
                "The examples, for groups and their order.",
            )
            .one(
                "donors",
                ArtifactKind::Cohort,
                Role::Neutral,
                "For `natural`: examples that have at least one modality.",
            )
            .optional()
            .one(
                "donor_features",
                ArtifactKind::Features,
                Role::Neutral,
                "For `natural`: the modality's features; a donor without a row lacks the modality.",
            )
            .optional()
            .output("evidence", ArtifactKind::Evidence, "The evidence that is left.")
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self { pattern, rate, length, modalities, spare } = self;
        key.field("pattern", pattern);
        key.field("rate", rate);
        key.field("length", length);
        key.field("modalities", modalities);
        key.field("spare", spare);
        key.seed();
    }

    fn without_effect(&self, _inputs: &[&str]) -> Vec<UnreadOption> {
        match self.pattern {
            Pattern::Random => vec![("length", OF_BURST)],
            Pattern::Burst => Vec::new(),
            Pattern::Natural => {
                vec![
                    ("length", OF_BURST),
                    ("rate", "the pattern `natural` takes that of the donors"),
                ]
            }
        }
    }

    fn check(&self, site: &mut CheckSite<'_>) {
        if self.pattern == Pattern::Burst && self.rate > self.length / (self.length + 1.0) {
            let message = format!(
                "bursts of mean length {} cannot be out for a share of {}",
                self.length, self.rate
            );
            site.report(Problem::new("rate", message).hint("raise length, or use a lower rate"));
        }
        let lacking: Vec<&str> = ["donors", "donor_features"]
            .into_iter()
            .filter(|of| !site.inputs.contains(of))
            .collect();
        if self.pattern == Pattern::Natural && !lacking.is_empty() {
            let message = format!("the pattern natural needs {} as inputs", listed(lacking));
            site.report(Problem::new("pattern", message).hint(DONORS));
        }
    }

    fn check_plan(&self, site: &mut PlanSite<'_>) {
        check_modality_names(site, "modalities", self.modalities.as_deref().unwrap_or(&[]));
        check_modality_names(site, "spare", &self.spare);
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        flow.pass("evidence", "evidence");
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let AnyEvidence(evidence) = inputs.one("evidence")?;
        let modality = evidence.rows.modality.clone();
        if !hit(self.modalities.as_ref(), &modality) {
            return outputs.put("evidence", AnyEvidence(evidence));
        }
        let cohort = inputs.one::<AnyCohort>("cohort")?.cohort;
        let out = match self.pattern {
            Pattern::Natural => natural(inputs, &cohort)?,
            _ => self.out(inputs.seed(), &modality, &cohort),
        };
        let ids = &evidence.rows.example_id;
        let left: Vec<usize> = (0..ids.len()).filter(|&row| !out.contains(&ids[row])).collect();
        tracing::info!(modality, left = left.len(), of = ids.len(), "outage");
        outputs.put("evidence", AnyEvidence(evidence.take(&left)))
    }
}

impl Outage {
    /// The examples of the cohort that lose the modality.
    fn out<'c>(&self, seed: u64, modality: &str, cohort: &'c Cohort) -> BTreeSet<&'c str> {
        let mut out = self.drawn(seed, modality, cohort);
        let fails = |name: &String| hit(self.modalities.as_ref(), name);
        if self.spare.iter().any(|name| name == modality) && self.spare.iter().all(fails) {
            let each: Vec<BTreeSet<&str>> =
                self.spare.iter().map(|name| self.drawn(seed, name, cohort)).collect();
            out.retain(|id| {
                let all = each.iter().all(|out| out.contains(id));
                let mut stream = Stream::new(seed, Self::NAME).with(b"spare").with(id.as_bytes());
                let stays = usize::try_from(stream.below(each.len() as u64)).ok();
                !(all && stays.is_some_and(|stays| self.spare[stays] == modality))
            });
        }
        out
    }

    fn drawn<'c>(&self, seed: u64, modality: &str, cohort: &'c Cohort) -> BTreeSet<&'c str> {
        let stream = |what: &str| {
            Stream::new(seed, Self::NAME).with(modality.as_bytes()).with(what.as_bytes())
        };
        let ids = cohort.example_id.iter();
        if self.pattern == Pattern::Random {
            return ids.filter(|id| stream(id).uniform() < self.rate).collect();
        }
        let stop = 1.0 / self.length;
        let start = if self.rate < 1.0 { self.rate * stop / (1.0 - self.rate) } else { 1.0 };
        let mut chains = BTreeMap::<&str, (Stream, bool)>::new();
        let mut out = BTreeSet::new();
        for (id, group) in ids.zip(cohort.group.iter()) {
            let chain = chains.entry(group);
            let is_out = match chain {
                std::collections::btree_map::Entry::Vacant(first) => {
                    let mut stream = stream(group);
                    let is_out = stream.uniform() < self.rate;
                    first.insert((stream, is_out)).1
                }
                std::collections::btree_map::Entry::Occupied(entry) => {
                    let (stream, is_out) = entry.into_mut();
                    let draw = stream.uniform();
                    *is_out = if *is_out { draw >= stop } else { draw < start };
                    *is_out
                }
            };
            if is_out {
                out.insert(id);
            }
        }
        out
    }
}

/// The examples whose donor lacks the modality.
fn natural<'c>(inputs: &Inputs<'_>, cohort: &'c Cohort) -> Result<BTreeSet<&'c str>, StageError> {
    let missing = |port: &str| {
        StageError::data(format!("the pattern natural needs the input {port}"))
            .at("pattern")
            .hint(DONORS)
    };
    let donors: Cohort = inputs.optional("donors")?.ok_or_else(|| missing("donors"))?;
    let features: Features =
        inputs.optional("donor_features")?.ok_or_else(|| missing("donor_features"))?;
    let has: BTreeSet<&str> = features.example_id.iter().collect();
    let seed = inputs.seed();
    let lacks = |id: &&str| {
        let mut stream = Stream::new(seed, Outage::NAME).with(b"donor").with(id.as_bytes());
        let donor = usize::try_from(stream.below(donors.len() as u64)).unwrap_or_default();
        donors.example_id.get(donor).is_some_and(|donor| !has.contains(donor))
    };
    Ok(cohort.example_id.iter().filter(lacks).collect())
}
