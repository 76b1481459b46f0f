use super::*;
use crate::testing::{cohort, message};

/// Six examples of three groups; the first two are tested in fold 0.
fn rows() -> (Cohort, [i32; 6]) {
    let rows: Vec<_> =
        (0..6).map(|row| (format!("e{row}"), format!("g{}", row / 2), row % 2)).collect();
    (cohort(&rows), [0, 0, 1, 1, 1, 1])
}

fn seen(file: &str, text: &str) -> Result<Seen, StageError> {
    Seen::read(Path::new(file), text.as_bytes().to_vec())
}

fn refused(file: &str, text: &str) -> Option<(String, String)> {
    let (cohort, fold) = rows();
    let error = seen(file, text).unwrap().refuse_tested(&cohort, &fold, Some(0)).err()?;
    assert_eq!(error.option.as_deref(), Some("fitted_on.ids"));
    Some((error.code.unwrap().to_string(), error.message))
}

#[test]
fn a_test_example_among_those_of_a_file_is_refused_whatever_the_format() {
    for (file, text) in [
        ("seen.txt", "far\r\n\r\n  e1 \ne5\n"),
        ("seen.csv", "example_id\nfar\ne1\n"),
        ("seen.csv", "far\ne1\n"),
        ("seen.csv", "e1\nfar\n"),
        ("seen.csv", "label,example_id\n1,far\n0,e1\n"),
        ("seen.tsv", "example_id\tlabel\ne1\t0\n"),
        ("seen.jsonl", "{\"example_id\": \"e1\", \"label\": 1}\n"),
    ] {
        assert_eq!(
            refused(file, text),
            Some((
                "fuseline::leak_model_saw_rows".to_owned(),
                format!("{file} has 1 of the 2 test examples of fold 0: e1")
            )),
            "{text}"
        );
    }
    assert_eq!(refused("seen.csv", "example_id\ne2\ne5\nfar\n"), None, "they are training rows");
}

#[test]
fn the_group_of_a_test_example_is_refused_by_its_column_and_by_its_name() {
    for (file, text) in [("seen.csv", "example_id,group\nfar,g0\n"), ("seen.txt", "far\ng0\n")] {
        let (code, message) = refused(file, text).unwrap();
        assert_eq!(code, "fuseline::leak_group");
        assert_eq!(
            message,
            format!("{file} has examples of group g0, of which fold 0 tests 2: e0, e1")
        );
    }
    assert_eq!(refused("seen.csv", "example_id,group\nfar,g1\n"), None);
}

#[test]
fn training_rows_that_the_model_saw_are_known_with_their_groups() {
    let (cohort, _) = rows();
    let seen = seen("seen.csv", "example_id,group\ne3,\nfar,g2\n").unwrap();
    let rows: Vec<usize> = (0..6).filter(|&row| seen.has(&cohort, row)).collect();
    assert_eq!(rows, [3, 4, 5]);
    assert_eq!(
        seen.left_out(&cohort, &rows, 4),
        "3 of 4 training examples get no evidence, since seen.csv has them or their groups: e3, \
         e4, e5"
    );
}

#[test]
fn a_file_that_does_not_say_which_column_or_has_an_empty_cell_is_refused_in_words() {
    let error = seen("seen.csv", "id,label\ne1,0\n").unwrap_err();
    assert_eq!(
        message(&error),
        "seen.csv has no column example_id; \
         call the column example_id, or leave only that one; its columns are id, label"
    );
    let error = seen("seen.csv", "example_id,label\n,0\n").unwrap_err();
    assert_eq!(error.message, "line 2 of seen.csv has no example_id");
    assert!(seen("seen.npz", "e1").is_err());
}

#[test]
fn five_ids_are_listed_and_the_others_counted() {
    assert_eq!(listed(["a", "b"].into_iter()), "a, b");
    assert_eq!(listed(["a"; 7].into_iter()), "a, a, a, a, a and 2 more");
}
