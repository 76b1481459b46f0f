//! From values to bins.

/// The bins of all columns.
#[derive(Debug)]
pub(super) struct Bins {
    /// Bin of each value, column-major.
    codes: Vec<u8>,
    count: usize,
    /// Increasing thresholds by column: a value is in bin b when thresholds[b - 1] < value <=
    /// thresholds[b].
    thresholds: Vec<Vec<f64>>,
}

impl Bins {
    /// Bins each column of the rows; rows without weight are binned, but shape no threshold.
    pub fn new(rows: &[f64], width: usize, weights: &[f64], max_bins: usize) -> Self {
        let count = weights.len();
        let mut codes = Vec::with_capacity(rows.len());
        let mut thresholds = Vec::with_capacity(width);
        for column in 0..width {
            let values = || rows.iter().skip(column).step_by(width).copied();
            let weighted =
                values().zip(weights.iter().copied()).filter(|&(_, weight)| weight > 0.0);
            let own = cuts(weighted.collect(), max_bins);
            codes.extend(values().map(|value| bin(&own, value)));
            thresholds.push(own);
        }
        Self { codes, count, thresholds }
    }

    pub fn count(&self) -> usize {
        self.count
    }

    pub fn width(&self) -> usize {
        self.thresholds.len()
    }

    /// The bins of a column, one a row.
    pub fn codes(&self, column: usize) -> &[u8] {
        &self.codes[column * self.count..][..self.count]
    }

    pub fn thresholds(&self, column: usize) -> &[f64] {
        &self.thresholds[column]
    }
}

/// There are at most 254 thresholds, so a bin fits a byte.
#[expect(clippy::cast_possible_truncation, reason = "max_bins is at most 255")]
fn bin(thresholds: &[f64], value: f64) -> u8 {
    thresholds.partition_point(|&threshold| threshold < value) as u8
}

/// Midpoints between distinct values when they are few, else weighted quantiles.
fn cuts(mut weighted: Vec<(f64, f64)>, max_bins: usize) -> Vec<f64> {
    weighted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut distinct: Vec<f64> = weighted.iter().map(|&(value, _)| value).collect();
    distinct.dedup();
    let mut cuts = if distinct.len() <= max_bins {
        distinct.windows(2).map(|pair| pair[0] / 2.0 + pair[1] / 2.0).collect()
    } else {
        quantiles(&weighted, max_bins)
    };
    cuts.dedup();
    cuts
}

/// The max_bins - 1 inner quantiles of the weighted distribution, the averaged inverted
/// distribution function.
fn quantiles(sorted: &[(f64, f64)], max_bins: usize) -> Vec<f64> {
    let mut running = 0.0;
    let below: Vec<f64> = sorted
        .iter()
        .map(|&(_, weight)| {
            running += weight;
            running
        })
        .collect();
    let last = sorted.len() - 1;
    (1..max_bins)
        .map(|rank| {
            let wanted = 100.0 / max_bins as f64 * rank as f64 / 100.0 * running;
            let at = below.partition_point(|&below| below < wanted).min(last);
            if below[at] - wanted > f64::EPSILON {
                sorted[at].0
            } else {
                let next = sorted[(at + 1).min(last)].0;
                sorted[at].0 / 2.0 + next / 2.0
            }
        })
        .collect()
}
