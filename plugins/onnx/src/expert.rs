//! The answers to `expert.onnx`.

use fuseline_onnx::{Answer, OnnxError};
use fuseline_plugin::{AnswerQuery, Question, RuleError};

use crate::runtime::{self, OnnxModel};
use crate::{Onnx, ROWS_BETWEEN_STOPS};

impl AnswerQuery for Onnx {
    fn answer(question: &Question<'_>) -> Result<Vec<u8>, RuleError> {
        let asked = fuseline_onnx::Question::from_bytes(question.bytes()).ok_or_else(|| {
            RuleError::unsupported("the question is that of another version of fuseline")
        })?;
        let refused = |error| Ok(Answer::Refused(error).to_bytes(&[]));
        let fuseline_onnx::Question { file, classes, input, output, widths } = &asked.question;
        let (bytes, input, output) = (asked.model.to_vec(), input.as_deref(), output.as_deref());
        let OnnxModel { description, prepare } =
            match runtime::load(file, bytes, *classes, input, output) {
                Ok(model) => model,
                Err(error) => return refused(error),
            };
        let Some(widths) = widths else {
            return Ok(Answer::Described(description).to_bytes(&[]));
        };
        let ask = match prepare(widths) {
            Ok(ask) => ask,
            Err(error) => return refused(error),
        };
        let (mut outputs, mut each) = (Vec::new(), 0);
        for (row, values) in
            asked.values.chunks_exact(widths.iter().sum::<usize>().max(1)).enumerate()
        {
            if row.is_multiple_of(ROWS_BETWEEN_STOPS) {
                question.go_on()?;
            }
            let own = match ask(values) {
                Ok(own) => own,
                Err(error) => return refused(error),
            };
            if row > 0 && own.len() != each {
                return refused(OnnxError::new(format!(
                    "{file} gives {each} values for one row and {} for another",
                    own.len()
                )));
            }
            each = own.len();
            outputs.extend(own);
        }
        Ok(Answer::Predicted(each).to_bytes(&outputs))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn files_of_which_some_bytes_are_others_are_errors_of_the_file() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../crates/fuseline-stages/tests/fixtures/onnx");
        for net in ["nets/lstm", "nets/attention", "nets/branches", "forest", "torch_mlp"] {
            let whole = std::fs::read(folder.join(format!("{net}.onnx"))).unwrap();
            for step in 0..24 {
                let mut bytes = whole.clone();
                let place = step * 7919 % whole.len();
                match step % 3 {
                    0 => bytes.truncate(place),
                    1 => bytes[place] ^= 1 << (step % 8),
                    _ => bytes[place] = bytes[place].wrapping_add(97),
                }
                let loaded = runtime::load("a.onnx", bytes, 3, None, None);
                let asked = loaded.and_then(|model| {
                    let inputs = model.description.inputs;
                    let widths: Vec<usize> =
                        inputs.iter().map(|input| input.width.unwrap_or(4)).collect();
                    let all = widths.iter().map(|width| (*width).min(1 << 20)).sum();
                    (model.prepare)(&widths)?(&vec![0.5; all])
                });
                if let Err(error) = asked {
                    assert!(error.message.contains("a.onnx"), "{error}");
                    assert!(error.message.len() < 600 && !error.message.contains('\n'), "{error}");
                }
            }
        }
    }

    #[test]
    fn a_file_that_is_no_model_is_refused() {
        let error = runtime::load("a.onnx", b"not a model".to_vec(), 2, None, None).err().unwrap();
        assert!(error.message.starts_with("a.onnx "), "{error}");
    }
}
