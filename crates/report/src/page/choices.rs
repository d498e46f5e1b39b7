//! The stacks of a capture with every figure, as a reader of the page may choose among them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use analysis::category::{HEAP_DOMAIN, label_categories};
use analysis::column::Column;
use analysis::group::{By, Call, Calls, Key, key_of};
use analysis::origin::Origin;
use analysis::telling::Teller;
use capture::{Capture, CaptureError};
use profile::folded;
use profile::{Frame, LocationId, Metric, Profile, Sample, Uncertainty};

use crate::drawable::drawable;
use crate::frame_colours::{frame_colour, shade};
use crate::html::{Choices, FiguredStack, Measure, Name, SiteOf};
use crate::palette::{self, Rgb};

/// Bytes of a page that the figures of its stacks may take, about: with all else a page stays below
/// 5 MB.
pub(super) const MOST_BYTES: usize = 3_900_000;

/// Moments of a series that are in a page.
const MOST_MOMENTS: usize = 16;

/// The frame and the site of what there is no room for.
const GATHERED: &str = "[smaller stacks]";

/// Every figure that there is to choose, in the order in which they are offered.
const MEASURES: [Offered; 8] = [
    offered("in-use", "in-use-bytes", "bytes in use", Metric::InuseSpace, None),
    offered("in-use", "in-use-blocks", "blocks in use", Metric::InuseObjects, None),
    offered("peak", "peak-bytes", "bytes at the peak", Metric::PeakSpace, None),
    offered("peak", "peak-blocks", "blocks at the peak", Metric::PeakObjects, None),
    offered("allocated", "allocated-bytes", "bytes ever allocated", Metric::AllocSpace, None),
    offered("allocated", "allocations", "allocations", Metric::AllocObjects, None),
    offered("freed", "freed-bytes", "bytes freed again", Metric::AllocSpace, IN_USE),
    offered("freed", "freed-blocks", "blocks freed again", Metric::AllocObjects, IN_USE_BLOCKS),
];

const IN_USE: Option<Metric> = Some(Metric::InuseSpace);
const IN_USE_BLOCKS: Option<Metric> = Some(Metric::InuseObjects);

/// A figure to choose, before it is known whether a profile has it.
struct Offered {
    column: &'static str,
    id: &'static str,
    name: &'static str,
    metric: Metric,
    less: Option<Metric>,
}

const fn offered(
    column: &'static str,
    id: &'static str,
    name: &'static str,
    metric: Metric,
    less: Option<Metric>,
) -> Offered {
    Offered { column, id, name, metric, less }
}

/// The stacks with their figures, of which there may be so many bytes; `None` where the profile has
/// none of the known columns.
pub(super) fn of(
    capture: &Capture,
    shown: Column,
    most_bytes: usize,
) -> Result<Option<Choices>, CaptureError> {
    // Of what is sampled, no margins are known for differences over time.
    let most = if capture.profile.sampling.is_some() { 0 } else { MOST_MOMENTS };
    let series = capture.series_over_time(most)?;
    Ok(from(capture, &series, shown, most_bytes))
}

