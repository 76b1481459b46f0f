//! One simulated study whose truth is known: experts, a fusion rule that weighs by quality, the
//! diagnostic.

use fuseline_stats::bootstrap::{ClassSums, Interval, Resampled, cluster_bootstrap};
use fuseline_stats::evidence::{confidence, margin};
use fuseline_stats::metrics::{balanced_accuracy, decision};
use fuseline_stats::permutation::{
    Permuter, Residuals, Rows, Scheme, confidence_strata, correct_strata,
};
use fuseline_stats::permutation_test::{PermutationTest, permutation_test, randomised_rejection};
use fuseline_stats::quality_regression::{EvidenceRows, QualityRegression, out_of_fold_r2};
use fuseline_stats::streams::Stream;

/// Distance of the class means of each expert's score, in sd of its noise.
const STRENGTHS: [f64; MODALITIES] = [1.4, 1.0, 0.8];
/// Number of modalities.
pub const MODALITIES: usize = 3;

/// Composition of quality.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Quality {
    /// Standard normal noise, plus this times whether the expert is right; 0 is the null.
    Aligned(f64),
    /// Noise whose groups differ, with this share of its variance between groups: unrelated to what
    /// is right.
    Clustered(f64),
    /// The margin of the expert's own probabilities: a function of the values that a permutation
    /// holds fixed.
    Margin,
    /// Standard normal noise, plus this times the margin in units of about its standard deviation.
    NoisyMargin(f64),
    /// Standard normal noise, plus this for class 1 and less this for class 0, whichever expert is
    /// right.
    ClassCue(f64),
}

/// Design of a simulated study.
#[derive(Debug, Clone, Copy)]
pub struct Design {
    /// Examples.
    pub examples: usize,
    /// Groups of equal size.
    pub groups: usize,
    /// Share of the variance of an expert's error that is between groups.
    pub clustering: f64,
    /// Composition of quality.
    pub quality: Quality,
    /// True if all examples of a group have the same label, as when a person has a diagnosis.
    pub label_by_group: bool,
    /// Factor by which the rule adds the mean quality, less its mean over rows, to the probability
    /// of class 1: a rule that only weighs cannot use quality that tells of the label.
    pub cue: f64,
}

/// One drawn study.
pub struct Study {
    labels: Vec<u32>,
    group: Vec<u32>,
    groups: usize,
    /// examples x modalities: probability of class 1.
    evidence: Vec<f64>,
    /// examples x modalities.
    quality: Vec<f64>,
    /// examples x modalities: weight of each modality before normalising, exp(quality).
    weight: Vec<f64>,
    /// Examples: the rule's addend for quality.
    cue: Vec<f64>,
    seed: u64,
    design: Design,
}

impl Study {
    /// Draws the study of a seed.
    pub fn draw(design: &Design, seed: u64) -> Self {
        let mut stream = Stream::new(seed, "calibration");
        let mut offsets =
            |count: usize| -> Vec<f64> { (0..count).map(|_| stream.normal()).collect() };
        let error_of_group = offsets(design.groups * MODALITIES);
        let quality_of_group = offsets(design.groups * MODALITIES);
        let mut study = Self {
            labels: Vec::with_capacity(design.examples),
            group: Vec::with_capacity(design.examples),
            groups: design.groups,
            evidence: Vec::with_capacity(design.examples * MODALITIES),
            quality: Vec::with_capacity(design.examples * MODALITIES),
            weight: Vec::new(),
            cue: Vec::new(),
            seed,
            design: *design,
        };
        let (between, within) = (design.clustering.sqrt(), (1.0 - design.clustering).sqrt());
        for row in 0..design.examples {
            let group = row * design.groups / design.examples;
            let drawn = u32::from(stream.uniform() < 0.5);
            let label = if design.label_by_group { group as u32 % 2 } else { drawn };
            study.labels.push(label);
            study.group.push(group as u32);
            for (modality, strength) in STRENGTHS.iter().enumerate() {
                let at = group * MODALITIES + modality;
                let side = if label == 1 { 0.5 } else { -0.5 };
                let error = between * error_of_group[at] + within * stream.normal();
                // The log odds of a normal score whose class means are `strength` apart.
                let odds = strength * (side * strength + error);
                let probability = 1.0 / (1.0 + libm::exp(-odds));
                let noise = stream.normal();
                let right = (odds > 0.0) == (label == 1);
                let quality = match design.quality {
                    Quality::Aligned(alpha) => noise + alpha * f64::from(u8::from(right)),
                    Quality::Clustered(share) => {
                        share.sqrt() * quality_of_group[at] + (1.0 - share).sqrt() * noise
                    }
                    Quality::Margin => 4.0 * margin(&[1.0 - probability, probability]),
                    Quality::NoisyMargin(share) => {
                        noise + share * 4.0 * margin(&[1.0 - probability, probability])
                    }
                    Quality::ClassCue(alpha) => noise + 2.0 * alpha * side,
                };
                study.evidence.push(probability);
                study.quality.push(quality);
            }
        }
        (study.weight, study.cue) = study.read(&study.quality);
        study
    }

