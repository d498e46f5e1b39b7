//! The columns of a view's rows, as wide as there is room.

use analysis::group::{By, Key};
use analysis::notation::{exact, human, one_decimal, rounded};
use live::{LiveRow, Order};
use profile::harmless::harmless;

use live::words::grown;

/// From this width on, figures are whole numbers.
const WIDE: usize = 110;

/// Columns of figures take so much at least for the last column to have room.
const LEAST_LAST: usize = 24;

/// One column.
pub struct Column {
    /// Its heading.
    pub heading: &'static str,
    /// The order that it belongs to.
    pub order: Option<Order>,
    /// Figures are on the right.
    pub is_figure: bool,
    /// In characters; 0 for what is left.
    pub width: usize,
    /// Its cells.
    pub cells: Vec<String>,
}

/// The columns of these rows on so many characters; `None` where everything is written whole.
pub fn columns(rows: &[LiveRow], by: By, order: Order, width: Option<usize>) -> Vec<Column> {
    let exactly = width.is_none_or(|width| width >= WIDE);
    let bytes = |figure: Option<i64>| {
        let figure = figure.unwrap_or_default();
        if exactly { exact(figure) } else { human(figure as f64) }
    };
    let figures = |heading, order, cells: Vec<String>| {
        let widest = cells.iter().map(|cell| cell.chars().count()).max().unwrap_or_default();
        // A column that becomes wider and narrower with its figures is hard to read.
        let least = if exactly { 11 } else { 9 };
        let width = widest.max(heading_width(heading)).max(least);
        Column { heading, order: Some(order), is_figure: true, width, cells }
    };
    let each = |cell: &dyn Fn(&LiveRow) -> String| rows.iter().map(cell).collect::<Vec<_>>();
    let mut columns = vec![
        figures("bytes", Order::Bytes, each(&|row| bytes(row.counts.inuse_bytes))),
        figures("blocks", Order::Blocks, each(&|row| exact(row.counts.inuse_blocks.unwrap_or(0)))),
        figures(
            "bytes/conn",
            Order::PerConnection,
            each(&|row| row.bytes_per_connection.map_or_else(|| "–".to_owned(), rounded)),
        ),
        figures(
            "growth",
            Order::Change,
            each(&|row| match (row.change_bytes, exactly) {
                (0, _) => "0".to_owned(),
                (change, true) if change > 0 => format!("+{}", exact(change)),
                (change, true) => exact(change),
                (change, false) => grown(change as f64),
            }),
        ),
        figures(
            "allocs/s",
            Order::Rate,
            each(&|row| row.allocations_per_second.map_or_else(|| "–".to_owned(), rate)),
        ),
    ];
    // Until it is told, there is nothing to say.
    if rows.iter().all(|row| row.bytes_per_connection.is_none()) {
        columns.retain(|column| column.order != Some(Order::PerConnection));
    }
    let text = |heading, cells: Vec<String>, width| Column {
        heading,
        order: None,
        is_figure: false,
        width,
        cells,
    };
    if by == By::Site {
        let cells = each(&|row| harmless(&row.key.category).into_owned());
        let widest = cells.iter().map(|cell| cell.chars().count()).max().unwrap_or_default();
        columns.push(text("category", cells, widest.max("category".len())));
    }
    let last = each(&|row| what(&row.key, by));
    columns.push(text(heading_of(by), last, 0));
    if let Some(width) = width {
        drop_what_has_no_room(&mut columns, order, width);
    }
    columns
}

/// With the mark of the order in it.
fn heading_width(heading: &str) -> usize {
    heading.chars().count() + 1
}

fn rate(rate: f64) -> String {
    if rate < 100.0 { one_decimal(rate) } else { rounded(rate) }
}

/// The least telling columns go first, and the one that rows are ordered by never does.
fn drop_what_has_no_room(columns: &mut Vec<Column>, order: Order, width: usize) {
    for heading in ["category", "blocks", "allocs/s", "bytes/conn", "growth"] {
        let taken: usize = columns.iter().map(|column| column.width + 2).sum();
        if taken + LEAST_LAST <= width {
            return;
        }
        let stays = |column: &Column| column.heading != heading || column.order == Some(order);
        columns.retain(stays);
    }
}

