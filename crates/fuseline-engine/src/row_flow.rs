//! The exchange of the leakage check with one stage: offered inputs, rows of the outputs, and
//! the leaks found.

use fuseline_workflow::{Code, InputPort, Role};

use crate::codes;
use crate::plan::ActionId;
use crate::rows::{Fold, Rows};

/// Rows of an artifact, as far as the plan determines them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowState {
    /// The rows it holds.
    pub holds: Rows,
    /// The rows whose labels or values shaped it.
    pub shaped_by: Rows,
    /// The rows whose labels shaped it: some of those above.
    pub taught_by: Rows,
    /// True if a row's own label shaped that row: evidence of a classifier for rows it was fitted
    /// on.
    pub in_fold: bool,
    /// True if the labels of its own rows were read on purpose: a positive control.
    pub control: bool,
    /// A fold whose training rows are among what was gathered: those of several folds together are
    /// all rows, of which none is any fold's.
    pub gathered_training: Option<Fold>,
}

impl RowState {
    /// Rows that nothing shaped.
    #[must_use]
    pub fn unshaped(holds: Rows) -> Self {
        Self { holds, ..Self::default() }
    }

    /// All of them together.
    #[must_use]
    pub fn together<'s>(states: impl Iterator<Item = &'s Self> + Clone) -> Self {
        Self {
            holds: states.clone().map(|state| &state.holds).collect(),
            shaped_by: states.clone().map(|state| &state.shaped_by).collect(),
            taught_by: states.clone().map(|state| &state.taught_by).collect(),
            in_fold: states.clone().any(|state| state.in_fold),
            control: states.clone().any(|state| state.control),
            gathered_training: None,
        }
    }

    /// What arrives at one input.
    #[must_use]
    pub(crate) fn gathered<'s>(states: impl Iterator<Item = &'s Self> + Clone) -> Self {
        let gathered_training = states.clone().find_map(Self::training_fold);
        Self { gathered_training, ..Self::together(states) }
    }

    /// The fold whose training rows it holds, or the first of several.
    fn training_fold(&self) -> Option<Fold> {
        self.holds.training_fold().or(self.gathered_training)
    }

    /// Adds rows whose labels shaped it too.
    #[must_use]
    pub fn taught(mut self, rows: &Rows) -> Self {
        self.shaped_by = self.shaped_by.union(rows);
        self.taught_by = self.taught_by.union(rows);
        self
    }

    /// State that would arrive without a leak: nothing, or the rows without what shaped them.
    #[must_use]
    pub(crate) fn without(&self, leak: Code) -> Self {
        let is_of_shape =
            [codes::LEAK_IN_FOLD, codes::LEAK_SHAPED_BY_TEST, codes::LEAK_CONTROL].contains(&leak);
        Self::unshaped(if is_of_shape { self.holds.clone() } else { Rows::none() })
    }
}

/// Property by which an artifact leaks: the path of a leak consists of artifacts that have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trace {
    /// It holds some of these rows.
    Holds(Rows),
    /// Some of these rows shaped it.
    ShapedBy(Rows),
    /// Its own rows' labels shaped it, or labels of some of these rows did.
    InFold(Rows),
    /// It was made of labels on purpose.
    Control,
}

