//! Findings put together over axes that they are repeated along.

use std::collections::BTreeMap;

use fuseline_artifact::{Finding, Findings};
use fuseline_engine::{Labelled, StageError};

use crate::upstream;

/// Findings at the points of the axes that are left.
pub(super) struct ByPoint {
    /// The axes that are left.
    pub axes: Vec<String>,
    /// The labels of each point with its findings, in the order in which they arrived.
    pub points: Vec<(Vec<String>, Vec<Finding>)>,
}

impl ByPoint {
    /// Groups the rows of all tables by their points without some axes. An error at `option` when
    /// the findings do not have one of them.
    pub fn group(
        tables: Vec<Labelled<Findings>>,
        without: &[String],
        option: &str,
    ) -> Result<Self, StageError> {
        let mut axes: Option<Vec<String>> = None;
        let mut places = BTreeMap::<Vec<String>, usize>::new();
        let mut points: Vec<(Vec<String>, Vec<Finding>)> = Vec::new();
        for Labelled { artifact: table, .. } in tables {
            let known = axes.get_or_insert_with(|| table.axes.clone());
            if *known != table.axes {
                return Err(StageError::data("the findings do not have the same axes"));
            }
            for axis in without {
                upstream::axis_of(&table.axes, axis).map_err(|error| error.at(option))?;
            }
            for row in table.rows {
                let labels = row.point.iter().zip(&table.axes);
                let left = labels.filter(|(_, axis)| !without.contains(axis));
                let point: Vec<String> = left.map(|(label, _)| label.clone()).collect();
                let place = *places.entry(point.clone()).or_insert_with(|| {
                    points.push((point, Vec::new()));
                    points.len() - 1
                });
                points[place].1.push(row);
            }
        }
        let mut axes = axes.unwrap_or_default();
        axes.retain(|axis| !without.contains(axis));
        Ok(Self { axes, points })
    }
}
