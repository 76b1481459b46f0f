//! Joins by example_id: how much of one must hold, and what is said of those that lose examples.

use fuseline_engine::{Outputs, StageError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use mismatch::{Mismatch, Source, find_look_alikes, find_mismatch, find_variants};

mod mismatch;

/// Maximum number of listed example_ids.
const MAX_LISTED: usize = 3;

/// The least share of examples that a join keeps, unless the workflow says otherwise.
const AT_LEAST: f64 = 0.5;

/// Options of a join: the share of examples that it must keep.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct JoinOptions {
    /// The least share of examples to keep: fewer are an error, and any loss is a caution. Half of
    /// them when left out, where examples that are absent by design do not count as lost.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0))]
    at_least: Option<f64>,
}

/// A join that did not keep all examples.
pub(crate) struct Loss<'t> {
    /// Lost examples, in words.
    pub what: String,
    /// The first examples that are.
    pub lost: Vec<&'t str>,
    /// Number of examples kept.
    pub kept: usize,
    /// Of how many.
    pub of: usize,
    /// True if examples may be absent by design, so that only those count as lost by default that
    /// seem to be there under another spelling.
    pub by_design: bool,
    /// Why ids may differ that are meant to be the same.
    pub mismatch: Option<Mismatch>,
}

impl JoinOptions {
    /// Says a loss as a caution, or as an error when it is too large.
    pub fn judge(&self, loss: Loss<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let Loss { what, lost, kept, of, by_design, mismatch } = loss;
        let misspelt = mismatch.as_ref().map_or(0, |mismatch| mismatch.pairs);
        let meant = match self.at_least {
            None if by_design => kept + misspelt,
            _ => of,
        };
        let mut text = what;
        if !lost.is_empty() {
            text += &format!(": {}", list(&lost));
        }
        if let Some(mismatch) = &mismatch {
            text += &format!("; {mismatch}");
        }
        // Not to be undone by the last bit of a share.
        let is_enough = kept as f64 + 1e-9 >= self.at_least.unwrap_or(AT_LEAST) * meant as f64;
        if is_enough && (kept > 0 || meant == 0) {
            if let Some(cure) = mismatch.and_then(|mismatch| mismatch.cure) {
                text += &format!("; {cure}");
            }
            outputs.caution(text);
            return Ok(());
        }
        let cure = match &mismatch {
            Some(mismatch) => mismatch.hint(),
            None => "compare the ids of both sides".to_owned(),
        };
        // Rounded down, so that what the hint says is enough.
        let share = (kept as f64 / of as f64 * 100.0).floor() / 100.0;
        let go_on = match kept {
            0 => String::new(),
            _ => format!("; join: {{ at_least: {share} }} goes on with the {kept} that are left"),
        };
        Err(StageError::data(text).at("join").hint(cure + &go_on))
    }
}

/// The first of some ids.
pub(crate) fn list(ids: &[&str]) -> String {
    let more = if ids.len() > MAX_LISTED { ", ..." } else { "" };
    format!("{}{more}", ids[..ids.len().min(MAX_LISTED)].join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(at_least: Option<f64>, kept: usize, by_design: bool) -> Result<String, StageError> {
        let lost = vec!["01", "02", "03", "04"];
        let sources =
            [Source::new("a", lost.iter().copied()), Source::new("b", ["1", "2", "3", "4"])];
        let loss = Loss {
            what: "4 examples are lost".to_owned(),
            lost,
            kept,
            of: kept + 10,
            by_design,
            mismatch: find_mismatch(&sources),
        };
        let mut outputs = Outputs::default();
        JoinOptions { at_least }.judge(loss, &mut outputs)?;
        Ok(outputs.cautions().concat())
    }

    #[test]
    fn a_loss_is_a_caution_and_a_large_one_an_error() {
        let text = "4 examples are lost: 01, 02, 03, ...; 4 of them differ by leading zeros alone: \
                    \"01\" in a, \"1\" in b";
        let cure = "; read ids as text where the files are made (pandas: dtype=str), or take the \
            zeros off with id: { column: ..., pattern: '^0*(.+)$' }";
        assert_eq!(judge(None, 10, false).unwrap(), format!("{text}{cure}"));
        let error = judge(None, 9, false).unwrap_err();
        assert_eq!(error.message, text);
        let hint = error.hint.unwrap();
        assert!(
            hint.ends_with("; join: { at_least: 0.47 } goes on with the 9 that are left"),
            "{hint}"
        );
        assert!(judge(Some(0.47), 9, false).is_ok());
        assert!(judge(Some(0.9), 89, false).is_err());
        assert!(judge(Some(0.0), 1, false).is_ok());
        assert!(judge(Some(0.0), 0, false).is_err(), "nothing is left");
    }

    #[test]
    fn what_is_absent_by_design_is_not_lost_and_what_is_misspelt_is() {
        assert!(judge(None, 4, true).is_ok());
        assert!(judge(None, 3, true).is_err());
        assert!(judge(Some(0.5), 4, true).is_err(), "a share that is asked for is of all");
    }
}
