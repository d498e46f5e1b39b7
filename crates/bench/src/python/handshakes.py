"""Full TLS 1.3 handshakes in one thread over pairs of memory BIOs, as workload (a) does from C.

    handshakes.py FOLDER COUNT

FOLDER has certificate.pem and key.pem. Prints one line of JSON: times for each handshake, in
microseconds, the most memory that was resident, in KiB, and the version of OpenSSL.
"""

import json
import ssl
import sys
import time

folder, count = sys.argv[1], int(sys.argv[2])
server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
server_context.load_cert_chain(f"{folder}/certificate.pem", f"{folder}/key.pem")
server_context.num_tickets = 0
client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
client_context.check_hostname = False
client_context.verify_mode = ssl.CERT_NONE
for context in (server_context, client_context):
    context.minimum_version = ssl.TLSVersion.TLSv1_3


def shaken(end):
    try:
        end.do_handshake()
        return True
    except ssl.SSLWantReadError:
        return False


def one():
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server)
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    while not (shaken(client) & shaken(server)):
        pass
    client.write(bytes(2048))
    assert len(server.read(4096)) == 2048
    server.write(bytes(1000))
    assert len(client.read(4096)) == 1000


def peak_kib():
    with open("/proc/self/status") as status:
        lines = [line for line in status if line.startswith("VmHWM:")]
    return int(lines[0].split()[1]) if lines else 0


for _ in range(count // 10 + 2):  # what is set up once does not count
    one()
processor, wall = time.process_time(), time.monotonic()
for _ in range(count):
    one()
processor, wall = time.process_time() - processor, time.monotonic() - wall
figures = {
    "processor_us": processor * 1e6 / count,
    "wall_us": wall * 1e6 / count,
    "peak_kib": peak_kib(),
    "version": ssl.OPENSSL_VERSION,
}
print(json.dumps(figures), flush=True)
