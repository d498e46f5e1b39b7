//! Draws the screen.

use analysis::notation::{exact, human};
use live::RowStack;
use profile::harmless::harmless;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::keys::KEYS;
use super::screen::{Opened, Screen};
use super::table::{Column, cell, columns, fitted, what};
use live::words;

/// Whether colours are wanted. Without them there is bold, dim and reversed text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Palette {
    Colours,
    Plain,
}

impl Palette {
    fn painted(self, colour: Color) -> Style {
        match self {
            Palette::Colours => Style::new().fg(colour),
            Palette::Plain => Style::new(),
        }
    }
}

/// Draws all of it.
pub fn draw(frame: &mut Frame<'_>, screen: &mut Screen, palette: Palette) {
    let area = frame.area();
    let width = usize::from(area.width);
    let head = head(screen, palette, width);
    let foot = keys(width);
    let [top, body, bottom] = Layout::vertical([
        Constraint::Length(head.len() as u16),
        Constraint::Min(1),
        Constraint::Length(foot.len() as u16),
    ])
    .areas(area);
    frame.render_widget(Paragraph::new(head), top);
    frame.render_widget(Paragraph::new(foot), bottom);
    // The headings are one line of it.
    screen.resize(usize::from(body.height).saturating_sub(1));
    if screen.has_help {
        frame.render_widget(Paragraph::new(help(width)), body);
    } else if screen.opened.is_some() {
        stacks(frame, screen, palette, body);
    } else {
        rows(frame, screen, palette, body);
    }
}

fn bold() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

fn dim() -> Style {
    Style::new().add_modifier(Modifier::DIM)
}

/// The answer, above the rows.
fn head(screen: &Screen, palette: Palette, width: usize) -> Vec<Line<'static>> {
    let view = &screen.looks.now;
    let paused = if screen.is_paused { "  PAUSED" } else { "" };
    let title = format!(
        "tlsheap watch  {}  {}  {}, after {}",
        harmless(&view.name),
        harmless(&words::processes(view)),
        words::clock(view),
        words::time(view.after),
    );
    let mut first = vec![Span::styled(fitted(&title, width.saturating_sub(paused.len())), dim())];
    first.push(Span::styled(paused, bold()));
    let since = if screen.has_mark {
        let ago = view.after.saturating_sub(screen.looks.since.after);
        format!("the mark, {} ago", words::time(ago))
    } else {
        words::FIRST.to_owned()
    };
    let memory = words::memory(view, &screen.looks.since, screen.domain(), &since);
    let rates = words::rates(view);
    let rest: Vec<String> = [Some(rates).filter(|it| !it.is_empty()), words::resident(view)]
        .into_iter()
        .flatten()
        .collect();
    let mut lines = vec![Line::from(first)];
    lines.extend(wrapped(&words::connections(view), width).map(|it| Line::styled(it, bold())));
    lines.extend(wrapped(&memory, width).map(Line::from));
    lines.extend(wrapped(&rest.join(", "), width).map(Line::from));
    if let Some(missing) = words::missing(view) {
        let style = palette.painted(Color::Yellow);
        let missing = harmless(&missing).into_owned();
        lines.extend(wrapped(&missing, width).take(2).map(|line| Line::styled(line, style)));
    }
    lines
}

/// The lines of a text, broken between words; a word that is longer than a line is cut by the
/// terminal's edge.
fn wrapped(text: &str, width: usize) -> impl Iterator<Item = String> + use<> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.into_iter()
}

/// The keys, on as many lines as they take, at most two.
fn keys(width: usize) -> Vec<Line<'static>> {
    let (mut lines, mut used) = (vec![Vec::new()], 0);
    for key in KEYS {
        let taken = key.shown.chars().count() + 1 + key.does.len();
        if used + taken > width && used > 0 {
            if lines.len() == 2 {
                break;
            }
            lines.push(Vec::new());
            used = 0;
        }
        // Two blanks lie before the next.
        used += taken + 2;
        if let Some(line) = lines.last_mut() {
            line.push(Span::styled(key.shown, bold()));
            line.push(Span::styled(format!(" {}  ", key.does), dim()));
        }
    }
    lines.into_iter().map(Line::from).collect()
}

fn help(width: usize) -> Vec<Line<'static>> {
    let mut lines = vec![Line::styled("Keys", bold())];
    for key in KEYS {
        let mut sentence = wrapped(key.sentence, width.saturating_sub(10));
        let first = sentence.next().unwrap_or_default();
        lines.push(Line::from(vec![
            Span::styled(format!("{:>7}  ", key.shown), bold()),
            first.into(),
        ]));
        lines.extend(sentence.map(|more| Line::from(format!("{:>7}  {more}", ""))));
    }
    lines
}

