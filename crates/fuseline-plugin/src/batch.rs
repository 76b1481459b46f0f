//! Rows, as a rule sees them.
#![expect(unsafe_code, reason = "reads the structs of the ABI")]

use std::ffi::CStr;
use std::fmt;
use std::ops::Deref;

use fuseline_abi as abi;

use crate::error::RuleError;
use crate::export::{host, should_stop};

/// Rows to predict: evidence, availability and quality of all modalities side by side.
///
/// If a modality is unavailable, its evidence and quality are unspecified and must not influence
/// anything; if it is available they are finite, which has been checked.
///
/// Where the label is a number there is one class, and the evidence is the number that each
/// modality's expert expects.
#[derive(Clone)]
pub struct Batch<'a> {
    rows: usize,
    modalities: usize,
    classes: usize,
    row_id: &'a [u64],
    evidence: &'a [f64],
    available: &'a [u8],
    quality: &'a [f64],
    raw: &'a abi::Batch,
}

/// Rows to fit on: a [`Batch`] with labels, or with targets where the label is a number, and
/// weights.
#[derive(Clone)]
pub struct TrainingBatch<'a> {
    batch: Batch<'a>,
    label: &'a [i32],
    target: &'a [f64],
    weight: &'a [f64],
}

impl<'a> Batch<'a> {
    /// # Safety
    /// The batch and all that it points to is in the canonical layout and lives for `'a`.
    pub(crate) unsafe fn new(raw: *const abi::Batch) -> Result<Self, RuleError> {
        // SAFETY: as the caller promises.
        let raw = unsafe { raw.as_ref() }.ok_or_else(|| RuleError::data("the batch is null"))?;
        if (raw.struct_size as usize) < size_of::<abi::Batch>() || raw.flags != 0 {
            return Err(RuleError::of_code(abi::ERR_ABI, "the batch is of another ABI"));
        }
        let (rows, modalities, classes) =
            (raw.rows as usize, raw.modalities as usize, raw.classes as usize);
        if modalities < 1 || classes < 1 {
            return Err(RuleError::data("a batch has at least 1 modality and 1 class"));
        }
        // SAFETY: the columns have these types and lengths in the canonical layout.
        let batch = unsafe {
            Self {
                rows,
                modalities,
                classes,
                row_id: required(raw, c"row_id", rows)?,
                evidence: required(raw, c"evidence", rows * modalities * classes)?,
                available: required(raw, c"available", rows * modalities)?,
                quality: required(raw, c"quality", rows * modalities)?,
                raw,
            }
        };
        batch.check_values()?;
        Ok(batch)
    }

    fn check_values(&self) -> Result<(), RuleError> {
        for (cell, &available) in self.available.iter().enumerate() {
            if available == 0 {
                continue;
            }
            let evidence = &self.evidence[cell * self.classes..][..self.classes];
            if !evidence.iter().all(|value| value.is_finite()) {
                return Err(self.wrong("evidence", cell));
            }
            if !self.quality[cell].is_finite() {
                return Err(self.wrong("quality", cell));
            }
        }
        Ok(())
    }

    fn wrong(&self, what: &str, cell: usize) -> RuleError {
        let name = self.modality_name(cell % self.modalities);
        RuleError::data(format!("{what} of modality {name} is not finite"))
            .at_row(cell / self.modalities)
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of modalities.
    pub fn modalities(&self) -> usize {
        self.modalities
    }

    /// Number of classes; 1 where the label is a number.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Identifies the row; not a feature.
    pub fn row_id(&self) -> &'a [u64] {
        self.row_id
    }

