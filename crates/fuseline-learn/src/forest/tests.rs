use super::*;
use crate::weights::balanced;

/// A stream of random numbers for each tree (splitmix64).
fn draws(tree: usize) -> impl FnMut(usize) -> usize {
    let mut state = (tree as u64).wrapping_mul(0xd134_2543_de82_ef95);
    move |bound| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % bound as u64).unwrap()
    }
}

fn all(options: Options, rows: &[f64], width: usize, labels: &[u32]) -> Forest {
    Forest::fit(rows, width, labels, &vec![1.0; labels.len()], 2, &options, draws).unwrap()
}

const ONE_TREE: Options = Options {
    trees: 1,
    columns_per_split: 2,
    min_rows_per_leaf: 1,
    max_depth: 0,
    bootstrap: false,
};

#[test]
fn a_full_tree_without_bootstrap_repeats_what_it_was_fitted_on() {
    // Exclusive or: no single split helps, yet the tree gets there.
    let rows = [0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0];
    let forest = all(ONE_TREE, &rows, 2, &[0, 1, 1, 0]);
    assert_eq!(forest.predict_proba(&rows).unwrap(), [1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0]);
    assert_eq!(forest.leaves(), [4]);
}

#[test]
fn depth_and_rows_of_a_leaf_are_limits() {
    let rows: Vec<f64> = (0..16).map(f64::from).collect();
    let labels: Vec<u32> = (0..16).map(|row| row % 2).collect();
    let stump = all(Options { max_depth: 1, ..ONE_TREE }, &rows, 1, &labels);
    assert_eq!(stump.leaves(), [2]);
    let coarse = all(Options { min_rows_per_leaf: 8, ..ONE_TREE }, &rows, 1, &labels);
    assert_eq!(coarse.leaves(), [2], "only the middle leaves eight rows on both sides");
}

#[test]
fn columns_that_are_constant_in_a_node_do_not_stop_it() {
    // One column is drawn a split; nine of ten are constant.
    let mut rows = vec![7.0; 40];
    for row in 0..4 {
        rows[row * 10 + 6] = row as f64;
    }
    let options = Options { columns_per_split: 1, ..ONE_TREE };
    assert_eq!(all(options, &rows, 10, &[0, 0, 1, 1]).leaves(), [2]);
}

#[test]
fn a_row_without_weight_shapes_nothing() {
    let rows = [0.0, 1.0, 2.0, 3.0, 1.4];
    let labels = [0, 0, 1, 1, 1];
    let weights = [1.0, 1.0, 1.0, 1.0, 0.0];
    let forest = Forest::fit(&rows, 1, &labels, &weights, 2, &ONE_TREE, draws).unwrap();
    let without = all(ONE_TREE, &rows[..4], 1, &labels[..4]);
    assert_eq!(forest.trees, without.trees);
}

#[test]
fn the_order_of_the_rows_does_not_count_without_bootstrap() {
    let rows = [0.3, 1.0, 0.1, 2.0, 0.9, 1.5, 0.7, 0.2];
    let labels = [0, 1, 1, 0];
    let turned = [0.7, 0.2, 0.9, 1.5, 0.1, 2.0, 0.3, 1.0];
    let at = [0.5, 1.0, 0.2, 0.4];
    let one = all(ONE_TREE, &rows, 2, &labels).predict_proba(&at).unwrap();
    let other = all(ONE_TREE, &turned, 2, &[0, 1, 1, 0]).predict_proba(&at).unwrap();
    assert_eq!(one, other);
}

#[test]
fn shares_sum_to_one_and_trees_differ() {
    let rows: Vec<f64> = (0..60).map(|at| f64::from(at * 37 % 61)).collect();
    let labels: Vec<u32> = (0..30).map(|row| u32::from(row % 3 == 0)).collect();
    let weights = balanced(&labels, 2).unwrap();
    let options = Options { trees: 20, ..Options::default() };
    let forest = Forest::fit(&rows, 2, &labels, &weights, 2, &options, draws).unwrap();
    for pair in forest.predict_proba(&rows).unwrap().chunks(2) {
        assert!((pair[0] + pair[1] - 1.0).abs() < 1e-12);
    }
    assert!(forest.trees.iter().any(|tree| *tree != forest.trees[0]));
}

#[test]
fn wrong_options_are_refused() {
    for (options, option) in [
        (Options { trees: 0, ..ONE_TREE }, "trees"),
        (Options { min_rows_per_leaf: 0, ..ONE_TREE }, "min_rows_per_leaf"),
    ] {
        let refused = Forest::fit(&[0.0, 1.0], 1, &[0, 1], &[1.0, 1.0], 2, &options, draws);
        assert_eq!(refused, Err(InputError::Option { option, expected: "at least 1" }));
    }
}
