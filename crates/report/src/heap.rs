//! What is not OpenSSL's of all that recorded processes asked malloc and the kernel for, in
//! sentences.

use analysis::notation::{exact, give_or_take, human, one_decimal, rounded};
use capture::json::interval::margin;
use capture::records::counts::CountsRecord;
use capture::records::heap::{HeapRecord, HolderRecord};
use capture::records::recording::{Recording, StepsRecord};

/// Holders that are named.
const HOLDERS: usize = 3;

/// What one connection costs of it, who holds that, and what there is altogether; empty where
/// OpenSSL's memory alone was recorded.
pub fn sentences(recording: &Recording) -> Vec<String> {
    let Some(heap) = &recording.heap else { return Vec::new() };
    let python = heap.python_steps.as_ref().filter(|steps| steps.bytes_interval[1] >= 1.0);
    let has_steps = heap.steps.is_some() || python.is_some();
    let each = match (has_steps, recording.told_steps()) {
        (true, Some(openssl)) => {
            let beside = Beside { python, mapped: Mapped::of(heap.mapped_steps.as_ref()) };
            one_connection(heap.steps.as_ref(), openssl, beside)
        }
        (false, Some(_)) => not_in_steps(heap.grown_bytes_each),
        (_, None) if recording.captured_after_seconds.is_some() && !heap.is_sampled() => {
            "What one connection costs of other memory than OpenSSL's is not known: the \
             number of connections was too seldom seen to change."
                .to_owned()
        }
        (_, None) => String::new(),
    };
    // Where nothing is told of a connection, nobody is said to hold it.
    let told = recording.told_steps().is_some();
    let holders = if told { holders(&heap.holders) } else { String::new() };
    [each, holders, altogether(heap, recording), no_python(heap)]
        .into_iter()
        .filter(|it| !it.is_empty())
        .collect()
}

/// What one connection costs of mappings.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mapped {
    Nothing,
    Bytes(f64),
    /// They are made for several connections at once.
    Between(f64, f64),
}

impl Mapped {
    fn of(steps: Option<&StepsRecord>) -> Mapped {
        let Some(steps) = steps else { return Mapped::Nothing };
        let [low, high] = steps.bytes_interval.map(|bytes| bytes.max(0.0));
        if high < 1.0 {
            Mapped::Nothing
        } else if steps.certain {
            Mapped::Bytes(steps.bytes.max(0.0))
        } else {
            Mapped::Between(low, high)
        }
    }

    fn bytes(self) -> f64 {
        match self {
            Mapped::Bytes(bytes) => bytes,
            Mapped::Nothing | Mapped::Between(..) => 0.0,
        }
    }
}

impl std::fmt::Display for Mapped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Mapped::Nothing => Ok(()),
            Mapped::Bytes(bytes) => {
                write!(f, "; {} it maps from the kernel itself", rounded(bytes))
            }
            Mapped::Between(low, high) if low < 1.0 => write!(
                f,
                "; beside that, up to {} in what is mapped for many connections at once",
                rounded(high)
            ),
            Mapped::Between(low, high) => write!(
                f,
                "; beside that, between {} and {} are mapped from the kernel",
                rounded(low),
                rounded(high)
            ),
        }
    }
}

/// What one connection costs of neither OpenSSL's memory nor the malloc family's.
#[derive(Clone, Copy)]
struct Beside<'a> {
    /// Of Python's objects, where they are counted one by one.
    python: Option<&'a StepsRecord>,
    mapped: Mapped,
}

impl Beside<'_> {
    fn bytes(self) -> f64 {
        self.python.map_or(0.0, |steps| steps.bytes.max(0.0)) + self.mapped.bytes()
    }
}

impl std::fmt::Display for Beside<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(steps) = self.python {
            let (bytes, blocks) = (rounded(steps.bytes.max(0.0)), one_decimal(steps.blocks));
            let [low, high] = steps.bytes_interval.map(|bytes| rounded(bytes.max(0.0)));
            if steps.certain {
                write!(f, "; {bytes} in {blocks} objects of Python's")?;
            } else {
                write!(f, "; between {low} and {high}, most likely {bytes}, in Python's objects")?;
            }
        }
        write!(f, "{}", self.mapped)
    }
}

/// `heap` is the malloc family's part, if any of it is a connection's own.
fn one_connection(heap: Option<&StepsRecord>, openssl: &StepsRecord, beside: Beside<'_>) -> String {
    let own = heap.map_or(0.0, |steps| steps.bytes);
    let all = rounded(openssl.bytes + own + beside.bytes());
    let is_certain = heap.into_iter().chain([openssl]).chain(beside.python).all(|it| it.certain);
    let about = if is_certain { "" } else { "about " };
    let of_malloc = heap.map_or_else(String::new, |steps| {
        let [low, high] = steps.bytes_interval.map(|bytes| rounded(bytes.max(0.0)));
        let (own, blocks) = (rounded(own), one_decimal(steps.blocks));
        if is_certain {
            format!(", and {own} in {blocks} blocks the program's and its libraries'")
        } else {
            format!(
                ", and between {low} and {high}, most likely {own}, the program's and its libraries'"
            )
        }
    });
    format!(
        "Of all that is asked for, one connection costs {about}{all} bytes: {} are \
         OpenSSL's{of_malloc}{beside}.",
        rounded(openssl.bytes)
    )
}

