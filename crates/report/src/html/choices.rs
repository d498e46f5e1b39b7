//! What a reader of the page may choose, and the figures that the script draws the choice from.
//!
//! The page without its script shows one column. With it, every stack of the capture is there with
//! all of its figures: the script adds up, it does not calculate anything that the tables and
//! pictures of other commands would calculate in another way.

use std::collections::HashMap;
use std::num::NonZeroU64;

use analysis::group::Key;
use maud::{Markup, PreEscaped, html};
use profile::Uncertainty;
use profile::harmless::{harmless, harmless_json};
use serde_json::{Value, json};

use super::parts::swatch;
use crate::palette::Rgb;

/// Every stack with the figures that a reader may choose.
#[derive(Clone, Debug, Default)]
pub struct Choices {
    /// What there is to choose from.
    pub measures: Vec<Measure>,
    /// Which of them the page shows at first.
    pub shown: usize,
    /// Connections that figures can be put down to.
    pub connections: Option<NonZeroU64>,
    /// Domains of which it is not known what was there before the first connection: of theirs
    /// there are no figures per connection.
    pub without_before: Vec<String>,
    /// Earlier moments that there are figures of, in seconds since the start, oldest first.
    pub series: Vec<f64>,
    /// Names of frames, each once for each of its colours.
    pub names: Vec<Name>,
    /// Sites, which stacks end at.
    pub sites: Vec<SiteOf>,
    /// The stacks.
    pub stacks: Vec<FiguredStack>,
    /// So many stacks are in one for all of them, for there is no room for each.
    pub gathered: usize,
}

/// One kind of figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measure {
    /// Its name in links to a view.
    pub id: &'static str,
    /// What it is, after a figure: `bytes in use`.
    pub name: &'static str,
    /// The column that it is of; its bytes and its blocks stand in one table.
    pub column: &'static str,
    /// `bytes` or `blocks`.
    pub unit: &'static str,
    /// Whether it can be put down to connections.
    pub of_connections: bool,
    /// Which of a stack's values it is.
    pub value: usize,
    /// Which is taken off that.
    pub less: Option<usize>,
}

/// The name of a frame.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Name {
    /// The name.
    pub text: String,
    /// Its colour.
    pub colour: [u8; 3],
}

/// A site, and what tells its story.
#[derive(Clone, Debug)]
pub struct SiteOf {
    /// The site.
    pub key: Key,
    /// The few functions that tell how it is reached, outermost first.
    pub telling: Vec<String>,
}

/// A stack and all of its figures.
#[derive(Clone, Debug)]
pub struct FiguredStack {
    /// Places of its frames among the names, outermost first.
    pub path: Vec<u32>,
    /// So many of them, from the outside, are the runtime's around the program.
    pub outer: usize,
    /// Its place among the sites.
    pub site: u32,
    /// A figure for each value.
    pub values: Vec<i64>,
    /// What of it was there before the first connection.
    pub before: Vec<i64>,
    /// Its figures at each moment of the series.
    pub series: Vec<Vec<i64>>,
    /// How far off each figure may be.
    pub off: Vec<Uncertainty>,
    /// How far off each of what was there before may be.
    pub off_before: Vec<Uncertainty>,
}

/// What stands above a subject's picture and table; the script shows it.
pub(super) fn controls(choices: &Choices, id: &str) -> Markup {
    let mut domains: Vec<&str> = choices.sites.iter().map(|site| &*site.key.domain).collect();
    let mut groups: Vec<&str> = choices.sites.iter().map(|site| group_of(&site.key)).collect();
    for names in [&mut domains, &mut groups] {
        names.sort_unstable();
        names.dedup();
    }
    html! {
        form.choices data-choices=(id) aria-label="What is shown" hidden {
            label {
                span { "Show" }
                select name="measure" {
                    @for (at, measure) in choices.measures.iter().enumerate() {
                        option value=(measure.id) selected[at == choices.shown] { (measure.name) }
                    }
                }
            }
            @if choices.connections.is_some() {
                label {
                    span { "of" }
                    select name="of" {
                        option value="connection" { "each connection" }
                        option value="process" { "the whole process" }
                    }
                }
            }
            @if !choices.series.is_empty() { (moments(choices)) }
            details {
                summary { "Hide categories" @if domains.len() > 1 { " or domains" } }
                @if domains.len() > 1 {
                    fieldset {
                        legend { "Domains" }
                        @for domain in &domains { (box_of("domain", domain, None)) }
                    }
                }
                fieldset {
                    legend { "Categories" }
                    @for group in &groups { (box_of("group", group, Some(group))) }
                }
            }
            output aria-live="polite" {}
        }
        script.stacks type="application/json" data-stacks=(id) { (PreEscaped(data(choices))) }
    }
}

