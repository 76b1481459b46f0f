use super::*;

/// The tree on one line.
fn shown(node: &Node) -> String {
    match &node.data {
        Data::Absent => "?".to_owned(),
        Data::Scalar(scalar) => format!("{:?}", scalar.text),
        Data::Sequence(items) => {
            format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(", "))
        }
        Data::Mapping(mapping) => {
            let entry = |entry: &Entry| match entry.has_colon {
                true => format!("{}: {}", entry.key, shown(&entry.value)),
                false => entry.key.clone(),
            };
            let entries: Vec<_> = mapping.entries.iter().map(entry).collect();
            format!("{{{}}}", entries.join(", "))
        }
    }
}

fn read(text: &str) -> String {
    shown(&parse(text))
}

#[test]
fn whole_texts_are_read_as_yaml_reads_them() {
    assert_eq!(
        read("a: 1\nb:\n  c: [x, 'y z']  # why\n  d: { e: f, \"g h\": [] }\n"),
        r#"{a: "1", b: {c: ["x", "y z"], d: {e: "f", g h: []}}}"#
    );
    assert_eq!(
        read(
            "list:\n- a\n- b: 1\n  c: 2\n-\n  d\nnext: |\n  text: no key\n\n  more\nlast: \"q: r\""
        ),
        r#"{list: ["a", {b: "1", c: "2"}, "d"], next: "\n  text: no key\n\n  more", last: "q: r"}"#
    );
    assert_eq!(
        read("uses: \"quality.${{ quality }}\"\npath: ${{ params.data }}/${{ m.file }}\n"),
        r#"{uses: "quality.${{ quality }}", path: "${{ params.data }}/${{ m.file }}"}"#
    );
    assert_eq!(
        read("a: {\n  b: 1,\n  c: [2,\n   3]\n}\nd: e"),
        r#"{a: {b: "1", c: ["2", "3"]}, d: "e"}"#
    );
    assert_eq!(read("a: one\n  two\nb: 3"), r#"{a: "one\n  two", b: "3"}"#);
}

#[test]
fn what_is_half_written_keeps_its_place() {
    let stages = |broken: &str| read(&format!("stages:\n  a:\n    {broken}\n  b:\n    uses: x\n"));
    let around = |broken: &str| format!("{{stages: {{a: {broken}, b: {{uses: \"x\"}}}}}}");
    for (written, tree) in [
        ("uses:", "{uses: ?}"),
        ("uses: load", "{uses: \"load\"}"),
        ("inp", "\"inp\""),
        ("uses: x\n    inp", "{uses: \"x\", inp}"),
        ("inputs: {", "{inputs: {}}"),
        ("inputs: { fea", "{inputs: {fea}}"),
        ("inputs: { features:", "{inputs: {features: ?}}"),
        ("inputs: { features: , cohort: c }", "{inputs: {features: ?, cohort: \"c\"}}"),
        ("over: [", "{over: []}"),
        ("over: [fold, ", "{over: [\"fold\"]}"),
        ("uses: \"qual", "{uses: \"qual\"}"),
        ("with: { a: ${{ params.", "{with: {a: \"${{ params.\"}}"),
        ("with: { a: ${{ p }}, b: 1 }", "{with: {a: \"${{ p }}\", b: \"1\"}}"),
        ("inputs: { e: s.t[m=a], f: g }", "{inputs: {e: \"s.t[m=a]\", f: \"g\"}}"),
        ("uses: x\n      with: { a: 1 }", "{uses: \"x\", with: {a: \"1\"}}"),
    ] {
        assert_eq!(stages(written), around(tree), "{written}");
    }
}

#[test]
fn what_is_never_closed_ends_before_the_next_key_beside_it() {
    assert_eq!(read("a:\n  b: [x, \nc:\n  d: 1"), r#"{a: {b: ["x"]}, c: {d: "1"}}"#);
    assert_eq!(read("a:\n  b: { x: y\n  c: 1"), r#"{a: {b: {x: "y"}, c: "1"}}"#);
    assert_eq!(read("a: \"x\nb: 1"), r#"{a: "x", b: "1"}"#);
}

#[test]
fn any_text_gives_a_tree_with_spans_inside_of_it() {
    fn check(node: &Node, text: &str) {
        assert!(text.get(node.span.clone()).is_some(), "{:?} in {text:?}", node.span);
        node.items().iter().for_each(|item| check(item, text));
        for entry in node.entries() {
            assert!(text.get(entry.key_span.clone()).is_some(), "{:?}", entry.key_span);
            check(&entry.value, text);
        }
    }
    let whole = include_str!("../../../../workflows/stressid.yaml");
    let mut pieces: Vec<String> = (0..whole.len())
        .filter(|at| whole.is_char_boundary(*at))
        .map(|at| format!("{}\u{e000}{}", &whole[..at], &whole[at..]))
        .collect();
    for odd in [
        "{",
        "[[",
        "\"",
        "'",
        "- - -",
        "a: {b",
        "${{",
        ": :",
        "ä: [𝔘, {ü",
        "\t- x",
        "a:\r\n b",
        "&a",
        "!t",
    ] {
        pieces.push(odd.to_owned());
    }
    pieces.push("[".repeat(100_000));
    pieces.push("- ".repeat(10_000));
    for text in &pieces {
        let tree = parse(text);
        check(&tree, text);
        for offset in [0, text.len() / 2, text.len()] {
            locate(&tree, offset);
        }
    }
}
