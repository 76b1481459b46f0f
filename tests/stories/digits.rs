//! Ten classes and a hold-out: every rule in the box beside scikit-learn and scipy.

use fuseline_tests::{bench, has_python};

#[test]
fn every_rule_gives_the_numbers_of_an_independent_calculation_on_ten_classes() {
    if !has_python("numpy, scipy, sklearn") {
        return;
    }
    let Some(said) = bench("bench/study/digits.py") else { return };
    assert!(said.contains("48 points compared"), "{said}");
}
