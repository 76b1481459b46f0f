use super::*;
use crate::answer::answer;
use crate::controls::Status::{Caution, Failed, Passed};
use crate::data::Point;

fn native() -> FindingRow {
    FindingRow {
        point: vec![("rule".to_owned(), "lr".to_owned()), ("quality".to_owned(), "snr".to_owned())],
        gap: Some(0.031),
        gap_low: Some(0.012),
        gap_high: Some(0.049),
        p_value: Some(0.000_999),
        p_adjusted: Some(0.012),
        ba_clean: Some(0.741),
        ba_without_quality: Some(0.720),
        ba_oracle: Some(0.87),
        flip_rate: Some(0.08),
        flip_low: Some(0.06),
        flip_high: Some(0.11),
        gain_low: Some(0.004),
        gain_high: Some(0.039),
        bound_low: Some(-0.041),
        bound_high: Some(0.083),
        p_error: Some(0.000_9),
        detectable_gap: Some(0.015),
        detectable_gap_80: Some(0.023),
        equivalent: Some(false),
        ..FindingRow::default()
    }
}

fn nothing_found() -> FindingRow {
    FindingRow {
        gap: Some(0.004),
        gap_low: Some(-0.021),
        gap_high: Some(0.03),
        p_value: Some(0.34),
        p_adjusted: Some(1.0),
        gain_low: Some(-0.011),
        gain_high: Some(0.021),
        bound_low: Some(-0.013),
        bound_high: Some(0.018),
        ..native()
    }
}

fn unmoved_row() -> FindingRow {
    FindingRow {
        gap: Some(1.2e-14),
        gap_low: Some(0.0),
        gap_high: Some(0.0),
        p_value: Some(1.0),
        p_adjusted: Some(1.0),
        flip_rate: Some(0.0),
        flip_low: Some(0.0),
        flip_high: Some(0.007),
        detectable_gap: Some(0.0),
        gain_low: None,
        gain_high: None,
        ..native()
    }
}

fn report(findings: Vec<FindingRow>) -> ReportData {
    ReportData {
        axes: vec!["rule".to_owned(), "quality".to_owned()],
        findings,
        settings: Settings { equivalence_margin: Some(0.02), ..Settings::default() },
        ..ReportData::default()
    }
}

fn scheme_row(scheme: &str, row: FindingRow) -> FindingRow {
    let mut point: Point = row.point.clone();
    point.push(("scheme".to_owned(), scheme.to_owned()));
    FindingRow { point, evidence_derived: true, ..row }
}

