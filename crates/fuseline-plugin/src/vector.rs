//! Arithmetic over many rows at once: the same bits on every machine, as fast as its vectors are
//! wide.
#![expect(
    unsafe_code,
    reason = "calls a function that is compiled for a processor which was found"
)]

/// Computation that [`wide`] runs.
pub trait Work {
    /// Its result.
    type Output;

    /// Does it. `#[inline(always)]`, or it is compiled for no more than every machine has.
    fn run(self) -> Self::Output;
}

impl<T, F: FnOnce() -> T> Work for F {
    type Output = T;

    #[inline(always)]
    fn run(self) -> T {
        self()
    }
}

/// Runs work with the widest vectors that this machine has and the compiler can use in it.
///
/// The work and what it calls must be inlined (`#[inline(always)]`) to profit, which of closures
/// only small ones are. The bits do not depend on the machine: each lane is computed as a number
/// alone would be, and a product and a sum are one operation only where the code says `mul_add`,
/// which is rounded once on every machine; one without that instruction computes it slowly.
#[inline]
pub fn wide<W: Work>(work: W) -> W::Output {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("fma")
        && std::arch::is_x86_feature_detected!("avx512f")
        && std::arch::is_x86_feature_detected!("avx512bw")
        && std::arch::is_x86_feature_detected!("avx512cd")
        && std::arch::is_x86_feature_detected!("avx512dq")
        && std::arch::is_x86_feature_detected!("avx512vl")
    {
        // SAFETY: the processor has what the function is compiled for.
        return unsafe { with_avx512(work) };
    }
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
        // SAFETY: the processor has what the function is compiled for.
        return unsafe { with_avx2(work) };
    }
    work.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "fma,avx512f,avx512bw,avx512cd,avx512dq,avx512vl")]
fn with_avx512<W: Work>(work: W) -> W::Output {
    work.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn with_avx2<W: Work>(work: W) -> W::Output {
    work.run()
}

/// e^x within a unit in the last place, by sums and products alone, so that loops over it become
/// vectors.
///
/// Below -708 it is e^-708, some 3e-308, and above 709 e^709: never 0, never infinite. A NaN stays
/// one.
#[inline(always)]
pub fn exp(x: f64) -> f64 {
    // 1.5 * 2^52: added to a small number, it leaves the nearest integer in the low bits.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    // ln 2 in two parts: the first has 32 bits, so that its product with an exponent is exact.
    const LN2_HIGH: f64 = 0.693_147_180_369_123_8;
    const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    // 1/n! from 13! down to 1!.
    const TERMS: [f64; 13] = [
        1.605_904_383_682_161_3e-10,
        2.087_675_698_786_81e-9,
        2.505_210_838_544_172e-8,
        2.755_731_922_398_589e-7,
        2.755_731_922_398_589_3e-6,
        2.480_158_730_158_73e-5,
        1.984_126_984_126_984e-4,
        1.388_888_888_888_889e-3,
        8.333_333_333_333_333e-3,
        4.166_666_666_666_666_4e-2,
        1.666_666_666_666_666_6e-1,
        0.5,
        1.0,
    ];
    let x = if x < -708.0 { -708.0 } else { x };
    let x = if x > 709.0 { 709.0 } else { x };
    let shifted = x.mul_add(std::f64::consts::LOG2_E, ROUND);
    let exponent = shifted - ROUND;
    let rest = exponent.mul_add(-LN2_LOW, exponent.mul_add(-LN2_HIGH, x));
    let mut sum = TERMS[0];
    for &term in &TERMS[1..] {
        sum = sum.mul_add(rest, term);
    }
    let power = f64::from_bits(shifted.to_bits().wrapping_add(1023) << 52);
    sum.mul_add(rest, 1.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_right_within_a_unit_in_the_last_place() {
        let mut worst = 0_u64;
        for step in 0..=4_000_000_u32 {
            let x = -708.0 + f64::from(step) * (1417.0 / 4_000_000.0);
            let (found, expected) = (exp(x), libm::exp(x));
            worst = worst.max(found.to_bits().abs_diff(expected.to_bits()));
        }
        assert!(worst <= 1, "{worst} units");
        assert_eq!(exp(0.0).to_bits(), 1.0_f64.to_bits());
        assert!(exp(f64::NAN).is_nan());
        assert_eq!(exp(f64::NEG_INFINITY).to_bits(), exp(-708.0).to_bits());
        assert!(exp(f64::INFINITY).is_finite());
    }

    #[test]
    fn wide_vectors_give_the_same_bits() {
        let x: Vec<f64> = (0..1003).map(|at| f64::from(at) * 0.37 - 200.0).collect();
        let each: Vec<f64> = x.iter().map(|x| std::hint::black_box(exp(*x))).collect();
        let all = wide(|| x.iter().map(|x| exp(*x)).collect::<Vec<_>>());
        assert!(each.iter().zip(&all).all(|(one, other)| one.to_bits() == other.to_bits()));
    }
}