/// The moment that is shown, and from which one on.
fn moments(choices: &Choices) -> Markup {
    let last = choices.series.len();
    html! {
        label.at {
            span { "at" }
            input type="range" name="at" min="0" max=(last) value=(last) step="1";
        }
        label {
            span { "more than" }
            select name="since" {
                option value="" { "nothing" }
                @for (at, seconds) in choices.series.iter().enumerate() {
                    option value=(at) { "at " (format!("{seconds:.1}")) " s" }
                }
            }
        }
    }
}

fn box_of(name: &str, value: &str, group: Option<&str>) -> Markup {
    html! {
        label {
            input type="checkbox" name=(name) value=(harmless(value)) checked;
            @if let Some(group) = group { (swatch(group)) }
            span { @if value.is_empty() { "not told" } @else { (value) } }
        }
    }
}

fn group_of(key: &Key) -> &str {
    key.category.split('.').next().unwrap_or_default()
}

/// The figures as JSON that can stand in a page. Stacks are a tree in the order of a walk through
/// it, each frame with its depth; what belongs to frames, stacks or sites is in arrays beside each
/// other, which are a third of the size of objects.
fn data(choices: &Choices) -> String {
    let mut stacks: Vec<&FiguredStack> = choices.stacks.iter().collect();
    stacks.sort_by(|a, b| a.path.cmp(&b.path));
    let mut frames = Frames::default();
    let ends: Vec<Option<usize>> = stacks.iter().map(|stack| frames.add(stack)).collect();
    let mut texts = Texts::default();
    let names: Vec<Value> = choices.names.iter().map(|name| texts.place(&name.text)).collect();
    let colours: Vec<String> =
        choices.names.iter().map(|Name { colour: [r, g, b], .. }| Rgb(*r, *g, *b).hex()).collect();
    let sites: Vec<Value> = choices
        .sites
        .iter()
        .map(|SiteOf { key, telling }| {
            let place = match (key.file.as_str(), key.line) {
                ("", _) => "[unknown]".to_owned(),
                (file, 0) => file.to_owned(),
                (file, line) => format!("{file}:{line}"),
            };
            let words = [&place, &key.function, &key.category, &key.domain];
            let mut row: Vec<Value> = words.into_iter().map(|word| texts.place(word)).collect();
            row.extend(telling.iter().map(|word| texts.place(word)));
            Value::Array(row)
        })
        .collect();
    let values = choices.stacks.first().map_or(0, |stack| stack.values.len());
    // A column in which every stack has nothing is a zero.
    let column = |of: &dyn Fn(&FiguredStack) -> Value| {
        let column: Vec<Value> = stacks.iter().map(|stack| of(stack)).collect();
        let nothing = column.iter().all(|value| value.as_f64() == Some(0.0));
        if nothing { json!(0) } else { Value::Array(column) }
    };
    let columns = |of: fn(&FiguredStack, usize) -> Value| -> Vec<Value> {
        (0..values).map(|at| column(&|stack| of(stack, at))).collect()
    };
    let measures = choices.measures.iter().map(|measure| {
        json!({
            "id": measure.id,
            "name": measure.name,
            "column": measure.column,
            "unit": measure.unit,
            "ofConnections": measure.of_connections,
            "value": measure.value,
            "less": measure.less,
        })
    });
    let data = json!({
        "measures": measures.collect::<Vec<_>>(),
        "shown": choices.shown,
        "connections": choices.connections,
        "withoutBefore": choices.without_before,
        "gathered": choices.gathered,
        "names": names,
        "colours": colours,
        "sites": sites,
        "depths": frames.depths,
        "frames": frames.names,
        "ends": ends,
        "siteOf": stacks.iter().map(|stack| stack.site).collect::<Vec<_>>(),
        "values": columns(|stack, at| stack.values[at].into()),
        "before": columns(|stack, at| stack.before[at].into()),
        "series": choices.series,
        "seriesValues": (0..choices.series.len()).map(|moment| {
            (0..values).map(|at| column(&|stack| stack.series[moment][at].into())).collect()
        }).collect::<Vec<Vec<Value>>>(),
        "variance": columns(|stack, at| stack.off[at].variance.into()),
        "oneMore": columns(|stack, at| stack.off[at].one_more.into()),
        "varianceBefore": columns(|stack, at| stack.off_before[at].variance.into()),
        "oneMoreBefore": columns(|stack, at| stack.off_before[at].one_more.into()),
        "texts": texts.all,
    });
    // Nothing in it may end the element that it stands in.
    harmless_json(data.to_string()).replace('<', "\\u003c")
}

