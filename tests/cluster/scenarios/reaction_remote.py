"""on_change on a read-only mount: another host replaces a configuration, the app of this task is told and reads the new one"""

import json
import time

from harness.errors import check, equal
from harness.sidecar import Sidecar

DEADLINE_S = 120

APP = """
import http.server, signal
def config():
    return open("/mnt/data/conf/app.yaml").read().strip()
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        print("reload", config(), flush=True)
        self.send_response(204)
        self.end_headers()
    def log_message(self, *_):
        pass
server = http.server.HTTPServer(("127.0.0.1", 8088), Handler)
signal.signal(signal.SIGHUP, lambda *_: print("signal", config(), flush=True))
open("/proc/self/comm", "w").write("the-app")
print("runs with", config(), flush=True)
server.serve_forever()
"""

RULES = "--on-change='/mnt/data/conf/**.yaml=http://127.0.0.1:8088/reload,/mnt/data/conf/app.yaml=signal:HUP:the-app'"


def run(cluster):
    reader, writer = cluster.host(1), cluster.host(2)
    reader.mount()
    writer.mount()
    writing = Sidecar(writer, "/mnt/data", task="writer")
    writing.ready(30)
    writer.run("mkdir /mnt/data/conf")
    writer.write("/mnt/data/conf/app.yaml", "one")
    sidecar = Sidecar(reader, "/mnt/data:ro", task="reader", options=RULES)
    sidecar.wait("MountReady", "True", "MountAnswers", 30)
    app = reader.spawn(["python3", "-c", APP])
    app.wait_output("runs with one", 20)
    stream = reader.spawn("exec efsctl watch --remote-only")
    stream.wait_output('"ready"', 30)
    time.sleep(2)

    # As an editor does: a new file over the old one, which the reader's client has cached.
    start = time.monotonic()
    writer.run("echo two >/mnt/data/conf/.app.tmp && mv /mnt/data/conf/.app.tmp /mnt/data/conf/app.yaml")
    app.wait_output("reload two", 30)
    app.wait_output("signal two", 30)
    print(f"the app was told {time.monotonic() - start:.1f} s after the rename, and read the new file")
    stream.wait_output("app.yaml", 10)
    reader.run("echo own >/mnt/data/own")  # the mount itself can be written here: this host's own change
    writer.run("echo x >/mnt/data/theirs")
    stream.wait_output("theirs", 30)
    changes = [json.loads(line) for line in stream.stdout.splitlines() if '"op"' in line]
    equal("sources", {c["source"] for c in changes if c["op"] != "resync"}, {"peer"})
    equal("observers", {c["observer"] for c in changes if c["op"] != "resync"}, {"writer"})
    check("own" not in [c["path"] for c in changes], changes)
    metrics = sidecar.get("/v1/metrics").body
    check("ReactionsFailed" in json.dumps(metrics), metrics)
    sidecar.check_lives()
    sidecar.stop()
    writing.stop()
