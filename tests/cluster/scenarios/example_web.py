"""docs/examples/web-and-processors.md as it stands there: three web tasks and two processors under two uids, one of which dies"""

import hashlib
import json
import os
import re

from harness.errors import check, equal
from harness.locks import SETTINGS
from harness.sidecar import Sidecar

HOSTS = 3
DEADLINE_S = 240
DOCUMENT = "docs/examples/web-and-processors.md"
EACH = 20
GROUP, WEB, PROCESSOR = 2000, 33, 1000


class Document:
    def __init__(self, cluster):
        with open(os.path.join(cluster.top, DOCUMENT), encoding="utf-8") as file:
            text = file.read()
        self.scripts = {name: body for name, body in re.findall(r"^```sh\n# (\S+).*?\n(.*?)^```$", text, re.M | re.S)}
        block = re.search(r"^```json\n(.*?)^```$", text, re.M | re.S)[1]
        self.environment = {e["name"]: e["value"] for e in json.loads("{" + block + "}")["environment"]}


class Task:
    """A sidecar and its app, under the same ids; several may be on one host, as on EC2."""

    def __init__(self, document, host, name, uid):
        self.document, self.host, self.name, self.uid = document, host, name, uid
        self.run_dir = f"/run/{name}"
        host.run(f"mkdir {self.run_dir} && chown {uid}:{GROUP} {self.run_dir}")
        env = dict(document.environment)
        del env["EFS_SIDECAR_MOUNTS"]  # there is no file system id to be found here
        self.sidecar = Sidecar(host, "/mnt/data", task=name, run_dir=self.run_dir, options=SETTINGS, env=env, program=self.as_user("efs-sidecar"))

    def as_user(self, command):
        return f"setpriv --reuid={self.uid} --regid={GROUP} --clear-groups -- {command}"

    def script(self, name):
        """A script of the document, with the paths of this machine."""
        text = self.document.scripts[name].replace("/data/", "/mnt/data/").replace("/run/efs-sidecar/", self.run_dir + "/")
        path = f"{self.run_dir}/{name}"
        self.host.write(path, text.replace("/app/process.sh", f"sh {self.run_dir}/process.sh"))
        return path

    def command(self, name, *args):
        return f"EFS_SIDECAR_RUN_DIR={self.run_dir} exec {self.as_user('sh')} {self.script(name)} {' '.join(args)}"

    def upload(self, name, check_it=True):
        return self.host.run(f"echo upload {name} | {{ {self.command('upload.sh', name)}; }}", timeout=60, check=check_it)

    def process(self):
        self.script("process.sh")
        self.processor = self.host.spawn(self.command("processor.sh"))

    def die(self):
        """All of it in one moment."""
        self.host.run(f"kill -KILL {self.sidecar.process.pid} $(pgrep -f 'efsctl claim.*{self.run_dir}') $(pgrep -f {self.run_dir}/process.sh)", check=False)


def run(cluster):
    document = Document(cluster)
    hosts = [cluster.host(n) for n in (1, 2, 3)]
    for host in hosts:
        host.mount()
    hosts[0].run(document.scripts["prepare.sh"].replace("/data/", "/mnt/data/"))
    webs = [Task(document, host, f"web-{n}", WEB) for n, host in enumerate(hosts, 1)]
    processors = [Task(document, host, f"proc-{n}", PROCESSOR) for n, host in enumerate(hosts[:2], 1)]
    for task in webs + processors:
        task.sidecar.wait("LocksReady", "True", "SlotHeld", 60)

    names = [f"{web.name}-{n}" for n in range(EACH) for web in webs]
    for name, web in zip(names, webs * EACH):
        web.upload(name)
    export = cluster.server.path()
    of_files(cluster, f"{export}/uploads", f"640 {WEB}:{GROUP}")
    refused = webs[0].upload(names[0], check_it=False)
    check(refused.rc != 0 and "exists" in refused.stderr.lower(), f"the second upload of {names[0]}: {refused}")

    for task in processors:
        task.process()
    cluster.wait_until(lambda: len(results(cluster)) >= 5, 60, "some are processed")
    processors[0].die()
    cluster.wait_until(lambda: len(results(cluster)) == len(names), 120, "all are processed")
    of_files(cluster, f"{export}/results", f"640 {PROCESSOR}:{GROUP}")
    wanted = {name: hashlib.sha256(f"upload {name}\n".encode()).hexdigest() for name in names}
    text = cluster.server.run(f"cd {export}/results && grep -H . *").stdout
    equal("results", {line.split(":")[0]: line.split(":")[1].split()[0] for line in text.splitlines()}, wanted)
    cluster.wait_until(lambda: not cluster.server.run(f"find {export}/uploads {export}/tasks/proc-* -type f ! -name owner ! -name .owner ! -name '*.queue' "
                                                      "! -name '*.result'").stdout, 60, "the queue is empty, and nothing is left claimed")


def results(cluster):
    return cluster.server.run(["find", f"{cluster.server.path()}/results", "-type", "f"]).stdout.split()


def of_files(cluster, path, wanted):
    found = set(cluster.server.run(f"find {path} -type f -exec stat -c '%a %u:%g' {{}} +").stdout.splitlines())
    equal(f"modes and owners in {path}", found, {wanted})
