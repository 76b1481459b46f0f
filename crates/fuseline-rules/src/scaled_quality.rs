//! Quality of any scale, or of the one that a rule asks for.

use fuseline_plugin::{
    Batch, ModelReader, ModelWriter, Quality, RuleError, Shape, StandardQuality, TrainingBatch,
};

/// Quality standardised per modality on the training rows, or as it is, as a param chooses.
#[derive(Debug)]
pub struct ScaledQuality {
    standard: StandardQuality,
    is_raw: bool,
}

impl ScaledQuality {
    /// Standardises quality on the training rows, or, with `is_raw`, will give it as it is.
    pub fn fit(batch: &TrainingBatch<'_>, is_raw: bool) -> Self {
        Self { standard: StandardQuality::fit(batch), is_raw }
    }

    /// The same of a quality that is a probability where it is raw; an error where it is none.
    /// `choice`: the param and the value that ask for it, for the message.
    pub fn fit_probability(
        batch: &TrainingBatch<'_>,
        is_raw: bool,
        choice: &str,
    ) -> Result<Self, RuleError> {
        for row in 0..if is_raw { batch.rows() } else { 0 } {
            for modality in batch.available_in(row) {
                let quality = batch.quality()[row * batch.modalities() + modality];
                if !(0.0..=1.0).contains(&quality) {
                    let name = batch.modality_name(modality);
                    return Err(RuleError::data(format!(
                        "{choice} takes quality in 0 to 1, and that of modality {name} is {quality}"
                    ))
                    .at_row(row));
                }
            }
        }
        Ok(Self::fit(batch, is_raw))
    }

    /// Appends it to a model.
    pub fn write(&self, model: &mut ModelWriter) {
        self.standard.write(model);
        model.u32(u32::from(self.is_raw));
    }

    /// Reads back the output of [`Self::write`].
    pub fn read(model: &mut ModelReader<'_>, shape: &Shape) -> Result<Self, RuleError> {
        Ok(Self {
            standard: StandardQuality::read(model, shape.modalities.len())?,
            is_raw: model.u32()? != 0,
        })
    }

    /// True if quality is given as it is.
    pub fn is_raw(&self) -> bool {
        self.is_raw
    }

    /// The quality of each cell, rows x modalities; finite.
    pub fn values(&self, batch: &Batch<'_>) -> Vec<f64> {
        if self.is_raw { Quality::finite(batch) } else { self.standard.standardise(batch) }
    }
}
