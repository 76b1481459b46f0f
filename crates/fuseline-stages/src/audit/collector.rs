//! Faults as they are found, with a limit to how many of a sort are listed.

use std::collections::BTreeMap;

use fuseline_artifact::{Audit, Fault, Severity};

use super::data::Check;

/// A fault without a place.
pub(super) fn fault(
    check: Check,
    severity: Severity,
    source: &str,
    statistic: &str,
    message: String,
) -> Fault {
    Fault {
        check: check.name().to_owned(),
        severity,
        source: source.to_owned(),
        column: None,
        first_example_id: None,
        second_example_id: None,
        statistic: statistic.to_owned(),
        value: None,
        threshold: None,
        p_value: None,
        message,
    }
}

/// Faults of all checks.
pub(super) struct Collector {
    max_rows: usize,
    faults: Vec<Fault>,
    /// Number of faults by check and source.
    counts: BTreeMap<(String, String), u64>,
    examined: Vec<String>,
    not_examined: Vec<String>,
}

impl Collector {
    /// Lists at most `max_rows` faults of a check and source.
    pub fn new(max_rows: usize) -> Self {
        Self {
            max_rows,
            faults: Vec::new(),
            counts: BTreeMap::new(),
            examined: Vec::new(),
            not_examined: Vec::new(),
        }
    }

    pub fn examined(&mut self, check: Check, source: &str) {
        push_new(&mut self.examined, format!("{}: {source}", check.name()));
    }

    pub fn not_examined(&mut self, check: Check, source: &str, reason: &str) {
        push_new(&mut self.not_examined, format!("{}: {source}: {reason}", check.name()));
    }

    pub fn add(&mut self, fault: Fault) {
        let place = (fault.check.clone(), fault.source.clone());
        let count = self.counts.entry(place).or_default();
        *count += 1;
        if *count <= self.max_rows as u64 {
            self.faults.push(fault);
        }
    }

    /// The faults, those that may make results wrong first.
    pub fn finish(mut self) -> Audit {
        self.faults.sort_by_key(|fault| fault.severity);
        let not_listed = self.counts.iter().filter_map(|((check, source), count)| {
            let more = count.checked_sub(self.max_rows as u64).filter(|more| *more > 0)?;
            Some(format!("{check}: {source}: {more} more"))
        });
        Audit {
            found: self.counts.values().sum(),
            not_listed: not_listed.collect(),
            examined: self.examined,
            not_examined: self.not_examined,
            rows: self.faults,
        }
    }
}

fn push_new(list: &mut Vec<String>, text: String) {
    if !list.contains(&text) {
        list.push(text);
    }
}
