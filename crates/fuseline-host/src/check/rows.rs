//! Made-up rows, the same everywhere. The tests of this crate include this file.

use super::BatchColumns;

/// Numbers that look random (SplitMix64).
pub struct Numbers(u64);

impl Numbers {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub fn below(&mut self, n: usize) -> usize {
        ((self.uniform() * n as f64) as usize).min(n.saturating_sub(1))
    }

    /// The numbers from 0, in a random order.
    pub fn order(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<_> = (0..n).collect();
        for at in (1..n).rev() {
            order.swap(at, self.below(at + 1));
        }
        order
    }
}

/// Rows whose evidence knows the label, the better the higher the quality; some cells are
/// unavailable.
#[derive(Clone)]
pub struct Rows {
    pub modalities: Vec<String>,
    pub classes: Vec<String>,
    pub row_id: Vec<u64>,
    pub evidence: Vec<f64>,
    pub available: Vec<u8>,
    pub quality: Vec<f64>,
    pub label: Vec<i32>,
    pub weight: Vec<f64>,
}

impl Rows {
    /// `missing`: whether one cell in eight is unavailable.
    pub fn new(rows: usize, modalities: usize, classes: usize, missing: bool, seed: u64) -> Self {
        let mut numbers = Numbers::new(seed);
        let mut made = Self {
            modalities: (0..modalities).map(|m| format!("modality{m}")).collect(),
            classes: (0..classes).map(|k| format!("class{k}")).collect(),
            row_id: (0..rows as u64).collect(),
            evidence: Vec::new(),
            available: Vec::new(),
            quality: Vec::new(),
            label: (0..rows).map(|row| (row % classes) as i32).collect(),
            weight: Vec::new(),
        };
        for row in 0..rows {
            made.weight.push(0.5 + numbers.uniform());
            for _ in 0..modalities {
                let reliability = numbers.uniform();
                let start = made.evidence.len();
                for class in 0..classes {
                    let right = class as i32 == made.label[row];
                    let knows = if right { 3.0 * reliability } else { 0.0 };
                    made.evidence.push(0.05 + numbers.uniform() + knows);
                }
                let total: f64 = made.evidence[start..].iter().sum();
                made.evidence[start..].iter_mut().for_each(|score| *score /= total);
                made.available.push(u8::from(!missing || numbers.below(8) != 0));
                made.quality.push(reliability + 0.1 * numbers.uniform());
            }
        }
        made
    }

    /// Columns that a batch is made of.
    pub fn columns(&self) -> BatchColumns<'_> {
        BatchColumns {
            row_id: &self.row_id,
            evidence: &self.evidence,
            available: &self.available,
            quality: &self.quality,
        }
    }
}
