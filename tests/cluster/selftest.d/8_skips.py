"""a scenario may say that it cannot run here"""

from harness.errors import Skip


def run(cluster):
    raise Skip("for a reason")
