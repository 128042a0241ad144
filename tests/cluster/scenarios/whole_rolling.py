"""a rolling deployment from the release before to this one and back on one share: uploads, claims, locks and feed go on between both"""

import os

from harness.errors import check, equal
from harness.services import Release, Services, present

HOSTS = 3
DEADLINE_S = 240
EACH = 3  # uploads of a web task that a phase waits for


def previous(cluster):
    """What `make previous` built; in a clone that has not the commit, this release once more."""
    with open(os.path.join(cluster.top, "tests/previous-release"), encoding="ascii") as file:
        tag, commit = file.read().split()
    tree = os.path.join(cluster.build, "previous", commit, "image")
    if os.path.isdir(tree):
        return Release(tag.lstrip("v"), f"{tree}/usr/bin/efsctl", tree)
    cluster.log(f"{tag} ({commit}) is not built (make previous says why): both releases are the present one")
    return present(cluster)


class Deployment:
    def __init__(self, cluster):
        self.services = Services(cluster)
        self.cluster, self.version = cluster, None

    def start(self, release, **hosts):
        for name, number in hosts.items():
            self.services.start(name.replace("_", "-"), self.cluster.host(number), release)
        self.services.until_apps_run()
        for name, task in self.services.tasks.items():
            equal(f"the version of the sidecar of {name}", self.services.status(name)["version"], task.release.version)

    def phase(self, what):
        """All goes on for a while: each web task's uploads are processed, nobody lost a change, and the state is as it was."""
        services, before = self.services, self.services.said("uploaded")
        webs = [name for name in services.tasks if name.startswith("web")]
        services.until(lambda: all(len(self.of(n, services.said("uploaded"))) >= len(self.of(n, before)) + EACH for n in webs), 60,
                       f"{what}: {webs} upload")
        services.until_processed()
        for name in webs:
            resyncs = [e for e in services.events(name) if e.get("op") == "resync"]
            equal(f"{what}: the resyncs that {name} was told of", resyncs, [])
        version = self.cluster.server.run(f"cat {services.state_path()}/VERSION").stdout
        self.version = self.version or version
        equal(f"{what}: VERSION", version, self.version)
        self.cluster.log(f"---- {what}: {len(services.said('processed'))} processed, {len(services.tokens())} tokens")

    @staticmethod
    def of(name, uploads):
        return [u for u in uploads if u.startswith(name + "-")]

    def told(self, web, processor, since=()):
        """The feed of one release's task has what a task of the other one published."""
        def published():
            return {f"out/{n}" for n in self.services.said("processed", processor)} - {f"out/{n}" for n in since}
        # which processor has an upload is chance: the other one may have had all so far
        self.services.until(published, 60, f"{processor} publishes something that {web} can be told of")
        wanted = published()
        self.services.until(lambda: wanted <= {e.get("path") for e in self.services.events(web)}, 30,
                            f"{web} is told of what {processor} published")

    def only(self, web, processor, stop):
        """One release claims what the other one uploads."""
        self.services.stop(stop)
        before = len(self.of(web, self.services.said("processed", processor)))
        self.phase(f"{web} uploads, {processor} works alone")
        after = len(self.of(web, self.services.said("processed", processor)))
        check(after >= before + EACH, f"{processor} processed {after - before} of the last uploads of {web}")


def check_tokens(services, tokens):
    """The lock went from one release to the other, both ways."""
    releases = [services.stopped[task].release for _, task in tokens]
    changes = list(zip(releases, releases[1:]))
    old, new = services.stopped["web-1"].release, services.stopped["web-2"].release
    if old != new:
        counts = [changes.count(c) for c in ((old, new), (new, old))]
        check(min(counts) >= 3, f"the lock went {counts[0]} times from {old.version} to {new.version} and {counts[1]} times back")


def run(cluster):
    cluster.server.delay_ms(1)
    old, new = previous(cluster), present(cluster)
    deployment = Deployment(cluster)
    services = deployment.services

    deployment.start(old, web_1=1, processor_1=2)
    deployment.phase("old only")
    deployment.start(new, web_2=3, processor_2=1)
    done = services.said("processed")
    deployment.phase("old and new")
    deployment.told("web-2", "processor-1", done)
    deployment.only("web-1", "processor-2", "processor-1")
    deployment.told("web-1", "processor-2")
    services.stop("web-1")
    deployment.phase("new only")

    deployment.start(old, web_3=2, processor_3=3)
    deployment.only("web-2", "processor-3", "processor-2")
    deployment.told("web-2", "processor-3")
    services.stop("web-2")
    deployment.phase("old again")
    services.stop("web-3")
    services.until_processed()
    services.stop()

    uploaded, tokens = services.check_results()
    services.check_empty()
    check_tokens(services, tokens)
    cluster.log(f"{uploaded} uploads, {len(tokens)} tokens")
