"""calls that a broken connection lost count as errors, and are not outstanding for ever"""

from harness.errors import check
from harness.sidecar import Sidecar

DEADLINE_S = 120
MOUNT = "/mnt/data"


def run(cluster):
    host = cluster.host(1)
    # As ECS mounts it, but a call times out after seconds, not minutes.
    host.mount(opts="nfsvers=4.1,rsize=1048576,wsize=1048576,hard,timeo=10,retrans=1,noresvport")
    sidecar = Sidecar(host, MOUNT)
    sidecar.ready()

    def measured():
        groups = sidecar.get("/v1/metrics").body["groups"]
        return {m["name"]: m.get("value") for g in groups if g["mount"] == MOUNT for m in g["metrics"]}

    before = measured()
    host.link_down()
    cluster.wait_until(lambda: measured()["NfsOutstandingCalls"] > 0, 15, "outstanding calls")
    cluster.wait_until(lambda: measured()["NfsErrors"] > before["NfsErrors"], 40, "calls that timed out")
    check(measured()["NfsOutstandingCalls"] > 0, "nothing is outstanding although the link is cut")
    host.link_up()
    cluster.wait_until(lambda: measured()["NfsReconnects"] > before["NfsReconnects"], 30, "a new connection")
    cluster.wait_until(lambda: measured()["NfsOutstandingCalls"] == 0, 30, "no outstanding calls")
    nfs, after = sidecar.mount_status(MOUNT)["nfs"], measured()
    cluster.log(f"sends {nfs['sends']}, receives {nfs['receives']}; reconnects {after['NfsReconnects']}, "
                f"timeouts {after['NfsTimeouts']}, retransmissions {after['NfsRetransmissions']}")
    sidecar.stop(20)
