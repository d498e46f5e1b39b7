//! Rates and resident memory of a server without the recorder: what profiling costs is in
//! neither.

use std::time::Duration;

use echo_server::configuration::ClientCertificates;
use tokio::time::sleep;

use super::Subject;
use crate::commands::run::measurement::{IDENTITY, client_arguments};
use crate::events::{LoadEvent, ServerEvent};
use crate::failure::Failure;
use crate::machine::{processor_time, resident_bytes};
use crate::processes::{Helper, describe};
use crate::run_folder::NewFolder;
use crate::workload::Workload;

/// What the rounds found, one value each.
#[derive(Clone, Debug, Default)]
pub struct Rates {
    pub handshakes_per_second: Vec<f64>,
    pub server_cpu_us: Vec<f64>,
    pub rss_per_connection: Vec<f64>,
}

/// After a load has ended, the server sees the last goodbyes.
const SETTLE: Duration = Duration::from_millis(300);

/// One round: a fresh server, resident memory with the connections open, then full handshakes.
pub fn measure(
    workload: &Workload,
    subject: &Subject,
    folder: &NewFolder,
    rates: &mut Rates,
) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        tokio::select! {
            measured = round(workload, subject, folder, rates) => measured,
            _ = tokio::signal::ctrl_c() => Err(Failure::Interrupted),
        }
    })
}

async fn round(
    workload: &Workload,
    subject: &Subject,
    folder: &NewFolder,
    rates: &mut Rates,
) -> Result<(), Failure> {
    let identity = folder.file(IDENTITY);
    let limit = workload.most_connections();
    let mut arguments = vec![
        "serve".to_owned(),
        "--listen=127.0.0.1:0".to_owned(),
        format!("--config={}", subject.given),
        format!("--limit={limit}"),
    ];
    if subject.configuration.client().client_certificates == ClientCertificates::Required {
        arguments.push(format!("--client-identity={}", identity.display()));
    }
    let mut server = Helper::start("server", &arguments)?;
    let address = match server.next().await? {
        Some(ServerEvent::Listening { address, .. }) => address.to_string(),
        _ => return Err(ended(&mut server).await),
    };
    let clients = client_arguments(&subject.configuration, &address, &identity);

    let warm_up = ["--closed-loop=200ms".to_owned()];
    finished(&[&clients[..], &warm_up].concat()).await?;
    sleep(SETTLE).await;
    let before = resident_bytes(server.pid());
    let with_connections = at_rest(workload, &clients, &server).await?;
    if let (Some(before), Some(after)) = (before, with_connections) {
        let growth = after as f64 - before as f64;
        rates.rss_per_connection.push(growth / workload.connections as f64);
    }
    sleep(SETTLE).await;

    let loop_time = [format!("--closed-loop={}s", workload.rate_time.as_secs_f64())];
    let cpu_before = processor_time(server.pid());
    let report = finished(&[&clients[..], &loop_time].concat()).await?;
    let cpu = processor_time(server.pid()).zip(cpu_before);
    let handshakes = report["handshakes"].as_f64().unwrap_or_default();
    if let Some(rate) = report["handshakes_per_second"].as_f64() {
        rates.handshakes_per_second.push(rate);
    }
    if let Some((after, before)) = cpu.filter(|_| handshakes > 0.0) {
        let used = after.saturating_sub(before);
        rates.server_cpu_us.push(used.as_secs_f64() * 1e6 / handshakes);
    }
    server.ask_to_stop();
    let status = server.ended().await?;
    let _ = std::fs::remove_file(&identity);
    if status.success() {
        Ok(())
    } else {
        Err(Failure::program(format!("the server {}", describe(status))))
    }
}

/// The server's resident memory with every connection open and echoed once.
async fn at_rest(
    workload: &Workload,
    clients: &[String],
    server: &Helper,
) -> Result<Option<u64>, Failure> {
    let arguments = [
        format!("--connections={}", workload.connections),
        format!("--interval={}s", workload.interval.as_secs_f64()),
    ];
    let mut load = Helper::start("load", &[clients, &arguments].concat())?;
    let mut resident = None;
    while let Some(event) = load.next().await? {
        match event {
            LoadEvent::AtRest { .. } => {
                resident = resident_bytes(server.pid());
                load.ask_to_stop();
            }
            LoadEvent::Finished { clean: false, .. } => {
                return Err(Failure::program("the load on the server without recorder failed"));
            }
            _ => {}
        }
    }
    load.ended().await?;
    Ok(resident)
}

/// Runs a load to its end, and returns its report.
pub async fn finished(arguments: &[String]) -> Result<serde_json::Value, Failure> {
    let mut load = Helper::start("load", arguments)?;
    let mut found = None;
    while let Some(event) = load.next().await? {
        if let LoadEvent::Finished { report, .. } = event {
            found = Some(report);
        }
    }
    let status = load.ended().await?;
    match found {
        Some(report) if status.success() => Ok(report),
        _ => Err(Failure::program(format!("the load {}", describe(status)))),
    }
}

async fn ended(server: &mut Helper) -> Failure {
    match server.ended().await {
        Ok(status) => {
            Failure::program(format!("the server did not start: it {}", describe(status)))
        }
        Err(failure) => failure,
    }
}
