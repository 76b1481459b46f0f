//! Results of expressions.

use fuseline_workflow::functions;
use serde_json::{Value, json};

use crate::fixture::{check_text, render};

/// The value of a template, read from a free option.
fn value(template: &str) -> Value {
    let quoted = serde_json::to_string(template).expect("a text");
    let text = format!(
        "fuseline: 1\nname: trial\nparams: {{ n: 5, x: 2.5, name: abc, list: [3, 1, 2], path: {{ \
         type: path, default: a/b.tar.gz }} }}\naxes:\n  fold: [7]\n  modality: {{ audio: {{ \
         file: a.csv, rate: 16, columns: [mean, '${{{{ params.name }}}}'], unit: {{ \
         time: [s] }} }} }}\nstages:\n  raw: {{ uses: simulate.features, over: [fold, \
         modality] }}\n  cohort: {{ uses: cohort.define, inputs: {{ features: raw }}, with: {{ \
         label: {{ pattern: a, classes: {{ a: [a], b: [b] }} }} }} }}\n  fusion:\n    uses: \
         report.html\n    over: [fold, modality]\n    inputs: {{ findings: out }}\n    with: \
         {{}}\n  out:\n    uses: command\n    over: [fold, modality]\n    with: {{ run: [x], \
         outputs: {{ findings: {{ artifact: findings }} }} }}\n  free:\n    uses: \
         fusion.fit\n    over: [fold, modality]\n    inputs: {{ evidence: ev, quality: q, cohort: \
         cohort }}\n    with: {{ rule: r, params: {{ value: {quoted} }} }}\n  ev: {{ uses: \
         command, with: {{ run: [x], outputs: {{ e: {{ artifact: evidence }} }} }} }}\n  q: {{ \
         uses: command, with: {{ run: [x], outputs: {{ e: {{ artifact: quality }} }} }} }}\n"
    );
    let checked = check_text(&text, &[]);
    let errors: Vec<_> = checked.diagnostics.iter().filter(|d| d.is_error()).cloned().collect();
    assert_eq!(render(&errors, &checked.files), "", "{template}");
    let workflow = checked.workflow.expect("a workflow");
    let stage = workflow.stages.iter().find(|stage| stage.name == "free").expect("the stage");
    stage.variants.raw[0].options["params"]["value"].clone()
}

#[track_caller]
fn gives(expression: &str, expected: Value) {
    assert_eq!(value(&format!("${{{{ {expression} }}}}")), expected, "{expression}");
}

#[test]
fn a_whole_text_keeps_its_type_and_an_embedded_one_is_formatted() {
    assert_eq!(value("${{ params.n }}"), json!(5));
    assert_eq!(value("${{ params.list }}"), json!([3, 1, 2]));
    assert_eq!(value("n=${{ params.n }}, x=${{params.x}}"), json!("n=5, x=2.5"));
    assert_eq!(value(" ${{ params.n }}"), json!(" 5"));
    assert_eq!(value("${{ '}}' }}${{ '${{' }}"), json!("}}${{"));
    assert_eq!(value("no expression"), json!("no expression"));
}

#[test]
fn axes_give_values_labels_and_fields() {
    gives("fold", json!(7));
    gives("fold.label", json!("7"));
    gives("modality", json!("audio"));
    gives("modality.file", json!("a.csv"));
    gives("modality == 'audio' and modality.rate > 8", json!(true));
    gives("modality.columns", json!(["mean", "abc"]));
    gives("modality.unit.time[0]", json!("s"));
    assert_eq!(value("${{ modality }}-${{ fold }}"), json!("audio-7"));
}

#[test]
fn operators_bind_as_in_python() {
    gives("1 + 2 * 3", json!(7));
    gives("(1 + 2) * 3", json!(9));
    gives("10 - 2 - 3", json!(5));
    gives("-2 * -3", json!(6));
    gives("not 1 == 2", json!(true));
    gives("true or false and false", json!(true));
    gives("1 if false else 2 if false else 3", json!(3));
    gives("2 in [1, 2] and 5 not in [1, 2]", json!(true));
    gives("'b' in params.name", json!(true));
    gives("[1, 2, 3][-1] + [4][0]", json!(7));
    gives("'abc'[1]", json!("b"));
}

