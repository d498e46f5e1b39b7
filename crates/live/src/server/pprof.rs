//! Go's `/debug/pprof`: what its clients expect of `net/http/pprof`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use analysis::column::Column;
use analysis::domain;
use analysis::group::By;
use analysis::top::Top;
use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use contract::Domain;
use profile::harmless::harmless_lines;
use profile::{Metric, Profile};
use report::table::{self, TableOptions};
use tokio::sync::Semaphore;

use crate::View;
use crate::server::answer::{Answer, TEXT, answer, file, pprof_refusal, unreadable};
use crate::server::bounds::Deadline;
use crate::server::delta::{InUse, delta};
use crate::server::query::parameter;
use crate::server::routes::Shared;
use crate::server::source::Looked;

/// Waiting for a change at once: each keeps a connection and a view.
const WAITING: usize = 8;

/// The longest change that can be waited for, in seconds.
const MOST_SECONDS: u64 = 3_600;

/// What is kept between requests.
#[derive(Debug)]
pub(crate) struct Pprof {
    waiting: Semaphore,
    /// What `delta_heap` was asked for last.
    last: Mutex<Option<Arc<View>>>,
}

impl Default for Pprof {
    fn default() -> Pprof {
        Pprof { waiting: Semaphore::new(WAITING), last: Mutex::new(None) }
    }
}

/// Which of the two: they differ in what is shown first.
#[derive(Clone, Copy, Debug)]
struct Kind {
    name: &'static str,
    name_of_delta: &'static str,
    column: Column,
}

const HEAP: Kind = Kind { name: "heap", name_of_delta: "heap-delta", column: Column::InUse };
const ALLOCS: Kind =
    Kind { name: "allocs", name_of_delta: "allocs-delta", column: Column::Allocated };

/// What is asked for.
struct Asked {
    seconds: Option<Duration>,
    is_text: bool,
    domain: Option<Domain>,
}

impl Asked {
    /// As Go reads it: `gc` is for its collector, and means nothing here.
    /// What is wrong is said in a sentence.
    fn of(query: Option<&str>) -> Result<Asked, String> {
        let seconds = match parameter(query, "seconds").filter(|text| !text.is_empty()) {
            None => None,
            Some(text) => match text.parse::<u64>() {
                Ok(seconds @ 1..=MOST_SECONDS) => Some(Duration::from_secs(seconds)),
                Ok(1..) => return Err(format!("seconds: at most {MOST_SECONDS}")),
                _ => {
                    return Err("invalid value for seconds - must be a positive integer".to_owned());
                }
            },
        };
        let is_text = match parameter(query, "debug").filter(|text| !text.is_empty()) {
            None => false,
            // Go takes what is no number for 0.
            Some(text) => text.parse::<i64>().unwrap_or_default() != 0,
        };
        if seconds.is_some() && is_text {
            return Err("seconds and debug params are incompatible".to_owned());
        }
        let domain = match parameter(query, "domain").filter(|text| !text.is_empty()) {
            None => None,
            Some(word) => Some(Domain::from_word(word).ok_or_else(|| {
                let all = Domain::ALL.map(Domain::word).join(", ");
                format!("domain: one of {all}, or leave it out for all")
            })?),
        };
        Ok(Asked { seconds, is_text, domain })
    }
}

fn bad(sentence: impl AsRef<str>) -> Answer {
    pprof_refusal(StatusCode::BAD_REQUEST, sentence.as_ref())
}

pub(crate) async fn heap(
    State(shared): State<Shared>,
    Extension(deadline): Extension<Deadline>,
    RawQuery(query): RawQuery,
) -> Answer {
    profile_of(&shared, &deadline, query.as_deref(), HEAP).await.unwrap_or_else(|refused| refused)
}

pub(crate) async fn allocs(
    State(shared): State<Shared>,
    Extension(deadline): Extension<Deadline>,
    RawQuery(query): RawQuery,
) -> Answer {
    profile_of(&shared, &deadline, query.as_deref(), ALLOCS).await.unwrap_or_else(|refused| refused)
}

