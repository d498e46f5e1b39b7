//! Containers by their ids: runtimes have a control group for each, with the id in its folder's name
//! (`docker-ID.scope`, `cri-containerd-ID.scope`, `libpod-ID.scope`, `ID`).

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};

use super::members::{DEEPEST, PROCESSES};
use crate::RecordingError;

/// The digits of an id.
const WHOLE: usize = 64;

/// As many of them are needed: runtimes print twelve.
const FEWEST: usize = 12;

/// So many groups are looked at. A machine with some hundred containers has some thousand.
const MOST: usize = 100_000;

/// So many containers are named in a sentence.
const NAMED: usize = 3;

/// Whether a word can be a container's id, or its beginning.
pub(super) fn is_id(word: &str) -> bool {
    (FEWEST..=WHOLE).contains(&word.len()) && is_hexadecimal(word)
}

/// The folder of the container's control group below `mounted`, where the hierarchies are.
pub(super) fn folder_of(id: &str, mounted: &Path) -> Result<PathBuf, RecordingError> {
    let mut found = BTreeMap::new();
    let mut groups = VecDeque::from([(mounted.to_owned(), 0)]);
    let mut looked_at = 0;
    while let Some((folder, depth)) = groups.pop_front() {
        looked_at += 1;
        if looked_at > MOST {
            return Err(RecordingError::TooManyGroups { id: id.to_owned(), most: MOST });
        }
        let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if let Some(whole) = id_in(name).filter(|whole| whole.starts_with(id))
            && folder.join(PROCESSES).is_file()
        {
            // Of several hierarchies, it has one in each.
            found.entry(whole.to_owned()).or_insert_with(|| folder.clone());
        }
        if depth < DEEPEST {
            let mut below: Vec<PathBuf> = fs::read_dir(&folder)
                .into_iter()
                .flatten()
                .flatten()
                .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
                .map(|entry| entry.path())
                .collect();
            below.sort();
            groups.extend(below.into_iter().map(|group| (group, depth + 1)));
        }
    }
    let ids: Vec<String> = found.keys().take(NAMED).cloned().collect();
    match found.len() {
        0 => Err(RecordingError::NoContainer(id.to_owned())),
        1 => Ok(found.into_values().next().expect("there is one")),
        several => {
            let more = if several > NAMED { ", …" } else { "" };
            let ids = ids.join(", ") + more;
            Err(RecordingError::SeveralContainers { id: id.to_owned(), several, ids })
        }
    }
}

/// The whole id in the name of a group. Runtimes have groups for those that watch over a container
/// as well (`crio-conmon-ID.scope`), and for checks of its health (`ID.service`).
fn id_in(name: &str) -> Option<&str> {
    let name = name.strip_suffix(".scope").unwrap_or(name);
    let (runtime, id) = name.rsplit_once('-').unwrap_or(("", name));
    let is_container = id.len() == WHOLE && is_hexadecimal(id) && !runtime.ends_with("conmon");
    is_container.then_some(id)
}

fn is_hexadecimal(word: &str) -> bool {
    word.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(digit: char) -> String {
        String::from_iter([digit; WHOLE])
    }

    fn make(folder: &Path) {
        fs::create_dir_all(folder).expect("our own folder");
        fs::write(folder.join(PROCESSES), "").expect("our own folder");
    }

    #[test]
    fn a_group_has_the_id_in_its_name_as_runtimes_write_it() {
        let id = id('a');
        for name in ["ID", "docker-ID.scope", "cri-containerd-ID.scope", "libpod-ID.scope"] {
            assert_eq!(id_in(&name.replace("ID", &id)), Some(&id[..]), "{name}");
        }
        for name in ["crio-conmon-ID.scope", "libpod-conmon-ID.scope", "ID.service", "IDa", "IDg"] {
            assert_eq!(id_in(&name.replace("ID", &id)), None, "{name}");
        }
        assert!(is_id(&id) && is_id(&id[..FEWEST]));
        assert!(!is_id(&id[..FEWEST - 1]) && !is_id("AAAAAAAAAAAA") && !is_id("system.slice"));
    }

    #[test]
    fn an_id_or_its_beginning_is_found_once_or_said_not_to_be() {
        let place = tempfile::tempdir().expect("a folder for temporary files");
        let [first, second] = ["memory", "unified"].map(|name| place.path().join(name));
        let [one, two] = ['a', 'b'].map(id);
        let similar = format!("{}b", &one[1..]);
        let wanted = first.join(format!("system.slice/docker-{one}.scope"));
        make(&wanted);
        make(&wanted.join("init"));
        make(&second.join(format!("docker/{one}")));
        make(&first.join(format!("machine.slice/libpod-conmon-{two}.scope")));
        let other = first.join(format!("machine.slice/libpod-{two}.scope"));
        make(&other);
        let root = place.path();
        assert_eq!(folder_of(&one, root).expect("it is there"), wanted);
        assert_eq!(folder_of(&two[..12], root).expect("it is there"), other);
        make(&first.join(format!("system.slice/docker-{similar}.scope")));
        let said = folder_of(&one[..12], root).expect_err("two begin so").to_string();
        assert!(said.contains("2 containers") && said.contains(&similar), "{said}");
        assert_eq!(folder_of(&one, root).expect("all of it was given"), wanted);
        let said = folder_of(&id('c'), root).expect_err("there is none").to_string();
        assert!(said.contains("--pid"), "{said}");
    }
}
