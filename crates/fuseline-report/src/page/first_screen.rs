//! The answer, the controls, and the verdict of every point at a glance.

use super::{scrolling, title};
use crate::answer::Answer;
use crate::arrange::{Arrangement, Group, column_label};
use crate::data::{Control, FindingRow, ReportData};
use crate::figures;
use crate::format::{count, point_values, value_label};
use crate::markup::{Element, element};
use crate::methods::question;
use crate::numbers::Unit;
use crate::verdict::Reading;

/// A longer grid starts folded: what follows is easier to read.
const LINES_IN_SIGHT: usize = 24;

/// The header of the page.
pub fn first_screen(data: &ReportData, answer: &Answer, arrangement: &Arrangement) -> Element {
    let eyebrow = match data.asked.workflow.as_str() {
        // Said by the heading.
        workflow if workflow == title(data) => "fuseline report".to_owned(),
        workflow => format!("fuseline report · {workflow}"),
    };
    let mut header = element("header")
        .child(element("p").class("eyebrow").text(eyebrow))
        .child(element("h1").text(title(data)));
    if let Some(description) = &data.asked.description {
        header = header.child(element("p").class("lead").text(description.clone()));
    }
    header = header.child(answer_box(data, answer));
    let of = |native: bool| -> Vec<&Group> {
        let groups = arrangement.groups.iter();
        groups.filter(|group| (group.control == Control::Native) == native).collect()
    };
    let (native, controls) = (of(true), of(false));
    // Of one condition the answer says all.
    if native.iter().map(|group| group.rows.len()).sum::<usize>() > 1 {
        let name = "Native conditions: verdict and permutation gap";
        header = header.child(grid(data, answer, arrangement, &native, name));
    }
    if !answer.sentences.is_empty() {
        header = header.child(behind(answer));
    }
    header = header.child(checks(answer));
    if !controls.is_empty() {
        let name = "Controls: verdict and permutation gap";
        header = header.child(grid(data, answer, arrangement, &controls, name));
    }
    header
}

fn answer_box(data: &ReportData, answer: &Answer) -> Element {
    let mut answer_box = element("div")
        .class(format!("answer tone-{}", answer.tone))
        .child(element("p").class("question").text(question(data)))
        .child(element("p").class("headline").text(answer.headline.clone()));
    if !answer.counts.is_empty() {
        answer_box = answer_box.child(tally(&answer.counts));
    }
    if !answer.uses.is_empty() {
        let uses = answer.uses.iter().map(|of| {
            let who = element("b").text(of.who.clone());
            let who = match of.finding {
                Some(finding) => {
                    element("a").attr("href", format!("#finding-{}", finding + 1)).child(who)
                }
                None => who,
            };
            element("li").child(who).text(of.words.clone())
        });
        answer_box = answer_box.child(element("ul").class("uses").children(uses));
    }
    answer_box.child(terms(data, answer))
}

/// Evidence for the answer.
fn behind(answer: &Answer) -> Element {
    let sentences = answer.sentences.iter();
    let items = sentences.map(|sentence| element("li").text(sentence.clone()));
    element("div")
        .class("behind")
        .child(element("p").class("check-title").text("What stands behind it"))
        .child(element("ul").children(items))
}

/// The tests, the meaning of the words, and the figure that shows it.
fn terms(data: &ReportData, answer: &Answer) -> Element {
    let terms = element("p").class("terms").text(answer.terms.clone());
    if data.findings.iter().all(|row| row.gap.is_none()) {
        return terms;
    }
    let link = |to: &str, name: &str| element("a").attr("href", to).text(name);
    let terms = terms.text(" Drawn: ").child(link("#permutation-gaps", "all gaps"));
    match figures::tells_what_for(data) {
        true => terms
            .text(" and ")
            .child(link("#what-quality-is-used-for", "what quality is used for"))
            .text("."),
        false => terms.text("."),
    }
}

/// Number of native conditions with each reading, as chips.
fn tally(counts: &[(Reading, usize)]) -> Element {
    element("ul").class("tally").attr("aria-label", "Native conditions by verdict").children(
        counts.iter().map(|(reading, number)| {
            element("li")
                .class(format!("chip tone-{}", reading.tone()))
                .child(sign(*reading))
                .child(element("b").text(count(*number as u64)))
                .text(format!(" {}", reading.label()))
        }),
    )
}

/// The reading's sign, which its label repeats in words.
fn sign(reading: Reading) -> Element {
    element("span").class("sign").attr("aria-hidden", "true").text(reading.sign())
}

fn checks(answer: &Answer) -> Element {
    element("div").class("checks").children(answer.checks.iter().map(|check| {
        element("div")
            .class(format!("check {}", check.status.word()))
            .child(
                element("p")
                    .class("check-title")
                    .child(element("b").class("status").text(check.status.word()))
                    .text(format!(" {}", check.title)),
            )
            .child(element("p").text(check.words.clone()))
    }))
}

