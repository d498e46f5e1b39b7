//! Rates and resident memory of a server without the recorder: what profiling costs is in
//! neither.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use echo_server::Configuration;
use echo_server::configuration::ClientCertificates;
use load::ClosedLoopReport;
use recording::kernel::{processor_time, resident_bytes};
use recording::running::in_words;
use tokio::time::sleep;

use super::Rates;
use crate::helper::Helper;
use crate::helper::events::{Found, LoadEvent, ServerEvent};
use crate::helper::orders::{ConnectionLimit, LoadOrder, ServeOrder, Work};
use crate::run::{IDENTITY, clients_of};
use crate::{FrontEnd, HelperProgram, TrialError, Workload, runtime};

/// After a load has ended, the server sees the last goodbyes.
const SETTLE: Duration = Duration::from_millis(300);

/// How long handshakes are made before those that are counted.
const WARM_UP: Duration = Duration::from_millis(200);

/// One round: a fresh server, resident memory with the connections open, then full handshakes.
pub fn measure(
    workload: &Workload,
    configuration: &Configuration,
    front_end: &FrontEnd<'_>,
    folder: &Path,
    rates: &mut Rates,
) -> Result<(), TrialError> {
    let runtime = runtime::of_this_thread()?;
    runtime.block_on(async {
        tokio::select! {
            measured = round(workload, configuration, front_end.helper, folder, rates) => measured,
            _ = tokio::signal::ctrl_c() => Err(TrialError::Interrupted),
        }
    })
}

async fn round(
    workload: &Workload,
    configuration: &Configuration,
    helper: &HelperProgram,
    folder: &Path,
    rates: &mut Rates,
) -> Result<(), TrialError> {
    let identity = folder.join(IDENTITY);
    let mut order = ServeOrder::of(configuration.clone());
    order.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    order.limit = ConnectionLimit::Exactly(workload.most_connections());
    if configuration.client().client_certificates == ClientCertificates::Required {
        order.client_identity = Some(identity.clone());
    }
    let mut server = Helper::serve(helper, &order)?;
    let Some(ServerEvent::Listening { address, .. }) = server.next().await? else {
        return Err(ended(&mut server).await);
    };
    let clients = clients_of(configuration, address, &identity);

    handshakes(helper, &clients, WARM_UP).await?;
    sleep(SETTLE).await;
    let before = resident_bytes(server.pid());
    let with_connections = at_rest(workload, helper, &clients, &server).await?;
    if let (Some(before), Some(after)) = (before, with_connections) {
        let growth = after as f64 - before as f64;
        rates.rss_per_connection.push(growth / workload.connections as f64);
    }
    sleep(SETTLE).await;

    let cpu_before = processor_time(server.pid());
    let report = handshakes(helper, &clients, workload.rate_time).await?;
    let cpu = processor_time(server.pid()).zip(cpu_before);
    rates.handshakes_per_second.push(report.handshakes_per_second);
    if let Some((after, before)) = cpu.filter(|_| report.handshakes > 0) {
        let used = after.saturating_sub(before);
        rates.server_cpu_us.push(used.as_secs_f64() * 1e6 / report.handshakes as f64);
    }
    server.ask_to_stop();
    let status = server.ended().await?;
    let _ = std::fs::remove_file(&identity);
    if status.success() {
        Ok(())
    } else {
        Err(TrialError::Failed(format!("the server {}", in_words(status))))
    }
}

/// The server's resident memory with every connection open and echoed once.
async fn at_rest(
    workload: &Workload,
    helper: &HelperProgram,
    clients: &LoadOrder,
    server: &Helper,
) -> Result<Option<u64>, TrialError> {
    let order = clients.at(Work::Keep {
        connections: workload.connections,
        interval: Some(workload.interval),
        hold: None,
        pace: 16,
    });
    let mut load = Helper::load(helper, "load", &order)?;
    let mut resident = None;
    while let Some(event) = load.next().await? {
        match event {
            LoadEvent::AtRest { .. } => {
                resident = resident_bytes(server.pid());
                load.ask_to_stop();
            }
            LoadEvent::Finished { clean: false, .. } => {
                return Err(TrialError::failed("the load on the server without recorder failed"));
            }
            _ => {}
        }
    }
    load.ended().await?;
    Ok(resident)
}

/// Does handshakes for so long, and returns the load's report.
pub async fn handshakes(
    helper: &HelperProgram,
    clients: &LoadOrder,
    time: Duration,
) -> Result<ClosedLoopReport, TrialError> {
    let mut load = Helper::load(helper, "load", &clients.at(Work::handshakes(time)))?;
    let mut found = None;
    while let Some(event) = load.next().await? {
        if let LoadEvent::Finished { report: Found::Handshakes(report), .. } = event {
            found = Some(report);
        }
    }
    let status = load.ended().await?;
    match found {
        Some(report) if status.success() => Ok(report),
        _ => Err(TrialError::Failed(format!("the load {}", in_words(status)))),
    }
}

async fn ended(server: &mut Helper) -> TrialError {
    match server.ended().await {
        Ok(status) => {
            TrialError::Failed(format!("the server did not start: it {}", in_words(status)))
        }
        Err(failure) => failure,
    }
}
