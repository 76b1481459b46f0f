//! Limits on the size of a workflow.

/// Bounds on the size of a workflow, so that a slip or a hostile file ends in a diagnostic and
/// not in a full memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Actions of the whole workflow, and combinations of one stage before `where:`. Raised by
    /// `--max-actions`, which raises the points of one axis and the work of expressions in
    /// proportion.
    pub max_actions: usize,
    /// Bytes of one text.
    pub max_text: usize,
    /// Values of one text, aliases expanded.
    pub max_values: usize,
    /// Bytes of the texts that aliases stand for, in one text.
    pub max_alias_bytes: usize,
    /// Greatest nesting depth of lists and mappings, and of expressions.
    pub max_depth: usize,
    /// Files that `include:` may reach.
    pub max_files: usize,
}

impl Limits {
    /// Points of one axis, and elements of one list.
    pub fn max_list(&self) -> usize {
        self.max_actions / 10
    }

    /// Steps that all expressions together may take.
    pub fn max_work(&self) -> usize {
        self.max_actions.saturating_mul(50)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_actions: 1_000_000,
            max_text: 2 << 20,
            max_values: 200_000,
            max_alias_bytes: 16 << 20,
            max_depth: 48,
            max_files: 64,
        }
    }
}