impl Trace {
    /// True if the artifact is on the path.
    pub(crate) fn leads_through(&self, state: &RowState) -> bool {
        match self {
            Self::Holds(rows) => state.holds.overlaps(rows),
            Self::ShapedBy(rows) => state.shaped_by.overlaps(rows),
            Self::InFold(rows) => state.in_fold || state.taught_by.overlaps(rows),
            Self::Control => state.control,
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
    /// Remedy.
    pub hint: &'static str,
    /// Property that leaks.
    pub trace: Trace,
    /// The input with which the port has changed places.
    pub swapped_with: Option<String>,
}

impl Leak {
    /// True if it comes through an input.
    pub(crate) fn comes_through(&self, port: &str) -> bool {
        self.port == port || self.swapped_with.as_deref() == Some(port)
    }
}

/// Inputs that a stage is offered, as the leakage check knows them.
pub struct Offered<'a> {
    /// The input ports of the stage kind. Those that it does not read do not count.
    pub ports: &'a [InputPort],
    /// The output ports.
    pub outputs: &'a [&'a str],
    /// Row state of each connected input, all that arrives at it together.
    pub inputs: Vec<(&'a str, RowState)>,
    /// The action behind each input that takes one artifact: the split, where folds arrive.
    pub producers: Vec<(&'a str, ActionId)>,
    /// Name of a split.
    pub split_name: &'a dyn Fn(ActionId) -> String,
}

/// Interface by which a stage kind reads the rows of its inputs and declares those of its outputs.
///
/// Every input of role fit or apply must go through a method that says what is done with it, every
/// output must be named once: what is left out, and a port that does not exist, are mistakes of the
/// stage kind ([`RowFlow::finish`]).
pub struct RowFlow<'a> {
    offered: &'a Offered<'a>,
    /// Declared state of each output.
    outputs: Vec<Option<RowState>>,
    leaks: Vec<Leak>,
    /// Flag per input: true once the stage said what is done with it.
    used: Vec<bool>,
    mistakes: Vec<String>,
    /// Declared state of an output that does not exist.
    unknown: RowState,
}

/// Rows that a stage declared.
#[derive(Debug)]
pub struct Flowed {
    /// The outputs in the order of the ports.
    pub outputs: Vec<RowState>,
    /// Leaks in the offered inputs.
    pub leaks: Vec<Leak>,
}

impl<'a> RowFlow<'a> {
    /// Begins the exchange.
    pub fn new(offered: &'a Offered<'a>) -> Self {
        Self {
            offered,
            outputs: vec![None; offered.outputs.len()],
            leaks: Vec::new(),
            used: vec![false; offered.ports.len()],
            mistakes: Vec::new(),
            unknown: RowState::default(),
        }
    }

    /// Ends the dialogue: what the stage said, or where the stage kind fails to say what it must.
    pub fn finish(mut self) -> Result<Flowed, Vec<String>> {
        let mut outputs = Vec::with_capacity(self.offered.outputs.len());
        for (port, state) in self.offered.outputs.iter().zip(self.outputs) {
            match state {
                Some(state) => outputs.push(state),
                None => self.mistakes.push(format!("does not say which rows output {port} holds")),
            }
        }
        for (port, used) in self.offered.ports.iter().zip(self.used) {
            if port.read && port.role != Role::Neutral && !used {
                let mistake = format!("does not say what it does with the rows of {}", port.name);
                self.mistakes.push(mistake);
            }
        }
        // All else follows from it.
        if let Some(place) = self.leaks.iter().position(|leak| leak.swapped_with.is_some()) {
            self.leaks = vec![self.leaks.swap_remove(place)];
        }
        match self.mistakes.is_empty() {
            true => Ok(Flowed { outputs, leaks: self.leaks }),
            false => Err(self.mistakes),
        }
    }

    /// Combined row state of all that arrives at an input; no rows when nothing does.
    pub fn input(&mut self, port: &str) -> RowState {
        if !self.offered.ports.iter().any(|known| known.read && known.name == port) {
            self.mistakes.push(format!("asks for the rows of {port}, which it does not read"));
        }
        let found = self.offered.inputs.iter().find(|(name, _)| *name == port);
        found.map(|(_, state)| state.clone()).unwrap_or_default()
    }

    /// As [`RowFlow::input`], for a method that says what is done with the rows.
    fn take(&mut self, port: &str) -> RowState {
        if let Some(place) = self.offered.ports.iter().position(|known| known.name == port) {
            self.used[place] = true;
        }
        self.input(port)
    }

