//! Memory over time: what was in use at each look, by top-level category.

use std::collections::BTreeMap;
use std::sync::Arc;

use analysis::category::{LABEL, groups};
use analysis::over_time::Series;
use analysis::timeline::Timeline;
use profile::{Metric, Profile};

use crate::View;

/// Moments that are kept. Where there are more, every second one is left out.
const MOST: usize = 240;

/// What was seen since the server began.
#[derive(Debug)]
pub(crate) struct History {
    moments: Vec<Moment>,
    /// The newest, which is always shown.
    last: Option<Moment>,
    /// One look of so many is kept.
    every: usize,
    looks: usize,
}

#[derive(Clone, Debug)]
struct Moment {
    seconds: f64,
    connections: Option<u64>,
    /// What the profile was that the groups are of.
    profile: Arc<Profile>,
    groups: Arc<Groups>,
}

/// Bytes in use by top-level category.
type Groups = BTreeMap<String, u64>;

impl History {
    /// Nothing seen yet.
    pub(crate) fn new() -> History {
        History { moments: Vec::new(), last: None, every: 1, looks: 0 }
    }

    /// Takes note of what was seen at a look.
    pub(crate) fn add(&mut self, view: &View) {
        if view.sampling.is_some() {
            // How far off each moment is, nobody has reckoned.
            return;
        }
        let unchanged = self.last.as_ref().filter(|it| Arc::ptr_eq(&it.profile, &view.profile));
        self.note(Moment {
            seconds: view.after.as_secs_f64(),
            connections: view.connections.map(|it| it.live),
            profile: Arc::clone(&view.profile),
            groups: match unchanged {
                Some(last) => Arc::clone(&last.groups),
                None => Arc::new(groups_of(&view.profile)),
            },
        });
    }

    fn note(&mut self, moment: Moment) {
        if self.looks.is_multiple_of(self.every) {
            self.moments.push(moment.clone());
        }
        self.looks += 1;
        self.last = Some(moment);
        if self.moments.len() > MOST {
            let mut number = 0;
            self.moments.retain(|_| {
                number += 1;
                number % 2 == 1
            });
            self.every *= 2;
        }
    }

    /// The moments that were kept, and the newest one; `None` where there are fewer than two.
    pub(crate) fn timeline(&self) -> Option<Timeline> {
        let mut moments: Vec<&Moment> = self.moments.iter().collect();
        let newest = moments.last().map(|it| it.seconds);
        moments.extend(self.last.iter().filter(|last| newest.is_some_and(|it| it < last.seconds)));
        if moments.len() < 2 {
            return None;
        }
        let series = groups().filter_map(|group| {
            let bytes = |it: &&Moment| it.groups.get(group.name).copied().unwrap_or_default();
            let bytes: Vec<u64> = moments.iter().map(bytes).collect();
            let is_there = bytes.iter().any(|bytes| *bytes != 0);
            is_there.then(|| Series { group: group.name.to_owned(), bytes, margins: None })
        });
        Some(Timeline {
            seconds: moments.iter().map(|it| in_thousandths(it.seconds)).collect(),
            connections: moments.iter().map(|it| it.connections).collect(),
            rss: vec![None; moments.len()],
            series: series.collect(),
            openssl_margins: None,
            phases: Vec::new(),
        })
    }
}

/// Looks are no closer to each other.
fn in_thousandths(seconds: f64) -> f64 {
    (seconds * 1_000.0).round() / 1_000.0
}

fn groups_of(profile: &Profile) -> Groups {
    let mut groups = Groups::new();
    let Some(column) = profile.column(Metric::InuseSpace) else { return groups };
    for sample in profile.samples() {
        let bytes = u64::try_from(sample.values[column]).unwrap_or_default();
        let category = sample.label(LABEL).unwrap_or("unknown");
        let group = category.split('.').next().unwrap_or_default();
        match groups.get_mut(group) {
            Some(sum) => *sum = sum.saturating_add(bytes),
            None => drop(groups.insert(group.to_owned(), bytes)),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(seconds: u32) -> Moment {
        let bytes = u64::from(seconds);
        Moment {
            seconds: f64::from(seconds),
            connections: Some(bytes),
            profile: Arc::new(Profile::of_heap()),
            groups: Arc::new([("tls".to_owned(), 10 * bytes), ("x509".to_owned(), 7)].into()),
        }
    }

    #[test]
    fn of_many_moments_some_are_kept_and_the_newest_always() {
        let mut history = History::new();
        history.note(moment(0));
        assert_eq!(history.timeline(), None, "one moment is no line");
        for seconds in 1..2_000 {
            history.note(moment(seconds));
            let timeline = history.timeline().expect("two moments");
            assert!(timeline.seconds.len() <= MOST + 1, "{}", timeline.seconds.len());
            assert!(timeline.seconds.is_sorted_by(|a, b| a < b), "{:?}", timeline.seconds);
            assert_eq!(timeline.seconds.first(), Some(&0.0));
            assert_eq!(timeline.seconds.last(), Some(&f64::from(seconds)));
        }
        let timeline = history.timeline().expect("many moments");
        let [tls, x509] = &timeline.series[..] else { panic!("{timeline:?}") };
        assert_eq!((tls.group.as_str(), x509.group.as_str()), ("tls", "x509"));
        for (at, seconds) in timeline.seconds.iter().enumerate() {
            assert_eq!(tls.bytes[at], 10 * *seconds as u64);
            assert_eq!(timeline.connections.as_ref().map(|it| it[at]), Some(*seconds as u64));
        }
        // Moments lie equally far apart, but for the newest.
        let steps: Vec<f64> = timeline.seconds.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(steps[..steps.len() - 1].iter().all(|step| *step == steps[0]), "{steps:?}");
    }
}