/// Every case that the words must tell apart, as: name, findings of which the first is read.
fn cases() -> Vec<(&'static str, Vec<FindingRow>)> {
    let leaking = FindingRow { ba_clean: Some(0.91), control: Control::Positive, ..native() };
    let small = FindingRow {
        equivalent: Some(true),
        gap_high: Some(0.018),
        flip_high: Some(0.015),
        ..nothing_found()
    };
    let alarm = FindingRow { control: Control::Negative, p_value: Some(0.04), ..nothing_found() };
    vec![
        ("gap and gain", vec![native()]),
        (
            "gap and a gain below the margin",
            vec![FindingRow { ba_without_quality: Some(0.73), ..native() }],
        ),
        (
            "gap, never refitted",
            vec![FindingRow {
                ba_without_quality: None,
                gain_low: None,
                gain_high: None,
                ..native()
            }],
        ),
        (
            "gap, a gain without an interval",
            vec![FindingRow { gain_low: None, gain_high: None, ..native() }],
        ),
        (
            "other permutations could turn it",
            vec![FindingRow { p_value: Some(0.0042), p_adjusted: Some(0.0504), ..native() }],
        ),
        (
            "gap, a p-value in doubt",
            vec![FindingRow {
                p_doubt: Some("groups are alike: ask others".to_owned()),
                ..native()
            }],
        ),
        (
            "nothing found, and in doubt",
            vec![FindingRow {
                p_doubt: Some("groups are alike: ask others".to_owned()),
                ..nothing_found()
            }],
        ),
        (
            "not testable",
            vec![FindingRow {
                not_testable: Some("quality has one value".to_owned()),
                ..nothing_found()
            }],
        ),
        (
            "found although little moved",
            vec![FindingRow {
                not_testable: Some("the scheme conditional changes little".to_owned()),
                ..native()
            }],
        ),
        (
            "not counted",
            vec![FindingRow {
                not_counted: Some("the rule does not read quality".to_owned()),
                ..unmoved_row()
            }],
        ),
        (
            "decisions change, accuracy does not",
            vec![FindingRow { equivalent: Some(true), flip_high: Some(0.14), ..nothing_found() }],
        ),
        ("gap, no gain shown", vec![FindingRow { gain_low: Some(-0.001), ..native() }]),
        (
            "gap, a loss",
            vec![FindingRow {
                ba_without_quality: Some(0.75),
                gain_low: Some(-0.021),
                gain_high: Some(-0.002),
                ..native()
            }],
        ),
        (
            "gap of a native rule that beats the oracle",
            vec![FindingRow { ba_oracle: Some(0.73), ..native() }],
        ),
        (
            "gap, evidence-derived, joint only",
            vec![FindingRow { evidence_derived: true, ..native() }],
        ),
        (
            "gap, evidence-derived, stays under conditional",
            vec![scheme_row("joint", native()), scheme_row("conditional", native())],
        ),
        (
            "gap, evidence-derived, gone under conditional",
            vec![scheme_row("joint", native()), scheme_row("conditional", nothing_found())],
        ),
        ("the conditional row itself", vec![scheme_row("conditional", native())]),
        (
            "significant before adjustment only",
            vec![FindingRow { p_adjusted: Some(0.09), ..native() }],
        ),
        ("nothing found", vec![nothing_found()]),
        (
            "nothing found, power unknown",
            vec![FindingRow { detectable_gap: None, ..nothing_found() }],
        ),
        ("nothing found, equivalent", vec![small.clone()]),
        ("found, equivalent", vec![FindingRow { equivalent: Some(true), ..native() }]),
        ("unmoved, equivalent", vec![FindingRow { equivalent: Some(true), ..unmoved_row() }]),
        ("unmoved, no margin stated", vec![FindingRow { equivalent: None, ..unmoved_row() }]),
        (
            "below 0",
            vec![FindingRow { gap: Some(-0.02), gap_high: Some(-0.004), ..nothing_found() }],
        ),
        ("no p-value", vec![FindingRow { p_value: None, p_adjusted: None, ..native() }]),
        ("no gap", vec![FindingRow { gap: Some(f64::NAN), ..native() }]),
        ("positive control seen", vec![FindingRow { control: Control::Positive, ..native() }]),
        ("positive control leaks", vec![leaking]),
        (
            "positive control missed",
            vec![FindingRow { control: Control::Positive, ..nothing_found() }],
        ),
        (
            "positive control unmoved",
            vec![FindingRow { control: Control::Positive, ..unmoved_row() }],
        ),
        (
            "negative control quiet",
            vec![FindingRow { control: Control::Negative, ..nothing_found() }],
        ),
        ("negative control alarms before adjustment", vec![alarm]),
        (
            "negative control unmoved",
            vec![FindingRow { control: Control::Negative, ..unmoved_row() }],
        ),
    ]
}

#[test]
fn every_case_has_its_own_words() {
    let text: Vec<String> = cases()
        .into_iter()
        .map(|(name, findings)| {
            let data = report(findings);
            let verdict = verdict(&data.findings[0], &data);
            format!(
                "{name}\n  {} {}\n  {}",
                verdict.reading.sign(),
                verdict.reading.label(),
                verdict.words
            )
        })
        .collect();
    insta::assert_snapshot!(text.join("\n"));
}

#[test]
fn no_dependence_is_said_only_where_equivalence_holds() {
    for (name, findings) in cases() {
        let data = report(findings);
        let row = &data.findings[0];
        let verdict = verdict(row, &data);
        if row.equivalent != Some(true) {
            assert!(verdict.reading != Reading::NoDependence, "{name}");
            assert!(
                !verdict.words.to_lowercase().contains("no dependence"),
                "{name}: {}",
                verdict.words
            );
        }
    }
}

