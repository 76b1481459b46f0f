//! The fusion rule `lr`: logistic regression on evidence, availability, quality, and evidence times
//! quality.
//!
//! The design of a row is X = \[P, A, Q, P * Q\]: evidence P_mk (modality-major), availability A_m,
//! quality Q_m, and P_mk Q_m; all of a modality's columns are 0 where it is unavailable. X is
//! standardised on the training rows (population standard deviation; one of at most 1e-12
//! max(1, |mean|) counts as 1). The fit minimises
//!
//! |w|^2 / 2 + C sum_i s_i loss_i
//!
//! with free intercepts and the weights s_i of the batch: the log loss for two classes, a softmax
//! with the penalty on all rows of w for more. Where no modality is available, p is the weighted
//! share of each class in the training rows. Quality beyond +-1e100 counts as +-1e100.
//!
//! If the label y is a number, P_m is the number that an expert expects minus the mean label of
//! the training rows, so that no prediction hangs on where the label's scale begins. The fit is
//! ridge regression on the same standardised design: it minimises |w|^2 / 2 + C sum_i (y_i - a -
//! x_i w)^2 / 2. Where no modality is available, the prediction is the mean label.
//!
//! Source: stacking (Wolpert, "Stacked generalization", Neural Networks 5(2), 1992) with quality
//! measures as in Kryszczuk and Drygajlo, "Improving biometric verification with class-independent
//! quality information", IET Signal Processing 3(4), 2009.

use fuseline_learn::logistic::{Logistic, LogisticError, Options};
use fuseline_learn::ridge::Ridge;
use fuseline_learn::standardise::Preprocessor;
use fuseline_plugin::tiles::{Lane, TILE, Tile, TiledRule, WIDTH, logistic, part, softmax};
use fuseline_plugin::{
    Batch, Descriptor, Design, FusionRule, ModelReader, ModelWriter, Param, Params,
    PermutedPredict, Quality, RuleError, Shape, TrainingBatch, export_fusion_rule,
};

/// A logistic regression on the design as it is: the standardisation is folded into coefficients
/// and intercepts.
#[derive(Debug)]
pub struct Lr {
    /// Blocks x columns of the design; one block for two classes, one a class for more.
    coefficients: Vec<f64>,
    /// One a block.
    intercepts: Vec<f64>,
    prior: Vec<f64>,
}

impl FusionRule for Lr {
    const ID: &'static str = "org.fuseline.lr";

    fn descriptor() -> Descriptor {
        Descriptor::new(
            "logistic regression",
            env!("CARGO_PKG_VERSION"),
            env!("CARGO_PKG_LICENSE"),
            "Logistic regression on evidence, availability, quality, and evidence times quality.",
        )
        .param(Param::number("c", 1.0, "weight of the losses against the penalty").above(0.0))
        .regression(true)
    }

    fn fit(batch: &TrainingBatch<'_>, params: &Params<'_>, _: u64) -> Result<Self, RuleError> {
        let design = Design::new(batch.modalities(), batch.classes());
        let width = design.width();
        let mut rows = design.rows(batch);
        let prior = batch.prior();
        if batch.is_regression() {
            for row in rows.chunks_exact_mut(width) {
                take_level(&design, batch.modalities(), prior[0], row);
            }
        }
        let data = |error: &dyn std::error::Error| RuleError::data(error.to_string());
        let preprocessor = Preprocessor::fit(&rows, width).map_err(|error| data(&error))?;
        preprocessor.apply(&mut rows).map_err(|error| data(&error))?;
        if batch.is_regression() {
            let fitted = Ridge::fit(&rows, width, batch.target(), 1.0 / params.f64("c")?)
                .map_err(|error| data(&error))?;
            let (mut coefficients, intercepts) =
                unstandardised(&preprocessor, fitted.coefficients(), &[fitted.intercept()]);
            return_level(&design, batch.modalities(), prior[0], &mut coefficients);
            return Ok(Self { coefficients, intercepts, prior });
        }
        let labels: Vec<u32> = batch.label().iter().map(|&label| label as u32).collect();
        let options = Options { c: params.f64("c")?, ..Options::default() };
        let fitted = Logistic::fit_while(
            &rows,
            width,
            &labels,
            batch.weight(),
            batch.classes(),
            &options,
            &mut || !batch.should_stop(),
        )
        .map_err(|error| match error {
            LogisticError::Input(error) => data(&error),
            LogisticError::Stopped => RuleError::cancelled(),
        })?;
        if let Some(shortfall) = fitted.not_converged() {
            batch.warn(format_args!("the fit did not converge: {shortfall}"));
        }
        let (coefficients, intercepts) =
            unstandardised(&preprocessor, fitted.coefficients(), fitted.intercepts());
        Ok(Self { coefficients, intercepts, prior })
    }

    fn write(&self, model: &mut ModelWriter) {
        model.f64s(&self.coefficients);
        model.f64s(&self.intercepts);
        model.f64s(&self.prior);
    }

    fn read(model: &mut ModelReader<'_>, shape: &Shape) -> Result<Self, RuleError> {
        let (modalities, classes) = (shape.modalities.len(), shape.classes.len());
        let blocks = if classes == 2 { 1 } else { classes };
        Ok(Self {
            coefficients: model.f64s(blocks * Design::new(modalities, classes).width())?,
            intercepts: model.f64s(blocks)?,
            prior: model.f64s(classes)?,
        })
    }

