//! A cache with a remote behind it, and transfers between the two on command.

use std::collections::BTreeSet;
use std::sync::Arc;

use fuseline_cache::{ActionKey, Cache};
use fuseline_engine::Manifest;
use fuseline_remote::{RemoteCache, RemoteMode, RemoteReport, RemoteSettings, Transfer};

use crate::error::Error;

/// A cache with the remote of some settings behind it, and the remote; none without settings, or
/// when it is off. Nothing is asked yet, so a remote that is away is no error.
pub fn attach_remote(
    cache: Cache,
    settings: Option<&RemoteSettings>,
) -> Result<(Cache, Option<Arc<RemoteCache>>), Error> {
    let Some(settings) = settings else { return Ok((cache, None)) };
    // A second handle on the same folder: what the remote gives goes through it.
    let behind = Cache::open(cache.folder())?;
    let remote = RemoteCache::connect(settings, behind)
        .map_err(|error| Error::request(error.to_string()).with_hint(CREDENTIALS.to_owned()))?;
    Ok(match remote.map(Arc::new) {
        Some(remote) => (cache.with_remote(remote.clone()), Some(remote)),
        None => (cache, None),
    })
}

/// Advice for a remote whose settings do not fit.
const CREDENTIALS: &str = "credentials, region and endpoint are read from the environment, such as \
                           AWS_ACCESS_KEY_ID; docs/remote.md lists them";

/// Sends all that a run reached to a remote: its records, and the objects that they name.
pub fn push(
    cache: &Cache,
    run: &Manifest,
    settings: &RemoteSettings,
) -> Result<(Transfer, RemoteReport), Error> {
    let settings = RemoteSettings { mode: RemoteMode::Write, ..settings.clone() };
    let remote = connect(cache, &settings)?;
    remote.set_workflow(&run.workflow);
    let mut transfer = remote.push(&reached_keys(run));
    let report = remote.finish(&Arc::default());
    transfer.missing += report.actions_not_sent;
    Ok((transfer, report))
}

/// Fetches all that a run reached from a remote into the cache, so that nothing of it needs the
/// remote any more.
pub fn pull(
    cache: &Cache,
    run: &Manifest,
    settings: &RemoteSettings,
) -> Result<(Transfer, RemoteReport), Error> {
    let settings = RemoteSettings { mode: RemoteMode::Read, ..settings.clone() };
    let remote = connect(cache, &settings)?;
    remote.set_workflow(&run.workflow);
    let transfer = remote.pull(&reached_keys(run));
    Ok((transfer, remote.finish(&Arc::default())))
}

fn connect(cache: &Cache, settings: &RemoteSettings) -> Result<Arc<RemoteCache>, Error> {
    let (_, remote) = attach_remote(Cache::open(cache.folder())?, Some(settings))?;
    remote.ok_or_else(|| Error::request("the remote is off"))
}

fn reached_keys(run: &Manifest) -> BTreeSet<ActionKey> {
    let reached = run.actions.iter().filter(|action| !action.outputs.is_empty());
    reached.filter_map(|action| action.key).collect()
}
