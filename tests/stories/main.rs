//! Stories of the real command.
mod study;
