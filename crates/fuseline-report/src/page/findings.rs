//! The table of findings: every column, sortable and filterable where scripts run, whole where they
//! do not.

use super::{Section, caption, scrolling, section};
use crate::answer::Answer;
use crate::data::{FindingRow, ReportData, Settings};
use crate::format::{
    count, counted, p_number, percent, plain, point_values, points, points_interval,
};
use crate::markup::{Element, element};
use crate::methods::span;
use crate::numbers::{self, Unit};
use crate::verdict::Verdict;

/// Columns that go beside the verdict on paper; the others follow in a table of their own, since
/// all of them on one page would be too small to read.
const FIRST_ON_PAPER: usize = 8;
/// Columns of each of these.
const MORE_ON_PAPER: usize = 9;

/// Writes a cell: its text, and the value to sort by.
type Cell = Box<dyn Fn(&FindingRow) -> (String, Option<f64>)>;
/// A count of a row.
type Count = fn(&FindingRow) -> u64;

/// A column: its heading, what it means, and its cell.
struct Column {
    heading: String,
    meaning: &'static str,
    cell: Cell,
}

fn column(
    heading: impl Into<String>,
    meaning: &'static str,
    cell: impl Fn(&FindingRow) -> (String, Option<f64>) + 'static,
) -> Column {
    Column { heading: heading.into(), meaning, cell: Box::new(cell) }
}

/// A value of a test whose statistic varies: a rule that cannot move has no critical value.
fn moving(row: &FindingRow, value: Option<f64>) -> Option<f64> {
    value.filter(|_| row.null_sd.is_none_or(|sd| sd > 0.0))
}

fn columns(data: &ReportData) -> Vec<Column> {
    let mut columns = match data.settings.metric {
        Some(metric) => numbers::columns(metric, Unit::of_report(data), &data.settings)
            .into_iter()
            .map(|of| Column { heading: of.heading, meaning: of.meaning, cell: of.cell })
            .collect(),
        None => of_accuracy(data),
    };
    let counts: [(&str, &'static str, Count); 3] = [
        ("examples", "test examples", |row| row.n_examples),
        ("groups", "groups (subjects) among them", |row| row.n_groups),
        ("permutations", "permutations drawn", |row| row.n_permutations),
    ];
    for (heading, meaning, value) in counts {
        // The caption says what is the same in every row.
        if data.findings.iter().any(|row| Some(value(row)) != data.findings.first().map(value)) {
            columns.push(column(heading, meaning, move |row| {
                (count(value(row)), Some(value(row) as f64))
            }));
        }
    }
    // A column without a single value says nothing.
    columns.retain(|column| data.findings.iter().any(|row| (column.cell)(row).1.is_some()));
    columns
}

const fn gain_meaning(settings: &Settings) -> &'static str {
    if settings.frozen {
        "Clean-Q minus neutral quality"
    } else if settings.loaded {
        "Clean-Q minus quality that says nothing"
    } else {
        "Clean-Q minus the rule without quality"
    }
}