#[test]
fn numbers_keep_their_type_and_divide_as_in_python() {
    gives("7 // 2", json!(3));
    gives("-7 // 2", json!(-4));
    gives("-7 % 3", json!(2));
    gives("7 % -3", json!(-2));
    gives("6 / 2", json!(3.0));
    gives("1 + 1.0", json!(2.0));
    gives("1 == 1.0", json!(true));
    gives("7.5 // 2", json!(3.0));
    gives("1e3", json!(1000.0));
}

#[test]
fn numbers_are_exact_beyond_what_a_float_holds() {
    gives("floor(9007199254740993)", json!(9_007_199_254_740_993_i64));
    gives("ceil(9223372036854775807)", json!(i64::MAX));
    gives("int(-9223372036854775808.0)", json!(i64::MIN));
    gives("9007199254740993 == 9007199254740992.0", json!(false));
    gives("9007199254740993 > 9007199254740992.0", json!(true));
    gives("9223372036854775807 < 1e300 and -3 > -3.5 and 2.5 > 2", json!(true));
    gives("unique([[1], [1.0], 2, 2.0])", json!([[1], 2]));
    // Quotient and remainder belong together: 0.1 is a little more than a tenth.
    gives("1 // 0.1", json!(9.0));
    gives("-9223372036854775808.0 % 2.5", json!(2.0));
    gives("-7.5 % 2", json!(0.5));
    gives("7.5 % -2", json!(-0.5));
    gives("5 % 5e-324", json!(0.0));
    gives("(-9223372036854775807 - 1) % -1", json!(0));
    assert_eq!(value("${{ -params.x * 0 }} ${{ -0.0 }}"), json!("-0.0 -0.0"));
}

#[test]
fn conditions_do_not_ask_further_than_they_must() {
    gives("params.n > 0 or 1 / 0 > 1", json!(true));
    gives("0 if true else 1 // 0", json!(0));
}

#[test]
fn every_function_is_documented_and_works() {
    let cases = [
        ("abs(-3)", json!(3)),
        ("basename(params.path)", json!("b.tar.gz")),
        ("ceil(1.2)", json!(2)),
        ("ends_with('abc', 'bc')", json!(true)),
        ("float('1.5')", json!(1.5)),
        ("floor(-1.2)", json!(-2)),
        ("int('12')", json!(12)),
        ("join(params.list, '-')", json!("3-1-2")),
        ("len(params.list) + len('äb')", json!(5)),
        ("lower('AbC')", json!("abc")),
        ("max(params.list)", json!(3)),
        ("min(4, 2.5, 9)", json!(2.5)),
        ("range(2, 11, 3)", json!([2, 5, 8])),
        ("replace('a.b.c', '.', '_')", json!("a_b_c")),
        ("reversed(params.list)", json!([2, 1, 3])),
        ("round(2.345, 2)", json!(2.35)),
        ("sorted(params.list)", json!([1, 2, 3])),
        ("split('a,b', ',')", json!(["a", "b"])),
        ("starts_with('abc', 'b')", json!(false)),
        ("stem(params.path)", json!("b.tar")),
        ("str(1.5) + str(true)", json!("1.5true")),
        ("sum([1, 2.5])", json!(3.5)),
        ("unique([1, 1.0, 2])", json!([1, 2])),
        ("upper('aß')", json!("ASS")),
    ];
    for (expression, expected) in &cases {
        gives(expression, expected.clone());
    }
    for function in functions() {
        let shown = cases.iter().any(|(text, _)| text.starts_with(&format!("{}(", function.name)));
        assert!(shown, "{} is not shown", function.name);
        assert!(function.doc.ends_with('.') && function.signature.starts_with(function.name));
    }
    let names: Vec<_> = functions().map(|function| function.name).collect();
    assert!(names.is_sorted(), "they are found by binary search");
}

#[test]
fn ranges_count_down_and_may_be_empty() {
    gives("range(3)", json!([0, 1, 2]));
    gives("range(3, 0, -2)", json!([3, 1]));
    gives("len(range(3, 0))", json!(0));
    gives("round(2.5)", json!(3));
    gives("round(-2.5)", json!(-3));
}
