//! Traffic with a remote cache in words.

use std::sync::Arc;

use fuseline::{Cache, RemoteCache, RemoteReport};

use crate::args::RemoteArgs;
use crate::exit::Failure;
use crate::{amount, print};

/// A cache with the remote that the arguments name behind it.
pub fn attach(cache: Cache, args: &RemoteArgs) -> Result<(Cache, Option<Arc<RemoteCache>>), Failure> {
    Ok(fuseline::attach_remote(cache, args.settings()?.as_ref())?)
}

/// Ends the use of a remote by a command that only looks.
pub fn finish(remote: Option<&RemoteCache>) {
    warn(remote.map(|remote| remote.finish(&Arc::default())).as_ref());
}

/// Says what went wrong with a remote, if anything did.
pub fn warn(report: Option<&RemoteReport>) {
    if let Some(warning) = report.and_then(|report| report.warning.as_ref()) {
        print::note(format!("warning: {warning}"));
    }
}

/// One sentence on the traffic; none when there was no traffic and nothing was found.
pub fn sentence(report: &RemoteReport) -> String {
    let RemoteReport { remote, requests, actions_found, actions_sent, .. } = report;
    let total = requests.total();
    if total == 0 && *actions_found == 0 {
        return String::new();
    }
    let mut parts = Vec::new();
    if *actions_found > 0 {
        parts.push(format!("{actions_found} actions found"));
    }
    if *actions_sent > 0 {
        parts.push(format!("{actions_sent} actions sent"));
    }
    parts.push(format!("{total} request{}", if total == 1 { "" } else { "s" }));
    let traffic = [(report.bytes_received, "received"), (report.bytes_sent, "sent")];
    for (bytes, what) in traffic.into_iter().filter(|(bytes, _)| *bytes > 0) {
        parts.push(format!("{} {what}", amount::bytes(bytes)));
    }
    format!("Remote {remote}: {}.\n", parts.join(", "))
}
