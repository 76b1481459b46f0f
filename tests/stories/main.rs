//! Stories of the real command.
mod leaks;
mod study;
