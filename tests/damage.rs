//! Damage to bytes, the same each time.

/// A generator of numbers that are the same everywhere (splitmix64).
pub struct Numbers(pub u64);

impl Numbers {
    /// A number of 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to below `end`; 0 where there is none.
    pub fn below(&mut self, end: usize) -> usize {
        (self.bits() % end.max(1) as u64) as usize
    }

    /// A number from 0 to below 1.
    pub fn fraction(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Damages bytes as disks, copies and people with bad intent do.
    pub fn damage(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(3) {
            if bytes.is_empty() {
                return;
            }
            let at = self.below(bytes.len());
            let end = (at + 1 + self.below(16)).min(bytes.len());
            match self.below(8) {
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at..end].fill([0, 0xff, 0x7f, 0x80][self.below(4)]),
                2 => bytes.truncate(at),
                3 => _ = bytes.drain(at..end),
                4 => {
                    let part = bytes[at..end].to_vec();
                    bytes.splice(at..at, part);
                }
                5 => bytes[at..end].reverse(),
                6 => bytes[at..end].iter_mut().for_each(|byte| *byte = self.bits() as u8),
                _ => {
                    let number = [u64::MAX, 1 << 62, 1 << 40, 1 << 31, u64::from(u32::MAX), 0];
                    let number = number[self.below(6)].to_le_bytes();
                    let length = number.len().min(bytes.len() - at);
                    bytes[at..at + length].copy_from_slice(&number[..length]);
                }
            }
        }
    }
}
