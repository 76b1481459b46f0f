//! The bench of claims, at its smallest: no false claim may be made more often than its
//! level.

use fuseline_tests::{bench, has_python};

#[test]
fn no_dependence_is_not_claimed_of_gaps_as_large_as_the_margin() {
    if !has_python("numpy") {
        return;
    }
    let Some(said) = bench("bench/claims/equivalence.py") else { return };
    let rows: Vec<&str> = said
        .lines()
        .filter(|line| line.starts_with("| rare") || line.starts_with("| 10"))
        .collect();
    assert_eq!(rows.len(), 2, "{said}");
    // By the bound alone: the claims of the bootstrap are printed beside it.
    assert!(rows.iter().all(|row| row.split('|').nth(4) == Some(" 0.0 % ")), "{said}");
}
