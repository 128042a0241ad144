#!/usr/bin/env python3
"""efs-init and AWS: the role, what explains a failure, nothing asked when all is well, and no endpoint that can hold it up."""
import glob
import json
import os
import signal
import socket
import subprocess
import time

from awslib import KEY, SECRET, TOKEN, BlackHole, Fake, environment, in_turn, own_network, shows_secret
from test_aws_moto import ENV as MOTO, Moto, aws
from test_init import EFS_INIT, child_of
from watchlib import check, die_with_parent, run, wait_for

FS, ROLE = "fs-0123456789abcdef0", "arn:aws:iam::123456789012:role/service/app"
AUTHORIZATION = "Bearer-that-nobody-may-see-00000000"


def credentials(**more):
    expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
    return {"RoleArn": ROLE, "AccessKeyId": KEY, "SecretAccessKey": SECRET, "Token": TOKEN, "Expiration": expires, **more}


def from_agent(server):
    return {"AWS_CONTAINER_CREDENTIALS_FULL_URI": server.url + "/role", "AWS_CONTAINER_AUTHORIZATION_TOKEN": AUTHORIZATION}


class Silent:
    """A listener that takes every connection and never answers."""

    def __enter__(self):
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        return self

    def __exit__(self, *_):
        self.socket.close()


def place(root, mode=0o777, owner=None):
    """The directory that the gate looks at: a tmpfs."""
    data = os.path.join(root.decode(), "data")
    if not os.path.ismount(data):
        os.chmod(root, 0o755)
        os.mkdir(data)
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", data], check=True)
    os.chmod(data, mode)
    if owner is not None:
        os.chown(data, owner, owner)
    return data


class Gate:
    """efs-init, and what it said; no secret is in it."""

    def __init__(self, root, *args, env=None, mode=0o777, mount="{}=" + FS):
        self.top, self.data = root.decode(), place(root, mode)
        os.makedirs(self.top + "/run", exist_ok=True)
        for old in glob.glob(self.top + "/run/*"):
            os.unlink(old)
        self.begin = time.monotonic()
        self.process = subprocess.Popen(
            [EFS_INIT, "--allow-local", "--format=json", f"--run-dir={self.top}/run", mount.format(self.data),
             *[a.format(self.data) for a in args]],
            env=environment({"AWS_EC2_METADATA_DISABLED": "true", **(env or {})}), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, preexec_fn=die_with_parent)

    def end(self, code, *words, seconds=(0, 5)):
        """words: in the answer."""
        stdout, self.lines = self.process.communicate(timeout=60)
        took = time.monotonic() - self.begin
        self.answer = self.lines.strip().rpartition("\n")[2]
        check(self.process.returncode == code, f"{self.process.args[4:]}: exit code {self.process.returncode}, not {code}: {self.lines}")
        for word in words:
            check(word in self.answer, f"{self.process.args[4:]}: no \"{word}\" in the answer: {self.lines}")
        check(seconds[0] <= took <= seconds[1], f"{self.process.args[4:]}: it took {took:.2f} s: {self.lines}")
        with open(self.top + "/run/ready.json", encoding="utf-8") as file:
            ready = file.read()
        check(json.loads(ready) == json.loads(stdout), "ready.json and stdout differ")
        for text in (stdout, self.lines, ready):
            check(not shows_secret(text) and AUTHORIZATION[:24] not in text, "a secret was shown")
        self.report = json.loads(stdout)
        return self

    def says(self, identifier, verdict, *words):
        """The check of that id."""
        checks = self.report.get("task", {}).get("checks", []) + self.report["mounts"][0]["checks"]
        found = [c for c in checks if c["id"] == identifier]
        check(len(found) == 1 and found[0]["verdict"] == verdict, f"{identifier} is not {verdict}: {found} in {self.lines}")
        for word in words:
            text = " ".join(found[0].get(k, "") for k in ("message", "fix", "detail"))
            check(word in text, f"{identifier}: no \"{word}\" in: {text}")
        return self