/// The looks at it do not say: no block may be a connection's own, or it never stood still.
fn not_in_steps(grown: Option<f64>) -> String {
    let begin = "What one connection costs of other memory than OpenSSL's could not be told";
    match grown {
        Some(bytes) if bytes >= 1.0 => format!(
            "{begin}; it grew by {} bytes for each since before the first: pools that grow in \
             steps, and what was paid once, among that.",
            rounded(bytes)
        ),
        _ => format!("{begin}."),
    }
}

fn holders(holders: &[HolderRecord]) -> String {
    if holders.is_empty() {
        return String::new();
    }
    let each: Vec<String> = holders.iter().take(HOLDERS).map(holder).collect();
    format!("Those are asked for by {}.", each.join("; "))
}

/// By how much more the processes held of it when the connections of the capture were closed than
/// before the first of them, and who; `None` where either is not known.
pub fn after_close(recording: &Recording) -> Option<String> {
    let closed = recording.closed.as_ref()?;
    let (before, after) = (recording.baseline.as_ref()?.others?, closed.others?);
    let more = after.inuse_bytes().saturating_sub(before.inuse_bytes());
    if more == 0 {
        return Some("All else held no more, either.".to_owned());
    }
    let worth = |it: &&HolderRecord| it.bytes / more as f64 >= WORTH_NAMING;
    let each = closed.holders.iter().filter(worth).take(HOLDERS).map(holder);
    let each: Vec<String> = each.collect();
    let who = if each.is_empty() { String::new() } else { format!(": {}", each.join("; ")) };
    Some(format!("All else held {} more than before them{who}.", human(more as f64)))
}

/// Who has less of what stays is not named.
const WORTH_NAMING: f64 = 0.02;

fn holder(holder: &HolderRecord) -> String {
    let HolderRecord { function, through, bytes, blocks } = holder;
    let who = if through.is_empty() { function.clone() } else { through.join(" › ") };
    let plural = if *blocks == 1.0 { "" } else { "s" };
    format!("{who}: {} in {} block{plural}", rounded(*bytes), one_decimal(*blocks))
}

/// `--python` was in vain.
fn no_python(heap: &HeapRecord) -> String {
    match &heap.python {
        Some(counts) if counts.alloc_blocks == 0 => {
            "No object of Python's was counted: no process began as a Python interpreter of 3.7 or \
             later, or it was told to use another allocator (PYTHONMALLOC, -X dev)."
                .to_owned()
        }
        _ => String::new(),
    }
}

fn altogether(heap: &HeapRecord, recording: &Recording) -> String {
    let at_peak = recording.is_at_peak();
    let when = if at_peak { recording.moment_of_peak() } else { "at the capture" };
    let held = |counts: &CountsRecord| {
        if at_peak {
            (counts.peak_bytes, counts.peak_blocks)
        } else {
            (counts.inuse_bytes, counts.inuse_blocks)
        }
    };
    let in_words = |(bytes, blocks): (u64, u64), name: &str, of: &str| {
        let plural = if blocks == 1 { "" } else { "s" };
        format!("{} in {} {name}{plural}{of}", human(bytes as f64), whole(blocks as f64))
    };
    let mallocs = match heap.counts.interval95 {
        None => in_words(held(&heap.counts), "block", " of malloc's"),
        Some(ends) => {
            let (bytes, blocks) = held(&heap.counts);
            let (of_bytes, of_blocks) = if at_peak {
                (ends.peak_bytes, ends.peak_blocks)
            } else {
                (ends.inuse_bytes, ends.inuse_blocks)
            };
            let [bytes, blocks] = [(bytes, of_bytes), (blocks, of_blocks)]
                .map(|(figure, ends)| (figure as f64, margin(figure as f64, ends)));
            format!(
                "an estimated {} in {} blocks of malloc's",
                give_or_take(bytes.0, bytes.1, human),
                give_or_take(blocks.0, blocks.1, whole)
            )
        }
    };
    let python = match heap.python.as_ref().map(held) {
        None | Some((0, _)) => String::new(),
        Some(python) => format!(", {}", in_words(python, "object", " of Python's")),
    };
    let mapped = match held(&heap.mappings) {
        (0, _) => String::new(),
        mappings => format!(", and {}", in_words(mappings, "mapping", "")),
    };
    let earlier = match heap.earlier_blocks {
        0 => String::new(),
        blocks => format!(
            "; {} blocks of before the recording were freed or moved, and are in no figure",
            exact(i64::try_from(blocks).unwrap_or(i64::MAX))
        ),
    };
    let nothing = held(&heap.counts).1 == 0 && held(&heap.mappings).1 == 0;
    if nothing && heap.peak_is_openssls && earlier.is_empty() {
        // That moment says nothing of what the program holds at others.
        return String::new();
    }
    format!("Beside OpenSSL's, {mallocs}{python}{mapped} were in use {when}{earlier}.")
}

