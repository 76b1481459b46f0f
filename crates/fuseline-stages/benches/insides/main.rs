//! The insides, one after the other: how long each takes, and how that grows.
//!
//! `cargo bench -p fuseline-stages --bench insides -- NAME` measures what has NAME in its name. The
//! tests call it without `--bench`: then each runs once, at its smallest size, and what it gives is
//! checked.

#![expect(clippy::unwrap_used, reason = "a bench that fails fails aloud")]

use criterion::Criterion;

mod language;
mod numbers;
mod storage;

/// The sizes to measure; outside of a measurement the first alone.
fn sizes(all: &[usize]) -> &[usize] {
    if std::env::args().any(|argument| argument == "--bench") { all } else { &all[..1] }
}

/// Pseudo-random numbers, the same on every machine (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Between -1 and 1.
    fn value(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(std::time::Duration::from_millis(500))
        .measurement_time(std::time::Duration::from_secs(3))
        .configure_from_args();
    language::benches(&mut criterion);
    storage::benches(&mut criterion);
    numbers::benches(&mut criterion);
    criterion.final_summary();
}
