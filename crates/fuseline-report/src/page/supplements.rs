//! Sections beside the findings: routers, repetitions, subgroups, calibration, the audit of the data.

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
            None => section(of.heading).child(caption(of.about)),
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
    use crate::data::Routing;
    use crate::{fixture, html};

    fn given() -> ReportData {
        ReportData { supplements: fixture::supplements("<lr>"), ..ReportData::default() }
    }

    #[test]
    fn routers_have_a_table_that_leaves_out_what_was_not_measured() {
        let mut data = ReportData::default();
        assert!(!html(&data).contains("learned router"));
        data.routing = vec![Routing {
            point: vec![("quality".to_owned(), "<b>".to_owned())],
            fused: Some(0.7),
            best_expert: Some(0.65),
            router: Some(0.72),
            router_without_quality: Some(0.70),
            oracle: Some(0.95),
            regret: None,
        }];
        let page = html(&data);
        let (_, table) = page.split_once("Table: Headroom").unwrap();
        let (table, _) = table.split_once("</table>").unwrap();
        let values = [
            "70.0\u{a0}%",
            "65.0\u{a0}%",
            "70.0\u{a0}%",
            "72.0\u{a0}%",
            "+2.0",
            "95.0\u{a0}%",
            "–",
        ];
        let cells: String =
            values.map(|text| format!(r#"<td class="number">{text}</td>"#)).concat();
        assert!(table.contains(&format!(r#"<th scope="row">&lt;b&gt;</th>{cells}"#)), "{table}");
    }

    #[test]
    fn forms_without_figures_have_the_tables_of_what_figures_show() {
        let mut data = fixture::stressid();
        let joint = data.findings[0].clone();
        data.axes.push("scheme".to_owned());
        data.findings = ["joint", "within_class"]
            .map(|scheme| {
                let mut row = joint.clone();
                row.point.push(("scheme".to_owned(), scheme.to_owned()));
                row
            })
            .to_vec();
        let (markdown, latex) = (crate::markdown(&data), crate::latex(&data));
        for heading in ["What quality is used for", "Reliability curves", "Gaps by subgroup"] {
            assert!(markdown.contains(&format!("\n## {heading}\n")), "{heading}");
            assert!(latex.contains(&format!("\\paragraph{{{heading}}}")), "{heading}");
        }
        assert!(latex.contains("graphicx"));
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