/// Columns of accuracies and their differences.
fn of_accuracy(data: &ReportData) -> Vec<Column> {
    let mut columns = vec![
        column("gap (pp)", "permutation gap: Clean-Q minus mean Broken-Q", |row| {
            (points_interval(row.gap, row.gap_low, row.gap_high).replace("\u{a0}pp", ""), row.gap)
        }),
        column(
            "p raw",
            "one-sided permutation p-value of this row alone, before adjustment",
            |row| (p_number(row.p_value), row.p_value),
        ),
        column("p error", "standard error of p from drawing permutations", |row| {
            (row.p_error.map_or_else(|| "–".to_owned(), |error| format!("{error:.4}")), row.p_error)
        }),
        column(
            "p adjusted",
            "adjusted for the family of tests: native conditions, positive and negative controls \
             are three",
            |row| (p_number(row.p_adjusted), row.p_adjusted),
        ),
        column("Clean-Q", "balanced accuracy with quality as measured", |row| {
            (percent(row.ba_clean), row.ba_clean)
        }),
        column("Broken-Q", "mean balanced accuracy with quality permuted", |row| {
            (percent(row.ba_broken), row.ba_broken)
        }),
        column(
            data.settings.reference_heading(),
            if data.settings.frozen {
                "balanced accuracy of the same model with quality held at its mean, or at the \
                 neutral value that was given"
            } else if data.settings.held {
                "balanced accuracy of the same model with quality held at its mean"
            } else if data.settings.loaded {
                "balanced accuracy of the same model given quality that says nothing"
            } else {
                "balanced accuracy of the same rule refitted without quality"
            },
            |row| (percent(row.ba_without_quality), row.ba_without_quality),
        ),
        column("gain (pp)", gain_meaning(&data.settings), |row| {
            let text = points_interval(row.gain(), row.gain_low, row.gain_high);
            (text.replace("\u{a0}pp", ""), row.gain())
        }),
        column(
            "bound (pp)",
            "the interval that must lie within the margin: the wider of bootstrap and exact bound",
            |row| {
                let text = match (row.bound_low, row.bound_high) {
                    (Some(_), Some(_)) => {
                        format!("[{}, {}]", points(row.bound_low), points(row.bound_high))
                    }
                    _ => "–".to_owned(),
                };
                (text, row.bound_high)
            },
        ),
        column("quality moved", "share of examples whose quality a permutation changes", |row| {
            (percent(row.moved_share), row.moved_share)
        }),
        column(
            "best expert",
            if data.settings.best_on_training {
                "balanced accuracy of the single expert that is best on the training evidence of \
                 each fold"
            } else {
                "balanced accuracy of the best single expert, chosen on these test examples: \
                 optimistic"
            },
            |row| (percent(row.ba_best_unimodal), row.ba_best_unimodal),
        ),
        column(
            "oracle",
            "balanced accuracy when any expert being right counts: optimistic, as nobody can \
             choose so",
            |row| (percent(row.ba_oracle), row.ba_oracle),
        ),
        column("headroom (pp)", "oracle minus Clean-Q", |row| (points(row.headroom), row.headroom)),
        column(
            "critical (pp)",
            "the critical value: a larger gap would have p at the level",
            |row| {
                let shown = moving(row, row.detectable_gap);
                (points(shown), shown)
            },
        ),
        column("80 % power (pp)", "the gap that the test would detect with 80 % power", |row| {
            let shown = moving(row, row.detectable_gap_80);
            (points(shown), shown)
        }),
        column(
            "null sd (pp)",
            "standard deviation of balanced accuracy over permutations",
            |row| (points(row.null_sd), row.null_sd),
        ),
        column(
            "flips",
            "share of decisions that a permutation changes, with its interval",
            |row| {
                let text = match (row.flip_low, row.flip_high) {
                    (Some(_), Some(_)) => {
                        let ends = [row.flip_low, row.flip_high].map(percent).join(", ");
                        format!("{} [{}]", percent(row.flip_rate), ends).replace("\u{a0}%", "")
                    }
                    _ => percent(row.flip_rate),
                };
                (text, row.flip_rate)
            },
        ),
        column("shift", "mean total-variation distance of the probabilities", |row| {
            (plain(row.probability_shift), row.probability_shift)
        }),
    ];
    let mut modalities: Vec<String> = Vec::new();
    for (name, _) in data.findings.iter().flat_map(|row| &row.alignment) {
        if !modalities.contains(name) {
            modalities.push(name.clone());
        }
    }
    for modality in modalities {
        columns.push(column(
            format!("alignment {modality}"),
            "AUROC of quality for this expert being right",
            move |row| {
                let value =
                    row.alignment.iter().find(|(name, _)| *name == modality).and_then(|(_, v)| *v);
                (plain(value), value)
            },
        ));
    }
    columns
}

/// The section with the table.
pub fn findings(data: &ReportData, answer: &Answer) -> Section {
    let columns = columns(data);
    let head = |text: &str, meaning: &str| {
        element("th").attr("scope", "col").attr("title", meaning).text(text)
    };
    let heads = data
        .axes
        .iter()
        .map(|axis| head(axis, "axis"))
        .chain([
            head("control", "what the condition is there for"),
            head("verdict", "what the finding shows"),
        ])
        .chain(columns.iter().enumerate().map(|(place, column)| {
            head(&column.heading, column.meaning).class(number_class(place))
        }));
    let rows = data
        .findings
        .iter()
        .zip(&answer.verdicts)
        .enumerate()
        .map(|(index, (row, verdict))| line(index, row, verdict, data, &columns));
    let table = element("table")
        .class("findings")
        .attr("id", "findings-table")
        .child(element("thead").child(element("tr").children(heads)))
        .child(element("tbody").children(rows));
    section("Findings")
        .child(caption(&format!(
            "One row a point: {} of {}, {}. {}.",
            counted(span(data, |row| row.n_examples), "test example"),
            counted(span(data, |row| row.n_groups), "group"),
            counted(span(data, |row| row.n_permutations), "permutation"),
            match data.settings.metric {
                None => {
                    "Accuracies are balanced accuracies in per cent, differences are percentage \
                     points (pp)"
                }
                Some(_) => "Gaps and gains are positive where quality helps",
            }
        )))
        .child(filters(data, answer))
        .child(scrolling("Table of findings", table))
        .child(element("div").children(more_on_paper(data, &columns)))
        .child(glossary(&columns))
        .child(element("details").child(element("summary").text("Every verdict in words")).child(
            element("dl").class("verdicts").children(
                data.findings.iter().zip(&answer.verdicts).flat_map(|(row, verdict)| {
                    [
                        element("dt").text(point_values(&row.point)),
                        element("dd").text(verdict.words.clone()),
                    ]
                }),
            ),
        ))
}

