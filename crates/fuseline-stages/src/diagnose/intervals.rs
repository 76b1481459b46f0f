//! Intervals of what permuting quality does, and why the absence of an effect cannot be tested.

use fuseline_engine::{StageError, StageKind};
use fuseline_stats::bootstrap::{ClassSums, Interval, Resampled, cluster_bootstrap};
use fuseline_stats::border::unseen_intervals;
use fuseline_stats::streams::Stream;

use crate::diagnose::moved::Moved;
use crate::diagnose::summarize::{Resampling, Rows, Summarize, difference_ends};

/// Examples that a permutation changes, on average, below which nothing is said of the others.
const LEAST_MOVED: f64 = 10.0;

/// Effects of the permutations on each row.
pub(crate) struct RowEffects<'a> {
    /// 1 where the decision under Clean-Q is right.
    pub clean: &'a [f64],
    /// Share of permutations under which it is right.
    pub broken: &'a [f64],
    /// Share of permutations under which it differs from Clean-Q.
    pub flips: &'a [f64],
    /// Mean total-variation distance from Clean-Q.
    pub shift: &'a [f64],
}

/// Intervals of one finding.
pub(crate) struct Intervals {
    /// Of the gap, from resamples of groups.
    pub gap: Interval,
    /// Of the gap, the wider of that and of the bound that supposes a group that was not seen.
    pub bound: Interval,
    /// Of the share of decisions that a permutation changes, the wider of both.
    pub flips: Interval,
    /// Of the mean total-variation distance, the wider of both.
    pub shift: Interval,
}

impl Intervals {
    /// Intervals over groups of the effects on each row. Errors where there are fewer than two
    /// groups.
    pub fn new(
        rows: &Rows<'_>,
        effects: &RowEffects<'_>,
        of: &Resampling,
    ) -> Result<Self, StageError> {
        let [clean, broken] = [effects.clean, effects.broken].map(|of| class_sums(rows, of));
        let (clean, broken) = (clean?, broken?);
        let one_class = vec![0; rows.labels.len()];
        let all = Rows { labels: &one_class, classes: 1, ..*rows };
        let (flips, shift) = (class_sums(&all, effects.flips)?, class_sums(&all, effects.shift)?);
        let resampled = cluster_bootstrap(
            rows.groups,
            of.resamples as usize,
            &Stream::new(of.seed, Summarize::NAME),
            3,
            |multiplicity, values| {
                let [clean, broken, flips, shift] =
                    [&clean, &broken, &flips, &shift].map(|of| of.balanced_accuracy(multiplicity));
                values.copy_from_slice(&[clean - broken, flips, shift]);
            },
        )
        .map_err(|error| failed(&error))?;
        let [of_gap, of_flips, of_shift] = resampled.as_slice() else {
            return Err(StageError::failed("the bootstrap gave no statistics"));
        };
        let pairs = effects.clean.iter().zip(effects.broken);
        let lost: Vec<f64> = pairs.map(|(clean, broken)| clean - broken).collect();
        let lost = class_sums(rows, &lost)?;
        let [gap_bound, flips_bound, shift_bound] = unseen_intervals(
            [(&lost, [-1.0, 1.0]), (&flips, [0.0, 1.0]), (&shift, [0.0, 1.0])],
            of.resamples as usize,
            &Stream::new(of.seed, Summarize::NAME).with(b"unseen"),
            of.confidence,
        )
        .map_err(|error| failed(&error))?;
        let mean = |resampled: &Resampled, bound| {
            let resampled = resampled.percentile(of.confidence).map_err(|error| failed(&error))?;
            Ok::<_, StageError>(wider(resampled, bound))
        };
        let gap = difference_ends(of_gap, [&clean, &broken], of)?;
        Ok(Self {
            bound: wider(gap, gap_bound),
            gap,
            flips: mean(of_flips, flips_bound)?,
            shift: mean(of_shift, shift_bound)?,
        })
    }
}

fn class_sums(rows: &Rows<'_>, values: &[f64]) -> Result<ClassSums, StageError> {
    ClassSums::from_rows(rows.group, rows.groups, rows.labels, rows.classes, values)
        .map_err(|error| failed(&error))
}

fn wider(one: Interval, other: Interval) -> Interval {
    Interval { low: one.low.min(other.low), high: one.high.max(other.high), ..one }
}

fn failed(error: &dyn std::error::Error) -> StageError {
    StageError::data(error.to_string())
}

/// The reason why a gap near 0 says nothing under a scheme, if there is one.
///
/// `least_share`: of the examples whose quality a joint permutation changes, the share that the
/// scheme must change.
pub(crate) fn not_testable(scheme: &str, of: Moved, least_share: f64) -> Option<String> {
    let Moved { moved, movable } = of;
    if movable == 0.0 {
        return Some("quality has one value wherever examples could exchange it".to_owned());
    }
    if moved == 0.0 {
        return Some(format!("the scheme {scheme} changes the quality of no example"));
    }
    if moved < LEAST_MOVED {
        return Some(format!(
            "the scheme {scheme} changes the quality of {moved:.1} examples on average, too few \
             to tell"
        ));
    }
    (moved / movable < least_share).then(|| {
        format!(
            "the scheme {scheme} changes the quality of {moved:.0} examples on average where a \
             joint permutation changes {movable:.0}: what the others would show is not seen"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_did_not_move_is_not_testable_and_says_why() {
        let reason = |moved, movable| {
            let reason = not_testable("conditional", Moved { moved, movable }, 0.5);
            reason.unwrap_or_default()
        };
        assert!(reason(0.0, 0.0).contains("one value"));
        assert!(reason(0.0, 300.0).contains("of no example"));
        assert!(reason(4.5, 4.6).contains("4.5 examples on average, too few"));
        assert!(reason(100.0, 300.0).contains("changes the quality of 100 examples"));
        // A rare flag moves few rows, and no scheme could move more.
        assert_eq!((reason(24.0, 25.0), reason(290.0, 300.0)), (String::new(), String::new()));
    }

    #[test]
    fn a_bound_is_as_wide_as_the_bootstrap_at_least_and_has_width_where_nothing_changed() {
        let group: Vec<u32> = (0..60).collect();
        let labels: Vec<u32> = (0..60).map(|row| row % 2).collect();
        let rows = Rows { group: &group, groups: 60, labels: &labels, classes: 2 };
        let of = Resampling::from_settings(&[], 1);
        let right = [1.0; 60];
        let none = [0.0; 60];
        let effects = RowEffects { clean: &right, broken: &right, flips: &none, shift: &none };
        let found = Intervals::new(&rows, &effects, &of).unwrap();
        assert_eq!((found.gap.low, found.gap.high), (0.0, 0.0));
        // 30 examples a class, none of which changed: 1 - 0.025^(1/30), as scipy's interval of 0 of
        // 30 says.
        assert!((found.bound.high - 0.115_703).abs() < 0.012, "{:?}", found.bound);
        assert!((found.flips.high - 0.059_615).abs() < 0.006, "{:?}", found.flips);
        assert_eq!((found.flips.low, found.shift.low), (0.0, 0.0));
        let broken: Vec<f64> = (0..60).map(|row| f64::from(row % 3) / 2.0).collect();
        let effects = RowEffects { clean: &right, broken: &broken, flips: &broken, shift: &none };
        let found = Intervals::new(&rows, &effects, &of).unwrap();
        assert!(found.bound.low <= found.gap.low && found.gap.high <= found.bound.high);
    }
}
