//! The test keeps its level, gains power with effect and size, and the intervals hold the truth as
//! often as they say.
#![expect(clippy::unwrap_used, reason = "a test may")]

#[path = "../examples/calibration/study.rs"]
mod study;

use fuseline_stats::permutation::{Intervention, Scheme};
use fuseline_stats::quality_regression::EVIDENCE_DERIVED_R2;
use study::{Design, Quality, Study, coverage, rejections, true_gap};

const NULL: Design = Design {
    examples: 200,
    groups: 40,
    clustering: 0.2,
    quality: Quality::Aligned(0.0),
    label_by_group: false,
    cue: 0.0,
};

/// The counts out of `trials` within which 99.9 % of binomial counts of a chance lie (normal
/// approximation).
fn binomial_range(chance: f64, trials: u64) -> (f64, f64) {
    let trials = trials as f64;
    let half = 3.29 * (trials * chance * (1.0 - chance)).sqrt();
    (trials * chance - half, trials * chance + half)
}

#[track_caller]
fn within_binomial(count: u64, chance: f64, trials: u64) {
    let (low, high) = binomial_range(chance, trials);
    assert!((low..=high).contains(&(count as f64)), "{count} is not in {low:.0} to {high:.0}");
}

#[test]
fn the_type_one_error_is_the_level_under_every_scheme() {
    let tests = Scheme::ALL.into_iter().map(Intervention::Permutation);
    for test in tests.filter(|test| test.has_p_value()) {
        let Intervention::Permutation(scheme) = test else { continue };
        let counts = rejections(&NULL, scheme, 199, 1000, &[0.05, 0.10]);
        within_binomial(counts.counts[0], 0.05, 1000);
        within_binomial(counts.counts[1], 0.10, 1000);
        // With ties ordered at random nothing is lost: the mean chance to reject lies about the
        // level itself, closer than counts of rejections would, since each chance is a share.
        for (randomised, level) in counts.randomised.iter().zip([0.05, 0.10]) {
            let (low, high) = binomial_range(level, 1000);
            assert!((low..=high).contains(randomised), "{randomised} of 1000 at {level}");
        }
        assert!(counts.randomised[1] > counts.counts[1] as f64, "ties count against Clean-Q");
    }
}

#[test]
fn quality_and_labels_that_both_cluster_by_group_need_a_scheme_that_keeps_groups() {
    // A limit of permuting across groups that docs/method.md states: where a whole group shares its
    // label, its errors and its quality, examples are not exchangeable one at a time.
    let quality = Quality::Clustered(0.5);
    let clustered = Design { quality, clustering: 0.5, groups: 20, label_by_group: true, ..NULL };
    for scheme in [Scheme::WithinGroup, Scheme::WholeGroups] {
        let kept = rejections(&clustered, scheme, 199, 1000, &[0.05]);
        within_binomial(kept.counts[0], 0.05, 1000);
    }
    let joint = rejections(&clustered, Scheme::Joint, 199, 1000, &[0.05]);
    let joint = joint.counts[0];
    assert!(joint as f64 > binomial_range(0.05, 1000).1, "{joint} of 1000");
}

#[test]
fn quality_that_is_a_function_of_the_evidence_rejects_under_joint_and_less_among_like_confidence() {
    let margin = Design { quality: Quality::Margin, ..NULL };
    let joint = rejections(&margin, Scheme::Joint, 99, 400, &[0.05]).counts[0];
    let conditional = rejections(&margin, Scheme::Conditional, 99, 400, &[0.05]).counts[0];
    assert!(joint > 200 && conditional < joint / 3, "{joint} and {conditional} of 400");
}

/// Studies of 300 that reject at 0.05 under a scheme, and the mean gap.
fn rejects(quality: Quality, scheme: Scheme) -> (u64, f64) {
    let found = rejections(&Design { quality, cue: 0.1, ..NULL }, scheme, 99, 300, &[0.05]);
    (found.counts[0], found.gap)
}

#[test]
fn reliability_is_gone_among_rows_whose_experts_are_right_alike_and_stays_in_a_class() {
    let reliability = Quality::Aligned(1.0);
    let (joint, gap) = rejects(reliability, Scheme::Joint);
    let (class, in_class) = rejects(reliability, Scheme::WithinClass);
    assert!(joint > 290 && class > 290 && in_class > 0.7 * gap, "{joint} {class} {in_class} {gap}");
    let (correct, among) = rejects(reliability, Scheme::WithinCorrect);
    within_binomial(correct, 0.05, 300);
    assert!(among.abs() < 0.05 * gap, "{among} of {gap}");
}

#[test]
fn a_class_cue_is_gone_within_a_class_and_stays_among_rows_whose_experts_are_right_alike() {
    let cue = Quality::ClassCue(0.5);
    let (joint, gap) = rejects(cue, Scheme::Joint);
    let (correct, among) = rejects(cue, Scheme::WithinCorrect);
    assert!(joint > 290 && correct > 290 && among > 0.7 * gap, "{joint} {correct} {among} {gap}");
    let (class, in_class) = rejects(cue, Scheme::WithinClass);
    within_binomial(class, 0.05, 300);
    assert!(in_class.abs() < 0.05 * gap, "{in_class} of {gap}");
}

#[test]
fn what_the_evidence_says_again_is_gone_when_residuals_are_exchanged() {
    for quality in [Quality::NoisyMargin(0.7), Quality::Margin] {
        let (joint, _) = rejects(quality, Scheme::Joint);
        let (residual, _) = rejects(quality, Scheme::ConditionalResidual);
        assert!(joint > 100, "{joint} of 300");
        // Of the margin itself nothing is left to exchange, so that every permutation ties with
        // Clean-Q.
        let (_, most) = binomial_range(0.05, 300);
        assert!((residual as f64) < most, "{residual} of 300");
    }
    let r2 = |quality| Study::draw(&Design { quality, ..NULL }, 1).r2();
    let derived = |r2: &f64| *r2 >= EVIDENCE_DERIVED_R2;
    assert!(r2(Quality::NoisyMargin(0.7)).iter().all(derived));
    assert!(!r2(Quality::Aligned(0.0)).iter().any(derived));
    // Quality beyond the evidence is still detected.
    assert!(rejects(Quality::Aligned(1.0), Scheme::ConditionalResidual).0 > 290);
}

#[test]
fn power_grows_with_alignment_and_with_examples() {
    let power = |alpha, examples| {
        let quality = Quality::Aligned(alpha);
        let design = Design { examples, groups: examples / 5, quality, ..NULL };
        rejections(&design, Scheme::Joint, 99, 200, &[0.05]).counts[0]
    };
    let (weak, strong, more) = (power(0.25, 200), power(1.0, 200), power(0.25, 800));
    assert!(weak < strong && weak < more, "{weak}, {strong}, {more} of 200");
    assert!(strong >= 195, "{strong} of 200");
}

#[test]
fn intervals_hold_the_true_gap_about_as_often_as_they_say() {
    let design = Design { examples: 400, groups: 80, quality: Quality::Aligned(1.0), ..NULL };
    let found = coverage(&design, true_gap(&design), 1000, 0.95);
    // With 80 groups the bootstrap is a little short of its word.
    for holds in found.holds {
        assert!((920..=970).contains(&holds), "{holds} of 1000 hold {}", found.truth);
    }
    assert!(found.equivalent <= 50, "{} false claims of 1000", found.equivalent);
}
