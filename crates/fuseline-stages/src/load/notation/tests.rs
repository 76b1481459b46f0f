use serde_json::json;

use super::*;

fn missing(list: serde_json::Value) -> Missing {
    serde_json::from_value(list).unwrap()
}

fn notation(decimal: Decimal, thousands: Option<char>) -> Notation {
    Notation { decimal, thousands, ..Notation::default() }
}

#[test]
fn what_programs_write_for_a_missing_value_is_missing_in_any_case() {
    let missing = Missing::default();
    for text in ["", "NA", "na", "nan", "NaN", "-nan", "None", "NULL", "n/a", "#N/A", "<NA>"] {
        assert!(missing.has_text(text), "{text}");
    }
    for text in ["-", ".", "?", "\\N", "-999", "nano", "0", "North"] {
        assert!(!missing.has_text(text), "{text}");
    }
}

#[test]
fn an_option_adds_to_the_default_list_or_takes_its_place() {
    let more = missing(json!(["...", "-", -999]));
    assert!(more.has_text("NA") && more.has_text("-") && more.has_text("-999"));
    assert!(more.has_text("-999.0") && more.has_number(-999.0), "a number, however it is written");
    let other = missing(json!(["x"]));
    assert!(other.has_text("x") && other.has_text(""));
    assert!(!other.has_text("NA") && !other.has_text("X"), "what is written counts as it is");
    assert_eq!(serde_json::to_value(more).unwrap(), json!(["...", "-", "-999"]));
}

#[test]
fn a_number_is_read_as_it_is_written() {
    let close = |read: Option<f64>, wanted: f64| read.is_some_and(|read| read == wanted);
    let german = notation(Decimal::Comma, Some('.'));
    assert!(close(german.number("1.234.567,5"), 1_234_567.5));
    assert!(close(german.number("-0,5"), -0.5) && close(german.number("1e3"), 1000.0));
    assert_eq!(german.number("1.5"), None, "no group of three");
    let comma = notation(Decimal::Comma, None);
    assert!(close(comma.number("2,25"), 2.25));
    assert_eq!((comma.number("2.25"), comma.number("1,2,3")), (None, None));
    let grouped = notation(Decimal::Point, Some(','));
    assert!(close(grouped.number("1,234.5"), 1234.5) && close(grouped.number("12"), 12.0));
    for text in ["1,23", "1,2345", "0,123", "1,,000", ",100", "1.5,000"] {
        assert_eq!(grouped.number(text), None, "{text}");
    }
    assert!(grouped.number("NA").is_some_and(f64::is_nan));
}

#[test]
fn what_is_no_number_comes_with_the_option_that_reads_it() {
    let options: &[&str] = &["missing", "decimal", "thousands"];
    let plain = Notation { options, ..Notation::default() };
    let suggestions = ["1,000", "0,5", "1 000", "1.234,5", "-", "\\N", "#DIV/0!"];
    let suggestions = suggestions.map(|text| plain.suggestion(text));
    assert_eq!(
        suggestions,
        [
            "write thousands: \",\" where the comma separates thousands, or decimal: \",\" where \
             it is a decimal comma",
            "write decimal: \",\" where the comma is a decimal comma",
            "write thousands: \" \"",
            "write decimal: \",\" and thousands: \".\"",
            "write missing: [..., \"-\"] where it stands for a missing value",
            "write missing: [..., \"\\\\N\"] where it stands for a missing value",
            "write missing: [..., \"#DIV/0!\"] where it stands for a missing value",
        ]
    );
    let more = Notation { missing: missing(json!(["...", "-"])), ..plain };
    assert_eq!(
        more.suggestion("?"),
        "write missing: [..., \"-\", \"?\"] where it stands for a missing value"
    );
}

#[test]
fn a_hint_names_no_option_that_a_reader_lacks() {
    let texts = ["1,000", "0,5", "1 000", "1.234,5", "-"];
    let number = "write numbers with a decimal point and nothing between thousands";
    let none = texts.map(|text| Notation::default().suggestion(text));
    let empty = "leave the cell empty where it stands for a missing value";
    assert_eq!(none, [number, number, number, number, empty]);
    let decimal = Notation { options: &["missing", "decimal"], ..Notation::default() };
    let comma = "write decimal: \",\" where the comma is a decimal comma";
    assert_eq!(decimal.suggestion("1,000"), comma);
    assert_eq!(["1 000", "1.234,5"].map(|text| decimal.suggestion(text)), [number; 2]);
    assert!(decimal.suggestion("-").contains("missing: [..., \"-\"]"));
}

#[test]
fn a_number_far_from_all_others_looks_like_a_missing_value() {
    let found = |values: &[f64]| sentinel(values.iter().copied()).map(|found| found.to_string());
    assert_eq!(
        found(&[0.5, -999.0, 1.5, -999.0]).as_deref(),
        Some("has the value -999 2 times, far from all others (0.5 to 1.5)")
    );
    assert_eq!(found(&[0.5, -999.0, 1.5]), None, "once is an outlier");
    assert_eq!(found(&[97.0, 98.0, 99.0, 99.0, 0.0]), None, "among the others");
    assert_eq!(found(&[99.0, 99.0, 999.0, 0.0, 1.0]), None);
    assert_eq!(found(&[99.0, 99.0]), None);
}
