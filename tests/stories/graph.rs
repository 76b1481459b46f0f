//! The bench of graphs, at its smallest: what is executed, never how long it takes.

use std::process::Command;

use fuseline_tests::{fuseline, root};

#[test]
fn the_graphs_of_the_bench_execute_what_they_must_and_nothing_else() {
    if Command::new("python3").arg("--version").output().is_err() {
        return;
    }
    let output = Command::new("python3")
        .arg(root().join("bench/graph/run.py"))
        .args(["--check", "--fuseline"])
        .arg(fuseline())
        .output()
        .expect("the bench runs");
    let (said, wrong) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{wrong}");
    for line in [
        "fuseline on fanout: executed {'first': 12, 'noop': 0, 'leaf': 1}",
        "fuseline on chain: executed {'first': 12, 'noop': 0, 'cutoff': 1}",
        "fuseline on layered: executed {'first': 204, 'noop': 0}",
    ] {
        assert!(said.contains(line), "{said}");
    }
}
