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
#[path = "programs/server.rs"]
mod server;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;

use clients::Talk;
use measured::Subject;
use openssl::ssl::{SslAcceptor, SslFiletype, SslMethod};
use server::Ready;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match &arguments[1..] {
        [serve, certificate, key] if serve == "serve" => echo_server(certificate, key),
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

/// Says welcome on each connection, then sends back what it is sent.
fn echo_server(certificate: &str, key: &str) {
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).unwrap();
    acceptor.set_certificate_chain_file(certificate).unwrap();
    acceptor.set_private_key_file(key, SslFiletype::PEM).unwrap();
    let acceptor = Arc::new(acceptor.build());
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    println!("ready {}", listener.local_addr().unwrap().port());
    for socket in listener.incoming().flatten() {
        let acceptor = Arc::clone(&acceptor);
        std::thread::spawn(move || echo(&acceptor, socket));
    }
}

fn echo(acceptor: &SslAcceptor, socket: TcpStream) -> Option<()> {
    let mut stream = acceptor.accept(socket).ok()?;
    stream.write_all(b"welcome!\n").ok()?;
    let mut some = [0; 1024];
    loop {
        let bytes = stream.read(&mut some).ok().filter(|bytes| *bytes > 0)?;
        stream.write_all(&some[..bytes]).ok()?;
    }
}
