use fuseline_engine::{ActionId, Fold, Offered, RowFlow, RowState, Rows};
use fuseline_workflow::{Arity, InputPort, KindSpec, Role};
use serde_json::{Value, json};

use super::*;

const SPLIT: ActionId = ActionId(3);

/// Options that a stage of each kind needs, and no others; kinds of one family share what they
/// need.
fn options(kind: &str) -> Value {
    let (family, _) = kind.split_once('.').unwrap_or((kind, ""));
    match kind {
        "load.npz" => {
            json!({ "path": "a.npz", "id": { "array": "id" }, "features": { "array": "x" } })
        }
        "load.csd" => json!({ "path": "a.csd" }),
        "simulate.cohort" => json!({ "examples": 8, "groups": 4 }),
        "cohort.define" => json!({ "label": { "pattern": "(.)", "classes": { "a": ["a"] } } }),
        "cohort.metadata" => {
            json!({ "path": "a.csv", "id": { "column": 0 }, "columns": ["sex"] })
        }
        "split.predefined" => json!({ "path": "a.csv", "id": { "column": 0 }, "column": 1 }),
        "split.group_kfold" | "split.stratified_group_kfold" => json!({ "folds": 2 }),
        "split.leave_one_group_out" => json!({ "groups": 2 }),
        "diagnose.compare" => json!({ "axis": "rule" }),
        "intervene.degrade" => json!({ "test_fold": 0, "severity": 0.5 }),
        "expert.precomputed" => json!({
            "path": "a.csv", "id": { "column": 0 }, "probabilities": [1, 2], "test_fold": 0,
        }),
        "expert.onnx" => json!({ "path": "a.onnx", "test_fold": 0 }),
        "quality.column" => json!({ "column": "a" }),
        "fusion.fit" => json!({ "rule": "mean" }),
        "fusion.load" => json!({ "rule": "mean", "modalities": ["audio"] }),
        "report.figure" => json!({ "figure": "a" }),
        "command" => json!({
            "run": ["true"],
            "test_fold": 0,
            "inputs": {
                "learnt": { "artifact": "features", "role": "fit" },
                "asked": { "artifact": "features", "role": "apply" },
                "folds": { "artifact": "folds" },
            },
            "outputs": { "main": { "artifact": "evidence" }, "more": { "artifact": "quality" } },
        }),
        _ => match family {
            "load" => json!({ "path": "a.csv", "id": { "column": 0 } }),
            "expert" => json!({ "test_fold": 0 }),
            _ => json!({}),
        },
    }
}

/// The ports of a stage of a kind: its own, or those that [`options`] declare.
fn ports(spec: &KindSpec) -> (Vec<InputPort>, Vec<String>) {
    let outputs = spec.outputs.iter().map(|port| port.name.clone()).collect();
    if !spec.declared_ports {
        return (spec.inputs.clone(), outputs);
    }
    let options = options(&spec.name);
    let inputs = options["inputs"].as_object().unwrap().iter().map(|(name, port)| InputPort {
        name: name.clone(),
        artifact: port["artifact"].as_str().unwrap().to_owned(),
        arity: Arity::One,
        required: true,
        read: true,
        role: match port["role"].as_str() {
            Some("fit") => Role::Fit,
            Some("apply") => Role::Apply,
            _ => Role::Neutral,
        },
        doc: String::new(),
    });
    (inputs.collect(), options["outputs"].as_object().unwrap().keys().cloned().collect())
}

/// States of all sorts, each of them at every input.
fn states() -> Vec<RowState> {
    let fold = |fold| Fold { split: Some(SPLIT), fold };
    let (train, test) = (Rows::train(fold(0)), Rows::test(fold(0)));
    let sets = [
        Rows::none(),
        Rows::all(),
        train.clone(),
        test.clone(),
        test.union(&Rows::test(fold(1))),
        Rows::test(Fold { split: Some(ActionId(9)), fold: 0 }),
    ];
    let shapes = [Rows::none(), Rows::external().union(&train), Rows::all(), test];
    let mut states = Vec::new();
    for holds in &sets {
        for shape in &shapes {
            for marked in [false, true] {
                let state = RowState::unshaped(holds.clone()).taught(shape);
                states.push(RowState { in_fold: marked, control: marked, ..state });
            }
        }
    }
    states
}

#[test]
fn every_kind_says_what_it_does_with_the_rows_of_each_input_and_what_each_output_holds() {
    for kind in kinds().iter() {
        let spec = kind.spec();
        let options = options(&spec.name);
        let stage = kind.prepare(options.as_object().unwrap()).unwrap_or_else(|problem| {
            panic!("{}: {}: {}", spec.name, problem.option, problem.message)
        });
        let (ports, outputs) = ports(spec);
        let outputs: Vec<&str> = outputs.iter().map(String::as_str).collect();
        let read = || ports.iter().filter(|port| port.read);
        let ask = |inputs: Vec<(&str, RowState)>| {
            let offered = Offered {
                ports: &ports,
                outputs: &outputs,
                inputs,
                producers: vec![("folds", SPLIT)],
                split_name: &|_| "folds".to_owned(),
            };
            let mut flow = RowFlow::new(&offered);
            stage.rows(&mut flow);
            flow.finish().unwrap_or_else(|mistakes| panic!("{}: {mistakes:?}", spec.name))
        };
        ask(Vec::new());
        for state in states() {
            ask(read().map(|port| (port.name.as_str(), state.clone())).collect());
            for only in read() {
                ask(vec![(only.name.as_str(), state.clone())]);
            }
        }
    }
}

#[test]
fn no_kind_takes_a_leak_for_what_it_learns_from() {
    // Whatever a kind fits on: what arrives there in-fold, or shaped by its own test rows, is
    // refused.
    let fold = Fold { split: Some(SPLIT), fold: 0 };
    let leaking =
        RowState { in_fold: true, ..RowState::unshaped(Rows::train(fold)) }.taught(&Rows::all());
    for kind in kinds().iter() {
        let spec = kind.spec();
        let options = options(&spec.name);
        let stage = kind.prepare(options.as_object().unwrap()).map_err(|problem| problem.message);
        let stage = stage.unwrap();
        let (ports, outputs) = ports(spec);
        let outputs: Vec<&str> = outputs.iter().map(String::as_str).collect();
        for port in ports.iter().filter(|port| port.read && port.role == Role::Fit) {
            // Labels are what they are, and a frozen model learns nothing.
            if port.artifact == "cohort" || spec.name == "expert.onnx" {
                continue;
            }
            let beside = |other: &&InputPort| other.read && other.name != port.name;
            let clean = RowState::unshaped(Rows::train(fold));
            let mut inputs: Vec<(&str, RowState)> = ports
                .iter()
                .filter(beside)
                .map(|other| (other.name.as_str(), clean.clone()))
                .collect();
            inputs.push((port.name.as_str(), leaking.clone()));
            let offered = Offered {
                ports: &ports,
                outputs: &outputs,
                inputs,
                producers: vec![("folds", SPLIT)],
                split_name: &|_| "folds".to_owned(),
            };
            let mut flow = RowFlow::new(&offered);
            stage.rows(&mut flow);
            let flowed = flow.finish().unwrap();
            let passed_on = flowed.outputs.iter().any(|state| state.taught_by == Rows::all());
            let refused = flowed.leaks.iter().any(|leak| leak.port == port.name);
            assert!(refused || passed_on, "{} at {}", spec.name, port.name);
        }
    }
}
