//! Questions about a model's file, and their answers, as bytes.
//!
//! The length of a head in JSON, as a little-endian number of 4 bytes; the head; in a question the
//! model's file; numbers, as little-endian doubles.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{Description, OnnxError};

/// Raised when a library that answers would take a question otherwise than it is meant.
const FORMAT: u32 = 1;

/// A question about a model's file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// The file's name in messages.
    pub file: String,
    /// Number of classes.
    pub classes: usize,
    /// The wanted input, where it is named.
    pub input: Option<String>,
    /// The wanted output, where it is named.
    pub output: Option<String>,
    /// Number of values of a row that each input takes, to be given the outputs for rows; none
    /// asks for the description of the model.
    pub widths: Option<Vec<usize>>,
}

/// A question as it arrives.
#[derive(Debug, Clone, PartialEq)]
pub struct QuestionBytes<'a> {
    /// Its head.
    pub question: Question,
    /// The model's file.
    pub model: &'a [u8],
    /// Row by row, the values of the inputs, concatenated.
    pub values: Vec<f64>,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// A description of the model.
    Described(Description),
    /// Number of values that the output has for a row; the values follow.
    Predicted(usize),
    /// A mistake in the file or in the question.
    Refused(OnnxError),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head<T> {
    format: u32,
    model_bytes: usize,
    content: T,
}

impl Question {
    /// The question with a model's file and the values of rows.
    pub fn to_bytes(&self, model: &[u8], values: &[f64]) -> Vec<u8> {
        write(self, model, values)
    }

    /// A question out of its bytes; none where they are that of another version.
    pub fn from_bytes(bytes: &[u8]) -> Option<QuestionBytes<'_>> {
        let (question, model, values) = read(bytes)?;
        Some(QuestionBytes { question, model, values })
    }
}

impl Answer {
    /// The answer with the outputs for rows.
    pub fn to_bytes(&self, values: &[f64]) -> Vec<u8> {
        write(self, &[], values)
    }

    /// An answer out of its bytes, with the outputs for rows; none where they are that of another
    /// version.
    pub fn from_bytes(bytes: &[u8]) -> Option<(Self, Vec<f64>)> {
        read(bytes).map(|(answer, _, values)| (answer, values))
    }
}

fn write(content: &impl Serialize, model: &[u8], values: &[f64]) -> Vec<u8> {
    let head = Head { format: FORMAT, model_bytes: model.len(), content };
    // Texts and numbers: nothing that JSON does not have.
    let head = serde_json::to_vec(&head).unwrap_or_default();
    let mut bytes = Vec::with_capacity(4 + head.len() + model.len() + 8 * values.len());
    bytes.extend((head.len() as u32).to_le_bytes());
    bytes.extend(head);
    bytes.extend(model);
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    bytes
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Option<(T, &[u8], Vec<f64>)> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (head, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    let head: Head<T> = serde_json::from_slice(head).ok()?;
    let (model, values) = rest.split_at_checked(head.model_bytes)?;
    let (values, over) = values.as_chunks::<8>();
    let values = values.iter().map(|value| f64::from_le_bytes(*value)).collect();
    (head.format == FORMAT && over.is_empty()).then_some((head.content, model, values))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_and_answered_arrives_to_the_last_bit() {
        let question = Question {
            file: "a.onnx".to_owned(),
            classes: 2,
            input: None,
            output: Some("p".to_owned()),
            widths: Some(vec![1, 2]),
        };
        let values = [0.1 + 0.2, f64::MIN_POSITIVE, -0.0];
        let bytes = question.to_bytes(b"model", &values);
        let read = Question::from_bytes(&bytes).unwrap();
        let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!((read.question, read.model), (question, &b"model"[..]));
        assert_eq!(bits(&read.values), bits(&values));
        let refused = Answer::Refused(OnnxError::new("no").at("output").hint("yes"));
        for (answer, values) in [(Answer::Predicted(1), &values[..]), (refused, &[])] {
            let (read, outputs) = Answer::from_bytes(&answer.to_bytes(values)).unwrap();
            assert_eq!((read, bits(&outputs)), (answer, bits(values)));
        }
    }

    #[test]
    fn bytes_that_are_cut_or_of_another_version_are_no_question() {
        let bytes = Answer::Predicted(1).to_bytes(&[1.0]);
        for end in 0..bytes.len() - 8 {
            assert_eq!(Answer::from_bytes(&bytes[..end]), None, "{end}");
        }
        let other = String::from_utf8(bytes[4..bytes.len() - 8].to_vec()).unwrap();
        let other = other.replace("\"format\":1", "\"format\":9");
        let other = [&(other.len() as u32).to_le_bytes(), other.as_bytes()].concat();
        assert_eq!(Answer::from_bytes(&other), None);
    }
}
