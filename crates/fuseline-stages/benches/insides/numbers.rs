//! Numerics: what a study computes most often.

use criterion::{Criterion, Throughput};
use fuseline_learn::boosting::{self, Boosting};
use fuseline_learn::logistic::{self, Logistic};
use fuseline_stats::bootstrap::{ClassSums, cluster_bootstrap};
use fuseline_stats::metrics::balanced_accuracy;
use fuseline_stats::permutation::{Permuter, Rows, Scheme};
use fuseline_stats::streams::Stream;

use crate::{Numbers, sizes};

const WIDTH: usize = 12;
const CLASSES: usize = 2;

pub fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("numbers");
    for &rows in sizes(&[100, 1_000, 10_000, 100_000]) {
        let mut numbers = Numbers(1);
        let available: Vec<bool> = (0..rows * 3).map(|_| numbers.value() > -0.8).collect();
        let of =
            Rows { modalities: 3, available: &available, group: None, stratum: None, digest: b"" };
        let permuter = Permuter::new(Scheme::Joint, &of, 1).unwrap();
        let mut drawn = vec![0; permuter.rows() * permuter.columns()];
        let mut number = 0;
        group.throughput(Throughput::Elements(rows as u64));
        group.bench_function(format!("permutation {rows}"), |bencher| {
            bencher.iter(|| {
                number += 1;
                permuter.draw_into(number, &mut drawn);
            });
        });

        let labels: Vec<u32> = (0..rows).map(|row| (row % CLASSES) as u32).collect();
        let correct: Vec<f64> = (0..rows).map(|_| f64::from(numbers.value() > -0.5)).collect();
        let groups = rows / 10;
        let group_of: Vec<u32> = (0..rows).map(|row| (row % groups) as u32).collect();
        let sums = || ClassSums::from_rows(&group_of, groups, &labels, CLASSES, &correct).unwrap();
        let accuracy = |sums: &ClassSums| sums.balanced_accuracy(&vec![1; groups]);
        let counts = |right: bool| {
            let mut counts = [0; CLASSES];
            for (&label, &correct) in labels.iter().zip(&correct) {
                counts[label as usize] += u64::from(!right || correct > 0.0);
            }
            counts
        };
        let expected = balanced_accuracy(&counts(false), &counts(true)).unwrap();
        assert!((accuracy(&sums()) - expected).abs() < 1e-12);
        group.bench_function(format!("balanced accuracy {rows}"), |bencher| {
            bencher.iter(|| accuracy(&sums()));
        });
        let (resamples, stream) = (200, Stream::new(1, "bench"));
        group.throughput(Throughput::Elements((groups * (resamples + groups)) as u64));
        if rows <= 1_000 {
            let sums = sums();
            group.bench_function(format!("bootstrap of {resamples}, {rows}"), |bencher| {
                bencher.iter(|| {
                    cluster_bootstrap(groups, resamples, &stream, 1, |times, values| {
                        values[0] = sums.balanced_accuracy(times);
                    })
                    .unwrap()
                });
            });
        }

        // A fit of more rows takes seconds.
        if rows > 10_000 {
            continue;
        }
        let design: Vec<f64> = (0..rows * WIDTH)
            .map(|at| {
                numbers.value()
                    + if at % WIDTH < 4 { 0.5 * (at / WIDTH % CLASSES) as f64 } else { 0.0 }
            })
            .collect();
        let weights = vec![1.0; rows];
        group.throughput(Throughput::Elements(rows as u64));
        let learns = |probabilities: &[f64]| {
            let right = probabilities.chunks_exact(CLASSES).zip(&labels);
            let right = right.filter(|(row, label)| row[**label as usize] > 0.5).count();
            assert!(right * 10 > rows * 6, "{right} of {rows} rows are right");
        };
        let options = logistic::Options::default();
        let fit = || Logistic::fit(&design, WIDTH, &labels, &weights, CLASSES, &options).unwrap();
        learns(&fit().predict_proba(&design).unwrap());
        group.bench_function(format!("logistic {rows}"), |bencher| bencher.iter(fit));
        let options = boosting::Options::default();
        let fit = || Boosting::fit(&design, WIDTH, &labels, &weights, CLASSES, &options).unwrap();
        learns(&fit().predict_proba(&design).unwrap());
        group.bench_function(format!("boosting {rows}"), |bencher| bencher.iter(fit));
    }
    group.finish();
}
