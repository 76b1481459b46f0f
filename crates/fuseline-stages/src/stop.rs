//! The flag by which a run is stopped, for plugins.

use fuseline_engine::Inputs;
use fuseline_host::StopSignal;

/// Signal by which a plugin learns that the run is to stop.
pub(crate) fn signal(inputs: &Inputs<'_>) -> StopSignal {
    inputs.stop_flag().cloned().map_or_else(StopSignal::new, StopSignal::from)
}
