"""Claims of a running sidecar: clients of the API."""
import glob
import json
import os
import urllib.parse

from sidecarlib import Connection
from watchlib import check, fail


def fill(s, queue, names, content=b"x"):
    """Files that appear whole, each a little younger than the one before."""
    directory = os.path.join(s.mounts[0], queue)
    os.makedirs(directory, exist_ok=True)
    for i, name in enumerate(names):
        path = os.path.join(os.fsencode(directory), os.fsencode(name))
        with open(path, "wb") as file:
            file.write(content)
        os.utime(path, ns=(10**18 + i * 10**6,) * 2)


def left(s, queue):
    """(in the queue, given back, dead): names."""
    def names(pattern):
        return sorted(os.path.basename(p) for p in glob.glob(os.path.join(s.mounts[0], queue, pattern)) if os.path.isfile(p))
    return names("*"), names(".retry/*/*"), names(".dead/*/*")


def claims_on_share(s):
    """What lies in directories of claims, as paths beneath tasks/."""
    root = os.path.join(s.mounts[0], "tasks")
    found = []
    for directory, _, files in os.walk(root):
        if "/.claims/" in directory + "/":
            found += [os.path.relpath(os.path.join(directory, f), root) for f in files]
    return sorted(found)


class Claimer:
    """A stream of POST /v1/claims."""

    def __init__(self, s, queue, timeout=40, **query):
        self.sidecar, self.queue, self.last = s, queue, None
        self.connection = Connection(s.socket, timeout)
        self.connection.request("POST", "/v1/claims?" + urllib.parse.urlencode({"dir": queue, **query}))
        self.response = self.connection.getresponse()
        if self.response.status != 200:
            fail(f"{queue}: {self.response.status} {self.response.read(500)}")

    def next(self):
        """None at the end."""
        line = self.response.readline()
        return json.loads(line) if line else None

    def until(self, *events):
        seen = []
        while True:
            line = self.next()
            if line is None:
                fail(f"{self.queue}: the stream ended before {events}: {seen}")
            seen.append(line)
            if line["event"] in events:
                if line["event"] == "claimed":
                    self.last = line
                return line

    def claimed(self):
        """The next file; its path here."""
        line = self.until("claimed")
        path = os.path.join(line["mount"], line["path"])
        check(os.path.isfile(path), f"{path} is not there")
        return line

    def finish(self, word="done", claim=None):
        return finish(self.sidecar, (claim or self.last)["id"], word)

    def close(self):
        self.response.close()
        self.connection.close()


def finish(s, claim, word="done"):
    return s.request("POST", f"/v1/claims/{claim}/{word}")
