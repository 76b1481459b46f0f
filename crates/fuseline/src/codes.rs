//! Codes of diagnostics, with their explanations.

use fuseline_workflow::Code;

/// Every code with its explanation, sorted.
pub fn all() -> Vec<(Code, &'static str)> {
    let mut all = fuseline_workflow::codes::all();
    all.extend(fuseline_engine::codes::all());
    all.sort_unstable_by_key(|(code, _)| *code);
    all
}
