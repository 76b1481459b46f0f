//! Puts findings of any axes into groups that can be laid out.

use crate::data::{Control, FindingRow, ReportData};
use crate::format::{finite, value_label};

/// Findings in groups: one a choice of values of all axes but the column axis.
#[derive(Debug, Clone, Default)]
pub struct Arrangement {
    /// The axis along which the rows of a group differ.
    pub column_axis: Option<String>,
    /// Its values, in order of appearance.
    pub columns: Vec<String>,
    /// Native conditions first, then positive controls, then negative ones.
    pub groups: Vec<Group>,
}

/// The findings that share the values of all axes but the column axis.
#[derive(Debug, Clone)]
pub struct Group {
    /// The values that they share.
    pub label: String,
    /// Control of the group: that of its first finding.
    pub control: Control,
    /// Their places in the findings.
    pub rows: Vec<usize>,
}

impl Arrangement {
    /// The same with so many findings alone, those of the largest gaps: native conditions, or
    /// controls where there are none. Rows that are counted nowhere are left out.
    pub fn with_largest_gaps(&self, data: &ReportData, most: usize) -> Self {
        let size =
            |place: usize| data.findings.get(place).and_then(|row| finite(row.gap)).map(f64::abs);
        let is_counted =
            |place: &usize| data.findings.get(*place).is_some_and(FindingRow::is_counted);
        let has_native = self.groups.iter().any(|group| group.control == Control::Native);
        let groups = self.groups.iter();
        let groups = groups.filter(|group| !has_native || group.control == Control::Native);
        let all = groups.flat_map(|group| group.rows.iter().copied());
        let mut largest: Vec<(usize, f64)> =
            all.filter(is_counted).filter_map(|place| Some((place, size(place)?))).collect();
        largest.sort_by(|one, other| other.1.total_cmp(&one.1).then(one.0.cmp(&other.0)));
        largest.truncate(most);
        let mut arrangement = self.clone();
        for group in &mut arrangement.groups {
            group.rows.retain(|place| largest.iter().any(|(known, _)| known == place));
        }
        arrangement.groups.retain(|group| !group.rows.is_empty());
        arrangement
    }
}

/// Groups the findings: rules side by side where there is an axis of that name, else the last of
/// several axes.
pub fn arrange(data: &ReportData) -> Arrangement {
    let column_axis = column_axis(data).map(str::to_owned);
    let mut arrangement = Arrangement { column_axis, ..Arrangement::default() };
    for (index, row) in data.findings.iter().enumerate() {
        let label = label_without(row, arrangement.column_axis.as_deref());
        if let Some(column) = arrangement.column_axis.as_deref().and_then(|axis| row.value_of(axis))
            && !arrangement.columns.iter().any(|known| known == column)
        {
            arrangement.columns.push(column.to_owned());
        }
        match arrangement.groups.iter_mut().find(|g| g.label == label && g.control == row.control) {
            Some(group) => group.rows.push(index),
            None => {
                arrangement.groups.push(Group { label, control: row.control, rows: vec![index] });
            }
        }
    }
    arrangement.groups.sort_by_key(|group| match group.control {
        Control::Native => 0,
        Control::Positive => 1,
        Control::Negative => 2,
    });
    arrangement
}

/// Labels of the row's values but for one axis.
pub fn label_without(row: &FindingRow, left_out: Option<&str>) -> String {
    let values: Vec<String> = row
        .point
        .iter()
        .filter(|(axis, _)| Some(axis.as_str()) != left_out)
        .map(|(axis, value)| value_label(axis, value))
        .collect();
    values.join(" · ")
}

/// The value of an axis as a number.
pub fn numeric(row: &FindingRow, axis: &str) -> Option<f64> {
    finite(row.value_of(axis).and_then(|value| value.parse().ok()))
}

/// Axes whose values are numbers throughout, three different ones at least among rows that are
/// counted: doses, and not the numbers of repetitions.
pub fn numeric_axes(data: &ReportData) -> Vec<&str> {
    let is_numeric = |axis: &&str| {
        let mut values: Vec<f64> = Vec::new();
        for row in &data.findings {
            match numeric(row, axis) {
                Some(value) if row.is_counted() && !values.contains(&value) => values.push(value),
                Some(_) => {}
                None => return false,
            }
        }
        values.len() >= 3
    };
    data.axes.iter().map(String::as_str).filter(is_numeric).collect()
}

/// The value that tells a row from the others of its group.
pub fn column_label(row: &FindingRow, data: &ReportData) -> String {
    let arranged_by = column_axis(data);
    match arranged_by.and_then(|axis| Some((axis, row.value_of(axis)?))) {
        Some((axis, value)) => value_label(axis, value),
        None => String::new(),
    }
}

fn column_axis(data: &ReportData) -> Option<&str> {
    let rule = data.axes.iter().find(|axis| *axis == "rule");
    rule.or_else(|| data.axes.last().filter(|_| data.axes.len() > 1))
        .map(String::as_str)
        .filter(|axis| data.findings.iter().all(|row| row.value_of(axis).is_some()))
}
