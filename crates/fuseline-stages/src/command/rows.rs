//! Row flow of a program, for the leakage guard: the rows and the labels that it is given, and what
//! its outputs may reveal of them.

use fuseline_artifact::ArtifactKind;
use fuseline_engine::{Fold, RowFlow, RowState, Rows};

use super::{Command, InputPort, InputRole, is_per_example};

/// An input of a program.
struct Given<'a> {
    name: &'a str,
    port: &'a InputPort,
    state: RowState,
    /// The rows that the program is given.
    sees: Rows,
    /// The rows whose labels it is given.
    labels: Rows,
}

impl Given<'_> {
    /// True if the program says that it learns from the rows.
    fn is_fitted(&self) -> bool {
        self.port.role == InputRole::Fit
    }

    /// True if it may learn from the rows and does not say so.
    fn is_mixed(&self) -> bool {
        self.port.role == InputRole::Neutral && self.port.artifact != ArtifactKind::Folds
    }
}

/// Follows the rows through a program.
///
/// With labels among its inputs, a program learns from all rows that it does not answer each by
/// itself, and what it says of rows whose labels it has is in-fold. Without labels it can reveal
/// none: the rows that it reads shape its outputs, so that nothing may be fitted on them where test
/// rows were among it, but it teaches them nothing. Evidence, quality and predictions are no
/// labels: what they say of a row does not come from its own label. That holds within one fold;
/// several folds together know each other's test rows.
pub(super) fn follow(stage: &Command, flow: &mut RowFlow<'_>) {
    let fold = fold(stage, flow);
    let given: Vec<Given<'_>> = stage
        .inputs
        .0
        .iter()
        .map(|(name, port)| {
            let state = flow.input(name);
            let sees = sees(fold, port.role, &state.holds);
            let labels = labels(port.artifact, &state, &sees);
            Given { name, port, state, sees, labels }
        })
        .collect();
    let all = |rows: fn(&RowState) -> &Rows| -> Rows {
        given.iter().map(|given| rows(&given.state)).collect()
    };
    let seen_by = |learns: &dyn Fn(&Given<'_>) -> bool| -> Rows {
        given.iter().filter(|given| learns(given)).map(|given| &given.sees).collect()
    };
    let labels: Rows = given.iter().map(|given| &given.labels).collect();
    let is_told = !labels.is_empty();
    let looked_at = seen_by(&|given| given.is_fitted() || given.is_mixed());
    let learnt = match is_told {
        true => given
            .iter()
            .filter(|given| given.is_fitted() || given.is_mixed())
            .flat_map(|given| [&given.sees, &given.labels])
            .collect(),
        false => seen_by(&|given| given.is_fitted()),
    };
    // Labels of rows that it answers each by itself are not learnt, and are told all the same.
    let told = learnt.union(&labels);
    for given in &given {
        if !matches!(given.port.artifact, ArtifactKind::Quality | ArtifactKind::Findings)
            && is_per_example(given.port.artifact)
        {
            flow.no_control(given.name);
        }
        match given.port.role {
            InputRole::Fit => flow.fit(given.name, &given.sees),
            InputRole::Apply => flow.apply_own(&learnt, given.name, &given.sees),
            InputRole::Neutral => {}
        }
    }
    let taught_by = all(|state| &state.taught_by);
    let made = RowState {
        holds: Rows::none(),
        shaped_by: all(|state| &state.shaped_by).union(&looked_at).union(&told),
        taught_by: if is_told { taught_by.union(&told) } else { taught_by },
        in_fold: given.iter().any(|given| given.state.in_fold),
        control: given.iter().any(|given| given.state.control),
        gathered_training: None,
    };
    let taught_before: Rows = given
        .iter()
        .filter(|given| given.is_fitted() || given.is_mixed())
        .map(|given| &given.state.taught_by)
        .collect();
    for (name, port) in &stage.outputs.0 {
        let holds = match &port.rows_of {
            Some(of) => seen_by(&|given| given.name == of),
            None => seen_by(&|_| true),
        };
        let own_labels = match is_told {
            true => told.overlaps(&holds),
            false => taught_before.training_fold().is_none() && taught_before.overlaps(&holds),
        };
        let says_of_rows = matches!(
            port.artifact,
            ArtifactKind::Evidence | ArtifactKind::Quality | ArtifactKind::Predictions
        );
        let in_fold = made.in_fold || (says_of_rows && own_labels && !port.out_of_fold);
        let control = made.control
            || port.metadata.get("control").is_some_and(|control| control == "positive");
        flow.give(name, RowState { holds, in_fold, control, ..made.clone() });
    }
}

fn fold(stage: &Command, flow: &mut RowFlow<'_>) -> Option<Fold> {
    Some(flow.fold(stage.folds_port()?, stage.test_fold?.into()))
}

/// The rows of an input that the program is given, of those that it holds.
fn sees(fold: Option<Fold>, role: InputRole, holds: &Rows) -> Rows {
    match (fold, role) {
        (Some(fold), InputRole::Fit) => holds.cut_to(Rows::train(fold)),
        (Some(fold), InputRole::Apply) => holds.cut_to(Rows::test(fold)),
        _ => holds.clone(),
    }
}

/// The rows whose labels an artifact reveals to its readers.
fn labels(kind: ArtifactKind, state: &RowState, sees: &Rows) -> Rows {
    match kind {
        ArtifactKind::Cohort
        | ArtifactKind::Permutations
        | ArtifactKind::ExampleEffects
        | ArtifactKind::Findings
        | ArtifactKind::Metadata
        | ArtifactKind::Audit
        | ArtifactKind::Table
        | ArtifactKind::Report => sees.clone(),
        // A program may have put in the labels that shaped these.
        ArtifactKind::Features | ArtifactKind::Model => state.taught_by.clone(),
        // In-fold ones and controls are known as such.
        ArtifactKind::Evidence | ArtifactKind::Quality | ArtifactKind::Predictions => Rows::none(),
        ArtifactKind::Folds => Rows::none(),
    }
}
