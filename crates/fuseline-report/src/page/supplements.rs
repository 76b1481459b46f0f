//! Sections beside the findings: repetitions, subgroups, calibration, the audit of the data.

use super::{Section, caption, figure_section, scrolling, section};
use crate::data::ReportData;
use crate::figures;
use crate::markup::{Element, element};
use crate::supplement_tables::{SupplementTable, tables};

/// The sections of what the report was given.
pub fn sections(data: &ReportData) -> Vec<Section> {
    let sets = figures::supplements(data);
    let of_table = |of: SupplementTable| {
        let section = match sets.iter().find(|set| set.heading == of.heading) {
            Some(set) if !set.figures.is_empty() => figure_section(set),
            Some(set) => section(of.heading).child(caption(&set.caption)),
            None => section(of.heading).child(caption(
                "Faults that make results wrong however they are computed. An error is one by \
                 which test examples, or their labels, may be known while training; a warning is \
                 to be read with the results.",
            )),
        };
        let words = (!of.words.is_empty()).then(|| element("p").class("prose").text(&of.words));
        let notes = of.notes.iter().map(|note| element("li").text(note));
        let notes = (!of.notes.is_empty())
            .then(|| element("ul").class("prose").children(notes.collect::<Vec<Element>>()));
        let label = format!("Table: {}", of.heading);
        let table = (!of.rows.is_empty()).then(|| scrolling(&label, table(&of)));
        section.children(words.into_iter().chain(table).chain(notes))
    };
    tables(data).into_iter().map(of_table).collect()
}

fn table(of: &SupplementTable) -> Element {
    let head = |text: &String| element("th").attr("scope", "col").text(text);
    let numbers = of.numbers.iter().map(|text| head(text).class("number"));
    let heads = of.texts.iter().map(head).chain(numbers);
    let rows = of.rows.iter().map(|cells| {
        let cells = cells.iter().enumerate().map(|(place, text)| match place {
            0 => element("th").attr("scope", "row").text(text),
            _ if place < of.texts.len() => element("td").text(text),
            _ => element("td").class("number").text(text),
        });
        element("tr").children(cells)
    });
    element("table")
        .class("findings")
        .child(element("thead").child(element("tr").children(heads)))
        .child(element("tbody").children(rows))
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
        let names: Vec<String> = figures(&given()).into_iter().map(|figure| figure.name).collect();
        assert_eq!(names, ["repeats", "subgroups-1", "calibration-1"]);
        for figure in figures(&given()) {
            assert!(figure.pdf().starts_with(b"%PDF") && !figure.png().is_empty());
        }
    }
}
