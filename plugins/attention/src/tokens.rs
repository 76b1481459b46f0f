//! Tokens that are attended to, and the layout of their weights.

use fuseline_learn::standardise::Preprocessor;
use fuseline_plugin::{Batch, ModelReader, ModelWriter, RuleError, TrainingBatch};

/// Standardisation of the embeddings of each modality; none for a modality without an embedding.
#[derive(Debug)]
pub struct Embeddings {
    of: Vec<Option<Preprocessor>>,
}

impl Embeddings {
    /// Means and scales over the training rows in which each modality is available.
    pub fn fit(batch: &TrainingBatch<'_>) -> Result<Self, RuleError> {
        let of = (0..batch.modalities()).map(|modality| {
            let Some((width, values)) = batch.embedding(modality) else { return Ok(None) };
            let mut seen = Vec::new();
            for row in (0..batch.rows()).filter(|&row| batch.is_available(row, modality)) {
                seen.extend(finite(&values[row * width..][..width], batch, row, modality)?);
            }
            if width == 0 || seen.is_empty() {
                return Ok(None);
            }
            Preprocessor::fit(&seen, width)
                .map(Some)
                .map_err(|error| RuleError::data(error.to_string()))
        });
        Ok(Self { of: of.collect::<Result<_, _>>()? })
    }

    pub fn write(&self, model: &mut ModelWriter) {
        for standard in &self.of {
            model.f64s(standard.as_ref().map_or(&[], Preprocessor::mean));
            model.f64s(standard.as_ref().map_or(&[], Preprocessor::scale));
        }
    }

    pub fn read(model: &mut ModelReader<'_>, modalities: usize) -> Result<Self, RuleError> {
        let of = (0..modalities).map(|_| {
            let (mean, scale) = (model.any_f64s()?, model.any_f64s()?);
            if mean.is_empty() && scale.is_empty() {
                return Ok(None);
            }
            Preprocessor::from_parts(mean, scale)
                .map(Some)
                .map_err(|error| RuleError::data(error.to_string()))
        });
        Ok(Self { of: of.collect::<Result<_, _>>()? })
    }

    /// Number of columns of a modality's embedding.
    pub fn width(&self, modality: usize) -> usize {
        self.of[modality].as_ref().map_or(0, Preprocessor::width)
    }
}

/// The numbers of an embedding, or an error at the first that is not finite.
fn finite<'a>(
    values: &'a [f64],
    batch: &Batch<'_>,
    row: usize,
    modality: usize,
) -> Result<impl Iterator<Item = f64> + use<'a>, RuleError> {
    if values.iter().all(|value| value.is_finite()) {
        Ok(values.iter().map(|value| value.clamp(-1e100, 1e100)))
    } else {
        let name = batch.modality_name(modality);
        Err(RuleError::data(format!("the embedding of modality {name} is not finite")).at_row(row))
    }
}

/// Layout of the weights in one vector: A, then b, c, then a modality by modality.
#[derive(Debug)]
pub struct Layout {
    modalities: usize,
    classes: usize,
    /// Start of each modality's part of a, and the end of the last one.
    embedding: Vec<usize>,
}

impl Layout {
    pub fn new(modalities: usize, classes: usize, embeddings: &Embeddings) -> Self {
        let mut embedding = vec![classes * classes + 2 * modalities];
        for modality in 0..modalities {
            embedding.push(embedding[modality] + embeddings.width(modality));
        }
        Self { modalities, classes, embedding }
    }

    /// Number of weights.
    pub fn len(&self) -> usize {
        self.embedding[self.modalities]
    }

    /// Number of weights in A.
    pub fn attention(&self) -> usize {
        self.classes * self.classes
    }

    /// b of a modality.
    pub fn quality(&self, modality: usize) -> usize {
        self.attention() + modality
    }

    /// c of a modality.
    pub fn constant(&self, modality: usize) -> usize {
        self.attention() + self.modalities + modality
    }

    /// a of a modality.
    pub fn embedding(&self, modality: usize) -> std::ops::Range<usize> {
        self.embedding[modality]..self.embedding[modality + 1]
    }
}

