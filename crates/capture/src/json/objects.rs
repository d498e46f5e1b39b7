//! Live objects and how many there are of one for each of another, in JSON.

use std::num::NonZeroU64;

use analysis::inventory::Inventory;
use analysis::objects::Object;
use serde::Serialize;

/// Objects of a capture. Ratios are of those that came with the connections.
#[derive(Serialize)]
pub struct ObjectsJson {
    live: Vec<LiveJson>,
    contexts_per_connection: Option<f64>,
    stores_per_connection: Option<f64>,
    certificates_per_store: Option<f64>,
    sessions_per_connection: Option<f64>,
}

#[derive(Serialize)]
struct LiveJson {
    object: &'static str,
    count: i64,
    bytes: i64,
    bytes_each: Option<f64>,
}

impl ObjectsJson {
    /// `all` are those of the capture, `grown` the same less the baseline's.
    pub fn new(all: &Inventory, grown: &Inventory, connections: Option<NonZeroU64>) -> ObjectsJson {
        let ratios = grown.ratios(connections);
        ObjectsJson {
            live: Object::ALL
                .map(|object| {
                    let live = all.live(object);
                    LiveJson {
                        object: object.name(),
                        count: live.count,
                        bytes: live.bytes,
                        bytes_each: live.bytes_each(),
                    }
                })
                .into(),
            contexts_per_connection: ratios.contexts_per_connection,
            stores_per_connection: ratios.stores_per_connection,
            certificates_per_store: ratios.certificates_per_store,
            sessions_per_connection: ratios.sessions_per_connection,
        }
    }
}
