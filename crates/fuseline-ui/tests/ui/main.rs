//! The server of the pages, asked as browsers and others ask it.

mod big;
mod browser;
mod pages;
mod site;
