"""two services from the image, with AWS: uploads, claims, locks, cache, feed, metrics that the aws client reads back, and the stop"""

import json
import time

from harness.aws import Aws
from harness.errors import check, equal, matches
from harness.services import Services, present, with_environment

HOSTS = 3
DEADLINE_S = 200
UPLOADS, READS = 5, 10
FILE_SYSTEM = "fs-0123456789abcdef0"
PAGE = "/uploads/hot/page"
COUNTED = "Published,Claimed,ClaimsDone,LocksGranted,CacheHits"


def to_cloudwatch(definition):
    """Metrics by calls of the service; the gate asks STS whose credentials these are."""
    changed = with_environment(definition, "efs-sidecar", EFS_SIDECAR_METRICS_SINKS="cloudwatch", EFS_SIDECAR_METRICS_INTERVAL="2s",
                               EFS_SIDECAR_METRICS_CLOUDWATCH_FLUSH="4s", EFS_SIDECAR_METRICS_INCLUDE=COUNTED)
    return with_environment(changed, "efs-init", EFS_SIDECAR_EXPECT_ROLE=f"{definition['family']}-task", EFS_SIDECAR_STS="true")


def read_hot(services):
    """A file that is read again and again comes from the copy."""
    web = services.tasks["web-1"]["app"]
    web.run(f"echo page | /opt/efs-sidecar/efsctl publish - {PAGE}", timeout=30)
    services.tasks["web-2"]["app"].run(f"/opt/efs-sidecar/efsctl cache warm {PAGE}", timeout=60)
    text = services.tasks["web-2"]["app"].run(f"for i in $(seq {READS}); do cat {PAGE}; done", timeout=30).stdout
    equal("what was read", text, "page\n" * READS)
    services.until(lambda: hits(services, "web-2") == READS, 20, f"web-2 counts {READS} hits")
    equal("hits of web-1, which read nothing", hits(services, "web-1"), 0)


def hits(services, name):
    mounts = json.loads(services.tasks[name]["app"].run("/opt/efs-sidecar/efsctl cache --json").stdout)["mounts"]
    return next(m["opens"]["hits"] for m in mounts if m["mount"] == "/uploads")


def told(services):
    """Each web task heard of what the others did for it, and of nothing lost."""
    for name in "web-1", "web-2":
        wanted = {*services.must_be_told(name), "hot/page"}
        check(len(wanted) > 2, f"{name} followed the feed too late: {services.log(name)}")
        services.until(lambda n=name, w=wanted: w <= {e.get("path") for e in services.events(n)}, 30, f"{name} is told of each result")
        resyncs = [e for e in services.events(name) if e.get("op") == "resync"]
        equal(f"resyncs that {name} was told of", resyncs, [])


def check_metrics(services, aws, began, uploaded, tokens):
    """All that was counted from the first moment to the last is in CloudWatch, once."""
    window = ("--start-time", str(int(began) - 60), "--end-time", str(int(time.time()) + 60), "--period", "6000")
    locked = {service: sum(task.startswith(service) for _, task in tokens) for service in ("web", "processor")}
    wanted = {("web", "Published"): uploaded + 1, ("processor", "Published"): uploaded, ("processor", "ClaimsDone"): uploaded,
              ("web", "LocksGranted"): locked["web"], ("processor", "LocksGranted"): locked["processor"], ("web", "CacheHits"): READS}
    found = {}
    for service, metric in wanted:
        dimensions = [f"Name={n},Value={v}" for n, v in (("ClusterName", "production"), ("ServiceName", service), ("FileSystemId", FILE_SYSTEM))]
        points = aws.cli("cloudwatch", "get-metric-statistics", "--namespace", "EFSSidecar", "--metric-name", metric, *window,
                         "--dimensions", *dimensions, "--statistics", "Sum")["Datapoints"]
        found[service, metric] = sum(p["Sum"] for p in points)
    equal("what CloudWatch counted", found, wanted)


def run(cluster):
    cluster.server.delay_ms(1)
    began = time.time()
    with Aws(cluster) as aws:
        aws.wait_ready()
        services = Services(cluster, aws, UPLOADS, 0.2)
        release = present(cluster)
        for name, number in ("web-1", 1), ("web-2", 2), ("processor-1", 2), ("processor-2", 3):
            services.start(name, cluster.host(number), release, to_cloudwatch)
        services.until_apps_run()
        for name, task in services.tasks.items():
            role = f"arn:aws:sts::123456789012:assumed-role/{name.split('-')[0]}-task/"
            matches(f"the gate of {name}", task["efs-init"].log(), f"ok +caller .*{role}")
            equal(f"the version of the sidecar of {name}", services.status(name)["version"], release.version)

        services.until(lambda: len(services.said("uploaded")) == 2 * UPLOADS, 60, "all is uploaded")
        services.until_processed()
        read_hot(services)
        told(services)
        services.stop("web-1", "web-2")
        services.until_processed()
        services.stop()
        uploaded, tokens = services.check_results()
        services.check_empty()
        equal("uploads", uploaded, 2 * (UPLOADS + 1))
        check({task for _, task in tokens} >= {"web-1", "web-2"}, f"not all had the lock: {tokens}")
        check_metrics(services, aws, began, uploaded, tokens)
        cluster.log(f"{uploaded} uploads, {len(tokens)} tokens")
