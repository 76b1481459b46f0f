//! Power of a study of a given size: the diagnostic on simulated studies of known truth.

use thiserror::Error;

use crate::metrics::{balanced_accuracy, decision};
use crate::normal;
use crate::permutation::{PermutationError, Permuter, Rows, Scheme};
use crate::permutation_test::{PermutationTestError, permutation_test};
use crate::repeats::standard_deviation;
use crate::streams::Stream;

/// A study before it is made.
#[derive(Debug, Clone, PartialEq)]
pub struct Design {
    /// Tested examples of each class.
    pub class_sizes: Vec<u32>,
    /// Number of modalities.
    pub modalities: usize,
    /// Balanced accuracy of each expert alone, from chance to below 1.
    pub accuracy: f64,
    /// Permutations of each study.
    pub permutations: u32,
}

/// Why nothing can be simulated.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum PowerError {
    /// Fewer than two classes, or a class without examples.
    #[error("two classes or more are needed, each with an example")]
    Classes,
    /// Fewer than two modalities: there is nothing to weigh.
    #[error("two modalities or more are needed: with one there is nothing to weigh")]
    Modalities,
    /// The accuracy of an expert is below chance or not below 1.
    #[error("the accuracy {accuracy} does not lie between chance, {chance:.3}, and 1")]
    Accuracy {
        /// The accuracy given.
        accuracy: f64,
        /// Chance accuracy: 1 / classes.
        chance: f64,
    },
    /// The alignment is no AUROC of at least 0.5 and below 1.
    #[error("the alignment {0} is an AUROC: 0.5 says nothing, and 1 is out of reach")]
    Alignment(f64),
    /// Nothing can be permuted.
    #[error(transparent)]
    Permutation(#[from] PermutationError),
    /// There is no test.
    #[error(transparent)]
    Test(#[from] PermutationTestError),
}

/// Results of the studies of one alignment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Power {
    /// AUROC of quality for the expert being right.
    pub alignment: f64,
    /// Studies simulated.
    pub studies: u32,
    /// Studies whose p-value is at most the level.
    pub rejected: u32,
    /// Mean of the permutation gap.
    pub gap: f64,
    /// Its standard deviation over studies.
    pub gap_sd: f64,
    /// Mean balanced accuracy of the fused decision under Clean-Q.
    pub accuracy: f64,
}

/// Simulates studies and counts those that find a gap at `level`.
///
/// Each expert sees the label through noise that makes it as accurate as the design says,
/// independently of the others; quality is normal, higher by d where its expert is right, d =
/// sqrt(2) z(alignment), so that `alignment` is its AUROC for that. Evidence is the softmax of what
/// the expert sees; the fused probability is the mean of the evidence, weighted by the softmax over
/// modalities of quality (the rule `weighted_mean` with equal scales). Permutations are joint.
/// `p_value <= level` of (b + 1) / (m + 1) counts. Studies are numbered: the same seed gives the
/// same studies, whatever the alignment, so that alignments are compared on like noise.
pub fn power(
    design: &Design,
    alignment: f64,
    level: f64,
    studies: u32,
    seed: u64,
) -> Result<Power, PowerError> {
    let [power] = power_at(design, alignment, [level], studies, seed)?;
    Ok(power)
}

/// As [`power`], at several levels on the same studies.
///
/// A level that the permutations of a study cannot reach is judged by the normal distribution with
/// the mean and the standard deviation of its null distribution.
pub fn power_at<const N: usize>(
    design: &Design,
    alignment: f64,
    levels: [f64; N],
    studies: u32,
    seed: u64,
) -> Result<[Power; N], PowerError> {
    let study = Simulation::new(design, alignment)?;
    let none = Power { alignment, studies, rejected: 0, gap: 0.0, gap_sd: 0.0, accuracy: 0.0 };
    let mut found = [none; N];
    let mut gaps = Vec::with_capacity(studies as usize);
    let least = 1.0 / (f64::from(design.permutations) + 1.0);
    for number in 0..studies {
        let test = study.test(Stream::new(seed, "power").with_u64(number.into()), seed, number)?;
        let deviation = test.null_sd.unwrap_or(f64::NAN);
        for (found, level) in found.iter_mut().zip(levels) {
            let p_value = match level >= least - 1e-12 {
                true => test.p_value,
                false => normal::cdf(-test.gap / deviation),
            };
            found.rejected += u32::from(p_value <= level);
            found.accuracy += test.clean / f64::from(studies);
        }
        gaps.push(test.gap);
    }
    for found in &mut found {
        found.gap = gaps.iter().sum::<f64>() / gaps.len() as f64;
        found.gap_sd = standard_deviation(&gaps).unwrap_or(0.0);
    }
    Ok(found)
}

