use std::path::{Path, PathBuf};

use fuseline_artifact::ArtifactKind;
use fuseline_host::{Isolation, PluginLibrary};
use fuseline_workflow::{Limits, Overrides, Role, Source};
use proptest::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;

use super::*;
use crate::{
    Depth, Fold, Inputs, KeyWriter, Kind, Kinds, Outputs, Ports, Rows, Services, StageError,
    StageKind,
};

/// A stage that does with rows what its options say.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Says {
    /// The folds whose test rows its output holds.
    #[serde(default)]
    test: Vec<i64>,
    /// The fold whose training rows shaped its output.
    #[serde(default)]
    trained: Option<i64>,
    /// Fits on the training rows of this fold.
    #[serde(default)]
    fits: Option<i64>,
    /// Says nothing of its rows.
    #[serde(default)]
    silent: bool,
    /// Nothing that its rows depend on.
    #[serde(default)]
    note: i64,
}

impl StageKind for Says {
    const NAME: &'static str = "test.says";
    const REVISION: u32 = 1;
    const SUMMARY: &'static str = "Says of its rows what a test says.";

    fn ports() -> Ports {
        Ports::new()
            .many("from", ArtifactKind::Report, Role::Fit, "What it is given.")
            .optional()
            .output("main", ArtifactKind::Report, "A text.")
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self { test, trained, fits, silent, note } = self;
        key.field("options", &(test, trained, fits, silent, note));
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        if self.silent {
            return;
        }
        let fold = |fold: i64| Fold { split: Some(ActionId(0)), fold };
        flow.fit("from", &self.fits.map_or_else(Rows::none, |number| Rows::train(fold(number))));
        let own: Vec<_> = self.test.iter().map(|&number| Rows::test(fold(number))).collect();
        let own: Rows = own.iter().collect();
        let trained = self.trained.map_or_else(Rows::none, |number| Rows::train(fold(number)));
        let mut state = flow.input("from").taught(&trained);
        state.holds = state.holds.union(&own);
        flow.give("main", state);
    }

    fn run(&self, _: &Inputs<'_>, _: &mut Outputs) -> Result<(), StageError> {
        Ok(())
    }
}

/// Diagnostics of planning a workflow with these axes and stages.
fn plan(axes: &str, stages: &str) -> Result<(), Vec<Diagnostic>> {
    let text = format!("fuseline: 1\nname: t\n{axes}stages:\n{stages}outputs: {{ out: last }}\n");
    let kinds = Kinds::new(vec![Kind::new::<Says>()]);
    let overrides = Overrides { working_dir: PathBuf::from("/"), ..Overrides::default() };
    let source = Source { path: Path::new("/test.yaml"), text: &text };
    let load = |_: &Path| Err(std::io::ErrorKind::NotFound.into());
    let checked =
        fuseline_workflow::check(source, kinds.catalogue(), &overrides, &Limits::default(), &load);
    let Some(workflow) = checked.workflow else { panic!("{:?}\n{text}", checked.diagnostics) };
    let services = Services {
        plugins: PluginLibrary::new(Vec::new()),
        isolation: Some(Isolation::InProcess),
        files: Default::default(),
        shared: Default::default(),
    };
    Plan::build(&workflow, &kinds, &services, Depth::Check, &[]).map(drop)
}

#[test]
fn a_stage_kind_that_does_not_say_its_rows_lets_nothing_through() {
    let found = plan(
        "",
        "  first: { uses: test.says }\n  last: { uses: test.says, inputs: { from: first }, with: \
         { silent: true } }\n",
    )
    .unwrap_err();
    let said: Vec<_> = found.iter().map(|one| (one.code, one.message.as_str())).collect();
    assert_eq!(
        said,
        [
            (
                codes::ROWS_UNKNOWN,
                "the stage kind test.says does not say what it does with the rows of from"
            ),
            (
                codes::ROWS_UNKNOWN,
                "the stage kind test.says does not say which rows output main holds"
            ),
        ]
    );
}

#[test]
fn the_way_of_a_leak_is_that_of_the_rows_that_leak_and_not_of_what_lies_beside_them() {
    let found = plan(
        "",
        "  good: { uses: test.says, with: { trained: 1 } }\n  \
           bad: { uses: test.says, with: { trained: 0 } }\n  \
           between: { uses: test.says, inputs: { from: bad } }\n  \
           last: { uses: test.says, inputs: { from: [good, between] }, with: { fits: 1 } }\n",
    )
    .unwrap_err();
    assert_eq!(
        found[0].message,
        "last fits on train(fold 1), but what arrives was shaped by all rows, which overlaps \
         test(fold 1) (path: bad -> between -> last)"
    );
    let through: Vec<_> = found[0].related.iter().map(|one| one.message.as_str()).collect();
    assert_eq!(through, ["the leak comes through bad", "the leak comes through between"]);
    assert_eq!(found.len(), 1);
}

#[test]
fn a_leak_of_many_actions_is_said_once_with_their_number_and_what_follows_is_not() {
    let found = plan(
        "axes: { at: [0, 1, 2] }\n",
        "  bad: { uses: test.says, over: [at], with: { test: [7] } }\n  fits: { uses: test.says, \
         over: [at], inputs: { from: bad }, with: { trained: 0, fits: 0 } }\n  last: { uses: \
         test.says, inputs: { from: fits }, with: { fits: 0 } }\n",
    );
    assert!(found.is_ok(), "{found:?}");
    let found = plan(
        "axes: { at: [0, 1, 2] }\n",
        "  bad: { uses: test.says, over: [at], with: { trained: 5 } }\n  \
           fits: { uses: test.says, over: [at], inputs: { from: bad }, with: { fits: 0 } }\n  \
           last: { uses: test.says, inputs: { from: fits }, with: { fits: 0 } }\n",
    )
    .unwrap_err();
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].message.contains(", and so do 2 more of its actions (path: bad[at=0] -> "));
    // All that differs is the point.
    let found = plan(
        "axes: { at: [0, 1, 2] }\n",
        "  bad: { uses: test.says, with: { trained: 5 } }\n  fits: { uses: test.says, over: [at], \
         inputs: { from: bad }, with: { fits: 0 } }\n  last: { uses: test.says, inputs: { from: \
         fits } }\n",
    )
    .unwrap_err();
    assert!(found[0].message.contains(", and so do 2 more of its actions (path: bad -> "));
}

