//! Notation of values: of missing ones and of numbers.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// Means the default list in `missing`.
const DEFAULTS: &str = "...";

/// Texts that mark a missing value unless an option says otherwise, in any case: what pandas, R,
/// numpy, Excel and databases write.
const DEFAULT_MARKERS: [&str; 13] = [
    "NA", "N/A", "NaN", "null", "None", "<NA>", "#N/A", "#NA", "#N/A N/A", "-NaN", "1.#QNAN",
    "-1.#QNAN", "-1.#IND",
];

/// Notations of a missing value, besides an empty cell.
#[derive(Debug, Clone, PartialEq)]
pub struct Missing {
    /// True if the default list counts.
    defaults: bool,
    /// Others, as written.
    texts: Vec<String>,
    /// Those of them that are numbers.
    numbers: Vec<f64>,
}

impl Default for Missing {
    fn default() -> Self {
        Self { defaults: true, texts: Vec::new(), numbers: Vec::new() }
    }
}

impl Missing {
    /// True if a text, without space around it, marks a missing value.
    pub(crate) fn has_text(&self, text: &str) -> bool {
        text.is_empty()
            || self.defaults && DEFAULT_MARKERS.iter().any(|known| text.eq_ignore_ascii_case(known))
            || self.texts.iter().any(|known| known == text)
            || !self.numbers.is_empty() && text.parse().is_ok_and(|number| self.has_number(number))
    }

    /// True if a number marks a missing value, as -999 may.
    pub(crate) fn has_number(&self, number: f64) -> bool {
        number.is_nan() || self.numbers.contains(&number)
    }

    /// The option that would count a text as well.
    pub(crate) fn option_with(&self, text: &str) -> String {
        let defaults = self.defaults.then(|| DEFAULTS.to_owned()).into_iter();
        let texts = self.texts.iter().map(String::as_str).chain([text]);
        let items: Vec<_> = defaults.chain(texts.map(|text| format!("{text:?}"))).collect();
        format!("missing: [{}]", items.join(", "))
    }
}

impl Serialize for Missing {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let defaults = self.defaults.then_some(DEFAULTS).into_iter();
        serializer.collect_seq(defaults.chain(self.texts.iter().map(String::as_str)))
    }
}

impl<'de> Deserialize<'de> for Missing {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut missing = Self { defaults: false, texts: Vec::new(), numbers: Vec::new() };
        for Marker(text) in Vec::<Marker>::deserialize(deserializer)? {
            if text == DEFAULTS {
                missing.defaults = true;
                continue;
            }
            missing.numbers.extend(text.parse::<f64>().ok().filter(|number| !number.is_nan()));
            missing.texts.push(text);
        }
        Ok(missing)
    }
}

impl JsonSchema for Missing {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Missing".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "array",
            "items": { "type": ["string", "number"] },
            "description": "What stands for a missing value, besides an empty cell: `...` is the \
                default list (NA, N/A, NaN, null, None, `<NA>`, #N/A and #NA, in any case), and \
                every other text or number counts as it is written, as in [..., \"-\", -999]."
        })
    }
}

/// A text or a number of the list, as text.
struct Marker(String);

impl<'de> Deserialize<'de> for Marker {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MarkerVisitor;
        impl Visitor<'_> for MarkerVisitor {
            type Value = Marker;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a number that stands for a missing value")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Marker, E> {
                Ok(Marker(number.to_string()))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Marker, E> {
                Ok(Marker(number.to_string()))
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Marker, E> {
                Ok(Marker(number.to_string()))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Marker, E> {
                Ok(Marker(text.trim().to_owned()))
            }
        }
        deserializer.deserialize_any(MarkerVisitor)
    }
}

/// Decimal separator.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Decimal {
    /// A point: 0.5.
    #[default]
    #[serde(rename = ".")]
    Point,
    /// A comma: 0,5.
    #[serde(rename = ",")]
    Comma,
}

impl Decimal {
    /// As it is written.
    pub(crate) fn sign(self) -> char {
        match self {
            Self::Point => '.',
            Self::Comma => ',',
        }
    }
}

/// Notation of the values of a table.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Notation {
    pub missing: Missing,
    pub decimal: Decimal,
    /// Thousands separator.
    pub thousands: Option<char>,
    /// Options of the reader that say another notation, which hints may name.
    pub options: &'static [&'static str],
}

impl Notation {
    /// The number of a text, NaN when it marks a missing value.
    pub fn number(&self, text: &str) -> Option<f64> {
        match self.parse(text) {
            Some(number) if self.missing.has_number(number) => Some(f64::NAN),
            None if self.missing.has_text(text) => Some(f64::NAN),
            parsed => parsed,
        }
    }

    fn parse(&self, text: &str) -> Option<f64> {
        match (self.decimal, self.thousands) {
            (Decimal::Point, None) => text.parse().ok(),
            (Decimal::Point, Some(separator)) => joined(text, '.', separator)?.parse().ok(),
            (Decimal::Comma, separator) => {
                // A point is no decimal point here.
                let text = joined(text, ',', separator.unwrap_or('\0'))?;
                (!text.contains('.')).then(|| text.replace(',', ".").parse().ok())?
            }
        }
    }

