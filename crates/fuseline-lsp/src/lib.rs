//! The language server of workflow files: what an editor asks while somebody writes one.
//!
//! Knows the Language Server Protocol, texts that are not saved, and cursors in texts that do not
//! parse. Finds no mistake itself: diagnostics are those of [`fuseline::OpenStudy::check`], word
//! for word. Start at [`serve`]. **Invariant:** no text of a client ends the server, and no check
//! makes a client wait for an answer.

mod actions;
mod checks;
mod completion;
mod cursor;
mod diagnostics;
mod documents;
mod hints;
mod hover;
mod navigation;
mod outline;
mod position;
mod project;
mod schema_walk;
mod server;
mod settings;
mod source;
mod syntax;
mod uri;

pub use server::{ServerError, serve, serve_stdio};