fn whole(number: f64) -> String {
    exact(number.round() as i64)
}

#[cfg(test)]
mod tests {
    use capture::records::recording::LooksUsed;

    use super::*;

    fn steps(bytes: f64, blocks: f64, certain: bool) -> StepsRecord {
        StepsRecord {
            from: LooksUsed::StillMoments,
            looks: 9,
            changes: 6,
            certain,
            mixed: false,
            sure_share: 1.0,
            bytes,
            blocks,
            bytes_interval: [bytes - 10.0, bytes + 20.0],
            paid_once_bytes: None,
            idle_objects: 0,
            idle: None,
            thread: None,
            left: None,
        }
    }

    #[test]
    fn both_parts_add_up_and_what_is_uncertain_has_its_interval() {
        let openssl = steps(18_156.0, 46.0, true);
        let nothing = Beside { python: None, mapped: Mapped::Nothing };
        let mapped = Beside { mapped: Mapped::Bytes(8_192.0), ..nothing };
        assert_eq!(
            one_connection(Some(&steps(264_721.0, 4.0, true)), &openssl, nothing),
            "Of all that is asked for, one connection costs 282,877 bytes: 18,156 are OpenSSL's, \
             and 264,721 in 4.0 blocks the program's and its libraries'."
        );
        assert_eq!(
            one_connection(Some(&steps(1_024.0, 3.0, false)), &openssl, mapped),
            "Of all that is asked for, one connection costs about 27,372 bytes: 18,156 are \
             OpenSSL's, and between 1,014 and 1,044, most likely 1,024, the program's and its \
             libraries'; 8,192 it maps from the kernel itself."
        );
    }

    #[test]
    fn pythons_objects_are_a_part_of_their_own() {
        let (heap, openssl) = (steps(2_048.0, 3.0, true), steps(10_000.0, 46.0, true));
        let (exact, about) = (steps(4_000.0, 80.0, true), steps(4_000.0, 80.5, false));
        let told = |heap, python| {
            one_connection(heap, &openssl, Beside { python, mapped: Mapped::Nothing })
        };
        assert_eq!(
            told(Some(&heap), Some(&exact)),
            "Of all that is asked for, one connection costs 16,048 bytes: 10,000 are OpenSSL's, \
             and 2,048 in 3.0 blocks the program's and its libraries'; 4,000 in 80.0 objects of \
             Python's."
        );
        let said = told(Some(&heap), Some(&about));
        assert!(said.contains("costs about 16,048 bytes"), "{said}");
        assert!(said.contains("; between 3,990 and 4,020, most likely 4,000, in"), "{said}");
        assert_eq!(
            told(None, Some(&exact)),
            "Of all that is asked for, one connection costs 14,000 bytes: 10,000 are OpenSSL's; \
             4,000 in 80.0 objects of Python's."
        );
    }

    #[test]
    fn what_is_mapped_for_many_at_once_is_no_ones_own() {
        let of = |bytes_interval, certain| {
            Mapped::of(Some(&StepsRecord { bytes_interval, ..steps(8_192.0, 1.0, certain) }))
        };
        assert_eq!(Mapped::of(None), Mapped::Nothing);
        assert_eq!(of([0.0, 0.5], false), Mapped::Nothing);
        assert_eq!(of([8_192.0, 8_192.0], true), Mapped::Bytes(8_192.0));
        let arenas = of([-3.0, 8_750.0], false);
        assert_eq!(
            arenas.to_string(),
            "; beside that, up to 8,750 in what is mapped for many connections at once"
        );
        assert_eq!(arenas.bytes(), 0.0, "it is in no sum");
        assert_eq!(
            of([70_000.0, 80_000.0], false).to_string(),
            "; beside that, between 70,000 and 80,000 are mapped from the kernel"
        );
    }

    #[test]
    fn who_holds_it_is_named_by_what_leads_there() {
        let holder = |through: &[&str], bytes, blocks| HolderRecord {
            function: "python3.11+0x4fb51b".to_owned(),
            through: through.iter().map(|it| (*it).to_owned()).collect(),
            bytes,
            blocks,
        };
        let all = [
            holder(&["_asyncio.so", "PyByteArray_Resize"], 262_145.0, 1.0),
            holder(&[], 96.0, 2.0),
        ];
        assert_eq!(
            holders(&all),
            "Those are asked for by _asyncio.so › PyByteArray_Resize: 262,145 in 1.0 block; \
             python3.11+0x4fb51b: 96 in 2.0 blocks."
        );
        assert_eq!(holders(&[]), "");
    }

    #[test]
    fn what_does_not_come_in_whole_blocks_is_no_connections_own() {
        let begin = "What one connection costs of other memory than OpenSSL's could not be told";
        assert_eq!(not_in_steps(None), format!("{begin}."));
        assert_eq!(not_in_steps(Some(-3.0)), format!("{begin}."));
        assert!(not_in_steps(Some(240.4)).starts_with(&format!("{begin}; it grew by 240 bytes")));
    }
}