fn rows(frame: &mut Frame<'_>, screen: &Screen, palette: Palette, area: Rect) {
    let width = usize::from(area.width);
    let room = usize::from(area.height).saturating_sub(1);
    let end = (screen.top + room).min(screen.rows.len());
    let seen = &screen.rows[screen.top.min(end)..end];
    let columns = columns(seen, screen.shown.by, screen.shown.order, Some(width));
    let taken: usize =
        columns.iter().filter(|column| column.width > 0).map(|column| column.width + 2).sum();
    let rest = width.saturating_sub(taken);
    let mut lines = vec![heading(&columns, screen, rest)];
    if seen.is_empty() {
        lines.push(Line::styled("nothing is held", dim()));
    }
    for (at, row) in seen.iter().enumerate() {
        let mut spans = Vec::new();
        for (number, column) in columns.iter().enumerate() {
            if number > 0 {
                spans.push(Span::raw("  "));
            }
            let style = match (column.heading, row.change_bytes) {
                ("growth", change) if change > 0 => palette.painted(Color::Red),
                ("growth", change) if change < 0 => palette.painted(Color::Green),
                ("growth", _) => dim(),
                _ => Style::new(),
            };
            spans.push(Span::styled(cell(column, at, rest), style));
        }
        let line = Line::from(spans);
        let is_chosen = screen.top + at == screen.at();
        lines.push(if is_chosen {
            line.patch_style(Style::new().add_modifier(Modifier::REVERSED))
        } else {
            line
        });
    }
    frame.render_widget(Paragraph::new(lines), area);
}

fn heading(columns: &[Column], screen: &Screen, rest: usize) -> Line<'static> {
    let texts: Vec<String> = columns
        .iter()
        .map(|column| {
            let mark = if column.order == Some(screen.shown.order) { "▼" } else { "" };
            let width = if column.width == 0 { rest } else { column.width };
            let text = format!("{mark}{}", column.heading);
            if column.is_figure { format!("{text:>width$}") } else { format!("{text:<width$}") }
        })
        .collect();
    Line::styled(texts.join("  "), bold().add_modifier(Modifier::UNDERLINED))
}

/// A row that is opened: its name, and every stack whole.
fn stacks(frame: &mut Frame<'_>, screen: &mut Screen, palette: Palette, area: Rect) {
    let (by, width) = (screen.shown.by, usize::from(area.width));
    let Some(opened) = &mut screen.opened else { return };
    let mut lines = lines_of(opened, palette, width);
    opened.lines = lines.len();
    let name = what(&opened.key, by);
    let heading = format!("{} stacks (Esc goes back): {name}", exact(opened.stacks.len() as i64));
    let room = usize::from(area.height).saturating_sub(1);
    let top = opened.top.min(lines.len().saturating_sub(1));
    lines.drain(..top);
    lines.truncate(room);
    lines.insert(0, Line::styled(heading, bold().add_modifier(Modifier::UNDERLINED)));
    frame.render_widget(Paragraph::new(lines), area);
}

/// So many stacks are drawn; a row of a large program has thousands.
const MOST_STACKS: usize = 200;

fn lines_of(opened: &Opened, palette: Palette, width: usize) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    for stack in opened.stacks.iter().take(MOST_STACKS) {
        let RowStack { calls, counts } = stack;
        let bytes = counts.inuse_bytes.unwrap_or_default();
        let blocks = counts.inuse_blocks.unwrap_or_default();
        let held =
            format!("{} ({} bytes) in {} blocks", human(bytes as f64), exact(bytes), exact(blocks));
        lines.push(Line::styled(held, palette.painted(Color::Cyan).add_modifier(Modifier::BOLD)));
        for call in calls {
            let place = match (call.file.as_str(), call.line) {
                ("", _) => String::new(),
                (file, 0) => format!("  {file}"),
                (file, line) => format!("  {file}:{line}"),
            };
            let function = if call.function.is_empty() { "[unknown]" } else { &call.function };
            let text = harmless(&format!("{function}{place}")).into_owned();
            // Whole, on as many lines as it takes.
            for (number, part) in parts(&text, width.saturating_sub(4)).enumerate() {
                let indent = if number == 0 { "  " } else { "    " };
                lines.push(Line::from(format!("{indent}{part}")));
            }
        }
    }
    if opened.stacks.len() > MOST_STACKS {
        let more = opened.stacks.len() - MOST_STACKS;
        lines.push(Line::styled(format!("… and {} more stacks", exact(more as i64)), dim()));
    }
    if opened.stacks.is_empty() {
        lines.push(Line::styled("nothing is held here any more", dim()));
    }
    lines
}

/// A text in pieces of so many characters.
fn parts(text: &str, width: usize) -> impl Iterator<Item = String> + use<> {
    let characters: Vec<char> = text.chars().collect();
    let pieces: Vec<String> =
        characters.chunks(width.max(8)).map(|piece| piece.iter().collect()).collect();
    pieces.into_iter()
}
