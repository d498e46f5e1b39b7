//! Tables, as wide as what they are printed on.

use analysis::diff::{Change, DiffRow, Side};
use analysis::group::{By, Key};
use analysis::notation::{
    exact, give_or_take, one_decimal, percent, percent_give_or_take, rounded, signed,
};
use analysis::own_unit::{OwnRow, OwnUnit};
use analysis::top::{Figures, Top, TopRow};
use anstyle::{AnsiColor, Style};
use comfy_table::{CellAlignment, ColumnConstraint, LineStyle, Table, TableStyle, Width};
use profile::harmless::harmless;

use crate::fit::{shorten, shorten_path, told, width};
use crate::medium::Medium;

/// Whether a row is followed by the functions that tell its story.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stories {
    /// A line of functions below each row.
    #[default]
    Shown,
    /// One line for each row.
    Hidden,
}

/// What a table looks like.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct TableOptions {
    /// What the rows stand for: decides which columns say something.
    pub by: By,
    /// At most so many rows; a last line says what is left out.
    pub rows: usize,
    /// Whether rows are followed by their stories.
    pub stories: Stories,
    /// What it is printed on.
    pub medium: Medium,
}

impl TableOptions {
    /// Ten rows with stories, for a file or pipe.
    pub fn by(by: By) -> TableOptions {
        TableOptions { by, rows: 10, stories: Stories::Shown, medium: Medium::PLAIN }
    }
}

/// The table of `top`: bytes, blocks, share, and what holds them.
pub fn top(top: &Top, options: &TableOptions) -> String {
    let (bytes, blocks) = match top.figures {
        Figures::Process => ("bytes", "blocks"),
        Figures::PerConnection(_) => ("bytes/conn", "blocks/conn"),
    };
    let shown: Vec<&TopRow> = top.rows.iter().take(options.rows).collect();
    let mut columns = vec![
        Column::number(
            bytes,
            shown.iter().map(|row| {
                figure(row.bytes, |bytes| give_or_take(bytes, row.bytes_margin, rounded))
            }),
        ),
        Column::number(
            blocks,
            shown.iter().map(|row| {
                figure(row.blocks, |blocks| {
                    give_or_take(blocks, row.blocks_margin, |blocks| match top.figures {
                        Figures::Process => rounded(blocks),
                        Figures::PerConnection(_) => one_decimal(blocks),
                    })
                })
            }),
        ),
        Column::number(
            "share",
            shown.iter().map(|row| {
                figure(row.share, |share| percent_give_or_take(share, row.share_margin))
            }),
        ),
    ];
    columns.extend(key_columns(options.by, &shown.iter().map(|row| &row.key).collect::<Vec<_>>()));
    let lines = shown.iter().map(|row| TableLine { story: &row.telling, style: Style::new() });
    let mut text = render(columns, &lines.collect::<Vec<_>>(), options);
    let (count, rest) = top.rest(options.rows);
    if count > 0 {
        let bytes = give_or_take(rest, top.rest_margin(options.rows), rounded);
        let rest = format!("… and {}, {bytes} bytes together", more_rows(count));
        text.push_str(&options.medium.paint(Style::new().dimmed(), &rest));
        text.push('\n');
    }
    text
}

/// The table of what another profiler has counted, in its own unit: value, share, and what has it.
pub fn own_unit(own: &OwnUnit, options: &TableOptions) -> String {
    let shown: Vec<&OwnRow> = own.rows.iter().take(options.rows).collect();
    let value = |value: i64| own.human(value);
    let share = |value: i64| match own.total {
        0 => "–".to_owned(),
        total => percent(value as f64 / total as f64),
    };
    let mut columns = vec![
        Column::number(&harmless(&own.kind), shown.iter().map(|row| value(row.value))),
        Column::number("share", shown.iter().map(|row| share(row.value))),
    ];
    columns.extend(key_columns(options.by, &shown.iter().map(|row| &row.key).collect::<Vec<_>>()));
    let lines = shown.iter().map(|row| TableLine { story: &row.telling, style: Style::new() });
    let mut text = render(columns, &lines.collect::<Vec<_>>(), options);
    let rest = own.rows.get(options.rows..).unwrap_or_default();
    if !rest.is_empty() {
        let sum = rest.iter().fold(0, |sum: i64, row| sum.saturating_add(row.value));
        let rest = format!("… and {}, {} together", more_rows(rest.len()), value(sum));
        text.push_str(&options.medium.paint(Style::new().dimmed(), &rest));
        text.push('\n');
    }
    text
}

