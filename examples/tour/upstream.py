#!/usr/bin/python3

"""What the tour calls: it stands for the APIs of others.  On a unix socket:

    examples/tour/upstream.py upstream/upstream.sock
"""

import http.server
import json
import socketserver
import sys

PAGES = {
    "/": {"service": "a site of others"},
    "/data": {"data": [1, 2, 3]},
    "/todos/1": {"userId": 1, "id": 1, "title": "delectus aut autem",
                 "completed": False},
}


class Api(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        page = PAGES.get(self.path)
        body = json.dumps(page or {"detail": "Not Found"}).encode()

        self.send_response(200 if page else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 128


Server(sys.argv[1], Api).serve_forever()
