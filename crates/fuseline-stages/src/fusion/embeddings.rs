//! Embeddings: features that a fusion rule takes beside the evidence, standardised as its training
//! rows say.

use fuseline_artifact::{EmbeddingScale, Features, Model};
use fuseline_engine::{Labelled, PlanSite, StageError, codes};
use fuseline_learn::standardise::Preprocessor;
use fuseline_workflow::Diagnostic;

use crate::batch::{Embedded, Fusable, once};
use crate::rows::{Finder, Matrix, no_column};

/// Documentation of the port `embeddings`.
pub(crate) const PORT: &str = "Features that the rule takes beside the evidence, one a modality, \
    over an axis called modality; only for rules that take embeddings.";

/// Reports embeddings whose modality is unknown.
pub(crate) fn check(site: &mut PlanSite<'_>) {
    let Some(action) = site.first() else { return };
    if action.inputs("embeddings").next().is_some()
        && !site.gathered("embeddings").contains(&"modality")
    {
        let message = "embeddings say by an axis called `modality` of which modality they are, \
            and none is gathered here";
        site.report(
            Diagnostic::error(codes::MODALITIES, action.input_place("embeddings"), message).hint(
                "run the stage that makes them over an axis called modality, and give all of it"
                    .to_owned(),
            ),
        );
    }
}

/// Puts embeddings beside the evidence; gives what they were standardised by, fitted on the rows
/// that have the modality: missing values become the mean of the observed ones, then mean 0 and
/// population sd 1. Without `standardise` they stay as they are.
pub(crate) fn fit(
    given: &[Labelled<Features>],
    exclude: &[String],
    standardise: bool,
    fusable: &mut Fusable,
) -> Result<Vec<EmbeddingScale>, StageError> {
    let modalities = modalities(given, &fusable.modalities)?;
    known_columns(given, exclude)?;
    let mut scales = Vec::with_capacity(given.len());
    for (of, modality) in given.iter().zip(modalities) {
        let features = &of.artifact;
        let (excluded, columns) = split_columns(features, exclude);
        let cells = Cells::read(features, &excluded, &modality, fusable)?;
        cells.without_quality(&columns, fusable)?;
        let of = if standardise {
            let scale = Preprocessor::fit(&cells.values, columns.len()).map_err(|error| {
                StageError::data(format!("the embedding of modality {modality}: {error}"))
            })?;
            let (mean, scale) = (scale.mean().to_vec(), scale.scale().to_vec());
            let raw = false;
            EmbeddingScale { modality: modality.clone(), columns, excluded, mean, scale, raw }
        } else {
            EmbeddingScale::raw(modality.clone(), columns, excluded)
        };
        cells.put(&of, fusable)?;
        scales.push(of);
    }
    Ok(scales)
}

/// Embeddings of a model that was fitted elsewhere: it takes these columns as they are.
pub(crate) fn declare(
    given: &[Labelled<Features>],
    exclude: &[String],
    known: &[String],
) -> Result<Vec<EmbeddingScale>, StageError> {
    let modalities = modalities(given, known)?;
    known_columns(given, exclude)?;
    let each = given.iter().zip(modalities).map(|(of, modality)| {
        let (excluded, columns) = split_columns(&of.artifact, exclude);
        EmbeddingScale::raw(modality, columns, excluded)
    });
    Ok(each.collect())
}

/// The columns that the rule does not see, and those that it does.
fn split_columns(features: &Features, exclude: &[String]) -> (Vec<String>, Vec<String>) {
    let names = features.columns.iter().map(|(name, _)| name.clone());
    names.partition(|name| exclude.contains(name))
}

/// An error when a column is excluded that no embedding has.
fn known_columns(given: &[Labelled<Features>], exclude: &[String]) -> Result<(), StageError> {
    if let Some(unknown) = exclude.iter().find(|name| {
        !given.iter().any(|of| of.artifact.columns.iter().any(|(column, _)| column == *name))
    }) {
        let Some(first) = given.first() else {
            return Err(
                StageError::data("there are no embeddings to exclude columns of").at("exclude")
            );
        };
        return Err(no_column(&first.artifact, unknown).at("exclude"));
    }
    Ok(())
}

/// Puts embeddings beside the evidence, standardised as the model's training rows say.
///
/// Errors when they are not those that the model was fitted on, by modality and by column.
pub(crate) fn apply(
    model: &Model,
    given: &[Labelled<Features>],
    fusable: &mut Fusable,
) -> Result<(), StageError> {
    let modalities = modalities(given, &fusable.modalities)?;
    let mut found = Vec::with_capacity(given.len());
    for known in &model.embeddings {
        let place = modalities.iter().position(|name| *name == known.modality);
        found.extend(place.map(|place| (&given[place].artifact, known)));
    }
    if found.len() != model.embeddings.len() || found.len() != given.len() {
        let list = |names: &[&str]| match names {
            [] => "none".to_owned(),
            names => names.join(", "),
        };
        let fitted: Vec<&str> = model.embeddings.iter().map(|of| of.modality.as_str()).collect();
        let asked: Vec<&str> = modalities.iter().map(String::as_str).collect();
        return Err(StageError::data(format!(
            "the model was fitted with embeddings of modalities: {}; and is asked with: {}",
            list(&fitted),
            list(&asked)
        ))
        .hint("give the input embeddings as the stage that fitted the model has it"));
    }
    for (features, known) in found {
        let names = features.columns.iter().map(|(name, _)| name);
        let columns: Vec<&String> = names.filter(|name| !known.excluded.contains(name)).collect();
        if !columns.iter().copied().eq(&known.columns) {
            let first = columns.iter().zip(&known.columns).find(|(found, fitted)| *found != fitted);
            let what = match first {
                Some((found, fitted)) => format!("{found} stands where {fitted} was"),
                None => format!("{} columns were {}", columns.len(), known.columns.len()),
            };
            return Err(StageError::data(format!(
                "the embedding of modality {} has other columns than the model was fitted on: \
                 {what}",
                known.modality
            )));
        }
        let cells = Cells::read(features, &known.excluded, &known.modality, fusable)?;
        // Of a model that was fitted elsewhere no rows have been seen before.
        cells.without_quality(&known.columns, fusable).map_err(|error| StageError {
            option: None,
            hint: error.hint.map(|hint| format!("{hint}, where the model is loaded or fitted")),
            ..error
        })?;
        cells.put(known, fusable)?;
    }
    Ok(())
}

