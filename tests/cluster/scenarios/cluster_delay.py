"""an added delay is in the round trips that the client counts, and gone afterwards"""

from harness.errors import between, equal

CALLS = 20


def open_rtt_ms(host):
    before = host.mountstats()
    host.run(f"for i in $(seq {CALLS}); do : >/mnt/data/file-$i; done; rm /mnt/data/*")
    opens = (host.mountstats() - before).ops["OPEN"]
    equal("OPENs", opens.ops, CALLS)
    return opens.rtt_ms / opens.ops


def run(cluster):
    host = cluster.host(1)
    host.mount()
    between("the round trip without", open_rtt_ms(host), 0, 40)
    host.delay_ms(50)
    between("the round trip with 50 ms", open_rtt_ms(host), 45, 200)
    host.delay_ms(0)
    between("the round trip without", open_rtt_ms(host), 0, 40)