    /// Terms that a rule computes from quality: weights, and an addend.
    fn read(&self, quality: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let mean = quality.iter().sum::<f64>() / quality.len() as f64;
        let cue = quality
            .chunks_exact(MODALITIES)
            .map(|own| self.design.cue * (own.iter().sum::<f64>() / MODALITIES as f64 - mean));
        (quality.iter().map(|quality| libm::exp(*quality)).collect(), cue.collect())
    }

    /// Probabilities of both classes.
    fn probabilities(&self) -> Vec<f64> {
        self.evidence.iter().flat_map(|&p| [1.0 - p, p]).collect()
    }

    /// R2 of each modality's quality given the evidence, groups dealt over five folds.
    pub fn r2(&self) -> Vec<f64> {
        let (available, evidence) = (vec![true; self.evidence.len()], self.probabilities());
        let rows = evidence_rows(&available, &evidence);
        let fold: Vec<u32> = self.group.iter().map(|group| group % 5).collect();
        out_of_fold_r2(&rows, &self.quality, &fold).unwrap().into_iter().flatten().collect()
    }

    /// Quality in two parts, by a regression on another study of the same design.
    fn residuals(&self, available: &[bool]) -> Residuals {
        let training = Self::draw(&self.design, self.seed + (1 << 32));
        let known = training.probabilities();
        let fitted =
            QualityRegression::fit(&evidence_rows(available, &known), &training.quality).unwrap();
        let expected = fitted.predict(&evidence_rows(available, &self.probabilities())).unwrap();
        Residuals::new(MODALITIES, available, &self.quality, expected).unwrap()
    }

    fn rows<'a>(&'a self, available: &'a [bool], stratum: Option<&'a [u32]>) -> Rows<'a> {
        Rows { modalities: MODALITIES, available, group: Some(&self.group), stratum, digest: b"" }
    }

    /// Correctness of each decision when row i takes the quality of row `index[i]`.
    fn right(&self, index: impl Iterator<Item = usize>) -> Vec<bool> {
        self.right_by(index, &self.weight, &self.cue)
    }

    fn right_by(
        &self,
        index: impl Iterator<Item = usize>,
        weight: &[f64],
        cue: &[f64],
    ) -> Vec<bool> {
        let rows = self.evidence.chunks_exact(MODALITIES).zip(index).zip(&self.labels);
        rows.map(|((evidence, from), &label)| {
            let weight = &weight[from * MODALITIES..][..MODALITIES];
            let total: f64 = weight.iter().sum();
            let sum: f64 = evidence.iter().zip(weight).map(|(p, w)| p * w).sum();
            let fused = sum / total + cue[from];
            decision(&[1.0 - fused, fused]) == label
        })
        .collect()
    }

    fn balanced_accuracy(&self, right: &[bool]) -> f64 {
        let (mut rows, mut correct) = ([0, 0], [0, 0]);
        for (&label, &right) in self.labels.iter().zip(right) {
            rows[label as usize] += 1;
            correct[label as usize] += u64::from(right);
        }
        balanced_accuracy(&rows, &correct).unwrap()
    }

    /// The permutation test under a scheme.
    pub fn test(&self, scheme: Scheme, permutations: u32) -> Tested {
        let available = vec![true; self.evidence.len()];
        let confidences: Vec<f64> =
            self.evidence.iter().map(|&p| confidence(&[1.0 - p, p])).collect();
        let plain = self.rows(&available, None);
        let stratum = match scheme {
            Scheme::WithinClass => self.labels.clone(),
            Scheme::WithinCorrect => {
                let label = self.labels.iter().flat_map(|label| [*label; MODALITIES]);
                let right: Vec<bool> = self
                    .evidence
                    .iter()
                    .zip(label)
                    .map(|(p, label)| decision(&[1.0 - p, *p]) == label)
                    .collect();
                correct_strata(&right, &plain).unwrap()
            }
            _ => confidence_strata(&confidences, &plain, 3).unwrap(),
        };
        let rows = self.rows(&available, Some(&stratum));
        let permuter = Permuter::new(scheme, &rows, self.seed).unwrap();
        let residuals = (scheme == Scheme::ConditionalResidual).then(|| self.residuals(&available));
        let clean = self.right(0..self.labels.len());
        let mut share = vec![0.0; self.labels.len()];
        let broken: Vec<f64> = (0..u64::from(permutations))
            .map(|number| {
                let index = permuter.draw(number);
                let right = match &residuals {
                    None => self.right(index.iter().map(|&row| row as usize)),
                    Some(residuals) => {
                        let (weight, cue) =
                            self.read(&residuals.exchange(&index, &[true; MODALITIES]));
                        self.right_by(0..self.labels.len(), &weight, &cue)
                    }
                };
                for (share, right) in share.iter_mut().zip(&right) {
                    *share += f64::from(u8::from(*right)) / f64::from(permutations);
                }
                self.balanced_accuracy(&right)
            })
            .collect();
        let test = permutation_test(self.balanced_accuracy(&clean), &broken).unwrap();
        Tested { test, values: broken, clean, share }
    }

    /// The resampled gap, whole groups at a time, and the gap without each group.
    pub fn resample(
        &self,
        clean: &[bool],
        broken: &[f64],
        resamples: usize,
    ) -> (Resampled, Vec<f64>) {
        let sums = |correct: &[f64]| {
            ClassSums::from_rows(&self.group, self.groups, &self.labels, 2, correct).unwrap()
        };
        let clean: Vec<f64> = clean.iter().map(|&right| f64::from(u8::from(right))).collect();
        let (clean, broken) = (sums(&clean), sums(broken));
        let stream = Stream::new(self.seed, "calibration.bootstrap");
        let mut gaps = cluster_bootstrap(self.groups, resamples, &stream, 1, |times, values| {
            values[0] = clean.balanced_accuracy(times) - broken.balanced_accuracy(times);
        })
        .unwrap();
        let without = clean.without_each_group().into_iter().zip(broken.without_each_group());
        (gaps.remove(0), without.map(|(clean, broken)| clean - broken).collect())
    }
}

