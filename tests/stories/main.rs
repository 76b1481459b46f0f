//! Stories of the real command.
mod diagnostic;
mod leaks;
mod results;
mod study;
