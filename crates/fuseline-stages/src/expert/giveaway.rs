//! Features that say by themselves what an expert is to learn: the label, or whose example it is.

use arrow::array::{Array, Float64Array};
use fuseline_artifact::{Cohort, Features};
use fuseline_engine::Outputs;
use fuseline_stats::metrics::auroc;
use rayon::prelude::*;

use super::Row;

/// A feature whose AUROC lies above tells a class from the others by itself.
const MIN_AUROC: f64 = 0.99;
/// The chance of one false alarm among all features of an expert, were they noise.
const FALSE_ALARM: f64 = 1e-3;
/// Number of rows that are examined first: a feature that tells nothing there is examined no
/// further.
const SAMPLE_ROWS: usize = 512;
/// The least AUROC in the sample to be looked at further.
const MIN_SAMPLE_AUROC: f64 = 0.9;
/// Maximum number of named features.
const MAX_NAMED: usize = 8;

/// Kind of leak in a feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Giveaway {
    Label,
    Group,
}

/// Cautions of features that tell the classes apart, or are the group in another form, on the
/// training rows alone.
pub(super) fn caution(
    features: &Features,
    exclude: &[String],
    rows: &[Row],
    cohort: &Cohort,
    modality: &str,
    outputs: &mut Outputs,
) {
    let columns: Vec<_> =
        features.columns.iter().filter(|(name, _)| !exclude.contains(name)).collect();
    let labels: Vec<u32> = rows.iter().map(|row| cohort.label[row.cohort as usize]).collect();
    let (ranks, groups) = cohort.group.ranks();
    let group: Vec<u32> = rows.iter().map(|row| ranks[row.cohort as usize]).collect();
    let classes = cohort.classes.len();
    let tests = (columns.len() * classes) as f64;
    let find = |column: &Float64Array| {
        let values: Vec<f64> =
            rows.iter().map(|row| value(column, row.features as usize)).collect();
        if tells_a_class(&values, &labels, classes, tests) {
            Some(Giveaway::Label)
        } else {
            is_group(&values, &group, groups).then_some(Giveaway::Group)
        }
    };
    let found: Vec<_> = columns.par_iter().map(|(_, column)| find(column)).collect();
    let named = |wanted: Giveaway| -> Vec<&str> {
        let columns = columns.iter().zip(&found).filter(|(_, found)| **found == Some(wanted));
        columns.map(|((name, _), _)| name.as_str()).collect()
    };
    let what = if classes == 2 { "the label" } else { "a class" };
    let label = named(Giveaway::Label);
    if let Some((subject, exclude)) = subject(&label, modality) {
        let verb = if label.len() == 1 { "predicts" } else { "predict" };
        outputs.caution(format!(
            "{subject} {verb} {what} alone (AUROC above {MIN_AUROC}); what is the label in \
             another form is to be left out: {exclude}"
        ));
    }
    let group = named(Giveaway::Group);
    if let Some((subject, exclude)) = subject(&group, modality) {
        let verb = if group.len() == 1 { "has" } else { "have" };
        outputs.caution(format!(
            "{subject} {verb} one value for each group and another in each; what says whose \
             example it is is to be left out: {exclude}"
        ));
    }
}

/// A finite value, or NaN.
fn value(column: &Float64Array, row: usize) -> f64 {
    if column.is_valid(row) && column.value(row).is_finite() { column.value(row) } else { f64::NAN }
}