    /// Hint for a text that is not a number.
    pub fn suggestion(&self, text: &str) -> String {
        let has = |options: &[&str]| options.iter().all(|option| self.options.contains(option));
        let reads = |decimal, thousands| {
            Self { decimal, thousands, ..Self::default() }.parse(text).is_some()
        };
        let grouped = |decimal, separators: &str| {
            separators.chars().find(|separator| reads(decimal, Some(*separator)))
        };
        let others = " '_\u{a0}\u{202f}\u{2019}";
        let comma = reads(Decimal::Comma, None);
        let point = grouped(Decimal::Point, &format!(",{others}"));
        let commas = grouped(Decimal::Comma, &format!(".{others}"));
        match (point, commas) {
            _ if self.decimal == Decimal::Comma && reads(Decimal::Point, None) => {
                "decimal: \",\" is for commas, and here stands a point".to_owned()
            }
            (Some(','), _) if comma && has(&["thousands", "decimal"]) => {
                "write thousands: \",\" where the comma separates thousands, or \
                decimal: \",\" where it is a decimal comma"
                    .to_owned()
            }
            _ if comma && has(&["decimal"]) => {
                "write decimal: \",\" where the comma is a decimal comma".to_owned()
            }
            (Some(separator), _) if has(&["thousands"]) => {
                format!("write thousands: {}", quoted(separator))
            }
            (None, Some(separator)) if has(&["thousands", "decimal"]) => {
                format!("write decimal: \",\" and thousands: {}", quoted(separator))
            }
            (None, None) if !comma && has(&["missing"]) => {
                format!(
                    "write {} where it stands for a missing value",
                    self.missing.option_with(text)
                )
            }
            (None, None) if !comma => {
                "leave the cell empty where it stands for a missing value".to_owned()
            }
            _ => "write numbers with a decimal point and nothing between thousands".to_owned(),
        }
    }
}

/// A number far from all others of a column that occurs several times: many writers put -999 where
/// a value is missing.
#[derive(Debug, PartialEq)]
pub(crate) struct Sentinel {
    pub value: f64,
    count: usize,
    /// The least and the largest of the others.
    others: (f64, f64),
}

impl fmt::Display for Sentinel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { value, count, others: (low, high) } = self;
        write!(f, "has the value {value} {count} times, far from all others ({low} to {high})")
    }
}

/// The sentinel among the numbers of a column, if one looks so.
pub(crate) fn sentinel(values: impl Iterator<Item = f64>) -> Option<Sentinel> {
    const USUAL: [f64; 8] = [-99.0, 99.0, -999.0, 999.0, -9999.0, 9999.0, -99999.0, 99999.0];
    let (mut counts, mut low, mut high) =
        ([0_usize; USUAL.len()], f64::INFINITY, f64::NEG_INFINITY);
    for value in values.filter(|value| value.is_finite()) {
        // Most values are none of these.
        let usual =
            (value.abs() >= 99.0).then(|| USUAL.iter().position(|usual| *usual == value)).flatten();
        match usual {
            Some(usual) => counts[usual] += 1,
            None => (low, high) = (low.min(value), high.max(value)),
        }
    }
    let mut met = USUAL.into_iter().zip(counts).filter(|(_, count)| *count > 0);
    let (Some((value, count)), None) = (met.next(), met.next()) else { return None };
    let gap = f64::max(low - value, value - high);
    (count > 1 && gap > 2.0 * (high - low) && high > low).then_some(Sentinel {
        value,
        count,
        others: (low, high),
    })
}

/// A character as YAML takes it, and as it can be seen.
fn quoted(separator: char) -> String {
    match separator.is_ascii() {
        true => format!("\"{separator}\""),
        false => format!("\"\\u{:04x}\"", u32::from(separator)),
    }
}

/// A number without what separates groups of three digits; `None` when other groups are separated.
fn joined(text: &str, point: char, separator: char) -> Option<String> {
    let whole = text.find(point).unwrap_or(text.len());
    let (whole, fraction) = text.split_at(whole);
    if !whole.contains(separator) {
        return (!fraction.contains(separator)).then(|| text.to_owned());
    }
    let (sign, digits) = match whole.strip_prefix(['-', '+']) {
        Some(digits) => (&whole[..1], digits),
        None => ("", whole),
    };
    let mut groups = digits.split(separator);
    let first = groups.next().unwrap_or_default();
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let sound = (1..=3).contains(&first.len())
        && !first.starts_with('0')
        && are_digits(first)
        && groups.all(|group| group.len() == 3 && are_digits(group))
        && !fraction.contains(separator);
    sound.then(|| format!("{sign}{}{fraction}", digits.replace(separator, "")))
}

#[cfg(test)]
mod tests;
