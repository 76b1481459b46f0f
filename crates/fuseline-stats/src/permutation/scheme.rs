//! The schemes and the inputs that each needs.

/// Scheme by which rows of quality are permuted across test examples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scheme {
    /// A row's qualities move together, among the rows with the same modalities available.
    Joint,
    /// Each modality's quality moves on its own, among the rows where that modality is available.
    PerModality,
    /// As joint, within the row's group.
    WithinGroup,
    /// The qualities of whole groups: rows of a group take those of another group of as many rows
    /// with the same modalities available, each row that of the row in its place.
    WholeGroups,
    /// As joint, within the row's stratum of evidence confidence.
    Conditional,
    /// As joint, and no row keeps its own quality, but for a row that is alone with its
    /// availability. Derangements are no group of permutations: an effect size, without a p-value.
    Derangement,
    /// As joint, among the rows of the same label.
    WithinClass,
    /// As joint, among the rows whose available experts are right and wrong alike.
    WithinCorrect,
    /// As joint, but of the residual of quality given the evidence: see
    /// [`super::Residuals`].
    ConditionalResidual,
}

impl Scheme {
    /// All schemes, in the order of the documentation.
    pub const ALL: [Self; 9] = [
        Self::Joint,
        Self::PerModality,
        Self::WithinGroup,
        Self::WholeGroups,
        Self::Conditional,
        Self::Derangement,
        Self::WithinClass,
        Self::WithinCorrect,
        Self::ConditionalResidual,
    ];

    /// The name in workflows, which is also part of the stream.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Joint => "joint",
            Self::PerModality => "per_modality",
            Self::WithinGroup => "within_group",
            Self::WholeGroups => "whole_groups",
            Self::Conditional => "conditional",
            Self::Derangement => "derangement",
            Self::WithinClass => "within_class",
            Self::WithinCorrect => "within_correct",
            Self::ConditionalResidual => "conditional_residual",
        }
    }

    /// The name of the strata that the rows must be given, if the scheme exchanges quality within
    /// some.
    #[must_use]
    pub fn strata(self) -> Option<&'static str> {
        match self {
            Self::WithinGroup | Self::WholeGroups => Some("groups"),
            Self::Conditional => Some("strata of confidence"),
            Self::WithinClass => Some("labels"),
            Self::WithinCorrect => Some("patterns of right experts"),
            Self::Joint | Self::PerModality | Self::Derangement | Self::ConditionalResidual => None,
        }
    }

    /// True if rows exchange quality across groups one at a time: as if rows of a group had nothing
    /// in common.
    #[must_use]
    pub fn parts_groups(self) -> bool {
        !matches!(self, Self::WithinGroup | Self::WholeGroups)
    }

    /// True if the strata come from labels of the very rows that are permuted.
    #[must_use]
    pub fn reads_labels(self) -> bool {
        matches!(self, Self::WithinClass | Self::WithinCorrect)
    }
}

/// Intervention on quality: a permutation across examples, or one of two other breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Intervention {
    /// Quality moves across examples: see [`super::Permuter`].
    Permutation(Scheme),
    /// Within each example quality moves across its available modalities: see
    /// [`super::modality_swap`].
    ModalitySwap,
    /// Each modality's quality is its mean over the rows where it is available: see
    /// [`super::constant`].
    Constant,
}

impl Intervention {
    /// The name in workflows.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Permutation(scheme) => scheme.name(),
            Self::ModalitySwap => "modality_swap",
            Self::Constant => "constant",
        }
    }

    /// The intervention of a name, if there is one.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let permutations = Scheme::ALL.into_iter().map(Self::Permutation);
        permutations.chain([Self::ModalitySwap, Self::Constant]).find(|it| it.name() == name)
    }

    /// True if a second draw can differ from the first.
    #[must_use]
    pub fn is_random(self) -> bool {
        self != Self::Constant
    }

    /// True if (b + 1) / (m + 1) is a valid p-value.
    ///
    /// Not of derangements: they lack the identity and are no group, so that Clean-Q is not as
    /// likely as any other member to come out on top under the null (Southworth, Kim and Owen 2009;
    /// Hemerik and Goeman 2018). The correction for sets without group structure (Ramdas, Barber,
    /// Candes and Tibshirani 2023) composes each member with the inverse of another, and rows then
    /// keep their own quality again: that test is the one of the joint scheme.
    #[must_use]
    pub fn has_p_value(self) -> bool {
        self != Self::Permutation(Scheme::Derangement)
    }
}
