//! Sections beside the findings: repetitions, subgroups, calibration, the audit of the data.

use super::{Section, caption, figure_section, scrolling, section};
use crate::data::{Point, ReportData};
use crate::figures::{self, FigureSet};
use crate::format::{count, p_number, percent, points, points_interval, size_pp};
use crate::markup::{Element, element};
use crate::supplements::{Calibration, DataAudit, Repeated, Subgroup};

/// The sections of what the report was given.
pub fn sections(data: &ReportData) -> Vec<Section> {
    let given = &data.supplements;
    let mut sections = Vec::new();
    let [repeats, subgroups, calibration] = figures::supplements(data);
    if !given.repeats.is_empty() {
        sections.push(with_table(&repeats, repeats_table(&given.repeats)));
    }
    if !given.subgroups.is_empty() {
        sections.push(with_table(&subgroups, subgroups_table(&given.subgroups)));
    }
    if !given.calibration.is_empty() {
        sections.push(with_table(&calibration, calibration_table(&given.calibration)));
    }
    if !given.audits.is_empty() {
        sections.push(audit(&given.audits));
    }
    sections
}

fn with_table(set: &FigureSet, table: Element) -> Section {
    let section = match set.figures.is_empty() {
        true => section(set.heading).child(caption(&set.caption)),
        false => figure_section(set),
    };
    section.child(scrolling(&format!("Table: {}", set.heading), table))
}

/// Names of the axes of points, those of the first.
fn axes<'p>(points: impl Iterator<Item = &'p Point>) -> Vec<&'p str> {
    points.take(1).flat_map(|point| point.iter().map(|(axis, _)| axis.as_str())).collect()
}

/// A table of points, each with texts to the left and numbers to the right.
fn table<'p>(
    axes: &[&str],
    texts: &[&str],
    numbers: &[&str],
    rows: impl Iterator<Item = (&'p Point, Vec<String>, Vec<String>)>,
) -> Element {
    let head = |text: &str| element("th").attr("scope", "col").text(text);
    let heads = axes
        .iter()
        .chain(texts)
        .map(|text| head(text))
        .chain(numbers.iter().map(|text| head(text).class("number")));
    let rows = rows.map(|(point, texts, numbers)| {
        let label = |axis: &&str| {
            let label = point.iter().find(|(known, _)| known == axis);
            label.map_or_else(|| "–".to_owned(), |(_, label)| label.clone())
        };
        let texts: Vec<String> = axes.iter().map(label).chain(texts).collect();
        let texts = texts.into_iter().enumerate().map(|(place, text)| {
            let cell = if place == 0 { element("th").attr("scope", "row") } else { element("td") };
            cell.text(text)
        });
        let numbers = numbers.into_iter().map(|text| element("td").class("number").text(text));
        element("tr").children(texts.chain(numbers))
    });
    element("table")
        .class("findings")
        .child(element("thead").child(element("tr").children(heads)))
        .child(element("tbody").children(rows))
}

fn without_unit(text: String) -> String {
    text.replace("\u{a0}pp", "")
}

fn size(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| without_unit(size_pp(value)))
}

fn repeats_table(repeats: &[Repeated]) -> Element {
    let numbers = [
        "repetitions",
        "mean gap (pp) [corrected interval]",
        "p corrected",
        "least",
        "most",
        "sd between repetitions",
        "sd over people",
        "sd of both",
        "raw p at the level in",
    ];
    let rows = repeats.iter().map(|of| {
        let cells = vec![
            count(of.repetitions),
            without_unit(points_interval(of.mean, of.low, of.high)),
            p_number(of.p_value),
            points(of.least),
            points(of.most),
            size(of.sd),
            size(of.sampling_sd),
            size(of.total_sd),
            percent(of.share_at_level),
        ];
        (&of.point, Vec::new(), cells)
    });
    let axes = axes(repeats.iter().map(|of| &of.point));
    match axes.is_empty() {
        true => table(
            &axes,
            &["study"],
            &numbers,
            rows.map(|(point, _, cells)| (point, vec!["all".to_owned()], cells)),
        ),
        false => table(&axes, &[], &numbers, rows),
    }
}

fn subgroups_table(subgroups: &[Subgroup]) -> Element {
    let texts = ["by", "value", "not testable"];
    let numbers = [
        "examples",
        "groups",
        "gap (pp) [interval]",
        "p raw",
        "p adjusted",
        "difference from the others (pp) [interval]",
        "p raw",
        "p adjusted",
    ];
    let rows = subgroups.iter().map(|of| {
        let [gap, low, high] = of.gap;
        let [difference, less, more] = of.difference;
        let texts = vec![
            of.by.clone(),
            of.value.clone(),
            of.not_testable.clone().unwrap_or_else(|| "–".to_owned()),
        ];
        let cells = vec![
            count(of.examples),
            count(of.groups),
            without_unit(points_interval(gap, low, high)),
            p_number(of.p_value[0]),
            p_number(of.p_value[1]),
            without_unit(points_interval(difference, less, more)),
            p_number(of.difference_p_value[0]),
            p_number(of.difference_p_value[1]),
        ];
        (&of.point, texts, cells)
    });
    table(&axes(subgroups.iter().map(|of| &of.point)), &texts, &numbers, rows)
}

