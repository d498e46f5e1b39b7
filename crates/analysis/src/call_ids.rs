//! Calls as numbers: a server has thousands of stacks, of which most calls are the same, and to
//! compare and to add up numbers takes a hundredth of the time that texts take.

use foldhash::fast::RandomState;
use foldhash::{HashMap, HashMapExt};
use indexmap::IndexSet;
use profile::{Frame, LocationId, Profile};

use crate::group::Call;

/// A call of one of the profiles.
pub(crate) type CallId = u32;

/// The calls of one or more profiles, each once.
pub(crate) struct CallIds {
    calls: IndexSet<Call, RandomState>,
    /// How a frame is called.
    call: fn(&Frame<'_>) -> Call,
}

/// The calls of a profile's locations, innermost first: each location is looked at once.
pub(crate) struct OfLocations<'a> {
    profile: &'a Profile,
    known: HashMap<LocationId, Box<[CallId]>>,
}

impl CallIds {
    pub(crate) fn named_by(call: fn(&Frame<'_>) -> Call) -> CallIds {
        CallIds { calls: IndexSet::default(), call }
    }

    /// The call with this number.
    pub(crate) fn call(&self, id: CallId) -> &Call {
        &self.calls[id as usize]
    }

    fn number(&mut self, frame: &Frame<'_>) -> CallId {
        self.calls.insert_full((self.call)(frame)).0 as CallId
    }
}

impl<'a> OfLocations<'a> {
    pub(crate) fn of(profile: &'a Profile) -> OfLocations<'a> {
        OfLocations { profile, known: HashMap::new() }
    }

    /// The calls of one location.
    pub(crate) fn calls(&mut self, id: LocationId, ids: &mut CallIds) -> &[CallId] {
        let profile = self.profile;
        self.known
            .entry(id)
            .or_insert_with(|| profile.frames_of(id).map(|frame| ids.number(&frame)).collect())
    }
}
