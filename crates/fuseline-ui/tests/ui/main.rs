//! The server of the pages, asked as browsers and others ask it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod big;
mod browser;
mod pages;
mod site;
