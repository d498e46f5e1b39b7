//! Profiles shaped like the echo server's, small enough to be read.

use std::num::NonZeroU64;

use analysis::category::{DOMAIN_LABEL, label_categories};
use profile::{Function, Line, Location, Profile, Sample};

/// Connections held by [`old`] and [`new`].
pub const CONNECTIONS: NonZeroU64 = NonZeroU64::new(200).unwrap();

/// A stack in words, innermost first: `function file line`.
type Stack = &'static [&'static str];

/// Below everything: a worker thread of the runtime polls a connection's task.
const TASK: Stack = &[
    "echo_server::connection::serve_connection::{{closure}} \
     crates/echo-server/src/connection.rs 48",
    "<core::pin::Pin<P> as core::future::future::Future>::poll \
     library/core/src/future/future.rs 133",
    "tokio::runtime::task::core::Core<T,S>::poll tokio-1.54.1/src/runtime/task/core.rs 375",
    "tokio::runtime::task::harness::Harness<T,S>::poll \
     tokio-1.54.1/src/runtime/task/harness.rs 153",
    "tokio::runtime::scheduler::multi_thread::worker::Context::run_task \
     tokio-1.54.1/src/runtime/worker.rs 646",
    "tokio::runtime::scheduler::multi_thread::worker::run tokio-1.54.1/src/runtime/worker.rs 559",
    "std::sys::backtrace::__rust_begin_short_backtrace library/std/src/sys/backtrace.rs 158",
    "std::sys::thread::unix::Thread::new::thread_start library/std/src/sys/thread/unix.rs 130",
    "start_thread - 0",
];

/// The server's side of a handshake.
const HANDSHAKE: Stack = &[
    "state_machine ssl/statem/statem.c 487",
    "ossl_statem_accept ssl/statem/statem.c 308",
    "SSL_do_handshake ssl/ssl_lib.c 4995",
    "openssl::ssl::SslStream<S>::do_handshake openssl-0.10.82/src/ssl/mod.rs 3903",
    "tokio_openssl::SslStream<S>::poll_accept tokio-openssl-0.6.5/src/lib.rs 182",
];

/// zlib made ready for one direction.
const COMPRESSION: Stack = &[
    "zlib_stateful_init crypto/comp/c_zlib.c 130",
    "COMP_CTX_new crypto/comp/comp_lib.c 41",
    "tls_int_new_record_layer ssl/record/methods/tls_common.c 1290",
    "ssl_set_new_record_layer ssl/record/rec_layer_s3.c 1263",
    "tls1_change_cipher_state ssl/t1_enc.c 312",
];

/// The connection's own trust store.
const STORE: Stack = &[
    "openssl::x509::X509::stack_from_pem openssl-0.10.82/src/x509/mod.rs 770",
    "echo_server::trust_store::build_trust_store crates/echo-server/src/trust_store.rs 31",
    "echo_server::context::build_context crates/echo-server/src/context.rs 77",
];

/// One certificate read from PEM text.
const CERTIFICATE: Stack = &[
    "asn1_item_embed_d2i crypto/asn1/tasn_dec.c 392",
    "ASN1_item_d2i crypto/asn1/tasn_dec.c 176",
    "d2i_X509 crypto/x509/x_x509.c 132",
    "PEM_ASN1_read_bio crypto/pem/pem_oth.c 33",
    "PEM_read_bio_X509 crypto/pem/pem_x509.c 17",
];

