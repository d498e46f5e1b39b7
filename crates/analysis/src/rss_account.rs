//! All of a process's resident memory, by name: what is in use, what the allocator adds to it, and
//! what is no heap at all.
//!
//! The heap's lines are jemalloc's own figures: they add up to the pages that it believes to be
//! resident. Some of these were never touched, a read buffer of 16 KB that only ever held a short
//! message for example, and the kernel has given no memory for them: that is a line of its own,
//! below zero. What then still differs from the resident memory is not explained, and says so.
//!
//! Where OpenSSL's blocks were sampled, what is calculated with its bytes is estimated, and has a
//! margin. What is not explained has none: of all parts together, the estimates cancel out.

use crate::resident::Resident;

mod openssl_off;

pub use openssl_off::OpenSslOff;

/// What an account is made of, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// Resident memory of the process.
    pub rss: u64,
    /// Bytes that OpenSSL asked for and holds.
    pub openssl_requested: u64,
    /// Bytes that OpenSSL holds, each block rounded up to jemalloc's size class.
    pub openssl_usable: u64,
    /// How far off these two may be; `None` where they are exact.
    pub openssl_off: Option<OpenSslOff>,
    /// jemalloc's `stats.allocated`.
    pub allocated: u64,
    /// jemalloc's `stats.active`.
    pub active: u64,
    /// jemalloc's `stats.resident`.
    pub resident: u64,
    /// The part of jemalloc's bookkeeping that is in `allocated`.
    pub internal: u64,
    /// Freed blocks that threads keep; they are in `allocated`.
    pub cached: u64,
    /// Pages without blocks that have not been given back.
    pub dirty: u64,
    /// Small blocks in the profiler's sample, which are in `active` and not in `allocated`.
    pub sampled_blocks: u64,
    /// The pages that these have to themselves.
    pub sampled_pages: u64,
    /// Address space that jemalloc says it has: mapped and retained.
    pub address_space: u64,
    /// Whose the resident pages are.
    pub owners: Resident,
}

impl Figures {
    /// What Rust holds, in jemalloc's size classes: all that is allocated and not OpenSSL's,
    /// jemalloc's own or free already.
    pub fn rust_in_use(&self) -> i64 {
        signed(self.allocated) + signed(self.sampled_blocks)
            - signed(self.internal)
            - signed(self.cached)
            - signed(self.openssl_usable)
    }

    /// Half the width of the 95 % interval of [`Figures::rust_in_use`]; `None` where that is exact.
    /// All that is not jemalloc's own figure in it is OpenSSL's usable bytes.
    pub fn rust_in_use_margin(&self) -> Option<f64> {
        self.openssl_off.map(|off| off.usable.margin())
    }
}

/// Parts that belong together, for those who want few lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// What OpenSSL holds.
    OpenSsl,
    /// What Rust holds.
    Rust,
    /// What the allocator needs on top.
    Allocator,
    /// What is in these and was never touched: below zero, for there is no memory behind it.
    NeverTouched,
    /// Code and data from files.
    Program,
    /// Stacks.
    Stacks,
    /// The price of measuring.
    Recorder,
    /// Everything else that is known.
    Other,
}

impl Group {
    /// All groups, in the order in which they are shown.
    pub const ALL: [Group; 8] = [
        Group::OpenSsl,
        Group::Rust,
        Group::Allocator,
        Group::NeverTouched,
        Group::Program,
        Group::Stacks,
        Group::Recorder,
        Group::Other,
    ];

    /// A stable name for programs.
    pub fn name(self) -> &'static str {
        match self {
            Group::OpenSsl => "openssl",
            Group::Rust => "rust",
            Group::Allocator => "allocator",
            Group::NeverTouched => "never_touched",
            Group::Program => "program",
            Group::Stacks => "stacks",
            Group::Recorder => "recorder",
            Group::Other => "other",
        }
    }

    /// A few words for people.
    pub fn label(self) -> &'static str {
        match self {
            Group::OpenSsl => "OpenSSL in use",
            Group::Rust => "Rust in use",
            Group::Allocator => "the allocator's overhead",
            Group::NeverTouched => "of these never touched",
            Group::Program => "program and libraries",
            Group::Stacks => "thread stacks",
            Group::Recorder => "the recorder's own pages",
            Group::Other => "the C library's heap, other",
        }
    }
}

