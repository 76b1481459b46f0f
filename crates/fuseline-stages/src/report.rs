//! `report.*`: findings for people.

pub mod html;
pub mod latex;
pub mod markdown;

pub use html::data;
