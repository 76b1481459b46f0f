//! Features that the inputs of a model are given, and the form of a row.

use fuseline_artifact::Features;
use fuseline_engine::StageError;
use fuseline_onnx::Input;

use super::{Missing, OnnxExpert};
use crate::rows::{Matrix, no_column};

impl OnnxExpert {
    /// The features that each input takes, of those that the output depends on.
    pub(super) fn given<'m>(
        &'m self,
        features: &'m Features,
        parts: &'m [Input],
        unused: &[String],
        file: &str,
    ) -> Result<Vec<(&'m Input, Vec<&'m str>)>, StageError> {
        let names = || features.columns.iter().map(|(name, _)| name.as_str());
        let inputs: Vec<&str> = parts.iter().map(|input| &*input.name).collect();
        if let Some(given) = &self.inputs {
            let is_known =
                |name: &str| inputs.contains(&name) || unused.iter().any(|of| of == name);
            if let Some(unknown) = given.keys().find(|name| !is_known(name)) {
                let all: Vec<&str> =
                    inputs.iter().copied().chain(unused.iter().map(String::as_str)).collect();
                return Err(StageError::data(format!("{file} has no input {unknown}"))
                    .at("inputs")
                    .hint(format!("its inputs are {}", all.join(", "))));
            }
            let columns = |input: &'m Input| {
                let columns = given.get(&input.name).ok_or_else(|| {
                    StageError::data(format!(
                        "the output of {file} depends on its input {}, and inputs does not say \
                         what it takes",
                        input.name
                    ))
                    .at("inputs")
                })?;
                Ok((input, columns.iter().map(String::as_str).collect()))
            };
            return parts.iter().map(columns).collect();
        }
        if let Some(unknown) = self.exclude.iter().find(|name| names().all(|other| other != *name))
        {
            return Err(no_column(features, unknown).at("exclude"));
        }
        if let [only] = parts {
            let all = || names().filter(|name| !self.exclude.iter().any(|other| other == name));
            let columns = self.columns.as_ref().map(|columns| columns.iter().map(String::as_str));
            return Ok(vec![(only, columns.map_or_else(|| all().collect(), Iterator::collect))]);
        }
        let is_a_feature = |input: &Input| {
            input.width.is_none_or(|width| width == 1) && names().any(|name| name == input.name)
        };
        if self.input.is_none() && self.columns.is_none() && parts.iter().all(is_a_feature) {
            return Ok(parts.iter().map(|input| (input, vec![&*input.name])).collect());
        }
        let each: Vec<String> = inputs.iter().map(|name| format!("{name}: [...]")).collect();
        Err(StageError::data(format!(
            "the output of {file} depends on {} inputs: {}",
            inputs.len(),
            inputs.join(", ")
        ))
        .at("input")
        .hint(format!("say which features each takes: inputs: {{ {} }}", each.join(", "))))
    }

    /// The values of a row, what is missing as the option says.
    pub(super) fn values(
        &self,
        row: &[f64],
        columns: &[(&str, bool)],
        id: &str,
    ) -> Result<Vec<f64>, StageError> {
        let each = |(&value, &(column, is_whole)): (&f64, &(&str, bool))| {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "most models take single precision"
            )]
            let is_finite = (value as f32).is_finite();
            match self.missing {
                _ if is_finite && is_whole && value.fract() != 0.0 => {
                    Err(StageError::data(format!(
                        "feature {column} of example {id} is {value}, where the model takes whole \
                         numbers"
                    )))
                }
                _ if is_finite => Ok(value),
                Missing::Zero => Ok(0.0),
                Missing::Nan if !is_whole => Ok(f64::NAN),
                _ => Err(StageError::data(format!(
                    "feature {column} of example {id} is missing or not finite, which the model \
                     was not made for"
                ))
                .at("missing")
                .hint("missing: zero gives the model 0, missing: nan gives it NaN")),
            }
        };
        row.iter().zip(columns).map(each).collect()
    }
}

/// Some features as a matrix, in the order given.
pub(super) fn select<'c>(
    features: &Features,
    columns: impl Iterator<Item = &'c str>,
) -> Result<Matrix, StageError> {
    let find = |wanted: &str| {
        let found = features.columns.iter().find(|(name, _)| name == wanted);
        found.cloned().ok_or_else(|| no_column(features, wanted).at("columns"))
    };
    let columns = columns.map(find).collect::<Result<Vec<_>, _>>()?;
    Matrix::from_features(&Features { example_id: features.example_id.clone(), columns }, &[])
}
