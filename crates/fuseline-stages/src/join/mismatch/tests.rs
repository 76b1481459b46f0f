use super::*;

fn find(here: &[&str], there: &[&str]) -> Option<Mismatch> {
    find_mismatch(&[
        Source::new("a.csv", here.iter().copied()),
        Source::new("b.csv", there.iter().copied()),
    ])
}

#[track_caller]
fn says(here: &[&str], there: &[&str], text: &str) {
    assert_eq!(find(here, there).map(|found| found.to_string()).as_deref(), Some(text));
}

#[test]
fn ids_that_differ_by_their_writing_alone_are_found() {
    says(
        &["001", "002"],
        &["1", "2"],
        "2 of them differ by leading zeros alone: \"001\" in a.csv, \"1\" in b.csv",
    );
    says(
        &["p01_Rest"],
        &["P01_rest", "x"],
        "1 of them differs by upper and lower case alone: \"p01_Rest\" in a.csv, \"P01_rest\" in \
         b.csv",
    );
    says(
        &["Jos\u{e9}"],
        &["Jose\u{301}"],
        "1 of them differs by Unicode normalisation (NFC, NFD) alone: \"Jos\\u{e9}\" in a.csv, \
         \"Jose\\u{301}\" in b.csv",
    );
    says(
        &["p 1", "p2"],
        &["p  1", "\u{feff}p2"],
        "2 of them differ by blanks or invisible characters alone: \"p2\" in a.csv, \
         \"\\u{feff}p2\" in b.csv",
    );
    says(
        &["1", "2"],
        &["1.0", "2.0"],
        "2 of them differ by a number written as 1 and as 1.0 alone: \"1\" in a.csv, \"1.0\" in \
         b.csv",
    );
    says(
        &["p1.wav", "p2.WAV"],
        &["p1", "p2"],
        "2 of them differ by a file ending alone: \"p1.wav\" in a.csv, \"p1\" in b.csv",
    );
    says(
        &["p1-rest"],
        &["p1_rest"],
        "1 of them differs by separators alone: \"p1-rest\" in a.csv, \"p1_rest\" in b.csv",
    );
    says(
        &["b'p1'"],
        &["p1"],
        "1 of them differs by quotes alone: \"b'p1'\" in a.csv, \"p1\" in b.csv",
    );
    says(
        &["P01.wav", "2"],
        &["p01", "02"],
        "1 of them differs by leading zeros alone: \"2\" in a.csv, \"02\" in b.csv, and 1 more in \
         similar ways",
    );
}

#[test]
fn a_beginning_or_an_ending_is_found_where_ids_part() {
    says(
        &["sub-01", "sub-02", "sub-03"],
        &["1", "2", "3"],
        "3 of them differ by a beginning alone: \"sub-01\" in a.csv, \"1\" in b.csv",
    );
    let found = find(&["data/x/p1", "data/x/p2"], &["p1", "p2"]).unwrap();
    assert_eq!(found.hint(), "take it off with id: { column: ..., pattern: '^(?:data/x/)?(.+)$' }");
    let found = find(&["p1", "p2"], &["p1_audio", "p2_audio"]).unwrap();
    assert_eq!(found.difference, "an ending");
    assert_eq!(found.hint(), "take it off with id: { column: ..., pattern: '^(.+?)(?:_audio)?$' }");
}

#[test]
fn ids_that_are_meant_to_differ_are_not_taken_for_the_same() {
    assert_eq!(find(&["1", "2", "3"], &["11", "21", "31"]), None);
    assert_eq!(find(&["p1", "p2"], &["p3", "p4"]), None);
    assert_eq!(find(&["p1_rest"], &["p10_rest", "p1"]), None, "one alone is chance");
    assert_eq!(find(&["a1", "A1"], &["a01"]), None, "which of the two is meant?");
    assert_eq!(find(&["1.5", "2.5"], &["1", "2"]), None);
    assert_eq!(find(&[], &["1"]), None);
}

#[test]
fn three_sources_are_compared_with_one_another() {
    let sources = [
        Source::new("a", ["01", "02"]),
        Source::new("b", ["1", "2"]),
        Source::new("c", ["1", "3"]),
    ];
    let found = find_mismatch(&sources).unwrap();
    assert_eq!((found.pairs, found.most), (2, 2));
}
