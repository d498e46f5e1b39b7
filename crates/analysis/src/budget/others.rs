//! What is limited of memory that is not OpenSSL's alone: of the whole process, as far as a capture
//! knows it.

use std::collections::HashMap;

use contract::Domain;

use super::limit::{Figure, Limit, Scope};
use super::verdict::{CAUSES, Cause};
use crate::diagnosis::whole::Holder;
use crate::group::Key;

/// What a capture knows of the memory of the whole process.
#[derive(Clone, Debug, Default)]
pub struct Others {
    /// Resident bytes in no file.
    pub resident: Option<Extent>,
    /// What each domain asked for, OpenSSL left out.
    pub domains: HashMap<Domain, Extent>,
}

/// How much memory that is, and who has most of it.
#[derive(Clone, Debug, Default)]
pub struct Extent {
    /// Bytes in all.
    pub bytes: f64,
    /// Blocks, or mappings, in all; `None` where there are no such.
    pub blocks: Option<f64>,
    /// Bytes and blocks that each connection adds, where that is known.
    pub each: Option<Each>,
    /// Who has most of it in all: bytes.
    pub holders: Vec<Holder>,
}

/// What each connection adds.
#[derive(Clone, Debug, Default)]
pub struct Each {
    /// Bytes.
    pub bytes: f64,
    /// Blocks, or mappings; `None` where they are not known.
    pub blocks: Option<f64>,
    /// Who adds most of it: bytes.
    pub holders: Vec<Holder>,
}

impl Others {
    /// A figure of a scope; else what is missing.
    pub(super) fn figure(&self, scope: &Scope, figure: Figure) -> Result<f64, &'static str> {
        let extent = self.extent(scope).ok_or(NOT_RECORDED)?;
        let each = || extent.each.as_ref().ok_or(NOT_TOLD);
        let figure = match figure {
            Figure::Bytes => Some(extent.bytes),
            Figure::Blocks => extent.blocks,
            Figure::BytesPerConnection => Some(each()?.bytes),
            Figure::BlocksPerConnection => each()?.blocks,
            Figure::AllocationsPerHandshake | Figure::ObjectsPerConnection => None,
        };
        figure.ok_or("it has no such column")
    }

    /// Who has most of what broke a limit, or has grown most since `before`.
    pub(super) fn causes(&self, limit: &Limit, before: Option<&Others>) -> Vec<Cause> {
        let before = before.and_then(|before| before.extent(&limit.scope));
        holders(limit.figure, self.extent(&limit.scope), before)
    }

    fn extent(&self, scope: &Scope) -> Option<&Extent> {
        match scope {
            Scope::Resident => self.resident.as_ref(),
            Scope::Domain(domain) => self.domains.get(domain),
            _ => None,
        }
    }
}

const NOT_RECORDED: &str = "only OpenSSL's memory was recorded, or the program had ended before \
                            anybody could look: record it with --heap, or with --load, --for or \
                            --at-rest and without --only";

const NOT_TOLD: &str = "too few connections came to say what each adds; use --load, or leave the \
                        limit out";

/// Who has most of what is no OpenSSL's, or has grown most; of blocks it is not said.
fn holders(figure: Figure, now: Option<&Extent>, before: Option<&Extent>) -> Vec<Cause> {
    let of = |extent: Option<&Extent>| -> Vec<Holder> {
        let holders = extent.and_then(|extent| match figure {
            Figure::Bytes => Some(&extent.holders),
            Figure::BytesPerConnection => extent.each.as_ref().map(|each| &each.holders),
            _ => None,
        });
        holders.cloned().unwrap_or_default()
    };
    let earlier = of(before);
    let mut causes: Vec<Cause> = of(now)
        .into_iter()
        .map(|holder| {
            let is_same =
                |it: &&Holder| it.function == holder.function && it.through == holder.through;
            let had = earlier.iter().find(is_same).map_or(0.0, |it| it.bytes);
            let key = Key { function: holder.function.clone(), ..Key::default() };
            Cause { key, amount: holder.bytes - had, telling: holder.through }
        })
        .filter(|cause| cause.amount > 0.0)
        .collect();
    causes.sort_by(|a, b| b.amount.total_cmp(&a.amount).then_with(|| a.key.cmp(&b.key)));
    causes.truncate(CAUSES);
    causes
}
