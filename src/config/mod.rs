//! The configuration.

pub mod settings;

pub use settings::*;