    /// Row i, modality m, class k is at `[(i * modalities + m) * classes + k]`.
    pub fn evidence(&self) -> &'a [f64] {
        self.evidence
    }

    /// Row i, modality m is at `[i * modalities + m]`; 1 or 0.
    pub fn available(&self) -> &'a [u8] {
        self.available
    }

    /// Row i, modality m is at `[i * modalities + m]`.
    pub fn quality(&self) -> &'a [f64] {
        self.quality
    }

    /// True if the label is a number, and what is predicted too.
    pub fn is_regression(&self) -> bool {
        self.classes == 1
    }

    /// True if the modality is available in this row.
    pub fn is_available(&self, row: usize, modality: usize) -> bool {
        self.available[row * self.modalities + modality] != 0
    }

    /// The class probabilities of a modality in this row.
    pub fn evidence_of(&self, row: usize, modality: usize) -> &'a [f64] {
        &self.evidence[(row * self.modalities + modality) * self.classes..][..self.classes]
    }

    /// The modalities that are available in this row.
    pub fn available_in(&self, row: usize) -> impl Iterator<Item = usize> + use<'a> {
        let available = &self.available[row * self.modalities..][..self.modalities];
        available.iter().enumerate().filter(|(_, there)| **there != 0).map(|(modality, _)| modality)
    }

    /// Results of `transform` for the class probabilities of each available cell, in the places of
    /// [`Batch::evidence`]; 0 where a modality is unavailable. It is given them, and the numbers to
    /// fill, one a class.
    pub fn transform_evidence(&self, mut transform: impl FnMut(&[f64], &mut [f64])) -> Vec<f64> {
        let mut values = vec![0.0; self.rows * self.modalities * self.classes];
        let cells = values.chunks_exact_mut(self.classes).zip(self.available);
        for (cell, (out, &there)) in cells.enumerate() {
            if there != 0 {
                transform(&self.evidence[cell * self.classes..][..self.classes], out);
            }
        }
        values
    }

    /// The embedding of a modality, rows x width, with its width.
    pub fn embedding(&self, modality: usize) -> Option<(usize, &'a [f64])> {
        let name = format!("embedding_{}\0", self.modality_name(modality));
        let name = CStr::from_bytes_until_nul(name.as_bytes()).ok()?;
        // SAFETY: the batch is in the canonical layout, as `new` was promised.
        unsafe {
            let place = place(self.raw, name)?;
            let format = CStr::from_ptr((**(*self.raw.schema).children.add(place)).format);
            let width: usize = format.to_str().ok()?.strip_prefix("+w:")?.parse().ok()?;
            values(self.raw, name, self.rows * width).map(|values| (width, values))
        }
    }

    /// The name of a modality.
    pub fn modality_name(&self, modality: usize) -> &'a str {
        assert!(modality < self.modalities, "modality {modality} of {}", self.modalities);
        // SAFETY: there are as many names as modalities.
        unsafe { text(&*self.raw.modality_names.add(modality)) }
    }

    /// The name of a class.
    pub fn class_name(&self, class: usize) -> &'a str {
        assert!(class < self.classes, "class {class} of {}", self.classes);
        // SAFETY: there are as many names as classes.
        unsafe { text(&*self.raw.class_names.add(class)) }
    }

    /// True if the host asks the call to end; to be called at least every 100 ms of work.
    pub fn should_stop(&self) -> bool {
        // SAFETY: the call is this batch's own.
        unsafe { should_stop(self.raw.call) }
    }

    /// Sends the host a caution for readers of the results, in lower case and without a full
    /// stop: one sent while fitting appears in the run and in its report.
    pub fn warn(&self, text: impl fmt::Display) {
        log(1, &text.to_string());
    }

    /// Sends the host a detail for its log.
    pub fn detail(&self, text: impl fmt::Display) {
        log(3, &text.to_string());
    }

    /// Returns an error when the host asks the call to end.
    pub fn go_on(&self) -> Result<(), RuleError> {
        if self.should_stop() { Err(RuleError::cancelled()) } else { Ok(()) }
    }
}

impl<'a> TrainingBatch<'a> {
    /// # Safety
    /// As [`Batch::new`].
    pub(crate) unsafe fn new(raw: *const abi::Batch) -> Result<Self, RuleError> {
        // SAFETY: as the caller promises.
        let batch = unsafe { Batch::new(raw) }?;
        let rows = batch.rows;
        // SAFETY: the columns have these types and lengths in the canonical layout.
        let (label, target, weight): (&[i32], &[f64], _) = unsafe {
            let weight = required(batch.raw, c"weight", rows)?;
            match batch.is_regression() {
                true => (&[], required(batch.raw, c"target", rows)?, weight),
                false => (required(batch.raw, c"label", rows)?, &[], weight),
            }
        };
        let training = Self { batch, label, target, weight };
        for row in 0..rows {
            if let Some(label) = training.label.get(row)
                && !usize::try_from(*label).is_ok_and(|label| label < training.classes())
            {
                return Err(RuleError::data("the label is not the number of a class").at_row(row));
            }
            if training.target.get(row).is_some_and(|target| !target.is_finite()) {
                return Err(RuleError::data("the target is not finite").at_row(row));
            }
            if !(training.weight[row].is_finite() && training.weight[row] > 0.0) {
                return Err(
                    RuleError::data("the weight is not a finite number above 0").at_row(row)
                );
            }
        }
        Ok(training)
    }

