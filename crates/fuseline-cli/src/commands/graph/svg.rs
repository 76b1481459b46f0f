//! A drawing as SVG: columns from left to right, each node behind everything that it reads.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::{Drawing, fill};

/// Width of a letter of the font, generously.
const LETTER: f64 = 7.4;
const LINE: f64 = 17.0;
const PADDING: f64 = 10.0;
const BETWEEN_COLUMNS: f64 = 56.0;
const BETWEEN_ROWS: f64 = 18.0;
const MARGIN: f64 = 16.0;

/// Position and size of a node.
struct Place {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

/// The picture; it needs no other file.
pub fn draw(name: &str, drawing: &Drawing) -> String {
    let layout = Layout::arrange(drawing);
    let (places, width, height) = layout.places(drawing);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" \
            width=\"{width:.0}\" \
         height=\"{height:.0}\" font-family=\"ui-sans-serif, system-ui, sans-serif\" \
         font-size=\"13\" role=\"img\">\n\
         <title>{}</title>\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <g fill=\"none\" stroke=\"#8a93a0\" stroke-width=\"1.2\">\n",
        escaped(name)
    );
    // Writing to a string does not fail.
    for &(from, to) in &layout.edges {
        let (from, to) = (&places[from], &places[to]);
        let (x, y) = (from.x + from.width, from.y + from.height / 2.0);
        let (end_x, end_y) = (to.x, to.y + to.height / 2.0);
        let bend = (end_x - x) / 2.0;
        let _ = writeln!(
            text,
            "<path d=\"M{x:.1},{y:.1} C{:.1},{y:.1} {:.1},{end_y:.1} {end_x:.1},{end_y:.1}\"/>",
            x + bend,
            end_x - bend
        );
    }
    for lane in &places[drawing.nodes.len()..] {
        let y = lane.y + lane.height / 2.0;
        let _ = writeln!(text, "<path d=\"M{:.1},{y:.1} h{:.1}\"/>", lane.x, lane.width);
    }
    text += "</g>\n";
    for (node, place) in drawing.nodes.iter().zip(&places) {
        let Place { x, y, width, height } = place;
        let _ = writeln!(
            text,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"5\" \
             fill=\"{}\" stroke=\"#3b4754\"/>",
            fill(node.cached)
        );
        for (number, line) in node.lines.iter().enumerate() {
            let (colour, weight) =
                if number == 0 { ("#14202b", "600") } else { ("#51606e", "400") };
            let _ = writeln!(
                text,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"{colour}\" \
                 font-weight=\"{weight}\">{}</text>",
                x + width / 2.0,
                y + PADDING + LINE * (number as f64 + 0.75),
                escaped(line)
            );
        }
    }
    text + "</svg>\n"
}

/// Nodes and lanes in columns. A lane leads the edges of one node past a column that they skip, so
/// that no edge runs behind a node.
struct Layout {
    /// The nodes of each column, from top to bottom; numbers behind those of the drawing's nodes
    /// are lanes.
    columns: Vec<Vec<usize>>,
    /// Edges from each column to the next.
    edges: Vec<(usize, usize)>,
    items: usize,
}

impl Layout {
    /// A node stands one column behind the last node that it reads.
    fn arrange(drawing: &Drawing) -> Self {
        let mut column = vec![0; drawing.nodes.len()];
        // Producers come before consumers, so one pass is enough when edges go by their ends.
        let mut sorted = drawing.edges.clone();
        sorted.sort_unstable_by_key(|&(from, to)| (to, from));
        for &(from, to) in &sorted {
            column[to] = column[to].max(column[from] + 1);
        }
        let mut edges = BTreeSet::new();
        let mut lanes: BTreeMap<(usize, usize), usize> = BTreeMap::new();
        for &(from, to) in &sorted {
            let mut at = from;
            for past in column[from] + 1..column[to] {
                let lane = *lanes.entry((from, past)).or_insert_with(|| {
                    column.push(past);
                    column.len() - 1
                });
                edges.insert((at, lane));
                at = lane;
            }
            edges.insert((at, to));
        }
        let mut columns = vec![Vec::new(); column.iter().max().map_or(0, |last| last + 1)];
        for (item, &column) in column.iter().enumerate() {
            columns[column].push(item);
        }
        let edges: Vec<_> = edges.into_iter().collect();
        let mut layout = Self { columns, edges, items: column.len() };
        layout.uncross();
        layout
    }

