use arrow::array::{Float64Array, StringArray};
use fuseline_artifact::{
    Cohort, Control, Evidence, Fault, Features, Folds, Metadata, Quality, Severity, Texts,
};
use fuseline_stats::streams::Stream;
use serde_json::{Value, json};

use super::*;
use crate::testing::{message, run};

/// A study of people with several recordings each; faults are planted by changing it.
#[derive(Clone)]
struct Data {
    ids: Vec<String>,
    group: Vec<String>,
    label: Vec<u32>,
    fold: Vec<i32>,
    /// By modality and feature, values by row.
    features: Vec<Vec<Vec<f64>>>,
    quality: Vec<f64>,
    stress: Vec<f64>,
    sex: Vec<Option<String>>,
}

const GROUPS: usize = 24;
const ROWS: usize = 120;

impl Data {
    /// Without faults: labels by example, features with a little of the label and of the person.
    fn clean(seed: u64) -> Self {
        let mut stream = Stream::new(seed, "clean");
        let group_of = |row: usize| row % GROUPS;
        let label: Vec<u32> = (0..ROWS).map(|_| stream.below(2) as u32).collect();
        let person: Vec<f64> = (0..GROUPS).map(|_| stream.normal()).collect();
        let features = (0..2)
            .map(|_| {
                (0..5)
                    .map(|_| {
                        let value = |row: usize| {
                            stream.normal() + f64::from(label[row]) + 0.5 * person[group_of(row)]
                        };
                        (0..ROWS).map(value).collect()
                    })
                    .collect()
            })
            .collect();
        Self {
            ids: (0..ROWS).map(|row| format!("s{:02}_take{row}", group_of(row))).collect(),
            group: (0..ROWS).map(|row| format!("s{:02}", group_of(row))).collect(),
            fold: (0..ROWS).map(|row| (group_of(row) % 4) as i32).collect(),
            quality: (0..ROWS).map(|_| stream.normal()).collect(),
            stress: (0..ROWS).map(|_| stream.uniform()).collect(),
            sex: (0..ROWS)
                .map(|row| Some(if group_of(row) * 7 % 5 < 2 { "f" } else { "m" }.to_owned()))
                .collect(),
            label,
            features,
        }
    }

    fn outputs(&self, options: Value) -> Result<Outputs, StageError> {
        // Rows of a cohort are in the order of their ids.
        let mut order: Vec<usize> = (0..ROWS).collect();
        order.sort_by(|a, b| self.ids[*a].cmp(&self.ids[*b]));
        let example_id: Texts = order.iter().map(|row| &self.ids[*row]).collect();
        let pick = |values: &[f64]| order.iter().map(|row| values[*row]).collect::<Vec<f64>>();
        let classes = vec!["rest".to_owned(), "stress".to_owned()];
        let cohort = Cohort {
            example_id: example_id.clone(),
            group: order.iter().map(|row| &self.group[*row]).collect(),
            label: order.iter().map(|row| self.label[*row]).collect(),
            classes: classes.clone(),
        };
        let folds = Folds {
            example_id: example_id.clone(),
            fold: order.iter().map(|row| self.fold[*row]).collect(),
        };
        let sex: StringArray = order.iter().map(|row| self.sex[*row].as_deref()).collect();
        let metadata =
            Metadata { example_id: example_id.clone(), columns: vec![("sex".to_owned(), sex)] };
        let evidence = Evidence {
            modality: "m0".to_owned(),
            classes,
            example_id: example_id.clone(),
            probabilities: pick(&self.stress).into_iter().flat_map(|p| [1.0 - p, p]).collect(),
            inner_fold: None,
            logits: None,
        };
        run::<DataAudit>(options, 7, &[], |mut inputs| {
            for (number, modality) in self.features.iter().enumerate() {
                let columns = modality.iter().enumerate().map(|(column, values)| {
                    (format!("f{column}"), Float64Array::from(pick(values)))
                });
                let features =
                    Features { example_id: example_id.clone(), columns: columns.collect() };
                let point = vec![("modality".to_owned(), format!("m{number}"))];
                inputs = inputs.artifact("features", point, features)?;
            }
            // Two folds of test rows, which are pooled.
            let half = ROWS / 2;
            for (fold, rows) in [0..half, half..ROWS].into_iter().enumerate() {
                let quality = Quality {
                    modality: "m0".to_owned(),
                    source: "snr".to_owned(),
                    control: Control::Native,
                    evidence_derived: false,
                    example_id: example_id.take(rows.clone()),
                    quality: pick(&self.quality)[rows].to_vec().into(),
                };
                let point = vec![("fold".to_owned(), fold.to_string())];
                inputs = inputs.artifact("quality", point, quality)?;
            }
            inputs
                .artifact("cohort", vec![], cohort)?
                .artifact("folds", vec![], folds)?
                .artifact("metadata", vec![], metadata)?
                .artifact("evidence", vec![], evidence)
        })
    }

