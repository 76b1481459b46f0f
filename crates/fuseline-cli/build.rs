//! Links the command at a fixed address on Linux with glibc.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Code that may be loaded anywhere has addresses that are put right at every start: 92,000 of
    // them, which took half of the time of `fuseline --version`. Elsewhere than on Linux with
    // glibc, systems want it so.
    let is = |name, value| env::var(name).is_ok_and(|found| found == value);
    if is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu") {
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}
