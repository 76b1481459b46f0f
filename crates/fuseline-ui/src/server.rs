//! The server: what it keeps, and which address leads to which page.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::http::header::{self, HeaderValue};
use axum::response::Response;
use axum::routing::get;
use fuseline::{ActionKey, Cache, RunGraph};
use fuseline_artifact::Digest;
use fuseline_engine::Job;
use thiserror::Error;

use crate::deferred::Deferred;
use crate::frame;
use crate::guard::{self, Guard};
use crate::live;
use crate::manifest_index::ManifestIndex;
use crate::pages::{action, artifact, cache, compare, run, runs};
use crate::run_view::FollowedLog;
use crate::summary::TableView;

/// Interval at which the server checks if it should stop.
const STOP_EVERY: Duration = Duration::from_millis(50);
/// Cache lifetime of immutable data after it was read.
const KEPT: Duration = Duration::from_secs(3600);

/// Error of a server.
#[derive(Debug, Error)]
pub enum ServerError {
    /// Listening at the port failed.
    #[error("cannot listen at port {port} of this machine: {source}")]
    Port {
        /// The port.
        port: u16,
        /// The system's reason.
        source: io::Error,
    },
    /// The system gives no random numbers.
    #[error("the system gives no random numbers for a token: {0}")]
    Token(getrandom::Error),
    /// The server cannot go on.
    #[error("the server cannot go on: {0}")]
    Serve(#[from] io::Error),
}

/// A server of the pages of one cache, for this machine and holders of its token.
pub struct Server {
    listener: TcpListener,
    guard: Arc<Guard>,
    app: Arc<App>,
}

/// Shared state of the pages.
pub struct App {
    pub cache: Arc<Cache>,
    pub manifests: Deferred<String, ManifestIndex>,
    pub graphs: Deferred<String, RunGraph>,
    pub comparisons: Deferred<Vec<String>, compare::Compared>,
    pub tables: Deferred<Digest, TableView>,
    pub cache_view: Deferred<(), cache::CacheView>,
    /// The jobs of actions, which any run of the cache may hold.
    pub jobs: Deferred<ActionKey, Option<Job>>,
    pub logs: Mutex<Vec<FollowedLog>>,
}

impl Server {
    /// Listens at a port of this machine; 0 is any that is free.
    pub fn bind(cache: Cache, port: u16) -> Result<Self, ServerError> {
        let cannot = |source| ServerError::Port { port, source };
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let listener = listener.map_err(cannot)?;
        listener.set_nonblocking(true).map_err(cannot)?;
        let port = listener.local_addr().map_err(cannot)?.port();
        let app = App {
            cache: Arc::new(cache),
            manifests: Deferred::new(4, KEPT),
            graphs: Deferred::new(16, KEPT),
            comparisons: Deferred::new(4, KEPT),
            tables: Deferred::new(8, KEPT),
            cache_view: Deferred::new(1, Duration::from_secs(10)),
            jobs: Deferred::new(32, KEPT),
            logs: Mutex::default(),
        };
        let guard = Guard::new(port).map_err(ServerError::Token)?;
        Ok(Self { listener, guard: Arc::new(guard), app: Arc::new(app) })
    }

    /// The address that lets a browser in.
    pub fn address(&self) -> String {
        self.guard.address()
    }

    /// Answers until it is to stop.
    pub fn serve(self, stop: &AtomicBool) -> Result<(), ServerError> {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime =
            runtime.worker_threads(2).max_blocking_threads(8).enable_io().enable_time().build()?;
        let Self { listener, guard, app } = self;
        let served = runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let server = axum::serve(listener, router(app, guard));
            tokio::select! {
                served = server => served,
                () = stopped(stop) => Ok(()),
            }
        });
        // Pages that are live would keep it for ever.
        runtime.shutdown_background();
        Ok(served?)
    }
}

async fn stopped(stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        tokio::time::sleep(STOP_EVERY).await;
    }
}

fn router(app: Arc<App>, guard: Arc<Guard>) -> Router {
    Router::new()
        .route("/", get(runs::runs))
        .route("/cache", get(cache::cache))
        .route("/compare", get(compare::compare))
        .route("/runs/{run}", get(run::run))
        .route("/runs/{run}/events", get(live::events))
        .route("/runs/{run}/stages/{stage}", get(run::stage))
        .route("/runs/{run}/failed", get(run::failed))
        .route("/runs/{run}/actions/{action}", get(action::ended))
        .route("/runs/{run}/started/{action}", get(action::started))
        .route("/runs/{run}/actions/{action}/outputs/{output}", get(artifact::artifact))
        .route("/runs/{run}/actions/{action}/outputs/{output}/raw", get(artifact::raw))
        .route("/assets/ui.css", get(async || style()))
        .route("/assets/ui.js", get(async || asset("text/javascript", SCRIPT.to_owned())))
        .route("/assets/icon.svg", get(async || asset("image/svg+xml", ICON.to_owned())))
        .fallback(async || frame::not_found("There is no page at this address."))
        .layer(axum::middleware::from_fn_with_state(guard, guard::check))
        .with_state(app)
}

const SCRIPT: &str = include_str!("assets/ui.js");
const STYLE: &str = include_str!("assets/ui.css");
const ICON: &str = include_str!("assets/icon.svg");

fn style() -> Response {
    let colours = fuseline_report::page_colours();
    asset("text/css", format!("{colours}{}{STYLE}", fuseline_report::FIGURE_STYLE))
}

fn asset(media_type: &'static str, text: String) -> Response {
    let mut response = Response::new(text.into());
    let media_type = HeaderValue::from_static(media_type);
    response.headers_mut().insert(header::CONTENT_TYPE, media_type);
    response
}
