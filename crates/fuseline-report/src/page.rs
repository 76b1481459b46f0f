//! The page: one self-contained HTML file.

use crate::data::ReportData;
use crate::format;
use crate::markup::element;
use crate::verdict::verdict;

/// Writes the report as one HTML file that needs nothing else.
#[must_use]
pub fn html(data: &ReportData) -> String {
    let rows = data.findings.iter().map(|row| {
        element("tr")
            .child(element("td").text(format::point_values(&row.point)))
            .child(element("td").text(format::gap(row)))
            .child(element("td").text(verdict(row, data).words))
    });
    let page = element("html")
        .attr("lang", "en")
        .child(
            element("head")
                .child(element("meta").attr("charset", "utf-8"))
                .child(element("title").text(data.asked.workflow.clone())),
        )
        .child(element("body").child(element("table").children(rows)));
    let mut out = "<!DOCTYPE html>\n".to_owned();
    page.write(&mut out);
    out
}
