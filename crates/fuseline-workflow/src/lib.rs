//! YAML text to a checked workflow.
//!
//! Knows the workflow language: params, axes, stages, references, expressions, and how stages join
//! over axes. Knows of stage kinds what a [`Catalogue`] says, and nothing of artifacts, caches or
//! execution. Reads no file but by the loader that it is given.
//! Start at [`check`]; it returns a [`Workflow`] and [`Diagnostic`]s.
//! **Invariant:** there is a [`Workflow`] exactly when no [`Diagnostic`] is an error, and every
//! mistake that does not hide behind another is found in one go.

mod axes;
mod catalogue;
mod check;
pub mod codes;
mod definitions;
mod diagnostic;
mod digest;
mod document;
mod expression;
mod files;
mod given;
mod index;
mod limits;
mod names;
pub mod options;
mod order;
mod outputs;
mod params;
mod quantity;
mod reference;
pub mod schema;
mod stage;
mod workflow;
mod yaml;

pub use catalogue::{Arity, Catalogue, InputPort, KindSpec, OptionsSchema, OutputPort, Role};
pub use check::{Checked, Overrides, ParamsFile, Source, check};
pub use diagnostic::{Code, Diagnostic, Fix, Related, Severity};
pub use document::{LANGUAGE_VERSION, absolute};
pub use expression::{FunctionDoc, functions};
pub use files::{FileId, Files, LineColumn, Place};
pub use index::{
    ActionIndex, AxisIndex, GroupIndex, IndexVec, InputIndex, Keys, KindIndex, OutputIndex,
    PointIndex, StageIndex, VariantIndex,
};
pub use limits::Limits;
pub use names::suggest_file;
pub use quantity::{parse_bytes, parse_time};
pub use workflow::{
    Actions, Axis, AxisPoint, DeclaredPorts, Execution, Groups, Input, InputSource, Isolation,
    MemoryRetry, OptionPlaces, ProcessLimits, SANDBOX_LAYERS, Sandbox, Sourced, Stage, StagePlaces,
    Variant, Workflow, WorkflowOutput,
};
