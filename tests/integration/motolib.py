"""moto_server, which plays AWS, and the real aws command line client to ask it."""
import json
import os
import signal
import socket
import subprocess

from awslib import environment
from watchlib import check, die_with_parent, fail, needs, wait_for

PORT = 5000  # in the network namespace of the test
ENV = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{PORT}", "AWS_DEFAULT_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "testing",
       "AWS_SECRET_ACCESS_KEY": "testing-secret-key-00000000", "AWS_PAGER": "", "AWS_CONFIG_FILE": "/dev/null",
       "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}


class Moto:
    """With more=True it knows what moto_more.py adds."""

    def __init__(self, more=False, **env):
        needs("moto_server", "aws")
        program = ["python3", os.path.join(os.path.dirname(os.path.realpath(__file__)), "moto_more.py")] if more else ["moto_server"]
        self.process = subprocess.Popen([*program, "-H", "127.0.0.1", "-p", str(PORT)], env={**environment(None), **env},
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, preexec_fn=die_with_parent,
                                        start_new_session=True)

    def __enter__(self):
        def up():
            if self.process.poll() is not None:
                fail(f"moto_server ended: {self.process.stderr.read().decode()[-500:]}")
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", PORT)) == 0
        wait_for(up, "moto_server does not listen")
        return self

    def __exit__(self, *_):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def aws(*args, **env):
    """The aws command line client's answer."""
    done = subprocess.run(["aws", "--endpoint-url", ENV["AWS_ENDPOINT_URL"], "--output", "json", *args],
                          env=environment({**ENV, **env}), capture_output=True, text=True, timeout=60, check=False)
    check(done.returncode == 0, f"aws {args}: {done.stderr}")
    return json.loads(done.stdout or "null")
