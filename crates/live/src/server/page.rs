//! `/`: the page of `tlsheap report`, of what is held now.

use axum::extract::State;
use axum::http::{HeaderValue, header};
use capture::Capture;
use profile::Profile;
use report::page::live::{Live, page_of};

use crate::server::answer::{Answer, HTML, answer, unreadable};
use crate::server::routes::Shared;
use crate::server::source::Looked;
use crate::{LiveError, words};

/// Seconds between two readings of the page, where nobody is busy with it: drawing it takes longer
/// than everything else here.
const EVERY: u32 = 10;

pub(crate) async fn page(State(shared): State<Shared>) -> Answer {
    match shared.source.make(|looked| document(&looked)).await {
        Ok(Ok(document)) => {
            let mut answer = answer(HTML, document);
            let policy = HeaderValue::from_static(report::html::LIVE_POLICY);
            answer.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
            answer
        }
        Ok(Err(error)) | Err(error) => unreadable(&error),
    }
}

/// Live blocks up to which their table is read for a page: its time grows with them.
const MOST_BLOCKS: u64 = 1_000_000;

fn document(looked: &Looked<'_>) -> Result<String, LiveError> {
    let Looked { view, history, follower } = looked;
    let capture = Capture::of_profile(&view.name, Profile::clone(&view.profile));
    let mut said = vec![
        words::connections(view),
        words::rates(view),
        words::resident(view).unwrap_or_default(),
        words::missing(view).unwrap_or_default(),
    ];
    said.retain(|sentence| !sentence.is_empty());
    let blocks: u64 = view.totals.values().map(|counts| counts.inuse_blocks).sum();
    let live = Live {
        at: words::clock(view),
        said,
        every_seconds: EVERY,
        over_time: history.timeline(),
        sizes: (blocks <= MOST_BLOCKS).then(|| follower.block_sizes()).flatten(),
    };
    Ok(page_of(capture, &live)?)
}