    /// The labels: numbers of classes; none where the label is a number.
    pub fn label(&self) -> &'a [i32] {
        self.label
    }

    /// The numbers to predict, where the label is one; none else.
    pub fn target(&self) -> &'a [f64] {
        self.target
    }

    /// True if the class to which a modality gives the largest probability, the first of equals, is
    /// the label.
    pub fn is_right(&self, row: usize, modality: usize) -> bool {
        let evidence = self.evidence_of(row, modality);
        let mut top = 0;
        for (class, probability) in evidence.iter().enumerate() {
            if *probability > evidence[top] {
                top = class;
            }
        }
        top == self.label[row] as usize
    }

    /// The weights: above 0.
    pub fn weight(&self) -> &'a [f64] {
        self.weight
    }

    /// The weighted share of each class; the same for all when there are no rows. Where the label
    /// is a number, its weighted mean, 0 when there are no rows.
    pub fn prior(&self) -> Vec<f64> {
        if self.is_regression() {
            let total: f64 = self.weight.iter().sum();
            let products =
                self.target.iter().zip(self.weight).map(|(target, weight)| target * weight);
            let sum: f64 = products.sum();
            return vec![if total > 0.0 { sum / total } else { 0.0 }];
        }
        let mut prior = vec![0.0; self.classes()];
        for (&label, &weight) in self.label.iter().zip(self.weight) {
            prior[label as usize] += weight;
        }
        let total: f64 = prior.iter().sum();
        if total > 0.0 {
            prior.iter_mut().for_each(|share| *share /= total);
        } else {
            prior.fill(1.0 / self.classes() as f64);
        }
        prior
    }
}

impl<'a> Deref for TrainingBatch<'a> {
    type Target = Batch<'a>;

    fn deref(&self) -> &Batch<'a> {
        &self.batch
    }
}

/// Passes a line to the host's log.
fn log(level: i32, text: &str) {
    if let Some((host, log)) = host().and_then(|host| Some((host, host.log?))) {
        // SAFETY: the host's struct lives as long as the plugin, the text through the call.
        unsafe { log(host, level, abi::FslString::new(text)) }
    }
}

/// # Safety
/// As [`values`].
unsafe fn required<'a, T>(
    batch: &'a abi::Batch,
    name: &CStr,
    len: usize,
) -> Result<&'a [T], RuleError> {
    // SAFETY: as the caller promises.
    unsafe { values(batch, name, len) }.ok_or_else(|| {
        RuleError::data(format!("the batch has no column {}", name.to_string_lossy()))
    })
}

/// # Safety
/// The batch is in the canonical layout, and the column of this name, if there is one, has `len`
/// values of type `T`.
unsafe fn values<'a, T>(batch: &'a abi::Batch, name: &CStr, len: usize) -> Option<&'a [T]> {
    // SAFETY: children are valid structs; a column of lists has one child, and values lie in the
    // second buffer.
    unsafe {
        let mut column = &**(*batch.array).children.add(place(batch, name)?);
        if column.n_children == 1 {
            column = &**column.children;
        }
        Some(std::slice::from_raw_parts((*column.buffers.add(1)).cast::<T>(), len))
    }
}

/// The place of a column among the children.
///
/// # Safety
/// The batch is in the canonical layout.
unsafe fn place(batch: &abi::Batch, name: &CStr) -> Option<usize> {
    // SAFETY: there are n_children children with NUL-terminated names.
    unsafe {
        let schema = &*batch.schema;
        (0..schema.n_children as usize)
            .find(|&at| CStr::from_ptr((**schema.children.add(at)).name) == name)
    }
}

/// # Safety
/// The string is UTF-8 and lives for `'a`.
unsafe fn text<'a>(string: &abi::FslString) -> &'a str {
    if string.len == 0 {
        return "";
    }
    // SAFETY: as the caller promises.
    let bytes = unsafe { std::slice::from_raw_parts(string.ptr.cast::<u8>(), string.len as usize) };
    str::from_utf8(bytes).unwrap_or("?")
}