    fn faults(&self) -> Vec<Fault> {
        self.outputs(json!({})).unwrap().get::<Audit>("audit").unwrap().rows
    }
}

/// Check, column and severity of each fault.
fn told_of(faults: &[Fault]) -> Vec<(&str, &str, Severity)> {
    faults
        .iter()
        .map(|fault| {
            (fault.check.as_str(), fault.column.as_deref().unwrap_or_default(), fault.severity)
        })
        .collect()
}

#[test]
fn clean_data_have_no_faults_beyond_the_stated_level() {
    let mut associations = 0;
    for seed in 0..200 {
        let audit: Audit = Data::clean(seed).outputs(json!({})).unwrap().get("audit").unwrap();
        assert_eq!(audit.not_examined, [] as [String; 0], "seed {seed}");
        for fault in &audit.rows {
            assert_eq!(fault.check, "fold_association", "seed {seed}: {}", fault.message);
            associations += 1;
        }
    }
    // Level 0.01 of all tests together: 8 of 200 have a chance below 0.001.
    assert!(associations < 8, "{associations}");
}

#[test]
fn copies_are_found_where_a_split_parts_them_and_near_copies_too() {
    let mut data = Data::clean(1);
    let copy = |data: &mut Data, from: usize, to: usize, shift: f64| {
        for modality in &mut data.features[..1] {
            for (at, values) in modality.iter_mut().enumerate() {
                values[to] = values[from] + shift * (at as f64 - 2.0);
            }
        }
    };
    copy(&mut data, 0, 1, 0.0);
    copy(&mut data, 2, 3, 0.002);
    // Of one fold: never parted.
    copy(&mut data, 5, 9, 0.0);
    let faults = data.faults();
    assert_eq!(
        told_of(&faults),
        [("duplicate", "", Severity::Error), ("near_duplicate", "", Severity::Error)]
    );
    let ids = |fault: &Fault| {
        [&fault.first_example_id, &fault.second_example_id].map(|id| id.clone().unwrap())
    };
    assert_eq!(ids(&faults[0]), ["s00_take0", "s01_take1"]);
    assert_eq!(ids(&faults[1]), ["s02_take2", "s03_take3"]);
    assert!(faults[0].message.contains("stand in folds 0 and 1 of folds"), "{}", faults[0].message);
    let (value, threshold) = (faults[1].value.unwrap(), faults[1].threshold.unwrap());
    assert!(0.0 < value && value <= threshold && threshold <= 0.05, "{value} {threshold}");
}

#[test]
fn folds_that_are_no_fair_parts_are_found() {
    let mut data = Data::clean(2);
    // A person on both sides.
    data.fold[0] = 1;
    let faults = data.faults();
    assert_eq!(told_of(&faults), [("group_in_folds", "s00", Severity::Error)]);

    let mut data = Data::clean(3);
    for row in 0..ROWS {
        data.sex[row] = Some(if data.fold[row] < 2 { "f" } else { "m" }.to_owned());
    }
    let faults = data.faults();
    assert_eq!(told_of(&faults), [("fold_association", "sex", Severity::Warning)]);
    assert!(faults[0].value.unwrap() > 0.99 && faults[0].p_value.unwrap() < 0.01);

    let mut data = Data::clean(4);
    for row in 0..ROWS {
        data.label[row] = u32::from(data.fold[row] == 0);
    }
    let checks: Vec<_> = data.faults().iter().map(|fault| fault.check.clone()).collect();
    let count = |check: &str| checks.iter().filter(|of| *of == check).count();
    assert_eq!((count("fold_association"), count("balance")), (1, 4), "{checks:?}");
}

#[test]
fn inputs_that_say_the_label_or_the_group_are_found() {
    let mut data = Data::clean(5);
    data.features[1][3] = data.label.iter().map(|label| 5.0 - f64::from(*label)).collect();
    data.stress = data.label.iter().map(|label| 0.2 + 0.6 * f64::from(*label)).collect();
    data.features[0][2] = (0..ROWS).map(|row| ((row % GROUPS) * 5 % GROUPS) as f64).collect();
    let faults = data.faults();
    let told = told_of(&faults);
    for expected in [
        ("tells_label", "f3", Severity::Error),
        ("tells_label", "stress", Severity::Warning),
        ("tells_group", "f2", Severity::Warning),
    ] {
        assert!(told.contains(&expected), "{expected:?} of {told:?}");
    }
    assert!(faults.iter().all(|fault| fault.check != "tells_label" || fault.value == Some(1.0)));
}