    /// Everything that arrives.
    pub fn all_inputs(&self) -> RowState {
        RowState::together(self.offered.inputs.iter().map(|(_, state)| state))
    }

    /// A fold of the split that arrives at an input.
    pub fn fold(&mut self, port: &str, fold: i64) -> Fold {
        self.input(port);
        let split = self.offered.producers.iter().find(|(name, _)| *name == port);
        Fold { split: split.map(|(_, action)| *action), fold }
    }

    /// Declares the rows of an output and what shaped it.
    pub fn give(&mut self, port: &str, state: RowState) -> &mut RowState {
        let Some(place) = self.offered.outputs.iter().position(|known| *known == port) else {
            self.mistakes.push(format!("says which rows output {port} holds, which it has not"));
            self.unknown = state;
            return &mut self.unknown;
        };
        if self.outputs[place].is_some() {
            self.mistakes.push(format!("says twice which rows output {port} holds"));
        }
        self.outputs[place].insert(state)
    }

    /// Declares the rows of an output and those whose labels and values shaped it, here and before.
    pub fn output(&mut self, port: &str, holds: Rows, shaped_by: Rows) -> &mut RowState {
        let taught_by = shaped_by.clone();
        self.give(port, RowState { holds, shaped_by, taught_by, ..RowState::default() })
    }

    /// Passes an input's rows on to an output.
    pub fn pass(&mut self, from: &str, to: &str) -> &mut RowState {
        let state = self.take(from);
        self.give(to, state)
    }

    /// As [`RowFlow::pass`], for an output to which each row of `beside`, of the same examples,
    /// contributes: what shaped those shaped it too.
    pub fn pass_beside(&mut self, from: &str, beside: &str, to: &str) -> &mut RowState {
        self.same_rows(from, beside);
        let (state, others) = (self.take(from), self.take(beside));
        let together = RowState::together([&state, &others].into_iter());
        self.give(to, RowState { holds: state.holds, ..together })
    }

    /// Names the rows of several sets, and the split of each fold where there are several.
    fn words<const N: usize>(&self, sets: [&Rows; N]) -> [String; N] {
        let mut splits = sets.iter().flat_map(|rows| rows.splits());
        let first = splits.next();
        let several = splits.any(|split| Some(split) != first);
        sets.map(|rows| rows.words(&|split| several.then(|| (self.offered.split_name)(split))))
    }

    /// Reports a leak.
    pub fn leak(
        &mut self,
        code: Code,
        port: &str,
        message: String,
        hint: &'static str,
        trace: Trace,
    ) {
        let (port, swapped_with) = (port.to_owned(), None);
        self.leaks.push(Leak { code, port, message, hint, trace, swapped_with });
    }

    /// The inputs at `train` and `test` are for the two sides of a split, and must not have changed
    /// places. Where they have, that is the one leak of the stage.
    pub fn two_sides(&mut self, train: &str, test: &str) {
        let (a, b) = (self.input(train).holds, self.input(test).holds);
        if a.hold_test_rows() && b.training_fold().is_some() {
            let [first, second] = self.words([&a, &b]);
            self.leaks.push(Leak {
                code: codes::LEAK_SIDES_SWAPPED,
                port: train.to_owned(),
                message: format!(
                    "takes {first} at {train}, for training rows, and {second} at {test}, for test \
                     rows"
                ),
                hint: "exchange the two references",
                trace: Trace::Holds(a),
                swapped_with: Some(test.to_owned()),
            });
        }
    }

    /// The stage learns from `rows` of what arrives at `port`.
    pub fn fit(&mut self, port: &str, rows: &Rows) {
        let state = self.take(port);
        if rows.hold_test_rows() {
            let [fitted] = self.words([rows]);
            self.leak(
                codes::LEAK_FIT_ON_TEST,
                port,
                format!("fits on {fitted}, the rows that are held out for testing"),
                "fit on the output for training rows, usually named train",
                Trace::Holds(rows.clone()),
            );
        } else {
            self.fit_on(port, &state, rows);
        }
    }

