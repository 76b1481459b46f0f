//! Values of settings that are written as text.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fuseline_workflow::{parse_bytes, parse_time};
use regex::Regex;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// An amount of memory, written as `64 GB` or `512MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Amount {
    /// Bytes.
    pub bytes: u64,
}

impl TryFrom<String> for Amount {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let amount = parse_bytes(&text).map(|bytes| Self { bytes });
        amount.ok_or_else(|| format!("must be {AMOUNT}, not \"{text}\""))
    }
}

impl From<Amount> for String {
    fn from(Amount { bytes }: Amount) -> Self {
        let units = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
        let whole = units.into_iter().find(|(_, shift)| bytes % (1 << shift) == 0);
        match whole {
            Some((unit, shift)) => format!("{} {unit}", bytes >> shift),
            None => format!("{bytes} B"),
        }
    }
}

const AMOUNT: &str = "an amount such as 512 MiB or 4 GB";

/// A time, written as `90s`, `10min` or `2h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Time(Duration);

impl Time {
    pub(super) const fn from_seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }
}

impl From<Duration> for Time {
    fn from(time: Duration) -> Self {
        Self(time)
    }
}

impl From<Time> for Duration {
    fn from(time: Time) -> Self {
        time.0
    }
}

impl TryFrom<String> for Time {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let time = parse_time(&text).map(Self);
        time.ok_or_else(|| format!("must be {TIME}, not \"{text}\""))
    }
}

impl From<Time> for String {
    fn from(Time(time): Time) -> Self {
        let seconds = time.as_secs_f64();
        let units = [("h", 3600.0), ("min", 60.0)];
        let whole = units.into_iter().find(|(_, unit)| seconds >= *unit && seconds % unit == 0.0);
        whole.map_or(format!("{seconds}s"), |(name, unit)| format!("{}{name}", seconds / unit))
    }
}

const TIME: &str = "a time such as 90s, 10min or 2h";

/// A file or folder. A relative one in a file of settings counts from the folder of that file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FilePath(PathBuf);

impl From<&str> for FilePath {
    fn from(path: &str) -> Self {
        Self(path.into())
    }
}

impl AsRef<Path> for FilePath {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

/// A regular expression.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(Regex);

impl Pattern {
    /// The expression.
    pub fn regex(&self) -> &Regex {
        &self.0
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let regex = Regex::new(&text).map(Self);
        regex.map_err(|error| {
            let reason = error.to_string();
            let reason = reason.lines().last().unwrap_or_default().trim_start_matches("error: ");
            format!("is no regular expression: {reason}")
        })
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.0.as_str().to_owned()
    }
}

/// Implements the schema of a type that is written as text.
macro_rules! text_schema {
    ($name:ident: $($schema:tt)*) => {
        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", $($schema)* })
            }
        }
    };
}

text_schema!(Amount: "pattern": r"^\s*[0-9.]+\s*([KMGTkmgt][Ii]?)?[Bb]\s*$", "x-expected": AMOUNT);
text_schema!(Time: "pattern": r"^\s*[0-9.]+\s*(ms|s|m|min|h|d)\s*$", "x-expected": TIME);
text_schema!(FilePath: "minLength": 1, "format": "path");
text_schema!(Pattern: "format": "regex");