fn evidence_rows<'a>(available: &'a [bool], evidence: &'a [f64]) -> EvidenceRows<'a> {
    EvidenceRows { modalities: MODALITIES, classes: 2, available, evidence }
}

/// Share of seeds at which the test of `design` gives p <= each level.
pub fn rejections(
    design: &Design,
    scheme: Scheme,
    permutations: u32,
    seeds: u64,
    levels: &[f64],
) -> Rejections {
    let mut found =
        Rejections { counts: vec![0; levels.len()], randomised: vec![0.0; levels.len()], gap: 0.0 };
    for seed in 0..seeds {
        let Tested { test, values, .. } = Study::draw(design, seed).test(scheme, permutations);
        found.gap += test.gap / seeds as f64;
        for (at, level) in levels.iter().enumerate() {
            found.counts[at] += u64::from(test.p_value <= *level);
            found.randomised[at] += randomised_rejection(test.clean, &values, *level).unwrap();
        }
    }
    found
}

/// See [`rejections`].
pub struct Rejections {
    /// Seeds that reject at each level.
    pub counts: Vec<u64>,
    /// Number expected if ties were ordered at random and not all counted against
    /// Clean-Q.
    pub randomised: Vec<f64>,
    /// The mean gap.
    pub gap: f64,
}

/// See [`Study::test`].
pub struct Tested {
    pub test: PermutationTest,
    /// Balanced accuracy under each permutation.
    pub values: Vec<f64>,
    /// Correctness of each row under Clean-Q.
    pub clean: Vec<bool>,
    /// Share of Broken-Q decisions that are right, by row.
    pub share: Vec<f64>,
}

/// The gap of a population: one study so large that its sampling error is below 0.001.
pub fn true_gap(design: &Design) -> f64 {
    let large = Design { examples: 1_000_000, groups: 40_000, ..*design };
    Study::draw(&large, u64::MAX).test(Scheme::Joint, 1).test.gap
}

/// Counts of intervals of each kind that hold the true gap, and of percentile ones that lie within
/// plus or minus it.
pub struct Coverage {
    /// The true gap.
    pub truth: f64,
    /// Intervals (percentile, BCa) that hold it.
    pub holds: [u64; 2],
    /// Claims of equivalence at a margin that is the true gap: each is wrong.
    pub equivalent: u64,
}

/// Draws `seeds` studies and their intervals of a confidence.
pub fn coverage(design: &Design, truth: f64, seeds: u64, confidence: f64) -> Coverage {
    let mut coverage = Coverage { truth, holds: [0, 0], equivalent: 0 };
    for seed in 0..seeds {
        let study = Study::draw(design, seed);
        let Tested { clean, share, .. } = study.test(Scheme::Joint, 99);
        let (gap, without_group) = study.resample(&clean, &share, 1000);
        let holds = |interval: Interval| u64::from(interval.low <= truth && truth <= interval.high);
        let percentile = gap.percentile(confidence).unwrap();
        coverage.holds[0] += holds(percentile);
        coverage.holds[1] += holds(gap.bca(&without_group, confidence).unwrap());
        coverage.equivalent += u64::from(fuseline_stats::equivalence::within(&percentile, truth));
    }
    coverage
}
