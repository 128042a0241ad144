"""What the demos on the cluster show: commands and their output, on the terminal of whoever typed `make demo-...`."""

import os

out = open(os.environ["DEMO_OUTPUT"], "w", encoding="utf-8", buffering=1)


def say(text=""):
    print(text, file=out)


def step(text):
    say(f"\n\033[1m{text}\033[0m" if os.environ.get("DEMO_COLOUR") else f"\n{text}")


def show(host, command, shown=None, **more):
    """Run it there and show both; the result is as host.run() gives it."""
    say(f"  {host.name}$ {shown or command}")
    result = host.run(command, check=False, **more)
    for line in (result.stderr + result.stdout).splitlines():
        say("  " + line)
    return result
