use super::*;

/// 40 rows of two modalities and two classes; the second is missing in every fifth row.
fn case() -> (Vec<bool>, Vec<f64>) {
    let available = (0..80).map(|at| at % 10 != 5).collect();
    let evidence = (0..80).flat_map(|at| {
        let p = f64::from(at * 37 % 80 + 1) / 82.0;
        [1.0 - p, p]
    });
    (available, evidence.collect())
}

#[test]
fn a_margin_is_in_the_evidence_and_noise_is_not() {
    let (available, evidence) = case();
    let rows =
        EvidenceRows { modalities: 2, classes: 2, available: &available, evidence: &evidence };
    let mut quality: Vec<f64> = evidence.chunks(2).map(margin).collect();
    (1..80).step_by(2).for_each(|at| quality[at] = f64::from(at as u32 * 29 % 31));
    let fold: Vec<u32> = (0..40).map(|row| row % 5).collect();
    let r2 = out_of_fold_r2(&rows, &quality, &fold).unwrap();
    assert!(r2[0].unwrap() > 1.0 - 1e-9 && r2[1].unwrap() < 0.2, "{r2:?}");
    let fitted = QualityRegression::fit(&rows, &quality).unwrap();
    let expected = fitted.predict(&rows).unwrap();
    assert!((expected[6] - quality[6]).abs() < 1e-6);
    assert_eq!(expected[5], 0.0, "the modality is not there");
}

#[test]
fn the_order_of_classes_changes_nothing() {
    let available = [true; 60];
    let p = |at: u32| {
        let parts = [at * 37 % 60 + 1, at * 23 % 41 + 1, at * 11 % 17 + 1].map(f64::from);
        parts.map(|part| part / parts.iter().sum::<f64>())
    };
    let fold: Vec<u32> = (0..60).map(|row| row % 5).collect();
    let quality: Vec<f64> = (0..60).map(|at| p(at)[2] + f64::from(at * 29 % 31) / 120.0).collect();
    let r2 = |order: [usize; 3]| {
        let evidence: Vec<f64> = (0..60).flat_map(|at| order.map(|class| p(at)[class])).collect();
        let rows =
            EvidenceRows { modalities: 1, classes: 3, available: &available, evidence: &evidence };
        out_of_fold_r2(&rows, &quality, &fold).unwrap()[0].unwrap()
    };
    let own = r2([0, 1, 2]);
    assert!(own > 0.1, "{own}");
    for order in [[2, 0, 1], [0, 2, 1], [1, 0, 2]] {
        assert!((r2(order) - own).abs() < 1e-9, "{order:?}");
    }
}

#[test]
fn quality_of_one_value_and_rows_of_one_fold_have_no_r2() {
    let (available, evidence) = case();
    let rows =
        EvidenceRows { modalities: 2, classes: 2, available: &available, evidence: &evidence };
    let fold: Vec<u32> = (0..40).map(|row| row % 5).collect();
    assert_eq!(out_of_fold_r2(&rows, &[0.1; 80], &fold).unwrap(), [None, None]);
    let margins: Vec<f64> = evidence.chunks(2).map(margin).collect();
    assert_eq!(out_of_fold_r2(&rows, &margins, &[3; 40]).unwrap(), [None, None]);
    assert!(out_of_fold_r2(&rows, &margins, &[3; 39]).is_err());
    assert!(QualityRegression::fit(&rows, &margins[1..]).is_err());
}
