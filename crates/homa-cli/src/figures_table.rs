//! Tables of figures for people.

use comfy_table::{CellAlignment, ContentArrangement, Row, Table, presets};

/// A table with this header, whose columns are right-aligned but for the first `names`. It is as wide as what is
/// in it, whatever the terminal.
pub(crate) fn figures_table(header: impl Into<Row>, names: usize) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header);
    for column in table.column_iter_mut().skip(names) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
