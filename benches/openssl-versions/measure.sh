#!/bin/sh
# Prints what a connection costs a server by OpenSSL's version and setting, as a table in Markdown.
#
#   benches/openssl-versions/measure.sh [VERSION …]
#
# Without versions: all that crates.io carries and that differ. Each is built once, which takes
# minutes, from the sources in the crate openssl-src, into target/openssl-versions (or the folder
# that OPENSSL_VERSIONS_DIR names). It needs cargo, perl, make, a C compiler, the headers of zlib
# (Debian: zlib1g-dev) and a bundle of certificates (ca-certificates, or the file that CA_BUNDLE
# names).
set -eu

here=$(cd "$(dirname "$0")" && pwd)
work=${OPENSSL_VERSIONS_DIR:-$here/../../target/openssl-versions}
bundle=${CA_BUNDLE:-/etc/ssl/certs/ca-certificates.crt}
mkdir -p "$work"

# The crate that has each version's sources.
crate_of() {
    case $1 in
    1.1.1w) echo 111.28.2 ;;
    3.0.8) echo 300.0.13 ;;
    3.2.1) echo 300.2.3 ;;
    3.5.5) echo 300.5.5 ;;
    3.6.3) echo 300.6.1 ;;
    4.0.3) echo 400.0.2 ;;
    *) echo "measure.sh: OpenSSL $1 is not in its table of crates" >&2 && exit 2 ;;
    esac
}

# Copies the sources of a version to a folder, through cargo.
fetch() {
    manifest=$work/fetch-$1
    mkdir -p "$manifest/src"
    : >"$manifest/src/lib.rs"
    cat >"$manifest/Cargo.toml" <<END
[package]
name = "fetch"
version = "0.0.0"
edition = "2021"
[dependencies]
openssl-src = "=$(crate_of "$1")"
[workspace]
END
    found=$(cargo metadata --format-version 1 --manifest-path "$manifest/Cargo.toml" |
        tr ',' '\n' |
        sed -n 's|.*"manifest_path":"\(.*openssl-src-[^"]*\)/Cargo.toml".*|\1|p' |
        head -n 1)
    cp -r "$found/openssl" "$2"
    rm -rf "$manifest"
}

# As crate openssl-src has it: no legacy algorithms, no loadable modules; but with zlib.
build() {
    options="no-shared no-dso no-tests zlib"
    case $1 in 1.*) ;; *) options="$options no-legacy no-module" ;; esac
    log=$work/build-$1.log
    # shellcheck disable=SC2086 # words
    (cd "$2" && perl ./Configure "linux-$(uname -m)" $options &&
        make -j"$(nproc)" build_generated &&
        make -j"$(nproc)" libcrypto.a libssl.a) >"$log" 2>&1 || {
        echo "measure.sh: OpenSSL $1 could not be built: see $log" >&2
        exit 1
    }
}

settings="tls13 tls13-x25519 tls13-release tls13-silent tls13-fragments tls13-length tls13-mutual
    tls13-context tls13-context-bundle tls12 tls12-release tls12-mutual tls12-zlib
    tls12-zlib-release dtls12 dtls12-release"

title_of() {
    case $1 in
    tls13) echo "TLS 1.3, OpenSSL's defaults" ;;
    tls13-x25519) echo "TLS 1.3, X25519 only" ;;
    tls13-release) echo "TLS 1.3, SSL_MODE_RELEASE_BUFFERS" ;;
    tls13-silent) echo "TLS 1.3, no tickets, nothing written yet" ;;
    tls13-fragments) echo "TLS 1.3, max_send_fragment 4096" ;;
    tls13-length) echo "TLS 1.3, client asks for records of 512 bytes (RFC 6066)" ;;
    tls13-mutual) echo "TLS 1.3, client shows leaf and authority" ;;
    tls13-context) echo "TLS 1.3, an SSL_CTX for each connection" ;;
    tls13-context-bundle) echo "the same, each with the CA bundle" ;;
    tls12) echo "TLS 1.2, OpenSSL's defaults" ;;
    tls12-release) echo "TLS 1.2, SSL_MODE_RELEASE_BUFFERS" ;;
    tls12-mutual) echo "TLS 1.2, client shows leaf and authority" ;;
    tls12-zlib) echo "TLS 1.2, record compression with zlib" ;;
    tls12-zlib-release) echo "the same, SSL_MODE_RELEASE_BUFFERS" ;;
    dtls12) echo "DTLS 1.2, OpenSSL's defaults" ;;
    dtls12-release) echo "DTLS 1.2, SSL_MODE_RELEASE_BUFFERS" ;;
    esac
}

[ $# -gt 0 ] || set -- 1.1.1w 3.0.8 3.2.1 3.5.5 3.6.3 4.0.3
for version; do
    sources=$work/openssl-$version
    [ -d "$sources" ] || fetch "$version" "$sources"
    [ -f "$sources/libssl.a" ] || build "$version" "$sources"
    "${CC:-cc}" -O1 -I"$sources/include" "$here/connections.c" "$sources/libssl.a" \
        "$sources/libcrypto.a" -lz -lpthread -ldl -o "$work/connections-$version"
done

printf '| bytes per connection (blocks) |'
for version; do printf ' %s |' "$version"; done
printf '\n| --- |'
for version; do printf ' --: |'; done
printf '\n'
for setting in $settings; do
    printf '| %s |' "$(title_of "$setting")"
    for version; do
        figures=$("$work/connections-$version" "$setting" "$bundle")
        bytes=$(echo "${figures% *}" | sed ':a;s/\B[0-9]\{3\}\>/,&/;ta')
        printf ' %s (%.0f) |' "$bytes" "${figures#* }"
    done
    printf '\n'
done
