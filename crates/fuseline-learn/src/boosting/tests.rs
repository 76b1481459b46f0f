use super::*;
use crate::weights::balanced;

fn xor(count: usize) -> (Vec<f64>, Vec<u32>) {
    let rows: Vec<f64> = (0..count)
        .flat_map(|i| [(i * 37 % 101) as f64 / 101.0, (i * 53 % 97) as f64 / 97.0])
        .collect();
    let labels = rows.chunks(2).map(|x| u32::from((x[0] > 0.5) != (x[1] > 0.5))).collect();
    (rows, labels)
}

fn accuracy(model: &Boosting, rows: &[f64], labels: &[u32]) -> f64 {
    let probabilities = model.predict_proba(rows).unwrap();
    let right = probabilities
        .chunks(model.classes())
        .zip(labels)
        .filter(|(row, label)| row.iter().all(|p| *p <= row[**label as usize]))
        .count();
    right as f64 / labels.len() as f64
}

#[test]
fn trees_learn_what_no_line_can_tell_apart() {
    let (rows, labels) = xor(500);
    let model = Boosting::fit(&rows, 2, &labels, &[1.0; 500], 2, &Options::default()).unwrap();
    assert!(accuracy(&model, &rows, &labels) > 0.98);
}

#[test]
fn every_leaf_has_its_least_rows_and_every_tree_its_most_leaves() {
    let (rows, labels) = xor(500);
    let options = Options { max_leaves: 5, min_rows_per_leaf: 30, ..Options::default() };
    let model = Boosting::fit(&rows, 2, &labels, &[1.0; 500], 2, &options).unwrap();
    assert_eq!(model.trees().len(), 50);
    for tree in model.trees() {
        let mut rows_of = std::collections::BTreeMap::<u32, usize>::new();
        for row in rows.chunks(2) {
            let mut at = tree.root;
            while model.nodes()[at as usize].left != at {
                let node = model.nodes()[at as usize];
                at = node.left + u32::from(row[node.feature as usize] > node.threshold);
            }
            *rows_of.entry(at).or_default() += 1;
        }
        assert!(rows_of.len() <= 5);
        assert!(rows_of.values().all(|rows| *rows >= 30), "{rows_of:?}");
    }
}

#[test]
fn too_few_rows_give_the_prior() {
    let rows: Vec<f64> = (0..39).map(f64::from).collect();
    let labels: Vec<u32> = (0..39).map(|i| u32::from(i > 30)).collect();
    let plain = Boosting::fit(&rows, 1, &labels, &[1.0; 39], 2, &Options::default()).unwrap();
    let p = plain.predict_proba(&[0.0]).unwrap();
    assert!((p[1] - 8.0 / 39.0).abs() < 1e-15);
    let weights = balanced(&labels, 2).unwrap();
    let fair = Boosting::fit(&rows, 1, &labels, &weights, 2, &Options::default()).unwrap();
    assert!((fair.predict_proba(&[0.0]).unwrap()[1] - 0.5).abs() < 1e-14);
}

#[test]
fn a_row_without_weight_changes_nothing_but_the_counts_of_leaves() {
    let (rows, labels) = xor(300);
    let mut weights = vec![1.0; 300];
    weights[..150].fill(0.0);
    let options = Options { min_rows_per_leaf: 1, min_hessian: 0.5, ..Options::default() };
    let all = Boosting::fit(&rows, 2, &labels, &weights, 2, &options).unwrap();
    let half =
        Boosting::fit(&rows[300..], 2, &labels[150..], &weights[150..], 2, &options).unwrap();
    assert_eq!(all.scores(&rows).unwrap(), half.scores(&rows).unwrap());
}

