"""storms on two hosts at once with every fault once: every view ends equal to the tree, or a resync said where not to trust it"""

from harness.feedchaos import FAULTS, Chaos

HOSTS = 2
DEADLINE_S = 240
SEED, OPERATIONS, RATE = 20261123, 5000, 35


def run(cluster):
    chaos = Chaos(cluster, hosts=2, seed=SEED)
    chaos.start()
    chaos.storm(OPERATIONS // 5, RATE)
    chaos.check()  # without a fault no resync is said
    cluster.log(chaos.report())
    chaos.storm(OPERATIONS - OPERATIONS // 5, RATE, list(FAULTS))
    chaos.check()
    cluster.log(chaos.report())
