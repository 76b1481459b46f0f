//! Accuracy attainable by choosing between experts: the oracle, which needs the labels, beside
//! routers that learn.

use super::{Section, caption, scrolling, section};
use crate::data::{ReportData, Routing};
use crate::format::{percent, points};
use crate::markup::element;

/// A column: its heading, and its text.
type Column = (&'static str, fn(&Routing) -> String);

const COLUMNS: [Column; 7] = [
    ("fused", |of| percent(of.fused)),
    ("best expert", |of| percent(of.best_expert)),
    ("router without quality", |of| percent(of.router_without_quality)),
    ("router", |of| percent(of.router)),
    ("quality to the router (pp)", |of| points(less(of.router, of.router_without_quality))),
    ("oracle", |of| percent(of.oracle)),
    ("regret", |of| percent(of.regret)),
];

/// The table, where the report was given any.
pub fn routing(data: &ReportData) -> Option<Section> {
    let first = data.routing.first()?;
    let axes: Vec<&str> = first.point.iter().map(|(axis, _)| axis.as_str()).collect();
    let head = |text: &str| element("th").attr("scope", "col").text(text);
    let heads = axes
        .iter()
        .map(|axis| head(axis))
        .chain(COLUMNS.iter().map(|(heading, _)| head(heading).class("number")));
    let rows = data.routing.iter().map(|of| {
        let labels = axes.iter().enumerate().map(|(place, axis)| {
            let label = of.point.iter().find(|(known, _)| known == axis);
            let cell = if place == 0 { element("th").attr("scope", "row") } else { element("td") };
            cell.text(label.map_or("–", |(_, label)| label.as_str()))
        });
        let cells = COLUMNS.iter().map(|(_, text)| element("td").class("number").text(text(of)));
        element("tr").children(labels.chain(cells))
    });
    let table = element("table")
        .class("findings")
        .child(element("thead").child(element("tr").children(heads)))
        .child(element("tbody").children(rows));
    Some(
        section("Headroom and what a learned router reaches")
            .child(caption(
                "Balanced accuracies in per cent. The oracle is right where any expert is, and \
                 out of reach: nobody knows which one. A router learns whom to believe from \
                 labels of test rows of other groups, so it is a bound and no condition; what it \
                 gains over the one that does not see quality is what this quality is worth to a \
                 choice between these experts. A fusion rule may beat a router, since it can mix \
                 experts. Regret: the share of examples where an expert is right and the fused \
                 decision is not.",
            ))
            .child(scrolling("Table of headroom", table)),
    )
}

fn less(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    Some(one? - other?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::html;

    #[test]
    fn the_table_is_there_where_tables_of_routing_are_and_leaves_out_what_was_not_measured() {
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
        let (_, table) = page.split_once("Table of headroom").unwrap();
        let (table, _) = table.split_once("</table>").unwrap();
        let number = |text: &str| format!(r#"<td class="number">{text}</td>"#);
        let cells: String = [
            "70.0\u{a0}%",
            "65.0\u{a0}%",
            "70.0\u{a0}%",
            "72.0\u{a0}%",
            "+2.0",
            "95.0\u{a0}%",
            "–",
        ]
        .map(number)
        .concat();
        assert!(table.contains(&format!(r#"<th scope="row">&lt;b&gt;</th>{cells}"#)), "{table}");
    }
}
