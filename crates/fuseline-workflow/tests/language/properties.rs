//! Any text gets an answer in bounded time, without a panic.

use std::path::Path;
use std::time::{Duration, Instant};

use fuseline_workflow::{Checked, Diagnostic, Limits, ParamsFile, Source, check};
use proptest::prelude::*;

use crate::faulty::files;
use crate::fixture::{catalogue, check_text, no_files, overrides};

/// Checks any text with small limits, and the invariants of every answer.
fn check_any(text: &str) -> Checked {
    let limits = Limits { max_actions: 5_000, ..Limits::default() };
    let source = Source { path: Path::new("any.yaml"), text };
    let set = overrides(&[("data", "d")]);
    let checked = check(source, &catalogue(), &set, &limits, &no_files);
    let is_wrong = checked.diagnostics.iter().any(|found| found.is_error());
    assert_eq!(checked.workflow.is_none(), is_wrong, "{text}\n{:?}", checked.diagnostics);
    for found in &checked.diagnostics {
        for place in found.related.iter().map(|related| &related.place).chain([&found.place]) {
            let text = checked.files.text(place.file);
            assert!(text.get(place.span.clone()).is_some(), "{place:?} in {} bytes", text.len());
        }
        assert!(!found.message.is_empty() && !found.message.ends_with('.'));
    }
    let order: Vec<_> = checked.diagnostics.iter().map(|found| found.place.order()).collect();
    assert!(order.is_sorted());
    checked
}

fn seeds() -> Vec<String> {
    let all = files("valid").into_iter().chain(files("faulty"));
    all.map(|path| std::fs::read_to_string(path).expect("a case")).collect()
}

