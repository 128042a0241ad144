#!/usr/bin/env python3
"""The cloudwatch sink of the sidecar: what CloudWatch gets is what was measured, also when it is slow, broken, or says no."""
import collections
import gzip
import json
import os
import subprocess
import time

from awslib import TOKEN, BlackHole, Fake, environment, keys, own_network, shows_secret, succeeds, verify
from motolib import ENV, Moto, aws
from sidecarlib import Sidecar
from watchlib import check, check_size, run, wait_for

FS = "fs-0123456789abcdef0"
DIMENSIONS = [{"Name": "ClusterName", "Value": "prod"}, {"Name": "ServiceName", "Value": "web"}, {"Name": "FileSystemId", "Value": FS}]
OPTIONS = ("--metrics-sinks=emf,cloudwatch", "--metrics-interval=1s", "--metrics-cloudwatch-flush=2s", "--metrics-set=all", "--cluster=prod",
           "--service=web", "--mount-probe-interval=100ms", "--canary-interval=300ms", "--watch-enabled=false", "--stop-timeout=15s")


def start(root, env, *options, **kwargs):
    return Sidecar(root, *OPTIONS, *options, mounts=kwargs.pop("mounts", (f"share={FS}",)), env=environment(env), **kwargs)


def measured(sidecar):
    """From the EMF lines on stdout: (metric, dimensions, second) to what was measured; the last, short interval may share its second."""
    found = collections.defaultdict(list)
    with open(sidecar.out_path, encoding="utf-8") as f:
        for event in map(json.loads, f.read().splitlines()):
            directive = event["_aws"]["CloudWatchMetrics"][0]
            where = tuple((d, event[d]) for d in directive["Dimensions"][0])
            for metric in directive["Metrics"]:
                found[metric["Name"], where, event["_aws"]["Timestamp"] // 1000].append(statistics(event[metric["Name"]]))
    return found


def statistics(values):
    """SampleCount, Sum, Minimum, Maximum of an EMF value."""
    if isinstance(values, dict):
        return values["Count"], values["Sum"], values["Min"], values["Max"]
    values = values if isinstance(values, list) else [values]
    return len(values), sum(values), min(values), max(values)


def together(statistics_list):
    counts, sums, lows, highs = zip(*statistics_list)
    return sum(counts), sum(sums), min(lows), max(highs)


def close(a, b):
    return abs(a - b) <= 1e-7 * max(abs(a), abs(b))


def alike(name, mine, theirs):
    check(all(close(a, b) for a, b in zip(mine, theirs)), f"{name}: measured (count, sum, min, max) {mine}, CloudWatch has {theirs}")


class CloudWatch(Fake):
    """Takes PutMetricData as AWS does, within its limits; each answer of faults is given once before."""

    def __init__(self, *faults, bad=None, **kwargs):
        self.faults, self.bad, self.seconds, self.resolutions = list(faults), bad, [], set()
        self.taken, self.calls, self.fixed, self.wrong = collections.defaultdict(list), [], None, []
        super().__init__(self._answer, **kwargs)

    def _answer(self, request):
        wrong = verify(request, "monitoring")
        if wrong:
            self.wrong.append(wrong)
        with self.lock:
            fault = self.fixed or (self.faults.pop(0) if self.faults else None)
        if fault:
            return fault(request) if callable(fault) else fault
        body = gzip.decompress(request.body) if request.headers.get("content-encoding") == "gzip" else request.body
        data = json.loads(body)["MetricData"]
        self.calls.append(len(data))
        if not 0 < len(data) <= 1000 or len(body) > 1000000:
            return 413, {}, "too large"
        keyed = [((d["MetricName"], tuple((x["Name"], x["Value"]) for x in d["Dimensions"]), d["Timestamp"]), d) for d in data]
        if self.bad and any(self.bad(*key) for key, _ in keyed):
            return 400, {"x-amzn-query-error": "InvalidParameterValue;Sender"}, {
                "__type": "GraniteServiceVersion20100801#InvalidParameterValueException", "message": "a value is out of range"}
        self.seconds += [key[2] for key, _ in keyed]
        for key, datum in keyed:
            if len(datum.get("Values", [])) > 150:
                self.wrong.append(f"{key}: {len(datum['Values'])} values")
            self.taken[key].append(of_datum(datum))
            self.resolutions.add(datum.get("StorageResolution", 60))
        return 200, {}, "{}"


def of_datum(datum):
    values, counts = datum.get("Values", [datum.get("Value")]), datum.get("Counts", [1])
    return sum(counts), sum(v * c for v, c in zip(values, counts)), min(values), max(values)


def all_arrived(cloudwatch, sidecar, but=()):
    """Everything that was measured was taken, once, with its time and in order; but for what is listed."""
    mine = measured(sidecar)
    check(not cloudwatch.wrong, f"{cloudwatch.wrong[:1]}")
    missing = [key for key in mine if key not in cloudwatch.taken and key not in but]
    check(not missing, f"{len(missing)} of {len(mine)} did not arrive: {missing[:3]}; {sidecar.log()}")
    for key, values in mine.items():
        if key not in but:
            arrived = cloudwatch.taken[key]
            check(len(arrived) == len(values), f"{key} was measured {len(values)} times and arrived {len(arrived)} times")
            alike(key, together(values), together(arrived))
    check(len(mine) == len(cloudwatch.taken) + len(but), f"{len(mine)} measured, {len(cloudwatch.taken)} arrived")
    check(cloudwatch.seconds == sorted(cloudwatch.seconds), "not in order")
    check(not shows_secret(sidecar.log()), "a secret is in the log")
    return len(mine)


def intervals(cloudwatch):
    return len({key[2] for key in cloudwatch.taken if key[0] == "Heartbeat"})


# ---- moto: what the real client reads back ----

def moto(root):
    """get-metric-statistics and get-metric-data give back what was measured: counters, gauges, distributions"""
    begin = time.time()
    with Moto(), start(root, ENV, "--metrics-interval=5s", "--metrics-cloudwatch-flush=5s", "--mount-probe-interval=10ms") as sidecar:
        wait_for(lambda: sidecar.get("/metrics") and len({k[2] for k in measured(sidecar)}) >= 3, "3 intervals", 40)
        check(sidecar.stop() == 0, f"exit code: {sidecar.log()}")
        mine = measured(sidecar)
        window = ("--start-time", str(int(begin) - 60), "--end-time", str(int(time.time()) + 60))
        largest = 0
        for name in ("Heartbeat", "ApiRequests", "ResidentMemory", "MountReady", "ProbeLatency", "CanaryWriteLatency"):
            of_name = {k: together(v) for k, v in mine.items() if k[0] == name}
            where = [{"Name": n, "Value": v} for n, v in next(iter(of_name))[1]]
            flat = [f"Name={d['Name']},Value={d['Value']}" for d in where]
            points = aws("cloudwatch", "get-metric-statistics", "--namespace", "EFSSidecar", "--metric-name", name, "--dimensions", *flat, *window,
                         "--period", "6000", "--statistics", "SampleCount", "Sum", "Minimum", "Maximum")["Datapoints"]
            check(len(points) == 1, f"{name}: {points}")
            alike(name, together(of_name.values()), [points[0][k] for k in ("SampleCount", "Sum", "Minimum", "Maximum")])
            largest = max(largest, *(s[0] for s in of_name.values()))

            # Each interval by itself, as a graph shows it.
            stat = {"Namespace": "EFSSidecar", "MetricName": name, "Dimensions": where}
            queries = [{"Id": s.lower(), "MetricStat": {"Metric": stat, "Period": 1, "Stat": s}}
                       for s in ("SampleCount", "Sum", "Minimum", "Maximum")]
            results = aws("cloudwatch", "get-metric-data", *window, "--metric-data-queries", json.dumps(queries))["MetricDataResults"]
            series = {r["Id"]: r["Values"] for r in results}
            for i, s in enumerate(("samplecount", "sum", "minimum", "maximum")):
                check(len(series[s]) == len(of_name), f"{name}: {len(of_name)} intervals, {s} {series[s]}")
                alike(f"{name} {s}", sorted(x[i] for x in of_name.values()), sorted(series[s]))
        check(largest > 1, "no distribution had two values")

        pairs = [(0.001 * 1.1 ** i, 1 + i) for i in range(150)]  # moto keeps an object for each that is counted
        begun = int(time.time())
        succeeds("put", "Direct", "Latency", "Milliseconds", *(f"{v!r}*{c}" for v, c in pairs), env=ENV, deadline_ms=30000)
        points = aws("cloudwatch", "get-metric-statistics", "--namespace", "Direct", "--metric-name", "Latency", "--dimensions",
                     "Name=ClusterName,Value=prod", "--start-time", str(begun - 60), "--end-time", str(begun + 60), "--period", "6000",
                     "--statistics", "SampleCount", "Sum", "Minimum", "Maximum")["Datapoints"]
        alike("150 values", (sum(c for _, c in pairs), sum(v * c for v, c in pairs), pairs[0][0], pairs[-1][0]),
              [points[0][k] for k in ("SampleCount", "Sum", "Minimum", "Maximum")])
    return f"{len(mine)} data"


# ---- a service that keeps to the rules, and its bad days ----

def limits(root):
    """calls are signed over what is sent, compressed, and within the limits, with 16 mounts and all metrics"""
    shares = tuple(f"s{i}={FS[:-2]}{i:02x}" for i in range(16))
    with CloudWatch() as cloudwatch, start(root, {**keys(), "AWS_ENDPOINT_URL": cloudwatch.url}, "--metrics-max-series=10000",
                                           "--watch-enabled=true", "--metrics-cloudwatch-flush=8s", mounts=shares) as sidecar:
        wait_for(lambda: intervals(cloudwatch) >= 9, lambda: f"9 intervals: {sidecar.log()}", 60)
        condition = sidecar.condition("MetricsPublishing")
        check((condition["status"], condition["reason"]) == ("True", "Publishing"), f"{condition}")
        check(sidecar.condition("CredentialsValid")["status"] == "True", f"{sidecar.condition('CredentialsValid')}")
        check(sidecar.stop() == 0, "exit code")
        n = all_arrived(cloudwatch, sidecar)
        kinds = collections.Counter(r.headers.get("content-encoding", "plain") for r in cloudwatch.requests)
        check(kinds["gzip"] >= 2 and max(cloudwatch.calls) > 500, f"{kinds}, {cloudwatch.calls}")
    return f"{n} data in calls of {cloudwatch.calls}, {dict(kinds)}"


def no_gzip(root):
    """an endpoint that cannot uncompress gets the same plain, at once and from then on"""
    def refuse(request):
        return (415, {}, "") if "content-encoding" in request.headers else None
    with CloudWatch() as cloudwatch:
        usual = cloudwatch.answer
        cloudwatch.answer = lambda request: refuse(request) or usual(request)
        with start(root, {**keys(), "AWS_ENDPOINT_URL": cloudwatch.url}) as sidecar:
            wait_for(lambda: intervals(cloudwatch) >= 5, "5 intervals", 30)
            check(sidecar.stop() == 0, "exit code")
            all_arrived(cloudwatch, sidecar)
        compressed = [r for r in cloudwatch.requests if "content-encoding" in r.headers]
        check(len(compressed) == 1 and len(cloudwatch.requests) > 2, f"{len(compressed)} of {len(cloudwatch.requests)} were compressed")


def hang_up(request):
    raise OSError("the connection breaks")


def coded(status, code):
    return status, {}, {"__type": "GraniteServiceVersion20100801#" + code, "message": "m"}


THROTTLED = (400, {"x-amzn-query-error": "Throttling;Sender"}, {"__type": "GraniteServiceVersion20100801#ThrottlingException", "message": "m"})


def faults(root):
    """throttling as 400, 500, 503, broken connections, a hang, an expired token: nothing is lost, nothing comes twice"""
    hung = []

    def hang(request):
        hung.append(request)
        time.sleep(15)
        raise OSError("too late")
    first = [THROTTLED, coded(500, "InternalServiceError"), (503, {}, ""), hang_up, hang_up, coded(403, "ExpiredToken"), hang,
             (500, {}, "<html>"), (502, {}, ""), (503, {}, ""), (503, {}, ""), (503, {}, ""), (503, {}, "")]
    with CloudWatch(*first) as cloudwatch, start(root, {**keys(), "AWS_ENDPOINT_URL": cloudwatch.url}) as sidecar:
        wait_for(lambda: sidecar.condition("MetricsPublishing")["status"] == "False", "MetricsPublishing says nothing", 60)
        reason = sidecar.condition("MetricsPublishing")["reason"]
        wait_for(lambda: cloudwatch.taken, lambda: f"nothing arrives: {len(cloudwatch.faults)} faults left, {sidecar.log()}", 100)
        wait_for(lambda: sidecar.condition("MetricsPublishing")["status"] == "True", "MetricsPublishing stays", 20)
        check(sidecar.health_ms() < 500, "slow")
        check(sidecar.stop() == 0, "exit code")
        n = all_arrived(cloudwatch, sidecar)
        check(hung and not cloudwatch.faults, "not every fault was met")
    return f"{n} data after {len(first)} faults ({reason})"


def one_bad(root):
    """one datum that the service does not want, among 1000 of a call, costs that datum alone"""
    shares = tuple(f"s{i}={FS[:-2]}{i:02x}" for i in range(16))
    chosen = []

    def bad(name, where, second):
        if name == "MountReady" and ("FileSystemId", FS[:-2] + "07") in where and not chosen:
            chosen.append((name, where, second))
        return (name, where, second) in chosen
    with CloudWatch(bad=bad) as cloudwatch, start(root, {**keys(), "AWS_ENDPOINT_URL": cloudwatch.url}, "--metrics-max-series=10000",
                                                  "--watch-enabled=true", "--metrics-cloudwatch-flush=8s", mounts=shares) as sidecar:
        wait_for(lambda: intervals(cloudwatch) >= 9, lambda: f"9 intervals: {sidecar.log()}", 60)
        check("efs_sidecar_metric_data_dropped_total 1\n" in sidecar.get("/metrics")[1], "the drop is not counted")
        check(sidecar.stop() == 0, "exit code")
        n = all_arrived(cloudwatch, sidecar, but=chosen)
        check(chosen and "does not take a value" in sidecar.log() and "MountReady" in sidecar.log(), sidecar.log())
    return f"{n} data, calls of {cloudwatch.calls}"


def denied(root):
    """AccessDenied: told with the statement to add, nothing is lost, and all arrives once it is allowed"""
    with CloudWatch() as cloudwatch:
        cloudwatch.fixed = coded(403, "AccessDenied")
        with start(root, {**keys(), "AWS_ENDPOINT_URL": cloudwatch.url}) as sidecar:
            wait_for(lambda: sidecar.condition("MetricsPublishing")["reason"] == "AccessDenied", "AccessDenied is not told", 30)
            told = sidecar.condition("MetricsPublishing")["message"]
            statement = json.loads(told[told.index("{"):])
            check(statement == {"Effect": "Allow", "Action": "cloudwatch:PutMetricData", "Resource": "*",
                                "Condition": {"StringEquals": {"cloudwatch:namespace": "EFSSidecar"}}}, told)
            check(sidecar.condition("CredentialsValid")["status"] == "True", "the credentials are good")
            calls = len(cloudwatch.requests)
            time.sleep(4)
            check(len(cloudwatch.requests) == calls, "it goes on asking")
            cloudwatch.fixed = None
            check(sidecar.stop() == 0, "exit code")
            return f"{all_arrived(cloudwatch, sidecar)} data"


def no_credentials(root):
    """without credentials: CredentialsValid says so, and what to do"""
    with CloudWatch() as cloudwatch, start(root, {"AWS_ENDPOINT_URL": cloudwatch.url, "AWS_EC2_METADATA_DISABLED": "true"}) as sidecar:
        wait_for(lambda: sidecar.condition("CredentialsValid")["status"] == "False", "CredentialsValid says nothing", 30)
        check("taskRoleArn" in sidecar.condition("CredentialsValid")["message"], f"{sidecar.condition('CredentialsValid')}")
        check(sidecar.condition("MetricsPublishing")["reason"] == "NoCredentials", f"{sidecar.condition('MetricsPublishing')}")
        check(sidecar.stop() == 0 and not cloudwatch.requests, "a request was sent")


def refused_credentials(root):
    """credentials that AWS does not take: CredentialsValid says so, and all is kept"""
    with CloudWatch() as cloudwatch:
        cloudwatch.fixed = coded(403, "InvalidClientTokenId")
        with start(root, {**keys(), "AWS_ENDPOINT_URL": cloudwatch.url}) as sidecar:
            wait_for(lambda: sidecar.condition("CredentialsValid")["status"] == "False", "CredentialsValid says nothing", 30)
            check("InvalidClientTokenId" in sidecar.condition("CredentialsValid")["message"], f"{sidecar.condition('CredentialsValid')}")
            cloudwatch.fixed = None
            check(sidecar.stop() == 0, "exit code")
            all_arrived(cloudwatch, sidecar)


def outage_at_the_end(root):
    """SIGTERM while CloudWatch hangs: gone within the stop timeout, and what is lost is counted in the log"""
    with BlackHole() as hole, start(root, {**keys(), "AWS_ENDPOINT_URL": hole.url}) as sidecar:
        wait_for(lambda: len({k[2] for k in measured(sidecar)}) >= 4, "4 intervals", 30)
        begun = time.monotonic()
        check(sidecar.stop() == 0, "exit code")
        took = time.monotonic() - begun
        check(took < 13, f"SIGTERM took {took:.1f} s of the 15 s")
        lost = next(json.loads(line)["msg"] for line in sidecar.log().splitlines() if "could not be sent" in line)
        n = sum(len(v) for v in measured(sidecar).values())
        check(int(lost.split()[0]) == n, f"{n} were measured: {lost}")
    return f"{took:.1f} s"


def certificate(root):
    """For 127.0.0.1; trusted beside all authorities of the system, which AWS needs and which cost memory."""
    pem, ca = (os.path.join(root.decode(), n) for n in ("both.pem", "ca.pem"))
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-keyout", pem,
                    "-out", ca, "-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True, timeout=30)
    with open(ca, "rb") as one, open(pem, "ab") as both:
        both.write(one.read())
    with open("/etc/ssl/certs/ca-certificates.crt", "rb") as system, open(ca, "ab") as trusted:
        trusted.write(system.read())
    return pem, ca


def memory(root):
    """everything on, over TLS, with a full buffer during an outage and after it: at most 16 MB resident"""
    pem, ca = certificate(root)
    shares = tuple(f"s{i}={FS[:-1]}{i}" for i in range(4))
    most = 0
    with CloudWatch(certificate=pem) as cloudwatch:
        cloudwatch.fixed = (503, {}, "")
        with start(root, {**keys(TOKEN), "AWS_ENDPOINT_URL": cloudwatch.url, "AWS_CA_BUNDLE": ca}, "--metrics-max-series=10000",
                   "--metrics-high-resolution=true", "--metrics-buffer=256KiB", "--watch-enabled=true", mounts=shares) as sidecar:
            wait_for(lambda: sidecar.status()["metrics_dropped"] > 0, "the buffer is not full", 60)
            most = max(most, sidecar.rss_kib())
            cloudwatch.fixed = None
            wait_for(lambda: cloudwatch.taken, "nothing arrives", 60)
            time.sleep(2)
            most = max(most, sidecar.rss_kib())
            check(sidecar.stop() == 0, "exit code")
            check(cloudwatch.resolutions == {1}, "no high resolution")
    check_size(most <= 16 * 1024, f"{most} KiB")
    return f"{most} KiB"


if __name__ == "__main__":
    own_network()
    run(limits, no_gzip, moto, no_credentials, refused_credentials, memory)
