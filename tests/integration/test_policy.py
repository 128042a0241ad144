#!/usr/bin/env python3
"""The policies allow each call of AWS that the programs can make, and nothing else."""
import fnmatch
import json
import os
import re

from awslib import own_network, succeeds, tool
from motolib import Moto, aws
from stacklib import HERE, TASK_DEF, resources_of
from watchlib import check, run

POLICIES = os.path.join(TASK_DEF, "policies")
# What the kernel's client does on a mount; there is no call for these. Root is what no part of ours needs.
CLIENT = {"elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"}
# Not of our programs: what the agent of ECS Exec asks, as the ECS developer guide lists it.
EXEC = {"ssmmessages:" + a for a in ("CreateControlChannel", "CreateDataChannel", "OpenControlChannel", "OpenDataChannel")}


def needs():
    """Permissions of the programs' calls by purpose, from the table that each call names its row of."""
    _code, rows, _error, _s = tool("actions")
    by_purpose = {}
    for row in rows:
        by_purpose.setdefault(row["purpose"], set()).add(row["permission"])
    check(by_purpose.pop(None) == {"sts:GetCallerIdentity"}, "only GetCallerIdentity takes no permission")
    return {**by_purpose, "mount": CLIENT, "exec": EXEC}


def actions(statements):
    return {a for s in statements for a in (s["Action"] if isinstance(s["Action"], list) else [s["Action"]])}


def exact(_):
    """each policy has the actions of its purpose, spelt out, and there is no policy without a purpose"""
    wanted = needs()
    files = {f[:-5] for f in os.listdir(POLICIES)}
    check(files == set(wanted), f"policies {files}, purposes {set(wanted)}")
    for purpose, permissions in wanted.items():
        with open(os.path.join(POLICIES, purpose + ".json"), encoding="utf-8") as file:
            statements = json.load(file)["Statement"]
        check(actions(statements) == permissions, f"{purpose}: {actions(statements) ^ permissions}")
        check(all(s["Effect"] == "Allow" for s in statements), purpose)
        for statement in statements:
            check("*" not in "".join(actions([statement])), f"{purpose}: {statement['Sid']} allows by pattern")
            # AWS has no resources for these.
            unbound = actions([statement]) <= {"cloudwatch:GetMetricStatistics", "cloudwatch:PutMetricData"} | EXEC
            check((statement["Resource"] == "*") == unbound, f"{purpose}: {statement['Sid']} is for {statement['Resource']}")


def no_way_round(_):
    """every call to AWS names a row of the table: nothing but request.c knows of services, and nobody else speaks HTTP to AWS"""
    _code, rows, _error, _s = tool("actions")
    known = {r["permission"].split(":")[1] for r in rows}
    root, seen = os.path.join(HERE, "../.."), set()
    for folder in ("lib", "init", "sidecar", "cli", "watchers"):
        for top, _dirs, names in os.walk(os.path.join(root, folder)):
            for name in fnmatch.filter(names, "*.c"):
                with open(os.path.join(top, name), encoding="utf-8") as file:
                    text = file.read()
                seen |= set(re.findall(r'X-Amz-Target: \w+\.(\w+)"', text)) | set(re.findall(r'"Action=(\w+)&', text))
                check("sign_key" not in text or name in ("request.c", "sign.c", "http.c"), f"{name} signs requests by itself")
                check("aws_request(" not in text or ".action = " in text or name == "request.c", f"{name} makes calls without a row")
    check(seen and seen <= known, f"calls without a row in lib/aws/action.c: {seen - known}")


def known(name):
    return {"FileSystem.Arn": "arn:fs", "Uploads.Arn": "arn:uploads", "SharedConfig.Arn": "arn:shared-config", "State.Arn": "arn:state"}.get(name, name)


def roles(_):
    """the stack's roles: write only where it is mounted so, each through its access points, root nowhere"""
    policies = resources_of("AWS::IAM::Policy", known)
    wanted = {"WebTaskPolicy": ({"arn:uploads", "arn:shared-config", "arn:state"}, {"arn:uploads", "arn:state"}),
              "ProcessorTaskPolicy": ({"arn:uploads", "arn:state"}, {"arn:uploads", "arn:state"})}
    check(set(policies) == set(wanted), set(policies))
    for name, (mounted, written) in wanted.items():
        statements = {s["Sid"]: s for s in policies[name]["PolicyDocument"]["Statement"]}
        for sid, points in (("Mount", mounted), ("Write", written)):
            check(set(statements[sid]["Condition"]["StringEquals"]["elasticfilesystem:AccessPointArn"]) == points, f"{name}: {sid}")
            check(statements[sid]["Resource"] == "arn:fs", f"{name}: {sid} of {statements[sid]['Resource']}")
        check("ClientRootAccess" not in json.dumps(policies[name]), name)
    features = needs()
    check(actions(policies["WebTaskPolicy"]["PolicyDocument"]["Statement"]) == features["mount"] | features["checks"], "web")


def judged(_):
    """moto_server, which judges by policies, lets a role with the policy of metrics send them, and none without"""
    with open(os.path.join(POLICIES, "metrics.json"), encoding="utf-8") as file:
        policy = json.load(file)
    policy["Statement"][0]["Action"] = "monitoring:PutMetricData"  # as moto calls it
    del policy["Statement"][0]["Condition"]  # which it does not know
    with Moto(INITIAL_NO_AUTH_ACTION_COUNT="5"):
        keys = []
        for user in ("with", "without"):
            aws("iam", "create-user", "--user-name", user)
            keys.append(aws("iam", "create-access-key", "--user-name", user)["AccessKey"])
        aws("iam", "put-user-policy", "--user-name", "with", "--policy-name", "metrics", "--policy-document", json.dumps(policy))
        with_it, without = ({"AWS_ACCESS_KEY_ID": k["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": k["SecretAccessKey"],
                             "AWS_ENDPOINT_URL": "http://127.0.0.1:5000"} for k in keys)
        succeeds("put", "EFSSidecar", "Heartbeat", "Count", "1", env=with_it)
        code, _lines, error, _s = tool("put", "EFSSidecar", "Heartbeat", "Count", "1", env=without)
        check(code == 1 and error.startswith("EACCES"), error)


if __name__ == "__main__":
    own_network()
    run(exact, no_way_round, roles, judged)
