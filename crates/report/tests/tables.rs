//! What the tables look like.

mod synthetic;

use std::num::NonZeroU64;

use analysis::diff::diff;
use analysis::group::{By, group};
use analysis::top::Top;
use report::medium::{Colour, Medium, Names, has_cuts};
use report::table::{self, Stories, TableOptions};

use synthetic::CONNECTIONS;

fn top_of_old(by: By) -> Top {
    Top::per_connection(&group(&synthetic::old(), by), None, CONNECTIONS)
}

#[test]
fn the_top_sites_of_a_connection() {
    let mut options = TableOptions::by(By::Site);
    options.rows = 6;
    insta::assert_snapshot!(table::top(&top_of_old(By::Site), &options), @r"
    bytes/conn  blocks/conn   share  category            site
    ────────────────────────────────────────────────────────────────────────────────────────
       583,312         13.0  59.7 %  compression.zlib    crypto/comp/c_zlib.c:43
      serve_connection › SSL_do_handshake › deflateInit2_ › zlib_zalloc
       110,000      1,152.0  11.3 %  x509                crypto/asn1/tasn_new.c:135
      serve_connection › build_trust_store › PEM_read_bio_X509 › asn1_item_embed_new
       105,700        288.0  10.8 %  x509                crypto/asn1/tasn_utl.c:166
      serve_connection › build_trust_store › PEM_read_bio_X509 › asn1_enc_save
        82,900        300.0   8.5 %  pkey.bignum         crypto/bn/bn_lib.c:245
      serve_connection › build_trust_store › PEM_read_bio_X509 › bn_expand_internal
        33,100         20.0   3.4 %  x509.store          crypto/stack/stack.c:213
      serve_connection › build_trust_store › X509_STORE_add_cert › sk_reserve
        16,716          1.0   1.7 %  tls.record_buffers  ssl/record/methods/tls_common.c:261
      serve_connection › SSL_do_handshake › tls_setup_read_buffer
    … and 7 more rows, 46,017 bytes together
    ");
}

#[test]
fn the_categories_of_a_connection_without_stories() {
    let mut options = TableOptions::by(By::Category);
    options.stories = Stories::Hidden;
    insta::assert_snapshot!(table::top(&top_of_old(By::Category), &options), @r"
    bytes/conn  blocks/conn   share  category
    ───────────────────────────────────────────────────
       583,312         13.0  59.7 %  compression.zlib
       215,700      1,440.0  22.1 %  x509
        82,900        300.0   8.5 %  pkey.bignum
        33,285          2.0   3.4 %  tls.record_buffers
        33,100         20.0   3.4 %  x509.store
         8,864          2.0   0.9 %  tls.record_layer
         8,064        144.0   0.8 %  evp
         5,576          1.0   0.6 %  tls.connection
         4,096          1.0   0.4 %  rust
         1,920          2.0   0.2 %  evp.cipher
    … and 1 more row, 928 bytes together
    ");
}

#[test]
fn the_functions_in_use_in_the_whole_process() {
    let mut options = TableOptions::by(By::Function);
    options.stories = Stories::Hidden;
    options.rows = 5;
    let top = Top::of_process(&group(&synthetic::old(), By::Function));
    insta::assert_snapshot!(table::top(&top, &options), @r"
          bytes   blocks   share  function             file
    ─────────────────────────────────────────────────────────────────────────
    116,662,400    2,600  59.7 %  zlib_zalloc          crypto/comp/c_zlib.c
     22,000,000  230,400  11.3 %  asn1_item_embed_new  crypto/asn1/tasn_new.c
     21,140,000   57,600  10.8 %  asn1_enc_save        crypto/asn1/tasn_utl.c
     16,580,000   60,000   8.5 %  bn_expand_internal   crypto/bn/bn_lib.c
      6,620,000    4,000   3.4 %  sk_reserve           crypto/stack/stack.c
    … and 8 more rows, 12,546,600 bytes together
    ");
}

#[test]
fn what_the_old_way_costs_more() {
    let connections = Some((CONNECTIONS, NonZeroU64::new(200).unwrap()));
    let rows = diff(&synthetic::old(), &synthetic::new(), By::Site, connections);
    let mut options = TableOptions::by(By::Site);
    options.rows = 4;
    insta::assert_snapshot!(table::diff(&rows, &options), @r"
     before  after    change  blocks        category          site
    ────────────────────────────────────────────────────────────────────────────────────
    583,312      0  -583,312     -13  gone  compression.zlib  crypto/comp/c_zlib.c:43
      serve_connection › SSL_do_handshake › deflateInit2_ › zlib_zalloc
    110,000      0  -110,000  -1,152  gone  x509              crypto/asn1/tasn_new.c:135
      serve_connection › build_trust_store › PEM_read_bio_X509 › asn1_item_embed_new
    105,700      0  -105,700    -288  gone  x509              crypto/asn1/tasn_utl.c:166
      serve_connection › build_trust_store › PEM_read_bio_X509 › asn1_enc_save
     82,900      0   -82,900    -300  gone  pkey.bignum       crypto/bn/bn_lib.c:245
      serve_connection › build_trust_store › PEM_read_bio_X509 › bn_expand_internal
    … and 9 more rows with smaller changes
    ");
}

#[test]
fn what_is_new_is_marked_as_new() {
    let rows = diff(&synthetic::new(), &synthetic::old(), By::Category, None);
    let mut options = TableOptions::by(By::Category);
    options.stories = Stories::Hidden;
    insta::assert_snapshot!(table::diff(&rows, &options), @r"
       before        after        change    blocks       category
    ───────────────────────────────────────────────────────────────────────
            0  116,662,400  +116,662,400    +2,600  new  compression.zlib
            0   43,140,000   +43,140,000  +288,000  new  x509
            0   16,580,000   +16,580,000   +60,000  new  pkey.bignum
            0    6,620,000    +6,620,000    +4,000  new  x509.store
            0    1,612,800    +1,612,800   +28,800  new  evp
      384,000      384,000             0         0       evp.cipher
      819,200      819,200             0         0       rust
    1,115,200    1,115,200             0         0       tls.connection
    6,657,000    6,657,000             0         0       tls.record_buffers
    1,772,800    1,772,800             0         0       tls.record_layer
    … and 1 more row with smaller changes
    ");
}

#[test]
fn facts_stand_in_two_columns() {
    let facts = [
        ("configuration", "node-0.4".to_owned()),
        ("connections", "200".to_owned()),
        ("OpenSSL", "4.0.3".to_owned()),
    ];
    insta::assert_snapshot!(table::facts(&facts, Medium::PLAIN), @r"
    configuration  node-0.4
    connections    200
    OpenSSL        4.0.3
    ");
}

#[test]
fn any_columns_can_be_laid_out() {
    let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
    let cells = [
        row(["node-0.4", "1,362,291", "one SSL_CTX and one trust store per connection"]),
        row(["no-compression", "53,998", ""]),
    ];
    let table = table::plain(&["configuration", "bytes/conn", "what"], &cells, Medium::PLAIN);
    insta::assert_snapshot!(table, @r"
    configuration   bytes/conn  what
    ──────────────────────────────────────────────────────────────────────────
    node-0.4         1,362,291  one SSL_CTX and one trust store per connection
    no-compression      53,998
    ");
}

#[test]
fn an_empty_table_is_its_heading() {
    let options = TableOptions::by(By::Site);
    insta::assert_snapshot!(table::top(&Top::of_process(&[]), &options), @r"
    bytes  blocks  share  category  site
    ────────────────────────────────────
    ");
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    let connections = Some((CONNECTIONS, CONNECTIONS));
    for columns in [40, 60, 80, 100, 200] {
        for by in [By::Site, By::Function, By::File, By::Category] {
            let mut options = TableOptions::by(by);
            options.medium = Medium::of(columns);
            let rows = diff(&synthetic::old(), &synthetic::new(), by, connections);
            let text = table::top(&top_of_old(by), &options) + &table::diff(&rows, &options);
            for line in text.lines().filter(|line| !line.starts_with("… and ")) {
                assert!(line.chars().count() <= columns, "{columns}: {line}");
            }
        }
    }
}

#[test]
fn where_columns_have_no_room_rows_have_lines_and_names_can_stay_whole() {
    let rows =
        diff(&synthetic::old(), &synthetic::new(), By::Site, Some((CONNECTIONS, CONNECTIONS)));
    let mut options = TableOptions::by(By::Site);
    options.rows = 2;
    options.medium = Medium::of(50);
    insta::assert_snapshot!(table::diff(&rows, &options), @r"
    before 583,312  after 0  change -583,312
      blocks -13  gone  compression.zlib
      crypto/comp/c_zlib.c:43
      serv…tion › SSL_…hake › defl…it2_ › zlib…lloc
    before 110,000  after 0  change -110,000
      blocks -1,152  gone  x509
      crypto/asn1/tasn_new.c:135
      serv…tion › buil…tore › PEM_…X509 › asn1…_new
    … and 11 more rows with smaller changes
    ");
    options.medium.names = Names::Whole;
    insta::assert_snapshot!(table::diff(&rows, &options), @r"
    before 583,312  after 0  change -583,312
      blocks -13  gone  compression.zlib
      crypto/comp/c_zlib.c:43
      serve_connection › SSL_do_handshake
      › deflateInit2_ › zlib_zalloc
    before 110,000  after 0  change -110,000
      blocks -1,152  gone  x509
      crypto/asn1/tasn_new.c:135
      serve_connection › build_trust_store
      › PEM_read_bio_X509 › asn1_item_embed_new
    … and 11 more rows with smaller changes
    ");
    assert!(!has_cuts(&table::diff(&rows, &options)));
}

#[test]
fn colours_are_there_only_when_asked_for_and_change_no_text() {
    let mut options = TableOptions::by(By::Site);
    let without = table::top(&top_of_old(By::Site), &options);
    options.medium.colour = Colour::Always;
    let with = table::top(&top_of_old(By::Site), &options);
    assert!(!without.contains('\u{1b}'));
    assert!(with.contains('\u{1b}'));
    let mut stripped = String::new();
    let mut rest = with.as_str();
    while let Some((text, escape)) = rest.split_once('\u{1b}') {
        stripped.push_str(text);
        rest = escape.split_once('m').unwrap().1;
    }
    stripped.push_str(rest);
    assert_eq!(stripped, without);
}
