//! Arithmetic: whole numbers that do not overflow silently, and finite floats.

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

    /// Rounds towards minus infinity.
    pub fn floor_divide(self, other: Self) -> Result<Self, String> {
        let floor = |a: i64, b: i64| {
            let quotient = a.checked_div(b)?;
            Some(if a % b != 0 && (a < 0) != (b < 0) { quotient - 1 } else { quotient })
        };
        self.apply(other.nonzero()?, floor, |a, b| (a / b).floor())
    }

    /// Has the sign of the divisor.
    pub fn remainder(self, other: Self) -> Result<Self, String> {
        let remainder = |a: i64, b: i64| {
            let rest = a.checked_rem(b)?;
            Some(if rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest })
        };
        self.apply(other.nonzero()?, remainder, |a, b| a - b * (a / b).floor())
    }
}
