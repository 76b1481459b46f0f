//! Amounts of memory and times, as workflows, settings and arguments write them.

use std::time::Duration;

/// The longest time that can be written: a year.
const MAX_SECONDS: f64 = 3.2e7;
/// The largest amount that can be written, in bytes.
const MAX_BYTES: f64 = 1e18;

const BYTES: [(&str, f64); 9] = [
    ("b", 1.0),
    ("kb", 1e3),
    ("mb", 1e6),
    ("gb", 1e9),
    ("tb", 1e12),
    ("kib", 1024.0),
    ("mib", 1_048_576.0),
    ("gib", 1_073_741_824.0),
    ("tib", 1_099_511_627_776.0),
];
const SECONDS: [(&str, f64); 6] =
    [("ms", 0.001), ("s", 1.0), ("min", 60.0), ("m", 60.0), ("h", 3600.0), ("d", 86400.0)];

/// An amount with a unit of bytes, such as `512 MiB` or `4GB`, in bytes; none when it is not one.
pub fn parse_bytes(text: &str) -> Option<u64> {
    let bytes = quantity(text, &BYTES)?;
    (1.0..=MAX_BYTES).contains(&bytes).then_some(bytes as u64)
}

/// A time with a unit, such as `90s`, `10 min` or `2h`, of more than nothing and at most a year;
/// none when it is not one.
pub fn parse_time(text: &str) -> Option<Duration> {
    time_from_seconds(quantity(text, &SECONDS)?)
}

/// A time in seconds; `None` for a number that [`parse_time`] never gives.
pub(crate) fn time_from_seconds(seconds: f64) -> Option<Duration> {
    (seconds > 0.0 && seconds <= MAX_SECONDS).then(|| Duration::from_secs_f64(seconds))
}

/// A number with a unit, with or without a space between them.
fn quantity(text: &str, units: &[(&str, f64)]) -> Option<f64> {
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(split);
    let unit = unit.trim().to_lowercase();
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    Some(number.parse::<f64>().ok()? * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_need_a_known_unit() {
        assert_eq!(parse_time("90s"), Some(Duration::from_secs(90)));
        assert_eq!(parse_time(" 1.5 min "), Some(Duration::from_secs(90)));
        assert_eq!(parse_bytes("2 GiB"), Some(2 << 30));
        for wrong in ["90", "s", "1.2.3s", "", "0s", "9999999d"] {
            assert_eq!(parse_time(wrong), None, "{wrong}");
        }
        for wrong in ["90", "GB", "-1GB", "0.1b", "99999999TB"] {
            assert_eq!(parse_bytes(wrong), None, "{wrong}");
        }
    }
}
