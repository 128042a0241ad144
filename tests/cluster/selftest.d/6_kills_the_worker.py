"""a worker that dies fails its scenario, and costs a boot"""

import os


def run(cluster):
    os._exit(3)
