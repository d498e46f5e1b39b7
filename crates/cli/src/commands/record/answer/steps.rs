//! What one connection costs by the steps between looks, in words.

use analysis::notation::{human, one_decimal, rounded};
use analysis::steps::FEW_CHANGES;
use capture::records::recording::{EachRecord, LooksUsed, Recording, StepsRecord};

/// Bytes that are not worth a word.
const NOTHING: f64 = 0.5;

/// The figure, how it was found, and what was told apart from it.
pub(super) fn headline(recording: &Recording, steps: &StepsRecord) -> Vec<String> {
    let mut lines = vec![String::new(), figure(steps)];
    lines.push(format!("({}: {})", found_by(recording, steps), apart(steps).join("; ")));
    if !steps.certain {
        lines.push(why_uncertain(steps).to_owned());
    }
    lines.push(String::new());
    lines
}

fn figure(steps: &StepsRecord) -> String {
    let StepsRecord { bytes, blocks, bytes_interval: [low, high], .. } = *steps;
    if steps.certain {
        return format!(
            "One connection (SSL object) costs {} bytes of OpenSSL memory in {} blocks.",
            rounded(bytes),
            one_decimal(blocks),
        );
    }
    if high - low < 1.0 {
        return format!(
            "One connection (SSL object) costs about {} bytes of OpenSSL memory in {} blocks.",
            rounded(bytes),
            one_decimal(blocks),
        );
    }
    format!(
        "One connection (SSL object) costs between {} and {} bytes of OpenSSL memory, most likely \
         {}.",
        rounded(low.max(0.0)),
        rounded(high),
        rounded(bytes),
    )
}

fn found_by(recording: &Recording, steps: &StepsRecord) -> String {
    let looks = match steps.from {
        LooksUsed::StillMoments => "moments at which nothing moved",
        LooksUsed::AllLooks => "looks, with connections in mid-handshake among them",
    };
    let changes = match steps.changes {
        1 => "1 change".to_owned(),
        changes => format!("{changes} changes"),
    };
    let open = match recording.connections {
        Some(open) => format!("; {open} open at the capture"),
        None => String::new(),
    };
    format!("from {changes} of the number of connections over {} {looks}{open}", steps.looks)
}

/// What is no open connection's.
fn apart(steps: &StepsRecord) -> Vec<String> {
    let mut apart = Vec::new();
    if let Some(once) = steps.paid_once_bytes {
        apart.push(format!("{} were paid once", human(once.max(0.0))));
    }
    let each = |each: &EachRecord| {
        format!("{} bytes in {} blocks", rounded(each.bytes), one_decimal(each.blocks))
    };
    if let Some(idle) = &steps.idle {
        apart.push(format!(
            "{} SSL objects are closed and not freed, each with {}",
            steps.idle_objects,
            each(idle)
        ));
    }
    if let Some(thread) = steps.thread.as_ref().filter(|thread| thread.bytes > NOTHING) {
        apart.push(format!("each thread holds {}", each(thread)));
    }
    apart.push(match &steps.left {
        Some(left) if left.bytes > NOTHING => {
            format!("each connection ever made leaves {} behind", each(left))
        }
        Some(_) => "nothing stays of a connection that is gone".to_owned(),
        None => {
            "what stays of a connection that is gone is not known: none was seen to go".to_owned()
        }
    });
    apart
}

fn why_uncertain(steps: &StepsRecord) -> &'static str {
    if steps.mixed {
        return "SSL objects have outlived their connections, and were not told apart from them: \
                the figure is of an object, and of those there are more than connections.";
    }
    match steps.from {
        LooksUsed::StillMoments if steps.changes < FEW_CHANGES => {
            "More connections that come and go would make it certain: `--load HOST:PORT` makes \
             them."
        }
        LooksUsed::StillMoments => {
            "It is no whole number of blocks: there may be several kinds of connections, or \
             objects that are no connections."
        }
        LooksUsed::AllLooks => {
            "Let some connections come and go and the program rest for a moment in between, and \
             the figure is exact: `--load HOST:PORT` does all of that."
        }
    }
}
