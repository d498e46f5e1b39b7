//! The load: what its processes are told.

use std::path::Path;

use echo_server::Configuration;
use echo_server::configuration::{ClientCertificates, CompressionOffer, Protocol};
use serde_json::Value;

use crate::commands::run::Options;
use crate::commands::run::server::Server;
use crate::events::LoadEvent;
use crate::failure::Failure;
use crate::processes::{Helper, describe};

/// What clients have to do for the configuration to happen.
pub fn client_arguments(
    configuration: &Configuration,
    address: &str,
    identity: &Path,
) -> Vec<String> {
    let needs = configuration.client();
    let mut arguments = vec![
        "load".to_owned(),
        address.to_owned(),
        match needs.protocol {
            Protocol::Tls12 => "--tls=1.2".to_owned(),
            Protocol::Tls13 => "--tls=1.3".to_owned(),
        },
    ];
    if needs.compression == CompressionOffer::Zlib {
        arguments.push("--compression".to_owned());
    }
    if needs.client_certificates == ClientCertificates::Required {
        arguments.push(format!("--identity={}", identity.display()));
    }
    arguments
}

/// The load that counts.
pub fn load_arguments(options: &Options) -> Vec<String> {
    let mut arguments = vec![format!("--connections={}", options.connections)];
    if let Some(interval) = options.interval {
        arguments.push(format!("--interval={}s", interval.as_secs_f64()));
    }
    arguments
}

/// A short load before the one that counts.
pub async fn warm_up(
    connections: usize,
    clients: &[String],
    server: &mut Server,
) -> Result<(), Failure> {
    let arguments = [
        format!("--connections={connections}"),
        "--interval=100ms".to_owned(),
        "--hold=0s".to_owned(),
    ];
    let mut load = Helper::start("warm-up", &[clients, &arguments].concat())?;
    while let Some(event) = load.next().await? {
        if let LoadEvent::Finished { report, clean: false } = event {
            let why = first(&report["failures"]);
            return Err(Failure::program(format!("the warm-up failed: {why}")));
        }
    }
    let status = load.ended().await?;
    if status.success() {
        return Ok(());
    }
    let sentence = format!("the warm-up {}", describe(status));
    Err(server.failure().await.unwrap_or(Failure::program(sentence)))
}

/// The first failure of a load's report, in words.
pub fn first(failures: &Value) -> String {
    let failure = &failures[0];
    format!(
        "{} connections, {}: {}",
        failure["count"].as_u64().unwrap_or_default(),
        failure["kind"].as_str().unwrap_or("failed"),
        failure["example"].as_str().unwrap_or("no reason given"),
    )
}
