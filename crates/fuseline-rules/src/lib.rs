//! Parts that several fusion rules in the box are made of.
//!
//! Knows batches of the plugin kit and the learners, which know nothing of each other. Knows no rule.
//! Start at [`ScaledQuality`], [`Opinions`] and [`QualityOdds`].
//! **Invariant:** as that of `fuseline-learn`: equal inputs give equal bits on every machine.

mod best;
mod odds;
mod opinions;
mod scaled_quality;

pub use best::best_evidence;
pub use odds::QualityOdds;
pub use opinions::{Opinions, centred_logits};
pub use scaled_quality::ScaledQuality;
