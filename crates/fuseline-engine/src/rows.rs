//! Which examples an artifact holds and which shaped it, known by name before anything runs.

use std::fmt;

use fuseline_workflow::Code;

use crate::codes;
use crate::plan::ActionId;

/// A set of examples, by what it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// No example.
    None,
    /// Examples of another study.
    External,
    /// The training rows of a fold.
    Train(Fold),
    /// The test rows of a fold.
    Test(Fold),
    /// Every example, or a mixture that has no other name.
    All,
}

/// One fold of one split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fold {
    /// The action that made the split; folds of different splits have nothing to do with each other.
    pub split: ActionId,
    /// The fold's number.
    pub fold: i64,
}

impl Rows {
    /// The smallest named set that holds both.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        match (self, other) {
            (same, also) if same == also => same,
            (Self::None, rows) | (rows, Self::None) => rows,
            _ => Self::All,
        }
    }

    /// Whether some example may be in both. Sets that cannot be told apart are said to overlap.
    pub fn overlaps(self, other: Self) -> bool {
        match (self, other) {
            (Self::None, _) | (_, Self::None) => false,
            (Self::External, with) | (with, Self::External) => with == Self::External,
            (Self::Train(train), Self::Test(test)) | (Self::Test(test), Self::Train(train)) => {
                train != test
            }
            (Self::Test(one), Self::Test(other)) => one.split != other.split || one == other,
            _ => true,
        }
    }

    /// Words for where the numbers of two folds say nothing, since their splits differ.
    fn of_another_split(self, other: Self) -> &'static str {
        match (self, other) {
            (Self::Train(one) | Self::Test(one), Self::Train(other) | Self::Test(other))
                if one.split != other.split =>
            {
                " of another split"
            }
            _ => "",
        }
    }

    /// The rows that a stage fitted on these must not have seen.
    pub fn held_out(self) -> Self {
        match self {
            Self::Train(fold) => Self::Test(fold),
            _ => Self::None,
        }
    }
}

impl fmt::Display for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("no rows"),
            Self::External => f.write_str("rows of another study"),
            Self::Train(fold) => write!(f, "train(fold {})", fold.fold),
            Self::Test(fold) => write!(f, "test(fold {})", fold.fold),
            Self::All => f.write_str("all rows"),
        }
    }
}

/// What is known of an artifact's rows at plan time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowState {
    /// The rows it holds.
    pub holds: Rows,
    /// The rows whose labels or values shaped it.
    pub shaped_by: Rows,
    /// Whether a row's own label shaped that row: evidence of a classifier for rows it was fitted on.
    pub in_fold: bool,
    /// Whether the labels of its own rows were read on purpose: a positive control.
    pub control: bool,
    /// The action that shaped it.
    pub origin: Option<ActionId>,
}

impl RowState {
    /// Rows that nothing shaped.
    pub fn of(holds: Rows) -> Self {
        Self { holds, shaped_by: Rows::None, in_fold: false, control: false, origin: None }
    }

    /// What would arrive if it were not for a leak: nothing, or the rows without what shaped them.
    #[must_use]
    pub(crate) fn without(self, leak: Code) -> Self {
        let is_of_shape =
            [codes::LEAK_IN_FOLD, codes::LEAK_SHAPED_BY_TEST, codes::LEAK_CONTROL].contains(&leak);
        Self::of(if is_of_shape { self.holds } else { Rows::None })
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            holds: self.holds.union(other.holds),
            shaped_by: self.shaped_by.union(other.shaped_by),
            in_fold: self.in_fold || other.in_fold,
            control: self.control || other.control,
            origin: self.origin.or(other.origin),
        }
    }
}

/// A leak that a stage found in what it was offered.
#[derive(Debug, Clone)]
pub struct Leak {
    /// A stable code, `fuseline::leak_…`.
    pub code: Code,
    /// The input through which it comes.
    pub port: String,
    /// A lower-case fragment.
    pub message: String,
    /// What to do.
    pub hint: &'static str,
    /// The action that shaped what arrived.
    pub origin: Option<ActionId>,
}

