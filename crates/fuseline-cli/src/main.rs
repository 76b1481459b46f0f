//! The command `fuseline`.
fn main() {}