/// The modality of each embedding: its label on the axis `modality`.
fn modalities(given: &[Labelled<Features>], known: &[String]) -> Result<Vec<String>, StageError> {
    let mut names = Vec::with_capacity(given.len());
    for of in given {
        let label = of.point.iter().find(|(axis, _)| axis == "modality");
        let (_, name) = label.ok_or_else(|| {
            StageError::data("an embedding does not say its modality").hint(
                "run the stage that makes it over an axis called modality, and give all of it",
            )
        })?;
        if !known.contains(name) {
            return Err(StageError::data(format!(
                "there is an embedding of modality {name} but no evidence"
            )));
        }
        once("embeddings", &mut names, name)?;
    }
    Ok(names)
}

/// The raw embedding of one modality in the rows that have it.
struct Cells<'m> {
    modality: &'m str,
    /// Index of the modality among those of the rule.
    place: usize,
    /// The rows that have it.
    rows: Vec<usize>,
    width: usize,
    /// rows x width; NaN where missing.
    values: Vec<f64>,
}

impl<'m> Cells<'m> {
    fn read(
        features: &Features,
        excluded: &[String],
        modality: &'m str,
        fusable: &Fusable,
    ) -> Result<Self, StageError> {
        // Columns that are not there need no exclusion.
        let names = features.columns.iter().map(|(name, _)| name);
        let excluded: Vec<_> = names.filter(|name| excluded.contains(name)).cloned().collect();
        let matrix = Matrix::from_features(features, &excluded)?;
        if matrix.width() == 0 {
            return Err(StageError::data(format!(
                "the embedding of modality {modality} has no column"
            ))
            .at("exclude"));
        }
        let width = fusable.modalities.len();
        let place = fusable.modalities.iter().position(|name| name == modality).unwrap_or(width);
        let mut at = Finder::new(&features.example_id);
        let (mut rows, mut found) = (Vec::new(), Vec::new());
        for (row, id) in fusable.example_id.iter().enumerate() {
            if fusable.available[row * width + place] == 0 {
                continue;
            }
            found.push(at.find(id).ok_or_else(|| {
                StageError::data(format!(
                    "example {id} has evidence but no embedding in modality {modality}"
                ))
            })?);
            rows.push(row);
        }
        let values = matrix.gather(found.into_iter());
        Ok(Self { modality, place, rows, width: matrix.width(), values })
    }

    /// An error when a column is the quality itself: the rule could read there what an intervention
    /// on quality does not reach.
    fn without_quality(&self, columns: &[String], fusable: &Fusable) -> Result<(), StageError> {
        let modalities = fusable.modalities.len();
        let quality = |at: usize| fusable.quality[self.rows[at] * modalities + self.place];
        if (1..self.rows.len()).all(|at| quality(at) == quality(0)) {
            return Ok(());
        }
        let is_quality = |column: usize| {
            (0..self.rows.len()).all(|at| self.values[at * self.width + column] == quality(at))
        };
        match (0..self.width).find(|&column| is_quality(column)) {
            None => Ok(()),
            Some(column) => Err(StageError::data(format!(
                "column {} of the embedding of modality {} is the quality itself: an intervention \
                 on quality would not reach it there",
                columns[column], self.modality
            ))
            .at("exclude")
            .hint(format!("say exclude: [{}]", columns[column]))),
        }
    }

    /// Puts it beside the evidence, standardised unless the rule takes it raw.
    fn put(&self, of: &EmbeddingScale, fusable: &mut Fusable) -> Result<(), StageError> {
        if of.raw
            && let Some(cell) = self.values.iter().position(|value| !value.is_finite())
        {
            let (row, column) = (self.rows[cell / self.width], &of.columns[cell % self.width]);
            return Err(StageError::data(format!(
                "example {} has no finite value in column {column} of the embedding of modality {}",
                &fusable.example_id[row], self.modality
            ))
            .hint(
                "an embedding that is taken as it is has no missing values: fill them, or leave \
                 the example out",
            ));
        }
        let scale = Preprocessor::from_parts(of.mean.clone(), of.scale.clone())
            .map_err(|error| StageError::failed(error.to_string()))?;
        let standardised =
            scale.transform(&self.values).map_err(|error| StageError::failed(error.to_string()))?;
        let mut values = vec![0.0; fusable.rows.len() * self.width];
        for (row, own) in self.rows.iter().zip(standardised.chunks_exact(self.width)) {
            values[row * self.width..][..self.width].copy_from_slice(own);
        }
        let modality = self.modality.to_owned();
        fusable.embeddings.push(Embedded { modality, width: self.width, values });
        Ok(())
    }
}

#[cfg(test)]
mod tests;
