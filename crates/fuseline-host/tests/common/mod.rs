//! What the tests of this crate share: the box's plugins and made-up rows.
#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(
    clippy::allow_attributes,
    reason = "whether something is used differs between the test binaries"
)]
#![expect(clippy::unwrap_used, reason = "a test ends where its rows cannot be made")]

use std::path::PathBuf;

use fuseline_host::{Batch, BatchColumns, Isolation, Params, PluginLibrary, Rule};

/// The rules in the box.
pub const RULES: [&str; 10] = [
    "mean",
    "weighted_mean",
    "product",
    "max_confidence",
    "dempster_shafer",
    "attention",
    "lr",
    "hgb",
    "moe",
    "stacking",
];

/// The folder into which cargo puts the plugins that this crate's tests depend on.
pub fn plugin_folder() -> PathBuf {
    std::env::current_exe().unwrap().parent().unwrap().to_owned()
}

pub fn library() -> PluginLibrary {
    PluginLibrary::new(vec![plugin_folder()])
}

pub fn rule(name: &str) -> Rule {
    let library = library();
    library.load(&library.find(name).unwrap(), Isolation::InProcess).unwrap()
}

pub fn defaults(rule: &Rule) -> Params {
    rule.params(&serde_json::Map::new()).unwrap()
}

/// Numbers that look random and are the same everywhere (SplitMix64).
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
        (self.uniform() * n as f64) as usize
    }
}

/// Rows in which quality says how reliable the evidence is; about one cell in eight is unavailable.
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
    pub fn new(rows: usize, modalities: usize, classes: usize, seed: u64) -> Self {
        let mut numbers = Numbers::new(seed);
        let mut made = Self {
            modalities: (0..modalities).map(|m| format!("modality{m}")).collect(),
            classes: (0..classes).map(|k| format!("class{k}")).collect(),
            row_id: (0..rows as u64).collect(),
            evidence: vec![],
            available: vec![],
            quality: vec![],
            label: (0..rows).map(|row| (row % classes) as i32).collect(),
            weight: vec![],
        };
        for row in 0..rows {
            made.weight.push(0.5 + numbers.uniform());
            for _ in 0..modalities {
                let reliability = numbers.uniform();
                let scores: Vec<f64> = (0..classes)
                    .map(|class| {
                        let right = class as i32 == made.label[row];
                        0.05 + numbers.uniform() + if right { 2.0 * reliability } else { 0.0 }
                    })
                    .collect();
                let total: f64 = scores.iter().sum();
                made.evidence.extend(scores.iter().map(|score| score / total));
                made.available.push(u8::from(numbers.below(8) != 0));
                made.quality.push(3.0 * reliability + numbers.uniform() - 1.0);
            }
        }
        made
    }

    pub fn batch(&self) -> Batch {
        let columns = BatchColumns {
            row_id: &self.row_id,
            evidence: &self.evidence,
            available: &self.available,
            quality: &self.quality,
        };
        Batch::new(&self.modalities, &self.classes, columns).unwrap()
    }

    pub fn training(&self) -> Batch {
        self.batch().with_labels(&self.label, &self.weight).unwrap()
    }
}

/// A permutation of the rows.
pub fn shuffled(rows: usize, numbers: &mut Numbers) -> Vec<u32> {
    let mut index: Vec<u32> = (0..rows as u32).collect();
    for at in (1..rows).rev() {
        index.swap(at, numbers.below(at + 1));
    }
    index
}