/// The table of `diff`: bytes before and after, changes, and what changed.
pub fn diff(rows_of_diff: &[DiffRow], options: &TableOptions) -> String {
    let shown: Vec<&DiffRow> = rows_of_diff.iter().take(options.rows).collect();
    let delta = |row: &DiffRow| {
        figure(row.bytes.map(Change::delta), |delta| {
            let margin = row.bytes_margins.change.map(|margin| format!(" ± {}", rounded(margin)));
            signed(delta) + &margin.unwrap_or_default()
        })
    };
    let side = |row: &&DiffRow| match row.side {
        // Chance may have made it.
        _ if !row.is_significant() => "within error",
        Side::Both if row.was.is_some() => "moved",
        Side::Both => "",
        Side::OnlyBefore => "gone",
        Side::OnlyAfter => "new",
    };
    let before = |row: &DiffRow| {
        let bytes = row.bytes.map(|bytes| bytes.before);
        figure(bytes, |bytes| give_or_take(bytes, row.bytes_margins.before, rounded))
    };
    let after = |row: &DiffRow| {
        let bytes = row.bytes.map(|bytes| bytes.after);
        figure(bytes, |bytes| give_or_take(bytes, row.bytes_margins.after, rounded))
    };
    let mut columns = vec![
        Column::number("before", shown.iter().map(|row| before(row))),
        Column::number("after", shown.iter().map(|row| after(row))),
        Column::number("change", shown.iter().map(|row| delta(row))),
        Column::number(
            "blocks",
            shown.iter().map(|row| {
                figure(row.blocks.map(Change::delta), |blocks| {
                    let text = one_decimal(blocks);
                    let text = text.strip_suffix(".0").unwrap_or(&text);
                    let margin = row.blocks_margins.change;
                    let margin = margin.map(|margin| format!(" ± {}", one_decimal(margin)));
                    let text = text.to_owned() + &margin.unwrap_or_default();
                    if blocks > 0.0 { format!("+{text}") } else { text }
                })
            }),
        ),
        Column::text("", shown.iter().map(|row| side(row).to_owned())),
    ];
    columns.extend(key_columns(options.by, &shown.iter().map(|row| &row.key).collect::<Vec<_>>()));
    let stories: Vec<Vec<String>> = shown.iter().map(|row| row.telling()).collect();
    let lines = shown.iter().zip(&stories).map(|(row, story)| {
        let delta = row.bytes.map_or(0.0, Change::delta);
        let style = match delta {
            _ if !row.is_significant() => Style::new(),
            grown if grown >= 0.5 => AnsiColor::Red.on_default(),
            shrunk if shrunk <= -0.5 => AnsiColor::Green.on_default(),
            _ => Style::new(),
        };
        TableLine { story, style }
    });
    let mut text = render(columns, &lines.collect::<Vec<_>>(), options);
    let rest = rows_of_diff.len().saturating_sub(options.rows);
    if rest > 0 {
        let rest = format!("… and {} with smaller changes", more_rows(rest));
        text.push_str(&options.medium.paint(Style::new().dimmed(), &rest));
        text.push('\n');
    }
    text
}

/// Names and values in two columns, e.g. what a run was made with.
pub fn facts(facts: &[(&str, String)], medium: Medium) -> String {
    let longest = facts.iter().map(|(name, _)| width(name)).max().unwrap_or_default();
    let mut text = String::new();
    for (name, value) in facts {
        let gap = " ".repeat(longest - width(name) + 2);
        text.push_str(&medium.paint(Style::new().dimmed(), name));
        text.push_str(&gap);
        text.push_str(&shorten(
            &harmless(value),
            medium.room_for_names().saturating_sub(longest + 2),
        ));
        text.push('\n');
    }
    text
}

