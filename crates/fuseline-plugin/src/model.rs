//! A model as bytes.
//!
//! Layout: `FSLMODEL`, the version of this layout, the rule's id and model revision, names of
//! modalities and classes, what the rule wrote, and a CRC-64 of all that. Numbers are
//! little-endian, strings and lists begin with their length.

use crate::error::RuleError;

const MAGIC: &[u8; 8] = b"FSLMODEL";
const LAYOUT: u32 = 1;

/// Names of the modalities and classes that a model was fitted with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// In the order of the evidence.
    pub modalities: Vec<String>,
    /// In the order of the evidence.
    pub classes: Vec<String>,
}

/// Collects a model's bytes.
#[derive(Debug, Default)]
pub struct ModelWriter {
    bytes: Vec<u8>,
}

impl ModelWriter {
    pub(crate) fn begin(id: &str, revision: u32, shape: &Shape) -> Self {
        let mut model = Self { bytes: MAGIC.to_vec() };
        model.u32(LAYOUT);
        model.str(id);
        model.u32(revision);
        for names in [&shape.modalities, &shape.classes] {
            model.u32(names.len() as u32);
            names.iter().for_each(|name| model.str(name));
        }
        model
    }

    pub(crate) fn seal(mut self) -> Vec<u8> {
        let checksum = crc64(&self.bytes);
        self.bytes.extend_from_slice(&checksum.to_le_bytes());
        self.bytes
    }

    /// An unsigned number.
    pub fn u32(&mut self, value: u32) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// A number, bit for bit.
    pub fn f64(&mut self, value: f64) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// Numbers, preceded by their count.
    pub fn f64s(&mut self, values: &[f64]) {
        self.u32(values.len() as u32);
        values.iter().for_each(|&value| self.f64(value));
    }

    /// Unsigned numbers, preceded by their count.
    pub fn u32s(&mut self, values: &[u32]) {
        self.u32(values.len() as u32);
        values.iter().for_each(|&value| self.u32(value));
    }

    /// Text.
    pub fn str(&mut self, text: &str) {
        self.u32(text.len() as u32);
        self.bytes.extend_from_slice(text.as_bytes());
    }

    /// Bytes, preceded by their count.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        self.bytes.extend_from_slice(bytes);
    }
}

/// Reads values back in the order in which a [`ModelWriter`] wrote them.
#[derive(Debug)]
pub struct ModelReader<'a> {
    rest: &'a [u8],
}

impl<'a> ModelReader<'a> {
    /// Checks the seal, then reads up to where the rule's own part begins.
    pub(crate) fn begin(
        bytes: &'a [u8],
        id: &str,
        revision: u32,
    ) -> Result<(Self, Shape), RuleError> {
        let broken = || RuleError::data("these bytes are not a model of this rule, or are damaged");
        let body = bytes.len().checked_sub(8).ok_or_else(broken)?;
        let (body, checksum) = bytes.split_at(body);
        if !body.starts_with(MAGIC) || checksum != crc64(body).to_le_bytes() {
            return Err(broken());
        }
        let mut model = Self { rest: &body[MAGIC.len()..] };
        if model.u32()? != LAYOUT {
            return Err(RuleError::data("the model is of a later version of the plugin kit"));
        }
        let wrote = model.str()?;
        if wrote != id {
            return Err(RuleError::data(format!("the model was fitted by {wrote}")));
        }
        let found = model.u32()?;
        if found != revision {
            return Err(RuleError::data(format!(
                "the model has revision {found}, this plugin reads {revision}"
            )));
        }
        let mut names = || -> Result<Vec<String>, RuleError> {
            let len = model.u32()?;
            (0..len).map(|_| model.str().map(str::to_owned)).collect()
        };
        let shape = Shape { modalities: names()?, classes: names()? };
        if shape.modalities.is_empty() || shape.classes.is_empty() {
            return Err(broken());
        }
        Ok((model, shape))
    }