#[test]
fn the_answer_of_all_findings_claims_no_more_than_its_parts() {
    let control = |control: Control, row: FindingRow| FindingRow { control, ..row };
    let flagged = || FindingRow { evidence_derived: true, ..native() };
    let equal = || FindingRow { equivalent: Some(true), flip_high: Some(0.015), ..nothing_found() };
    let harm = || FindingRow { gap: Some(-0.02), gap_high: Some(-0.004), ..nothing_found() };
    let useless = || FindingRow {
        ba_without_quality: Some(0.75),
        gain_low: Some(-0.02),
        gain_high: Some(-0.001),
        ..native()
    };
    let sane =
        || vec![control(Control::Positive, native()), control(Control::Negative, nothing_found())];
    let with = |rows: Vec<FindingRow>| [sane(), rows].concat();
    let cases: Vec<(&str, Vec<FindingRow>)> = vec![
        ("no findings", vec![]),
        ("controls only", sane()),
        ("one of three depends", with(vec![native(), nothing_found(), equal()])),
        ("all depend", with(vec![native(), native()])),
        (
            "rules that do not read quality alone",
            with(vec![FindingRow {
                not_counted: Some("the rule does not read quality".to_owned()),
                ..unmoved_row()
            }]),
        ),
        (
            "one of two not testable, one equal to another",
            with(vec![
                FindingRow {
                    not_testable: Some("quality has one value".to_owned()),
                    ..nothing_found()
                },
                FindingRow {
                    not_counted: Some("equal in every number to lr".to_owned()),
                    ..native()
                },
                native(),
            ]),
        ),
        ("dependence at a loss alone", with(vec![useless(), nothing_found()])),
        ("evidence-derived gaps alone", with(vec![flagged(), equal()])),
        ("all equivalent", with(vec![equal(), equal(), equal()])),
        ("the one is equivalent", with(vec![equal()])),
        (
            "found and not found, all within the margin",
            with(vec![FindingRow { equivalent: Some(true), ..native() }, equal()]),
        ),
        (
            "too few permutations",
            with(vec![FindingRow {
                p_adjusted: Some(0.06),
                n_permutations: 1000,
                p_value: Some(1.0 / 1001.0),
                ..native()
            }]),
        ),
        (
            "found but within the margin",
            with(vec![FindingRow { equivalent: Some(true), ..native() }]),
        ),
        ("some equivalent", with(vec![equal(), nothing_found()])),
        ("nothing known", with(vec![nothing_found(), nothing_found()])),
        ("harm", with(vec![harm(), nothing_found()])),
        ("not tested", with(vec![FindingRow { p_value: None, p_adjusted: None, ..native() }])),
        ("no controls", vec![native()]),
        (
            "positive control missed",
            vec![control(Control::Positive, nothing_found()), nothing_found()],
        ),
        (
            "positive control missed by some",
            vec![
                control(Control::Positive, nothing_found()),
                control(Control::Positive, native()),
                control(Control::Positive, unmoved_row()),
                nothing_found(),
            ],
        ),
        (
            "controls that move nothing",
            vec![
                control(Control::Positive, unmoved_row()),
                control(Control::Negative, unmoved_row()),
                native(),
            ],
        ),
        (
            "two alarms of three",
            vec![
                control(Control::Negative, native()),
                control(Control::Negative, native()),
                control(Control::Negative, nothing_found()),
                native(),
            ],
        ),
    ];
    let text: Vec<String> = cases
        .into_iter()
        .map(|(name, findings)| {
            let answer = answer(&report(findings));
            let lines: Vec<String> = answer
                .sentences
                .iter()
                .cloned()
                .chain(
                    answer
                        .checks
                        .iter()
                        .map(|check| format!("[{}] {}", check.status.word(), check.words)),
                )
                .map(|line| format!("  - {line}"))
                .collect();
            format!("{name}: {}\n{}", answer.headline, lines.join("\n"))
        })
        .collect();
    insta::assert_snapshot!(text.join("\n"));
}

#[test]
fn a_positive_control_of_strength_0_is_asked_for_quiet() {
    let at = |alpha: &str, row: FindingRow| FindingRow {
        point: vec![("alpha".to_owned(), alpha.to_owned())],
        control: Control::Positive,
        ..row
    };
    let doses = ["0.5", "1.0"].map(|alpha| at(alpha, native()));
    let noise = [at("0.0", nothing_found()), at("0.0", native())];
    let findings = noise.into_iter().chain(doses).collect();
    let answer = answer(&report(findings));
    let readings: Vec<Reading> = answer.verdicts.iter().map(|verdict| verdict.reading).collect();
    assert_eq!(readings, [Reading::Quiet, Reading::Alarm, Reading::Detected, Reading::Detected]);
    let [positive, negative] = answer.checks;
    assert!(positive.words.starts_with("At its strongest (alpha 1.0): detected"), "{positive:?}");
    // One alarm in two draws at the level 0.05: 1 - 0.95^2.
    assert!(negative.words.contains("or more in 9.8\u{a0}% of studies"), "{negative:?}");
}

