//! A reconciliation's report, as people and programs read it: JSON, CSV, one HTML file, and a few words.
//!
//! Pure: what comes out depends on what goes in, byte for byte. Whatever a source or a destination wrote is taken for
//! hostile: it is escaped, it is never longer than it may be, and signs that cannot be seen are made visible.
//!
//! ```text
//! json      the whole report, as docs/report.schema.json describes it
//! Csv       one finding a row, written as it comes: there may be millions
//! html      the report for a person, in one file without script, font or any other resource
//! headline  one sentence;  mail  the same with the totals and a link
//! ```
#![warn(missing_docs)]

mod chart;
mod csv;
mod html;
mod json;
mod text;
mod trend;
mod words;

pub use csv::Csv;
pub use html::{RenderError, html};
pub use json::json;
pub use text::{headline, mail};
pub use trend::TrendPoint;
