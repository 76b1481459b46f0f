//! The bench of claims, at its smallest: no false claim may be made more often than its limit.

use fuseline_tests::{bench, has_python};

#[test]
fn reports_of_simulated_studies_claim_what_is_so() {
    if !has_python("numpy, scipy") {
        return;
    }
    // It fails where a share lies above its limit.
    let Some(said) = bench("bench/claims/claims.py") else { return };
    let shares = |item: &str| -> Vec<&str> {
        let rows = said.lines().filter(|line| line.starts_with(&format!("| {item}")));
        rows.filter_map(|row| row.split('|').nth(5)).map(str::trim).collect()
    };
    let counts =
        [("1 none", 4), ("3 per", 2), ("4 groups", 3), ("7 flips", 4), ("9", 2), ("12", 3)];
    for (item, rows) in counts {
        assert_eq!(shares(item).len(), rows, "{item}: {said}");
    }
    // What cannot be tested is never called none, and the claim that is true is made.
    assert!(shares("1 none").iter().all(|share| share.starts_with("0 % ")), "{said}");
    let last = shares("equivalence").pop().unwrap_or_default();
    assert!(last.starts_with("100 % "), "{said}");
    assert!(said.contains("p of numbers under the null"), "{said}");
}
