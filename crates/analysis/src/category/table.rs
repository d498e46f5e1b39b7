//! The names of categories, from `categories.tsv`.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::MAPPING_DOMAIN;

const TABLE: &str = include_str!("categories.tsv");

/// One purpose of memory, e.g. `tls.record_buffers`.
#[derive(Debug, PartialEq, Eq)]
pub struct Category {
    /// The name: a top-level group, or a group and a word with a dot between.
    pub name: &'static str,
    /// One phrase for readers who do not know OpenSSL's sources.
    pub description: &'static str,
    charged: Charged,
}

/// Who pays for memory of a category.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Charged {
    /// The category itself.
    Owner,
    /// The next caller on the stack that is an owner: stacks and locks say nothing by themselves.
    Caller,
}

impl Category {
    /// The top-level group: the name up to its dot.
    pub fn group(&self) -> &'static str {
        self.name.split_once('.').map_or(self.name, |(group, _)| group)
    }

    /// What it is told with over time: its group, and of mappings the category itself. These are a
    /// runtime's heap and its parts, which move against each other.
    pub fn over_time(&self) -> &'static str {
        if self.group() == MAPPING_DOMAIN { self.name } else { self.group() }
    }

    /// The category is made on behalf of a caller (a container, a lock, a buffer) and is kept
    /// only where no caller on the stack is an owner.
    pub fn is_generic(&self) -> bool {
        self.charged == Charged::Caller
    }
}

/// Every category, groups before what belongs to them, in the order of the table.
pub fn all() -> &'static [Category] {
    &CATEGORIES
}

/// The top-level groups in the order of the table; each is a category too.
pub fn groups() -> impl Iterator<Item = &'static Category> {
    all().iter().filter(|category| !category.name.contains('.'))
}

/// What memory over time may be told with, in the order of the table.
pub fn over_time() -> impl Iterator<Item = &'static Category> {
    all().iter().filter(|category| category.over_time() == category.name)
}

/// The category of that name.
pub fn by_name(name: &str) -> Option<&'static Category> {
    BY_NAME.get(name).copied()
}

/// A category that the code itself speaks of.
pub(super) fn known(name: &str) -> &'static Category {
    by_name(name).expect("a test holds that the table names every category the code names")
}

static CATEGORIES: LazyLock<Vec<Category>> = LazyLock::new(|| {
    rows(TABLE)
        .map(|[name, charged, description, _]| Category {
            name,
            description,
            charged: if charged == "generic" { Charged::Caller } else { Charged::Owner },
        })
        .collect()
});

static BY_NAME: LazyLock<HashMap<&'static str, &'static Category>> =
    LazyLock::new(|| all().iter().map(|category| (category.name, category)).collect());

/// The rows of a table, columns that are not there empty.
pub(super) fn rows(table: &'static str) -> impl Iterator<Item = [&'static str; 4]> {
    table.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let mut columns = line.split('\t');
        [(); 4].map(|()| columns.next().unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_category_has_a_name_a_description_and_a_listed_group() {
        let groups: HashSet<_> = groups().map(|group| group.name).collect();
        let mut names = HashSet::new();
        for [name, charged, description, more] in rows(TABLE) {
            assert!(names.insert(name), "{name} is listed twice");
            assert!(matches!(charged, "owner" | "generic"), "{name} is charged to {charged:?}");
            assert!(description.len() > 3, "{name} has no description");
            assert_eq!(more, "", "{name} has a column too many");
            assert!(groups.contains(by_name(name).unwrap().group()), "{name} has no group");
        }
    }
}