/// The verdict at every point of some groups. A long table is folded away, and so are those that
/// repeat others with other splits or seeds.
fn grid(
    data: &ReportData,
    answer: &Answer,
    arrangement: &Arrangement,
    groups: &[&Group],
    name: &str,
) -> Element {
    let is_repetition = |group: &&Group| {
        let rows = || group.rows.iter().filter_map(|index| data.findings.get(*index));
        rows().any(FindingRow::is_repetition) && !rows().any(FindingRow::is_counted)
    };
    let (repeated, own): (Vec<&Group>, Vec<&Group>) =
        groups.iter().copied().partition(is_repetition);
    let shown = table(data, answer, arrangement, &own, name);
    let shown = if own.len() <= LINES_IN_SIGHT { shown } else { folded(name, &own, shown) };
    if repeated.is_empty() {
        return shown;
    }
    let name = format!("{name} in other repetitions");
    let others = table(data, answer, arrangement, &repeated, &name);
    element("div").child(shown).child(folded(&name, &repeated, others))
}

/// `table`, out of sight until it is asked for.
fn folded(name: &str, groups: &[&Group], table: Element) -> Element {
    let points: usize = groups.iter().map(|group| group.rows.len()).sum();
    element("details")
        .child(element("summary").text(format!("{name} at all {points} points")))
        .child(table)
}

/// Groups down, columns across.
fn table(
    data: &ReportData,
    answer: &Answer,
    arrangement: &Arrangement,
    groups: &[&Group],
    name: &str,
) -> Element {
    let axis = arrangement.column_axis.clone().unwrap_or_default();
    let columns: Vec<String> = if arrangement.column_axis.is_some() {
        arrangement.columns.clone()
    } else {
        vec![String::new()]
    };
    let heads = columns.iter().map(|column| {
        let text =
            if column.is_empty() { "verdict".to_owned() } else { value_label(&axis, column) };
        element("th").attr("scope", "col").name_text(&text)
    });
    let lines = groups.iter().map(|group| {
        let cells = columns.iter().map(|column| {
            let here = group.rows.iter().filter(|index| {
                column.is_empty()
                    || data.findings.get(**index).and_then(|row| row.value_of(&axis))
                        == Some(column)
            });
            cell(&here.copied().collect::<Vec<_>>(), data, answer)
        });
        element("tr").child(group_head(group)).children(cells)
    });
    let table = element("table")
        .class("grid")
        .child(element("caption").text(name.to_owned()))
        .child(
            element("thead")
                .child(element("tr").child(element("td").class("corner")).children(heads)),
        )
        .child(element("tbody").children(lines));
    scrolling(name, table)
}

fn group_head(group: &Group) -> Element {
    let name = if group.label.is_empty() { "all" } else { group.label.as_str() };
    let head = element("th").attr("scope", "row").name_text(name);
    match group.control {
        Control::Native => head,
        Control::Positive => head.child(element("span").class("kind").text(" positive control")),
        Control::Negative => head.child(element("span").class("kind").text(" negative control")),
    }
}

/// The cell of the findings at one place: one of them, unless their points say too little.
fn cell(indices: &[usize], data: &ReportData, answer: &Answer) -> Element {
    let links: Vec<(Element, &str)> =
        indices.iter().filter_map(|index| link(*index, data, answer)).collect();
    match links.first() {
        None => element("td").class("empty").text("–"),
        Some((_, tone)) => element("td")
            .class(format!("tone-{tone}"))
            .children(links.iter().map(|(link, _)| link.clone())),
    }
}

/// A finding's verdict in short, which leads to its row, and the class that colours it.
fn link(index: usize, data: &ReportData, answer: &Answer) -> Option<(Element, &'static str)> {
    let (row, verdict) = (data.findings.get(index)?, answer.verdicts.get(index)?);
    let unit = Unit::of_report(data);
    let mut link = element("a")
        .attr("href", format!("#finding-{}", index + 1))
        .attr("title", format!("{}: {}", point_values(&row.point), verdict.words))
        .child(
            element("span")
                .class("cell-gap")
                .child(sign(verdict.reading))
                .text(format!(" {}", unit.difference_unit(row.gap))),
        )
        .child(element("span").class("cell-label").text(verdict.reading.label()));
    if verdict.beats_oracle {
        let words =
            if row.control == Control::Positive { "leaks the label" } else { "beats the oracle" };
        link = link.child(element("span").class("cell-label strong").text(words));
    }
    let gap = unit.interval(row.gap, row.gap_low, row.gap_high);
    let more = match column_label(row, data) {
        column if column.is_empty() => format!(" ({gap})"),
        column => format!(" ({column}, {gap})"),
    };
    Some((link.child(element("span").class("unseen").text(more)), verdict.reading.tone()))
}