/// The tokens of a batch.
#[derive(Debug)]
pub struct Tokens {
    /// x_m: rows x modalities x classes; 0 where unavailable.
    evidence: Vec<f64>,
    /// x / sqrt(K), the scaled query: rows x classes.
    query: Vec<f64>,
    /// e_m, modality by modality: rows x width; 0 where unavailable.
    embeddings: Vec<Vec<f64>>,
    modalities: usize,
    classes: usize,
}

impl Tokens {
    pub fn new(batch: &Batch<'_>, embeddings: &Embeddings) -> Result<Self, RuleError> {
        let (rows, modalities, classes) = (batch.rows(), batch.modalities(), batch.classes());
        let many = classes as f64;
        let mut evidence = vec![0.0; rows * modalities * classes];
        let mut query = vec![0.0; rows * classes];
        for (row, query) in query.chunks_exact_mut(classes).enumerate() {
            let mut available = 0.0;
            for modality in (0..modalities).filter(|&modality| batch.is_available(row, modality)) {
                available += 1.0;
                let token = &mut evidence[(row * modalities + modality) * classes..][..classes];
                let said = batch.evidence_of(row, modality);
                for ((x, sum), probability) in token.iter_mut().zip(&mut *query).zip(said) {
                    *x = many * probability - 1.0;
                    *sum += *x;
                }
            }
            if available > 0.0 {
                query.iter_mut().for_each(|sum| *sum /= available * many.sqrt());
            }
        }
        let embeddings = (0..modalities)
            .map(|modality| embedding(batch, modality, embeddings))
            .collect::<Result<_, _>>()?;
        Ok(Self { evidence, query, embeddings, modalities, classes })
    }

    pub fn token(&self, row: usize, modality: usize) -> &[f64] {
        &self.evidence[(row * self.modalities + modality) * self.classes..][..self.classes]
    }

    pub fn query(&self, row: usize) -> &[f64] {
        &self.query[row * self.classes..][..self.classes]
    }

    /// The standardised embedding of a modality.
    pub fn embedding(&self, row: usize, modality: usize, width: usize) -> &[f64] {
        &self.embeddings[modality][row * width..][..width]
    }

    /// The logits without quality: rows x modalities; 0 where unavailable.
    pub fn content(&self, batch: &Batch<'_>, layout: &Layout, weights: &[f64]) -> Vec<f64> {
        let mut content = vec![0.0; batch.rows() * self.modalities];
        for (cell, logit) in content.iter_mut().enumerate() {
            let (row, modality) = (cell / self.modalities, cell % self.modalities);
            if !batch.is_available(row, modality) {
                continue;
            }
            *logit = weights[layout.constant(modality)];
            let attention = weights[..layout.attention()].chunks_exact(self.classes);
            for (query, keys) in self.query(row).iter().zip(attention) {
                *logit += query * dot(keys, self.token(row, modality));
            }
            let range = layout.embedding(modality);
            let embedding = self.embedding(row, modality, range.len());
            *logit += dot(&weights[range], embedding);
        }
        content
    }
}

/// The standardised embedding of a modality: rows x width.
fn embedding(
    batch: &Batch<'_>,
    modality: usize,
    embeddings: &Embeddings,
) -> Result<Vec<f64>, RuleError> {
    let Some(standard) = &embeddings.of[modality] else { return Ok(Vec::new()) };
    let width = standard.width();
    let name = batch.modality_name(modality);
    let Some((found, values)) = batch.embedding(modality) else {
        return Err(RuleError::data(format!(
            "the model was fitted with an embedding of modality {name}, and there is none"
        )));
    };
    if found != width {
        return Err(RuleError::data(format!(
            "the embedding of modality {name} has {found} numbers, the model {width}"
        )));
    }
    let mut standardised = vec![0.0; batch.rows() * width];
    for (row, out) in standardised.chunks_exact_mut(width).enumerate() {
        if batch.is_available(row, modality) {
            let own = finite(&values[row * width..][..width], batch, row, modality)?;
            let scales = standard.mean().iter().zip(standard.scale());
            for ((out, value), (mean, scale)) in out.iter_mut().zip(own).zip(scales) {
                *out = (value - mean) / scale;
            }
        }
    }
    Ok(standardised)
}

fn dot(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).fold(0.0, |sum, (one, other)| sum + one * other)
}
