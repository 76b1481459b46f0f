//! Arithmetic: whole numbers that do not overflow silently, and finite floats.

use std::cmp::Ordering;

use serde_json::{Number, Value};

/// A number: whole, or a float.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Num {
    Int(i64),
    Float(f64),
}

impl Num {
    pub fn from_value(value: &Value) -> Option<Self> {
        let number = value.as_number()?;
        number.as_i64().map(Self::Int).or_else(|| number.as_f64().map(Self::Float))
    }

    pub fn float(self) -> f64 {
        match self {
            Self::Int(number) => number as f64,
            Self::Float(number) => number,
        }
    }

    pub fn value(self) -> Result<Value, String> {
        match self {
            Self::Int(number) => Ok(Value::from(number)),
            Self::Float(number) => Number::from_f64(number)
                .map(Value::Number)
                .ok_or("the result is not finite".to_owned()),
        }
    }

    fn apply(
        self,
        other: Self,
        whole: fn(i64, i64) -> Option<i64>,
        float: fn(f64, f64) -> f64,
    ) -> Result<Self, String> {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => {
                whole(a, b).map(Self::Int).ok_or("the result does not fit into 64 bits".to_owned())
            }
            (a, b) => Ok(Self::Float(float(a.float(), b.float()))),
        }
    }

    pub fn add(self, other: Self) -> Result<Self, String> {
        self.apply(other, i64::checked_add, |a, b| a + b)
    }

    pub fn subtract(self, other: Self) -> Result<Self, String> {
        self.apply(other, i64::checked_sub, |a, b| a - b)
    }

    pub fn multiply(self, other: Self) -> Result<Self, String> {
        self.apply(other, i64::checked_mul, |a, b| a * b)
    }

    fn nonzero(self) -> Result<Self, String> {
        if self.float() == 0.0 { Err("this divides by zero".to_owned()) } else { Ok(self) }
    }

    pub fn divide(self, other: Self) -> Result<Self, String> {
        Ok(Self::Float(self.float() / other.nonzero()?.float()))
    }

    pub fn negate(self) -> Result<Self, String> {
        match self {
            Self::Int(_) => Self::Int(0).subtract(self),
            Self::Float(number) => Ok(Self::Float(-number)),
        }
    }

    /// Rounds towards minus infinity.
    pub fn floor_divide(self, other: Self) -> Result<Self, String> {
        let floor = |a: i64, b: i64| {
            let quotient = a.checked_div(b)?;
            Some(if a % b != 0 && (a < 0) != (b < 0) { quotient - 1 } else { quotient })
        };
        self.apply(other.nonzero()?, floor, |a, b| {
            // Nearly whole: the quotient itself may be rounded up, as that of 1 and 0.1.
            ((a - float_remainder(a, b)) / b).round()
        })
    }

    /// Has the sign of the divisor.
    pub fn remainder(self, other: Self) -> Result<Self, String> {
        let remainder = |a: i64, b: i64| {
            // It is 0 where the quotient does not fit.
            let rest = a.wrapping_rem(b);
            Some(if rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest })
        };
        self.apply(other.nonzero()?, remainder, float_remainder)
    }

    /// The order of their exact values; none with what is no number.
    pub fn compare(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => Some(a.cmp(&b)),
            (Self::Int(a), Self::Float(b)) => compare_mixed(a, b),
            (Self::Float(a), Self::Int(b)) => compare_mixed(b, a).map(Ordering::reverse),
            (Self::Float(a), Self::Float(b)) => a.partial_cmp(&b),
        }
    }
}

/// Exact, with the sign of the divisor.
fn float_remainder(a: f64, b: f64) -> f64 {
    let rest = a % b;
    if rest != 0.0 && (rest < 0.0) != (b < 0.0) { rest + b } else { rest.copysign(b) }
}

fn compare_mixed(a: i64, b: f64) -> Option<Ordering> {
    // Whole parts first: every float in this range has one that i64 holds.
    match whole_number(b.trunc()) {
        Some(whole) => Some(a.cmp(&whole).then(0.0.partial_cmp(&b.fract())?)),
        None => 0.0.partial_cmp(&b),
    }
}

/// A float without a fraction as a whole number, if it fits into 64 bits.
pub(super) fn whole_number(float: f64) -> Option<i64> {
    // -2^63 and 2^63 are floats; all between them fit.
    let limit = -(i64::MIN as f64);
    (float.fract() == 0.0 && (-limit..limit).contains(&float)).then_some(float as i64)
}