def healthy(root):
    """a healthy gate calls no AWS endpoint, knows its role all the same, and needs no time for it"""
    with Fake(lambda request: credentials()) as agent, Fake(lambda request: (500, {}, "")) as api:
        env = {**from_agent(agent), "AWS_ENDPOINT_URL": api.url, "ECS_CONTAINER_METADATA_URI_V4": api.url + "/v4"}
        Gate(root, env=env).end(0, "ready after").says("role", "ok", f"credentials of {ROLE}")
        check(api.requests == [], [r.target for r in api.requests])
        check(len(agent.requests) == 1 and agent.requests[0].headers["authorization"] == AUTHORIZATION, "the agent was not asked as it should be")
    Gate(root).end(0).says("role", "skip", "no credentials, and none are needed")


def roles(root):
    """credentials that cannot be had, or of another role, are named; 503 is asked again; a redirect is not followed"""
    with Fake(lambda request: credentials()) as agent:
        env = from_agent(agent)
        for good in ("app", ROLE):
            Gate(root, f"--expect-role={good}", env=env).end(0)
        for bad in ("other", "pp", "arn:aws:iam::123456789012:role/app"):
            Gate(root, f"--expect-role={bad}", env=env).end(28, f"the task's role is {ROLE}, expected is {bad}", "taskRoleArn")
        with Fake(lambda request: (302, {"Location": agent.url}, "")) as elsewhere:
            before = len(agent.requests)
            Gate(root, "--expect-role=app", "--deadline=3s", env=from_agent(elsewhere)).end(27, agent.url)
            check(len(agent.requests) == before, "a redirect was followed")
    Gate(root, "--expect-role=app").end(27, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI is not set", "taskRoleArn")
    with Fake(in_turn((503, {}, ""), (503, {}, ""), lambda request: credentials())) as agent:
        Gate(root, "--expect-role=app", env=from_agent(agent)).end(0)
    for answer, word in (((400, {}, "{}"), "400"), ("{\"AccessKeyId\":", "not a JSON object"), (credentials(Expiration="2020-01-01T00:00:00Z"), "had passed")):
        with Fake(lambda request, a=answer: a) as agent:
            Gate(root, env=from_agent(agent)).end(0, "warning").says("role", "warn", word)
            Gate(root, "--expect-role=app", "--deadline=3s", env=from_agent(agent)).end(27, word)


def callers(root):
    """--sts asks AWS whose credentials they are, also when their source does not say"""
    identity = ('<R xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Arn>arn:aws:sts::123456789012:assumed-role/app/session</Arn>'
                "<UserId>u</UserId><Account>123456789012</Account></R>")
    keys = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_SESSION_TOKEN": TOKEN}
    with Fake(lambda request: identity) as sts:
        env = {**keys, "AWS_ENDPOINT_URL_STS": sts.url}
        Gate(root, "--sts", "--expect-role=app", env=env).end(0).says("caller", "ok", "assumed-role/app/session").says("role", "ok")
        Gate(root, "--sts", f"--expect-role={ROLE}", env=env).end(0)
        Gate(root, "--sts", "--expect-role=ap", env=env).end(28, "assumed-role/app/session, expected is ap")
        Gate(root, "--sts", "--expect-role=arn:aws:iam::999999999999:role/app", env=env).end(28)
        before = len(sts.requests)
        Gate(root, "--expect-role=app", env=env).end(0).says("role", "warn", "Add --sts")
        check(len(sts.requests) == before, "STS was asked")
    denied = (403, {}, "<ErrorResponse><Error><Code>InvalidClientTokenId</Code><Message>The security token is invalid</Message></Error></ErrorResponse>")
    with Fake(lambda request: denied) as sts:
        Gate(root, "--sts", env={**keys, "AWS_ENDPOINT_URL_STS": sts.url}).end(27, "AWS does not accept the credentials", "InvalidClientTokenId")


def objects(root):
    """what the aws client made is judged: file system, mount target, access point, policy, burst credits; and explains a failure"""
    with Moto():
        subnet = aws("ec2", "describe-subnets")["Subnets"][0]
        fs = aws("efs", "create-file-system", "--creation-token", "t", "--throughput-mode", "bursting")["FileSystemId"]
        target = aws("efs", "create-mount-target", "--file-system-id", fs, "--subnet-id", subnet["SubnetId"])["MountTargetId"]
        point = aws("efs", "create-access-point", "--file-system-id", fs, "--posix-user", "Uid=1000,Gid=1000",
                    "--root-directory", "Path=/app,CreationInfo={OwnerUid=1000,OwnerGid=1000,Permissions=0755}")["AccessPointId"]
        other = aws("efs", "create-file-system", "--creation-token", "u", "--throughput-mode", "elastic")["FileSystemId"]
        task = {"TaskARN": "arn:aws:ecs:eu-west-1:123456789012:task/c/1", "AvailabilityZone": subnet["AvailabilityZone"]}
        zone = {"task": task}
        with Fake(lambda request: zone["task"]) as metadata:
            env = {**MOTO, "ECS_CONTAINER_METADATA_URI_V4": metadata.url + "/v4"}

            def gate(*args, mount=fs, **more):
                return Gate(root, *args, env=env, mount="{}=" + mount, **more)

            place(root, owner=1000)
            gate("--aws-checks=always", "--access-points={}=" + point, "--as=1000:1000", "--sts").end(0, seconds=(0, 15)) \
                .says("fs", "ok", fs, "bursting").says("target", "ok", target, subnet["AvailabilityZone"]).says("policy", "ok", "there is none") \
                .says("tls", "skip", "not demanded").says("point", "ok", f"{point}: root directory /app, posixUser 1000:1000") \
                .says("credits", "unknown", "no BurstCreditBalance").says("caller", "ok")

            gate("--aws-checks=always", mount="fs-00000000").end(14, "fs-00000000 does not exist in eu-west-1", seconds=(0, 15))
            gate("--aws-checks=always", "--access-points={}=fsap-00000000").end(29, "fsap-00000000 does not exist", seconds=(0, 15))
            gate("--aws-checks=always", "--access-points={}=" + point, mount=other) \
                .end(29, f"{point} is an access point of {fs}, not of {other}", seconds=(0, 15)).says("target", "warn", "has no mount target")
            gate("--aws-checks=always", "--access-points={}=" + point) \
                .end(29, f"{point} has the posixUser 1000:1000, but new files in", "belong to 0:0", seconds=(0, 15))

            aws("efs", "put-file-system-policy", "--file-system-id", fs, "--policy", json.dumps({"Version": "2012-10-17", "Statement": [
                {"Sid": "mount", "Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "elasticfilesystem:Client*"},
                {"Sid": "no-writes", "Effect": "Deny", "Principal": {"AWS": "*"}, "Action": ["elasticfilesystem:ClientWrite"]},
                {"Sid": "tls", "Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}]}))
            aws("cloudwatch", "put-metric-data", "--namespace", "AWS/EFS", "--metric-data", json.dumps([{
                "MetricName": "BurstCreditBalance", "Dimensions": [{"Name": "FileSystemId", "Value": fs}], "Value": 1.5e9, "Unit": "Bytes"}]))
            zone["task"] = {**task, "AvailabilityZone": "eu-west-1z"}
            gate("--aws-checks=always", "--as=1000:1000").end(0, "warnings", seconds=(0, 15)) \
                .says("target", "warn", "no mount target in the task's zone eu-west-1z") \
                .says("policy", "warn", "denies ClientWrite", 'statement "no-writes"').says("tls", "skip", "demands it") \
                .says("credits", "warn", "1.5 GB are left")

            # Not asked for, but something failed: the answer stays what it is, and what AWS says stands behind it.
            place(root, owner=0)
            failed = gate("--as=1000:1000", "--access-points={}=" + point, mode=0o755)
            failed.end(22, "belongs to 0:0 with mode 0755, this process is 1000:1000", "AWS says: ", "its creationInfo says 1000:1000",
                       "denies ClientWrite", seconds=(0, 15))
            failed.says("target", "warn", "no mount target in the task's zone")
            check("mount target" not in failed.answer, "what does not explain a refusal is in the answer")
            check(failed.report["cause"] == "PermissionDenied", failed.report["cause"])
            silent = gate("--as=1000:1000", "--aws-checks=never", mode=0o755).end(22)
            check("AWS says" not in silent.answer and "target" not in silent.lines, silent.lines)


def not_allowed(root):
    """what the role may not read is said, with the permission, and fails nothing"""
    denied = (403, {"x-amzn-errortype": "AccessDeniedException"}, {"Message": "User is not authorized"})
    with Fake(lambda request: denied) as api, Fake(lambda request: credentials()) as agent:
        env = {**from_agent(agent), "AWS_ENDPOINT_URL": api.url}
        gate = Gate(root, "--aws-checks=always", "--access-points={}=fsap-0123456789abcdef0", env=env).end(0)
        for identifier, permission in (("fs", "DescribeFileSystems"), ("target", "DescribeMountTargets"), ("policy", "DescribeFileSystemPolicy"),
                                       ("point", "DescribeAccessPoints")):
            gate.says(identifier, "unknown", f"not checked, needs elasticfilesystem:{permission}", "not authorized")
        Gate(root, "--aws-checks=always", env=env, mount="{}").end(0).says("fs", "skip", "neither the mount nor the settings name")
        check(all(r.path.startswith("/2015-02-01/") for r in api.requests), [r.target for r in api.requests])


def held_up(root):
    """endpoints that drop every packet, or take the connection and are silent: over at the deadline, with what is known by then"""
    for Dead in (BlackHole, Silent):
        with Dead() as dead, Fake(lambda request: credentials()) as agent:
            everything = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": dead.url, "AWS_ENDPOINT_URL": dead.url,
                          "ECS_CONTAINER_METADATA_URI_V4": dead.url + "/v4"}
            only_api = {**everything, **from_agent(agent)}
            # A healthy mount, and credentials that nobody asked for: they are not waited for until the deadline.
            Gate(root, "--deadline=8s", env=everything).end(0, "warning", seconds=(1.9, 3.5)).says("role", "warn", "cannot be had")
            Gate(root, "--deadline=2s", "--expect-role=app", env=everything).end(27, "cannot be had", seconds=(1.7, 2.9)).says("write", "ok")
            gate = Gate(root, "--deadline=2s", "--aws-checks=always", "--sts", "--access-points={}=fsap-0123456789abcdef0", env=only_api)
            gate.end(0, seconds=(1.7, 2.9)).says("role", "ok", ROLE).says("write", "ok").says("caller", "unknown")
            for identifier in ("fs", "target", "policy", "point"):
                gate.says(identifier, "unknown", "not checked")
            Gate(root, "--deadline=2s", "--as=1000:1000", env=everything, mode=0o700).end(22, "mode 0700", seconds=(1.7, 2.9))
            # A task without a role: its instance is not asked, wherever that would lead.
            nobody = {**everything, "AWS_CONTAINER_CREDENTIALS_FULL_URI": "", "AWS_EC2_METADATA_DISABLED": "",
                      "AWS_EC2_METADATA_SERVICE_ENDPOINT": dead.url}
            Gate(root, "--deadline=8s", "--as=1000:1000", env=nobody, mode=0o700).end(22, seconds=(0, 1.5)).says("role", "skip")
            no_region = {k: v for k, v in everything.items() if k != "AWS_REGION"}
            Gate(root, "--deadline=2s", "--aws-checks=always", env={**no_region, "AWS_REGION": ""}).end(0, seconds=(1.7, 2.9))


def hung(root):
    """a probe that has not come back in half of its time is explained before the deadline; so is a stop in the middle of it"""
    if "SANITIZED" in os.environ:
        return "the leak check of a child that has given its ids away takes longer than the gate waits"

    def api(request):
        if request.path == "/2015-02-01/mount-targets":
            return {"MountTargets": []}
        return 404, {}, {"ErrorCode": "PolicyNotFound", "Message": "none"}
    with Fake(api) as server, Fake(lambda request: credentials()) as agent, Silent() as dead:
        env = {**from_agent(agent), "AWS_ENDPOINT_URL": server.url, "ECS_CONTAINER_METADATA_URI_V4": dead.url + "/v4"}

        def stopped_probe(*args, env):
            gate = Gate(root, "--lock-hold=1s", "--deadline=2s", *args, env=env)
            wait_for(lambda: any(n.endswith(".moved") for n in os.listdir(gate.data)), "the probe holds its lock", 10)
            os.kill(child_of(gate.process), signal.SIGSTOP)
            return gate

        why = ("MountHung", '"read under lock"', "AWS says: ", f"{FS} has no mount target")
        stopped_probe(env=env).end(30, *why, seconds=(2.9, 4.5))
        stopped_probe("--wait=4s", env=env).end(30, *why, seconds=(4.9, 6.5))
        gate = stopped_probe(env={**env, "AWS_ENDPOINT_URL": dead.url})
        time.sleep(2.3)
        gate.process.terminate()
        gate.end(75, "Interrupted", seconds=(2, 4.5))
    return None


if __name__ == "__main__":
    own_network()
    run(healthy, roles, callers, objects, not_allowed, held_up, hung)
