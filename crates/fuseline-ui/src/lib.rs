//! Runs, artifacts and reports of a cache as pages in a browser.
//!
//! Knows how to show what a cache holds. Knows no workflow and no terminal, and prints nothing.
//! Start at [`Server`]. **Invariant:** nothing is written, no other server is contacted, and
//! nothing is served without the token.
//!
//! Every page is whole without scripts. What may take long is read on threads of its own
//! (`deferred.rs`): a page that would have to wait says so and asks again, so that none takes
//! longer than a tenth of a second.

mod action_list;
mod deferred;
mod event_log;
mod format;
mod frame;
mod graph;
mod guard;
mod live;
mod manifest_index;
mod pages;
mod plot;
mod run_view;
mod server;
mod summary;

pub use server::{Server, ServerError};
