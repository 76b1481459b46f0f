//! `quality.entropy`: how far the expert is from undecided.

use fuseline_stats::evidence::certainty;

quality_of_probabilities! {
    /// Quality is 1 - H(p) / ln K: 0 for equal probabilities, 1 for certainty.
    ///
    /// It is a function of the evidence, which the diagnostic holds fixed: see what the report
    /// says of evidence-derived quality.
    Entropy,
    "entropy",
    "One minus the normalised entropy of the probabilities.",
    certainty
}
