"""a scenario that swallows its deadline once ends all the same"""

import time

DEADLINE_S = 2


def run(cluster):
    try:
        time.sleep(60)
    except BaseException:
        time.sleep(60)
