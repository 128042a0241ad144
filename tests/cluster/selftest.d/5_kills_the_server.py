"""a scenario that breaks the cluster fails, and costs a boot"""


def run(cluster):
    cluster.server.kill()
