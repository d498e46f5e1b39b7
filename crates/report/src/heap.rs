//! What is not OpenSSL's of all that recorded processes asked malloc for, in sentences.

use analysis::notation::{exact, human, one_decimal, rounded};
use capture::records::heap::{HeapRecord, HolderRecord};
use capture::records::recording::{Recording, StepsRecord};

/// Holders that are named.
const HOLDERS: usize = 3;

/// What one connection costs of it, who holds that, and what there is altogether; empty where
/// OpenSSL's memory alone was recorded.
pub fn sentences(recording: &Recording) -> Vec<String> {
    let Some(heap) = &recording.heap else { return Vec::new() };
    let told = heap.steps.as_ref().zip(recording.told_steps());
    let each = match (told, recording.told_steps()) {
        (Some((steps, openssl)), _) => one_connection(steps, openssl),
        (None, Some(_)) => not_in_steps(heap.grown_bytes_each),
        (None, None) if recording.captured_after_seconds.is_some() => {
            "What one connection costs of malloc's memory beside OpenSSL's is not known: the \
             number of connections was too seldom seen to change."
                .to_owned()
        }
        (None, None) => String::new(),
    };
    let holders = holders(&heap.holders);
    [each, holders, altogether(heap, recording)].into_iter().filter(|it| !it.is_empty()).collect()
}

fn one_connection(heap: &StepsRecord, openssl: &StepsRecord) -> String {
    let (bytes, own) = (rounded(openssl.bytes), heap.bytes);
    let blocks = one_decimal(heap.blocks);
    if heap.certain && openssl.certain {
        return format!(
            "Of all that it asks malloc for, one connection costs {} bytes: {bytes} are OpenSSL's, \
             and {} in {blocks} blocks the program's and its libraries'.",
            rounded(openssl.bytes + own),
            rounded(own),
        );
    }
    let [low, high] = heap.bytes_interval;
    format!(
        "Of all that it asks malloc for, one connection costs about {} bytes: {bytes} are \
         OpenSSL's, and between {} and {}, most likely {}, the program's and its libraries'.",
        rounded(openssl.bytes + own),
        rounded(low.max(0.0)),
        rounded(high),
        rounded(own),
    )
}

/// The looks at it do not say: no block may be a connection's own, or it never stood still.
fn not_in_steps(grown: Option<f64>) -> String {
    let begin = "What one connection costs of malloc's memory beside OpenSSL's could not be told";
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

fn holder(holder: &HolderRecord) -> String {
    let HolderRecord { function, through, bytes, blocks } = holder;
    let who = if through.is_empty() { function.clone() } else { through.join(" › ") };
    let plural = if *blocks == 1.0 { "" } else { "s" };
    format!("{who}: {} in {} block{plural}", rounded(*bytes), one_decimal(*blocks))
}

fn altogether(heap: &HeapRecord, recording: &Recording) -> String {
    let counts = &heap.counts;
    let (bytes, blocks, when) = if recording.is_at_peak() {
        (counts.peak_bytes, counts.peak_blocks, "at the highest total")
    } else {
        (counts.inuse_bytes, counts.inuse_blocks, "at the capture")
    };
    let earlier = match heap.earlier_blocks {
        0 => String::new(),
        blocks => format!(
            "; {} blocks of before the recording were freed or moved, and are in no figure",
            exact(i64::try_from(blocks).unwrap_or(i64::MAX))
        ),
    };
    format!(
        "Beside OpenSSL's, {} in {} blocks of malloc's were in use {when}{earlier}.",
        human(bytes as f64),
        exact(i64::try_from(blocks).unwrap_or(i64::MAX)),
    )
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
        assert_eq!(
            one_connection(&steps(264_721.0, 4.0, true), &openssl),
            "Of all that it asks malloc for, one connection costs 282,877 bytes: 18,156 are \
             OpenSSL's, and 264,721 in 4.0 blocks the program's and its libraries'."
        );
        assert_eq!(
            one_connection(&steps(1_024.0, 2.0, false), &openssl),
            "Of all that it asks malloc for, one connection costs about 19,180 bytes: 18,156 are \
             OpenSSL's, and between 1,014 and 1,044, most likely 1,024, the program's and its \
             libraries'."
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
        let begin =
            "What one connection costs of malloc's memory beside OpenSSL's could not be told";
        assert_eq!(not_in_steps(None), format!("{begin}."));
        assert_eq!(not_in_steps(Some(-3.0)), format!("{begin}."));
        assert!(not_in_steps(Some(240.4)).starts_with(&format!("{begin}; it grew by 240 bytes")));
    }
}
