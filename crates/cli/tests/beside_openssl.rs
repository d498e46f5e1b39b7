//! What `diagnose` says of memory that is not OpenSSL's: the bytes of a finding are what its remedy
//! saves, which is applied.

use load as _; // for the zlib that OpenSSL calls

#[path = "programs/certificate.rs"]
mod certificate;
#[path = "programs/needed.rs"]
mod needed;
mod program;
#[path = "programs/server.rs"]
mod server;
mod workshop;

use std::fs;
use std::path::Path;

use needed::FIXTURES;
use program::{path, printed, printed_json, text, tlsheap_in};
use serde_json::Value;
use server::free_port;
use workshop::{Workshop, number};

/// Records a program in a folder; says what was said.
fn record(folder: &Path, options: &[&str], command: &[&str]) -> String {
    let start = ["record", "--out", "run"];
    let output = tlsheap_in(folder, &[&start, options, &["--"], command].concat());
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    said.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn json(folder: &Path) -> Value {
    let record = fs::read_to_string(folder.join("run/run.json")).unwrap();
    serde_json::from_str(&record).unwrap()
}

/// The findings of the recording with this name: one, or none.
fn finding(folder: &Path, id: &str) -> Option<Value> {
    let diagnosis = printed_json(&["diagnose", "--json", path(&folder.join("run"))]);
    let found = diagnosis["findings"].as_array().unwrap();
    let mut found = found.iter().filter(|finding| finding["id"] == id);
    let first = found.next().cloned();
    assert!(found.next().is_none(), "{diagnosis:#}");
    first
}

fn float(value: &Value, pointer: &str) -> f64 {
    value.pointer(pointer).and_then(Value::as_f64).unwrap_or_else(|| panic!("{value:#}"))
}

#[test]
fn asyncios_buffer_is_named_and_its_remedy_saves_what_is_said() {
    /// Applies the remedy, where `SIZE` is there, and goes on as the server of the fixtures.
    const SERVER: &str = "import asyncio.sslproto, os, runpy, sys\n\
                          size = os.environ.get('SIZE')\n\
                          if size: asyncio.sslproto.SSLProtocol.max_size = int(size)\n\
                          sys.argv = sys.argv[1:]\n\
                          runpy.run_path(sys.argv[0], run_name='__main__')\n";
    let Some(python) = needed::program("python3") else { return };
    let place = certificate::place();
    let script = format!("{FIXTURES}/echo_asyncio.py");
    let mut grown = Vec::new();
    for remedy in ["", "16384"] {
        let port = free_port().to_string();
        let address = format!("127.0.0.1:{port}");
        let size = format!("SIZE={remedy}");
        let server =
            ["env", &size, &python, "-c", SERVER, &script, "certificate.pem", "key.pem", &port];
        let _ = fs::remove_dir_all(place.path().join("run"));
        let said = record(place.path(), &["--load", &address, "-n", "40"], &server);
        assert!(said.contains("One connection costs "), "{said}");
        grown.push(float(&json(place.path()), "/account/growth/total"));
        let found = finding(place.path(), "asyncio-read-buffer");
        if !remedy.is_empty() {
            assert!(found.is_none(), "{found:#?}");
            continue;
        }
        let found = found.expect("asyncio has such a buffer");
        assert_eq!(float(&found, "/bytes_per_connection"), 262_145.0 - 16_385.0);
        assert_eq!(number(&found, "/bytes_total"), 80 * 245_760);
        assert_eq!(found["remedies"][0]["ecosystem"], "Python", "{found:#}");
        let told = printed(&["diagnose", path(&place.path().join("run"))]);
        assert!(!told.contains("[unknown]"), "who holds it is known: {told}");
    }
    let saved = grown[0] - grown[1];
    assert!((0.97..1.03).contains(&(saved / 245_760.0)), "{grown:?}");
}

#[test]
fn free_pages_that_the_allocator_keeps_are_what_trimming_gives_back() {
    let workshop = Workshop::new();
    let program = workshop.build("freed", &["../heap/freed.c", "library.c"], &[]);
    let folder = workshop.0.path();
    let mut resident = Vec::new();
    for trim in [None, Some("trim")] {
        let _ = fs::remove_dir_all(folder.join("run"));
        let command: Vec<&str> = [Some(path(&program)), trim].into_iter().flatten().collect();
        record(folder, &["--until-idle=1s"], &command);
        let account = json(folder)["account"].clone();
        resident.push(number(&account, "/total_bytes"));
        let found = finding(folder, "free-pages-kept");
        if trim.is_some() {
            assert!(found.is_none(), "{found:#?}");
            continue;
        }
        let found = found.expect("24 MB are kept");
        assert_eq!(number(&found, "/bytes_total"), number(&account, "/free_pages_bytes"));
        resident.push(number(&found, "/bytes_total"));
    }
    let [with, said, without] = resident[..] else { panic!("{resident:?}") };
    assert!(said > 23_000_000, "{resident:?}");
    assert!((with - without).abs_diff(said) < 100_000, "{resident:?}");
}

#[test]
fn what_the_allocator_keeps_of_closed_connections_is_what_trimming_gives_back() {
    /// Trims when connections have gone, where `TRIM` is there, and goes on as the server of the
    /// fixtures.
    const SERVER: &str = "import asyncio.sslproto, ctypes, os, runpy, sys\n\
                          libc = ctypes.CDLL('libc.so.6')\n\
                          def lost(self, why, before=asyncio.sslproto.SSLProtocol.connection_lost):\n\
                          \x20   before(self, why)\n\
                          \x20   asyncio.get_running_loop().call_later(0.05, libc.malloc_trim, 0)\n\
                          if os.environ.get('TRIM'): asyncio.sslproto.SSLProtocol.connection_lost = lost\n\
                          sys.argv = sys.argv[1:]\n\
                          runpy.run_path(sys.argv[0], run_name='__main__')\n";
    let Some(python) = needed::program("python3") else { return };
    let place = certificate::place();
    let script = format!("{FIXTURES}/echo_asyncio.py");
    let mut left = Vec::new();
    for trim in ["", "1"] {
        let port = free_port().to_string();
        let address = format!("127.0.0.1:{port}");
        let trim_it = format!("TRIM={trim}");
        let server =
            ["env", &trim_it, &python, "-c", SERVER, &script, "certificate.pem", "key.pem", &port];
        let _ = fs::remove_dir_all(place.path().join("run"));
        let said = record(place.path(), &["--load", &address, "-n", "40"], &server);
        assert!(said.contains(" were when they were closed: "), "{said}");
        let account = json(place.path())["closed"]["account"].clone();
        left.push(number(&account, "/total_bytes"));
        let found = finding(place.path(), "free-pages-after-close");
        if !trim.is_empty() {
            assert!(found.is_none(), "{found:#?}");
            continue;
        }
        let found = found.expect("80 buffers of 256 KB were freed");
        assert_eq!(number(&found, "/bytes_total"), number(&account, "/free_pages_bytes"));
        left.push(number(&found, "/bytes_total"));
    }
    let [with, said, without] = left[..] else { panic!("{left:?}") };
    assert!(said > 15_000_000, "{left:?}");
    let saved = with.saturating_sub(without) as f64 / said as f64;
    assert!((0.9..1.1).contains(&saved), "{left:?}");
}

#[test]
fn a_program_that_has_ended_by_itself_was_looked_into_before() {
    let workshop = Workshop::new();
    let program = workshop.build("freed", &["../heap/freed.c", "library.c"], &[]);
    let folder = workshop.0.path();
    let said = record(folder, &["--heap"], &[path(&program), "ends"]);
    assert!(said.contains("When they were last looked into before the end, 2"), "{said}");
    let found = finding(folder, "free-pages-kept").expect("24 MB were kept until the end");
    assert!(number(&found, "/bytes_total") > 23_000_000, "{found:#}");
}

#[test]
fn haproxys_session_cache_is_named_and_a_smaller_one_saves_what_is_said() {
    let Some(haproxy) = needed::program("haproxy") else { return };
    let place = certificate::place();
    let pem = ["certificate.pem", "key.pem"]
        .map(|name| fs::read_to_string(place.path().join(name)).unwrap());
    fs::write(place.path().join("both.pem"), pem.concat()).unwrap();
    let mut own = Vec::new();
    for sessions in [200_000, 20_000] {
        let configuration = format!(
            "global\n maxconn 100\n tune.ssl.cachesize {sessions}\ndefaults\n mode http\n timeout \
             connect 5s\n timeout client 5s\n timeout server 5s\nfrontend f\n bind 127.0.0.1:{} \
             ssl crt both.pem\n",
            free_port()
        );
        fs::write(place.path().join("haproxy.cfg"), configuration).unwrap();
        let _ = fs::remove_dir_all(place.path().join("run"));
        record(place.path(), &["--for", "3s"], &[&haproxy, "-f", "haproxy.cfg"]);
        let json = json(place.path());
        own.push(number(&json, "/memory/anonymous_bytes") + number(&json, "/memory/shared_bytes"));
        let found = finding(place.path(), "haproxy-session-cache");
        if sessions == 20_000 {
            assert!(found.is_none(), "{found:#?}");
            continue;
        }
        let found = found.expect("the cache is ten times as large as it is where nothing is said");
        assert_eq!(found["remedies"][0]["ecosystem"], "HAProxy", "{found:#}");
        own.push(number(&found, "/bytes_total"));
    }
    let [with, said, without] = own[..] else { panic!("{own:?}") };
    assert!((0.95..1.05).contains(&((with - without) as f64 / said as f64)), "{own:?}");
}
