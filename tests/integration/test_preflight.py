#!/usr/bin/env python3
"""efs-init preflight in a network of its own: names, addresses, servers, EFS's answers, and nothing that answers at all."""
import contextlib
import json
import os
import socket
import struct
import subprocess
import tempfile
import threading
import time

from awslib import SECRET, TOKEN, BlackHole, Fake, environment, own_network, shows_secret
from test_aws_moto import ENV as MOTO_ENV, Moto, aws
from watchlib import BUILD, check, die_with_parent, fail, run

EFS_INIT = os.path.join(BUILD, "efs-init")
FS, REGION = "fs-0123456789abcdef0", "eu-west-1"
NAME = f"{FS}.efs.{REGION}.amazonaws.com"
NFS, OTHER, DROPPED, CLOSED, UNROUTED = "10.99.0.1", "10.99.0.2", "10.99.0.3", "10.99.0.4", "10.98.0.1"
NFS6, CLOSED6 = "fd00:99::1", "fd00:99::4"
RULES = f"""table inet test {{
 chain input {{
  type filter hook input priority 0
  ip daddr {DROPPED} tcp dport 2049 drop
 }}
}}
"""


def network():
    """Addresses that are not loopback ones by number, on the loopback device; one drops, one has no route."""
    for address in (NFS, OTHER, DROPPED, CLOSED):
        subprocess.run(["ip", "addr", "add", f"{address}/32", "dev", "lo"], check=True, timeout=10)
    for address in (NFS6, CLOSED6):
        subprocess.run(["ip", "addr", "add", f"{address}/128", "dev", "lo", "nodad"], check=True, timeout=10)
    subprocess.run(["ip", "route", "add", "unreachable", f"{UNROUTED}/32"], check=True, timeout=10)
    subprocess.run(["nft", "-f", "-"], input=RULES, text=True, check=True, timeout=10)
    with tempfile.NamedTemporaryFile("w", prefix="resolv.", delete=False) as file:
        file.write("nameserver 127.0.0.1\noptions timeout:2 attempts:1 ndots:1\nsearch corp.example\n")
    subprocess.run(["mount", "--bind", file.name, "/etc/resolv.conf"], check=True, timeout=10)
    os.unlink(file.name)


class Listener:
    """A TCP server on port 2049; answer(bytes) is what it sends back, None hangs, b"" closes. .calls is what it received."""

    def __init__(self, address, answer):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.socket = socket.create_server((address, 2049), family=family)
        self.answer, self.calls, self.ended = answer, [], []
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.one, args=(connection,), daemon=True).start()

    def one(self, connection):
        with connection, contextlib.suppress(OSError):  # it may hang up at any point
            connection.settimeout(20)
            call = connection.recv(1024)
            self.calls.append(call)
            answer = self.answer(call)
            if answer is not None:
                for i in range(len(answer)):  # byte by byte: a reply may come in pieces
                    connection.send(answer[i:i + 1])
            if answer != b"":
                self.ended.append(connection.recv(1024))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


def rpc(call, status=0, more=b"", accepted=0, xid=None):
    """What RFC 5531 says of a reply: mark, xid, REPLY, MSG_ACCEPTED, a verifier of 4 bytes, status."""
    body = struct.pack(">IIIIII", struct.unpack(">I", call[4:8])[0] if xid is None else xid, 1, accepted, 1, 3, 0x41424300) + \
        struct.pack(">I", status) + more
    return struct.pack(">I", 0x80000000 | len(body)) + body


class Dns:
    """A name server on 127.0.0.1: names maps a name to addresses; "" for no answer at all."""

    def __init__(self, names):
        self.names, self.asked = names, []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 53))
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            try:
                query, client = self.socket.recvfrom(1024)
            except OSError:
                return
            if not query:
                return
            answer = self.answer(query)
            if answer:
                self.socket.sendto(answer, client)

    def answer(self, query):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode())
            at += 1 + query[at]
        name, kind = ".".join(labels).lower(), struct.unpack(">H", query[at + 1:at + 3])[0]
        self.asked.append(name)
        addresses = self.names.get(name)
        if addresses == "":
            return None
        family = {1: socket.AF_INET, 28: socket.AF_INET6}.get(kind)
        found = [a for a in addresses or () if (":" in a) == (family == socket.AF_INET6)]
        records = b"".join(b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 60, len(socket.inet_pton(family, a))) +
                           socket.inet_pton(family, a) for a in found)
        code = 0 if addresses is not None else 3
        return query[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, len(found), 0, 0) + query[12:at + 5] + records

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", ("127.0.0.1", 53))
        self.thread.join(5)
        self.socket.close()


