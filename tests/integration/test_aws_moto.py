#!/usr/bin/env python3
"""lib/aws and the aws command line client see the same objects in moto_server, which also judges signatures and keys."""
import json
import time

from awslib import fails, own_network, succeeds, tool
from motolib import ENV, PORT, Moto, aws
from watchlib import check, run

POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "elasticfilesystem:ClientMount"}]}


def same(mine, theirs, what):
    """Every field of ours says what the client says; what AWS left out is empty in ours."""
    for name, value in mine.items():
        other = theirs.get(name)
        check(value == other or (not other and not value), f"{what}: {name} is {value!r}, the client says {other!r}")


def objects(root):
    """file systems, mount targets, access points and policies made with the aws client read the same here"""
    with Moto():
        subnets = [s["SubnetId"] for s in aws("ec2", "describe-subnets")["Subnets"]]
        ids = []
        for i, mode in enumerate(("elastic", "bursting", "provisioned")):
            extra = ["--provisioned-throughput-in-mibps", "12.5"] if mode == "provisioned" else []
            ids.append(aws("efs", "create-file-system", "--creation-token", f"t{i}", "--encrypted" if i else "--no-encrypted", "--throughput-mode",
                           mode, "--tags", f"Key=Name,Value=shared ü {i}", *extra)["FileSystemId"])
        for subnet in subnets:
            aws("efs", "create-mount-target", "--file-system-id", ids[0], "--subnet-id", subnet)
        points = [aws("efs", "create-access-point", "--file-system-id", ids[0], "--posix-user", "Uid=1000,Gid=2000,SecondaryGids=4294967295,5",
                      "--root-directory", "Path=/app,CreationInfo={OwnerUid=1000,OwnerGid=1001,Permissions=0750}"),
                  aws("efs", "create-access-point", "--file-system-id", ids[0])]
        aws("efs", "put-file-system-policy", "--file-system-id", ids[0], "--policy", json.dumps(POLICY))

        for theirs in aws("efs", "describe-file-systems")["FileSystems"]:
            mine = succeeds("file-system", theirs["FileSystemId"], env=ENV)
            check(mine.pop("SizeInBytes") == theirs["SizeInBytes"]["Value"], "size")
            same(mine, theirs, theirs["FileSystemId"])
        mine = succeeds("mount-targets", ids[0], env=ENV)["MountTargets"]
        theirs = aws("efs", "describe-mount-targets", "--file-system-id", ids[0])["MountTargets"]
        check(len(mine) == len(theirs) == len(subnets), f"{len(mine)} mount targets")
        for one in mine:
            same(one, next(t for t in theirs if t["MountTargetId"] == one["MountTargetId"]), one["MountTargetId"])
        check(succeeds("mount-targets", ids[1], env=ENV) == {"MountTargets": [], "more": False}, "no mount targets")

        mine = succeeds("access-points", ids[0], env=ENV)["AccessPoints"]
        check([p["AccessPointId"] for p in mine] == [p["AccessPointId"] for p in points], "access points")
        one = succeeds("access-points", points[0]["AccessPointId"], env=ENV)["AccessPoints"]
        check(one == mine[:1], "one by its id")
        made = {k: mine[0][k] for k in ("has_posix_user", "Uid", "Gid", "SecondaryGids", "Path", "has_creation", "OwnerUid", "OwnerGid",
                                        "Permissions")}
        check(made == {"has_posix_user": True, "Uid": 1000, "Gid": 2000, "SecondaryGids": [4294967295, 5], "Path": "/app", "has_creation": True,
                       "OwnerUid": 1000, "OwnerGid": 1001, "Permissions": "0750"}, made)
        check(not mine[1]["has_posix_user"] and not mine[1]["has_creation"] and mine[1]["Path"] == "/", mine[1])
        same({k: mine[0][k] for k in ("FileSystemId", "AccessPointArn", "LifeCycleState")}, points[0], "access point")

        check(json.loads(succeeds("policy", ids[0], env=ENV)["Policy"]) == POLICY, "policy")
        check(succeeds("policy", ids[1], env=ENV) == {"Policy": None}, "no policy is the default policy")
        fails("ENOENT", "FileSystemNotFound", args=("file-system", "fs-00000000"), env=ENV)
        fails("ENOENT", "AccessPointNotFound", args=("access-points", "fsap-00000000"), env=ENV)
        for bad in ("fs-../../x", "fs-0123456", "FS-01234567", "arn:aws:elasticfilesystem:eu-west-1:1:file-system/fs-01234567", ""):
            fails("EINVAL", "not an id", args=("policy", bad), env=ENV)
        check(succeeds("identity", env=ENV) == aws("sts", "get-caller-identity"), "identity")


def judged(root):
    """moto's own judge of signatures takes ours, and not those of a wrong key, secret or token"""
    with Moto(INITIAL_NO_AUTH_ACTION_COUNT="4"):
        aws("iam", "create-role", "--role-name", "task", "--assume-role-policy-document", "{}")
        aws("iam", "create-user", "--user-name", "u")
        key = aws("iam", "create-access-key", "--user-name", "u")["AccessKey"]
        role = aws("sts", "assume-role", "--role-arn", "arn:aws:iam::123456789012:role/task", "--role-session-name", "session")["Credentials"]
        user = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
        assumed = {"AWS_ACCESS_KEY_ID": role["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": role["SecretAccessKey"],
                   "AWS_SESSION_TOKEN": role["SessionToken"]}
        check(succeeds("identity", env={**ENV, **user})["Arn"].endswith(":user/u"), "the user")
        check("assumed-role/task/session" in succeeds("identity", env={**ENV, **assumed})["Arn"], "the role")
        for wrong, code in (({**user, "AWS_SECRET_ACCESS_KEY": "wrong"}, "SignatureDoesNotMatch"),
                            ({**user, "AWS_ACCESS_KEY_ID": "AKIAUNKNOWN000000000"}, "InvalidClientTokenId"),
                            ({**assumed, "AWS_SESSION_TOKEN": "wrong"}, "InvalidClientTokenId")):
            fails("EKEYREJECTED", code, args=("identity",), env={**ENV, **wrong})
        body = '{"Namespace": "x", "MetricData": []}'
        args = ("call", "CLOUDWATCH", "/", "-H", "Content-Type: application/x-amz-json-1.0", "-H",
                "X-Amz-Target: GraniteServiceVersion20100801.PutMetricData", "-b", body)
        fails("EACCES", "AccessDenied", "not authorized to perform", args=args, env={**ENV, **user})


def started_late(root):
    """a service that is not up yet: refused connections are retried, then told"""
    start = time.monotonic()
    fails("ECONNREFUSED", f"127.0.0.1:{PORT}", args=("identity",), env=ENV)
    check(time.monotonic() - start < 3, "it took too long to give up")
    with Moto():
        check(tool("identity", env=ENV)[0] == 0, "and now")


if __name__ == "__main__":
    own_network()
    run(started_late, objects, judged)