/// What a stage kind is told of its inputs' rows, and where it says what its outputs hold.
pub struct RowFlow<'a> {
    action: ActionId,
    inputs: &'a [(&'a str, RowState)],
    splits: &'a [(&'a str, ActionId)],
    /// What each output holds; outputs that are not named hold what the inputs hold.
    pub(crate) outputs: Vec<(String, RowState)>,
    pub(crate) leaks: Vec<Leak>,
}

impl<'a> RowFlow<'a> {
    pub(crate) fn new(
        action: ActionId,
        inputs: &'a [(&'a str, RowState)],
        splits: &'a [(&'a str, ActionId)],
    ) -> Self {
        Self { action, inputs, splits, outputs: Vec::new(), leaks: Vec::new() }
    }

    /// What arrives at an input, all of it together; no rows when nothing does.
    pub fn input(&self, port: &str) -> RowState {
        let found = self.inputs.iter().find(|(name, _)| *name == port);
        found.map_or(RowState::of(Rows::None), |(_, state)| *state)
    }

    /// Everything that arrives.
    pub fn all_inputs(&self) -> RowState {
        let states = self.inputs.iter().map(|(_, state)| *state);
        states.fold(RowState::of(Rows::None), RowState::and)
    }

    /// A fold of the split that arrives at an input.
    pub fn fold(&self, port: &str, fold: i64) -> Fold {
        let split = self.splits.iter().find(|(name, _)| *name == port);
        Fold { split: split.map_or(ActionId::MAX, |(_, action)| *action), fold }
    }

    /// Says what an output holds and which rows shaped it, here and before.
    pub fn output(&mut self, port: &str, holds: Rows, shaped_by: Rows) -> &mut RowState {
        let origin = (shaped_by != Rows::None).then_some(self.action);
        let state = RowState { shaped_by, origin, ..RowState::of(holds) };
        self.outputs.push((port.to_owned(), state));
        let last = self.outputs.len() - 1;
        &mut self.outputs[last].1
    }

    /// Passes an input's rows on to an output.
    pub fn pass(&mut self, from: &str, to: &str) -> &mut RowState {
        let state = self.input(from);
        self.outputs.push((to.to_owned(), state));
        let last = self.outputs.len() - 1;
        &mut self.outputs[last].1
    }

    /// Reports a leak.
    pub fn leak(&mut self, code: Code, port: &str, message: String, hint: &'static str) {
        let origin = self.input(port).origin;
        self.leaks.push(Leak { code, port: port.to_owned(), message, hint, origin });
    }

    /// The stage fits on what arrives at `port`, and `rows` is what it fits on.
    pub fn fit(&mut self, port: &str, rows: Rows) {
        let state = self.input(port);
        if matches!(rows, Rows::Test(_)) {
            self.leak(
                codes::LEAK_FIT_ON_TEST,
                port,
                format!("fits on {rows}, the rows that are held out for testing"),
                "fit on the output for training rows, usually named train",
            );
        } else if state.in_fold {
            self.leak(
                codes::LEAK_IN_FOLD,
                port,
                "fits on evidence for rows whose own labels shaped it".to_owned(),
                "use out-of-fold evidence: an expert's output train",
            );
        } else if state.shaped_by.overlaps(rows.held_out()) {
            self.leak(
                codes::LEAK_SHAPED_BY_TEST,
                port,
                format!(
                    "fits on {rows}, but what arrives was shaped by {}{}, which overlaps {}",
                    state.shaped_by,
                    rows.of_another_split(state.shaped_by),
                    rows.held_out()
                ),
                "fit each preprocessing step inside the fold, on its training rows alone",
            );
        }
    }

    /// The stage applies the model at `model` to what arrives at `port`.
    pub fn apply(&mut self, model: &str, port: &str) {
        let (model_state, rows) = (self.input(model), self.input(port));
        if model_state.shaped_by.overlaps(rows.holds) {
            self.leak(
                codes::LEAK_MODEL_SAW_ROWS,
                model,
                format!(
                    "applies a model shaped by {} to {}{}",
                    model_state.shaped_by,
                    rows.holds,
                    model_state.shaped_by.of_another_split(rows.holds)
                ),
                "match the fold: the model of a fold may only see that fold's test rows",
            );
        } else if rows.in_fold || rows.shaped_by.overlaps(rows.holds) {
            self.leak(
                codes::LEAK_IN_FOLD,
                port,
                format!("tests on {} with evidence that {} shaped", rows.holds, rows.shaped_by),
                "use evidence for held-out rows: an expert's output test",
            );
        }
    }

    /// The stage applies what it learnt itself, from `learnt`, to the rows `asked` of what arrives at `port`.
    pub fn apply_own(&mut self, learnt: Rows, port: &str, asked: Rows) {
        let state = self.input(port);
        if learnt.overlaps(asked) {
            self.leak(
                codes::LEAK_MODEL_SAW_ROWS,
                port,
                format!("learns from {learnt} and applies that to {asked}"),
                "say `test_fold` and give it the folds, so that it learns from training rows alone",
            );
        } else if learnt != Rows::None && (state.in_fold || state.shaped_by.overlaps(asked)) {
            self.leak(
                codes::LEAK_IN_FOLD,
                port,
                format!("tests on {asked} with an input that {} shaped", state.shaped_by),
                "use evidence for held-out rows: an expert's output test",
            );
        }
    }

    /// Two inputs must hold the same rows.
    pub fn same_rows(&mut self, one: &str, other: &str) {
        let (a, b) = (self.input(one).holds, self.input(other).holds);
        if a != b && a != Rows::None && b != Rows::None {
            self.leak(
                codes::LEAK_ROWS_DIFFER,
                other,
                format!("takes {one} of {a} and {other} of {b}{}", a.of_another_split(b)),
                "match the folds and take both from the same side of the split",
            );
        }
    }

    /// What arrives at an input must not come from a control that reads labels.
    pub fn no_control(&mut self, port: &str) {
        if self.input(port).control {
            self.leak(
                codes::LEAK_CONTROL,
                port,
                "takes what a control made of the labels of test rows into a native condition".to_owned(),
                "controls may only be the quality of a fusion rule, with the whole point marked as a control",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Fold = Fold { split: 7, fold: 1 };
    const TWO: Fold = Fold { split: 7, fold: 2 };

    #[test]
    fn a_fold_is_disjoint_from_its_own_training_rows_and_from_other_folds_only() {
        assert!(!Rows::Test(ONE).overlaps(Rows::Train(ONE)));
        assert!(!Rows::Test(ONE).overlaps(Rows::Test(TWO)));
        assert!(Rows::Test(ONE).overlaps(Rows::Test(ONE)));
        assert!(Rows::Test(ONE).overlaps(Rows::Train(TWO)));
        assert!(Rows::Train(ONE).overlaps(Rows::Train(TWO)));
        assert!(Rows::Test(ONE).overlaps(Rows::All));
    }

    #[test]
    fn folds_of_different_splits_are_never_known_to_be_disjoint() {
        let other = Fold { split: 8, fold: 1 };
        assert!(Rows::Test(ONE).overlaps(Rows::Train(other)));
        assert!(Rows::Test(ONE).overlaps(Rows::Test(Fold { split: 8, fold: 2 })));
    }

    #[test]
    fn another_study_overlaps_nothing_here() {
        assert!(!Rows::External.overlaps(Rows::All));
        assert!(Rows::External.overlaps(Rows::External));
    }

    #[test]
    fn a_union_of_different_sets_has_no_better_name_than_all() {
        assert_eq!(Rows::Test(ONE).union(Rows::Test(ONE)), Rows::Test(ONE));
        assert_eq!(Rows::Test(ONE).union(Rows::None), Rows::Test(ONE));
        assert_eq!(Rows::Test(ONE).union(Rows::Test(TWO)), Rows::All);
    }
}