/// A table of any columns: the first line of `columns` are headings. Numbers stand to the right.
pub fn plain(headings: &[&str], cells: &[Vec<String>], medium: Medium) -> String {
    let columns = headings.iter().enumerate().map(|(at, heading)| {
        let column: Vec<String> =
            cells.iter().map(|row| row.get(at).cloned().unwrap_or_default()).collect();
        let number = column.iter().all(|cell| {
            cell.is_empty() || cell.starts_with(|c: char| c.is_ascii_digit() || "+-–".contains(c))
        });
        if number && !column.is_empty() {
            Column::number(heading, column.into_iter())
        } else {
            Column::text(heading, column.into_iter())
        }
    });
    let lines: Vec<TableLine<'_>> =
        cells.iter().map(|_| TableLine { story: &[], style: Style::new() }).collect();
    let mut options = TableOptions::by(By::Site);
    options.medium = medium;
    options.stories = Stories::Hidden;
    render(columns.collect(), &lines, &options)
}

/// A figure, or a dash where the profile has no such column.
fn figure(figure: Option<f64>, text: impl Fn(f64) -> String) -> String {
    figure.map_or_else(|| "–".to_owned(), text)
}

fn more_rows(count: usize) -> String {
    format!("{} more row{}", exact(count as i64), if count == 1 { "" } else { "s" })
}

/// One column before layout.
struct Column {
    heading: String,
    cells: Vec<String>,
    alignment: CellAlignment,
    /// How a cell that is too long is shortened; `None` for columns that must stay whole.
    shorten: Option<fn(&str, usize) -> String>,
}

impl Column {
    fn number(heading: &str, cells: impl Iterator<Item = String>) -> Column {
        let alignment = CellAlignment::Right;
        Column { heading: heading.to_owned(), cells: cells.collect(), alignment, shorten: None }
    }

    fn text(heading: &str, cells: impl Iterator<Item = String>) -> Column {
        let alignment = CellAlignment::Left;
        let shorten: Option<fn(&str, usize) -> String> = Some(shorten);
        // Before anything is measured: a line end would make two rows of one.
        let cells = cells.map(|cell| harmless(&cell).into_owned()).collect();
        Column { heading: heading.to_owned(), cells, alignment, shorten }
    }

    fn path(heading: &str, cells: impl Iterator<Item = String>) -> Column {
        Column { shorten: Some(shorten_path), ..Column::text(heading, cells) }
    }

    fn width(&self) -> usize {
        let cells = self.cells.iter().map(|cell| width(cell));
        cells.max().unwrap_or_default().max(width(&self.heading))
    }
}

/// The columns that say what a row stands for.
fn key_columns(by: By, keys: &[&Key]) -> Vec<Column> {
    let known = |text: &str| if text.is_empty() { "[unknown]".to_owned() } else { text.to_owned() };
    let category = Column::text("category", keys.iter().map(|key| key.category.clone()));
    let file = |heading| Column::path(heading, keys.iter().map(move |key| known(&key.file)));
    match by {
        By::Site => {
            let site = keys.iter().map(|key| match key.line {
                0 => known(&key.file),
                line => format!("{}:{line}", key.file),
            });
            vec![category, Column::path("site", site)]
        }
        By::Function => {
            let function = keys.iter().map(|key| known(&key.function));
            vec![Column::text("function", function), file("file")]
        }
        By::File => vec![file("file")],
        By::Category => vec![category],
    }
}

/// What a row stands for, in one line.
pub fn name_of(by: By, key: &Key) -> String {
    let cells =
        key_columns(by, &[key]).into_iter().filter_map(|column| column.cells.into_iter().next());
    cells.collect::<Vec<_>>().join("  ")
}

/// Two blanks between columns.
const GAP: usize = 2;

/// A name is not cut to less: nobody would know it again.
const LEAST_NAME: usize = 18;

/// Shortens the cells of columns that may be shortened until a row fits: the widest first. Whether
/// it does then.
fn fit(columns: &mut [Column], medium: Medium) -> bool {
    let mut widths: Vec<usize> = columns.iter().map(Column::width).collect();
    let gaps = GAP * columns.len().saturating_sub(1);
    while widths.iter().sum::<usize>().saturating_add(gaps) > medium.room_for_names() {
        let widest = (0..columns.len())
            .filter(|at| columns[*at].shorten.is_some() && widths[*at] > LEAST_NAME)
            .max_by_key(|at| widths[*at]);
        let Some(widest) = widest else { return false };
        widths[widest] -= 1;
    }
    if widths.iter().sum::<usize>().saturating_add(gaps) > medium.room() {
        return false;
    }
    for (column, width) in columns.iter_mut().zip(widths) {
        if let Some(shorten) = column.shorten {
            column.cells.iter_mut().for_each(|cell| *cell = shorten(cell, width));
        }
    }
    true
}

