/*
 * What a TLS connection costs a server, in requested bytes of OpenSSL, for one setting.
 *
 *   connections SETTING [CA-BUNDLE]
 *
 * Both ends are in this process, joined by a pair of sockets; only what is allocated while the
 * server's end works is counted. One connection is made and closed first, so that what OpenSSL does
 * once is not charged to the others. Each is echoed one byte, then rests; a "silent" server reads
 * it and has written nothing. Printed is the mean of CONNECTIONS of them. Whoever records this
 * program with `tlsheap record` can have it stay there with "rest".
 */
#include <openssl/comp.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS 19

/* Before each block: its size, and whether it is the server's. */
union header {
    struct {
        size_t bytes;
        int counted;
    } of;
    max_align_t align;
};

static long long live_bytes, live_blocks;
static int counting;

static void count(union header *block, int sign)
{
    if (block->of.counted) {
        live_bytes += sign * (long long)block->of.bytes;
        live_blocks += sign;
    }
}

static void *own_malloc(size_t bytes, const char *file, int line)
{
    union header *block;

    (void)file, (void)line;
    if (bytes == 0 || (block = malloc(sizeof(*block) + bytes)) == NULL)
        return NULL;
    block->of.bytes = bytes;
    block->of.counted = counting;
    count(block, 1);
    return block + 1;
}

static void own_free(void *pointer, const char *file, int line)
{
    (void)file, (void)line;
    if (pointer != NULL) {
        count((union header *)pointer - 1, -1);
        free((union header *)pointer - 1);
    }
}

static void *own_realloc(void *pointer, size_t bytes, const char *file, int line)
{
    union header *block, old;

    if (pointer == NULL)
        return own_malloc(bytes, file, line);
    if (bytes == 0) {
        own_free(pointer, file, line);
        return NULL;
    }
    old = *((union header *)pointer - 1);
    if ((block = realloc((union header *)pointer - 1, sizeof(*block) + bytes)) == NULL)
        return NULL;
    count(&old, -1);
    block->of.bytes = bytes;
    count(block, 1);
    return block + 1;
}

static void fail(const char *what)
{
    fprintf(stderr, "connections: %s failed\n", what);
    exit(1);
}

#define MUST(call) \
    do { \
        if (!(call)) \
            fail(#call); \
    } while (0)

static EVP_PKEY *make_key(void)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_id(EVP_PKEY_EC, NULL);
    EVP_PKEY *key = NULL;

    MUST(ctx != NULL && EVP_PKEY_keygen_init(ctx) > 0);
    MUST(EVP_PKEY_CTX_set_ec_paramgen_curve_nid(ctx, NID_X9_62_prime256v1) > 0);
    MUST(EVP_PKEY_keygen(ctx, &key) > 0);
    EVP_PKEY_CTX_free(ctx);
    return key;
}

static X509 *make_certificate(EVP_PKEY *key, const char *name, X509 *issuer, EVP_PKEY *signer)
{
    X509 *certificate = X509_new();
    X509_NAME *subject = X509_NAME_new();
    X509_EXTENSION *extension;
    X509V3_CTX context;

    MUST(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1,
                                    -1, 0));
    MUST(X509_set_version(certificate, 2) && X509_set_subject_name(certificate, subject));
    MUST(X509_set_issuer_name(certificate,
                              issuer ? X509_get_subject_name(issuer) : subject));
    X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 86400);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), issuer ? 2 : 1);
    MUST(X509_set_pubkey(certificate, key));
    X509V3_set_ctx(&context, issuer ? issuer : certificate, certificate, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &context, NID_basic_constraints,
                                    issuer ? "CA:FALSE" : "critical,CA:TRUE");
    MUST(extension != NULL && X509_add_ext(certificate, extension, -1));
    X509_EXTENSION_free(extension);
    X509_NAME_free(subject);
    MUST(X509_sign(certificate, signer, EVP_sha256()));
    return certificate;
}

static EVP_PKEY *authority_key, *server_key;
static X509 *authority, *certificate;
static const char *setting, *bundle;

static int is(const char *word)
{
    return strstr(setting, word) != NULL;
}

static void set_version(SSL_CTX *ctx)
{
    int version = is("dtls12") ? DTLS1_2_VERSION : is("tls12") ? TLS1_2_VERSION : TLS1_3_VERSION;

    MUST(SSL_CTX_set_min_proto_version(ctx, version));
    MUST(SSL_CTX_set_max_proto_version(ctx, version));
    if (is("zlib")) {
        /* Compression needs security level 1 or lower. */
        SSL_CTX_set_security_level(ctx, 1);
        SSL_CTX_clear_options(ctx, SSL_OP_NO_COMPRESSION);
    } else {
        SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION);
    }
}

static void use_identity(SSL_CTX *ctx)
{
    MUST(SSL_CTX_use_certificate(ctx, certificate) && SSL_CTX_use_PrivateKey(ctx, server_key));
    MUST(SSL_CTX_add1_chain_cert(ctx, authority));
}

static SSL_CTX *make_context(void)
{
    SSL_CTX *ctx = SSL_CTX_new(is("dtls") ? DTLS_server_method() : TLS_server_method());

    MUST(ctx != NULL);
    set_version(ctx);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    if (is("release"))
        SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    if (is("x25519"))
        MUST(SSL_CTX_set1_groups_list(ctx, "X25519"));
    if (is("fragments"))
        MUST(SSL_CTX_set_max_send_fragment(ctx, 4096));
    if (is("silent"))
        MUST(SSL_CTX_set_num_tickets(ctx, 0));
    use_identity(ctx);
    if (is("bundle"))
        MUST(SSL_CTX_load_verify_locations(ctx, bundle, NULL));
    if (is("mutual")) {
        MUST(X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), authority));
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    }
    return ctx;
}

