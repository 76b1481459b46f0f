//! The page: one self-contained HTML file.

mod findings;
mod first_screen;
mod fragment;
mod provenance;
mod supplements;

use crate::answer::answer;
use crate::arrange::arrange;
use crate::data::{Caution, Control, ReportData};
use crate::figures::{self, Figure, FigureSet, Shape};
use crate::markup::{Element, element};
use crate::methods::{command, command_place, methods};
use crate::numbers::Unit;
use crate::palette;

pub use fragment::fragment;

const STYLE: &str = include_str!("../assets/report.css");
const SCRIPT: &str = include_str!("../assets/report.js");
/// SHA-256 of the script in base64: the policy below lets no other script run. A test keeps it
/// fresh.
pub const SCRIPT_DIGEST: &str = "yVS0PDsnu/KzlQ2XFUh2B2zAq3Ndc5DWK87wCE68cp4=";
/// More panels than this start folded.
const PANELS_IN_SIGHT: usize = 40;
/// Of more gaps than this the largest are in sight, and all of them folded.
const GAPS_IN_SIGHT: usize = 120;
/// A figure that is taller, in pixels, starts folded.
const TALLEST_IN_SIGHT: f64 = 1300.0;
/// Gaps in sight where there are more.
const LARGEST_GAPS: usize = 40;

/// Writes the report as one HTML file that needs nothing else.
///
/// The same data gives the same bytes. Every text of the data is escaped.
#[must_use]
pub fn html(data: &ReportData) -> String {
    let answer = answer(data);
    let arrangement = arrange(data);
    let mut sections = Vec::from_iter(cautions(data));
    let wide = figures::forest(data, &answer, &arrangement, Shape::Wide);
    let narrow = figures::forest(data, &answer, &arrangement, Shape::Narrow);
    if let (Some(wide), Some(narrow)) = (wide, narrow) {
        let largest = |shape| {
            let is_long = data.findings.len() > GAPS_IN_SIGHT;
            is_long
                .then(|| figures::largest_gaps(data, &answer, &arrangement, shape, LARGEST_GAPS))
                .flatten()
        };
        let short = largest(Shape::Wide).zip(largest(Shape::Narrow));
        sections.push(gaps(data, &wide, &narrow, short.as_ref()));
    }
    if !data.findings.is_empty() {
        sections.push(findings::findings(data, &answer));
    }
    let unmoved = figures::unmoved(data, &arrangement);
    sections.extend(nulls(data, figures::nulls(data, &arrangement), &unmoved));
    sections.extend(figures::more(data, &arrangement).iter().map(figure_section));
    sections.extend(supplements::sections(data));
    sections.push(methods_section(data));
    // A model that stays where it is has no workflow to show or to run again.
    if !data.settings.frozen {
        sections.push(provenance::provenance(data));
        sections.push(reproduce(data));
    }
    let first_screen =
        first_screen::first_screen(data, &answer, &arrangement).child(contents(&sections));

    let mut out = "<!DOCTYPE html>\n".to_owned();
    element("html")
        .attr("lang", "en")
        .child(head(data))
        .child(
            element("body")
                .child(
                    element("a").class("skip").attr("href", "#content").text("Skip to the answer"),
                )
                .child(
                    element("main")
                        .attr("id", "content")
                        .child(first_screen)
                        .children(sections.iter().map(Section::element)),
                )
                .child(element("script").raw(SCRIPT)),
        )
        .write(&mut out);
    out
}

/// The report's title.
pub fn title(data: &ReportData) -> &str {
    // A page without a heading is hard to find one's way in.
    let names = [data.title.as_str(), &data.asked.workflow, "Report"];
    names.into_iter().find(|name| !name.is_empty()).unwrap_or_default()
}

fn head(data: &ReportData) -> Element {
    let policy = format!(
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{SCRIPT_DIGEST}'; \
         base-uri 'none'; form-action 'none'"
    );
    element("head")
        .child(element("meta").attr("charset", "utf-8"))
        .child(
            element("meta").attr("http-equiv", "Content-Security-Policy").attr("content", policy),
        )
        .child(
            element("meta")
                .attr("name", "viewport")
                .attr("content", "width=device-width, initial-scale=1"),
        )
        .child(element("meta").attr("name", "color-scheme").attr("content", "light dark"))
        .child(element("title").text(format!("{} – fuseline report", title(data))))
        .child(element("style").text(palette::page_colours()).raw(palette::FIGURE_STYLE).raw(STYLE))
}

/// A part of the page with its heading.
struct Section {
    heading: &'static str,
    content: Vec<Element>,
}

/// Starts a section.
fn section(heading: &'static str) -> Section {
    Section { heading, content: Vec::new() }
}

impl Section {
    fn children(mut self, children: impl IntoIterator<Item = Element>) -> Self {
        self.content.extend(children);
        self
    }

    fn child(mut self, child: Element) -> Self {
        self.content.push(child);
        self
    }

    /// The heading in the form of an id.
    fn id(&self) -> String {
        self.heading
            .to_lowercase()
            .chars()
            .map(|character| if character.is_alphanumeric() { character } else { '-' })
            .collect()
    }

    fn element(&self) -> Element {
        let heading_id = format!("{}-heading", self.id());
        element("section")
            .attr("id", self.id())
            .attr("aria-labelledby", heading_id.clone())
            .child(element("h2").attr("id", heading_id).text(self.heading))
            .children(self.content.iter().cloned())
    }
}

/// Links to the sections.
fn contents(sections: &[Section]) -> Element {
    element("nav").attr("aria-label", "Contents").child(element("ul").children(
        sections.iter().map(|section| {
            let link = element("a").attr("href", format!("#{}", section.id()));
            element("li").child(link.text(section.heading))
        }),
    ))
}

