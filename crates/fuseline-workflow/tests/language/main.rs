//! The workflow language from the outside: texts in, diagnostics and expanded workflows out.
#![expect(clippy::expect_used, reason = "what these helpers expect is part of the test")]

mod expressions;
mod faulty;
mod fixture;
mod joins;
mod properties;
mod schema;
mod stressid;
mod valid;
