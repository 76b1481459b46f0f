//! `intervene.*`: changes of test data after the rules are frozen: modalities fail, features get
//! worse.
//!
//! Both touch test rows alone, so experts and rules are those of the intact study. Draws are made
//! per example from the workflow's seed, the modality and the example_id, whatever the severity, so
//! that two severities differ in nothing but what the severity changes.

pub mod degrade;
pub mod outage;

#[cfg(test)]
mod tests;

/// True if a modality is hit: all are when none is named.
pub(crate) fn hit(modalities: Option<&Vec<String>>, modality: &str) -> bool {
    modalities.is_none_or(|named| named.iter().any(|name| name == modality))
}
