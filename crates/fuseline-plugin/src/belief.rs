//! Masses of belief in single classes, and their combination.

use crate::batch::Batch;

/// No expert is trusted more than this: two that exclude each other's classes leave nothing to
/// combine.
pub const MOST_TRUST: f64 = 1.0 - 1e-9;

/// Dempster's rule for masses of single classes and of "any class": adds one more expert, whose mass
/// of class k is `scale` times its value, and whose mass of "any class" is `doubt`.
///
/// `masses` and `ignorance` sum to 1 before and after; without any expert all is `ignorance`. The
/// values are at least 0, and times `scale` they sum to 1 less `doubt`, which is above 0: experts
/// that exclude each other's classes would leave nothing to combine.
pub fn combine(masses: &mut [f64], ignorance: &mut f64, values: &[f64], scale: f64, doubt: f64) {
    let mut total = *ignorance * doubt;
    for (mass, value) in masses.iter_mut().zip(values) {
        let support = scale * value;
        *mass = *mass * (support + doubt) + *ignorance * support;
        total += *mass;
    }
    masses.iter_mut().for_each(|mass| *mass /= total);
    *ignorance = *ignorance * doubt / total;
}

/// The pignistic probabilities of the available experts of a row, each discounted by its trust, of
/// which the rest goes to "any class", and combined by Dempster's rule one after the other.
///
/// `trusts`: one a modality, 0 to [`MOST_TRUST`]. `masses`: one a class, written.
pub fn combine_discounted(batch: &Batch<'_>, row: usize, trusts: &[f64], masses: &mut [f64]) {
    masses.fill(0.0);
    let mut ignorance = 1.0;
    for modality in batch.available_in(row) {
        let (evidence, trust) = (batch.evidence_of(row, modality), trusts[modality]);
        combine(masses, &mut ignorance, evidence, trust, 1.0 - trust);
    }
    share_ignorance(masses, ignorance);
}

/// The pignistic probabilities of masses: that of "any class" is shared among all, in place (Smets
/// and Kennes, "The transferable belief model", Artificial Intelligence 66(2), 1994).
pub fn share_ignorance(masses: &mut [f64], ignorance: f64) {
    let share = ignorance / masses.len() as f64;
    masses.iter_mut().for_each(|mass| *mass += share);
}
