//! Reasons to doubt a permutation p-value: examples of a group that are alike, and qualities that are
//! related where a scheme moves each on its own.

use fuseline_engine::StageError;
use fuseline_stats::clustering::{design_effect, intraclass_correlation};
use fuseline_stats::metrics::{MetricError, spearman};
use fuseline_stats::permutation::{Intervention, Scheme};

/// A test that counts each example as independent at this design effect has more false alarms than
/// its level states: 7 % at 5 %.
const LARGE_DESIGN_EFFECT: f64 = 1.25;

/// Rank correlations of the qualities of two modalities from here on are more than noise.
const RELATED: f64 = 0.3;

/// Qualities of the tested rows.
pub(crate) struct Qualities<'a> {
    /// The modality of each column.
    pub modalities: &'a [String],
    /// rows x columns.
    pub quality: &'a [f64],
    /// rows x columns: whether the modality is there.
    pub available: &'a [bool],
}

impl Qualities<'_> {
    /// A column's values; not a number where the modality is unavailable.
    fn column(&self, column: usize) -> Vec<f64> {
        let cells = (column..self.quality.len()).step_by(self.modalities.len());
        cells.map(|at| if self.available[at] { self.quality[at] } else { f64::NAN }).collect()
    }
}

/// Similarity of the examples of a group, as intraclass correlations.
pub(crate) struct Alike {
    /// Of labels, of the class where it is largest.
    pub labels: Option<f64>,
    /// Of the decision under Clean-Q being right.
    pub errors: Option<f64>,
    /// Of each column of quality.
    pub quality: Vec<Option<f64>>,
    /// None where the scheme keeps groups, or exchanges nothing across examples.
    pub design_effect: Option<f64>,
}

impl Alike {
    /// `labels`: the class of each row, of so many; `right`: 1 where the decision is right.
    pub fn of_classes(
        group: &[u32],
        (labels, classes): (&[u32], usize),
        right: &[f64],
        qualities: &Qualities<'_>,
        scheme: &str,
    ) -> Self {
        let of_class = |class: u32| {
            let is: Vec<f64> =
                labels.iter().map(|label| f64::from(u8::from(*label == class))).collect();
            intraclass_correlation(&is, group)
        };
        let labels = (0..classes as u32).filter_map(of_class).max_by(f64::total_cmp);
        Self::measure(group, labels, intraclass_correlation(right, group), qualities, scheme)
    }

    /// `labels`, `errors`: their intraclass correlations.
    pub fn measure(
        group: &[u32],
        labels: Option<f64>,
        errors: Option<f64>,
        qualities: &Qualities<'_>,
        scheme: &str,
    ) -> Self {
        let columns = 0..qualities.modalities.len();
        let quality: Vec<Option<f64>> = columns
            .map(|column| intraclass_correlation(&qualities.column(column), group))
            .collect();
        let parts_groups = matches!(
            Intervention::named(scheme),
            Some(Intervention::Permutation(scheme)) if scheme.parts_groups()
        );
        let design_effect = parts_groups.then(|| {
            let most = |of: f64, next: f64| of.max(next);
            let outcome = labels.into_iter().chain(errors).fold(0.0, most);
            let quality = quality.iter().flatten().copied().fold(0.0, most);
            design_effect(quality, outcome, group)
        });
        Self { labels, errors, quality, design_effect }
    }

    /// Why the p-value of a rule that reads quality may be too small, and which scheme's is not.
    pub fn p_doubt(
        &self,
        qualities: &Qualities<'_>,
        scheme: &str,
        groups: usize,
    ) -> Result<Option<String>, StageError> {
        match self.groups_alike(scheme, groups) {
            None => related_qualities(qualities, scheme),
            doubt => Ok(doubt),
        }
    }

    fn groups_alike(&self, scheme: &str, groups: usize) -> Option<String> {
        let effect = self.design_effect.filter(|effect| *effect >= LARGE_DESIGN_EFFECT)?;
        let most = self.quality.iter().flatten().copied().fold(0.0, f64::max);
        let (what, outcome) = match (self.labels.unwrap_or(0.0), self.errors.unwrap_or(0.0)) {
            (labels, errors) if labels >= errors => ("labels", labels),
            (_, errors) => ("errors", errors),
        };
        Some(format!(
            "examples of a group are alike in quality and in {what} (intraclass correlations up \
             to {most:.2} and {outcome:.2}, {groups} groups): the p-value of scheme {scheme}, \
             which exchanges examples one at a time, is too small, as if there were {effect:.1} \
             times more of them. `whole_groups` exchanges groups where some are alike in size, \
             `within_group` examples of a group where their quality differs"
        ))
    }
}

/// Reason where a scheme moves modalities one by one and breaks what their qualities have in common.
fn related_qualities(
    qualities: &Qualities<'_>,
    scheme: &str,
) -> Result<Option<String>, StageError> {
    if scheme != Scheme::PerModality.name() {
        return Ok(None);
    }
    let names = qualities.modalities;
    let columns: Vec<Vec<f64>> = (0..names.len()).map(|column| qualities.column(column)).collect();
    let mut most: Option<(f64, usize, usize)> = None;
    for second in 1..names.len() {
        // Channels of one modality move together.
        for first in (0..second).filter(|first| names[*first] != names[second]) {
            let both = columns[first].iter().zip(&columns[second]);
            let (one, other): (Vec<f64>, Vec<f64>) =
                both.filter(|(one, other)| !one.is_nan() && !other.is_nan()).unzip();
            let related = match spearman(&one, &other) {
                Ok(related) => related,
                Err(MetricError::Undefined { .. } | MetricError::Empty) => continue,
                Err(error) => return Err(StageError::data(error.to_string())),
            };
            if most.is_none_or(|(top, ..)| related.abs() > top.abs()) {
                most = Some((related, first, second));
            }
        }
    }
    Ok(most.filter(|(related, ..)| related.abs() >= RELATED).map(|(related, first, second)| {
        format!(
            "the qualities of {} and {} are related (Spearman {related:.2}), and scheme \
             per_modality breaks that too: a small p-value may come of it and not of the rule. \
             `joint` keeps the qualities of an example together",
            names[first], names[second]
        )
    }))
}
