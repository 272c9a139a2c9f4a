//! The documents as their readers meet them: every link leads somewhere, every block is what it says it
//! is, and every command is run.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a panic is how a test fails")]

mod blocks;
mod commands;
mod links;
mod page;
mod script;
mod servers;
mod stage;
