//! The comparison as a table: for the terminal, for Markdown, for spreadsheets.

use analysis::notation::{rounded, signed};
use capture::records::comparison::{Comparison, Figures};
use report::medium::Medium;
use report::table;
use report::wrapping::wrapped;

use crate::slope;

const HEADINGS: [&str; 8] =
    ["configuration", "bytes/conn", "change", "%", "blocks", "allocs", "RSS/conn", "handshakes/s"];

/// The table, the changes against the row before, and what the columns mean.
pub fn terminal(comparison: &Comparison, medium: Medium) -> String {
    let mut text = table::plain(&HEADINGS, &rows(comparison), medium);
    let mut means = "bytes, blocks, allocs: OpenSSL's, exact, per connection; RSS and \
                     handshakes/s: on a server without the recorder, medians with spread"
        .to_owned();
    let rounds = comparison.configurations.iter().any(|c| c.handshakes_per_second.is_some());
    means += if rounds { "." } else { "; not measured (--repeat 0)." };
    text += &format!("\n{}\n", wrapped(&means, 0, medium));
    for figures in &comparison.configurations {
        if let Some(objects) = objects(figures) {
            text += &format!("each connection of {} has its own {objects}\n", figures.name);
        }
    }
    for figures in &comparison.configurations {
        if let Some(scale) = &figures.scale {
            text += &slope::describe(scale, &figures.name, medium);
        }
    }
    text
}

/// The table in Markdown.
pub fn markdown(comparison: &Comparison) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let headings: Vec<String> = HEADINGS.map(str::to_owned).to_vec();
    let rule: Vec<String> = HEADINGS
        .iter()
        .enumerate()
        .map(|(at, _)| if at == 0 { "---" } else { "--:" }.to_owned())
        .collect();
    let mut text = line(&headings) + &line(&rule);
    for row in rows(comparison) {
        text += &line(&row);
    }
    text
}

/// The figures as comma-separated values, unrounded, named as in the JSON.
pub fn csv(comparison: &Comparison) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut write = |record: [String; 13]| {
        writer.write_record(record).expect("memory takes records of equal length");
    };
    write(
        [
            "name",
            "connections",
            "openssl_bytes_per_connection",
            "blocks_per_connection",
            "allocs_per_handshake",
            "rss_per_connection",
            "handshakes_per_second",
            "server_cpu_us_per_handshake",
            "zlib_bytes_per_connection",
            "SSL",
            "SSL_CTX",
            "X509_STORE",
            "X509",
        ]
        .map(str::to_owned),
    );
    for figures in &comparison.configurations {
        let number = |figure: Option<f64>| figure.map_or(String::new(), |f| f.to_string());
        let object = |name: &str| figures.objects.get(name).map_or(String::new(), i64::to_string);
        write([
            figures.name.clone(),
            figures.connections.map_or(String::new(), |n| n.to_string()),
            number(figures.openssl_bytes_per_connection),
            number(figures.blocks_per_connection),
            number(figures.allocs_per_handshake),
            number(figures.rss_per_connection),
            number(figures.handshakes_per_second),
            number(figures.server_cpu_us_per_handshake),
            number(figures.zlib_bytes_per_connection),
            object("SSL"),
            object("SSL_CTX"),
            object("X509_STORE"),
            object("X509"),
        ]);
    }
    let bytes = writer.into_inner().expect("memory takes what is left");
    String::from_utf8(bytes).expect("text makes text")
}

fn rows(comparison: &Comparison) -> Vec<Vec<String>> {
    let mut before: Option<f64> = None;
    comparison
        .configurations
        .iter()
        .map(|figures| {
            let bytes = figures.openssl_bytes_per_connection;
            let step = bytes.zip(before);
            before = bytes;
            vec![
                figures.name.clone(),
                say(bytes, rounded),
                say(step.map(|(now, before)| now - before), signed),
                say(
                    step.filter(|(_, before)| *before != 0.0)
                        .map(|(now, before)| (now - before) / before * 100.0),
                    |percent| format!("{percent:+.1}"),
                ),
                say(figures.blocks_per_connection, rounded),
                say(figures.allocs_per_handshake, rounded),
                say(figures.rss_per_connection, rounded),
                with_spread(figures.handshakes_per_second, figures.handshakes_per_second_spread),
            ]
        })
        .collect()
}

/// What each connection has of its own that could be shared: `SSL_CTX, X509_STORE, 118 X509`.
fn objects(figures: &Figures) -> Option<String> {
    let connections = figures.connections.unwrap_or(1).max(1) as f64;
    let each = |name: &str| {
        (figures.added_objects.get(name).copied().unwrap_or_default() as f64 / connections).floor()
    };
    let own: Vec<String> = ["SSL_CTX", "X509_STORE", "X509"]
        .into_iter()
        .filter(|name| each(name) >= 1.0)
        .map(|name| match each(name) {
            1.0 => name.to_owned(),
            count => format!("{} {name}", rounded(count)),
        })
        .collect();
    (!own.is_empty()).then(|| own.join(", "))
}

fn say(figure: Option<f64>, format: impl Fn(f64) -> String) -> String {
    figure.map_or_else(|| "-".to_owned(), format)
}

fn with_spread(figure: Option<f64>, spread: Option<(f64, f64)>) -> String {
    match (figure, spread) {
        (Some(figure), Some((least, most))) => {
            format!("{} ({}–{})", rounded(figure), rounded(least), rounded(most))
        }
        (Some(figure), None) => rounded(figure),
        (None, _) => "-".to_owned(),
    }
}
