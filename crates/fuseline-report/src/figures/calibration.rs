//! Reliability diagrams of the fused probabilities.

use super::FigureSet;
use super::canvas::{
    Anchor, Figure, Frame, Scale, cut_label, legend, line, mark, path_points, tick_points,
};
use crate::data::{Control, ReportData};
use crate::format::{percent, point_values};
use crate::markup::element;
use crate::supplement_tables::CALIBRATION;
use crate::supplements::{Calibration, ConfidenceBin};

const WIDTH: f64 = 360.0;
const TOP: f64 = 48.0;
const BOTTOM: f64 = 260.0;

/// One panel a condition.
pub fn diagrams(data: &ReportData) -> FigureSet {
    let all = data.supplements.calibration.iter();
    FigureSet {
        heading: CALIBRATION,
        caption: "How often decisions are right (%) at each level of the probability that they \
            are given, in bins of equal width: on the diagonal a probability is what it says, \
            below it the fused decision is too sure. Under Broken-Q bins are means over the \
            permutations. A rule that is less sure where quality is low loses that when quality \
            is permuted; one that is too unsure throughout comes nearer to the diagonal as its \
            decisions get worse, so that a smaller error is no better rule."
            .to_owned(),
        figures: all.enumerate().filter_map(|(place, of)| panel(place + 1, of)).collect(),
    }
}

fn panel(place: usize, of: &Calibration) -> Option<Figure> {
    let curves = [("Clean-Q", &of.clean_bins, of.clean), ("Broken-Q", &of.broken_bins, of.broken)];
    let bins = || curves.iter().flat_map(|(_, bins, _)| bins.iter());
    bins().next()?;
    let (left, right) = (48.0, WIDTH - 12.0);
    let ends = bins().flat_map(|bin| [bin.confidence, bin.accuracy]).chain([1.0]);
    let values: Vec<f64> = ends.collect();
    let frame = Frame {
        x: Scale::over(values.iter().copied(), left, right),
        y: Scale::over(values.iter().copied(), BOTTOM, TOP),
        x_title: "probability of the decision (%)",
        y_title: "right (%)",
        x_text: &tick_points,
        y_text: &tick_points,
    };
    let title = point_values(&of.point);
    let mut shapes = vec![cut_label("heading", Anchor::Start, (8.0, 15.0), &title, 44)];
    shapes.extend(frame.shapes());
    let (low, high) = (frame.x.low().max(frame.y.low()), 1.0);
    shapes.push(line(
        "band-edge",
        frame.x.at(low),
        frame.y.at(low),
        frame.x.at(high),
        frame.y.at(high),
    ));
    let mut entries = Vec::new();
    for (index, (name, bins, error)) in curves.iter().enumerate() {
        let class = format!("c{index}");
        let shape = [Control::Native, Control::Negative][index];
        let at = |bin: &ConfidenceBin| (frame.x.at(bin.confidence), frame.y.at(bin.accuracy));
        let path: Vec<(f64, f64)> = bins.iter().map(at).collect();
        shapes.push(
            element("polyline").class(format!("curve {class}")).attr("points", path_points(&path)),
        );
        for bin in bins.iter() {
            let tip = format!(
                "{name}: {} right at {} (n = {:.0})",
                percent(Some(bin.accuracy)),
                percent(Some(bin.confidence)),
                bin.examples
            );
            shapes.push(mark(shape, &class, true, at(bin), tip));
        }
        let text = format!("{name}, error {}", percent(*error));
        entries.push((mark(shape, &class, true, (0.0, 0.0), text.clone()), text));
    }
    let (keys, height) = legend(&entries, (left, BOTTOM + 46.0), WIDTH - left);
    shapes.extend(keys);
    Some(Figure {
        name: format!("calibration-{place}"),
        title: format!("Calibration: {title}"),
        description: format!(
            "Expected calibration error {} under Clean-Q and {} under Broken-Q",
            percent(of.clean),
            percent(of.broken)
        ),
        width: WIDTH,
        height: BOTTOM + 50.0 + height,
        shapes,
    })
}
