//! The server's help with writing: completion, words, places, names, fixes.

use std::path::Path;

use fuseline_tests::{Lab, root};
use serde_json::{Value, json};

use super::client::{Client, position, uri};
use super::{SMALL, at, edited, opened, start};

/// The labels that are offered at `^`, best first.
fn offered(client: &mut Client, lab: &Lab, version: i64, marked: &str) -> Vec<String> {
    let path = lab.path("w.yaml");
    let cursor = marked.find('^').expect("a cursor");
    let text = marked.replacen('^', "", 1);
    client.replace(&path, version, &text);
    let params = json!({
        "textDocument": { "uri": uri(&path) },
        "position": position(&text, cursor),
    });
    let found = client.ask("textDocument/completion", params);
    let mut items = found["items"].as_array().expect("a list").clone();
    items.sort_by_key(|item| item["sortText"].as_str().unwrap_or_default().to_owned());
    items.iter().map(|item| item["label"].as_str().expect("text").to_owned()).collect()
}

/// The small study with one piece of it replaced.
fn small(from: &str, to: &str) -> String {
    assert!(SMALL.contains(from), "no {from:?}");
    SMALL.replacen(from, to, 1)
}

const EXPERT: &str = "    inputs: { features: features, cohort: cohort, folds: folds }\n    with: \
    { test_fold: \"${{ fold }}\", inner_folds: 2, exclude: [quality] }\n";

const PROGRAM: &str = "    inputs: { ^ }\n    with:\n      run: [python3, x.py]\n      inputs: { \
    test: { artifact: features, role: apply } }\n      outputs: { \
    out: { artifact: quality, rows_of: test } }\n";

