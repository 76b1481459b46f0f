//! The strata that a scheme exchanges quality within.

use fuseline_engine::StageError;
use fuseline_stats::evidence::confidence;
use fuseline_stats::permutation::{self, PermutationError, Rows, Scheme};

use crate::diagnose::permute_quality::INSTEAD_OF_CLASSES;
use crate::rows::decision;

/// Data that strata are built from, beside availability and groups.
pub(crate) struct Known<'a> {
    /// The class number of each row.
    pub labels: &'a [u32],
    /// rows x modalities x classes, where it is known.
    pub evidence: Option<&'a [f64]>,
    pub classes: usize,
    /// Into how many bins the confidence of each modality is cut.
    pub bins: u32,
}

/// The stratum of each row; none where a scheme needs none, or groups.
pub(crate) fn strata(
    scheme: Scheme,
    rows: &Rows<'_>,
    known: &Known<'_>,
) -> Result<Option<Vec<u32>>, StageError> {
    let evidence = || {
        known.evidence.map(|evidence| evidence.chunks_exact(known.classes)).ok_or_else(|| {
            StageError::data(format!(
                "the scheme {} needs evidence: each expert's probabilities",
                scheme.name()
            ))
            .at("scheme")
        })
    };
    let reads_classes =
        matches!(scheme, Scheme::Conditional | Scheme::WithinClass | Scheme::WithinCorrect);
    if known.classes < 2 && reads_classes {
        return Err(StageError::data(format!(
            "the scheme {} is one of classes, and the label is a number",
            scheme.name()
        ))
        .at("scheme")
        .hint(INSTEAD_OF_CLASSES));
    }
    match scheme {
        Scheme::Conditional => {
            let confidences: Vec<f64> = evidence()?.map(confidence).collect();
            permutation::confidence_strata(&confidences, rows, known.bins)
                .map(Some)
                .map_err(refused)
        }
        Scheme::WithinClass => Ok(Some(known.labels.to_vec())),
        Scheme::WithinCorrect => {
            let labels = known.labels.iter();
            let labels = labels.flat_map(|label| std::iter::repeat_n(*label, rows.modalities));
            let correct: Vec<bool> =
                evidence()?.zip(labels).map(|(p, label)| decision(p) == label as usize).collect();
            permutation::correct_strata(&correct, rows).map(Some).map_err(refused)
        }
        Scheme::Joint
        | Scheme::PerModality
        | Scheme::WithinGroup
        | Scheme::WholeGroups
        | Scheme::Derangement
        | Scheme::ConditionalResidual => Ok(None),
    }
}

/// Rows that cannot be permuted, as an error of the data.
pub(crate) fn refused(error: PermutationError) -> StageError {
    StageError::data(error.to_string())
}
