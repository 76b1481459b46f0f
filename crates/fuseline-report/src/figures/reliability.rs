//! How often each expert is right at each level of quality.

use super::FigureSet;
use super::canvas::{
    Anchor, Figure, Frame, Scale, cut_label, legend, mark, path_points, tick_plain, tick_points,
};
use crate::data::{Control, ReliabilityCurve, ReportData};
use crate::format::{count, percent, plain, point_values};
use crate::markup::element;
use crate::palette;

const WIDTH: f64 = 360.0;

/// One panel a point, one curve a modality.
pub fn curves(data: &ReportData) -> FigureSet {
    let mut panels: Vec<(String, Vec<&ReliabilityCurve>)> = Vec::new();
    for curve in data.reliability.iter().filter(|curve| curve.bins.len() >= 2) {
        let title = point_values(&curve.point);
        match panels.iter_mut().find(|(known, _)| *known == title) {
            Some((_, curves)) => curves.push(curve),
            None => panels.push((title, vec![curve])),
        }
    }
    FigureSet {
        heading: "Reliability curves",
        caption: "The share of examples whose expert is right, in bins of equal count from low to high quality. A flat \
                  curve is quality that says nothing about its expert."
            .to_owned(),
        figures: panels
            .iter()
            .enumerate()
            .map(|(place, (title, curves))| panel(place + 1, title, curves))
            .collect(),
    }
}

fn panel(place: usize, title: &str, curves: &[&ReliabilityCurve]) -> Figure {
    let (left, right, top, bottom) = (48.0, WIDTH - 12.0, 48.0, 220.0);
    let bins = || curves.iter().flat_map(|curve| &curve.bins);
    let frame = Frame {
        x: Scale::over(bins().map(|bin| bin.quality), left, right),
        y: Scale::over(bins().map(|bin| bin.accuracy), bottom, top),
        x_title: "quality",
        y_title: "expert is right (%)",
        x_text: &tick_plain,
        y_text: &tick_points,
    };
    let mut shapes = vec![cut_label("heading", Anchor::Start, (8.0, 15.0), title, 44)];
    shapes.extend(frame.shapes());
    let mut entries = Vec::new();
    for (index, curve) in curves.iter().enumerate() {
        let class = palette::series(index, curves.len());
        let shape = [Control::Native, Control::Positive, Control::Negative][index % 3];
        let at = |bin: &crate::ReliabilityBin| (frame.x.at(bin.quality), frame.y.at(bin.accuracy));
        let path: Vec<(f64, f64)> = curve.bins.iter().map(at).collect();
        shapes.push(
            element("polyline").class(format!("curve {class}")).attr("points", path_points(&path)),
        );
        for bin in &curve.bins {
            let tip = format!(
                "{}: {} right at quality {} (n = {})",
                curve.modality,
                percent(Some(bin.accuracy)),
                plain(Some(bin.quality)),
                count(bin.n)
            );
            shapes.push(mark(shape, &class, true, at(bin), tip));
        }
        entries.push((
            mark(shape, &class, true, (0.0, 0.0), curve.modality.clone()),
            curve.modality.clone(),
        ));
    }
    let (keys, height) = legend(&entries, (left, bottom + 46.0), WIDTH - left);
    shapes.extend(keys);
    Figure {
        name: format!("reliability-{place}"),
        title: format!("Reliability curves: {title}"),
        description: curves
            .iter()
            .map(|curve| {
                let ends = (curve.bins.first(), curve.bins.last());
                let (first, last) =
                    (ends.0.map(|bin| bin.accuracy), ends.1.map(|bin| bin.accuracy));
                format!(
                    "{}: right in {} of the lowest bin and {} of the highest",
                    curve.modality,
                    percent(first),
                    percent(last)
                )
            })
            .collect::<Vec<_>>()
            .join("; "),
        width: WIDTH,
        height: bottom + 50.0 + height,
        shapes,
    }
}