fn calibration_table(calibration: &[Calibration]) -> Element {
    let numbers = [
        "calibration error, Clean-Q",
        "Broken-Q",
        "sd over permutations",
        "rise when permuted (pp)",
        "p raw",
    ];
    let rows = calibration.iter().map(|of| {
        let rise = of.broken.zip(of.clean).map(|(broken, clean)| broken - clean);
        let cells = vec![
            percent(of.clean),
            percent(of.broken),
            size(of.broken_sd),
            points(rise),
            p_number(of.p_value),
        ];
        (&of.point, Vec::new(), cells)
    });
    let axes = axes(calibration.iter().map(|of| &of.point));
    match axes.is_empty() {
        true => table(
            &axes,
            &["study"],
            &numbers,
            rows.map(|(point, _, cells)| (point, vec!["all".to_owned()], cells)),
        ),
        false => table(&axes, &[], &numbers, rows),
    }
}

fn audit(audits: &[DataAudit]) -> Section {
    let found: u64 = audits.iter().map(|of| of.found).sum();
    let examined: u64 = audits.iter().map(|of| of.examined).sum();
    let words = match found {
        0 => format!("No fault was found in {} examinations of the data.", count(examined)),
        1 => format!("1 fault was found in {} examinations of the data.", count(examined)),
        _ => format!(
            "{} faults were found in {} examinations of the data.",
            count(found),
            count(examined)
        ),
    };
    let mut content = vec![element("p").class("prose").text(words)];
    if audits.iter().any(|of| !of.faults.is_empty()) {
        let rows = audits.iter().flat_map(|of| of.faults.iter().map(move |fault| (of, fault)));
        let rows = rows.map(|(of, fault)| {
            let texts =
                [&fault.severity, &fault.check, &fault.source, &fault.message, &fault.measured];
            (&of.point, texts.map(Clone::clone).to_vec(), Vec::new())
        });
        let heads = ["severity", "check", "input", "fault", "measured"];
        let table = table(&axes(audits.iter().map(|of| &of.point)), &heads, &[], rows);
        content.push(scrolling("Table of faults of the data", table));
    }
    let more =
        audits.iter().flat_map(|of| &of.not_listed).map(|text| format!("Not listed: {text}"));
    let open = audits.iter().flat_map(|of| &of.not_examined);
    let open = open.map(|text| format!("Not examined: {text}"));
    let lines: Vec<Element> = more.chain(open).map(|text| element("li").text(text)).collect();
    if !lines.is_empty() {
        content.push(element("ul").class("prose").children(lines));
    }
    section("Audit of the data")
        .child(caption(
            "Faults that make results wrong however they are computed. An error is one by which \
             test examples, or their labels, may be known while training; a warning is to be \
             read with the results.",
        ))
        .children(content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fixture, html};

    fn given() -> ReportData {
        ReportData { supplements: fixture::supplements("<lr>"), ..ReportData::default() }
    }

    #[test]
    fn each_has_a_section_with_its_table_and_nothing_is_shown_of_what_was_not_given() {
        let none = html(&ReportData::default());
        let page = html(&given());
        for heading in [
            "Spread over repetitions",
            "Gaps by subgroup",
            "Calibration of the fused probabilities",
            "Audit of the data",
        ] {
            assert!(page.contains(&format!(">{heading}</h2>")), "{heading}");
            assert!(!none.contains(heading), "{heading}");
        }
        for text in [
            "+5.0 [−1.0, +11.0]",
            "+8.0 [+3.0, +13.0]",
            "not testable: 3 groups, and 5 are needed",
            "Clean-Q, error 3.1\u{a0}%",
            "2 faults were found in 14 examinations",
            "a and &lt;lr&gt; have equal features",
            "Not examined: duplicate: features audio: too few",
            "&lt;lr&gt;",
        ] {
            assert!(page.contains(text), "{text}");
        }
        let names: Vec<String> =
            crate::figures(&given()).into_iter().map(|figure| figure.name).collect();
        assert_eq!(names, ["repeats", "subgroups-1", "calibration-1"]);
        for figure in crate::figures(&given()) {
            assert!(figure.pdf().starts_with(b"%PDF") && !figure.png().is_empty());
        }
    }
}