    /// The stage learns from the rows at `port` that `beside` holds too: that those are test rows
    /// is reported for `beside`.
    pub fn fit_beside(&mut self, port: &str, beside: &str) {
        let (state, rows) = (self.take(port), self.input(beside).holds);
        if !rows.hold_test_rows() {
            self.fit_on(port, &state, &rows);
        }
    }

    fn fit_on(&mut self, port: &str, state: &RowState, rows: &Rows) {
        let held_out = rows.held_out();
        if state.shaped_by.overlaps(&held_out) {
            let [fitted, shaped_by, tested] = self.words([rows, &state.shaped_by, &held_out]);
            self.leak(
                codes::LEAK_SHAPED_BY_TEST,
                port,
                format!(
                    "fits on {fitted}, but what arrives was shaped by {shaped_by}, which overlaps \
                     {tested}"
                ),
                "fit each preprocessing step inside the fold, on its training rows alone",
                Trace::ShapedBy(held_out),
            );
        } else if state.in_fold {
            self.leak(
                codes::LEAK_IN_FOLD,
                port,
                "fits on evidence for rows whose own labels shaped it".to_owned(),
                "use out-of-fold evidence: an expert's output train",
                Trace::InFold(Rows::none()),
            );
        }
    }

    /// The stage reads the labels at `port` of the rows that it learns from elsewhere.
    pub fn read_labels(&mut self, port: &str) {
        self.take(port);
    }

    /// The stage asks a model that came from outside about what arrives at `port`; gives what that
    /// is.
    pub fn ask_frozen(&mut self, port: &str) -> RowState {
        self.take(port)
    }

    /// Models and rows of many folds arrive together, so that names do not tell whose model meets
    /// whose rows: the example_ids do, while running. Of a fold's training rows it is known.
    pub fn apply_each(&mut self, model: &str, ports: &[&str]) {
        let shaped_by = self.take(model).shaped_by;
        for port in ports {
            let state = self.take(port);
            let training = state.training_fold().map(Rows::train);
            if let Some(rows) = training.filter(|rows| shaped_by.overlaps(rows)) {
                let [shaped, asked] = self.words([&shaped_by, &rows]);
                self.leak(
                    codes::LEAK_MODEL_SAW_ROWS,
                    port,
                    format!("applies models shaped by {shaped} to {asked}, among others"),
                    "take the output for held-out rows, usually named test",
                    Trace::Holds(rows),
                );
            } else if state.in_fold {
                self.leak_in_fold(
                    port,
                    "tests with evidence for rows whose own labels shaped it".to_owned(),
                    Rows::none(),
                );
            }
        }
    }

    /// The stage applies the model at `model` to what arrives at `port`.
    pub fn apply(&mut self, model: &str, port: &str) {
        let (shaped_by, rows) = (self.take(model).shaped_by, self.take(port));
        if shaped_by.overlaps(&rows.holds) {
            let [shaped, asked] = self.words([&shaped_by, &rows.holds]);
            // No model may be asked about training rows: then they are the mistake.
            let (wrong, hint, trace) = match rows.training_fold() {
                Some(_) => (
                    port,
                    "take the output for held-out rows, usually named test",
                    Trace::Holds(rows.holds),
                ),
                None => (
                    model,
                    "match the fold: the model of a fold may only see that fold's test rows",
                    Trace::ShapedBy(rows.holds),
                ),
            };
            let message = format!("applies a model shaped by {shaped} to {asked}");
            self.leak(codes::LEAK_MODEL_SAW_ROWS, wrong, message, hint, trace);
        } else {
            let holds = rows.holds.clone();
            self.ask_about(port, &rows, &holds);
        }
    }

