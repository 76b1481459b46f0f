//! `report.*`: findings for people.

pub mod html;