/// Leaf and the stacks below it, blocks and bytes of one connection.
type Site = (&'static [Stack], i64, i64);

const ZLIB: &[Site] = &[
    (
        &[
            &["zlib_zalloc crypto/comp/c_zlib.c 43", "deflateInit2_ zlib/deflate.c 300"],
            COMPRESSION,
            HANDSHAKE,
        ],
        10,
        536_224,
    ),
    (
        &[
            &["zlib_zalloc crypto/comp/c_zlib.c 43", "inflateInit2_ zlib/inflate.c 205"],
            COMPRESSION,
            HANDSHAKE,
        ],
        3,
        47_088,
    ),
];

const TRUST_STORE: &[Site] = &[
    (&[&["asn1_item_embed_new crypto/asn1/tasn_new.c 135"], CERTIFICATE, STORE], 1_152, 110_000),
    (&[&["asn1_enc_save crypto/asn1/tasn_utl.c 166"], CERTIFICATE, STORE], 288, 105_700),
    (
        &[
            &[
                "bn_expand_internal crypto/bn/bn_lib.c 245",
                "BN_bin2bn crypto/bn/bn_lib.c 480",
                "ossl_rsa_fromdata crypto/rsa/rsa_backend.c 150",
                "rsa_import providers/implementations/keymgmt/rsa_kmgmt.c 219",
                "OSSL_DECODER_from_data crypto/encode_decode/decoder_lib.c 132",
                "x509_pubkey_ex_d2i_ex crypto/x509/x_pubkey.c 180",
            ],
            CERTIFICATE,
            STORE,
        ],
        300,
        82_900,
    ),
    (
        &[
            &[
                "sk_reserve crypto/stack/stack.c 213",
                "X509_STORE_add_cert crypto/x509/x509_lu.c 411",
            ],
            STORE,
        ],
        20,
        33_100,
    ),
    (
        &[
            &[
                "CRYPTO_THREAD_lock_new crypto/threads_pthread.c 620",
                "EVP_PKEY_new crypto/evp/p_lib.c 1440",
                "x509_pubkey_decode crypto/x509/x_pubkey.c 400",
            ],
            CERTIFICATE,
            STORE,
        ],
        144,
        8_064,
    ),
];

const RECORD_BUFFERS: &[Site] = &[
    (&[&["tls_setup_read_buffer ssl/record/methods/tls_common.c 261"], HANDSHAKE], 1, 16_716),
    (&[&["tls_setup_write_buffer ssl/record/methods/tls_common.c 196"], HANDSHAKE], 1, 16_569),
];

const CONNECTION: &[Site] = &[
    (&[&["tls_int_new_record_layer ssl/record/methods/tls_common.c 1213"], HANDSHAKE], 2, 8_864),
    (&[&["ossl_ssl_connection_new_int ssl/ssl_lib.c 730", "SSL_new ssl/ssl_lib.c 700"]], 1, 5_576),
    (
        &[
            &["gcm_newctx providers/implementations/ciphers/cipher_aes_gcm.c 30"],
            &["EVP_CipherInit_ex crypto/evp/evp_enc.c 460"],
            HANDSHAKE,
        ],
        2,
        1_920,
    ),
    (&[&["SSL_SESSION_new ssl/ssl_sess.c 108"], HANDSHAKE], 1, 928),
];

const RUST: &[Site] = &[(
    &[&["alloc::raw_vec::RawVec<T,A>::grow_amortized library/alloc/src/raw_vec.rs 500"]],
    1,
    4_096,
)];

/// Everything per connection, as in 2011.
pub fn old() -> Profile {
    profile(&[("openssl", &[ZLIB, TRUST_STORE, RECORD_BUFFERS, CONNECTION]), ("rust", &[RUST])])
}

/// Shared context, no compression.
pub fn new() -> Profile {
    profile(&[("openssl", &[RECORD_BUFFERS, CONNECTION]), ("rust", &[RUST])])
}

fn profile(domains: &[(&str, &[&[Site]])]) -> Profile {
    let mut profile = Profile::of_heap();
    for (domain, groups) in domains {
        for (stacks, blocks, bytes) in groups.iter().copied().flatten() {
            let frames = stacks.iter().copied().flatten().chain(TASK);
            let stack = frames.map(|frame| location(&mut profile, frame)).collect();
            let connections = CONNECTIONS.get() as i64;
            let (blocks, bytes) = (blocks * connections, bytes * connections);
            let values = vec![blocks, bytes, 3 * blocks, 3 * bytes, blocks, bytes];
            let mut sample = Sample { stack, values, labels: Vec::new() };
            sample.set_label(DOMAIN_LABEL, *domain);
            profile.push(sample);
        }
    }
    label_categories(&mut profile);
    profile
}

/// `function file line`, the file `-` when unknown. Function names may hold blanks.
fn location(profile: &mut Profile, frame: &str) -> profile::LocationId {
    let mut words = frame.rsplitn(3, ' ');
    let mut word = || words.next().expect("three words");
    let (line, file, name) = (word(), word(), word());
    let function = profile.function(Function {
        name: name.to_owned(),
        system_name: name.to_owned(),
        file: if file == "-" { String::new() } else { file.to_owned() },
    });
    let lines = vec![Line { function, line: line.parse().expect("a line number") }];
    profile.location(Location { mapping: None, address: 0, lines })
}
