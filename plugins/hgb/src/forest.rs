//! Trees evaluated without branches, for the rows of a tile side by side.

use fuseline_learn::boosting::Boosting;
use fuseline_plugin::tiles::{Lane, TILE};

/// The leaves of a tree that are left, as bits, for each row of a tile.
pub type Leaves = [u64; TILE];

/// Decisions that are taken in one pass over a tile.
const ABREAST: usize = 4;

/// The trees (Lucchese et al., "QuickScorer", SIGIR 2015).
///
/// The leaves of a tree are bits, from left to right. A decision for the right takes the leaves on
/// its left away; the lowest bit that is left, after all decisions, is the leaf.
#[derive(Debug, Default)]
pub struct Forest {
    /// Ends of the fixed and the moving decisions of each tree; they begin where those of the tree
    /// before end.
    ends: Vec<[usize; 2]>,
    /// Decisions by evidence or availability, by column of the design.
    fixed: Vec<Decision>,
    /// Decisions by columns that move with quality, by column after the first of those.
    moving: Vec<Decision>,
    /// The leaves' values, tree by tree.
    values: Vec<[f64; u64::BITS as usize]>,
}

#[derive(Clone, Copy, Debug)]
struct Decision {
    column: usize,
    /// The largest value that goes left.
    threshold: f64,
    /// The remaining leaves when it goes right.
    right: u64,
}

/// Takes away the leaves that decisions take away, some decisions at once. `column`: the values
/// that a decision is about.
#[inline(always)]
fn take<'t, const N: usize>(
    decisions: &[Decision; N],
    column: impl Fn(usize) -> &'t Lane,
    left: &mut Leaves,
) {
    // Read once, for all rows.
    let values = decisions.map(|decision| column(decision.column));
    let thresholds = decisions.map(|decision| decision.threshold);
    let rights = decisions.map(|decision| decision.right);
    for at in 0..TILE {
        let mut own = left[at];
        for decision in 0..N {
            let kept = own & rights[decision];
            own = if values[decision][at] > thresholds[decision] { kept } else { own };
        }
        left[at] = own;
    }
}

/// [`take`] for all decisions.
#[inline(always)]
fn take_all<'t>(decisions: &[Decision], column: impl Fn(usize) -> &'t Lane, left: &mut Leaves) {
    let (abreast, rest) = decisions.as_chunks::<ABREAST>();
    abreast.iter().for_each(|decisions| take(decisions, &column, left));
    rest.iter().for_each(|&decision| take(&[decision], &column, left));
}

impl Forest {
    /// `first_moving`: the first column that moves with quality. None when a tree has more leaves
    /// than a word has bits.
    pub fn new(boosting: &Boosting, first_moving: usize) -> Option<Self> {
        let mut forest = Self::default();
        for tree in boosting.trees() {
            if tree.depth >= u64::BITS {
                return None;
            }
            let mut values = Vec::new();
            forest.below(boosting, tree.root, first_moving, &mut values);
            if values.len() > u64::BITS as usize {
                return None;
            }
            values.resize(u64::BITS as usize, 0.0);
            forest.values.extend(values.as_chunks().0);
            forest.ends.push([forest.fixed.len(), forest.moving.len()]);
        }
        Some(forest)
    }

    /// Adds the subtree of a node; returns its leaves.
    fn below(
        &mut self,
        boosting: &Boosting,
        at: u32,
        first_moving: usize,
        values: &mut Vec<f64>,
    ) -> u64 {
        let node = &boosting.nodes()[at as usize];
        if node.left == at {
            values.push(boosting.values()[at as usize]);
            return 1_u64.checked_shl((values.len() - 1) as u32).unwrap_or(0);
        }
        let left = self.below(boosting, node.left, first_moving, values);
        let right = self.below(boosting, node.left + 1, first_moving, values);
        let column = node.feature as usize;
        let decision = Decision { column, threshold: node.threshold, right: !left };
        match column.checked_sub(first_moving) {
            Some(column) => self.moving.push(Decision { column, ..decision }),
            None => self.fixed.push(decision),
        }
        left | right
    }

    /// Takes the decisions by evidence and availability, once for all permutations: the leaves of
    /// each tree that are left.
    #[inline(always)]
    pub fn decide<'t>(&self, column: impl Fn(usize) -> &'t Lane) -> Vec<Leaves> {
        let mut open = vec![[u64::MAX; TILE]; self.ends.len()];
        let mut begin = 0;
        for (open, &[end, _]) in open.iter_mut().zip(&self.ends) {
            take_all(&self.fixed[begin..end], &column, open);
            begin = end;
        }
        open
    }

    /// Adds the trees' values to the scores, tree by tree in their order; tree t belongs to block t
    /// mod blocks.
    #[inline(always)]
    pub fn add(&self, open: &[Leaves], moving: &[Lane], scores: &mut [Lane]) {
        let blocks = scores.len();
        let mut begin = 0;
        let trees = open.iter().zip(&self.ends).zip(&self.values);
        for (tree, ((open, &[_, end]), values)) in trees.enumerate() {
            let mut left = *open;
            take_all(&self.moving[begin..end], |column| &moving[column], &mut left);
            for (score, left) in scores[tree % blocks].iter_mut().zip(&left) {
                // Some leaf is always left: the mask only spares the check.
                *score += values[left.trailing_zeros() as usize & 63];
            }
            begin = end;
        }
    }
}
