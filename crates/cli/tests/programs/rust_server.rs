//! An echo server in Rust with a thread for each connection: a test program is its own server.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;

use openssl::ssl::{SslAcceptor, SslFiletype, SslMethod};

/// Says welcome on each connection, then sends back what it is sent. At port 0 the kernel chooses
/// one.
pub fn serve(certificate: &str, key: &str, port: u16) {
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).unwrap();
    acceptor.set_certificate_chain_file(certificate).unwrap();
    acceptor.set_private_key_file(key, SslFiletype::PEM).unwrap();
    let acceptor = Arc::new(acceptor.build());
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
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
