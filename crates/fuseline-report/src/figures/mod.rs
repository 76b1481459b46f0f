//! Figures, drawn for this report.
//!
//! Each file draws one and returns nothing where its data are absent. Colours are classes of
//! `assets/figure.css`, so that a page in the dark repaints them.

mod alignment;
mod calibration;
mod canvas;
mod font;
mod forest;
mod graph;
mod heat;
mod mechanism;
mod null;
mod numbers;
mod paint;
mod pdf;
mod png;
mod reliability;
mod repeats;
mod response;
mod scatter;
mod spread;
mod style;
mod subgroups;

pub use canvas::Figure;
pub use forest::{Shape, forest, largest_gaps};
pub use mechanism::{WHAT_FOR, scheme_names, tells_what_for};
pub use null::{nulls, unmoved};
pub use numbers::{FigureColumn, FigureTable, FigureValues, tables};

use crate::answer::Answer;
use crate::arrange::Arrangement;
use crate::data::ReportData;

/// One section of figures.
pub struct FigureSet {
    /// Heading of the section.
    pub heading: &'static str,
    /// Caption: how to read the figures.
    pub caption: String,
    /// The figures, one or several panels.
    pub figures: Vec<Figure>,
}

/// Every set but the forest and the null distributions, which the page places by itself; empty ones
/// are left out.
pub fn more(data: &ReportData, arrangement: &Arrangement) -> Vec<FigureSet> {
    // They show accuracies.
    if data.settings.metric.is_some() {
        return Vec::new();
    }
    let sets = [
        mechanism::slopes(data),
        response::responses(data),
        heat::heat_maps(data),
        scatter::scatters(data, arrangement),
        alignment::alignments(data),
        reliability::curves(data),
        spread::spreads(data),
    ];
    sets.into_iter().filter(|set| !set.figures.is_empty()).collect()
}

/// Repetitions, subgroups and calibration, where the report was given them.
pub fn supplements(data: &ReportData) -> [FigureSet; 3] {
    [repeats::repeats(data), subgroups::subgroups(data), calibration::diagrams(data)]
}

/// The stages and their edges.
pub fn graph(data: &ReportData) -> FigureSet {
    FigureSet {
        heading: "Stages",
        caption:
            "What was run: each box is a stage with its kind, its axes, its number of actions, \
            and what arrives at its ports (port ← stage.output, names that are the same once). \
            Lines lead from a stage down to those that read it; a \
            dot is a reading."
                .to_owned(),
        figures: graph::graph(data).into_iter().collect(),
    }
}

/// Every figure of the report that can be a file of its own.
pub fn all(data: &ReportData, answer: &Answer, arrangement: &Arrangement) -> Vec<Figure> {
    let mut figures: Vec<Figure> =
        forest(data, answer, arrangement, Shape::Wide).into_iter().collect();
    figures.extend(nulls(data, arrangement));
    figures.extend(more(data, arrangement).into_iter().flat_map(|set| set.figures));
    figures.extend(supplements(data).into_iter().flat_map(|set| set.figures));
    figures.extend(graph(data).figures);
    figures
}