/// One named part of resident memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Part {
    /// What it belongs to.
    pub group: Group,
    /// A stable name for programs.
    pub name: &'static str,
    /// A few words for people.
    pub label: &'static str,
    /// How much; below zero for what is in other parts and not resident.
    pub bytes: i64,
    /// Half the width of the 95 % interval of `bytes`; `None` where that is exact.
    pub margin: Option<f64>,
}

/// Resident memory by parts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Account {
    /// Resident memory.
    pub rss: u64,
    /// In a fixed order; what is zero is there too.
    pub parts: Vec<Part>,
}

impl Account {
    /// What no part explains: below zero when the parts are more than there is.
    pub fn not_explained(&self) -> i64 {
        signed(self.rss) - self.parts.iter().map(|part| part.bytes).sum::<i64>()
    }

    /// The share of resident memory that the parts explain, at most 1.
    pub fn explained(&self) -> f64 {
        if self.rss == 0 {
            return 0.0;
        }
        1.0 - self.not_explained().unsigned_abs() as f64 / self.rss as f64
    }

    /// The bytes of all parts of a group.
    pub fn of_group(&self, group: Group) -> i64 {
        self.parts.iter().filter(|part| part.group == group).map(|part| part.bytes).sum()
    }

    /// The bytes of the part of that name.
    pub fn part(&self, name: &str) -> Option<i64> {
        self.parts.iter().find(|part| part.name == name).map(|part| part.bytes)
    }
}

/// The account of one moment.
pub fn account(figures: &Figures) -> Account {
    let Figures { owners, openssl_off: off, .. } = figures;
    let (active, resident) = (signed(figures.active), signed(figures.resident));
    let (dirty, internal) = (signed(figures.dirty), signed(figures.internal));
    let (sampled_pages, sampled) = (signed(figures.sampled_pages), signed(figures.sampled_blocks));
    let openssl = signed(figures.openssl_requested);
    let part = |group: Group, name, label, bytes| Part { group, name, label, bytes, margin: None };
    let whole = |group: Group, name, bytes| part(group, name, group.label(), bytes);
    let heap = |name, label, bytes| part(Group::Allocator, name, label, bytes);
    let parts = vec![
        Part {
            margin: off.map(|off| off.requested.margin()),
            ..whole(Group::OpenSsl, "openssl_in_use", openssl)
        },
        Part {
            margin: figures.rust_in_use_margin(),
            ..whole(Group::Rust, "rust_in_use", figures.rust_in_use())
        },
        Part {
            margin: off.map(|off| off.rounding.margin()),
            ..heap(
                "size_classes",
                "OpenSSL's blocks rounded up to size classes",
                signed(figures.openssl_usable) - openssl,
            )
        },
        heap(
            "sampled_pages",
            "pages that sampled blocks have to themselves",
            sampled_pages - sampled,
        ),
        heap("thread_caches", "freed blocks that threads keep", signed(figures.cached)),
        heap(
            "half_used_pages",
            "free room in pages with blocks",
            active - signed(figures.allocated) - sampled_pages,
        ),
        heap("dirty_pages", "free pages not yet given back", dirty),
        heap("metadata", "jemalloc's bookkeeping", resident - active - dirty + internal),
        part(
            Group::NeverTouched,
            "never_touched",
            "pages of all these never touched",
            -never_touched(figures),
        ),
        whole(Group::Program, "files", signed(owners.files)),
        whole(Group::Stacks, "stacks", signed(owners.stacks)),
        whole(Group::Recorder, "recorder", signed(owners.ledger + owners.tables)),
        whole(Group::Other, "other", signed(owners.other)),
    ];
    Account { rss: figures.rss, parts }
}

/// Pages that jemalloc counts as resident and the kernel does not. Known only where the areas
/// taken for jemalloc's are as large as it says: pages in areas beyond that may be anybody's.
fn never_touched(figures: &Figures) -> i64 {
    let foreign = figures.owners.allocator_address_space.saturating_sub(figures.address_space);
    let surely_its_own = figures.owners.allocator.saturating_sub(foreign);
    (signed(figures.resident) - signed(surely_its_own)).max(0)
}

