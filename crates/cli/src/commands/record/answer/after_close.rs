//! What is there when the connections are closed, in words.

use analysis::category::OPENSSL_DOMAIN;
use analysis::group::{By, Row, group};
use analysis::notation::human;
use analysis::per_connection::growth;
use capture::Capture;
use capture::records::recording::Recording;
use report::{account, heap};

/// Sites named of OpenSSL's.
const SITES: usize = 3;

/// What is held when the connections are closed that was not before they came, and by whom; then
/// what is resident.
pub(super) fn sentences(capture: &Capture, recording: &Recording) -> Vec<String> {
    let (Some(closed), Some(before)) = (&recording.closed, &recording.baseline) else {
        return Vec::new();
    };
    let more = closed.openssl.inuse_bytes.saturating_sub(before.openssl.inuse_bytes);
    let mut line = match more {
        0 => "When they were closed OpenSSL held no more than before them".to_owned(),
        more => format!(
            "When they were closed OpenSSL held {} more than before them",
            human(more as f64)
        ),
    };
    if closed.ssl_objects > 0 {
        line += &format!(", and {} SSL objects were not freed", closed.ssl_objects);
    }
    let mut lines = vec![line + "."];
    if more > 0 {
        lines.extend(sites(capture));
    }
    lines.extend(heap::after_close(recording));
    lines.extend(account::after_close(recording));
    lines
}

/// The sites of OpenSSL's that hold most of what stays.
fn sites(capture: &Capture) -> Vec<String> {
    // What was made just now lies in memory.
    let Ok(Some([before, after])) = capture.around_connections() else { return Vec::new() };
    let rows = growth(&group(&after, By::Site), &group(&before, By::Site));
    let bytes = |row: &Row| row.counts.inuse_bytes.unwrap_or_default();
    let stays = rows.iter().filter(|row| row.key.domain == OPENSSL_DOMAIN && bytes(row) > 0);
    stays
        .take(SITES)
        .map(|row| {
            let (bytes, story) = (human(bytes(row) as f64), row.telling().join(" › "));
            format!("  {bytes}: {story} ({}:{})", row.key.file, row.key.line)
        })
        .collect()
}
