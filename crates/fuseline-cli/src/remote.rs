//! Traffic with a remote cache in words.

use std::sync::Arc;

use fuseline::{
    Cache, RemoteCache, RemoteReport, RemoteSettings, RemoteStatus, attach_remote, counted,
};
use tempfile::TempDir;

use crate::exit::Failure;
use crate::{amount, print};

/// A cache to look at. A machine without one of its own may still find everything in the remote:
/// there an empty folder stands for it, as long as that is held.
pub fn with_stand_in(
    cache: Option<Cache>,
    settings: Option<&RemoteSettings>,
) -> Result<(Option<Cache>, Option<TempDir>), Failure> {
    if cache.is_some() || settings.is_none() {
        return Ok((cache, None));
    }
    let folder = tempfile::tempdir().map_err(Failure::failed)?;
    Ok((Some(Cache::open(folder.path())?), Some(folder)))
}

/// Puts the remote behind a cache to look at, for what a workflow reached.
pub fn attach(
    cache: Option<Cache>,
    settings: Option<&RemoteSettings>,
    workflow: &str,
) -> Result<(Option<Cache>, Option<Arc<RemoteCache>>), Failure> {
    let Some(cache) = cache else { return Ok((None, None)) };
    let (cache, remote) = attach_remote(cache, settings)?;
    remote.iter().for_each(|remote| remote.set_workflow(workflow));
    Ok((Some(cache), remote))
}

/// Ends the use of a remote by a command that only looks.
pub fn finish(remote: Option<&RemoteCache>) {
    warn(remote.map(|remote| remote.finish(&Arc::default())).as_ref());
}

/// Reports the errors of a remote, if there were any.
pub fn warn(report: Option<&RemoteReport>) {
    if let Some(warning) = report.and_then(|report| report.warning.as_ref()) {
        print::note(format!("warning: {warning}"));
    }
}

/// The state of a remote, a line an item.
pub fn status_text(state: Option<&RemoteStatus>, report: &RemoteReport) -> String {
    let mut text = format!("{} ({})", report.remote, report.mode);
    match (state, &report.warning) {
        (Some(RemoteStatus { packs, pack_bytes, kept_packs, kept_records, .. }), _) => {
            let bytes = amount::bytes(*pack_bytes);
            text += &format!("\n  packs of records: {packs}, {bytes}");
            text += &format!(
                "\n  of which this cache keeps {kept_packs}, with {}",
                counted(*kept_records, "record")
            );
        }
        (None, Some(warning)) => text += &format!("\n  {warning}"),
        (None, None) => text += "\n  it does not answer",
    }
    text
}

/// One sentence on the traffic; none when there was no traffic and no hit.
pub fn sentence(report: &RemoteReport) -> String {
    let RemoteReport { remote, requests, actions_found, actions_sent, .. } = report;
    let total = requests.total();
    if total == 0 && *actions_found == 0 {
        return String::new();
    }
    let mut parts = Vec::new();
    if *actions_found > 0 {
        parts.push(format!("{} found", counted(*actions_found, "action")));
    }
    if *actions_sent > 0 {
        parts.push(format!("{} sent", counted(*actions_sent, "action")));
    }
    parts.push(counted(total, "request"));
    let traffic = [(report.bytes_received, "received"), (report.bytes_sent, "sent")];
    for (bytes, what) in traffic.into_iter().filter(|(bytes, _)| *bytes > 0) {
        parts.push(format!("{} {what}", amount::bytes(bytes)));
    }
    format!("Remote {remote}: {}.\n", parts.join(", "))
}