#[test]
fn the_order_of_rows_does_not_matter() {
    let (rows, labels) = xor(400);
    let weights = balanced(&labels, 2).unwrap();
    let forward = Boosting::fit(&rows, 2, &labels, &weights, 2, &Options::default()).unwrap();
    let turned: Vec<f64> = rows.chunks(2).rev().flatten().copied().collect();
    let labels: Vec<u32> = labels.into_iter().rev().collect();
    let weights: Vec<f64> = weights.into_iter().rev().collect();
    let backward = Boosting::fit(&turned, 2, &labels, &weights, 2, &Options::default()).unwrap();
    assert_eq!(forward.nodes(), backward.nodes());
}

#[test]
fn constant_columns_and_a_single_value_give_no_split() {
    let model =
        Boosting::fit(&[1.0; 100], 1, &[[0, 1]; 50].concat(), &[1.0; 100], 2, &Options::default())
            .unwrap();
    assert!(model.trees().iter().all(|tree| tree.depth == 0));
    assert_eq!(model.predict_proba(&[7.0]).unwrap(), [0.5, 0.5]);
}

#[test]
fn parts_make_the_same_model() {
    let (rows, _) = xor(300);
    let labels: Vec<u32> =
        rows.chunks(2).map(|x| u32::from(x[0] > 0.3) + u32::from(x[1] > 0.6)).collect();
    let model = Boosting::fit(&rows, 2, &labels, &[1.0; 300], 3, &Options::default()).unwrap();
    assert!(accuracy(&model, &rows, &labels) > 0.98);
    let again = Boosting::from_parts(
        3,
        2,
        model.baseline().to_vec(),
        model.trees().to_vec(),
        model.nodes().to_vec(),
        model.values().to_vec(),
    );
    assert_eq!(again.unwrap(), model);
}

#[test]
fn parts_that_would_walk_astray_are_refused() {
    let (rows, labels) = xor(300);
    let model = Boosting::fit(&rows, 2, &labels, &[1.0; 300], 2, &Options::default()).unwrap();
    let inner = model.nodes().iter().position(|node| node.threshold.is_finite()).unwrap();
    type Change<'a> = &'a dyn Fn(&mut Vec<Tree>, &mut Vec<Node>, &mut Vec<f64>);
    let spoil = |change: Change<'_>| {
        let (mut trees, mut nodes, mut values) =
            (model.trees().to_vec(), model.nodes().to_vec(), model.values().to_vec());
        change(&mut trees, &mut nodes, &mut values);
        Boosting::from_parts(2, 2, model.baseline().to_vec(), trees, nodes, values)
    };
    assert!(spoil(&|_, _, _| {}).is_ok());
    assert!(spoil(&|_, nodes, _| nodes[inner].feature = 2).is_err());
    assert!(spoil(&|_, nodes, _| nodes[inner].left = u32::MAX).is_err());
    assert!(spoil(&|_, nodes, _| nodes[inner + 1].left = 0).is_err());
    assert!(spoil(&|_, nodes, _| nodes[inner].threshold = f64::NAN).is_err());
    assert!(spoil(&|trees, _, _| trees[0].depth += 1).is_err());
    assert!(spoil(&|trees, _, _| trees[0].root = u32::MAX).is_err());
    assert!(spoil(&|_, _, values| values[0] = f64::INFINITY).is_err());
    assert!(spoil(&|_, _, values| values.truncate(1)).is_err());
}

#[test]
fn options_out_of_range_are_refused() {
    let fit = |options: &Options| Boosting::fit(&[0.0, 1.0], 1, &[0, 1], &[1.0, 1.0], 2, options);
    assert!(fit(&Options::default()).is_ok());
    let wrong = |options: Options| matches!(fit(&options), Err(InputError::Option { .. }));
    assert!(wrong(Options { learning_rate: 0.0, ..Options::default() }));
    assert!(wrong(Options { max_leaves: 1, ..Options::default() }));
    assert!(wrong(Options { min_rows_per_leaf: 0, ..Options::default() }));
    assert!(wrong(Options { max_bins: 256, ..Options::default() }));
    assert!(wrong(Options { l2: -1.0, ..Options::default() }));
    assert!(wrong(Options { min_hessian: f64::NAN, ..Options::default() }));
}
