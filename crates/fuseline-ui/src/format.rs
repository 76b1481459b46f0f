//! Format of numbers, times and texts for pages.

use fuseline::visible;

/// Bytes with their unit.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut amount, mut unit) = (bytes as f64, 0);
    while amount >= 1024.0 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{amount:.1} {}", UNITS[unit]) }
}

/// A duration: `0.123 s`, `12.3 s`, `4 min 05 s`, `3 h 07 min`.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    match seconds {
        _ if !seconds.is_finite() => "unknown".to_owned(),
        short if short < 9.9995 => format!("{:.3} s", short.max(0.0)),
        short if short < 99.95 => format!("{short:.1} s"),
        _ if whole < 3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole / 60 % 60),
    }
}

/// An integer with thin spaces between groups of three digits.
pub fn count(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// A count with its noun: `1 action`, `3 actions`.
pub fn counted(number: usize, one: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {one}{plural}", count(number))
}

/// A number in four significant digits.
pub fn number(value: f64) -> String {
    let size = value.abs();
    match () {
        () if !value.is_finite() => value.to_string(),
        () if value == 0.0 => "0".to_owned(),
        () if !(1e-4..1e6).contains(&size) => format!("{value:.3e}"),
        () if value.fract() == 0.0 => format!("{value:.0}"),
        () => {
            let digits = (3 - size.log10().floor() as i32).clamp(0, 8) as usize;
            let text = format!("{value:.digits$}");
            let text = if text.contains('.') { text.trim_end_matches('0') } else { &text };
            text.trim_end_matches('.').to_owned()
        }
    }
}

/// A text of data: what does something to a display is shown by its number, and what is long is
/// cut.
pub fn cut(text: &str, most: usize) -> String {
    let shown = visible(text);
    match shown.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &shown[..end]),
        None => shown.into_owned(),
    }
}

/// A text as a part of an address.
pub fn query_value(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let part = |byte: u8| match is_plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_units_that_fit() {
        assert_eq!([bytes(7), bytes(1536), bytes(3 << 30)], ["7 B", "1.5 KiB", "3.0 GiB"]);
        let times = [0.0123, 12.34, 245.0, 11_220.0, -1.0].map(duration);
        assert_eq!(times, ["0.012 s", "12.3 s", "4 min 05 s", "3 h 07 min", "0.000 s"]);
        assert_eq!([counted(1, "run"), counted(12_345, "run")], ["1 run", "12\u{202f}345 runs"]);
    }

    #[test]
    fn numbers_are_short_and_true() {
        let shown = [0.0, 1.0, 0.123456, -12.3456, 123456.7, 1e-9, 2.5e7, f64::NAN].map(number);
        assert_eq!(shown, ["0", "1", "0.1235", "-12.35", "123457", "1.000e-9", "2.500e7", "NaN"]);
    }

    #[test]
    fn texts_are_cut_between_letters_and_shown_by_their_numbers() {
        assert_eq!(cut("äöü", 2), "äö…");
        assert_eq!(cut("a\u{1b}[2J", 99), "a\\u{1b}[2J");
        assert_eq!(query_value("a b&c=ä"), "a%20b%26c%3D%C3%A4");
    }
}