#[test]
fn a_stage_that_lacks_an_axis_which_those_around_it_have_is_given_it_by_the_fix() {
    let fix = |before: &str, after: &str| {
        let stage = |name: &str, over: &str, rest: &str| {
            format!("  {name}: {{ uses: test.says, over: [{over}], {rest} }}\n")
        };
        let stages = [
            stage("before", "at", "with: { trained: \"${{ at }}\" }"),
            stage("first", "at", "inputs: { from: before }"),
            stage("between", before, "inputs: { from: first }"),
            stage("then", after, "inputs: { from: between }"),
            stage("fits", "at", "inputs: { from: then }, with: { fits: \"${{ at }}\" }"),
            stage("last", "", "inputs: { from: fits }"),
        ];
        let found = plan("axes: { at: [0, 1] }\n", &stages.concat()).unwrap_err();
        assert_eq!(found.len(), 1, "{found:?}");
        found[0].fix.as_ref().map(|fix| fix.title.clone())
    };
    assert_eq!(fix("", "at").as_deref(), Some("add `at` to `over` of `between`"));
    assert_eq!(fix("at", "").as_deref(), Some("add `at` to `over` of `then`"));
    assert_eq!(fix("", ""), None, "one axis is not enough");
}

#[test]
fn a_gather_of_thousands_of_folds_is_followed_in_proportion() {
    // Each of the actions that follow holds the union of all folds: shared, and not copied for
    // each.
    let started = std::time::Instant::now();
    let found = plan(
        "axes: { fold: \"${{ range(3000) }}\", again: \"${{ range(3000) }}\" }\n",
        "  tested: { uses: test.says, over: [fold], with: { test: [\"${{ fold }}\"] } \
         }\n  pooled: { uses: test.says, inputs: { from: tested } }\n  each: { uses: test.says, \
         over: [again], inputs: { from: pooled }, with: { test: [7] } }\n  last: { uses: \
         test.says, inputs: { from: each } }\n",
    );
    assert!(found.is_ok(), "{found:?}");
    let seconds = started.elapsed().as_secs_f64();
    assert!(seconds < 30.0, "{seconds} s");
}

/// A stage at random: axes, stages before it that it reads, options, and the option that differs
/// along `by`.
type AnyStage = ([bool; 2], Vec<usize>, [Option<i64>; 3], Option<usize>, bool);

fn any_stage() -> impl Strategy<Value = AnyStage> {
    let fold = || prop::option::of(0_i64..3);
    (
        any::<[bool; 2]>(),
        prop::collection::vec(0_usize..6, 0..3),
        [fold(), fold(), fold()],
        prop::option::of(0_usize..3),
        prop::bool::weighted(0.05),
    )
}

/// The text of stages. `notes`: each point gets options of its own, which change no rows.
fn written(stages: &[AnyStage], notes: bool) -> String {
    let last = stages.len() - 1;
    let stage = |(number, (over, reads, folds, varied, silent)): (usize, &AnyStage)| {
        let [at, by] = if number == last { [false, false] } else { *over };
        let axes: Vec<_> = [at.then_some("at"), by.then_some("by")].into_iter().flatten().collect();
        let fold = |option: usize| match folds[option] {
            Some(_) if by && *varied == Some(option) => Some("\"${{ by }}\"".to_owned()),
            fold => fold.map(|fold| fold.to_string()),
        };
        let mut with: Vec<_> = ["trained", "fits"]
            .iter()
            .enumerate()
            .filter_map(|(option, name)| Some(format!("{name}: {}", fold(option)?)))
            .collect();
        with.extend(fold(2).map(|fold| format!("test: [{fold}]")));
        with.push(format!("silent: {silent}"));
        if notes && !axes.is_empty() {
            with.push(format!("note: \"${{{{ {} }}}}\"", axes.join(" * 10 + ")));
        }
        let mut before: Vec<_> = reads.iter().filter(|read| **read < number).collect();
        before.sort();
        before.dedup();
        let before: Vec<_> = before.into_iter().map(|read| format!("s{read}")).collect();
        let inputs = match before.is_empty() {
            true => String::new(),
            false => format!("inputs: {{ from: [{}] }}, ", before.join(", ")),
        };
        let name = if number == last { "last".to_owned() } else { format!("s{number}") };
        let (over, with) = (axes.join(", "), with.join(", "));
        format!("  {name}: {{ uses: test.says, over: [{over}], {inputs}with: {{ {with} }} }}\n")
    };
    stages.iter().enumerate().map(stage).collect()
}

proptest! {
    #[test]
    fn what_is_said_of_actions_that_are_alike_is_said_of_each(
        stages in prop::collection::vec(any_stage(), 2..7),
    ) {
        let said = |notes| {
            let found = plan("axes: { at: [0, 1, 2], by: [0, 1] }\n", &written(&stages, notes));
            let found = found.err().into_iter().flatten();
            found.map(|one| (one.code, one.message)).collect::<Vec<_>>()
        };
        prop_assert_eq!(said(false), said(true));
    }
}