    /// An error when the rule has not read everything.
    pub(crate) fn end(self) -> Result<(), RuleError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(RuleError::data("the model is longer than it should be"))
        }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], RuleError> {
        let (taken, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or_else(|| RuleError::data("the model ends too early"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const LEN: usize>(&mut self) -> Result<[u8; LEN], RuleError> {
        let mut array = [0; LEN];
        array.copy_from_slice(self.take(LEN)?);
        Ok(array)
    }

    /// An unsigned number.
    pub fn u32(&mut self) -> Result<u32, RuleError> {
        self.array().map(u32::from_le_bytes)
    }

    /// A number.
    pub fn f64(&mut self) -> Result<f64, RuleError> {
        self.array().map(f64::from_le_bytes)
    }

    /// Numbers, of which there must be `len`, all finite.
    pub fn f64s(&mut self, len: usize) -> Result<Vec<f64>, RuleError> {
        let values = self.any_f64s()?;
        if values.len() == len && values.iter().all(|value| value.is_finite()) {
            Ok(values)
        } else {
            Err(RuleError::data(format!(
                "the model does not have {len} finite numbers where it should"
            )))
        }
    }

    /// Numbers, however many.
    pub fn any_f64s(&mut self) -> Result<Vec<f64>, RuleError> {
        let len = self.u32()? as usize;
        let bytes = self.take(len.saturating_mul(8))?;
        Ok(bytes
            .chunks_exact(8)
            .map(|b| f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]))
            .collect())
    }

    /// Unsigned numbers, however many.
    pub fn any_u32s(&mut self) -> Result<Vec<u32>, RuleError> {
        let len = self.u32()? as usize;
        let bytes = self.take(len.saturating_mul(4))?;
        Ok(bytes.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
    }

    /// Text.
    pub fn str(&mut self) -> Result<&'a str, RuleError> {
        let len = self.u32()? as usize;
        str::from_utf8(self.take(len)?)
            .map_err(|_| RuleError::data("the model has text that is not UTF-8"))
    }

    /// Bytes, however many.
    pub fn bytes(&mut self) -> Result<&'a [u8], RuleError> {
        let len = u64::from_le_bytes(self.array()?);
        self.take(usize::try_from(len).unwrap_or(usize::MAX))
    }
}

/// CRC-64/XZ: finds every flipped bit, and every burst of up to 64.
fn crc64(bytes: &[u8]) -> u64 {
    const TABLE: [u64; 256] = {
        let mut table = [0; 256];
        let mut byte = 0;
        while byte < 256 {
            let mut crc = byte as u64;
            let mut bit = 0;
            while bit < 8 {
                crc = if crc & 1 == 1 { crc >> 1 ^ 0xC96C_5795_D787_0F42 } else { crc >> 1 };
                bit += 1;
            }
            table[byte] = crc;
            byte += 1;
        }
        table
    };
    !bytes.iter().fold(!0, |crc, &byte| TABLE[(crc as u8 ^ byte) as usize] ^ crc >> 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed() -> Vec<u8> {
        let shape = Shape {
            modalities: vec!["face".to_owned(), "voice".to_owned()],
            classes: vec!["no".to_owned(), "yes".to_owned()],
        };
        let mut model = ModelWriter::begin("org.example.rule", 3, &shape);
        model.f64s(&[1.5, -2.5]);
        model.u32s(&[7]);
        model.seal()
    }

    #[test]
    fn the_checksum_is_crc_64_xz() {
        assert_eq!(crc64(b"123456789"), 0x995D_C9BB_DF19_39FA);
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = sealed();
        let (mut model, shape) = ModelReader::begin(&bytes, "org.example.rule", 3).unwrap();
        assert_eq!(shape.modalities, ["face", "voice"]);
        assert_eq!(shape.classes, ["no", "yes"]);
        assert_eq!(model.f64s(2).unwrap(), [1.5, -2.5]);
        assert_eq!(model.any_u32s().unwrap(), [7]);
        model.end().unwrap();
    }

    #[test]
    fn every_truncation_and_every_flipped_bit_is_an_error() {
        let bytes = sealed();
        for len in 0..bytes.len() {
            assert!(ModelReader::begin(&bytes[..len], "org.example.rule", 3).is_err());
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(ModelReader::begin(&flipped, "org.example.rule", 3).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_model_of_another_rule_or_revision_is_refused_in_words() {
        let bytes = sealed();
        let other = ModelReader::begin(&bytes, "org.example.other", 3).unwrap_err();
        assert_eq!(other.to_string(), "the model was fitted by org.example.rule");
        let later = ModelReader::begin(&bytes, "org.example.rule", 4).unwrap_err();
        assert_eq!(later.to_string(), "the model has revision 3, this plugin reads 4");
    }
}
