use super::*;

fn interval(low: f64, high: f64) -> Interval {
    Interval { low, high, confidence: confidence(0.05) }
}

#[test]
fn a_test_at_one_in_twenty_takes_the_ninety_percent_interval() {
    assert_eq!(confidence(0.05), 0.9);
}

#[test]
fn an_interval_must_lie_strictly_within_both_margins() {
    assert!(within(&interval(-0.01, 0.019), 0.02));
    assert!(!within(&interval(-0.01, 0.02), 0.02));
    assert!(!within(&interval(-0.02, 0.01), 0.02));
    assert!(!within(&interval(-0.5, 0.5), 0.02), "a wide interval cannot tell");
    assert!(!within(&interval(0.03, 0.04), 0.02), "a sure difference is not equivalence");
}

#[test]
fn no_margin_and_no_number_show_nothing() {
    assert!(!within(&interval(0.0, 0.0), 0.0));
    assert!(!within(&interval(0.0, 0.0), -1.0));
    assert!(!within(&interval(f64::NAN, 0.0), 0.02));
    assert!(!within(&interval(0.0, 0.0), f64::NAN));
}