fn line(
    index: usize,
    row: &FindingRow,
    verdict: &Verdict,
    data: &ReportData,
    columns: &[Column],
) -> Element {
    let mut control = element("td").text(row.control.name());
    if row.evidence_derived {
        control = control.child(
            element("span")
                .class("kind")
                .attr("title", "this quality is a function of the evidence")
                .text(" evidence-derived"),
        );
    }
    let mut words = element("td")
        .attr("title", verdict.words.clone())
        .child(
            element("span").class("sign").attr("aria-hidden", "true").text(verdict.reading.sign()),
        )
        .text(format!(" {}", verdict.reading.label()));
    if verdict.beats_oracle {
        words = words.child(element("span").class("kind").text(" beats the oracle"));
    }
    element("tr")
        .attr("id", format!("finding-{}", index + 1))
        .attr("data-control", row.control.name())
        .attr("data-verdict", verdict.reading.label())
        .children(data.axes.iter().enumerate().map(|(place, axis)| {
            let cell = if place == 0 { element("th").attr("scope", "row") } else { element("td") };
            cell.text(row.value_of(axis).unwrap_or("–"))
        }))
        .child(control)
        .child(words.class(format!("tone-{}", verdict.reading.tone())))
        .children(columns.iter().enumerate().map(|(place, column)| {
            let (text, value) = (column.cell)(row);
            let cell = element("td").class(number_class(place)).text(text);
            match value.filter(|value| value.is_finite()) {
                Some(value) => cell.attr("data-value", value.to_string()),
                None => cell.attr("data-value", ""),
            }
        }))
}

fn number_class(place: usize) -> &'static str {
    if place < FIRST_ON_PAPER { "number" } else { "number later" }
}

/// The columns that the first table leaves out on paper; neither shown nor read aloud on a screen.
fn more_on_paper(data: &ReportData, columns: &[Column]) -> Vec<Element> {
    let others = columns.get(FIRST_ON_PAPER..).unwrap_or_default();
    others.chunks(MORE_ON_PAPER).map(|columns| table_on_paper(data, columns)).collect()
}

fn table_on_paper(data: &ReportData, columns: &[Column]) -> Element {
    let head = |text: &str| element("th").text(text);
    let heads = data.axes.iter().map(|axis| head(axis));
    let heads = heads.chain(columns.iter().map(|column| head(&column.heading).class("number")));
    let rows = data.findings.iter().map(|row| {
        let axes = data.axes.iter().enumerate().map(|(place, axis)| {
            let text = row.value_of(axis).unwrap_or("–");
            element(if place == 0 { "th" } else { "td" }).text(text)
        });
        let cells =
            columns.iter().map(|column| element("td").class("number").text((column.cell)(row).0));
        element("tr").children(axes.chain(cells))
    });
    element("table")
        .class("findings on-paper")
        .child(element("thead").child(element("tr").children(heads)))
        .child(element("tbody").children(rows))
}

/// Hidden until the script shows them: without it they would do nothing.
fn filters(data: &ReportData, answer: &Answer) -> Element {
    let mut controls: Vec<&str> = Vec::new();
    let mut readings: Vec<&str> = Vec::new();
    for (row, verdict) in data.findings.iter().zip(&answer.verdicts) {
        if !controls.contains(&row.control.name()) {
            controls.push(row.control.name());
        }
        if !readings.contains(&verdict.reading.label()) {
            readings.push(verdict.reading.label());
        }
    }
    let choice = |id: &str, label: &str, options: &[&str]| {
        element("label").text(format!("{label} ")).child(
            element("select")
                .attr("id", id)
                .child(element("option").attr("value", "").text("all"))
                .children(options.iter().map(|option| element("option").text(*option))),
        )
    };
    element("div")
        .class("filters")
        .attr("id", "filters")
        .attr("hidden", "hidden")
        .child(
            element("label").text("Filter ").child(
                element("input")
                    .attr("id", "filter-text")
                    .attr("type", "search")
                    .attr("placeholder", "words, such as lr margin")
                    .attr("autocomplete", "off"),
            ),
        )
        .child(choice("filter-control", "Control", &controls))
        .child(choice("filter-verdict", "Verdict", &readings))
        .child(
            element("span")
                .attr("id", "filter-count")
                .attr("role", "status")
                .attr("aria-live", "polite"),
        )
}

fn glossary(columns: &[Column]) -> Element {
    element("details").child(element("summary").text("What the columns mean")).child(
        element("dl").class("verdicts").children(columns.iter().flat_map(|column| {
            [element("dt").text(column.heading.clone()), element("dd").text(column.meaning)]
        })),
    )
}