    /// Moves each item to the middle of what it is joined with, twice there and back.
    fn uncross(&mut self) {
        let mut rank = vec![0.0; self.items];
        for turn in 0..5 {
            // The first turn only takes note of where everything stands.
            let forward = turn % 2 == 1;
            let mut joined: Vec<Vec<usize>> = vec![Vec::new(); self.items];
            for &(from, to) in &self.edges {
                let (of, with) = if forward { (to, from) } else { (from, to) };
                joined[of].push(with);
            }
            let count = self.columns.len();
            for step in 0..count {
                let items = &mut self.columns[if forward { step } else { count - 1 - step }];
                let middle = |item: usize| match joined[item].as_slice() {
                    [] => rank[item],
                    with => with.iter().map(|&item| rank[item]).sum::<f64>() / with.len() as f64,
                };
                if turn > 0 {
                    items.sort_by(|&a, &b| middle(a).total_cmp(&middle(b)).then(a.cmp(&b)));
                }
                let length = items.len() as f64;
                for (at, &item) in items.iter().enumerate() {
                    rank[item] = (at as f64 + 0.5) / length;
                }
            }
        }
    }

    fn places(&self, drawing: &Drawing) -> (Vec<Place>, f64, f64) {
        let size = |item: usize| match drawing.nodes.get(item) {
            None => (0.0, 1.0),
            Some(node) => {
                let letters = node.lines.iter().map(|line| line.chars().count()).max();
                let width = letters.unwrap_or(0) as f64 * LETTER + 2.0 * PADDING;
                (width, node.lines.len() as f64 * LINE + 2.0 * PADDING)
            }
        };
        let height_of = |items: &[usize]| {
            let inner: f64 = items.iter().map(|&item| size(item).1 + BETWEEN_ROWS).sum();
            inner - BETWEEN_ROWS
        };
        let height = self.columns.iter().map(|items| height_of(items)).fold(0.0, f64::max);
        let mut places: Vec<Place> = (0..self.items)
            .map(|item| Place { x: 0.0, y: 0.0, width: size(item).0, height: size(item).1 })
            .collect();
        let mut x = MARGIN;
        for items in &self.columns {
            let width = items.iter().map(|&item| places[item].width).fold(0.0, f64::max);
            let mut y = MARGIN + (height - height_of(items)) / 2.0;
            for &item in items {
                let place = &mut places[item];
                if item >= drawing.nodes.len() {
                    place.width = width;
                }
                (place.x, place.y) = (x + (width - place.width) / 2.0, y);
                y += place.height + BETWEEN_ROWS;
            }
            x += width + BETWEEN_COLUMNS;
        }
        (places, (x - BETWEEN_COLUMNS + MARGIN).max(2.0 * MARGIN), height + 2.0 * MARGIN)
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::graph::{Cached, Node};

    #[test]
    fn no_edge_runs_behind_a_node() {
        let node = |name: &str| Node { lines: vec![name.to_owned()], cached: Cached::None };
        let drawing = Drawing {
            nodes: ["a", "b", "c", "d"].map(node).into(),
            edges: vec![(0, 1), (1, 2), (2, 3), (0, 2), (0, 3), (1, 3)],
        };
        let layout = Layout::arrange(&drawing);
        assert_eq!(layout.columns.len(), 4);
        let column =
            |item: usize| layout.columns.iter().position(|items| items.contains(&item)).unwrap();
        assert!(layout.edges.iter().all(|&(from, to)| column(from) + 1 == column(to)));
        // a passes b and c, b passes c: three lanes, however many edges share them.
        assert_eq!(layout.items, 4 + 3);
        let (places, ..) = layout.places(&drawing);
        for items in &layout.columns {
            for pair in items.windows(2) {
                let (above, below) = (&places[pair[0]], &places[pair[1]]);
                assert!(above.y + above.height < below.y, "they overlap");
            }
        }
    }

    #[test]
    fn names_cannot_break_the_picture() {
        let lines = vec!["<a> & \"b\"".to_owned()];
        let node = Node { lines, cached: Cached::All };
        let text = draw("x<y", &Drawing { nodes: vec![node], edges: vec![] });
        assert!(text.contains("&lt;a&gt; &amp; &quot;b&quot;") && text.contains("x&lt;y"));
    }
}
