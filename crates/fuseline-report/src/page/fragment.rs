//! The report's first screen and its figures, to be embedded in another page.
//!
//! Styles apply within the fragment alone; it has no script, no id and no link, so that one page
//! can hold any number of fragments.

use std::sync::LazyLock;

use super::{STYLE, first_screen};
use crate::answer::answer;
use crate::arrange::arrange;
use crate::data::ReportData;
use crate::figures::{self, Shape};
use crate::markup::{Element, element};
use crate::palette;

/// The class within which the styles hold.
const CLASS: &str = "fuseline-report";
/// Figures below the first screen at most: a cell of a notebook is no page.
const FIGURES: usize = 6;

static SCOPED: LazyLock<String> = LazyLock::new(|| {
    // Styles for paper are about pages, of which a fragment is none.
    let screen = STYLE.split("@media print{").next().unwrap_or_default();
    let style = format!("{}{}{screen}", palette::page_colours(), palette::FIGURE_STYLE);
    let style = style.replace(":root", ":scope").replace("\nhtml{", "\n:scope{");
    format!("@scope (.{CLASS}){{\n{style}}}\n")
});

/// Writes the first screen and the first figures as one element for another page, such as a
/// notebook.
///
/// The same data gives the same bytes. Every text of the data is escaped.
#[must_use]
pub fn fragment(data: &ReportData) -> String {
    let answer = answer(data);
    let arrangement = arrange(data);
    let forest = figures::forest(data, &answer, &arrangement, Shape::Wide);
    let more = figures::more(data, &arrangement);
    let drawn = forest
        .iter()
        .chain(more.iter().flat_map(|set| &set.figures))
        .take(FIGURES)
        .map(|figure| element("div").class("scrolling").child(figure.inline()));
    let mut out = String::new();
    element("div")
        .class(CLASS)
        .child(element("style").raw(SCOPED.as_str()))
        .child(detached(first_screen::first_screen(data, &answer, &arrangement)))
        .children(drawn.map(detached))
        .write(&mut out);
    out
}

/// An element without ids, and without links into a page that is not there.
fn detached(element: Element) -> Element {
    element.map(&|mut element| {
        element.remove("id");
        if element.name() == "a" {
            element.remove("href");
            element.rename("span");
        }
        element
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn styles_stay_within_and_nothing_leads_out() {
        for (name, data) in fixture::gallery() {
            let fragment = fragment(&data);
            assert!(
                fragment.starts_with(
                    "<div class=\"fuseline-report\"><style>@scope (.fuseline-report){\n"
                )
            );
            let (style, rest) = fragment.split_once("</style>").unwrap();
            for outside in ["\nhtml{", ":root", "@page"] {
                assert!(!style.contains(outside), "{name}: {outside}");
            }
            let depth = style.chars().fold(0, |depth, letter| match letter {
                '{' => depth + 1,
                '}' => depth - 1,
                _ => depth,
            });
            assert_eq!(depth, 0, "{name}");
            for outside in ["<script", " id=\"", "href=", "<style"] {
                assert!(!rest.contains(outside), "{name}: {outside}");
            }
            // Well-formed, as everything that is escaped.
            roxmltree::Document::parse(&format!("<div>{rest}"))
                .unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
}