fn heading_of(by: By) -> &'static str {
    match by {
        By::Site => "site",
        By::Function => "function",
        By::File => "file",
        By::Category => "category",
    }
}

/// What a row stands for, in one line.
pub fn what(key: &Key, by: By) -> String {
    let file = if key.file.is_empty() { "[unknown]" } else { &key.file };
    let function = if key.function.is_empty() { "[unknown]" } else { &key.function };
    let text = match by {
        By::Site | By::Function if key.file.is_empty() => function.to_owned(),
        By::Site if key.function.is_empty() => format!("{file}:{}", key.line),
        By::Site => format!("{function}  {file}:{}", key.line),
        By::Function => format!("{function}  {file}"),
        By::File => file.to_owned(),
        By::Category => key.category.clone(),
    };
    harmless(&text).into_owned()
}

/// A cell in its column: figures on the right, the end of a text left out where it has no room.
pub fn cell(column: &Column, at: usize, room: usize) -> String {
    let text = column.cells.get(at).map(String::as_str).unwrap_or_default();
    let width = if column.width == 0 { room } else { column.width };
    if column.is_figure { format!("{text:>width$}") } else { fitted(text, width) }
}

/// A text of so many characters; what is left out is marked, and an opened row shows it whole.
pub fn fitted(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return format!("{text:<width$}");
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    if width == 0 { String::new() } else { format!("{kept}…") }
}

#[cfg(test)]
mod tests {
    use analysis::group::Counts;

    use super::*;

    fn row() -> LiveRow {
        LiveRow {
            key: Key {
                file: "crypto/asn1/tasn_new.c".to_owned(),
                line: 135,
                function: "asn1_item_embed_new".to_owned(),
                category: "x509".to_owned(),
                domain: "openssl".to_owned(),
            },
            counts: Counts {
                inuse_bytes: Some(83_153_160),
                inuse_blocks: Some(1_466_015),
                ..Counts::default()
            },
            change_bytes: 12_345,
            change_blocks: 3,
            allocations_per_second: Some(3.25),
            bytes_per_connection: Some(83_153.0),
            stack: Vec::new(),
        }
    }

    fn headings(width: Option<usize>) -> Vec<&'static str> {
        columns(&[row()], By::Site, Order::Bytes, width)
            .iter()
            .map(|column| column.heading)
            .collect()
    }

    #[test]
    fn what_has_no_room_is_left_out_and_the_site_never_is() {
        let all = ["bytes", "blocks", "bytes/conn", "growth", "allocs/s", "category", "site"];
        assert_eq!(headings(None), all);
        assert_eq!(headings(Some(200)), all);
        assert_eq!(headings(Some(100)), all);
        let without_category = ["bytes", "blocks", "bytes/conn", "growth", "allocs/s", "site"];
        assert_eq!(headings(Some(90)), without_category);
        assert_eq!(headings(Some(80)), ["bytes", "bytes/conn", "growth", "allocs/s", "site"]);
        assert_eq!(headings(Some(20)), ["bytes", "site"]);
        let ordered = columns(&[row()], By::Site, Order::Blocks, Some(40));
        assert_eq!(ordered[1].heading, "blocks", "rows are ordered by it");
    }

    #[test]
    fn what_is_not_known_of_any_row_has_no_column() {
        let unknown = LiveRow { bytes_per_connection: None, ..row() };
        let columns = columns(&[unknown], By::Category, Order::Bytes, None);
        let headings: Vec<_> = columns.iter().map(|column| column.heading).collect();
        assert_eq!(headings, ["bytes", "blocks", "growth", "allocs/s", "category"]);
    }

    #[test]
    fn figures_are_whole_where_there_is_room_and_short_where_there_is_none() {
        let of = |width: usize| -> Vec<String> {
            let columns = columns(&[row()], By::Site, Order::Bytes, Some(width));
            columns.iter().map(|column| cell(column, 0, 30).trim().to_owned()).collect()
        };
        assert_eq!(of(200)[0], "83,153,160");
        assert_eq!(of(200)[3], "+12,345");
        assert_eq!(of(80)[..3], ["83.2 MB", "83,153", "+12.3 KB"]);
        assert_eq!(fitted("asn1_item_embed_new", 8), "asn1_it…");
        assert_eq!(fitted("a", 3), "a  ");
    }
}
