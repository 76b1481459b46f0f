//! Large artifacts, at the smallest size at which they are read in pieces: that all of it works,
//! never how long it takes.

use fuseline_tests::bench;

#[test]
fn a_table_that_is_read_in_pieces_comes_out_byte_for_byte_as_it_went_in() {
    let Some(said) = bench("bench/io/run.py") else { return };
    for step in ["load.parquet, two columns", "cohort.define on it", "load.csv", "check`, 1,0"] {
        assert!(said.contains(step), "{said}");
    }
}