#[test]
fn what_is_within_the_margin_does_not_hang_on_how_many_conditions_there_are() {
    let row = |p_adjusted| FindingRow {
        equivalent: Some(true),
        flip_high: Some(0.015),
        p_adjusted: Some(p_adjusted),
        ..native()
    };
    let alone = verdict(&row(0.001), &report(vec![row(0.001)])).reading;
    let among_many = verdict(&row(1.0), &report(vec![row(1.0)])).reading;
    assert_eq!((alone, among_many), (Reading::WithinMargin, Reading::WithinMargin));
}

#[test]
fn controls_of_one_draw_are_one_test_and_a_badge_is_a_binomial_tail() {
    let noise = |sketch: &str, p: f64| FindingRow {
        control: Control::Negative,
        p_value: Some(p),
        quality_sketch: Some(sketch.to_owned()),
        ..nothing_found()
    };
    let negative = |rows: Vec<FindingRow>| answer(&report(rows)).checks[1].clone();
    // Three conditions of one draw, one of which lost a part of its examples: 0.02 times 3 is above
    // the level.
    let one_draw = vec![noise("a b", 0.02), noise("b c", 0.03), noise("c d", 0.6)];
    let found = negative(one_draw);
    assert!(found.words.contains("one draw of noise, which raises no alarm"), "{found:?}");
    assert_eq!(found.status, Passed);
    // 3 of 18 draws: P(X >= 3) = 5.8 %; 4: 1.1 %; 6: 0.02 % (scipy.stats.binom.sf).
    let draws = |alarms: usize| {
        let p = move |draw| if draw < alarms { 0.01 } else { 0.5 };
        negative((0..18).map(|draw| noise(&format!("{draw}"), p(draw))).collect()).status
    };
    assert_eq!([0, 3, 4, 6].map(draws), [Passed, Passed, Caution, Failed]);
}

/// A row whose label is a number, with the readings of `row`.
fn of_numbers(row: FindingRow) -> FindingRow {
    let metric = crate::numbers::MetricRow {
        clean: Some(0.71),
        broken: Some(0.74),
        without_quality: Some(0.73),
        gain: Some(0.02),
        shift: Some(0.05),
        ..crate::numbers::MetricRow::default()
    };
    FindingRow {
        ba_clean: None,
        ba_without_quality: None,
        ba_oracle: None,
        flip_rate: None,
        equivalent: None,
        metric: Some(metric),
        ..row
    }
}