/// A text with a cursor, the first item offered there, further items offered, and items not
/// offered.
type Case<'c> = (String, &'c [&'c str], &'c [&'c str], &'c [&'c str]);

#[test]
fn completion_knows_what_may_stand_wherever_the_text_breaks_off() {
    let lab = Lab::new();
    let (mut client, path) = opened(&lab, SMALL);
    // The rules and axes of the checker are known from here on.
    client.diagnostics(&path, Some(1));
    let expert = |rest: &str| small(EXPERT, rest);
    let quality_inputs = "    inputs: { evidence_train: expert.train, evidence_test: expert.test, \
        features: features, cohort: cohort }\n";
    let cases: Vec<Case<'_>> = vec![
        // An empty file, and keys of the root.
        ("^".to_owned(), &["fuseline", "name", "stages"], &["params", "outputs"], &["uses"]),
        (small("seed: 1\n", "see^\n"), &[], &["seed", "include"], &["name", "params"]),
        // Kinds.
        (
            expert("").replacen("uses: expert.logistic", "uses: ^", 1),
            &[],
            &["expert.logistic", "load.csv"],
            &["expert"],
        ),
        (
            expert("").replacen("uses: expert.logistic", "uses: exp^", 1),
            &[],
            &["expert.random_forest"],
            &[],
        ),
        (
            small("uses: \"quality.${{ quality }}\"", "uses: ^"),
            &["quality.${{ quality }}"],
            &["quality.margin"],
            &[],
        ),
        // Keys of a stage: those that are there are left out.
        (expert("    ^\n"), &[], &["inputs", "with", "retries", "where"], &["uses", "over"]),
        (expert("    wi^\n"), &[], &["with"], &["uses"]),
        // Axes.
        (
            small("over: [modality, fold]", "over: [^]"),
            &[],
            &["modality", "fold", "rule"],
            &["params"],
        ),
        (
            small("over: [modality, fold]", "over: [modality, ^"),
            &[],
            &["fold", "rule"],
            &["modality"],
        ),
        (
            small("over: [modality, fold]", "over:\n      - modality\n      - ^"),
            &[],
            &["fold"],
            &["modality"],
        ),
        // Axes within another.
        (
            small("  rule: [mean, lr]\n", "  rule: [mean, lr]\n  inner: { within: ^ }\n"),
            &[],
            &["modality", "rule"],
            &["inner"],
        ),
        (
            small(
                "  rule: [mean, lr]\n",
                "  rule: [mean, lr]\n  inner:\n    within: rule\n    ^\n",
            ),
            &["mean", "lr"],
            &[],
            &["zip"],
        ),
        (
            small("  rule: [mean, lr]\n", "  rule: [mean, lr]\n  inner:\n    ^\n"),
            &[],
            &["within", "zip"],
            &[],
        ),
        // Ports, those that are needed first.
        (expert("    inputs: { ^ }\n"), &["features", "cohort", "folds"], &[], &["evidence"]),
        (expert("    inputs: { features: features, ^\n"), &["cohort", "folds"], &[], &["features"]),
        (
            expert("    inputs:\n      features: features\n      ^\n"),
            &["cohort", "folds"],
            &[],
            &["features"],
        ),
        (expert("    inputs:\n      ^\n"), &["features", "cohort", "folds"], &[], &[]),
        // References that fit by their artifact kind.
        (
            expert("    inputs: { features: ^, cohort: cohort }\n"),
            &["features"],
            &[],
            &["cohort", "folds", "expert.train"],
        ),
        (expert("    inputs: { folds: fo^\n"), &["folds"], &[], &["cohort"]),
        (
            small("evidence_train: expert.train", "evidence_train: ^"),
            &["expert.train"],
            &["expert.test"],
            &["features"],
        ),
        (
            small("evidence: expert.train, quality", "evidence: \"expert.train[^\", quality"),
            &["modality"],
            &["fold"],
            &["rule"],
        ),
        (
            small(
                "evidence: expert.train, quality",
                "evidence: \"expert.train[modality=^\", quality",
            ),
            &["a", "b"],
            &[],
            &["fold"],
        ),
        // Options, their values, and nested options.
        (expert("    with: { ^ }\n"), &["test_fold"], &["inner_folds", "exclude"], &["folds"]),
        (expert("    with: { test_fold: 0, class_weight: ^ }\n"), &[], &["balanced"], &[]),
        (
            expert("    with:\n      test_fold: ^\n"),
            &[],
            &["${{ fold }}", "${{ params.examples }}"],
            &["${{ rule }}"],
        ),
        (small("scheme: joint", "scheme: ^"), &[], &["joint", "within_class"], &[]),
        (
            small("with: { rule: \"${{ rule }}\" }", "with: { rule: ^ }"),
            &[],
            &["mean", "lr", "attention"],
            &[],
        ),
        (small("adjust: holm", "adjust: ^"), &["holm"], &["benjamini_hochberg"], &[]),
        (
            small("without_quality: { quality: constant }", "without_quality: { ^ }"),
            &[],
            &["quality", "rule"],
            &[],
        ),
        (
            small("without_quality: { quality: constant }", "without_quality: { quality: ^ }"),
            &[],
            &["margin", "constant"],
            &["mean"],
        ),
        // Expressions.
        (
            expert("    with: { test_fold: \"${{ ^ }}\" }\n"),
            &["modality", "fold"],
            &["params.examples", "range"],
            &["rule"],
        ),
        (
            expert("    with: { test_fold: \"${{ params.^ }}\" }\n"),
            &["examples", "permutations"],
            &[],
            &["fold"],
        ),
        (
            small("strength: \"${{ modality.strength }}\"", "strength: \"${{ modality.^"),
            &["strength", "label"],
            &[],
            &["params"],
        ),
        (small("fold: [0, 1]", "fold: ${{ ^"), &["params.examples"], &["range"], &["fold"]),
        (
            small("uses: \"quality.${{ quality }}\"", "uses: \"quality.${{ ^ }}\""),
            &["modality", "fold", "quality"],
            &[],
            &["rule"],
        ),
        // Points of an axis: values that the stages take there.
        (
            small("quality: [margin, constant]", "quality: [margin, ^]"),
            &[],
            &["entropy", "constant", "aligned"],
            &["margin", "mean"],
        ),
        (small("rule: [mean, lr]", "rule: [mean, ^"), &[], &["lr", "moe"], &["mean", "entropy"]),
        (small("b: { strength: 0.8 }", "b: { ^ }"), &["strength"], &[], &["\u{e000}"]),
        (
            small("quality: [margin, constant]", "quality:\n    margin: {}\n    ^"),
            &[],
            &["entropy", "aligned"],
            &["margin", "zip"],
        ),
        // A text that is compared with an axis.
        (
            expert("    where: ${{ fold == 1 or modality != \"^\" }}\n"),
            &["a", "b"],
            &[],
            &["fold", "params.examples", "range"],
        ),
        (expert("    where: ${{ modality in ['a', '^\n"), &["a", "b"], &[], &["range"]),
        // Inputs that a program declares.
        (expert(PROGRAM).replacen("expert.logistic", "command", 1), &["test"], &[], &["features"]),
        (
            expert(&PROGRAM.replace('^', "test: features").replace("rows_of: test", "rows_of: ^"))
                .replacen("expert.logistic", "command", 1),
            &["test"],
            &[],
            &[],
        ),
        // After a dynamic kind: options that its members share, and those that only some have.
        (
            small(quality_inputs, "    inputs: { ^ }\n"),
            &["evidence_train"],
            &["evidence_test", "features", "cohort"],
            &["model"],
        ),
        (
            small("quality: [margin, constant]", "quality: [margin, aligned]").replacen(
                quality_inputs,
                "    inputs: { evidence_train: expert.train }\n    with: { ^ }\n",
                1,
            ),
            &[],
            &["alpha"],
            &["rule"],
        ),
        // Outputs, params, execution.
        (
            small("  report.html: report\n", "  report.html: ^\n"),
            &[],
            &["report", "findings", "expert.test"],
            &["params"],
        ),
        (
            small("  examples: 60\n", "  examples: { ^ }\n"),
            &[],
            &["type", "default", "help"],
            &["uses"],
        ),
        (small("  examples: 60\n", "  examples: { type: ^ }\n"), &[], &["int", "path"], &[]),
        (expert("    cache: ^\n"), &[], &["true", "false"], &[]),
        (expert("    resources: { ^ }\n"), &[], &["cpu", "memory"], &[]),
    ];
    for (version, (text, first, also, never)) in (2..).zip(&cases) {
        let found = offered(&mut client, &lab, version, text);
        let line = text.lines().find(|line| line.contains('^')).unwrap_or_default();
        let mut best: Vec<_> = found.iter().take(first.len()).map(String::as_str).collect();
        let mut wanted = first.to_vec();
        best.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(best, wanted, "{line}: {found:?}");
        for label in *also {
            assert!(found.iter().any(|own| own == label), "{line}: no {label} in {found:?}");
        }
        for label in *never {
            assert!(!found.iter().any(|own| own == label), "{line}: {label} in {found:?}");
        }
    }
    assert_eq!(client.end().code(), Some(0));
}

#[test]
fn what_is_chosen_is_written_in_the_place_of_what_was_typed() {
    let lab = Lab::new();
    let path = lab.path("w.yaml");
    for (snippets, from, to, label, line) in [
        (
            false,
            "uses: expert.logistic",
            "uses: expert.^",
            "expert.linear_svm",
            "    uses: expert.linear_svm",
        ),
        (
            false,
            "over: [modality, fold]",
            "over: [modality, ^fol]",
            "fold",
            "    over: [modality, fold]",
        ),
        (false, EXPERT, "    inputs: { fe^ }\n", "features", "    inputs: { features: features }"),
        (
            false,
            EXPERT,
            "    inputs: { ^features: cohort }\n",
            "features",
            "    inputs: { features: cohort }",
        ),
        (false, EXPERT, "    in^\n", "inputs", "    inputs: {  }"),
        (true, EXPERT, "    in^\n", "inputs", "    inputs: { $0 \\}"),
        (
            false,
            EXPERT,
            "    with: { test_fold: ^ }\n",
            "${{ fold }}",
            "    with: { test_fold: \"${{ fold }}\" }",
        ),
        (
            false,
            EXPERT,
            "    with: { test_fold: \"${{ fo^ }}\" }\n",
            "fold",
            "    with: { test_fold: \"${{ fold }}\" }",
        ),
        (
            false,
            "strength: \"${{ modality.strength }}\"",
            "strength: \"${{ modality.str^\"",
            "strength",
            "    with: { strength: \"${{ modality.strength\", fidelity: 0.9 }",
        ),
    ] {
        let capabilities = json!({ "textDocument": { "completion": { "completionItem": { "snippetSupport": snippets } } } });
        let mut client = Client::start(&lab, capabilities, Value::Null);
        let marked = small(from, to);
        let cursor = marked.find('^').expect("a cursor");
        let text = marked.replacen('^', "", 1);
        client.open(&path, &text);
        let params =
            json!({ "textDocument": { "uri": uri(&path) }, "position": position(&text, cursor) });
        let found = client.ask("textDocument/completion", params);
        let items = found["items"].as_array().expect("a list");
        let item = items.iter().find(|item| item["label"] == label);
        let item = item.unwrap_or_else(|| panic!("no {label} at {to}"));
        let edit = json!({ "documentChanges": [{ "textDocument": { "uri": uri(&path) }, "edits": [item["textEdit"]] }] });
        let written = edited(&text, &path, &edit);
        assert!(written.lines().any(|own| own == line), "{to}: {written}");
    }
}

#[test]
fn hover_says_what_a_thing_is_and_what_it_comes_to() {
    let lab = Lab::new();
    let (mut client, path) = opened(&lab, SMALL);
    client.diagnostics(&path, Some(1));
    for (needle, further, words) in [
        (
            "expert.logistic",
            3,
            &[
                "**expert.logistic**",
                "*Inputs*",
                "`train`: evidence",
                "`test_fold`: a whole number, required",
            ][..],
        ),
        ("quality.${{", 2, &["One of these", "`quality.margin`", "`quality.constant`"]),
        (
            "  expert:",
            3,
            &["the stage **expert**", "Over modality (2), fold (2): 4 actions", "`train` evidence"],
        ),
        (
            "features: features, cohort: cohort, folds",
            3,
            &[
                "**features**: features",
                "matched along modality",
                "the same for every fold",
                "one artifact an action",
            ],
        ),
        (
            "quality: quality.train",
            12,
            &["`quality.train`: **quality**", "gathered along modality"],
        ),
        ("inner_folds", 3, &["**inner_folds**: a whole number", "at least 2", "Now: `2`"]),
        (
            "test_fold",
            3,
            &["`0` at modality=a, fold=0 and 1 more", "`1` at modality=a, fold=1 and 1 more"],
        ),
        (
            "over: [modality, fold]",
            8,
            &[
                "the axis **modality**, 2 points: a, b",
                "Fields: strength",
                "Stages over it: features, expert",
            ],
        ),
        ("params.examples", 9, &["the param **examples**, `60` by default", "Now: `60`"]),
        ("modality.strength", 12, &["the field **strength**", "a: `1.4`"]),
        ("seed: 1", 1, &["**seed**: The seed of everything random."]),
        ("outputs:", 1, &["Files to give out"]),
        ("scheme: joint", 1, &["**scheme**"]),
    ] {
        let found = client.ask("textDocument/hover", at(&path, SMALL, needle, further));
        let text = found["contents"]["value"].as_str().unwrap_or_default();
        for word in words {
            assert!(text.contains(word), "{needle}: no {word:?} in {text}");
        }
    }
    let comment = client.ask("textDocument/hover", at(&path, SMALL, "# Every", 3));
    assert_eq!(comment, Value::Null);
    assert_eq!(client.end().code(), Some(0));
}

/// Why a name at the beginning of a line cannot be changed.
fn refused(client: &mut Client, path: &Path, text: &str, line: &str, name: &str) -> String {
    let mut ask = at(path, text, line, 3);
    ask["newName"] = name.into();
    let id = client.request("textDocument/rename", ask);
    client.answer(id)["error"]["message"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn names_lead_to_where_they_are_defined_and_change_wherever_they_stand() {
    let lab = Lab::new();
    let (mut client, path) = opened(&lab, SMALL);
    for (needle, further, definition) in [
        ("expert.train", 2, "  expert:"),
        ("over: [modality", 9, "  modality:"),
        ("${{ params.examples", 13, "  examples:"),
        ("modality.strength", 11, "strength: 1.4"),
        ("  report.html: report", 17, "  report:\n"),
    ] {
        let found = client.ask("textDocument/definition", at(&path, SMALL, needle, further));
        let start = SMALL.find(definition).expect("it is there");
        let start = start + definition.len() - definition.trim_start().len();
        assert_eq!(found[0]["range"]["start"], position(SMALL, start), "{needle}");
    }
    let mut ask = at(&path, SMALL, "  expert:", 3);
    ask["context"] = json!({ "includeDeclaration": true });
    let found = client.ask("textDocument/references", ask);
    let named = SMALL.matches("expert.t").count() + 1;
    assert_eq!(found.as_array().map(Vec::len), Some(named));
    let highlights = client.ask("textDocument/documentHighlight", at(&path, SMALL, "  expert:", 3));
    assert_eq!(highlights.as_array().map(Vec::len), Some(named));

    // A renamed workflow is the same workflow: nothing is wrong with it.
    for (needle, further, name, gone) in [
        ("  expert:", 3, "classifier", "expert.t"),
        ("  rule: [", 3, "method", "${{ rule }}"),
        ("  quality: [", 3, "estimator", "${{ quality }}"),
        ("  examples:", 3, "people", "params.examples"),
        ("strength: 1.4", 2, "power", "modality.strength"),
    ] {
        let prepared = client.ask("textDocument/prepareRename", at(&path, SMALL, needle, further));
        assert!(prepared["placeholder"].is_string(), "{needle}: {prepared}");
        let mut ask = at(&path, SMALL, needle, further);
        ask["newName"] = name.into();
        let edit = client.ask("textDocument/rename", ask);
        let text = edited(SMALL, &path, &edit);
        assert!(!text.contains(gone), "{needle}: {text}");
        lab.write("renamed.yaml", &text);
        lab.run(["check", "renamed.yaml"]).success();
    }
    for (name, refusal) in [
        ("2nd", "a name starts with a letter"),
        ("fold", "there is an axis"),
        ("params", "meaning of its own"),
        // What it is called says what it is.
        ("channel", "known by its name"),
    ] {
        let message = refused(&mut client, &path, SMALL, "  modality:", name);
        assert!(message.contains(refusal), "{name}: {message}");
    }

    // An option that names axes follows; where it is left out, its default names one.
    let axes = "    with: { axes: [quality] }\n";
    let repeats = "  repeats:\n    uses: diagnose.repeats\n    inputs: { findings: findings }\n";
    let text = small("  report:\n", &format!("{repeats}{axes}  report:\n"));
    client.replace(&path, 2, &text);
    let mut ask = at(&path, &text, "  quality: [", 3);
    ask["newName"] = "repeat".into();
    let edit = client.ask("textDocument/rename", ask);
    let text = edited(&text, &path, &edit);
    let axes = axes.replace("quality", "repeat");
    assert!(text.contains(&axes), "{text}");
    let text = text.replacen(&axes, "", 1);
    client.replace(&path, 3, &text);
    let message = refused(&mut client, &path, &text, "  repeat: [", "again");
    assert!(message.starts_with("renamed so, the workflow has a mistake: "), "{message}");
    assert_eq!(client.end().code(), Some(0));
}

#[test]
fn the_outline_and_the_folds_are_those_of_the_text() {
    let lab = Lab::new();
    let (mut client, path) = opened(&lab, SMALL);
    let document = json!({ "textDocument": { "uri": uri(&path) } });
    let symbols = client.ask("textDocument/documentSymbol", document.clone());
    let symbols = symbols.as_array().expect("a list");
    let names: Vec<_> = symbols.iter().map(|one| one["name"].as_str().expect("text")).collect();
    assert_eq!(names, ["fuseline", "name", "seed", "params", "axes", "stages", "outputs"]);
    let stages = symbols.iter().find(|one| one["name"] == "stages").expect("there are stages");
    let expert =
        stages["children"].as_array().expect("a list").iter().find(|one| one["name"] == "expert");
    assert_eq!(expert.expect("there is an expert")["detail"], "expert.logistic");
    let folds = client.ask("textDocument/foldingRange", document);
    let line =
        |needle: &str| position(SMALL, SMALL.find(needle).expect("it is there"))["line"].clone();
    let stages =
        folds.as_array().expect("a list").iter().find(|fold| fold["startLine"] == line("stages:"));
    let before = line("outputs:").as_u64().expect("a line") - 1;
    assert_eq!(stages.expect("stages fold")["endLine"], before);
    assert_eq!(client.end().code(), Some(0));
}

#[test]
fn hints_count_actions_and_say_which_are_cached() {
    let lab = Lab::with_workflow(SMALL);
    let path = lab.path("workflow.yaml");
    let whole = json!({
        "textDocument": { "uri": uri(&path) },
        "range": { "start": { "line": 0, "character": 0 }, "end": { "line": 999, "character": 0 } },
    });
    let labels = |found: &Value| -> Vec<String> {
        let hints = found.as_array().expect("a list").iter();
        hints.map(|hint| hint["label"].as_str().expect("text").to_owned()).collect()
    };
    let refresh = json!({ "workspace": { "inlayHint": { "refreshSupport": true } } });
    let mut client = Client::start(&lab, refresh.clone(), Value::Null);
    client.open(&path, SMALL);
    client.diagnostics(&path, Some(1));
    let found = client.ask("textDocument/inlayHint", whole.clone());
    assert_eq!(labels(&found)[..4], ["1 action", "2 actions", "1 action", "4 actions"]);
    lab.run(["run", "workflow.yaml", "--only", "expert", "-q"]).success();
    client.tell("textDocument/didSave", json!({ "textDocument": { "uri": uri(&path) } }));
    // Asked to ask again until the cache has been looked at.
    let found = loop {
        client.wait(|message| message["method"] == "workspace/inlayHint/refresh");
        let found = labels(&client.ask("textDocument/inlayHint", whole.clone()));
        if found[0].contains("cached") {
            break found;
        }
    };
    assert_eq!(
        found[..5],
        [
            "1 action, cached",
            "2 actions, cached",
            "1 action, cached",
            "4 actions, cached",
            "8 actions to run"
        ]
    );
    let lenses =
        client.ask("textDocument/codeLens", json!({ "textDocument": { "uri": uri(&path) } }));
    let commands: Vec<_> = lenses
        .as_array()
        .expect("a list")
        .iter()
        .map(|lens| lens["command"]["command"].as_str().expect("text"))
        .collect();
    for command in ["fuseline.plan", "fuseline.run", "fuseline.show", "fuseline.open"] {
        assert!(commands.contains(&command), "{command} in {commands:?}");
    }
    let graph = client.ask("fuseline/graph", json!({ "textDocument": { "uri": uri(&path) } }));
    let edges = graph["edges"].as_array().expect("a list");
    let edge = json!({ "from": "expert", "to": "quality", "port": "evidence_test" });
    assert!(edges.contains(&edge), "{edges:?}");
    assert_eq!(graph["nodes"][3]["cached"], 4, "{}", graph["nodes"][3]);
    assert_eq!(client.end().code(), Some(0));
}

#[test]
fn a_fix_makes_the_mistake_go_away() {
    let lab = Lab::new();
    let path = lab.path("w.yaml");
    let mut client = start(&lab);
    for (from, to, code, title) in [
        (
            "uses: expert.logistic",
            "uses: expert.logistics",
            "unknown_kind",
            "Change to `expert.logistic`",
        ),
        ("over: [modality, fold]", "over: [modalty, fold]", "unknown_axis", "Change to `modality`"),
        ("over: [modality, fold]", "over: [modality]", "unknown_name", "Add `fold` to `over`"),
        (
            "    over: [modality]\n    inputs: { cohort: cohort }\n",
            "    inputs: { cohort: cohort }\n",
            "unknown_name",
            "Add `modality` to `over`",
        ),
        (
            "features: features, cohort: cohort, folds",
            "features: feature, cohort: cohort, folds",
            "unknown_stage",
            "Change to `features`",
        ),
        (
            "cohort: cohort, folds: folds }",
            "cohort: cohort }",
            "missing_input",
            "Add the input `folds: folds`",
        ),
        ("inner_folds: 2", "inner_fold: 2", "unknown_option", "Change to `inner_folds`"),
        ("scheme: joint", "scheme: jont", "option_value", "Change to `joint`"),
        ("params.examples", "params.example", "unknown_param", "Change to `examples`"),
        ("name: small", "name: yes", "ambiguous_scalar", "Write true"),
        (
            "    over: [rule, quality, fold]\n    inputs: { evidence",
            "    overr: [rule, quality, fold]\n    inputs: { evidence",
            "unknown_key",
            "Change to `over`",
        ),
    ] {
        let text = small(from, to);
        client.open(&path, &text);
        let found = client.diagnostics(&path, Some(1));
        let code = format!("fuseline::{code}");
        let mistake = found.iter().find(|one| one["code"] == code.as_str());
        let mistake = mistake.unwrap_or_else(|| panic!("{to}: no {code} in {found:?}"));
        let actions = client.ask(
            "textDocument/codeAction",
            json!({
                "textDocument": { "uri": uri(&path) },
                "range": mistake["range"],
                "context": { "diagnostics": [mistake] },
            }),
        );
        assert_eq!(actions[0]["title"], title, "{to}: {actions}");
        let text = edited(&text, &path, &actions[0]["edit"]);
        client.replace(&path, 2, &text);
        let left = client.diagnostics(&path, Some(2));
        assert!(left.iter().all(|one| one["code"] != code.as_str()), "{to}: {left:?} in {text}");
        client.close(&path);
    }
    assert_eq!(client.end().code(), Some(0));
}

#[test]
fn the_shipped_workflows_are_read_without_a_word_of_their_own() {
    let lab = Lab::new();
    let mut client = start(&lab);
    let folder = root().join("workflows");
    for entry in std::fs::read_dir(folder).expect("there are workflows") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|ending| ending != "yaml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a workflow can be read");
        client.open(&path, &text);
        let found = client.diagnostics(&path, Some(1));
        let missing = |one: &Value| one["code"] == "fuseline::missing_param";
        assert!(found.iter().all(missing), "{}: {found:?}", path.display());
        client.close(&path);
    }
    assert_eq!(client.end().code(), Some(0));
}

#[test]
fn every_fix_that_is_offered_makes_its_mistake_go_away() {
    let lab = Lab::new();
    let mut client = start(&lab);
    let mut files = super::yaml_files("crates/fuseline-workflow/tests/cases/faulty");
    files.extend(super::yaml_files("tests/cases/slips"));
    let mut fixes = 0;
    for path in files {
        let text = std::fs::read_to_string(&path).expect("a case can be read");
        client.open(&path, &text);
        let found = client.diagnostics(&path, Some(1));
        for (version, one) in (2..).zip(found.iter().filter(|one| one["data"]["fix"].is_object())) {
            let fix = &one["data"]["fix"];
            let edit = json!({ "documentChanges": [{
                "textDocument": { "uri": fix["uri"] },
                "edits": [{ "range": fix["range"], "newText": fix["text"] }],
            }] });
            let mended = edited(&text, &path, &edit);
            assert_ne!(mended, text, "{}: {fix}", path.display());
            client.replace(&path, version, &mended);
            let left = client.diagnostics(&path, Some(version));
            let same = |other: &Value| {
                other["data"]["message"] == one["data"]["message"]
                    && other["range"]["start"] == one["range"]["start"]
            };
            assert!(!left.iter().any(same), "{}: {one} stays after {fix}", path.display());
            fixes += 1;
        }
        client.close(&path);
    }
    assert!(fixes >= 80, "{fixes} fixes");
    assert_eq!(client.end().code(), Some(0));
}

/// The blocks of code in a language that a document shows.
fn blocks<'t>(document: &'t str, language: &str) -> Vec<&'t str> {
    let fence = format!("```{language}\n");
    document.split(fence.as_str()).skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

#[test]
fn neovim_shows_and_mends_with_the_lines_of_the_documentation() {
    if std::process::Command::new("nvim").arg("--version").output().is_err() {
        return fuseline_tests::skip(fuseline_tests::Need::Editor, "there is no nvim");
    }
    let lab = Lab::new();
    let text = super::fine().replacen("uses: expert.logistic", "uses: expert.logistics", 1);
    lab.write("w.yaml", text);
    let documentation =
        std::fs::read_to_string(root().join("docs/editors.md")).expect("a document");
    // Debian has a version that knows the second of them.
    let lines = blocks(&documentation, "lua")[1];
    let command =
        format!("cmd = {{ {:?}, \"lsp\" }}", fuseline_tests::fuseline().display().to_string());
    let lines = lines.replace("cmd = { \"fuseline\", \"lsp\" }", &command);
    assert!(lines.contains(&command), "the documentation starts the server");
    lab.write("init.lua", format!("vim.cmd('filetype on')\n{lines}"));
    let script = root().join("tests/stories/lsp/neovim.lua");
    let ran = std::process::Command::new("nvim")
        .args(["--headless", "-n", "-u"])
        .arg(lab.path("init.lua"))
        .arg("-c")
        .arg(format!("luafile {}", script.display()))
        .current_dir(lab.path(""))
        .env("WORKFLOW", lab.path("w.yaml"))
        .env("XDG_STATE_HOME", lab.path("state"))
        .output()
        .expect("neovim can be started");
    let said = String::from_utf8_lossy(&ran.stdout);
    let shown: Value = said
        .lines()
        .find_map(|line| serde_json::from_str(line).ok())
        .unwrap_or_else(|| panic!("{said}{}", String::from_utf8_lossy(&ran.stderr)));
    let message = shown["message"].as_str().expect("text");
    assert!(message.starts_with("there is no stage kind `expert.logistics`"), "{message}");
    assert_eq!(shown["title"], "Change to `expert.logistic`");
    assert!(
        shown["hover"].as_str().is_some_and(|text| text.contains("**expert.logistic**")),
        "{shown}"
    );
}

#[test]
fn the_bench_of_keystrokes_gets_an_answer_to_each() {
    if let Some(said) = fuseline_tests::bench("bench/editor/keystroke.py") {
        assert_eq!(said.trim(), "20 keystrokes answered");
    }
}
