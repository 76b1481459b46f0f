//! `quality.max_probability`: the probability of the class that the expert decides for.

use fuseline_stats::evidence::confidence;

quality_of_probabilities! {
    /// Quality is the largest probability, max_k p_k: from 1/K to 1, more is more reliable
    /// (Hendrycks and Gimpel, "A baseline for detecting misclassified and out-of-distribution
    /// examples in neural networks", ICLR 2017).
    ///
    /// It is a function of the evidence, which the diagnostic holds fixed: see what the report
    /// says of evidence-derived quality. Of two classes it says what `quality.margin` does.
    MaxProbability,
    "max_probability",
    "The largest probability.",
    confidence
}
