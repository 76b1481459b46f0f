//! Figure of the accuracy of each expert at each level of quality.

use super::FigureSet;
use super::canvas::{
    Anchor, Figure, Frame, Scale, cut_label, legend, mark, path_points, tick_plain, tick_points,
};
use crate::data::{Control, ReliabilityBin, ReliabilityCurve, ReportData};
use crate::format::{count, percent, plain, point_values};
use crate::markup::element;
use crate::palette;

const WIDTH: f64 = 360.0;
const TOP: f64 = 48.0;
const BOTTOM: f64 = 220.0;

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
    // One range for all, so that panels can be compared.
    let ends = panels
        .iter()
        .flat_map(|(_, curves)| curves.iter().flat_map(|curve| &curve.bins))
        .flat_map(|bin| <[f64; 2]>::from(interval(bin)));
    let y = Scale::over(ends, BOTTOM, TOP);
    FigureSet {
        heading: "Reliability curves",
        caption: "The share of examples whose expert is right, in bins of equal count from low to \
            high quality, with its 95 % interval (Wilson) as a band. A flat curve is quality that \
            says nothing about its expert. Shares have one range in all panels, quality its own."
            .to_owned(),
        figures: panels
            .iter()
            .enumerate()
            .map(|(place, (title, curves))| panel(place + 1, title, curves, &y))
            .collect(),
    }
}

/// The Wilson interval of a bin's share at 95 %.
fn interval(bin: &ReliabilityBin) -> (f64, f64) {
    const Z: f64 = 1.959_963_984_540_054;
    let (n, share) = ((bin.n as f64).max(1.0), bin.accuracy.clamp(0.0, 1.0));
    let middle = (share + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
    let half = Z / (1.0 + Z * Z / n) * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    ((middle - half).max(0.0), (middle + half).min(1.0))
}

fn panel(place: usize, title: &str, curves: &[&ReliabilityCurve], y: &Scale) -> Figure {
    let (left, right, bottom) = (48.0, WIDTH - 12.0, BOTTOM);
    let bins = || curves.iter().flat_map(|curve| &curve.bins);
    let frame = Frame {
        x: Scale::over(bins().map(|bin| bin.quality), left, right),
        y: *y,
        x_title: "quality",
        y_title: "expert is right (%)",
        x_text: &tick_plain,
        y_text: &tick_points,
    };
    let mut shapes = vec![cut_label("heading", Anchor::Start, (8.0, 15.0), title, 44)];
    shapes.extend(frame.shapes());
    for (index, curve) in curves.iter().enumerate() {
        let class = palette::series(index, curves.len());
        let end = |pick: fn((f64, f64)) -> f64| {
            move |bin: &ReliabilityBin| (bin.quality, pick(interval(bin)))
        };
        let low = curve.bins.iter().map(end(|(low, _)| low));
        let high = curve.bins.iter().rev().map(end(|(_, high)| high));
        let round = low.chain(high).map(|(x, y)| (frame.x.at(x), frame.y.at(y)));
        let round: Vec<(f64, f64)> = round.collect();
        let area = element("polygon").class(format!("area {class}"));
        shapes.push(area.attr("points", path_points(&round)));
    }
    let mut entries = Vec::new();
    for (index, curve) in curves.iter().enumerate() {
        let class = palette::series(index, curves.len());
        let shape = [Control::Native, Control::Positive, Control::Negative][index % 3];
        let at = |bin: &ReliabilityBin| (frame.x.at(bin.quality), frame.y.at(bin.accuracy));
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