class Outcome:
    def __init__(self, args, env):
        start = time.monotonic()
        done = subprocess.run([EFS_INIT, "preflight", "--format=json", *args], env=environment({"AWS_EC2_METADATA_DISABLED": "true", **env}),
                              capture_output=True, text=True, timeout=60, check=False, preexec_fn=die_with_parent)
        self.seconds = time.monotonic() - start
        self.code, self.lines = done.returncode, done.stderr.strip()
        self.answer = self.lines.rpartition("\n")[2]
        check(not shows_secret(done.stdout + done.stderr), f"{args}: a secret was shown")
        try:
            self.report = json.loads(done.stdout)
        except ValueError:
            fail(f"{args}: exit code {self.code}, {done.stdout} {self.lines}")

    def step(self, name):
        """(verdict, words) of a step; of the server step the worst."""
        found = [c for c in self.report["checks"] if c["id"] == name]
        check(found, f"no step {name} in {self.lines}")
        one = max(found, key=lambda c: ("skip", "ok", "unknown", "warn", "fail").index(c["verdict"]))
        return one["verdict"], one["message"] + " | " + one.get("fix", "")

    def wants(self, name, verdict, *words):
        have, text = self.step(name)
        check(have == verdict, f"{name} is {have}, not {verdict}: {self.lines}")
        for word in words:
            check(word in text, f"{name}: no \"{word}\" in: {text}")
        return self


def preflight(*args, **env):
    return Outcome(args, env)


def passes(*args, **env):
    outcome = preflight(*args, **env)
    check(outcome.code == 0 and outcome.answer.startswith("efs-init preflight: ready after"), f"{args}: {outcome.code}: {outcome.lines}")
    check(outcome.report["ok"] and outcome.report["exit_code"] == 0 and "cause" not in outcome.report, outcome.report)
    return outcome


def refuses(code, cause, *words, args, **env):
    outcome = preflight(*args, **env)
    check(outcome.code == code, f"{args}: exit code {outcome.code}, not {code}: {outcome.lines}")
    check(outcome.answer.startswith(f"efs-init preflight: NOT READY ({cause}, exit {code}): "), outcome.answer)
    for word in words:
        check(word in outcome.answer, f"{args}: no \"{word}\" in the last line: {outcome.answer}")
    check(not outcome.report["ok"] and (outcome.report["cause"], outcome.report["exit_code"]) == (cause, code), outcome.report)
    return outcome


def null_call(root):
    """an address: one connection, one NULL call of NFSv4, as RFC 5531 has it, and then it is closed"""
    for address in (NFS, NFS6):
        with Listener(address, rpc) as server:
            outcome = passes(address)
            outcome.wants("server", "ok", address, "answers as NFS 4")
            check([c["id"] for c in outcome.report["checks"]] == ["server"], outcome.lines)
            check(len(server.calls) == 1, f"{len(server.calls)} connections")
            words = struct.unpack(">11I", server.calls[0])
            check(words[0] == 0x80000028 and words[2:] == (0, 2, 100003, 4, 0, 0, 0, 0, 0), f"the call was {words}")
            end = time.monotonic() + 5
            while not server.ended and time.monotonic() < end:
                time.sleep(0.01)
            check(server.ended == [b""], f"after the reply came {server.ended}")
            one = outcome.report["addresses"][0]
            check(one["result"] == "ok" and 0 < one["connect_us"] <= one["reply_us"] < 5e6, one)