#[test]
fn quality_that_is_the_class_or_the_group_is_found() {
    let mut data = Data::clean(6);
    for row in 0..ROWS {
        if data.label[row] == 1 {
            data.quality[row] = 0.25;
        }
    }
    let faults = data.faults();
    assert_eq!(told_of(&faults), [("constant_quality", "stress", Severity::Error)]);

    let mut data = Data::clean(6);
    data.quality = (0..ROWS).map(|row| ((row % GROUPS) * 7 % 10) as f64).collect();
    let faults = data.faults();
    assert_eq!(told_of(&faults), [("constant_quality", "", Severity::Warning)]);
    assert_eq!(faults[0].statistic, "share_of_groups");
    data.quality = vec![1.0; ROWS];
    assert!(data.faults()[0].message.contains("one value in all 120 examples"));
    // Nearly always the same by itself: no fault that two of a group are equal.
    data.quality = (0..ROWS).map(|row| f64::from(u8::from(row % 30 == 0))).collect();
    assert_eq!(told_of(&data.faults()), []);
}

#[test]
fn ids_and_groups_that_may_be_one_are_found() {
    let mut data = Data::clean(7);
    data.group[3] = "S3".to_owned();
    data.ids[30] = "s06_tke30".to_owned();
    data.ids[40] = "s16_TAKE_40".to_owned();
    data.ids[41] = "s16_take-40".to_owned();
    data.group[41] = "s16".to_owned();
    data.fold[41] = data.fold[40];
    let faults = data.faults();
    let told: Vec<_> =
        faults.iter().map(|of| (of.source.as_str(), of.column.clone().unwrap())).collect();
    assert_eq!(
        told,
        [
            ("group", "upper and lower case and leading zeros".to_owned()),
            ("example_id", "upper and lower case and separators".to_owned()),
            ("example_id", "one letter (tke for take)".to_owned()),
        ],
        "{faults:?}"
    );
}

#[test]
fn folds_of_unequal_size_and_folds_that_a_group_fills_are_found() {
    let mut data = Data::clean(8);
    for row in 0..ROWS {
        data.fold[row] = match row % GROUPS {
            0 | 1 => 1,
            _ => 0,
        };
    }
    for row in (1..ROWS).step_by(GROUPS).skip(1) {
        data.group[row] = "s00".to_owned();
    }
    let faults = data.faults();
    let told: Vec<_> = faults.iter().map(|fault| fault.statistic.as_str()).collect();
    assert!(told.contains(&"fold_size_ratio") && told.contains(&"group_share"), "{told:?}");
}

#[test]
fn a_fault_is_a_caution_or_stops_the_run_and_checks_can_be_chosen() {
    let mut data = Data::clean(1);
    data.fold[0] = 1;
    let outputs = data.outputs(json!({})).unwrap();
    assert_eq!(
        outputs.cautions(),
        ["the data have 1 fault: group s00 stands in 2 folds of folds: while one part is tested, \
          another trains"]
    );
    let error = data.outputs(json!({ "on": "error" })).err().unwrap();
    assert!(message(&error).starts_with("the data have 1 fault: group s00"), "{error:?}");
    assert_eq!(error.class, fuseline_engine::Class::Data);
    let others = data.outputs(json!({ "on": "error", "checks": ["duplicate", "balance"] }));
    let audit: Audit = others.unwrap().get("audit").unwrap();
    assert_eq!(
        audit.examined,
        ["duplicate: features m0", "duplicate: features m1", "balance: folds"]
    );
}

#[test]
fn faults_beyond_the_limit_are_counted() {
    let mut data = Data::clean(1);
    for row in 0..6 {
        data.fold[row] = (data.fold[row] + 1) % 4;
    }
    let outputs = data.outputs(json!({ "max_rows": 2, "checks": ["group_in_folds"] })).unwrap();
    let audit: Audit = outputs.get("audit").unwrap();
    assert_eq!((audit.found, audit.rows.len()), (6, 2));
    assert_eq!(audit.not_listed, ["group_in_folds: folds: 4 more"]);
    assert!(outputs.cautions()[0].ends_with("; 4 more"), "{:?}", outputs.cautions());
}
