//! The workflow language from the outside: texts in, diagnostics and expanded workflows out.

mod expressions;
mod faulty;
mod fixture;
mod joins;
mod properties;
mod schema;
mod stressid;
mod valid;
