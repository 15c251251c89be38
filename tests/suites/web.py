"""A server of weights on this machine that can break off, lie, and forget about ranges."""

import hashlib
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from napari_medfm.models import WeightsFile


class Server(ThreadingHTTPServer):
    """Serves some bytes as ``/weights.pth``; `breaks_after` so many it hangs up once."""

    daemon_threads = True

    def __init__(self, content):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.breaks_after, self.knows_ranges, self.asked = content, None, True, []

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def file(self):
        """What its publisher says of the file."""
        digest = f"sha256:{hashlib.sha256(self.content).hexdigest()}"
        return WeightsFile("weights.pth", f"{self.address}/weights.pth", digest, len(self.content))


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        wanted = self.headers.get("Range", "bytes=0-") if self.server.knows_ranges else "bytes=0-"
        first = int(wanted.removeprefix("bytes=").rstrip("-"))
        self.server.asked.append((self.path, first))
        if self.path != "/weights.pth":
            self.send_error(404)
            return
        if first >= len(self.server.content):
            self.send_error(416)
            return
        self.send_response(206 if first or self.server.knows_ranges else 200)
        self.send_header("Content-Length", str(len(self.server.content) - first))
        self.end_headers()
        last, self.server.breaks_after = self.server.breaks_after, None
        self.wfile.write(self.server.content[first:last])

    def log_message(self, *arguments):
        pass


@contextmanager
def serve(content):
    """Serve while the block runs."""
    with Server(content) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
