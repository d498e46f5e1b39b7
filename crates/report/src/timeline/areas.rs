//! The areas of the picture, one on the other, and what is said of each.

use analysis::notation::human;
use analysis::timeline::Timeline;

use super::colours::REST_COLOUR;
use super::layers::layers;
use super::resident::connected;

/// One coloured part of the picture.
pub(super) struct Area {
    pub(super) name: String,
    /// What is said of it where it is pointed at.
    pub(super) title: String,
    pub(super) colour: String,
    pub(super) below: Vec<u64>,
    pub(super) above: Vec<u64>,
}

/// The areas on each other, lowest first.
pub(super) fn areas(timeline: &Timeline) -> Vec<Area> {
    let mut areas = Vec::new();
    let mut stack = vec![0_u64; timeline.seconds.len()];
    for layer in layers(timeline) {
        let below = stack.clone();
        for (sum, bytes) in stack.iter_mut().zip(&layer.bytes) {
            *sum = sum.saturating_add(*bytes);
        }
        let title = match &layer.margins {
            None => layer.name.clone(),
            Some(margins) => said(&layer.name, timeline, &layer.bytes, margins),
        };
        let above = stack.clone();
        areas.push(Area { name: layer.name, title, colour: layer.colour, below, above });
    }
    // Nothing above zero remains where pages in use were never touched.
    let rest = |(rss, stack): (&Option<u64>, &u64)| rss.unwrap_or_default().max(*stack);
    let above = connected(timeline).iter().zip(&stack).map(rest).collect();
    let name = "rest of resident memory".to_owned();
    let colour = REST_COLOUR.to_owned();
    areas.push(Area { title: name.clone(), name, colour, below: stack, above });
    areas
}

/// An estimate in words, at its highest.
pub(super) fn said(name: &str, timeline: &Timeline, bytes: &[u64], margins: &[u64]) -> String {
    // Of several moments, the first.
    let highest = (0..bytes.len()).rev().max_by_key(|at| bytes[*at]);
    match highest.map(|at| (bytes[at], margins[at], timeline.seconds[at])) {
        None => name.to_owned(),
        Some((bytes, margin, seconds)) => format!(
            "{name}: {} ± {} at its highest, after {seconds:.1} s",
            human(bytes as f64),
            human(margin as f64)
        ),
    }
}