/// Subject of the caution, and how to leave the feature out.
fn subject(names: &[&str], modality: &str) -> Option<(String, String)> {
    let more = match names.len().saturating_sub(MAX_NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let listed = names.get(..MAX_NAMED).unwrap_or(names).join(", ");
    let noun = match names {
        [] => return None,
        [_] => "feature",
        _ => "features",
    };
    let dots = if more.is_empty() { "" } else { ", ..." };
    Some((
        format!("{noun} {listed}{more} of modality {modality}"),
        format!("exclude: [{listed}{dots}]"),
    ))
}

/// True if a feature ranks the rows of a class above or below nearly all others, beyond chance.
fn tells_a_class(values: &[f64], labels: &[u32], classes: usize, tests: f64) -> bool {
    let observed: Vec<(f64, u32)> = values
        .iter()
        .zip(labels)
        .filter(|(value, _)| !value.is_nan())
        .map(|(value, label)| (*value, *label))
        .collect();
    let sample: Vec<_> =
        observed.iter().step_by(observed.len().div_ceil(SAMPLE_ROWS).max(1)).copied().collect();
    (0..classes as u32).any(|class| {
        separation(&sample, class).is_some_and(|of| of > MIN_SAMPLE_AUROC)
            && separation(&observed, class).is_some_and(|of| of > MIN_AUROC)
            && is_beyond_chance(&observed, class, tests)
    })
}

/// The AUROC of a feature for a class, or of its opposite, whichever is larger; none where it is
/// not defined.
pub(crate) fn separation(rows: &[(f64, u32)], class: u32) -> Option<f64> {
    let values: Vec<f64> = rows.iter().map(|(value, _)| *value).collect();
    let positive: Vec<bool> = rows.iter().map(|(_, label)| *label == class).collect();
    auroc(&values, &positive).ok().map(|area| area.max(1.0 - area))
}

/// True if there are enough rows that none of so many noise features would rank them so.
fn is_beyond_chance(rows: &[(f64, u32)], class: u32, tests: f64) -> bool {
    let members = rows.iter().filter(|(_, label)| *label == class).count();
    let (one, other) = (members as f64, (rows.len() - members) as f64);
    let ln_factorial = |n: f64| libm::lgamma(n + 1.0);
    let ln_orders = ln_factorial(one + other) - ln_factorial(one) - ln_factorial(other);
    // How many of them have so few inversions: partitions of each number up to that (Hardy and
    // Ramanujan), both ways round.
    let inversions = ((1.0 - MIN_AUROC) * one * other).floor();
    let ln_such = std::f64::consts::PI * libm::sqrt(2.0 * inversions / 3.0)
        + libm::log(2.0 * (inversions + 1.0));
    ln_orders - ln_such > libm::log(tests / FALSE_ALARM)
}

/// True if each group has one value of its own in all its rows. Groups of one row say nothing.
pub(crate) fn is_group(values: &[f64], group: &[u32], groups: usize) -> bool {
    let mut value_of = vec![f64::NAN; groups];
    for (&value, &group) in values.iter().zip(group) {
        let known = &mut value_of[group as usize];
        if value.is_nan() || !known.is_nan() && *known != value {
            return false;
        }
        *known = value;
    }
    let mut distinct: Vec<f64> = value_of.into_iter().filter(|value| !value.is_nan()).collect();
    let present = distinct.len();
    distinct.sort_by(f64::total_cmp);
    distinct.dedup();
    present > 2 && distinct.len() == present && present * 2 <= values.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cautions(columns: &[(&str, &[f64])], labels: &[u32], groups: &[usize]) -> Vec<String> {
        let ids: Vec<String> = (0..labels.len()).map(|row| format!("e{row:03}")).collect();
        let example_id: fuseline_artifact::Texts = ids.iter().map(String::as_str).collect();
        let group: Vec<String> = groups.iter().map(usize::to_string).collect();
        let classes = labels.iter().max().map_or(0, |most| most + 1);
        let cohort = Cohort {
            example_id: example_id.clone(),
            group: group.iter().map(String::as_str).collect(),
            label: labels.to_vec(),
            classes: (0..classes).map(|class| class.to_string()).collect(),
        };
        let columns = columns
            .iter()
            .map(|(name, values)| ((*name).to_owned(), Float64Array::from(values.to_vec())));
        let features = Features { example_id, columns: columns.collect() };
        let row = |row: usize| Row { cohort: row as u32, features: row as u32, inner: 0 };
        let rows: Vec<Row> = (0..labels.len()).map(row).collect();
        let mut outputs = Outputs::default();
        caution(&features, &["excluded".to_owned()], &rows, &cohort, "m", &mut outputs);
        outputs.cautions().to_vec()
    }

    #[test]
    fn the_label_and_the_group_in_another_form_are_named_and_what_is_excluded_is_not() {
        let labels: Vec<u32> = (0..40).map(|row| row % 2).collect();
        let groups: Vec<usize> = (0..40).map(|row| row / 4).collect();
        let label: Vec<f64> = labels.iter().map(|label| 3.0 - f64::from(*label)).collect();
        let group: Vec<f64> = groups.iter().map(|group| ((group * 7) % 10) as f64).collect();
        let noise: Vec<f64> = (0..40).map(|row| f64::from((row * 17) % 41)).collect();
        let columns = [("noise", &noise[..]), ("y", &label), ("who", &group), ("excluded", &label)];
        assert_eq!(
            cautions(&columns, &labels, &groups),
            [
                "feature y of modality m predicts the label alone (AUROC above 0.99); what is the \
                 label in another form is to be left out: exclude: [y]",
                "feature who of modality m has one value for each group and another in each; what \
                 says whose example it is is to be left out: exclude: [who]",
            ]
        );
        // Every example its own group: any feature has one value each.
        let alone: Vec<usize> = (0..40).collect();
        assert!(cautions(&[("noise", &noise)], &labels, &alone).is_empty());
    }

    #[test]
    fn one_of_several_classes_is_enough_and_missing_values_are_passed_over() {
        let labels: Vec<u32> = (0..60).map(|row| row % 3).collect();
        let groups: Vec<usize> = (0..60).collect();
        let mut is_one: Vec<f64> = labels.iter().map(|label| f64::from(*label == 1)).collect();
        is_one[7] = f64::NAN;
        is_one[9] = f64::INFINITY;
        let found = cautions(&[("is_one", &is_one)], &labels, &groups);
        assert!(found[0].starts_with("feature is_one of modality m predicts a class alone"));
    }

    #[test]
    fn few_rows_and_many_features_are_no_proof() {
        let labels: Vec<u32> = (0..8).map(|row| row % 2).collect();
        let groups: Vec<usize> = (0..8).collect();
        let label: Vec<f64> = labels.iter().map(|label| f64::from(*label)).collect();
        assert!(cautions(&[("y", &label)], &labels, &groups).is_empty());
        assert!(is_beyond_chance(&[(0.0, 0), (1.0, 1)].repeat(20), 1, 2.0));
        assert!(!is_beyond_chance(&[(0.0, 0), (1.0, 1)].repeat(10), 1, 1e6));
    }
}
