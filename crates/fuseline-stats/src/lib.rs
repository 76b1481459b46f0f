//! The statistics of the diagnostic: streams of random numbers, permutations, metrics, tests and
//! intervals.
//!
//! Knows arrays: matrices are row-major, labels and decisions are `u32` class numbers. Knows
//! nothing of files, stages, fusion rules or threads. Start at [`permutation::Permuter`],
//! [`permutation_test::permutation_test`] and [`bootstrap::cluster_bootstrap`].
//! **Invariant:** equal inputs give equal bits on every machine, in any order of calls: each draw
//! comes from a [`streams::Stream`] that is named by its purpose, `exp`, `log` and the like
//! come from libm, and every sum has one written order.

pub mod association;
pub mod binomial;
pub mod bootstrap;
pub mod border;
pub mod clustering;
pub mod duplicates;
pub mod equivalence;
pub mod evidence;
pub mod headroom;
pub mod mahalanobis;
pub mod metrics;
pub mod multiple;
pub mod nearest;
pub mod normal;
pub mod permutation;
pub mod permutation_test;
pub mod power;
pub mod quality_regression;
pub mod quantile;
pub mod reliability;
pub mod repeats;
pub mod ridge;
pub mod streams;
pub mod student;
