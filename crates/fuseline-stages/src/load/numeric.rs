//! Numbers as binary files hold them: floats and whole numbers of every width, in either byte
//! order.

/// Class of number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Float,
    Signed,
    Unsigned,
}

/// Byte layout of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    class: Class,
    width: usize,
    is_big_endian: bool,
}

impl Layout {
    /// `None` when no number of this class has `width` bytes.
    pub fn new(class: Class, width: usize, is_big_endian: bool) -> Option<Self> {
        let is_known = match class {
            Class::Float => [2, 4, 8].contains(&width),
            Class::Signed | Class::Unsigned => [1, 2, 4, 8].contains(&width),
        };
        is_known.then_some(Self { class, width, is_big_endian })
    }

    pub fn width(self) -> usize {
        self.width
    }

    /// All numbers of an array. One of more than 53 bits is rounded.
    pub fn numbers(self, bytes: &[u8]) -> Vec<f64> {
        bytes.chunks_exact(self.width).map(|item| self.number(item)).collect()
    }

    /// One number. One of more than 53 bits is rounded.
    #[expect(clippy::cast_precision_loss, reason = "a feature of more than 53 bits is rounded")]
    pub fn number(self, item: &[u8]) -> f64 {
        let bits = unsigned(item, self.is_big_endian);
        match (self.class, self.width) {
            (Class::Float, 2) => half(bits as u16),
            (Class::Float, 4) => f64::from(f32::from_bits(bits as u32)),
            (Class::Float, _) => f64::from_bits(bits),
            (Class::Signed, _) => self.signed(bits) as f64,
            (Class::Unsigned, _) => bits as f64,
        }
    }

    /// A number as text, all digits of a whole one.
    pub fn text(self, item: &[u8]) -> String {
        let bits = unsigned(item, self.is_big_endian);
        match (self.class, self.width) {
            (Class::Float, 4) => number_text(f32::from_bits(bits as u32)),
            (Class::Float, _) => number_text(self.number(item)),
            (Class::Signed, _) => self.signed(bits).to_string(),
            (Class::Unsigned, _) => bits.to_string(),
        }
    }

    fn signed(self, bits: u64) -> i64 {
        let unused = 64 - 8 * self.width;
        (bits << unused).cast_signed() >> unused
    }
}

/// Up to eight bytes as one number.
pub(super) fn unsigned(bytes: &[u8], is_big_endian: bool) -> u64 {
    let shift = |value, byte: &u8| (value << 8) | u64::from(*byte);
    match is_big_endian {
        true => bytes.iter().fold(0, shift),
        false => bytes.iter().rev().fold(0, shift),
    }
}

/// A number of half precision.
fn half(bits: u16) -> f64 {
    let fraction = f64::from(bits & 0x3ff);
    let size = match (bits >> 10) & 0x1f {
        0 => fraction / 16_777_216.0,
        31 if fraction > 0.0 => f64::NAN,
        31 => f64::INFINITY,
        // The power of two is exact: its exponent is written into the bits of a double.
        exponent => (1.0 + fraction / 1024.0) * f64::from_bits((u64::from(exponent) + 1008) << 52),
    };
    if bits >> 15 == 1 { -size } else { size }
}

/// A float as text, as Python and pandas write it, but a whole number without `.0`: an id that was
/// a whole number before a missing value made floats of its column is the same id.
pub(crate) fn number_text<T: Copy + Into<f64> + std::fmt::Display + std::fmt::LowerExp>(
    number: T,
) -> String {
    let size = number.into().abs();
    if size == 0.0 || !size.is_finite() || (1e-4..1e16).contains(&size) {
        return number.to_string();
    }
    let text = format!("{number:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = exponent.strip_prefix('-').map_or(("+", exponent), |rest| ("-", rest));
    format!("{digits}e{sign}{exponent:0>2}")
}

/// A truth value as text.
pub(crate) fn truth_text(is_true: bool) -> &'static str {
    if is_true { "true" } else { "false" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_python_writes_them_but_for_the_point_of_whole_ones() {
        let numbers = [1.0, -2.5, 0.1, 1e-4, 1.5e-5, 1e15, 1e16, -1.25e-300, f64::INFINITY];
        let texts = numbers.map(number_text);
        let expected = [
            "1",
            "-2.5",
            "0.1",
            "0.0001",
            "1.5e-05",
            "1000000000000000",
            "1e+16",
            "-1.25e-300",
            "inf",
        ];
        assert_eq!(texts, expected);
        assert_eq!(number_text(0.1_f32), "0.1");
    }

    #[test]
    fn numbers_of_every_width_keep_their_digits() {
        let layout = |class, width| Layout::new(class, width, true).unwrap();
        assert_eq!(layout(Class::Unsigned, 8).text(&[255; 8]), u64::MAX.to_string());
        assert_eq!(layout(Class::Signed, 8).text(&[255; 8]), "-1");
        assert_eq!(layout(Class::Signed, 2).numbers(&[255, 254, 0, 3]), [-2.0, 3.0]);
        assert_eq!(layout(Class::Float, 2).numbers(&[0x3c, 0, 0xc0, 0]), [1.0, -2.0]);
        assert_eq!(Layout::new(Class::Float, 16, false), None);
    }
}
