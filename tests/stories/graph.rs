//! The bench of graphs, at its smallest: counts of executed actions, never durations.

use fuseline_tests::bench;

#[test]
fn the_graphs_of_the_bench_execute_what_they_must_and_nothing_else() {
    let Some(said) = bench("bench/graph/run.py") else { return };
    for line in [
        "fuseline on fanout: executed {'first': 12, 'noop': 0, 'leaf': 1}",
        "fuseline on chain: executed {'first': 12, 'noop': 0, 'leaf': 1, 'cutoff': 1}",
        "fuseline on layered: executed {'first': 204, 'noop': 0, 'leaf': 2}",
    ] {
        assert!(said.contains(line), "{said}");
    }
}
