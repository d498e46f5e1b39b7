//! The load: what its processes are told.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use echo_server::Configuration;
use echo_server::configuration::{ClientCertificates, CompressionOffer, Protocol};
use load::FailureCount;
use recording::running::in_words;

use super::Options;
use super::server::Server;
use crate::helper::Helper;
use crate::helper::events::LoadEvent;
use crate::helper::orders::{LoadOrder, Work};
use crate::{FrontEnd, TrialError};

/// What clients have to do for the configuration to happen.
pub fn clients_of(
    configuration: &Configuration,
    address: SocketAddr,
    identity: &Path,
) -> LoadOrder {
    let needs = configuration.client();
    let mut order = LoadOrder::to(address);
    order.protocol = match needs.protocol {
        Protocol::Tls12 => load::Protocol::Tls12,
        Protocol::Tls13 => load::Protocol::Tls13,
    };
    if needs.compression == CompressionOffer::Zlib {
        order.compression = load::CompressionOffer::Zlib;
    }
    if needs.client_certificates == ClientCertificates::Required {
        order.identity = Some(identity.to_owned());
    }
    order
}

/// The load that counts.
pub fn counting_load(options: &Options, clients: &LoadOrder) -> LoadOrder {
    let Options { connections, interval, .. } = *options;
    clients.at(Work::Keep { connections, interval, hold: None, pace: 16 })
}

/// A short load before the one that counts.
pub async fn warm_up(
    connections: usize,
    clients: &LoadOrder,
    server: &mut Server,
    front_end: &FrontEnd<'_>,
) -> Result<(), TrialError> {
    let order = clients.at(Work::Keep {
        connections,
        interval: Some(Duration::from_millis(100)),
        hold: Some(Duration::ZERO),
        pace: 16,
    });
    let mut load = Helper::load(front_end.helper, "warm-up", &order)?;
    while let Some(event) = load.next().await? {
        if let LoadEvent::Finished { report, clean: false } = event {
            let why = first(report.failures());
            return Err(TrialError::Failed(format!("the warm-up failed: {why}")));
        }
    }
    let status = load.ended().await?;
    if status.success() {
        return Ok(());
    }
    let sentence = format!("the warm-up {}", in_words(status));
    Err(server.failure().await.unwrap_or(TrialError::Failed(sentence)))
}

/// The first failure of a load, in words.
pub fn first(failures: &[FailureCount]) -> String {
    match failures.first() {
        Some(failure) => {
            format!("{} connections, {}: {}", failure.count, failure.kind, failure.example)
        }
        None => "no reason given".to_owned(),
    }
}
