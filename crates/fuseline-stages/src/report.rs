//! `report.*`: findings in reports.

mod curves;
pub mod figure;
pub mod frozen;
pub mod html;
pub mod latex;
pub mod markdown;
mod supplements;
pub mod table;

pub use html::data;
