//! Student's t distribution.

/// P(T >= t) of Student's t with `df` > 0 degrees of freedom. NaN where an argument is.
#[must_use]
pub fn upper_tail(t: f64, df: f64) -> f64 {
    let tail = 0.5 * regularised_beta(df / (df + t * t), 0.5 * df, 0.5);
    if t < 0.0 { 1.0 - tail } else { tail }
}

/// The t of which P(T <= t) is `share`, strictly between 0 and 1, with `df` > 0 degrees of freedom.
#[must_use]
pub fn quantile(share: f64, df: f64) -> f64 {
    let tail = share.min(1.0 - share);
    let (mut below, mut above) = (0.0, 1.0);
    while upper_tail(above, df) > tail {
        above *= 2.0;
    }
    for _ in 0..100 {
        let middle = 0.5 * (below + above);
        if upper_tail(middle, df) > tail { below = middle } else { above = middle }
    }
    let t = 0.5 * (below + above);
    if share < 0.5 { -t } else { t }
}

/// I_x(a, b), by the continued fraction of DLMF 8.17.22 with Lentz's method.
fn regularised_beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 || x.is_nan() {
        return x.clamp(0.0, 1.0);
    }
    // The fraction converges fast on this side of the mean.
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - regularised_beta(1.0 - x, b, a);
    }
    let log_front = libm::lgamma(a + b) - libm::lgamma(a) - libm::lgamma(b)
        + a * libm::log(x)
        + b * libm::log1p(-x);
    let away = |value: f64| if value.abs() < 1e-300 { 1e-300 } else { value };
    let (mut c, mut d) = (1.0, 1.0 / away(1.0 - (a + b) * x / (a + 1.0)));
    let mut fraction = d;
    for step in 1..500 {
        let m = f64::from(step);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut change = 1.0;
        for coefficient in [even, odd] {
            d = 1.0 / away(1.0 + coefficient * d);
            c = away(1.0 + coefficient / c);
            change = c * d;
            fraction *= change;
        }
        if (change - 1.0).abs() < 1e-16 {
            break;
        }
    }
    libm::exp(log_front) * fraction / a
}

#[cfg(test)]
mod tests {
    use super::*;

    /// scipy 1.17: `stats.t.sf(t, df)` and `stats.t.ppf(share, df)`.
    #[test]
    fn tails_and_quantiles_are_those_of_scipy() {
        for (t, df, expected) in [
            (0.0, 4.0, 0.5),
            (2.0, 4.0, 0.058_058_261_758_407_78),
            (-1.5, 9.0, 0.916_074_671_971_462_5),
            (12.0, 2.5, 0.001_418_107_515_039_162_2),
            (1.96, 1e6, 0.024_998_033_792_634_926),
        ] {
            let found = upper_tail(t, df);
            let tolerance = if df > 1e5 { 1e-9 } else { 1e-12 };
            assert!((found - expected).abs() < tolerance, "{t} {df}: {found} {expected}");
        }
        for (share, df, expected) in [
            (0.975, 1.0, 12.706_204_736_174_694),
            (0.975, 4.0, 2.776_445_105_197_793_4),
            (0.05, 9.0, -1.833_112_932_656_237_6),
        ] {
            let found = quantile(share, df);
            assert!((found - expected).abs() < 1e-9 * expected.abs(), "{share} {df}: {found}");
        }
    }
}
