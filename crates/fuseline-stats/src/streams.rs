//! Streams of random numbers, named by purpose.
//!
//! A stream is ChaCha20 (zero nonce, 64-bit counter from 0) under a key that is the blake3 hash of
//! the stream's parts: each part is written as its length (u64, little-endian) and its bytes. The
//! parts are `fuseline.stream/1`, the seed (u64, little-endian), the purpose, and whatever
//! [`Stream::with`] added. So any implementation can draw the same numbers, and no draw depends on
//! how many others were made, in which order or in which thread.
//!
//! Orders of rows, of which a study draws billions, come from a [`Shuffler`] under the same key: 32
//! bits a row of ChaCha8.

use rand_chacha::{ChaCha8Rng, ChaCha20Rng};
use rand_core::{Rng, SeedableRng};

/// A stream of random numbers: a function of its parts and of the count of numbers drawn.
#[derive(Debug, Clone)]
pub struct Stream {
    parts: blake3::Hasher,
    generator: Option<ChaCha20Rng>,
}

impl Stream {
    /// The stream of a seed for a purpose, such as the name of a stage kind.
    #[must_use]
    pub fn new(seed: u64, purpose: &str) -> Self {
        Self { parts: blake3::Hasher::new(), generator: None }
            .with(b"fuseline.stream/1")
            .with_u64(seed)
            .with(purpose.as_bytes())
    }

    /// The stream of one more part. It starts anew, independent of earlier draws.
    #[must_use]
    pub fn with(mut self, part: &[u8]) -> Self {
        self.parts.update(&(part.len() as u64).to_le_bytes());
        self.parts.update(part);
        self.generator = None;
        self
    }

    /// [`Self::with`] the eight little-endian bytes of a number.
    #[must_use]
    pub fn with_u64(self, part: u64) -> Self {
        self.with(&part.to_le_bytes())
    }

    /// Digest of the stream's parts: equal for streams of equal numbers.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        *self.parts.finalize().as_bytes()
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.generator().next_u64()
    }

    fn generator(&mut self) -> &mut ChaCha20Rng {
        let parts = &self.parts;
        self.generator.get_or_insert_with(|| ChaCha20Rng::from_seed(*parts.finalize().as_bytes()))
    }

    /// The orders of rows under this stream's key, independent of earlier draws.
    #[must_use]
    pub fn shuffler(&self) -> Shuffler {
        Shuffler(ChaCha8Rng::from_seed(self.digest()))
    }

    /// Uniform in [0, 1): the upper 53 bits of one draw, times 2^-53.
    pub fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0)
    }

    /// Standard normal, from two uniforms u and v: sqrt(-2 ln(1 - u)) cos(2 pi v) (Box and Muller
    /// 1958).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * libm::log(1.0 - self.uniform())).sqrt();
        radius * libm::cos(2.0 * std::f64::consts::PI * self.uniform())
    }

    /// Uniform in 0..n, without bias: the upper half of draw * n, drawn again where that favours
    /// some (Lemire 2019).
    ///
    /// An n of 0 counts as 1.
    pub fn below(&mut self, n: u64) -> u64 {
        below(self.generator(), n)
    }

    /// Shuffles in place, each order as likely as any other (Fisher and Yates, from the last place
    /// down).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        let generator = self.generator();
        for last in (1..items.len()).rev() {
            #[expect(clippy::cast_possible_truncation, reason = "a number below a usize is one")]
            let other = below(generator, last as u64 + 1) as usize;
            items.swap(last, other);
        }
    }
}

fn below(generator: &mut ChaCha20Rng, n: u64) -> u64 {
    let n = n.max(1);
    loop {
        let product = u128::from(generator.next_u64()) * u128::from(n);
        #[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
        let lower = product as u64;
        // Rejected values are below n, so that the division is hardly ever needed.
        if lower >= n || lower >= n.wrapping_neg() % n {
            return (product >> 64) as u64;
        }
    }
}

/// Orders of rows, one after the other: ChaCha8 (zero nonce, 64-bit counter from 0), a word of 32
/// bits a place.
///
/// Of ChaCha's 20 rounds no attack reaches more than seven, so eight are as random as a permutation
/// test can ask, at two fifths of the time (Aumasson 2019).
#[derive(Debug, Clone)]
pub struct Shuffler(ChaCha8Rng);

impl Shuffler {
    /// Shuffles in place, each order as likely as any other (Fisher and Yates, from the last place
    /// down; places as in [`Stream::below`], of half as many bits).
    pub fn shuffle(&mut self, rows: &mut [u32]) {
        for last in (1..rows.len()).rev() {
            // At most 2^32 rows can be numbered, and so have different places.
            let other = self.below(last as u64 + 1);
            rows.swap(last, other);
        }
    }

    /// Uniform in 0..n, for n of at most 2^32.
    fn below(&mut self, n: u64) -> usize {
        loop {
            let product = u64::from(self.0.next_u32()) * n;
            let lower = product & u64::from(u32::MAX);
            // Rejected values are below n, so that the division is hardly ever needed.
            if lower >= n || lower >= (1 << 32) % n {
                return (product >> 32) as usize;
            }
        }
    }
}

#[cfg(test)]
mod tests;
