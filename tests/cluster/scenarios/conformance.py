"""efsctl conformance on real NFS: all that the design relies on holds, alone and between two hosts; a hung mount is unknown, not waited for"""

import json
import re

from harness.errors import check, equal

HOSTS = 2
DEADLINE_S = 150


def found(process):
    return {p["id"]: p for p in json.loads(process.stdout)["properties"]}


def run(cluster):
    hosts = [cluster.host(1), cluster.host(2)]
    for host in hosts:
        host.mount()
    both = [host.spawn("efsctl conformance --json --peer /mnt/data") for host in hosts]
    codes = [process.wait(120) for process in both]
    for process, code in zip(both, codes):
        properties = found(process)
        cluster.log("\n".join(f"{p['id']}: {p['verdict']}: {p['observed']}" for p in properties.values()))
        equal("what fails", [p for p in properties.values() if p["verdict"] not in ("holds", "measured")], [])
        equal("exit code", code.rc, 0)
        equal("tried", len(properties), 24)
        check(properties["lease"]["observed"] == "10 s", properties["lease"])
        seen = int(re.search(r"(\d+) seen", properties["peer-slots"]["observed"]).group(1))
        check(seen > 20, f"the two hardly met: {properties['peer-slots']}")
    equal("left behind", hosts[0].run("ls -A /mnt/data").stdout, "")

    # One property is waited for, the others are not tried.
    a = hosts[0]
    hung = a.spawn("efsctl conformance --json /mnt/data")
    cluster.wait_until(lambda: a.run("ls /mnt/data/.efs-conformance/*", check=False).stdout, 10, "that it works")
    cluster.server.stop()
    result = hung.wait(60)
    cluster.server.cont()
    verdicts = [p["verdict"] for p in found(hung).values()]
    equal("exit code", result.rc, 1)
    check(len(verdicts) == 16 and "unknown" in verdicts, verdicts)
