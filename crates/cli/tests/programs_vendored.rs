//! `tlsheap record` on a Rust program that has its OpenSSL linked in: this one. Started with
//! `serve`, it is an echo server with a thread for each connection, and without the recorder; what
//! the linker did not need of OpenSSL, such as the function that takes other memory functions, is
//! not in it.

use load as _; // for the zlib that OpenSSL calls

#[path = "programs/certificate.rs"]
mod certificate;
#[path = "programs/clients.rs"]
mod clients;
#[path = "programs/measured.rs"]
mod measured;
mod program;
#[path = "programs/rust_server.rs"]
mod rust_server;
#[path = "programs/server.rs"]
mod server;

use clients::Talk;
use measured::Subject;
use server::Ready;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match &arguments[1..] {
        [serve, certificate, key] if serve == "serve" => rust_server::serve(certificate, key, 0),
        _ => {
            fifty_connections_of_a_program_with_openssl_linked_in();
            println!("test fifty_connections_of_a_program_with_openssl_linked_in ... ok");
        }
    }
}

fn fifty_connections_of_a_program_with_openssl_linked_in() {
    let place = certificate::place();
    let this = std::env::current_exe().unwrap();
    let this = this.to_str().unwrap();
    let command = [this, "serve", "certificate.pem", "key.pem"];
    let measured = Subject::new(&command, Ready::Line("ready"), Talk::Echo).measure(place);
    measured.is_transparent();
    measured.lost_nothing();
    let name = this.rsplit('/').next().unwrap();
    assert_eq!(measured.ways(), [format!("{name} variable-symbols recorded")]);
    measured.costs(50_141.0);
}