def servers(root):
    """what does not listen, drops, has no route, is no NFS server, closes or says nothing: each by its name"""
    refuses(84, "ConnectionRefused", f"{CLOSED} refuses connections to port 2049", args=[CLOSED])
    refuses(84, "ConnectionRefused", CLOSED6, args=[CLOSED6])
    late = refuses(85, "ConnectionTimedOut", f"{DROPPED} does not answer on port 2049 within 1", "security group", args=[DROPPED, "--connect-timeout=1s"])
    check(1 <= late.seconds < 2, f"it took {late.seconds} s")
    refuses(86, "NetworkUnreachable", UNROUTED, "EHOSTUNREACH", args=[UNROUTED])
    refuses(86, "NetworkUnreachable", "ENETUNREACH", args=["10.97.0.1"])
    for answer, code, cause, words in (
            (lambda c: b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n", 88, "NoNfsServer", "no RPC server"),
            (lambda c: b"HTTP/1.1 400 Bad Request\r\n\r\n" * 40, 88, "NoNfsServer", "no RPC server"),
            (lambda c: rpc(c, xid=7), 88, "NoNfsServer", "no RPC server"),
            (lambda c: rpc(c, 1), 88, "NoNfsServer", "not one of NFS"),
            (lambda c: rpc(c, 2, struct.pack(">II", 2, 3)), 88, "NoNfsServer", "does not speak version 4"),
            (lambda c: rpc(c, accepted=1), 88, "NoNfsServer", "refuses the call"),
            (lambda c: b"\x80\x00\x01\xf0" + b"\xff" * 496, 88, "NoNfsServer", "no RPC server"),
            (lambda c: b"", 87, "ConnectionReset", "closes it at the first NFS call"),
            (lambda c: rpc(c)[:20], 88, "NoNfsServer", "does not answer an NFS call within 1"),
            (lambda c: None, 88, "NoNfsServer", "does not answer an NFS call within 1")):
        with Listener(NFS, answer):
            refuses(code, cause, NFS, words, args=[NFS, "--connect-timeout=500ms"])


def loopback(root):
    """a loopback address, however it is written or reached, is refused, and nothing connects to it"""
    quiet = [socket.create_server(("127.0.0.1", 2049)), socket.create_server(("::1", 2049), family=socket.AF_INET6)]
    names = {NAME: ["127.0.0.1", "::1"]}
    with Dns(names):
        for target in ("127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1", "0.0.0.0", "::", "localhost", NAME, FS):
            refuses(89, "LoopbackAddress", "address of this host itself: not connected", "efs-utils proxy", args=[target], AWS_REGION=REGION)
        names[NAME] = ["127.0.0.1", NFS]
        with Listener(NFS, rpc):
            passes(FS, AWS_REGION=REGION).wants("server", "warn", "127.0.0.1", "not connected")
    for listener in quiet:
        listener.setblocking(False)
        try:
            listener.accept()
            fail("somebody connected")
        except BlockingIOError:
            listener.close()


def names(root):
    """the name: both families, only IPv6, none, another with a search domain, one address of two that fails"""
    known = {NAME: [NFS, NFS6]}
    with Dns(known) as dns, Listener(NFS, rpc) as v4, Listener(NFS6, rpc) as v6:
        good = passes(FS, "--az=eu-west-1b", AWS_REGION=REGION)
        good.wants("name", "ok", NAME, NFS, NFS6).wants("name-dot", "ok", NAME + ".").wants("region", "ok", "AWS_REGION")
        good.wants("name-zone", "warn", f"eu-west-1b.{NAME}").wants("role", "skip").wants("policy", "skip", "needs credentials")
        check({a["address"]: a["result"] for a in good.report["addresses"]} == {NFS: "ok", NFS6: "ok"}, good.report["addresses"])
        check(len(v4.calls) == len(v6.calls) == 1, "one connection to each address")
        check(f"eu-west-1b.{NAME}" in dns.asked, "the zone's name was not asked for")
        for target in (NAME, NAME + ".", f"arn:aws:elasticfilesystem:{REGION}:123456789012:file-system/{FS}"):
            passes(target).wants("region", "ok", REGION, "the ")
        known[NAME] = [NFS6]
        passes(FS, AWS_REGION=REGION).wants("name", "ok", f"{NAME} is {NFS6}")
        known[NAME] = [CLOSED, NFS6]
        passes(FS, AWS_REGION=REGION).wants("server", "warn", CLOSED, "refuses")
        known[NAME] = [CLOSED, DROPPED]
        refuses(84, "ConnectionRefused", "Failures: 2", args=[FS, "--connect-timeout=500ms"], AWS_REGION=REGION)
        del known[NAME]
        refuses(83, "NameNotResolved", NAME, "enableDnsHostnames", "mount target", args=[FS], AWS_REGION=REGION).wants("server", "skip")
        check(f"{NAME}.corp.example" in dns.asked, "the search domain was not tried")
        known[NAME + ".corp.example"] = [OTHER]
        known[NAME] = [NFS]
        passes(FS, AWS_REGION=REGION)
        # With the search domain tried first a mount goes astray, whatever the name with the dot is.
        known[NAME + ".corp.example"] = [CLOSED]
        astray = refuses(84, "ConnectionRefused", CLOSED, args=[FS], AWS_REGION=REGION, RES_OPTIONS="ndots:6")
        astray.wants("name", "ok", CLOSED).wants("name-dot", "warn", NFS, "answers without the dot")
        known[NAME + ".corp.example"] = [OTHER]
        del known[NAME]
        with Listener(OTHER, rpc):
            passes(FS, AWS_REGION=REGION).wants("name-dot", "warn", "answers without the dot")
        known[NAME + ".corp.example"] = [CLOSED]
        refuses(84, "ConnectionRefused", CLOSED, args=[FS], AWS_REGION=REGION).wants("name-dot", "warn")
        refuses(80, "RegionUnknown", "AWS_REGION", args=[FS], AWS_REGION="")
        refuses(80, "RegionUnknown", "Not A Region", args=[FS], AWS_REGION="Not A Region")
        known[f"{FS}.efs.cn-north-1.amazonaws.com.cn"] = [NFS]
        passes(FS, "--region=cn-north-1").wants("region", "ok", "--region")
        known["nfs.example"] = [NFS]
        check("file_system_id" not in passes("nfs.example").report, "an id out of nowhere")


def metadata(az="eu-west-1a", az_id="euw1-az1"):
    """What ECS answers to a task."""
    task = {"Cluster": "default", "TaskARN": f"arn:aws:ecs:{REGION}:123456789012:task/default/0123", "Family": "f", "Revision": "1",
            "AvailabilityZone": az, "AvailabilityZoneID": az_id, "LaunchType": "FARGATE"}
    keys = {"RoleArn": "arn:aws:iam::123456789012:role/task", "AccessKeyId": "AKIAEXAMPLE00000TEST", "SecretAccessKey": SECRET, "Token": TOKEN,
            "Expiration": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))}

    def answer(request):
        return keys if request.path == "/keys" else task if request.path.endswith("/task") else {"Name": "preflight"}
    return answer


