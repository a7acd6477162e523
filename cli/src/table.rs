//! Tables for a person.

use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};

pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header(header.to_vec());
    table
}

/// Without what would steer the terminal: what is shown may have been written by anybody.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { '\u{fffd}' } else { char }).collect()
}
