"""waits to be interrupted, with a mount and a process on it"""

import time


def run(cluster):
    cluster.host(1).mount()
    cluster.host(1).spawn("nfsprobe hold /mnt/data/lock").wait_output("locked")
    with open(cluster.results_dir + "/waiting", "w", encoding="ascii"):
        time.sleep(50)
