//! Unpredictable orders, for what no result depends on: the order of the questions to a rule.

use std::hash::{BuildHasher, Hasher, RandomState};

/// A number below `n`, which is at least 1.
pub(super) fn below(n: usize) -> usize {
    // Keyed by the operating system's random numbers, anew for each.
    let chance = RandomState::new().build_hasher().finish();
    ((u128::from(chance) * n as u128) >> 64) as usize
}

/// The numbers below `n`, in a random order.
pub(super) fn order(n: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    for end in (1..n).rev() {
        order.swap(end, below(end + 1));
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_holds_every_number_once_and_is_another_each_time() {
        let orders: Vec<_> = (0..8).map(|_| order(50)).collect();
        for order in &orders {
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..50).collect::<Vec<_>>());
        }
        assert!(orders.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