static SSL_CTX *server_context, *client_context;

struct connection {
    SSL_CTX *own;
    SSL *server, *client;
    int ends[2];
};

/* Two UDP sockets of the loopback device that send to each other. */
static void pair_of_datagrams(int ends[2], struct sockaddr_in names[2])
{
    int end;

    for (end = 0; end < 2; end++) {
        socklen_t length = sizeof(names[end]);

        memset(&names[end], 0, sizeof(names[end]));
        names[end].sin_family = AF_INET;
        names[end].sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        MUST((ends[end] = socket(AF_INET, SOCK_DGRAM, 0)) >= 0);
        MUST(bind(ends[end], (struct sockaddr *)&names[end], length) == 0);
        MUST(getsockname(ends[end], (struct sockaddr *)&names[end], &length) == 0);
    }
    for (end = 0; end < 2; end++)
        MUST(connect(ends[end], (struct sockaddr *)&names[!end], sizeof(names[!end])) == 0);
}

static void use_datagrams(SSL *ssl, int end, const struct sockaddr_in *peer)
{
    BIO *bio = BIO_new_dgram(end, BIO_NOCLOSE);
    BIO_ADDR *address = BIO_ADDR_new();

    MUST(bio != NULL && address != NULL);
    MUST(BIO_ADDR_rawmake(address, AF_INET, &peer->sin_addr, sizeof(peer->sin_addr),
                          peer->sin_port));
    (void)BIO_ctrl_set_connected(bio, address);
    BIO_ADDR_free(address);
    SSL_set_bio(ssl, bio, bio);
}

static void connect_one(struct connection *it)
{
    struct sockaddr_in names[2];
    char byte = 0;
    int done = 0, end, turns;

    if (is("dtls"))
        pair_of_datagrams(it->ends, names);
    else
        MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, it->ends) == 0);
    for (end = 0; end < 2; end++)
        MUST(fcntl(it->ends[end], F_SETFL, O_NONBLOCK) == 0);
    counting = 1;
    it->own = is("context") ? make_context() : NULL;
    it->server = SSL_new(it->own ? it->own : server_context);
    MUST(it->server != NULL);
    if (is("dtls"))
        use_datagrams(it->server, it->ends[0], &names[1]);
    else
        MUST(SSL_set_fd(it->server, it->ends[0]));
    counting = 0;
    it->client = SSL_new(client_context);
    MUST(it->client != NULL);
    if (is("dtls"))
        use_datagrams(it->client, it->ends[1], &names[0]);
    else
        MUST(SSL_set_fd(it->client, it->ends[1]));
    for (turns = 0; done != 3 && turns < 100; turns++) {
        if (SSL_connect(it->client) == 1)
            done |= 1;
        counting = 1;
        if (SSL_accept(it->server) == 1)
            done |= 2;
        counting = 0;
    }
    MUST(done == 3);
    MUST(SSL_write(it->client, "x", 1) == 1);
    counting = 1;
    MUST(SSL_read(it->server, &byte, 1) == 1);
    if (!is("silent"))
        MUST(SSL_write(it->server, &byte, 1) == 1);
    /* There is no more: it rests as a server does that waits for its client. */
    MUST(SSL_read(it->server, &byte, 1) <= 0);
    counting = 0;
    if (!is("silent"))
        MUST(SSL_read(it->client, &byte, 1) == 1);
}

static void close_one(struct connection *it)
{
    SSL_free(it->server);
    SSL_free(it->client);
    SSL_CTX_free(it->own);
    close(it->ends[0]);
    close(it->ends[1]);
}

int main(int argc, char **argv)
{
    struct connection first, all[CONNECTIONS];
    long long bytes, blocks;
    int i;

    if (argc < 2)
        return 2;
    setting = argv[1];
    bundle = argc > 2 ? argv[2] : "/etc/ssl/certs/ca-certificates.crt";
    if (!is("rest"))
        MUST(CRYPTO_set_mem_functions(own_malloc, own_realloc, own_free));
    authority_key = make_key();
    server_key = make_key();
    authority = make_certificate(authority_key, "authority", NULL, authority_key);
    certificate = make_certificate(server_key, "localhost", authority, authority_key);
    server_context = make_context();
    client_context = SSL_CTX_new(is("dtls") ? DTLS_client_method() : TLS_client_method());
    MUST(client_context != NULL);
    set_version(client_context);
    if (is("mutual"))
        use_identity(client_context);
    if (is("length"))
        MUST(SSL_CTX_set_tlsext_max_fragment_length(client_context,
                                                    TLSEXT_max_fragment_length_512));

    connect_one(&first);
    close_one(&first);
    if (is("rest"))
        sleep(2); /* for whoever records: this is the moment before the connections */
    bytes = live_bytes;
    blocks = live_blocks;
    for (i = 0; i < CONNECTIONS; i++)
        connect_one(&all[i]);
    if (is("rest"))
        for (;;)
            pause();
    if (is("zlib") && SSL_get_current_compression(all[0].server) == NULL)
        fail("negotiating zlib");
    printf("%lld %.1f\n", (live_bytes - bytes) / CONNECTIONS,
           (double)(live_blocks - blocks) / CONNECTIONS);
    for (i = 0; i < CONNECTIONS; i++)
        close_one(&all[i]);
    return 0;
}
