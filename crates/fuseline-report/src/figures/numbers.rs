//! The numbers that figures show, as tables: what another plotting program draws them from.
//!
//! The gaps, their use, responses, heat maps, scatters and alignments show columns of the findings,
//! which are a table already.

use crate::data::{Point, ReportData};
use crate::format::finite;

/// Numbers of figures of one sort, one row a mark.
#[derive(Debug, Clone, PartialEq)]
pub struct FigureTable {
    /// Its name: that of the figures, or what theirs begin with.
    pub name: &'static str,
    /// The columns, all of one length.
    pub columns: Vec<FigureColumn>,
}

/// A named column of a table of numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct FigureColumn {
    /// Its name.
    pub name: String,
    /// Its values.
    pub values: FigureValues,
}

/// Values of a column.
#[derive(Debug, Clone, PartialEq)]
pub enum FigureValues {
    /// Names; `None`: there is none.
    Text(Vec<Option<String>>),
    /// Numbers; `None`: not measured.
    Number(Vec<Option<f64>>),
    /// Whole numbers.
    Integer(Vec<i64>),
}

/// The tables of a report; one without rows is left out.
pub fn tables(data: &ReportData) -> Vec<FigureTable> {
    let tables = [nulls(data), reliability(data), spreads(data), stages(data)];
    tables.into_iter().flatten().collect()
}

/// Balanced accuracy under each permutation, and under Clean-Q as permutation -1.
fn nulls(data: &ReportData) -> Option<FigureTable> {
    let rows = data.nulls.iter().flat_map(|null| {
        let broken = null.broken.iter().enumerate().map(|(at, value)| (at as i64, *value));
        std::iter::once((-1, null.clean)).chain(broken).map(|row| (&null.point, row))
    });
    let rows: Vec<(&Point, (i64, f64))> = rows.collect();
    let (points, numbers): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
    table(
        "null",
        point_columns(&data.axes, &points),
        [
            integer("permutation", numbers.iter().map(|row| row.0)),
            number("balanced_accuracy", numbers.iter().map(|row| Some(row.1))),
        ],
    )
}

/// Accuracy of experts at each level of quality.
fn reliability(data: &ReportData) -> Option<FigureTable> {
    let rows = data.reliability.iter().flat_map(|of| of.bins.iter().map(move |bin| (of, bin)));
    let rows: Vec<_> = rows.collect();
    let points: Vec<&Point> = rows.iter().map(|(of, _)| &of.point).collect();
    let mut axes: Vec<String> = Vec::new();
    for (axis, _) in points.iter().copied().flatten() {
        if !axes.contains(axis) {
            axes.push(axis.clone());
        }
    }
    // A point that has the modality has it already.
    let modality = text("modality", rows.iter().map(|(of, _)| Some(of.modality.clone())));
    let modality = (!axes.iter().any(|axis| axis == "modality")).then_some(modality);
    let numbers = [
        number("quality", rows.iter().map(|(_, bin)| Some(bin.quality))),
        number("accuracy", rows.iter().map(|(_, bin)| Some(bin.accuracy))),
        integer("n", rows.iter().map(|(_, bin)| bin.n as i64)),
    ];
    table("reliability", point_columns(&axes, &points), modality.into_iter().chain(numbers))
}

/// Gaps by fold, group or other unit.
fn spreads(data: &ReportData) -> Option<FigureTable> {
    let rows = data.spreads.iter().flat_map(|of| of.gaps.iter().map(move |gap| (of, gap)));
    let rows: Vec<_> = rows.collect();
    let points: Vec<&Point> = rows.iter().map(|(of, _)| &of.point).collect();
    table(
        "spread",
        point_columns(&data.axes, &points),
        [
            text("unit", rows.iter().map(|(of, _)| Some(of.unit.clone()))),
            text("name", rows.iter().map(|(_, (name, _))| Some(name.clone()))),
            number("gap", rows.iter().map(|(_, (_, gap))| Some(*gap))),
        ],
    )
}

/// Readings between stages; a stage that reads nothing has a row without a source.
fn stages(data: &ReportData) -> Option<FigureTable> {
    let origin = &data.provenance;
    let mut rows: Vec<[String; 6]> = Vec::new();
    for stage in &origin.stages {
        let row = |from: &str, output: &str, input: &str| {
            [&stage.name, &stage.kind, &stage.axes.join(" "), from, output, input]
                .map(|text: &str| text.to_owned())
        };
        let before = rows.len();
        let ports = origin.ports.iter().filter(|edge| edge.to == stage.name);
        rows.extend(ports.map(|edge| row(&edge.from, &edge.output, &edge.input)));
        if rows.len() == before {
            let edges = origin.edges.iter().filter(|(_, to)| *to == stage.name);
            rows.extend(edges.map(|(from, _)| row(from, "", "")));
        }
        if rows.len() == before {
            rows.push(row("", "", ""));
        }
    }
    let names = ["stage", "kind", "axes", "reads", "output", "input"];
    let columns = names.into_iter().enumerate().map(|(place, name)| {
        text(name, rows.iter().map(|row| Some(row[place].clone()).filter(|text| !text.is_empty())))
    });
    table("stages", Vec::new(), columns)
}

fn table(
    name: &'static str,
    mut columns: Vec<FigureColumn>,
    more: impl IntoIterator<Item = FigureColumn>,
) -> Option<FigureTable> {
    columns.extend(more);
    let is_empty = columns.iter().all(|column| match &column.values {
        FigureValues::Text(values) => values.is_empty(),
        FigureValues::Number(values) => values.is_empty(),
        FigureValues::Integer(values) => values.is_empty(),
    });
    (!is_empty).then_some(FigureTable { name, columns })
}

/// One column an axis.
fn point_columns(axes: &[String], points: &[&Point]) -> Vec<FigureColumn> {
    let value = |point: &Point, axis: &str| {
        point.iter().find(|(name, _)| name == axis).map(|(_, value)| value.clone())
    };
    axes.iter().map(|axis| text(axis, points.iter().map(|point| value(point, axis)))).collect()
}

fn text(name: &str, values: impl IntoIterator<Item = Option<String>>) -> FigureColumn {
    let values = FigureValues::Text(values.into_iter().collect());
    FigureColumn { name: name.to_owned(), values }
}

fn number(name: &str, values: impl IntoIterator<Item = Option<f64>>) -> FigureColumn {
    let values = FigureValues::Number(values.into_iter().map(finite).collect());
    FigureColumn { name: name.to_owned(), values }
}

fn integer(name: &str, values: impl IntoIterator<Item = i64>) -> FigureColumn {
    let values = FigureValues::Integer(values.into_iter().collect());
    FigureColumn { name: name.to_owned(), values }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn tables_have_a_row_for_every_mark_and_columns_of_one_length() {
        let data = fixture::stressid();
        let tables = tables(&data);
        let names: Vec<&str> = tables.iter().map(|table| table.name).collect();
        assert_eq!(names, ["null", "reliability", "spread", "stages"]);
        let length = |column: &FigureColumn| match &column.values {
            FigureValues::Text(values) => values.len(),
            FigureValues::Number(values) => values.len(),
            FigureValues::Integer(values) => values.len(),
        };
        for table in &tables {
            let first = length(&table.columns[0]);
            assert!(table.columns.iter().all(|column| length(column) == first), "{}", table.name);
        }
        let permutations: usize = data.nulls.iter().map(|null| 1 + null.broken.len()).sum();
        assert_eq!(length(&tables[0].columns[0]), permutations);
        assert_eq!(tables[0].columns[0].name, "rule");
        assert!(super::tables(&ReportData::default()).is_empty());
    }
}
