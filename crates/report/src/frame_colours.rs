//! Which colour a frame has: that of the group that its memory belongs to, or grey.

use std::collections::{BTreeMap, HashMap};

use analysis::category;
use analysis::origin::Origin;
use inferno::flamegraph::color::{Color, PaletteMap};
use profile::folded::{self, NameId};
use profile::{Frame, LocationId, Profile};

use crate::frame_titles::Label;
use crate::frame_tree::Node;
use crate::palette::{self, Rgb};

/// The colours of all frames of a picture, by name: that is what inferno can be told.
pub(crate) struct Colours {
    /// For each name, how much of each colour it should have; the heaviest is taken.
    wishes: HashMap<String, BTreeMap<[u8; 3], u64>>,
    /// Values of the leaves' groups.
    groups: BTreeMap<&'static str, u64>,
}

impl Colours {
    pub(crate) fn of(profile: &Profile, column: usize) -> Colours {
        let mut colours = Colours { wishes: HashMap::new(), groups: BTreeMap::new() };
        // What stacks have in common is looked at once.
        let mut of_locations: HashMap<LocationId, u64> = HashMap::new();
        let mut of_leaves: HashMap<(LocationId, &str), u64> = HashMap::new();
        let categories = category::Judged::default().of_samples(profile);
        for (sample, category) in profile.samples().iter().zip(categories) {
            let value = u64::try_from(sample.values[column]).unwrap_or_default();
            if value == 0 {
                continue;
            }
            let group = category.group();
            let add = |sum: &mut u64| *sum = sum.saturating_add(value);
            add(colours.groups.entry(group).or_default());
            for id in &sample.stack {
                add(of_locations.entry(*id).or_default());
            }
            if let Some(leaf) = sample.stack.first() {
                add(of_leaves.entry((*leaf, group)).or_default());
            }
        }
        for (id, value) in of_locations {
            for frame in profile.frames_of(id) {
                colours.wish(folded::function_name(&frame), frame_colour(&frame), value);
            }
        }
        for ((leaf, group), value) in of_leaves {
            let frame = profile.frames_of(leaf).next();
            if let Some(site) = frame.as_ref().and_then(folded::site_name) {
                colours.wish(site, palette::of_group(group), value);
            }
        }
        colours
    }

    fn wish(&mut self, name: String, Rgb(r, g, b): Rgb, value: u64) {
        let sum = self.wishes.entry(name).or_default().entry([r, g, b]).or_default();
        *sum = sum.saturating_add(value);
    }

    /// The groups of the leaves, most first.
    pub(crate) fn groups_by_size(&self) -> Vec<&'static str> {
        let mut groups: Vec<_> = self.groups.iter().collect();
        groups.sort_by_key(|(_, value)| std::cmp::Reverse(**value));
        groups.into_iter().map(|(group, _)| *group).collect()
    }

    pub(crate) fn palette<'a>(
        &self,
        frames: &Node<Label>,
        name: impl Fn(NameId) -> &'a str,
    ) -> PaletteMap {
        let mut palette = PaletteMap::default();
        // The root frame that inferno draws below all others.
        palette.insert("", rgb(palette::RUNTIME_CODE));
        frames.for_each(&mut |frame| {
            let Some(name) = frame.label.name.map(&name) else { return };
            let wishes = self.wishes.get(name).into_iter().flatten();
            if let Some(([r, g, b], _)) = wishes.max_by_key(|(_, value)| **value) {
                palette.insert(&frame.label.text, rgb(shade(Rgb(*r, *g, *b), name)));
            }
        });
        palette
    }
}

/// The colour of a function's frame, wherever it stands.
pub(crate) fn frame_colour(frame: &Frame<'_>) -> Rgb {
    match Origin::of(frame) {
        Origin::OpenSsl => {
            let category = category::of_source(frame.file, frame.function);
            palette::of_group(category.map_or("crypto", category::Category::group))
        }
        Origin::BelowOpenSsl => palette::of_group("compression"),
        Origin::Program => palette::PROGRAM_CODE,
        Origin::Binding | Origin::Runtime | Origin::Unknown => palette::RUNTIME_CODE,
    }
}

/// Neighbours of one colour differ a little, so that they can be told apart: up to 8 % darker,
/// by a hash of the name (FNV-1a, the same on every machine).
pub(crate) fn shade(Rgb(r, g, b): Rgb, name: &str) -> Rgb {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let percent = 100 - ((hash >> 32) % 5) as u16 * 2;
    let darker = |part: u8| (u16::from(part) * percent / 100) as u8;
    Rgb(darker(r), darker(g), darker(b))
}

/// A colour as inferno takes it.
pub(crate) fn rgb(colour: Rgb) -> Color {
    Color { r: colour.0, g: colour.1, b: colour.2 }
}
