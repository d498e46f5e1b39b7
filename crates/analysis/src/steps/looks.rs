//! The looks at one process, kept as changes: most lines hold at most looks what they held before.

use std::collections::{BTreeMap, BTreeSet};

use crate::steps::Follows;
use crate::steps::open_files::OpenFiles;

/// So many looks are kept of a process at most.
const MOST: usize = 2_048;

/// What there was of what memory follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// Live SSL objects.
    pub live: i64,
    /// SSL objects ever made.
    pub made: i64,
    /// Open files, among them the sockets; `None` where they cannot be counted.
    pub files: Option<i64>,
    /// Threads; `None` where they cannot be counted.
    pub threads: Option<i64>,
}

/// One reading: the numbers, and what each line held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// The numbers.
    pub numbers: Numbers,
    /// Blocks and bytes in use by the number of the line; a line that is not named holds nothing.
    pub held: Vec<(u32, i64, i64)>,
}

/// The looks at one process. What was seen before its first SSL object is one look, the last.
#[derive(Clone, Debug, Default)]
pub struct Looks {
    kept: Vec<Kept>,
    /// The changes of each line, in order of looks.
    lines: BTreeMap<u32, Vec<Change>>,
    /// What each line held at the last look.
    last: BTreeMap<u32, (i64, i64)>,
    /// The numbers at the look of which connections are counted, if it is not the last.
    marked: Option<Numbers>,
}

#[derive(Clone, Copy, Debug)]
struct Kept {
    numbers: Numbers,
    /// A later look has seen the same.
    is_still: bool,
}

/// From this look on.
#[derive(Clone, Copy, Debug)]
struct Change {
    look: u32,
    blocks: i64,
    bytes: i64,
}

impl Looks {
    /// Takes note of a look. Those of before the first SSL object are forgotten, but for the last.
    pub fn add(&mut self, look: &Look) {
        let changes = self.changes(look);
        if let Some(last) = self.kept.last_mut()
            && changes.is_empty()
            && last.numbers == look.numbers
        {
            last.is_still = true;
            return;
        }
        if let [before] = &mut self.kept[..]
            && look.numbers.made == 0
        {
            *before = Kept { numbers: look.numbers, is_still: false };
            self.lines.clear();
            self.note(0, changes);
            let all: Vec<_> = self.last.iter().map(|(line, held)| (*line, *held)).collect();
            self.note(0, all);
            return;
        }
        let at = self.kept.len() as u32;
        self.kept.push(Kept { numbers: look.numbers, is_still: false });
        self.note(at, changes);
        if self.kept.len() > MOST {
            self.thin_out();
        }
    }

    fn changes(&self, look: &Look) -> Vec<(u32, (i64, i64))> {
        let mut gone = self.last.clone();
        let mut changes = Vec::new();
        for (line, blocks, bytes) in &look.held {
            let held = (*blocks, *bytes);
            if gone.remove(line).unwrap_or_default() != held {
                changes.push((*line, held));
            }
        }
        changes.extend(
            gone.into_iter().filter(|(_, held)| *held != (0, 0)).map(|(line, _)| (line, (0, 0))),
        );
        changes
    }

    fn note(&mut self, look: u32, changes: Vec<(u32, (i64, i64))>) {
        for (line, held) in changes {
            let (blocks, bytes) = held;
            let column = self.lines.entry(line).or_default();
            match column.last_mut() {
                Some(last) if last.look == look => *last = Change { look, blocks, bytes },
                _ => column.push(Change { look, blocks, bytes }),
            }
            self.last.insert(line, held);
        }
    }

    /// Leaves out every second look, of those that were not still if they are many. What had
    /// changed at such a look had changed at the next one that is kept, if it was not changed back.
    fn thin_out(&mut self) {
        let moving = self.kept.iter().filter(|kept| !kept.is_still).count();
        let only_moving = moving > MOST / 2;
        let last = self.kept.len() - 1;
        let mut nth = 0;
        // The number that each look has from now on, or that of the next one that is kept.
        let mut numbers = Vec::with_capacity(self.kept.len());
        let mut kept = Vec::with_capacity(MOST);
        for (at, look) in self.kept.iter().enumerate() {
            numbers.push(kept.len() as u32);
            let may_go = at > 0 && at < last && !(only_moving && look.is_still);
            nth += usize::from(may_go);
            if !may_go || nth % 2 == 0 {
                kept.push(*look);
            }
        }
        self.kept = kept;
        for column in self.lines.values_mut() {
            let mut thinned: Vec<Change> = Vec::with_capacity(column.len());
            for change in column.iter() {
                let change = Change { look: numbers[change.look as usize], ..*change };
                match thinned.last_mut() {
                    Some(last) if last.look == change.look => *last = change,
                    _ => thinned.push(change),
                }
            }
            *column = thinned;
        }
    }