/// The gap that is found in a share of studies: between the alignments on both sides of it, on a
/// straight line.
///
/// `found`: powers at rising alignments. None where no two neighbours lie on both sides.
#[must_use]
pub fn detectable(found: &[Power], power: f64) -> Option<f64> {
    let share = |of: &Power| f64::from(of.rejected) / f64::from(of.studies);
    found.windows(2).find_map(|pair| {
        let (below, above) = (share(&pair[0]), share(&pair[1]));
        (below < power && above >= power).then(|| {
            let part = (power - below) / (above - below);
            pair[0].gap + part * (pair[1].gap - pair[0].gap)
        })
    })
}

/// Values that every study of a design and an alignment has in common.
struct Simulation<'d> {
    design: &'d Design,
    /// The class of each row.
    labels: Vec<u32>,
    rows_of_class: Vec<u64>,
    /// Excess of the label's score over the others, as an expert sees it.
    strength: f64,
    /// Excess of quality where the expert is right.
    shift: f64,
}

impl<'d> Simulation<'d> {
    fn new(design: &'d Design, alignment: f64) -> Result<Self, PowerError> {
        let classes = design.class_sizes.len();
        if classes < 2 || design.class_sizes.contains(&0) {
            return Err(PowerError::Classes);
        }
        if design.modalities < 2 {
            return Err(PowerError::Modalities);
        }
        let chance = 1.0 / classes as f64;
        if !(chance..1.0).contains(&design.accuracy) {
            return Err(PowerError::Accuracy { accuracy: design.accuracy, chance });
        }
        if !(0.5..1.0).contains(&alignment) {
            return Err(PowerError::Alignment(alignment));
        }
        let sizes = design.class_sizes.iter().zip(0_u32..);
        Ok(Self {
            labels: sizes
                .flat_map(|(&size, class)| std::iter::repeat_n(class, size as usize))
                .collect(),
            rows_of_class: design.class_sizes.iter().map(|&size| size.into()).collect(),
            strength: strength(design.accuracy, classes),
            shift: std::f64::consts::SQRT_2 * normal::quantile(alignment),
            design,
        })
    }

    fn test(
        &self,
        mut stream: Stream,
        seed: u64,
        number: u32,
    ) -> Result<crate::permutation_test::PermutationTest, PowerError> {
        let (rows, width, classes) =
            (self.labels.len(), self.design.modalities, self.rows_of_class.len());
        let mut evidence = Vec::with_capacity(rows * width * classes);
        let mut weight = Vec::with_capacity(rows * width);
        let mut seen = vec![0.0; classes];
        for &label in &self.labels {
            for _ in 0..width {
                for (class, score) in seen.iter_mut().enumerate() {
                    let own = if class == label as usize { self.strength } else { 0.0 };
                    *score = own + stream.normal();
                }
                let best = decision(&seen);
                let right = f64::from(u8::from(best == label));
                weight.push(libm::exp(stream.normal() + self.shift * right));
                let most = self.strength * seen[best as usize];
                let likely = seen.iter().map(|score| libm::exp(self.strength * score - most));
                let start = evidence.len();
                evidence.extend(likely);
                let total: f64 = evidence[start..].iter().sum();
                evidence[start..].iter_mut().for_each(|p| *p /= total);
            }
        }
        let available = vec![true; rows * width];
        let digest = number.to_le_bytes();
        let of = Rows {
            modalities: width,
            available: &available,
            group: None,
            stratum: None,
            digest: &digest,
        };
        let permuter = Permuter::new(Scheme::Joint, &of, seed)?;
        let mut index: Vec<u32> = (0..).take(rows).collect();
        let clean = self.accuracy(&evidence, &weight, &index);
        let broken: Vec<f64> = (0..u64::from(self.design.permutations))
            .map(|draw| {
                permuter.draw_into(draw, &mut index);
                self.accuracy(&evidence, &weight, &index)
            })
            .collect();
        Ok(permutation_test(clean, &broken)?)
    }

    /// Balanced accuracy when row i takes the quality of row `index[i]`.
    fn accuracy(&self, evidence: &[f64], weight: &[f64], index: &[u32]) -> f64 {
        let (width, classes) = (self.design.modalities, self.rows_of_class.len());
        let mut correct = vec![0; classes];
        let mut fused = vec![0.0; classes];
        for ((row, &label), &from) in
            evidence.chunks_exact(width * classes).zip(&self.labels).zip(index)
        {
            let weight = &weight[from as usize * width..][..width];
            fused.fill(0.0);
            for (own, weight) in row.chunks_exact(classes).zip(weight) {
                fused.iter_mut().zip(own).for_each(|(sum, p)| *sum += weight * p);
            }
            correct[label as usize] += u64::from(decision(&fused) == label);
        }
        balanced_accuracy(&self.rows_of_class, &correct).unwrap_or(f64::NAN)
    }
}