def in_task(server, **more):
    return {"ECS_CONTAINER_METADATA_URI_V4": server.url + "/v4/x", "AWS_CONTAINER_CREDENTIALS_FULL_URI": server.url + "/keys",
            "AWS_REGION": "", "AWS_ENDPOINT_URL": MOTO_ENV["AWS_ENDPOINT_URL"], **more}


def policy(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


ALLOW = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": ["elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"]}
DENY_PLAIN = {"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}


def objects(root):
    """in a task, with objects that the aws client made: mount target, groups, access point, policy, and each of them wrong"""
    with Moto(), Fake(metadata()) as task, Fake(metadata("eu-west-1c", "euw1-az3")) as elsewhere:
        subnets = {s["AvailabilityZone"]: s for s in aws("ec2", "describe-subnets")["Subnets"]}
        fs, bare = (aws("efs", "create-file-system", "--creation-token", t)["FileSystemId"] for t in "ab")
        group = aws("ec2", "create-security-group", "--group-name", "g", "--description", "d")["GroupId"]
        targets = [aws("efs", "create-mount-target", "--file-system-id", fs, "--subnet-id", subnets[f"eu-west-1{z}"]["SubnetId"],
                       "--security-groups", group) for z in "ab"]
        for target in targets:
            subprocess.run(["ip", "addr", "add", f"{target['IpAddress']}/32", "dev", "lo"], check=True, timeout=10)
        zone_id = targets[0]["AvailabilityZoneId"]
        point = aws("efs", "create-access-point", "--file-system-id", fs, "--posix-user", "Uid=1000,Gid=1000", "--root-directory",
                    "Path=/app,CreationInfo={OwnerUid=1000,OwnerGid=1000,Permissions=0755}")["AccessPointId"]
        foreign = aws("efs", "create-access-point", "--file-system-id", bare, "--root-directory", "Path=/app")["AccessPointId"]
        name = f"{fs}.efs.{REGION}.amazonaws.com"
        known = {name: [targets[0]["IpAddress"]], f"eu-west-1a.{name}": [targets[0]["IpAddress"]]}
        task.answer, elsewhere.answer = metadata("eu-west-1a", zone_id), metadata("eu-west-1c", "euw1-az9")
        with Dns(known), Listener(targets[0]["IpAddress"], rpc):
            good = passes(fs, f"--access-point={point}", **in_task(task))
            good.wants("region", "ok", REGION, "the task's ARN").wants("zone", "ok", "eu-west-1a", zone_id)
            good.wants("fs", "ok", fs).wants("target", "ok", targets[0]["MountTargetId"], targets[0]["IpAddress"])
            good.wants("security", "ok", group).wants("name", "ok").wants("name-zone", "ok", "eu-west-1a.")
            good.wants("point", "ok", "/app", "made as 1000:1000 with mode 0755", "everyone acts as 1000:1000")
            good.wants("policy", "ok", "there is none").wants("role", "ok", "role/task")
            # The other zone's target has no server: that is no failure, the name does not lead there.
            good.wants("server", "warn", targets[1]["MountTargetId"], "eu-west-1b", "refuses")
            check(good.report["task"].endswith("/0123") and good.report["availability_zone"] == "eu-west-1a", good.report)

            refuses(82, "NoMountTarget", "no mount target in eu-west-1c", "eu-west-1a", "eu-west-1b", args=[fs], **in_task(elsewhere))
            passes(fs, f"--az={zone_id}", **in_task(elsewhere)).wants("zone", "ok", "--az")
            refuses(82, "NoMountTarget", "no mount target at all", args=[bare], **in_task(task)).wants("name", "fail")
            refuses(81, "FileSystemUnavailable", "EFS knows no fs-00000000 in eu-west-1", args=["fs-00000000"], **in_task(task))
            refuses(90, "AccessPointUnusable", f"{foreign} belongs to {bare}, not to {fs}", args=[fs, f"--access-point={foreign}"], **in_task(task))
            refuses(90, "AccessPointUnusable", "EFS knows no fsap-00000000", args=[fs, "--access-point=fsap-00000000"], **in_task(task))
            missing = aws("efs", "create-access-point", "--file-system-id", fs, "--root-directory", "Path=/none")["AccessPointId"]
            passes(fs, f"--access-point={missing}", **in_task(task)).wants("point", "warn", "/none", "No such file or directory", "creationInfo")

            def attach(*statements):
                aws("efs", "put-file-system-policy", "--file-system-id", fs, "--policy", policy(*statements))
            attach(ALLOW)
            passes(fs, **in_task(task)).wants("policy", "ok", "everyone may mount and write, but not be root")
            attach(ALLOW, DENY_PLAIN)
            passes(fs, **in_task(task)).wants("policy", "warn", "asks for TLS", "transitEncryption to ENABLED")
            attach({**ALLOW, "Principal": {"AWS": "arn:aws:iam::123456789012:role/task"}}, DENY_PLAIN)
            passes(fs, **in_task(task)).wants("policy", "warn", "TLS, IAM", "authorizationConfig.iam")
            attach({**ALLOW, "Effect": "Deny", "Action": "elasticfilesystem:ClientMount"})
            refuses(91, "PolicyRefuses", fs, args=[fs], **in_task(task))
            attach({**ALLOW, "Condition": {"StringEquals": {
                "elasticfilesystem:AccessPointArn": f"arn:aws:elasticfilesystem:{REGION}:123456789012:access-point/{point}"}}}, DENY_PLAIN)
            passes(fs, f"--access-point={point}", **in_task(task)).wants("policy", "ok", "everyone may mount and write")

            known[name] = [OTHER]
            with Listener(OTHER, rpc):
                passes(fs, **in_task(task)).wants("name", "warn", f"{OTHER} is no mount target of {fs}", "/etc/hosts")


def timed_out_groups(root):
    """a security group that lets nobody in is named in the remedy"""
    efs = {"/2015-02-01/mount-targets": {"MountTargets": [{"MountTargetId": "fsmt-0123456789abcdef0", "FileSystemId": FS, "LifeCycleState": "available",
                                                         "IpAddress": DROPPED, "AvailabilityZoneName": "eu-west-1a", "SubnetId": "subnet-1"}]},
           "/2015-02-01/mount-targets/fsmt-0123456789abcdef0/security-groups": {"SecurityGroups": ["sg-0aaa", "sg-0bbb"]},
           "/2015-02-01/file-systems": {"FileSystems": [{"FileSystemId": FS, "LifeCycleState": "available"}]}}
    with Fake(metadata()) as task, Dns({NAME: [DROPPED]}), \
            Fake(lambda r: efs.get(r.path, (404, {}, {"ErrorCode": "PolicyNotFound", "Message": "none"}))) as aws_server:
        env = in_task(task, AWS_ENDPOINT_URL=aws_server.url)
        refuses(85, "ConnectionTimedOut", DROPPED, "Let sg-0aaa, sg-0bbb", args=[FS, "--connect-timeout=1s"], **env)
        efs["/2015-02-01/mount-targets"]["MountTargets"][0]["LifeCycleState"] = "creating"
        refuses(82, "NoMountTarget", "creating", "Wait until", args=[FS, "--connect-timeout=1s"], **env)
        efs["/2015-02-01/file-systems"]["FileSystems"][0]["LifeCycleState"] = "deleting"
        refuses(81, "FileSystemUnavailable", "deleting", args=[FS, "--connect-timeout=1s"], **env)


def no_permission(root):
    """a role without permissions and broken credentials: not checked, with the permission that it takes; the rest still is"""
    def denied(request):
        return (403, {"x-amzn-ErrorType": "AccessDeniedException"}, {"Message": "not authorized"})
    with Fake(metadata()) as task, Fake(denied) as aws_server, Dns({NAME: [NFS]}), Listener(NFS, rpc):
        outcome = passes(FS, "--access-point=fsap-0123456789abcdef0", **in_task(task, AWS_ENDPOINT_URL=aws_server.url))
        for step, permission in (("fs", "DescribeFileSystems"), ("target", "DescribeMountTargets"),
                                 ("point", "DescribeAccessPoints"), ("policy", "DescribeFileSystemPolicy")):
            outcome.wants(step, "unknown", f"not checked, needs elasticfilesystem:{permission}")
        task.answer = lambda request: (400, {}, "no such id") if request.path == "/keys" else metadata()(request)
        n = len(aws_server.requests)
        refuses(27, "NoCredentials", "400", "taskRoleArn", args=[FS], **in_task(task, AWS_ENDPOINT_URL=aws_server.url)) \
            .wants("server", "ok").wants("policy", "skip", "needs credentials")
        check(len(aws_server.requests) == n, "EFS was asked without credentials")


def black_holes(root):
    """name servers, metadata, credentials, EFS and the mount target swallow everything: the deadline holds, with what is known"""
    with Dns({NAME: "", f"{NAME}.": ""}), BlackHole() as hole:
        all_dark = refuses(80, "RegionUnknown", args=[FS, "--deadline=3s"], **in_task(hole, AWS_ENDPOINT_URL=hole.url))
        check(2.5 < all_dark.seconds < 4, f"it took {all_dark.seconds} s")
        env = in_task(hole, AWS_ENDPOINT_URL=hole.url, AWS_REGION=REGION)
        no_name = refuses(83, "NameNotResolved", "name servers do not answer", args=[FS, "--deadline=2s"], **env)
        check(1.5 < no_name.seconds < 3, f"it took {no_name.seconds} s")
        no_name.wants("role", "fail").wants("zone", "unknown", "--az")
    with Fake(metadata()) as task, BlackHole() as hole, Dns({NAME: [DROPPED]}):
        dropped = refuses(85, "ConnectionTimedOut", DROPPED, args=[FS, "--deadline=2s"], **in_task(task, AWS_ENDPOINT_URL=hole.url))
        check(1.5 < dropped.seconds < 3, f"it took {dropped.seconds} s")
        dropped.wants("policy", "unknown").wants("target", "unknown").wants("name", "ok", DROPPED).wants("role", "ok")


def usage(root):
    """what is no target or option is refused with code 64, and --help says what is"""
    def says(*args):
        return subprocess.run([EFS_INIT, "preflight", *args], env=environment(None), capture_output=True, text=True, timeout=10, check=False)
    for args in ([], ["a", "b"], [""], ["fs-123"], ["fs-XYZ"], ["10.0.0"], ["0x7f.1"], ["127.1"], ["a b"], ["-x", FS], ["--format=xml", FS], ["--az=A/b", FS],
                 ["--access-point=x", FS], ["--access-point=fsap-0123456789abcdef0", NFS], ["--deadline=0", FS], ["--region=../x", FS],
                 ["--connect-timeout=1ms", FS], ["a" * 300], ["--az"]):
        done = says(*args)
        check(done.returncode == 64 and "--help" in done.stderr and not done.stdout, f"{args}: {done}")
    done = says("--help")
    check(done.returncode == 0 and "--access-point" in done.stdout and not done.stderr, done)


if __name__ == "__main__":
    own_network()
    network()
    run(null_call, servers, loopback, names, timed_out_groups, no_permission, black_holes, usage, objects)