#[test]
fn one_condition_a_model_from_elsewhere_and_numbers_read_as_sentences() {
    let equal = || FindingRow { equivalent: Some(true), flip_high: Some(0.015), ..nothing_found() };
    let each: Vec<(&str, FindingRow)> = vec![
        ("gain", native()),
        ("no gain shown", FindingRow { gain_low: Some(-0.001), ..native() }),
        ("loss", FindingRow { gain_low: Some(-0.03), gain_high: Some(-0.01), ..native() }),
        ("derived", FindingRow { evidence_derived: true, ..native() }),
        ("in doubt", FindingRow { p_doubt: Some("groups are alike: ask".to_owned()), ..native() }),
        ("harm", FindingRow { gap: Some(-0.02), gap_high: Some(-0.004), ..nothing_found() }),
        ("nothing found", nothing_found()),
        (
            "not testable",
            FindingRow { not_testable: Some("one value".to_owned()), ..nothing_found() },
        ),
        ("within the margin", FindingRow { flip_high: Some(0.14), ..equal() }),
        ("equal", equal()),
        ("not tested", FindingRow { p_value: None, p_adjusted: None, ..native() }),
    ];
    let frozen = Settings { frozen: true, adjust: "none".to_owned(), ..report(vec![]).settings };
    let mae = Some(crate::numbers::Metric::Mae);
    let alone = |row: &FindingRow| FindingRow { point: Point::new(), ..row.clone() };
    let mut said = Vec::new();
    for (name, row) in &each {
        let model = ReportData { settings: frozen.clone(), ..report(vec![alone(row)]) };
        let numbers = Settings { metric: mae, equivalence_margin: None, ..Settings::default() };
        let measured = vec![of_numbers(row.clone())];
        let of_model = Settings { metric: mae, equivalence_margin: None, ..frozen.clone() };
        said.push((format!("{name}, one condition"), report(vec![row.clone()])));
        said.push((format!("{name}, two"), report(vec![row.clone(), row.clone()])));
        said.push((format!("{name}, model"), model));
        said.push((
            format!("{name}, model of numbers"),
            ReportData { settings: of_model, ..report(vec![of_numbers(alone(row))]) },
        ));
        said.push((
            format!("{name}, numbers"),
            ReportData { settings: numbers, ..report(measured) },
        ));
    }
    let text: Vec<String> = said
        .iter()
        .map(|(name, data)| {
            let (headline, sentences) = crate::answer_in_words(data);
            for text in sentences.iter().chain([&headline]) {
                let first = text.chars().next().unwrap_or_default();
                assert!(
                    first.is_uppercase() || first.is_numeric() || text.starts_with("lr "),
                    "{text}"
                );
                for wrong in [" in 0", "0 of", "of 1 ", "the one condition)", "  ", "..", " ."] {
                    assert!(!text.contains(wrong), "{wrong:?} in {text:?}");
                }
            }
            format!("{name}: {headline}\n  - {}", sentences.join("\n  - "))
        })
        .collect();
    insta::assert_snapshot!(text.join("\n"));
}

#[test]
fn a_scheme_that_reads_labels_alone_gives_the_gap_and_no_answer() {
    let settings = Settings {
        frozen: true,
        adjust: "none".to_owned(),
        scheme: "within_class".to_owned(),
        ..Settings::default()
    };
    let alone = FindingRow { point: Point::new(), ..native() };
    let model = ReportData { settings, ..report(vec![alone]) };
    let (headline, sentences) = crate::answer_in_words(&model);
    assert!(headline.starts_with("No answer by itself: within_class tells"), "{headline}");
    assert!(sentences[0].starts_with("Accuracy depends on quality (gap +3.1"), "{sentences:?}");
}

#[test]
fn a_test_that_other_permutations_could_turn_is_named_where_there_are_others() {
    let close = || FindingRow {
        p_value: Some(0.047),
        p_adjusted: Some(0.047),
        p_error: Some(0.004),
        ..native()
    };
    let quality = |name: &str, row: FindingRow| FindingRow {
        point: vec![("quality".to_owned(), name.to_owned())],
        ..row
    };
    let said = |rows: Vec<FindingRow>| {
        let (_, sentences) = crate::answer_in_words(&report(rows));
        sentences.into_iter().find(|text| text.starts_with("Other permutations")).unwrap()
    };
    assert!(said(vec![close()]).starts_with("Other permutations could turn the test: "));
    let two = said(vec![quality("a", close()), quality("b", close())]);
    assert!(two.starts_with("Other permutations could turn the tests of 2 conditions: "), "{two}");
    let one = said(vec![quality("a", close()), quality("b", nothing_found())]);
    assert!(
        one.starts_with("Other permutations could turn the test of 1 condition (a): "),
        "{one}"
    );
}

#[test]
fn where_permutations_are_too_few_they_and_not_the_data_cannot_tell() {
    let at_floor =
        FindingRow { p_value: Some(0.01), p_adjusted: Some(0.48), n_permutations: 99, ..native() };
    let headline = |row: &FindingRow| answer(&report(vec![row.clone()])).headline;
    assert_eq!(
        headline(&at_floor),
        "Too few permutations to tell whether accuracy depends on quality."
    );
    let of_three = vec![at_floor.clone(), nothing_found(), nothing_found()];
    let sentences = answer(&report(of_three)).sentences;
    assert!(sentences[0].ends_with("once it is adjusted. Run 60 or more."), "{}", sentences[0]);
    let enough = FindingRow { p_value: Some(0.02), ..at_floor };
    assert!(headline(&enough).starts_with("The data cannot tell"));
}