/// What belongs to one row beside its cells.
struct TableLine<'a> {
    story: &'a [String],
    style: Style,
}

/// Lays columns out, where they have room; else each row has lines of its own. Stories stand below
/// their rows, two blanks in.
fn render(mut columns: Vec<Column>, lines: &[TableLine<'_>], options: &TableOptions) -> String {
    if fit(&mut columns, options.medium) {
        in_columns(&columns, lines, options)
    } else {
        row_by_row(&columns, lines, options)
    }
}

fn in_columns(columns: &[Column], lines: &[TableLine<'_>], options: &TableOptions) -> String {
    let mut table = Table::new();
    table.load_style(TableStyle::new().header_separator(LineStyle::default().fill('─')));
    table.set_header(columns.iter().map(|column| column.heading.clone()).collect::<Vec<_>>());
    for at in 0..lines.len() {
        table.add_row(columns.iter().map(|column| column.cells[at].clone()).collect::<Vec<_>>());
    }
    for (at, column) in columns.iter().enumerate() {
        let laid_out = table.column_mut(at).expect("the header made this column");
        laid_out.set_cell_alignment(column.alignment);
        let gap = if at == 0 { 0 } else { GAP as u16 };
        laid_out.set_padding((gap, 0));
        let width = u16::try_from(column.width()).unwrap_or(u16::MAX).saturating_add(gap);
        laid_out.set_constraint(ColumnConstraint::Absolute(Width::Fixed(width)));
    }
    let mut text = String::new();
    let mut put = |style: Style, line: &str| {
        text.push_str(&options.medium.paint(style, line.trim_end()));
        text.push('\n');
    };
    let mut table_lines = table.lines();
    if let Some(heading) = table_lines.next() {
        put(Style::new().bold(), &heading);
    }
    if let Some(separator) = table_lines.next() {
        put(Style::new().dimmed(), &separator);
    }
    for (table_line, line) in table_lines.zip(lines) {
        put(line.style, &table_line);
        line.told(options).iter().for_each(|story| put(Style::new().dimmed(), story));
    }
    text
}

/// Each figure behind its heading, as many on a line as have room there.
fn row_by_row(columns: &[Column], lines: &[TableLine<'_>], options: &TableOptions) -> String {
    let medium = options.medium;
    let mut text = String::new();
    for (at, line) in lines.iter().enumerate() {
        let mut row = String::new();
        for column in columns.iter().filter(|column| !column.cells[at].is_empty()) {
            let heading = match (&column.alignment, column.heading.as_str()) {
                (_, "") => String::new(),
                (CellAlignment::Right, heading) => format!("{heading} "),
                // What a name is of can be seen.
                _ => String::new(),
            };
            let begin = if row.is_empty() { 0 } else { GAP };
            let room = medium.room_for_names().saturating_sub(begin + width(&heading));
            let cell = match column.shorten {
                Some(shorten) => shorten(&column.cells[at], room),
                None => column.cells[at].clone(),
            };
            let piece = heading + &cell;
            let last = row.rsplit('\n').next().map_or(0, width);
            if last > 0 && last + GAP + width(&piece) > medium.room() {
                row.push('\n');
            }
            if !row.is_empty() {
                row.push_str("  ");
            }
            row.push_str(&piece);
        }
        for row in row.split('\n') {
            text.push_str(&medium.paint(line.style, row));
            text.push('\n');
        }
        for story in line.told(options) {
            text.push_str(&medium.paint(Style::new().dimmed(), &story));
            text.push('\n');
        }
    }
    text
}

impl TableLine<'_> {
    /// The lines of its story, two blanks in.
    fn told(&self, options: &TableOptions) -> Vec<String> {
        if options.stories == Stories::Hidden || self.story.is_empty() {
            return Vec::new();
        }
        let lines = told(self.story, 2, options.medium);
        lines.into_iter().map(|line| format!("  {line}")).collect()
    }
}