/// The strength at which the largest of so many normal scores, of which one is raised by it, is
/// that one with this chance.
fn strength(accuracy: f64, classes: usize) -> f64 {
    let chance = |strength: f64| {
        // The integral of density(x - strength) cdf(x)^(K - 1), by trapezes from -8 to 8 about the
        // strength.
        const STEPS: u32 = 1600;
        let step = 16.0 / f64::from(STEPS);
        let at = |number: u32| {
            let z = -8.0 + f64::from(number) * step;
            let density = libm::exp(-0.5 * z * z) / (2.0 * std::f64::consts::PI).sqrt();
            density * libm::pow(normal::cdf(z + strength), (classes - 1) as f64)
        };
        step * (0..=STEPS).map(at).sum::<f64>()
    };
    let (mut below, mut above) = (0.0, 16.0);
    for _ in 0..60 {
        let middle = 0.5 * (below + above);
        if chance(middle) < accuracy { below = middle } else { above = middle }
    }
    0.5 * (below + above)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn design(class_sizes: &[u32]) -> Design {
        Design { class_sizes: class_sizes.to_vec(), modalities: 3, accuracy: 0.7, permutations: 99 }
    }

    #[test]
    fn without_alignment_the_level_is_kept_and_with_it_power_grows_with_size() {
        let of = |sizes: &[u32], alignment| power(&design(sizes), alignment, 0.05, 200, 1).unwrap();
        let none = of(&[60, 60], 0.5);
        // 200 studies at 5 %: 3.3 standard deviations above 10.
        assert!(none.rejected <= 20 && none.gap.abs() < 0.005, "{none:?}");
        let [small, large] = [&[20, 20][..], &[150, 150]].map(|sizes| of(sizes, 0.65).rejected);
        assert!(small + 40 < large, "{small} {large}");
        let [weak, strong] = [0.6, 0.8].map(|alignment| of(&[60, 60], alignment));
        assert!(weak.gap < strong.gap && weak.rejected < strong.rejected, "{weak:?} {strong:?}");
        assert_eq!(of(&[60, 60], 0.6), weak, "the same seed gives the same studies");
    }

    #[test]
    fn experts_are_as_accurate_as_asked_and_quality_as_aligned() {
        // Of two classes the difference of two scores is normal of variance 2.
        let expected = std::f64::consts::SQRT_2 * normal::quantile(0.7);
        assert!((strength(0.7, 2) - expected).abs() < 1e-6);
        assert!(strength(0.25, 4) < 1e-6);
        // Equal weights of many experts are better than one.
        let alone = power(&design(&[200, 200]), 0.5, 0.05, 20, 3).unwrap().accuracy;
        assert!(alone > 0.74, "{alone}");
    }

    #[test]
    fn a_gap_is_found_between_alignments_and_a_stricter_level_needs_a_larger_one() {
        let of = |sizes: &[u32]| {
            let each = [0.5, 0.6, 0.7, 0.8, 0.9].map(|alignment| {
                power_at(&design(sizes), alignment, [0.05, 0.004], 60, 1).unwrap()
            });
            [0, 1].map(|which| {
                let of_level: Vec<Power> = each.iter().map(|found| found[which]).collect();
                detectable(&of_level, 0.8).unwrap()
            })
        };
        let [small, large] = [of(&[60, 60]), of(&[240, 240])];
        assert!(small[0] < small[1] && large[0] < large[1], "{small:?} {large:?}");
        // Four times the examples: half the gap.
        for (small, large) in small.into_iter().zip(large) {
            assert!((small / large - 2.0).abs() < 0.5, "{small} {large}");
        }
        assert_eq!(detectable(&[], 0.8), None);
    }

    #[test]
    fn what_cannot_be_simulated_is_refused() {
        let none = |design: Design, alignment| {
            power(&design, alignment, 0.05, 1, 1).unwrap_err().to_string()
        };
        assert!(none(design(&[10]), 0.6).contains("two classes"));
        assert!(none(Design { modalities: 1, ..design(&[9, 9]) }, 0.6).contains("two modalities"));
        assert!(none(Design { accuracy: 0.4, ..design(&[9, 9]) }, 0.6).contains("chance, 0.500"));
        assert!(none(design(&[9, 9]), 1.0).contains("AUROC"));
        assert!(none(Design { permutations: 0, ..design(&[9, 9]) }, 0.6).contains("permutations"));
    }
}