    fn predict(&self, batch: &Batch<'_>, probabilities: &mut [f64]) -> Result<(), RuleError> {
        self.predict_permuted(batch, &Quality::as_measured(), probabilities)
    }
}

/// Counts the evidence of a row of the design from `level`, where it is available.
fn take_level(design: &Design, modalities: usize, level: f64, row: &mut [f64]) {
    for modality in 0..modalities {
        row[design.evidence(modality, 0)] -= level * row[design.available(modality)];
        row[design.product(modality, 0)] -= level * row[design.quality(modality)];
    }
}

/// Turns coefficients of evidence that is counted from `level` into those of evidence as it is.
fn return_level(design: &Design, modalities: usize, level: f64, coefficients: &mut [f64]) {
    for modality in 0..modalities {
        coefficients[design.available(modality)] -=
            level * coefficients[design.evidence(modality, 0)];
        coefficients[design.quality(modality)] -= level * coefficients[design.product(modality, 0)];
    }
}

/// Coefficients and intercepts of the columns as they are, from those of the standardised ones.
fn unstandardised(
    preprocessor: &Preprocessor,
    coefficients: &[f64],
    intercepts: &[f64],
) -> (Vec<f64>, Vec<f64>) {
    let (mut coefficients, mut intercepts) = (coefficients.to_vec(), intercepts.to_vec());
    let width = preprocessor.scale().len();
    for (block, intercept) in coefficients.chunks_exact_mut(width).zip(&mut intercepts) {
        for (column, coefficient) in block.iter_mut().enumerate() {
            *coefficient /= preprocessor.scale()[column];
            *intercept -= *coefficient * preprocessor.mean()[column];
        }
    }
    (coefficients, intercepts)
}

/// Scores of a tile before quality is known: score = base + sum_m slope_m Q_m.
pub struct Terms {
    /// One a block.
    base: Vec<Lane>,
    /// Blocks x modalities; 0 where the modality is unavailable.
    slope: Vec<Lane>,
}

impl TiledRule for Lr {
    type Terms = Terms;

    #[inline(always)]
    fn terms(&self, tile: &Tile) -> Terms {
        let classes = self.prior.len();
        let modalities = self.coefficients.len() / self.intercepts.len() / (2 * (classes + 1));
        let design = Design::new(modalities, classes);
        let blocks = self.intercepts.len();
        let mut terms = Terms {
            base: vec![[0.0; TILE]; blocks],
            slope: vec![[0.0; TILE]; blocks * modalities],
        };
        let of_block = self.coefficients.chunks_exact(design.width()).zip(&self.intercepts);
        for (block, (coefficients, &intercept)) in of_block.enumerate() {
            // A vector at a time, so that sums stay in registers.
            for lanes in (0..TILE).step_by(WIDTH) {
                let mut base = [intercept; WIDTH];
                for modality in 0..modalities {
                    let available = part(tile.available(modality), lanes);
                    let there = coefficients[design.available(modality)];
                    let rise = coefficients[design.quality(modality)];
                    let mut slope = [0.0; WIDTH];
                    for at in 0..WIDTH {
                        base[at] = available[at].mul_add(there, base[at]);
                        slope[at] = rise * available[at];
                    }
                    for class in 0..classes {
                        let evidence = part(tile.evidence(modality, class), lanes);
                        let fixed = coefficients[design.evidence(modality, class)];
                        let rise = coefficients[design.product(modality, class)];
                        for at in 0..WIDTH {
                            base[at] = evidence[at].mul_add(fixed, base[at]);
                            slope[at] = evidence[at].mul_add(rise, slope[at]);
                        }
                    }
                    terms.slope[block * modalities + modality][lanes..][..WIDTH]
                        .copy_from_slice(&slope);
                }
                terms.base[block][lanes..][..WIDTH].copy_from_slice(&base);
            }
        }
        terms
    }

    #[inline(always)]
    fn predict_tile(
        &self,
        _: &Tile,
        terms: &mut Terms,
        quality: &mut [Lane],
        probabilities: &mut [Lane],
    ) {
        let modalities = quality.len();
        for (block, out) in probabilities.iter_mut().enumerate().take(terms.base.len()) {
            let slopes = &terms.slope[block * modalities..][..modalities];
            for lanes in (0..TILE).step_by(WIDTH) {
                let mut score = *part(&terms.base[block], lanes);
                for (slope, quality) in slopes.iter().zip(&*quality) {
                    let (slope, quality) = (part(slope, lanes), part(quality, lanes));
                    for at in 0..WIDTH {
                        score[at] = slope[at].mul_add(quality[at], score[at]);
                    }
                }
                out[lanes..][..WIDTH].copy_from_slice(&score);
            }
        }
        if probabilities.len() == 1 {
            return;
        }
        match <&mut [Lane; 2]>::try_from(&mut *probabilities) {
            Ok(two) => logistic(two),
            Err(_) => softmax(probabilities),
        }
    }

    fn prior(&self) -> &[f64] {
        &self.prior
    }
}

export_fusion_rule!(Lr, permuted_predict);