fn from(
    capture: &Capture,
    series: &[(f64, Capture)],
    shown: Column,
    most_bytes: usize,
) -> Option<Choices> {
    let profile = &capture.profile;
    let known: Vec<Metric> =
        Metric::ALL.into_iter().filter(|metric| profile.column(*metric).is_some()).collect();
    let place = |metric: Metric| known.iter().position(|one| *one == metric);
    let column_of = |metric: Metric| {
        let of = |column: &Column| [column.bytes(), column.blocks()].contains(&metric);
        Column::ALL.into_iter().find(of).unwrap_or_default()
    };
    let measures: Vec<Measure> = MEASURES
        .into_iter()
        .filter_map(|Offered { column, id, name, metric, less }| {
            let of_connections = capture.connections_of(column_of(metric)).is_some();
            let less = match less {
                Some(less) => Some(place(less)?),
                None => None,
            };
            let unit = metric.unit();
            let unit = if unit == "bytes" { unit } else { "blocks" };
            let value = place(metric)?;
            Some(Measure { id, name, column, unit, of_connections, value, less })
        })
        .collect();
    let is_shown = |measure: &Measure| Some(measure.value) == place(shown.bytes());
    let first = measures.iter().position(|measure| is_shown(measure) && measure.less.is_none())?;
    let mut gathering = Gathering { moments: series.len(), ..Gathering::default() };
    gathering.add(&drawable(profile), &known, Moment::Now);
    if let Some(baseline) = capture.baseline.as_ref().filter(|_| capture.connections.is_some()) {
        gathering.add(&drawable(baseline), &known, Moment::Before);
    }
    for (at, (_, capture)) in series.iter().enumerate() {
        let mut profile = drawable(&capture.profile).into_owned();
        label_categories(&mut profile);
        gathering.add(&profile, &known, Moment::OfSeries(at));
    }
    let without_before = match &capture.baseline {
        // Of others than OpenSSL it is not known of every recording.
        Some(baseline) if capture.connections.is_some() => {
            let has = |profile: &Profile| analysis::domain::present(profile).contains(HEAP_DOMAIN);
            let unknown = has(profile) && !has(baseline);
            unknown.then(|| HEAP_DOMAIN.to_owned()).into_iter().collect()
        }
        _ => Vec::new(),
    };
    let mut choices = gathering.finish(first, measures[first].value, most_bytes);
    choices.measures = measures;
    choices.connections = capture.connections;
    choices.series = series.iter().map(|(seconds, _)| *seconds).collect();
    choices.without_before = without_before;
    Some(choices)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Moment {
    Now,
    Before,
    OfSeries(usize),
}

/// Names, sites and stacks, each once.
#[derive(Default)]
struct Gathering {
    /// Of the series.
    moments: usize,
    names: Vec<Name>,
    places: HashMap<Name, u32>,
    sites: BTreeMap<Key, (u32, i64, Vec<Arc<Call>>)>,
    stacks: BTreeMap<(Vec<u32>, usize, u32), Figures>,
}

struct Figures {
    values: Vec<i64>,
    before: Vec<i64>,
    series: Vec<Vec<i64>>,
    off: Vec<Uncertainty>,
    off_before: Vec<Uncertainty>,
}

/// The frames of a location, innermost first.
struct Located {
    names: Vec<u32>,
    /// The outermost of the program's.
    program: Option<usize>,
}

impl Gathering {
    fn add(&mut self, profile: &Profile, known: &[Metric], moment: Moment) {
        let columns: Vec<Option<usize>> =
            known.iter().map(|metric| profile.column(*metric)).collect();
        let mut located: Vec<Option<Located>> = Vec::new();
        located.resize_with(profile.locations().len(), || None);
        let mut calls = Calls::in_profile(profile);
        let mut heaviest: HashMap<u32, (i64, &Sample)> = HashMap::new();
        for sample in profile.samples() {
            for id in &sample.stack {
                if located[id.index()].is_none() {
                    located[id.index()] = Some(self.locate(profile, *id));
                }
            }
            let mut path: Vec<u32> = Vec::with_capacity(2 * sample.stack.len() + 1);
            // Outside of the program's first function there is only the runtime.
            let mut outermost = None;
            for at in sample.stack.iter().filter_map(|id| located[id.index()].as_ref()) {
                if let Some(program) = at.program {
                    outermost = Some(path.len() + program);
                }
                path.extend_from_slice(&at.names);
            }
            let outer = outermost.map_or(0, |outermost| path.len() - outermost - 1);
            path.reverse();
            let key = key_of(profile, sample, By::Site);
            path.extend(self.site_frame(profile, sample, &key));
            let value = |column: &Option<usize>| column.map_or(0, |column| sample.values[column]);
            let values: Vec<i64> = columns.iter().map(value).collect();
            let site = self.site(key);
            let weight = values.iter().copied().max().unwrap_or_default();
            let most = heaviest.entry(site).or_insert((weight, sample));
            if weight > most.0 {
                *most = (weight, sample);
            }
            let moments = self.moments;
            let stack = self.stacks.entry((path, outer, site)).or_insert_with(|| Figures {
                values: vec![0; known.len()],
                before: vec![0; known.len()],
                series: vec![vec![0; known.len()]; moments],
                off: vec![Uncertainty::default(); known.len()],
                off_before: vec![Uncertainty::default(); known.len()],
            });
            let (figures, offs) = match moment {
                Moment::Now => (&mut stack.values, &mut stack.off),
                Moment::Before => (&mut stack.before, &mut stack.off_before),
                // It is counted exactly.
                Moment::OfSeries(at) => (&mut stack.series[at], &mut stack.off),
            };
            for (figure, value) in figures.iter_mut().zip(values) {
                *figure = figure.saturating_add(value);
            }
            if profile.sampling.is_some() {
                for (off, column) in offs.iter_mut().zip(&columns) {
                    let Some(column) = column else { continue };
                    *off = off.and(profile.uncertainty(*column)(sample));
                }
            }
        }
        // A stack is copied for each site, and not for each that weighs more than those before it.
        for site in self.sites.values_mut() {
            let Some((weight, sample)) = heaviest.get(&site.0) else { continue };
            if *weight > site.1 {
                site.1 = *weight;
                site.2 = calls.of(sample);
            }
        }
    }

    fn locate(&mut self, profile: &Profile, id: LocationId) -> Located {
        let mut located = Located { names: Vec::new(), program: None };
        for frame in profile.frames_of(id) {
            if Origin::of(&frame) == Origin::Program {
                located.program = Some(located.names.len());
            }
            let text = folded::function_name(&frame);
            let colour = shade(frame_colour(&frame), &text);
            located.names.push(self.name(text, colour));
        }
        located
    }

    fn name(&mut self, text: String, Rgb(r, g, b): Rgb) -> u32 {
        let name = Name { text, colour: [r, g, b] };
        let next = self.names.len() as u32;
        *self.places.entry(name).or_insert_with_key(|name| {
            self.names.push(name.clone());
            next
        })
    }

    /// The frame of the line that asked, in the colour of what the memory is for.
    fn site_frame(&mut self, profile: &Profile, sample: &Sample, key: &Key) -> Option<u32> {
        let leaf: Frame<'_> = profile.frames(sample).next()?;
        let text = folded::site_name(&leaf)?;
        let group = key.category.split('.').next().unwrap_or_default();
        let colour = shade(palette::of_group(group), &text);
        Some(self.name(text, colour))
    }

    /// The place of a site, which is told by the stack that weighs most.
    fn site(&mut self, key: Key) -> u32 {
        let next = self.sites.len() as u32;
        self.sites.entry(key).or_insert((next, i64::MIN, Vec::new())).0
    }

    /// Everything that there is room for, what is largest in any figure first; `column` is the one
    /// that comes first.
    fn finish(self, shown: usize, column: usize, most_bytes: usize) -> Choices {
        let mut teller = Teller::default();
        let mut sites: Vec<(u32, SiteOf)> = self
            .sites
            .into_iter()
            .map(|(key, (place, _, calls))| {
                (place, SiteOf { key, telling: teller.telling(&calls) })
            })
            .collect();
        sites.sort_by_key(|(place, _)| *place);
        let mut stacks: Vec<FiguredStack> = self
            .stacks
            .into_iter()
            .map(|((path, outer, site), figures)| FiguredStack {
                path,
                outer,
                site,
                values: figures.values,
                before: figures.before,
                series: figures.series,
                off: figures.off,
                off_before: figures.off_before,
            })
            .collect();
        let mut choices = Choices {
            shown,
            names: self.names,
            sites: sites.into_iter().map(|(_, site)| site).collect(),
            ..Choices::default()
        };
        order(&mut stacks, column);
        let kept = fitting(&stacks, &choices, most_bytes);
        let rest = stacks.split_off(kept);
        choices.gathered = rest.len();
        choices.stacks = stacks;
        gather(&mut choices, rest);
        forget_unused(&mut choices);
        choices
    }
}

/// Largest first: by the largest part that a stack has of any figure. Equal ones by what is shown.
fn order(stacks: &mut [FiguredStack], column: usize) {
    let columns = stacks.first().map_or(0, |stack| stack.values.len());
    let total = |at: usize| stacks.iter().map(|stack| stack.values[at].max(0) as f64).sum::<f64>();
    let totals: Vec<f64> = (0..columns).map(|at| total(at).max(1.0)).collect();
    let part = |stack: &FiguredStack| {
        let parts = stack.values.iter().zip(&totals).map(|(value, total)| *value as f64 / total);
        parts.fold(0.0, f64::max)
    };
    stacks.sort_by(|a, b| {
        part(b).total_cmp(&part(a)).then_with(|| b.values[column].cmp(&a.values[column]))
    });
}

/// How many stacks there is room for.
fn fitting(stacks: &[FiguredStack], choices: &Choices, most_bytes: usize) -> usize {
    // As JSON: the place of a name and a depth, a colour, places of texts.
    const FRAME: usize = 9;
    const NAME: usize = 18;
    const SITE: usize = 26;
    const PLACES: usize = 10;
    let mut frames: HashSet<&[u32]> = HashSet::new();
    let (mut names, mut sites) = (HashSet::new(), HashSet::new());
    let mut bytes = 0;
    let figure = |value: &i64| value.checked_ilog10().map_or(2, |digits| digits as usize + 2);
    for (at, stack) in stacks.iter().enumerate() {
        for depth in (1..=stack.path.len()).rev() {
            if !frames.insert(&stack.path[..depth]) {
                break;
            }
            bytes += FRAME;
            let name = stack.path[depth - 1];
            if names.insert(name) {
                bytes += NAME + choices.names[name as usize].text.len();
            }
        }
        if sites.insert(stack.site) {
            let SiteOf { key, telling } = &choices.sites[stack.site as usize];
            bytes += SITE + key.file.len() + telling.len() * PLACES;
        }
        // In most columns before the first connection nothing was there.
        let before = stack.before.iter().filter(|value| **value != 0);
        let figures = stack.values.iter().chain(before).chain(stack.series.iter().flatten());
        bytes += PLACES + figures.map(figure).sum::<usize>();
        if bytes > most_bytes {
            return at;
        }
    }
    stacks.len()
}

/// Adds what there is no room for as one stack for each category and domain, so that sums are whole.
fn gather(choices: &mut Choices, rest: Vec<FiguredStack>) {
    let mut sums: BTreeMap<(String, String), FiguredStack> = BTreeMap::new();
    for stack in rest {
        let key = &choices.sites[stack.site as usize].key;
        let of = (key.domain.clone(), key.category.clone());
        match sums.get_mut(&of) {
            None => {
                sums.insert(of, stack);
            }
            Some(sum) => {
                for (all, more) in
                    [(&mut sum.values, stack.values), (&mut sum.before, stack.before)]
                {
                    all.iter_mut()
                        .zip(more)
                        .for_each(|(sum, more)| *sum = sum.saturating_add(more));
                }
                for (all, more) in sum.series.iter_mut().zip(stack.series) {
                    all.iter_mut()
                        .zip(more)
                        .for_each(|(sum, more)| *sum = sum.saturating_add(more));
                }
                for (all, more) in
                    [(&mut sum.off, stack.off), (&mut sum.off_before, stack.off_before)]
                {
                    all.iter_mut().zip(more).for_each(|(sum, more)| *sum = sum.and(more));
                }
            }
        }
    }
    for ((domain, category), mut stack) in sums {
        let group = category.split('.').next().unwrap_or_default();
        let Rgb(r, g, b) = palette::of_group(group);
        choices.names.push(Name { text: GATHERED.to_owned(), colour: [r, g, b] });
        stack.path = vec![choices.names.len() as u32 - 1];
        stack.outer = 0;
        let key = Key { function: GATHERED.to_owned(), category, domain, ..Key::default() };
        choices.sites.push(SiteOf { key, telling: Vec::new() });
        stack.site = choices.sites.len() as u32 - 1;
        choices.stacks.push(stack);
    }
}

/// Leaves out names and sites that only what was gathered had.
fn forget_unused(choices: &mut Choices) {
    fn keep<T>(all: &mut Vec<T>, used: &HashSet<u32>) -> Vec<u32> {
        let mut places = Vec::with_capacity(all.len());
        let mut next = 0;
        let mut at = 0;
        all.retain(|_| {
            let kept = used.contains(&at);
            places.push(next);
            next += u32::from(kept);
            at += 1;
            kept
        });
        places
    }
    let names = choices.stacks.iter().flat_map(|stack| stack.path.iter().copied()).collect();
    let names = keep(&mut choices.names, &names);
    let sites = choices.stacks.iter().map(|stack| stack.site).collect();
    let sites = keep(&mut choices.sites, &sites);
    for stack in &mut choices.stacks {
        stack.path.iter_mut().for_each(|name| *name = names[*name as usize]);
        stack.site = sites[stack.site as usize];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(path: Vec<u32>, value: i64) -> FiguredStack {
        let off = vec![Uncertainty::default()];
        let off_before = off.clone();
        FiguredStack {
            path,
            outer: 0,
            site: 0,
            values: vec![value],
            before: vec![1],
            series: Vec::new(),
            off,
            off_before,
        }
    }

    fn choices(names: usize) -> Choices {
        let name = |at: usize| Name { text: format!("f{at}"), colour: [0, 0, 0] };
        let key = Key { category: "tls.connection".to_owned(), ..Key::default() };
        Choices {
            names: (0..names).map(name).collect(),
            sites: vec![SiteOf { key, telling: Vec::new() }],
            ..Choices::default()
        }
    }

    #[test]
    fn what_there_is_no_room_for_is_one_stack_and_no_sum_changes() {
        let mut stacks: Vec<FiguredStack> =
            (0..60_000).map(|at| stack(vec![0, at % 1_000], i64::from(at))).collect();
        order(&mut stacks, 0);
        let mut choices = choices(1_000);
        let kept = fitting(&stacks, &choices, 100_000);
        assert!((1_000..10_000).contains(&kept), "{kept}");
        let rest = stacks.split_off(kept);
        assert_eq!(stacks.last().map(|stack| stack.values[0]), Some(60_000 - kept as i64));
        choices.stacks = stacks;
        gather(&mut choices, rest);
        forget_unused(&mut choices);
        let sum = |of: fn(&FiguredStack) -> i64| choices.stacks.iter().map(of).sum::<i64>();
        assert_eq!(sum(|stack| stack.values[0]), (0..60_000).sum::<i64>());
        assert_eq!(sum(|stack| stack.before[0]), 60_000);
        let last = choices.stacks.last().expect("it is there");
        assert_eq!(choices.names[last.path[0] as usize].text, GATHERED);
        assert_eq!(choices.sites[last.site as usize].key.category, "tls.connection");
    }

    #[test]
    fn frames_and_names_take_room_too() {
        let one = |at: u32| (0..1_000).map(|depth| if depth == 0 { at } else { depth }).collect();
        let deep: Vec<FiguredStack> = (0..500).map(|at| stack(one(at), 9)).collect();
        assert!(fitting(&deep, &choices(1_000), 100_000) < 12);
        let mut long = choices(3);
        long.names[1].text = "n".repeat(1_000);
        assert_eq!(fitting(&[stack(vec![0], 1), stack(vec![1], 1)], &long, 1_000), 1);
    }
}
