//! Stories of the real command.
mod concurrency;
mod faults;
mod leaks;
mod results;
mod study;