async fn profile_of(
    shared: &Shared,
    deadline: &Deadline,
    query: Option<&str>,
    kind: Kind,
) -> Result<Answer, Answer> {
    let Asked { seconds, is_text, domain } = Asked::of(query).map_err(bad)?;
    let Some(seconds) = seconds else {
        let made = shared.source.make(move |Looked { view, .. }| {
            if is_text {
                answer(TEXT, text(view, kind.column, domain))
            } else {
                file(kind.name, whole(view, kind.column, domain))
            }
        });
        return made.await.map_err(|error| unreadable(&error));
    };
    let Ok(_waiting) = shared.pprof.waiting.try_acquire() else {
        let sentence = "others wait for a change already: try it again, or without seconds";
        return Err(pprof_refusal(StatusCode::SERVICE_UNAVAILABLE, sentence));
    };
    deadline.extend(seconds);
    let before = shared.source.view().await.map_err(|error| unreadable(&error))?;
    tokio::time::sleep(seconds).await;
    let made = shared.source.make(move |Looked { view: now, .. }| {
        let mut change = delta(&before.profile, &now.profile, InUse::Change);
        show_first(&mut change, kind.column);
        let lasted = now.at.duration_since(before.at).unwrap_or_default();
        file(kind.name_of_delta, written(change, now.at, lasted, domain))
    });
    made.await.map_err(|error| unreadable(&error))
}

/// What is in use, and what was allocated since it was asked for last: the change is taken here,
/// where Go's clients of this path expect it.
pub(crate) async fn delta_heap(State(shared): State<Shared>, RawQuery(query): RawQuery) -> Answer {
    let domain = match Asked::of(query.as_deref()) {
        Ok(asked) => asked.domain,
        Err(sentence) => return bad(sentence),
    };
    let pprof = Arc::clone(&shared.pprof);
    let made = shared.source.make(move |Looked { view: now, .. }| {
        // Whole at any time.
        let mut last = pprof.last.lock().unwrap_or_else(PoisonError::into_inner);
        let before = last.replace(Arc::clone(now)).unwrap_or_else(|| Arc::clone(now));
        drop(last);
        let since = delta(&before.profile, &now.profile, InUse::Now);
        let lasted = now.at.duration_since(before.at).unwrap_or_default();
        file("delta_heap", written(since, now.at, lasted, domain))
    });
    made.await.unwrap_or_else(|error| unreadable(&error))
}

fn whole(view: &View, column: Column, domain: Option<Domain>) -> Vec<u8> {
    let mut profile = Profile::clone(&view.profile);
    show_first(&mut profile, column);
    let began = u64::try_from(profile.time_nanos).unwrap_or_default();
    let began = SystemTime::UNIX_EPOCH + Duration::from_nanos(began);
    let lasted = view.at.duration_since(began).unwrap_or_default();
    // Several processes have begun at several times.
    let lasted = if profile.time_nanos > 0 { lasted } else { view.after };
    written(profile, view.at, lasted, domain)
}

fn show_first(profile: &mut Profile, column: Column) {
    if let Some(at) = profile.column(column.bytes()) {
        profile.set_default_sample_type(at);
    }
}

fn written(
    mut profile: Profile,
    at: SystemTime,
    lasted: Duration,
    domain: Option<Domain>,
) -> Vec<u8> {
    if let Some(domain) = domain {
        domain::keep(&mut profile, domain.word());
    }
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    profile.time_nanos = i64::try_from(since.as_nanos()).unwrap_or_default();
    profile.duration_nanos = i64::try_from(lasted.as_nanos()).unwrap_or_default();
    profile::pprof::write(&profile)
}

/// The table of `top`, all of it.
fn text(view: &View, column: Column, domain: Option<Domain>) -> String {
    let rows = analysis::group::group_in(&view.profile, By::Site, column);
    let is_shown =
        |it: &analysis::group::Row| domain.is_none_or(|domain| it.key.domain == domain.word());
    let rows: Vec<_> = rows.into_iter().filter(is_shown).collect();
    let top = Top::of_process(&rows);
    let mut options = TableOptions::by(By::Site);
    options.rows = usize::MAX;
    let sum = |metric: Metric| -> i64 {
        rows.iter().filter_map(|row| row.counts.of(metric)).fold(0, i64::saturating_add)
    };
    let mut text = format!(
        "{}: {} bytes {} in {} blocks\n{}\n\n",
        view.name,
        analysis::notation::exact(sum(column.bytes())),
        column.phrase(),
        analysis::notation::exact(sum(column.blocks())),
        crate::words::connections(view),
    );
    text += &table::top(&top, &options);
    harmless_lines(&text).into_owned()
}
