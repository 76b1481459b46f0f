//! The language server of workflow files, for editors.
//!
//! Knows the Language Server Protocol, texts that are not saved, and cursors in texts that do not
//! parse. It has no checks of its own: diagnostics are those of [`fuseline::OpenStudy::check`],
//! verbatim. Start at [`serve`]. **Invariant:** no text of a client stops the server, and no check
//! delays an answer to a client, but for those of a rename.

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
