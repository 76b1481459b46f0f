//! `quality.margin`: how far the expert's first choice is ahead of its second.

use fuseline_stats::evidence::margin;

quality_of_probabilities! {
    /// Quality is the largest probability minus the second largest.
    ///
    /// It is a function of the evidence, which the diagnostic holds fixed: see what the report
    /// says of evidence-derived quality.
    Margin,
    "margin",
    "The largest probability minus the second largest.",
    margin
}