/// Wraps content that may be wider than the screen, so that it scrolls by itself, with the keyboard
/// too.
fn scrolling(label: &str, content: Element) -> Element {
    element("div")
        .class("scrolling")
        .attr("role", "region")
        .attr("aria-label", label)
        .attr("tabindex", "0")
        .child(content)
}

/// Cautions about the numbers, before any of them.
fn cautions(data: &ReportData) -> Option<Section> {
    let line = |caution: &Caution| {
        let origin = element("strong").text(format!("{}: ", caution.origin()));
        element("li").child(origin).text(caution.text.clone())
    };
    (!data.cautions.is_empty()).then(|| {
        section("Cautions")
            .child(caption("What the stages say of their results. Read the numbers with them."))
            .child(element("ul").class("prose").children(data.cautions.iter().map(line)))
    })
}

/// All gaps; of many the largest, and all of them folded.
fn gaps(
    data: &ReportData,
    wide: &Figure,
    narrow: &Figure,
    largest: Option<&(Figure, Figure)>,
) -> Section {
    let both = |wide: &Figure, narrow: &Figure| {
        element("div")
            .child(element("div").class("wide-only").child(wide.inline()))
            .child(element("div").class("narrow-only").child(narrow.inline()))
    };
    let all = both(wide, narrow);
    let shown = match largest {
        None => all,
        Some((wide, narrow)) => element("div")
            .child(element("p").class("prose").text(format!(
                "The {LARGEST_GAPS} largest gaps of native conditions that are counted; all rows, \
                 controls too, are on the same scale below."
            )))
            .child(both(wide, narrow))
            .child(
                element("details")
                    .class("long")
                    .child(element("summary").text(format!("Show all {}", data.findings.len())))
                    .child(scrolling("All gaps", all)),
            ),
    };
    let what = match data.settings.metric {
        None => "the fall in balanced accuracy when quality is permuted",
        Some(_) => "a permutation gap, positive where breaking quality hurts",
    };
    let is_there = |control| data.findings.iter().any(|row| row.control == control);
    let controls = match (is_there(Control::Positive), is_there(Control::Negative)) {
        (true, true) => " Triangles are positive controls, squares negative ones.",
        (true, false) => " Triangles are positive controls.",
        (false, true) => " Squares are negative controls.",
        (false, false) => "",
    };
    let margin = match data.settings.equivalence_margin {
        Some(_) => " The band is the margin within which a gap counts as none.",
        None => "",
    };
    section("Permutation gaps")
        .child(caption(&format!(
            "Each mark is {what}; the line is its interval. A filled mark is \
             significant.{controls}{margin}"
        )))
        .child(shown)
}

fn nulls(data: &ReportData, panels: Vec<Figure>, unmoved: &[String]) -> Option<Section> {
    let unit = Unit::of_report(data);
    let told = (!unmoved.is_empty()).then(|| {
        let shown: Vec<&str> = unmoved.iter().take(12).map(String::as_str).collect();
        let more = match unmoved.len() - shown.len() {
            0 => String::new(),
            more => format!("; {more} more"),
        };
        element("p").class("prose").text(format!(
            "No permutation changed the {}, which is one value and no distribution: {}{more}.",
            unit.subject().to_lowercase(),
            shown.join("; ")
        ))
    });
    if panels.is_empty() {
        return told.map(|told| section("Null distributions").child(told));
    }
    let many = panels.len() > PANELS_IN_SIGHT;
    let panels_shown =
        element("div").class("panels small-panels").children(panels.iter().map(Figure::inline));
    let body = if many {
        element("details")
            .child(element("summary").text(format!("Show all {}", panels.len())))
            .child(panels_shown)
    } else {
        panels_shown
    };
    let positive = data.findings.iter().any(|row| row.control == Control::Positive);
    let ranges = match panels.len() {
        1 => "",
        _ if positive => {
            " Panels of positive controls have one range, all others one of their own."
        }
        _ => " All panels have one range.",
    };
    Some(
        section("Null distributions")
            .child(caption(&format!(
                "{}{} under each permutation, as a histogram; the line is the value observed under \
                 Clean-Q.{ranges} The p-value is the raw one, before adjustment.",
                unit.subject(),
                if unit == Unit::Points { " (%)" } else { "" }
            )))
            .child(body)
            .children(told),
    )
}

fn figure_section(set: &FigureSet) -> Section {
    let shown = set.figures.iter().map(|figure| {
        let drawn = scrolling(&figure.title, figure.inline());
        if figure.height <= TALLEST_IN_SIGHT {
            return drawn;
        }
        let summary = element("summary").text(format!("Show: {}", figure.title));
        element("details").child(summary).child(drawn)
    });
    let panels = element("div").class("panels").children(shown);
    section(set.heading).child(caption(&set.caption)).child(panels)
}

fn caption(text: &str) -> Element {
    element("p").class("caption").text(text)
}

fn methods_section(data: &ReportData) -> Section {
    section("Methods")
        .child(caption("Ready to paste; every number is of this report."))
        .child(element("p").class("prose").text(methods(data).join(" ")))
}

fn reproduce(data: &ReportData) -> Section {
    section("How to reproduce")
        .child(element("p").class("prose").text(format!(
            "With fuseline {}, the workflow and the input data of the digests above:",
            data.provenance.fuseline_version
        )))
        .child(element("p").class("prose").text(command_place(data)))
        .child(scrolling("Command", element("pre").child(element("code").text(command(data)))))
        .child(element("p").class("prose").text(
            "The same inputs, plugins and seed give the same findings bit for bit, on any machine \
             and with any number of threads; what has not changed comes from the cache.",
        ))
}

#[cfg(test)]
mod tests;
