//! Where a rule runs.

/// Where a rule runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// In this process: fast, and a defect of the plugin is a defect of the process.
    #[default]
    InProcess,
}
