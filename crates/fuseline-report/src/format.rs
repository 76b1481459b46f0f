//! Format of numbers, in one place.
//!
//! Accuracies are per cent, differences of accuracies are percentage points (pp) with a sign; both
//! have one decimal, and a difference below 0.1 pp has two, so that it does not read as none.

use crate::data::{FindingRow, Point};

/// Placeholder for a missing value.
pub const NONE: &str = "–";

/// A fraction as per cent, "71.4 %".
pub fn percent(value: Option<f64>) -> String {
    match finite(value) {
        Some(value) => format!("{:.1}\u{a0}%", value * 100.0),
        None => NONE.to_owned(),
    }
}

/// A difference of fractions in percentage points without the unit, "+2.3", "−0.04", "0".
pub fn points(value: Option<f64>) -> String {
    let Some(value) = finite(value).map(|value| value * 100.0) else { return NONE.to_owned() };
    let size = value.abs();
    // The last bits of a sum are no difference.
    if size <= 1e-10 {
        return "0".to_owned();
    }
    let sign = if value < 0.0 { '−' } else { '+' };
    // 0.0996 would round up to 0.10: it is one decimal's 0.1.
    if size < 0.095 {
        if size < 0.005 { format!("{sign}0.00") } else { format!("{sign}{size:.2}") }
    } else {
        format!("{sign}{size:.1}")
    }
}

/// The same with the unit, "+2.3 pp".
pub fn points_pp(value: Option<f64>) -> String {
    if finite(value).is_none() { NONE.to_owned() } else { format!("{}\u{a0}pp", points(value)) }
}

/// A size in percentage points, without a sign, "2.0 pp".
pub fn size_pp(value: f64) -> String {
    points_pp(Some(value.abs())).trim_start_matches('+').to_owned()
}

/// A difference with its interval, "+2.3 pp [+0.4, +4.1]".
pub fn points_interval(value: Option<f64>, low: Option<f64>, high: Option<f64>) -> String {
    match (finite(low), finite(high)) {
        (Some(_), Some(_)) => format!("{} [{}, {}]", points_pp(value), points(low), points(high)),
        _ => points_pp(value),
    }
}

/// The gap of a row with its interval.
pub fn gap(row: &FindingRow) -> String {
    points_interval(row.gap, row.gap_low, row.gap_high)
}

/// A p-value without its letter, "0.012", "< 0.001".
pub fn p_number(value: Option<f64>) -> String {
    match finite(value) {
        None => NONE.to_owned(),
        Some(value) if value < 0.001 => "<\u{a0}0.001".to_owned(),
        Some(value) => format!("{value:.3}"),
    }
}

/// A p-value, "p = 0.012", "p < 0.001".
pub fn p_value(value: Option<f64>) -> String {
    match finite(value) {
        Some(value) if value >= 0.001 => format!("p\u{a0}=\u{a0}{value:.3}"),
        other => format!("p\u{a0}{}", p_number(other)),
    }
}

/// A number such as an AUROC, "0.731".
pub fn plain(value: Option<f64>) -> String {
    finite(value).map_or_else(|| NONE.to_owned(), |value| format!("{value:.3}"))
}

/// A count with thin spaces between thousands.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) && digits.len() > 4 {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// A count with its noun, "1 condition", "3 conditions".
pub fn counted(count: impl ToString, noun: &str) -> String {
    let count = count.to_string();
    let plural = if count == "1" { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

/// A point by its values, "lr · margin · alpha 0.5".
pub fn point_values(point: &Point) -> String {
    if point.is_empty() {
        return "the one condition".to_owned();
    }
    point.iter().map(|(axis, value)| value_label(axis, value)).collect::<Vec<_>>().join(" · ")
}

/// An axis value; one that says nothing by itself, a number or such a word as none, is given its
/// axis's name.
pub fn value_label(axis: &str, value: &str) -> String {
    const BARE: [&str; 9] = ["none", "all", "true", "false", "yes", "no", "on", "off", "default"];
    let is_bare = value.parse::<f64>().is_ok() || BARE.contains(&value.to_lowercase().as_str());
    if is_bare { format!("{axis} {value}") } else { value.to_owned() }
}

/// Joins words as English does: "a", "a and b", "a, b and c".
pub fn listed(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// A text with its first letter in upper case.
pub fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}", letters.as_str())
}

/// `None` for what is no number.
pub fn finite(value: Option<f64>) -> Option<f64> {
    value.filter(|value| value.is_finite())
}

/// Bytes in a unit that people read.
pub fn size(bytes: u64) -> String {
    const UNITS: [(f64, &str); 3] = [(1e9, "GB"), (1e6, "MB"), (1e3, "kB")];
    let bytes = bytes as f64;
    let unit = UNITS.iter().find(|(size, _)| bytes >= *size);
    unit.map_or_else(
        || format!("{bytes}\u{a0}bytes"),
        |(size, name)| format!("{:.1}\u{a0}{name}", bytes / size),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_carry_a_sign_and_small_ones_do_not_read_as_none() {
        let written = [0.0231, -0.0231, 0.0, 1e-14, 0.0004, -0.00096, 0.00001]
            .map(|value| points(Some(value)));
        assert_eq!(written, ["+2.3", "−2.3", "0", "0", "+0.04", "−0.1", "+0.00"]);
        assert_eq!(points(Some(f64::NAN)), NONE);
    }

    #[test]
    fn intervals_are_left_out_unless_both_ends_are_known() {
        assert_eq!(
            points_interval(Some(0.023), Some(0.004), Some(0.041)),
            "+2.3\u{a0}pp [+0.4, +4.1]"
        );
        assert_eq!(points_interval(Some(0.023), None, Some(0.041)), "+2.3\u{a0}pp");
    }

    #[test]
    fn values_that_say_nothing_alone_are_given_their_axis() {
        let point = [("outage", "none"), ("rule", "lr"), ("alpha", "0.5"), ("damage", "None")]
            .map(|(axis, value)| (axis.to_owned(), value.to_owned()));
        let point = Point::from_iter(point);
        assert_eq!(point_values(&point), "outage none · lr · alpha 0.5 · damage None");
    }

    #[test]
    fn p_values_never_read_as_zero() {
        let written = [0.05, 0.001, 0.000_999].map(|value| p_value(Some(value)));
        assert_eq!(written, ["p\u{a0}=\u{a0}0.050", "p\u{a0}=\u{a0}0.001", "p\u{a0}<\u{a0}0.001"]);
    }

    #[test]
    fn counts_are_grouped_from_five_digits_on() {
        assert_eq!(
            [7, 1000, 12_345, 1_234_567].map(count).join("|"),
            "7|1000|12\u{202f}345|1\u{202f}234\u{202f}567"
        );
    }
}
