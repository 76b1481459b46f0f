//! Stories of the real command.

#![expect(clippy::expect_used, reason = "a story that cannot be told has failed")]

mod audit;
mod bounds;
mod cautions;
mod claims;
mod cluster;
mod concurrency;
mod conditions;
mod contract;
mod data;
mod diagnostic;
mod digits;
mod docs;
mod experts;
mod faults;
mod frozen;
mod graph;
mod inputs;
mod labels;
mod language;
mod leaks;
mod loaded;
mod lsp;
mod midfusion;
mod numbers;
mod onnx;
mod packs;
mod plans;
mod plugins;
mod provenance;
mod remote;
mod reproduce;
mod results;
mod settings;
mod shelf;
mod sources;
mod storage;
mod study;
mod targets;
mod trust;
mod tutorial;
mod unchanged;
mod wrong_rules;
