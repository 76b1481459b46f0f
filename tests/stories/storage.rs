//! Large artifacts, at the smallest size at which they are read in pieces: that all of it works, never how long it takes.

use std::process::Command;

use fuseline_tests::{fuseline, root};

#[test]
fn a_table_that_is_read_in_pieces_comes_out_byte_for_byte_as_it_went_in() {
    if Command::new("python3").arg("--version").output().is_err() {
        return;
    }
    let output = Command::new("python3")
        .arg(root().join("bench/io/run.py"))
        .args(["--check", "--fuseline"])
        .arg(fuseline())
        .output()
        .expect("the bench runs");
    let (said, wrong) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{wrong}");
    for step in ["load.parquet, two columns", "cohort.define on it", "load.csv", "check`, 1,0"] {
        assert!(said.contains(step), "{said}");
    }
}