    /// The stage shows the model at `model` the rows at `port` that `beside` holds too: that the
    /// model saw them is reported for `beside`.
    pub fn apply_beside(&mut self, model: &str, port: &str, beside: &str) {
        let (shaped_by, state) = (self.take(model).shaped_by, self.take(port));
        let asked = self.input(beside).holds;
        if !shaped_by.is_empty() && !shaped_by.overlaps(&asked) {
            self.ask_about(port, &state, &asked);
        }
    }

    /// The stage applies what it learns itself, from `learnt`, to the rows `asked` of what arrives
    /// at `port`.
    pub fn apply_own(&mut self, learnt: &Rows, port: &str, asked: &Rows) {
        let state = self.take(port);
        if learnt.overlaps(asked) {
            let [from, to] = self.words([learnt, asked]);
            self.leak(
                codes::LEAK_MODEL_SAW_ROWS,
                port,
                format!("learns from {from} and applies that to {to}"),
                "say `test_fold` and give it the folds, so that it learns from training rows alone",
                Trace::Holds(asked.clone()),
            );
        } else if !learnt.is_empty() {
            self.ask_about(port, &state, asked);
        }
    }

    /// Checks that tested rows were not shaped by their own labels.
    fn ask_about(&mut self, port: &str, state: &RowState, asked: &Rows) {
        if state.in_fold || state.taught_by.overlaps(asked) {
            let [tested, taught_by] = self.words([asked, &state.taught_by]);
            let message = format!("tests on {tested} with what the labels of {taught_by} shaped");
            self.leak_in_fold(port, message, asked.clone());
        }
    }

    fn leak_in_fold(&mut self, port: &str, message: String, rows: Rows) {
        self.leak(
            codes::LEAK_IN_FOLD,
            port,
            message,
            "use evidence for held-out rows: an expert's output test",
            Trace::InFold(rows),
        );
    }

    /// Two inputs must hold the same rows.
    pub fn same_rows(&mut self, one: &str, other: &str) {
        let (a, b) = (self.input(one).holds, self.input(other).holds);
        if !a.is_empty() && !b.is_empty() && !a.may_equal(&b) {
            let [first, second] = self.words([&a, &b]);
            self.leak(
                codes::LEAK_ROWS_DIFFER,
                other,
                format!("takes {one} of {first} and {other} of {second}"),
                "match the folds and take both from the same side of the split",
                Trace::Holds(b),
            );
        }
    }

    /// The stage tests on the rows at `tested`: what arrives at `port` must be of held-out rows where
    /// they are.
    pub fn test_beside(&mut self, tested: &str, port: &str) {
        let is_of_training = self.input(tested).training_fold().is_some();
        if let (false, Some(fold)) = (is_of_training, self.input(port).training_fold()) {
            let rows = Rows::train(fold);
            let [words] = self.words([&rows]);
            self.leak(
                codes::LEAK_ROWS_DIFFER,
                port,
                format!("takes {port} of {words}, and {tested} of rows that are held out"),
                "take the output for held-out rows, usually named test",
                Trace::Holds(rows),
            );
        }
    }

    /// The stage chooses by what arrives at `port`, which must not be of held-out rows.
    pub fn choose_by(&mut self, port: &str) {
        let rows = self.input(port).holds;
        if rows.hold_test_rows() {
            let [words] = self.words([&rows]);
            self.leak(
                codes::LEAK_FIT_ON_TEST,
                port,
                format!("chooses by {words}, the rows that are held out for testing"),
                "take the output for training rows, usually named train",
                Trace::Holds(rows),
            );
        }
    }

    /// Checks that nothing at an input comes from a control that reads labels.
    pub fn no_control(&mut self, port: &str) {
        if self.input(port).control {
            self.leak(
                codes::LEAK_CONTROL,
                port,
                "takes what a control made of the labels of test rows into a native condition"
                    .to_owned(),
                "controls may only be the quality of a fusion rule, with the whole point marked \
                 as a control",
                Trace::Control,
            );
        }
    }
}

#[cfg(test)]
mod tests;
