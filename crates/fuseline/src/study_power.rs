//! Power of the tests of a plan: size of the study, reachable level, detectable gap.

use fuseline_artifact::{Artifact, ArtifactKind, Cohort, Folds, Typed};
use fuseline_cache::Cache;
use fuseline_engine::{ActionId, Inspection, Plan};
use fuseline_stages::diagnose::design::{PlannedTests, planned_tests};
use fuseline_stats::clustering::intraclass_correlation;
use fuseline_stats::power::{Design, Power, detectable, power_at};
use fuseline_workflow::OutputIndex;
use rayon::prelude::*;

use crate::deliver;
use crate::error::Error;

/// Balanced accuracy of each expert that is supposed.
pub const EXPERT_ACCURACY: f64 = 0.7;
/// Power at which the detectable gap is given.
pub const POWER: f64 = 0.8;

/// AUROCs of quality for the expert being right that are tried.
const ALIGNMENTS: [f64; 8] = [0.5, 0.54, 0.58, 0.62, 0.66, 0.72, 0.8, 0.9];
/// Permutations of each simulated study.
const PERMUTATIONS: u32 = 199;
/// More examples than this are simulated as so many, and the gap falls with the root of the rest.
const MAX_SIMULATED: u32 = 5000;
/// Seed of the simulated studies.
const SEED: u64 = 1;
/// Fusions of one modality and class that all studies may cost together.
const WORK: f64 = 6e8;

/// Power of the tests of one family on one cohort.
#[derive(Debug, Clone)]
pub struct StudyPower {
    /// The tests.
    pub tests: PlannedTests,
    /// Point and size of the cohort, or why it is not known.
    pub size: Result<StudySize, String>,
    /// The gaps that are found in 80 % of studies; none where the size is not known.
    pub found: Option<DetectableGaps>,
}

/// Size of a study.
#[derive(Debug, Clone, PartialEq)]
pub struct StudySize {
    /// Tested examples of each class.
    pub classes: Vec<(String, u32)>,
    /// Groups of the tested examples.
    pub groups: usize,
    /// Intraclass correlation of the labels in groups, of the class where it is largest.
    pub label_icc: Option<f64>,
}

/// Gaps that are found in 80 % of simulated studies, as fractions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DetectableGaps {
    /// Studies simulated at each alignment.
    pub studies: u32,
    /// Examples simulated; fewer than there are where these are too many.
    pub examples: u32,
    /// Of one condition by itself at the level.
    pub alone: Option<f64>,
    /// Of the condition of the smallest p-value, at the level by the number of conditions.
    pub adjusted: Option<f64>,
}

impl StudyPower {
    /// The least p-value after adjustment, if one condition alone has a gap.
    pub fn least_adjusted(&self) -> f64 {
        (self.tests.least_p * self.divisor()).min(1.0)
    }

    /// True if a p-value can reach the level after adjustment.
    pub fn is_reachable(&self) -> bool {
        self.least_adjusted() <= self.tests.alpha + 1e-12
    }

    /// Factor by which the smallest p-value of the family is multiplied.
    fn divisor(&self) -> f64 {
        match self.tests.adjust {
            "none" => 1.0,
            _ => self.tests.conditions as f64,
        }
    }
}

/// Power of the tests of a plan, by simulated studies of the same size. A cohort that is not
/// in the cache is said to be so. Takes seconds, and the longer the more modalities and classes.
pub fn study_power(
    plan: &Plan<'_>,
    inspection: &Inspection<'_, '_>,
    cache: Option<&Cache>,
) -> Result<Vec<StudyPower>, Error> {
    let mut all: Vec<StudyPower> = Vec::new();
    for tests in planned_tests(plan) {
        let size = size(plan, inspection, cache, &tests)?;
        let mut power = StudyPower { tests, size, found: None };
        if let Ok(size) = &power.size {
            // Another family of the same size is the same simulation.
            let same = all.iter().find(|of| {
                of.size.as_ref().ok() == Some(size)
                    && of.divisor() == power.divisor()
                    && (of.tests.alpha, of.tests.modalities)
                        == (power.tests.alpha, power.tests.modalities)
            });
            power.found = match same {
                Some(same) => same.found,
                None => simulate(size, &power)?,
            };
        }
        all.push(power);
    }
    Ok(all)
}

