"""python3 https_server.py CERTIFICATE KEY PORT_FILE LOG: an https server on 127.0.0.1 that answers every POST with 200.

It writes its port into PORT_FILE when it listens, and a line into LOG for each POST (path, tab, Idempotency-Key, tab, body)
and for each handshake that failed. It ends by itself after ten minutes.
"""

import http.server
import os
import signal
import ssl
import sys

certificate, key, port_file, log = sys.argv[1:]


def note(line):
    with open(log, "a", encoding="utf-8") as out:
        out.write(line + "\n")


class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        note("\t".join(["POST", self.path, self.headers.get("Idempotency-Key", ""), body.decode("ascii").replace("\n", " ")]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    def finish_request(self, request, client_address):
        request.settimeout(60)
        try:
            connection = context.wrap_socket(request, server_side=True)
        except OSError as error:  # ssl.SSLError is one
            note(f"HANDSHAKE\t{error}")
            return
        with connection:
            super().finish_request(connection, client_address)


signal.alarm(600)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
server = Server(("127.0.0.1", 0), Hook)
with open(port_file + ".tmp", "w", encoding="ascii") as out:
    out.write(str(server.server_address[1]))
os.rename(port_file + ".tmp", port_file)
server.serve_forever()
