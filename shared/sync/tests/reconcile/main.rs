//! Reconciliation: each row of the table of decisions, worlds of known drift, and numbers that add up.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod sample;
mod table;
mod totals;
mod worlds;
