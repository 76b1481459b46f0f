//! Dates and times for people.

use chrono::DateTime;

/// A date and time of the universal clock, such as `2026-02-28 23:59:59Z`, from seconds since 1970.
pub fn utc_text(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    // Beyond the calendar's last year: a clock that is that wrong is shown as it is.
    time.map_or_else(|| format!("{seconds} s"), |time| time.format("%F %TZ").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        assert_eq!(utc_text(0), "1970-01-01 00:00:00Z");
        assert_eq!(utc_text(951_782_399), "2000-02-28 23:59:59Z");
        assert_eq!(utc_text(951_782_400), "2000-02-29 00:00:00Z");
        assert_eq!(utc_text(1_767_225_599), "2025-12-31 23:59:59Z");
        assert_eq!(utc_text(u64::MAX), "18446744073709551615 s");
    }
}