/// Bytes of a process fit.
fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use profile::Uncertainty;

    use super::*;

    /// A server in pages of 1,000 bytes: 500 of OpenSSL's 600 usable bytes asked for, Rust holds
    /// 250.
    fn figures() -> Figures {
        Figures {
            rss: 7_100,
            openssl_requested: 500,
            openssl_usable: 600,
            openssl_off: None,
            // OpenSSL 600, Rust 250, its own 40, cached 30, less the sampled ones.
            allocated: 870,
            sampled_blocks: 50,
            sampled_pages: 1_000,
            internal: 40,
            cached: 30,
            active: 3_000,
            dirty: 1_000,
            resident: 4_700,
            address_space: 9_000,
            owners: Resident {
                files: 2_000,
                stacks: 300,
                ledger: 200,
                tables: 400,
                allocator: 4_000,
                other: 100,
                allocator_address_space: 9_000,
            },
        }
    }

    #[test]
    fn the_parts_add_up_to_all_there_is() {
        let account = account(&figures());
        let bytes: Vec<_> = account.parts.iter().map(|part| (part.name, part.bytes)).collect();
        assert_eq!(
            bytes,
            [
                ("openssl_in_use", 500),
                ("rust_in_use", 250),
                ("size_classes", 100),
                ("sampled_pages", 950),
                ("thread_caches", 30),
                ("half_used_pages", 1_130),
                ("dirty_pages", 1_000),
                ("metadata", 740),
                ("never_touched", -700),
                ("files", 2_000),
                ("stacks", 300),
                ("recorder", 600),
                ("other", 100),
            ]
        );
        // One page came after the areas were read.
        assert_eq!(account.not_explained(), 100);
        assert!((account.explained() - 7_000.0 / 7_100.0).abs() < 1e-9);
        let groups = Group::ALL.map(|group| account.of_group(group));
        assert_eq!(groups, [500, 250, 3_950, -700, 2_000, 300, 600, 100]);
        assert_eq!(account.part("stacks"), Some(300));
        assert_eq!(account.part("heap"), None);
        assert!(account.parts.iter().all(|part| part.margin.is_none()), "all is exact");
    }

    #[test]
    fn buffers_that_were_never_touched_do_not_make_the_overhead_less_than_nothing() {
        let mut untouched = figures();
        // Rust holds 8,000 bytes more, of which the kernel has never given any.
        untouched.allocated += 8_000;
        untouched.active += 8_000;
        untouched.resident += 8_000;
        let account = account(&untouched);
        let overhead = super::account(&figures()).of_group(Group::Allocator);
        assert_eq!(account.of_group(Group::Allocator), overhead);
        assert_eq!(account.of_group(Group::NeverTouched), -8_700);
        assert_eq!(account.of_group(Group::Rust), 8_250);
        assert_eq!(account.not_explained(), 100);
    }

    #[test]
    fn only_what_is_made_of_estimates_has_a_margin() {
        let off = |variance| Uncertainty { variance, one_more: 0.0 };
        let openssl_off =
            OpenSslOff { requested: off(100.0), usable: off(400.0), rounding: off(25.0) };
        let account = account(&Figures { openssl_off: Some(openssl_off), ..figures() });
        let margins: Vec<_> = account
            .parts
            .iter()
            .filter_map(|part| Some((part.name, (part.margin? * 10.0).round())))
            .collect();
        assert_eq!(
            margins,
            [("openssl_in_use", 196.0), ("rust_in_use", 392.0), ("size_classes", 98.0)]
        );
        // One byte more of OpenSSL's is one less of Rust's or of the rounding.
        let mut other = figures();
        other.openssl_requested += 7;
        other.openssl_usable += 16;
        assert_eq!(super::account(&other).not_explained(), account.not_explained());
    }

    #[test]
    fn pages_in_areas_that_may_be_foreign_are_not_explained() {
        let mut mixed = figures();
        // Somebody else has 500 bytes of address space among what looks like jemalloc's, all of it
        // resident.
        mixed.owners.allocator_address_space += 500;
        mixed.owners.allocator += 500;
        mixed.rss += 500;
        let account = account(&mixed);
        assert_eq!(account.part("never_touched"), Some(-700));
        assert_eq!(account.not_explained(), 100 + 500);
    }

    #[test]
    fn more_memory_than_jemalloc_knows_of_is_not_explained() {
        let mut figures = figures();
        figures.owners.allocator = 4_800;
        figures.rss += 800;
        let account = account(&figures);
        assert_eq!(account.part("never_touched"), Some(0));
        assert_eq!(account.not_explained(), 100 + 100);
    }

    #[test]
    fn without_resident_memory_nothing_is_explained() {
        assert!(account(&Figures::default()).explained().abs() < 1e-9);
    }
}
