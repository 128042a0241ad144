"""a failure is explained by what EFS's API says of access point and policy; a healthy gate does not ask"""

import json

from harness import gate
from harness.errors import equal, matches

FS, POINT = "fs-0123456789abcdef0", "fsap-0123456789abcdef0"
# Stands for the EFS API; what it is asked goes to /run/asked.
API = """
import http.server, json, sys
answers = json.loads(sys.argv[1])
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        path = self.path.partition("?")[0]
        open("/run/asked", "a").write(path + chr(10))
        body = json.dumps(answers.get(path, {})).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 8080), Handler)
print("listening", flush=True)
server.serve_forever()
"""
ENV = {"AWS_ENDPOINT_URL": "http://127.0.0.1:8080", "AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
       "AWS_SECRET_ACCESS_KEY": "not-a-secret"}


def answers(uid):
    allow_mount = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": ["elasticfilesystem:ClientMount"]}]}
    return json.dumps({
        "/2015-02-01/file-systems": {"FileSystems": [{"FileSystemId": FS, "LifeCycleState": "available", "ThroughputMode": "elastic"}]},
        "/2015-02-01/mount-targets": {"MountTargets": []},
        f"/2015-02-01/file-systems/{FS}/policy": {"FileSystemId": FS, "Policy": json.dumps(allow_mount)},
        "/2015-02-01/access-points": {"AccessPoints": [{
            "AccessPointId": POINT, "FileSystemId": FS, "LifeCycleState": "available", "PosixUser": {"Uid": uid, "Gid": uid},
            "RootDirectory": {"Path": "/app"}}]}})


def run(cluster):
    host = cluster.host(1)
    host.run("ip link set lo up")
    api = host.spawn(["python3", "-c", API, answers(2000)])
    api.wait_output("listening", 20)
    host.mount()
    gate.passes(host, f"/mnt/data={FS}", env=ENV)
    equal("what a healthy gate asked", host.run("cat /run/asked", check=False).stdout, "")

    # A task role without ClientWrite.
    host.mount("readonly", "/mnt/ro")
    gate.refuses(host, "/mnt/ro", 21, "NoClientWrite",
                 "AWS says: the file system policy does not allow ClientWrite.*Allow elasticfilesystem:ClientWrite to the role", env=ENV)

    # An access point's identity, stood for by a squash: the posixUser is 2000:2000, what the server applies is 1000:1000.
    host.mount("squash1000", "/mnt/point")
    args = f"--aws-checks=always --access-points=/mnt/point={POINT} /mnt/point"
    gate.refuses(host, args, 29, "WrongAccessPoint", f"{POINT} has the posixUser 2000:2000, but new files in /mnt/point belong to 1000:1000", env=ENV)
    api.kill()
    api = host.spawn(["python3", "-c", API, answers(1000)])
    api.wait_output("listening", 20)
    result = gate.passes(host, args + " --expect-owner 1000:1000 --create /mnt/point/in:2770 --require /mnt/point/in:1000:1000:2770", env=ENV)
    matches("the access point", result.lines, f"ok +point +{POINT}: root directory /app, posixUser 1000:1000")
    matches("transit encryption", result.lines, "ok +tls +not demanded, and not used")
    gate.refuses(host, "--require /mnt/point/in:4000:4000 /mnt/point", 16, "RequiredPathDiffers", "/mnt/point/in belongs to 1000:1000, required is 4000:4000")
