//! Findings of a label that is a number, beside the same rule without quality.

use std::collections::BTreeMap;

use fuseline_artifact::{Findings, GroupSums};
use fuseline_engine::StageError;
use fuseline_stats::metrics::NumberMetric;

use super::axis_of;
use crate::diagnose::summarize::Resampling;
use crate::diagnose::summarize::regression::gain_interval;

/// Gives each row the Clean-Q metric of the row that differs in the reference label alone, and the
/// interval of the gain from resamples of groups that both share. The reference gets its own; a row
/// whose reference was not run gets none.
pub(super) fn compare_without_quality(
    all: &mut Findings,
    axis: &str,
    label: &str,
    seed: u64,
) -> Result<(), StageError> {
    let place = axis_of(&all.axes, axis).map_err(|error| error.at("without_quality"))?;
    let metric = all.metric().and_then(NumberMetric::named).ok_or_else(|| {
        StageError::failed("the findings name a metric that this fuseline does not know")
    })?;
    let origin = all.settings.iter().find_map(|setting| setting.strip_prefix("origin="));
    let origin: f64 = origin.and_then(|origin| origin.parse().ok()).unwrap_or(0.0);
    let of = Resampling::from_settings(&all.settings, seed);
    let reference: BTreeMap<Vec<String>, (f64, Option<GroupSums>)> = all
        .rows
        .iter()
        .filter(|row| row.point[place] == label)
        .filter_map(|row| {
            let values = row.metric.as_ref()?;
            Some((row.point.clone(), (values.clean, values.groups.clone())))
        })
        .collect();
    if reference.is_empty() {
        let mut labels: Vec<&str> = all.rows.iter().map(|row| row.point[place].as_str()).collect();
        labels.sort_unstable();
        labels.dedup();
        return Err(StageError::data(format!("no finding has {axis} {label}"))
            .at(format!("without_quality.{axis}"))
            .hint(format!("its labels are {}", labels.join(", "))));
    }
    for row in &mut all.rows {
        let mut point = row.point.clone();
        label.clone_into(&mut point[place]);
        let Some((value, without)) = reference.get(&point) else { continue };
        let is_reference = point == row.point;
        let Some(values) = &mut row.metric else { continue };
        values.without_quality = Some(*value);
        if is_reference {
            continue;
        }
        if let (Some(with), Some(without)) = (&values.groups, without)
            && let Some(interval) = gain_interval(metric, origin, [with, without], &of)?
        {
            (row.gain_low, row.gain_high) = (Some(interval.low), Some(interval.high));
        }
    }
    Ok(())
}

/// Drops the sums by group, which are of tables of one finding before they are compared.
pub(super) fn forget_groups(all: &mut Findings) {
    for row in &mut all.rows {
        if let Some(values) = &mut row.metric {
            values.groups = None;
        }
    }
}
