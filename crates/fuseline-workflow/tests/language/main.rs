//! The workflow language from the outside: texts in, diagnostics and expanded workflows out.

mod faulty;
mod fixture;
mod stressid;
