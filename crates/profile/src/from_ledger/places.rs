//! Where in a profile each site of its ledger is: for a later snapshot of the same ledger, in which
//! little is new but the counts.

use ledger::{Counts, Snapshot};

use super::values_of;
use crate::Profile;

/// Of a site that is in no sample.
const NOWHERE: u32 = u32::MAX;

/// The place of each site's sample.
#[derive(Clone, Debug, Default)]
pub struct Places {
    pub(super) of_sites: Vec<u32>,
    pub(super) dropped: Option<u32>,
}

impl Places {
    pub(super) fn note(&mut self, site: usize, sample: usize) {
        self.of_sites.resize(site + 1, NOWHERE);
        self.of_sites[site] = sample as u32;
    }

    /// The places after samples were put in another order: `moved` has the new place of each.
    pub(super) fn moved(mut self, moved: &[u32]) -> Places {
        let places = self.of_sites.iter_mut().chain(&mut self.dropped);
        for place in places.filter(|place| **place != NOWHERE) {
            *place = moved[*place as usize];
        }
        self
    }

    /// `profile`, which these places are of, with the counts of a later snapshot of the same
    /// ledger. Its samples stay in their order. `None` where something is counted at a site that
    /// was not in the profile: then it has to be made anew.
    pub fn renewed(&self, profile: &Profile, snapshot: &Snapshot) -> Option<Profile> {
        let dropped = Some(snapshot.statistics.dropped).filter(|it| *it != Counts::default());
        if dropped.is_some() != self.dropped.is_some() {
            return None;
        }
        let counted = snapshot.sites.iter().enumerate();
        let counted = counted.filter(|(_, site)| site.counts != Counts::default());
        let place = |at: usize| self.of_sites.get(at).copied().filter(|at| *at != NOWHERE);
        let of_sites: Vec<(u32, Counts)> = counted
            .map(|(at, site)| Some((place(at)?, site.counts)))
            .chain(dropped.map(|counts| Some((self.dropped?, counts))))
            .collect::<Option<_>>()?;
        let mut renewed = profile.clone();
        let samples = renewed.samples_mut();
        for sample in samples.iter_mut() {
            sample.values.fill(0);
        }
        for (place, counts) in of_sites {
            let sample = samples.get_mut(place as usize)?;
            for (sum, value) in sample.values.iter_mut().zip(values_of(&counts)) {
                *sum = sum.saturating_add(value);
            }
        }
        Some(renewed)
    }
}

#[cfg(test)]
mod tests {
    use ledger::Site;

    use super::*;
    use crate::{Symbols, from_recording_with_places, pprof};

    fn site(address: u64, blocks: u64) -> Site {
        let counts = Counts {
            inuse_blocks: blocks,
            inuse_bytes: 10 * blocks,
            alloc_blocks: blocks + 1,
            ..Counts::default()
        };
        Site { stack: vec![address, 77], counts, ..Site::default() }
    }

    #[test]
    fn later_counts_are_found_at_their_places_and_new_sites_are_not() {
        let mut symbols = Symbols::new();
        let empty = Site { stack: vec![5, 77], ..Site::default() };
        // The first and the last have one stack, and so one sample.
        let sites = vec![site(6, 1), empty.clone(), site(7, 9), site(6, 2)];
        let mut snapshot = Snapshot { sites, ..Snapshot::default() };
        snapshot.statistics.dropped.alloc_bytes = 3;
        let (profile, places) = from_recording_with_places(&snapshot, &mut symbols, &[]);
        let same = places.renewed(&profile, &snapshot).expect("nothing is new");
        assert_eq!(pprof::write(&same), pprof::write(&profile));

        // In the order that they still have afterwards.
        snapshot.sites = vec![site(6, 4), empty, site(7, 99), Site::default(), Site::default()];
        snapshot.statistics.dropped.alloc_bytes = 4;
        let renewed = places.renewed(&profile, &snapshot).expect("no site has come");
        let (anew, _) = from_recording_with_places(&snapshot, &mut symbols, &[]);
        assert_eq!(pprof::write(&renewed), pprof::write(&anew));

        snapshot.sites[4] = site(8, 1);
        assert!(places.renewed(&profile, &snapshot).is_none());
        snapshot.sites[4] = Site::default();
        snapshot.sites[1] = site(5, 1);
        assert!(places.renewed(&profile, &snapshot).is_none());
    }
}
