"""What the demos on the cluster show: commands and their output, for the terminal of whoever typed `make demo-...`."""

import os


def say(text=""):
    with open(os.environ["DEMO_OUTPUT"], "a", encoding="utf-8") as out:
        print(text, file=out)


def step(text):
    say(f"\n\033[1m{text}\033[0m" if os.environ.get("DEMO_COLOUR") else f"\n{text}")


def show(host, command, **more):
    """Run it there and show both; the result is as host.run() gives it."""
    say(f"  {host.name}$ {command}")
    result = host.run(command, check=False, **more)
    for line in (result.stderr + result.stdout).splitlines():
        say("  " + line)
    return result