    /// Connections are counted at the last look up to now, whatever is seen after it. The first
    /// mark counts, and the end of the process is one.
    pub fn mark(&mut self) {
        if self.marked.is_none() {
            self.marked = self.kept.last().map(|last| last.numbers);
        }
    }

    /// The process has ended, and has no connections any more.
    pub fn end(&mut self) {
        if self.marked.is_none() {
            self.marked = Some(Numbers::default());
        }
    }

    /// Whether an SSL object was ever seen.
    pub fn has_connections(&self) -> bool {
        self.kept.last().is_some_and(|last| last.numbers.made > 0)
    }

    /// How many are kept.
    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    /// The numbers at a look.
    pub(super) fn numbers(&self, look: usize) -> Numbers {
        self.kept[look].numbers
    }

    /// Whether a later look saw the same as this.
    pub(super) fn is_still(&self, look: usize) -> bool {
        self.kept[look].is_still
    }

    /// Blocks and bytes of a line at every look.
    pub(super) fn column(&self, line: u32) -> Vec<(i64, i64)> {
        let changes = self.lines.get(&line).map(Vec::as_slice).unwrap_or_default();
        let mut next = changes.iter().peekable();
        let mut held = (0, 0);
        (0..self.kept.len() as u32)
            .map(|look| {
                while let Some(change) = next.next_if(|change| change.look <= look) {
                    held = (change.blocks, change.bytes);
                }
                held
            })
            .collect()
    }

    /// By how many bytes a line grew from before the first SSL object to the last look. Where no
    /// look was before it, from nothing.
    pub(super) fn grown_since_the_first_object(&self, line: u32) -> i64 {
        let now = self.last.get(&line).map_or(0, |held| held.1);
        let first = self.lines.get(&line).and_then(|column| column.first());
        let before = first.filter(|change| change.look == 0 && self.starts_before());
        now - before.map_or(0, |change| change.bytes)
    }

    fn starts_before(&self) -> bool {
        self.kept.first().is_some_and(|first| first.numbers.made == 0)
    }

    /// Whether the process stood still before its first SSL object: only then is it known what it
    /// held by that time.
    pub(super) fn stood_still_before(&self) -> bool {
        self.starts_before() && self.kept.first().is_some_and(|first| first.is_still)
    }

    /// By how much each number that memory follows grew from before the first SSL object to the
    /// last look.
    pub(super) fn since_the_first_object(
        &self,
        open_files: Option<OpenFiles>,
    ) -> BTreeMap<Follows, i64> {
        self.kept.last().map_or(BTreeMap::new(), |last| self.grown_to(&last.numbers, open_files))
    }

    /// The same to the look of which connections are counted.
    pub(super) fn at_the_mark(&self, open_files: Option<OpenFiles>) -> BTreeMap<Follows, i64> {
        match &self.marked {
            Some(marked) => self.grown_to(marked, open_files),
            None => self.since_the_first_object(open_files),
        }
    }

    fn grown_to(&self, then: &Numbers, open_files: Option<OpenFiles>) -> BTreeMap<Follows, i64> {
        let first = self.kept.first().filter(|_| self.starts_before());
        let before = first.map(|first| first.numbers).unwrap_or_default();
        let all = [Follows::Open, Follows::Idle, Follows::Threads, Follows::Made];
        let of = |follows: Follows| {
            follows.number(then, open_files) - follows.number(&before, open_files)
        };
        all.into_iter().map(|follows| (follows, of(follows))).collect()
    }
}

impl Follows {
    /// How many there were. Where nothing tells open connections apart, every live object is one.
    pub(super) fn number(self, numbers: &Numbers, open_files: Option<OpenFiles>) -> i64 {
        let open = open_files.map_or(numbers.live, |files| files.connections(numbers));
        match self {
            Follows::Open => open,
            Follows::Idle => numbers.live - open,
            Follows::Threads => numbers.threads.unwrap_or_default(),
            Follows::Made => numbers.made,
        }
    }
}

/// The numbers of all lines.
pub(super) fn lines(processes: &[&Looks]) -> BTreeSet<u32> {
    processes.iter().flat_map(|looks| looks.lines.keys().copied()).collect()
}
