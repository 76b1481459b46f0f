//! Stories of the real command.
mod concurrency;
mod diagnostic;
mod faults;
mod leaks;
mod results;
mod study;