fn boundary(text: &str, at: usize) -> usize {
    (0..=at % (text.len() + 1)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// One change to a text: a piece is removed, doubled, moved or replaced.
#[derive(Debug, Clone)]
enum Change {
    Remove(usize, usize),
    Insert(usize, String),
    Copy(usize, usize, usize),
    Line(usize, usize),
}

fn change() -> impl Strategy<Value = Change> {
    let piece = prop_oneof![
        "[ -~\\n]{0,6}",
        Just("${{ ".to_owned()),
        Just(" }}".to_owned()),
        Just("*a".to_owned()),
        Just("&a ".to_owned()),
        Just("\t".to_owned()),
        Just("\u{0}".to_owned()),
        Just("é\u{feff}".to_owned()),
        Just("? ".to_owned()),
        Just("- ".to_owned()),
        Just("|\n".to_owned()),
        Just("99999999999999999999".to_owned()),
        Just("[modality=audio|x]".to_owned()),
    ];
    prop_oneof![
        (any::<usize>(), 0..30_usize).prop_map(|(at, length)| Change::Remove(at, length)),
        (any::<usize>(), piece).prop_map(|(at, text)| Change::Insert(at, text)),
        (any::<usize>(), 0..40_usize, any::<usize>()).prop_map(|(a, b, c)| Change::Copy(a, b, c)),
        (any::<usize>(), any::<usize>()).prop_map(|(from, to)| Change::Line(from, to)),
    ]
}

fn apply(text: &mut String, change: &Change) {
    match change {
        Change::Remove(at, length) => {
            let at = boundary(text, *at);
            let end = boundary(text, (at + length).min(text.len())).max(at);
            text.replace_range(at..end, "");
        }
        Change::Insert(at, piece) => text.insert_str(boundary(text, *at), piece),
        Change::Copy(from, length, to) => {
            let from = boundary(text, *from);
            let end = boundary(text, (from + length).min(text.len())).max(from);
            let piece = text[from..end].to_owned();
            text.insert_str(boundary(text, *to), &piece);
        }
        Change::Line(from, to) => {
            let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
            if !lines.is_empty() {
                let line = lines.remove(from % lines.len());
                lines.insert(to % (lines.len() + 1), line);
                *text = lines.join("\n");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn any_bytes_give_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        check_any(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_change_of_a_workflow_gives_an_answer(
        seed in any::<prop::sample::Index>(),
        changes in proptest::collection::vec(change(), 1..6),
    ) {
        let seeds = seeds();
        let mut text = seed.get(&seeds).clone();
        for change in &changes {
            apply(&mut text, change);
        }
        check_any(&text);
    }

    #[test]
    fn a_number_keeps_every_bit_wherever_it_is_written(bits in any::<u64>(), long in any::<bool>()) {
        let value = f64::from_bits(bits);
        prop_assume!(value.is_finite());
        let text = if long { format!("{value:.16e}") } else { format!("{value:?}") };
        let workflow = format!(
            "fuseline: 1\nname: t\nparams: {{ a: {text}, b: 0.5, c: 0.5 }}\naxes:\n  x: \
             [{text}]\n  y: ${{{{ [params.a] }}}}\n  z: ${{{{ [{text}] }}}}\nstages:\n  s: {{ \
             uses: simulate.features, over: [x, y, z], with: {{ examples: 3 }} }}\n"
        );
        let mut given = overrides(&[("b", &text)]);
        given.params_file =
            Some(ParamsFile { path: "params.yaml".into(), text: format!("c: {text}\n") });
        let source = Source { path: Path::new("t.yaml"), text: &workflow };
        let checked = check(source, &catalogue(), &given, &Limits::default(), &no_files);
        let Some(read) = checked.workflow else { panic!("{text}: {:?}", checked.diagnostics) };
        let params = read.params.iter().map(|(_, value)| value);
        let points = read.axes.iter().map(|axis| &axis.points.raw[0].value);
        for read in params.chain(points) {
            prop_assert_eq!(read.as_f64(), Some(value), "{}", text);
        }
    }

    #[test]
    fn any_expression_gives_an_answer(
        words in proptest::collection::vec(prop_oneof![
            "[ -~]{1,3}",
            prop::sample::select(vec![
                "params.n", "fold", "(", ")", "[", "]", ",", ".", "+", "-", "*", "/", "//", "%", "==", "<", "in",
                "not", "and", "or", "if", "else", "1", "2.5", "'a'", "range(", "len(", "join(", "9223372036854775807",
                "sorted(", "max(", "round(", "modality.file", "true", "null",
            ]).prop_map(str::to_owned),
        ], 0..14),
    ) {
        let expression = serde_json::to_string(&format!("${{{{ {} }}}}", words.join(" "))).expect("text");
        check_any(&format!(
            "fuseline: 1\nname: t\nparams: {{ n: 3 }}\naxes:\n  fold: [0, 1]\n  modality: {{ a: \
             {{ file: x }} }}\nstages:\n  a: {{ uses: simulate.features, over: [fold, modality], \
             with: {{ examples: {expression} }} }}\n"
        ));
    }
}

/// The processor time that it takes on this thread: what else the machine does counts for nothing.
fn timed(text: &str) -> (Checked, Duration) {
    let start = Instant::now();
    let of_thread = || {
        let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        Some(Duration::from_nanos(told.split_whitespace().next()?.parse().ok()?))
    };
    let before = of_thread();
    let checked = check_text(text, &[]);
    let spent = of_thread().zip(before).map(|(after, before)| after.saturating_sub(before));
    (checked, spent.unwrap_or_else(|| start.elapsed()))
}

/// Generous, because tests run unoptimised and beside others; what these texts ask for would take
/// hours.
const SOON: Duration = Duration::from_secs(10);

#[test]
fn hostile_texts_end_soon() {
    let head = "fuseline: 1\nname: t\nstages:\n  a:\n    uses: \
        simulate.features\n    with:\n      examples: ";
    let bomb: String = (0..40)
        .map(|level| {
            let names = vec![format!("*a{level}"); 9].join(", ");
            format!("a{}: &a{} [{names}]\n", level + 1, level + 1)
        })
        .collect();
    let texts = [
        format!("a0: &a0 x\n{bomb}"),
        format!("{head}{}", "[".repeat(100_000)),
        format!("{head}{}", "- ".repeat(100_000)),
        format!("{head}\"${{{{ {} }}}}\"", "(".repeat(100_000)),
        format!("{head}\"${{{{ {}1 }}}}\"", "not ".repeat(100_000)),
        format!("{head}${{{{ range(9223372036854775807) }}}}"),
        format!("{head}${{{{ range(-9223372036854775807, 9223372036854775807) }}}}"),
        format!("{head}${{{{ {} }}}}", ["len(join(range(100000), 'x'))"; 80].join(" + ")),
        format!("{head}${{{{ unique(range(100000)) }}}}"),
        "fuseline: 1\nname: t\naxes:\n  a: ${{ range(1000) }}\n  b: ${{ range(1000) \
         }}\nstages:\n  a: { uses: simulate.features, over: [a, b], where: \"${{ \
         sum(range(100000)) > a + b }}\" }\n"
            .to_owned(),
        "a\n".repeat(1_000_000),
        format!("{}: 1\n", "k".repeat(1_000_000)),
        "{".repeat(1_000_000),
        (0..90_000).map(|n| format!("k{n}: 1\n")).collect(),
        format!(
            "fuseline: 1\nname: t\naxes:\n{}stages:\n  a: {{ uses: simulate.features, over: [{}] \
             }}\n",
            (0..300).map(|n| format!("  a{n}: [0, 1]\n")).collect::<String>(),
            (0..300).map(|n| format!("a{n}")).collect::<Vec<_>>().join(", ")
        ),
        format!(
            "fuseline: 1\nname: t\nx: &a {}\ny: [{}]\n",
            "x".repeat(1_000_000),
            "*a, ".repeat(4_000)
        ),
        format!(
            "fuseline: 1\nname: t\nparams:\n  p: {}\nstages:\n  a:\n    uses: \
             simulate.features\n    with:\n      examples: ${{{{ len({}) }}}}\n",
            "p".repeat(100_000),
            ["params.p"; 40].join(" + ")
        ),
        format!(
            "fuseline: 1\nname: t\naxes:\n  a: ${{{{ range(1000) }}}}\nstages:\n  a:\n    uses: \
             simulate.features\n    over: [a]\n    with:\n      examples: ${{{{ a \
             }}}}\n      name: {}\n",
            "x".repeat(1_000_000)
        ),
        format!(
            "fuseline: 1\nname: t\nstages:\n{}",
            (0..1_000)
                .map(|n| format!(
                    "  stage_number_{n}: {{ uses: simulate.fetures, inputs: {{ a: stage_numbr_{n} \
                     }} }}\n"
                ))
                .collect::<String>()
        ),
        format!(
            "fuseline: 1\nname: t\nstages:\n  a:\n    uses: simulate.features\n    with: {{ {} \
             }}\n",
            (0..10_000).map(|n| format!("exampels_{n}: 1")).collect::<Vec<_>>().join(", ")
        ),
    ];
    for text in &texts {
        let (checked, time) = timed(text);
        assert!(checked.workflow.is_none(), "{}", &text[..60]);
        assert!(time < SOON, "{time:?} for {}", &text[..60]);
        let words =
            |found: &Diagnostic| found.message.len() + found.hint.as_ref().map_or(0, String::len);
        let said: usize = checked.diagnostics.iter().map(words).sum();
        assert!(said < 1 << 20, "{said} bytes of messages for {}", &text[..60]);
    }
}

#[test]
fn a_hundred_thousand_actions_expand_in_time_and_their_edges_are_shared() {
    let text = "fuseline: 1\nname: t\naxes:\n  fold: ${{ range(100) }}\n  repeat: ${{ range(300) \
        }}\n  rule: [a, b, c]\nstages:\n  raw: { uses: simulate.features, over: [fold, repeat], \
        with: { examples: \"${{ fold + 2 }}\" } }\n  all: { uses: cohort.define, over: [rule, \
        fold], inputs: { features: raw }, with: { label: { pattern: \"${{ rule }}\", classes: { \
        a: [a], b: [b] } } } }\n  each: { uses: cohort.define, over: [rule, fold, repeat], \
        inputs: { features: raw }, with: { label: { pattern: a, classes: { a: [a], b: [b] } } } \
        }\n";
    let (checked, time) = timed(text);
    let workflow = checked.workflow.expect("a workflow");
    let count: usize = workflow.stages.iter().map(|stage| stage.actions.len()).sum();
    assert_eq!(count, 30_000 + 300 + 90_000);
    assert_eq!(workflow.stages.raw[0].variants.len(), 100);
    assert_eq!(workflow.stages.raw[1].variants.len(), 3);
    assert_eq!(workflow.stages.raw[1].inputs.raw[0].sources[0].groups.len(), 100);
    assert_eq!(workflow.stages.raw[2].inputs.raw[0].sources[0].groups.len(), 30_000);
    assert!(time < SOON, "{time:?}");
}