fn simulate(size: &StudySize, of: &StudyPower) -> Result<Option<DetectableGaps>, Error> {
    let all: u32 = size.classes.iter().map(|(_, rows)| rows).sum();
    let share = (f64::from(MAX_SIMULATED) / f64::from(all)).min(1.0);
    let scaled = |rows: &u32| (f64::from(*rows) * share).round().max(1.0) as u32;
    let class_sizes: Vec<u32> =
        size.classes.iter().map(|(_, rows)| rows).filter(|rows| **rows > 0).map(scaled).collect();
    let modalities = of.tests.modalities.max(2);
    if class_sizes.len() < 2 {
        return Ok(None);
    }
    let examples: u32 = class_sizes.iter().sum();
    let cells = f64::from(examples) * (modalities * class_sizes.len()) as f64;
    let work = cells * f64::from(PERMUTATIONS + 1) * ALIGNMENTS.len() as f64;
    let studies = (WORK / work).clamp(50.0, 400.0) as u32;
    let design =
        Design { class_sizes, modalities, accuracy: EXPERT_ACCURACY, permutations: PERMUTATIONS };
    let levels = [of.tests.alpha, of.tests.alpha / of.divisor()];
    let powers: Vec<[Power; 2]> = ALIGNMENTS
        .par_iter()
        .map(|alignment| power_at(&design, *alignment, levels, studies, SEED))
        .collect::<Result<_, _>>()
        .map_err(|error| Error::request(error.to_string()))?;
    let gap = |which: usize| {
        let of_level: Vec<Power> = powers.iter().map(|of| of[which]).collect();
        Some(detectable(&of_level, POWER)? * share.sqrt())
    };
    Ok(Some(DetectableGaps { studies, examples, alone: gap(0), adjusted: gap(1) }))
}

fn size(
    plan: &Plan<'_>,
    inspection: &Inspection<'_, '_>,
    cache: Option<&Cache>,
    tests: &PlannedTests,
) -> Result<Result<StudySize, String>, Error> {
    let missing = |action: ActionId| {
        let (stage, _) = plan.stage_of(action);
        let name = &plan.workflow().stages[stage].name;
        let label = plan.action_label(action);
        format!("{label} is not in the cache: `fuseline run ... --only {name}` makes it")
    };
    let cohort = match read(inspection, cache, tests.cohort, ArtifactKind::Cohort)? {
        None => return Ok(Err(missing(tests.cohort))),
        // A label that is a number has no classes to simulate.
        Some(artifact) => match Cohort::from_artifact(&artifact) {
            Ok(cohort) => cohort,
            Err(error) => return Ok(Err(error.to_string())),
        },
    };
    let mut tested = vec![true; cohort.len()];
    if let Some((split, folds)) = &tests.split {
        let Some(artifact) = read(inspection, cache, *split, ArtifactKind::Folds)? else {
            return Ok(Err(missing(*split)));
        };
        let split_folds = Folds::from_artifact(&artifact).map_err(Error::failed)?;
        let fold_of: std::collections::BTreeMap<&str, i32> =
            split_folds.example_id.iter().zip(split_folds.fold.iter().copied()).collect();
        for (id, tested) in cohort.example_id.iter().zip(&mut tested) {
            *tested = fold_of.get(id).is_some_and(|fold| folds.contains(&i64::from(*fold)));
        }
    }
    let rows: Vec<usize> = (0..cohort.len()).filter(|row| tested[*row]).collect();
    let (group, groups) = cohort.group.take(rows.iter().copied()).ranks();
    let mut counts = vec![0; cohort.classes.len()];
    rows.iter().for_each(|row| counts[cohort.label[*row] as usize] += 1);
    let label_icc = (0..cohort.classes.len() as u32)
        .filter_map(|class| {
            let is_class = rows.iter().map(|row| f64::from(u8::from(cohort.label[*row] == class)));
            intraclass_correlation(&is_class.collect::<Vec<f64>>(), &group)
        })
        .max_by(f64::total_cmp);
    let classes = cohort.classes.into_iter().zip(counts).collect();
    Ok(Ok(StudySize { classes, groups, label_icc }))
}

/// The artifact of an action's only output of a kind, if the cache holds it.
fn read(
    inspection: &Inspection<'_, '_>,
    cache: Option<&Cache>,
    action: ActionId,
    kind: ArtifactKind,
) -> Result<Option<Artifact>, Error> {
    let (Some(cache), Some(digest)) = (cache, inspection.output(action, OutputIndex::default()))
    else {
        return Ok(None);
    };
    deliver::artifact(cache, kind, &digest).map(Some)
}