/// The frames of all stacks as a walk through their tree.
#[derive(Default)]
struct Frames {
    depths: Vec<usize>,
    /// Twice the place of the name, and one for a frame of the runtime around the program.
    names: Vec<u64>,
    open: Vec<u64>,
    /// Where in the walk the open frames are.
    places: Vec<usize>,
}

impl Frames {
    /// The place of the last frame of the stack, which comes after those that it begins like;
    /// `None` of a stack without frames.
    fn add(&mut self, stack: &FiguredStack) -> Option<usize> {
        let name = |at: usize| u64::from(stack.path[at]) * 2 + u64::from(at < stack.outer);
        let own: Vec<u64> = (0..stack.path.len()).map(name).collect();
        let common = self.open.iter().zip(&own).take_while(|(a, b)| a == b).count();
        self.open.truncate(common);
        self.places.truncate(common);
        for (depth, name) in own.iter().enumerate().skip(common) {
            self.places.push(self.names.len());
            self.depths.push(depth);
            self.names.push(*name);
            self.open.push(*name);
        }
        self.places.last().copied()
    }
}

/// Texts, each once.
#[derive(Default)]
struct Texts {
    all: Vec<String>,
    places: HashMap<String, usize>,
}

impl Texts {
    fn place(&mut self, text: &str) -> Value {
        let text = harmless(text);
        if let Some(place) = self.places.get(text.as_ref()) {
            return (*place).into();
        }
        self.all.push(text.clone().into_owned());
        self.places.insert(text.into_owned(), self.all.len() - 1);
        (self.all.len() - 1).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(path: &[u32], value: i64) -> FiguredStack {
        FiguredStack {
            path: path.to_vec(),
            outer: 1,
            site: 0,
            values: vec![value],
            before: vec![0],
            series: Vec::new(),
            off: vec![Uncertainty::default()],
            off_before: vec![Uncertainty::default()],
        }
    }

    fn read(choices: &Choices) -> Value {
        serde_json::from_str(&data(choices)).expect("it is JSON")
    }

    #[test]
    fn stacks_are_a_walk_through_their_tree() {
        let name = |text: &str| Name { text: text.to_owned(), colour: [0, 0, 0] };
        let read = read(&Choices {
            names: ["main", "a", "b"].map(name).to_vec(),
            stacks: vec![stack(&[0, 2], 5), stack(&[0, 1], 7), stack(&[0], 1), stack(&[0, 1], 3)],
            ..Choices::default()
        });
        assert_eq!(read["depths"], json!([0, 1, 1]));
        assert_eq!(read["frames"], json!([1, 2, 4]), "the first is the runtime's");
        assert_eq!(read["ends"], json!([0, 1, 1, 2]));
        assert_eq!(read["values"], json!([[1, 7, 3, 5]]));
        assert_eq!(read["before"], json!([0]), "nothing in any");
    }

    #[test]
    fn no_name_ends_the_element() {
        let name = Name { text: "</script>\u{202e}<!--".to_owned(), colour: [0, 0, 0] };
        let choices = Choices { names: vec![name], ..Choices::default() };
        let text = data(&choices);
        assert!(!text.contains('<') && !text.contains('\u{202e}'), "{text}");
        assert_eq!(read(&choices)["texts"], json!(["</script>\\u{202e}<!--"]));
    }
}
