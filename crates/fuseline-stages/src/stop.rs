//! The flag by which a run is stopped, as plugins are told of it.

use fuseline_engine::Inputs;
use fuseline_host::StopSignal;

/// What a plugin asks to learn whether the run is to stop.
pub(crate) fn signal(inputs: &Inputs<'_>) -> StopSignal {
    inputs.stop_flag().cloned().map_or_else(StopSignal::new, StopSignal::from)
}
