#!/usr/bin/env python3
"""The Terraform example against moto_server, with the real AWS provider: made, unchanged, read back, removed.

Without terraform it is skipped, except where NO_SKIP is set (.ci/run)."""
import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile

from awslib import environment, own_network
from motolib import ENV, Moto, aws
from stacklib import TASK_DEF, resources_of
from watchlib import BUILD, check, run

NAME, SKIPPED = "efs-sidecar-example", 77
IMAGE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/efs-sidecar:0.2.0"
# Where terraform looks without asking the registry, and where images keep a mirror of providers.
MIRRORS = [os.environ.get("TF_PLUGIN_DIR", ""), *sorted(glob.glob("/opt/*/")), "/usr/share/terraform/plugins",
           "/usr/local/share/terraform/plugins", os.path.expanduser("~/.terraform.d/plugins")]


def prepare():
    """A copy of task-def with the provider installed, made while there is a network."""
    if "TERRAFORM_WORK" in os.environ:
        return os.environ["TERRAFORM_WORK"]
    if not shutil.which("terraform"):
        print("skipped: there is no terraform. Debian has none; https://developer.hashicorp.com/terraform/install has, also as one file")
        sys.exit(SKIPPED)
    work = os.environ["TERRAFORM_WORK"] = tempfile.mkdtemp(prefix="terraform-test.")
    shutil.copytree(TASK_DEF, os.path.join(work, "task-def"), ignore=shutil.ignore_patterns(".terraform*"))
    mirror = next((m for m in MIRRORS if m and os.path.isdir(os.path.join(m, "registry.terraform.io/hashicorp/aws"))), None)
    done = terraform("init", *([f"-plugin-dir={mirror}"] if mirror else []), check_code=False)
    if done.returncode != 0:
        shutil.rmtree(work)
        print("not ok - terraform init: the AWS provider is neither in a mirror (TF_PLUGIN_DIR) nor to be had from the registry:\n" + done.stderr)
        sys.exit(1)
    return work


def terraform(*args, check_code=True, **variables):
    env = environment({**ENV, "AWS_REGION": "eu-west-1", "AWS_EC2_METADATA_DISABLED": "true", "AWS_MAX_ATTEMPTS": "3", "TF_IN_AUTOMATION": "1",
                       "TF_CLI_CONFIG_FILE": "/dev/null", "TF_VAR_image": IMAGE, "TF_VAR_region": "eu-west-1", "TF_VAR_throughput_mode": "bursting",
                       **{"TF_VAR_" + k: v for k, v in variables.items()}})
    done = subprocess.run(["terraform", f"-chdir={os.environ['TERRAFORM_WORK']}/task-def/terraform/example", *args], env=env,
                          capture_output=True, text=True, timeout=150, check=False)
    check(not check_code or done.returncode == 0, f"terraform {args}: {done.stdout[-3000:]}{done.stderr}")
    return done


# ---- what was made ----

def same_containers():
    """Each container is what `efsctl taskdef add` makes of the app's definition, but for what the module says it adds."""
    exec_paths = {"/managed-agents", "/var/lib/amazon/ssm", "/var/log/amazon/ssm"}
    for service, options in (("web", []), ("processor", ["--exec"])):
        made = aws("ecs", "describe-task-definition", "--task-definition", f"{NAME}-{service}")["taskDefinition"]
        points = {v["name"]: v["efsVolumeConfiguration"] for v in made["volumes"] if "efsVolumeConfiguration" in v}
        state = points.pop("state")["authorizationConfig"]["accessPointId"]
        containers = {c["name"]: c for c in made["containerDefinitions"]}
        ours = {"/run/efs-sidecar", "/opt/efs-sidecar", *exec_paths}
        app = {**containers["app"], "dependsOn": []}
        app["mountPoints"] = [m for m in app["mountPoints"] if m["containerPath"] not in ours]
        app["environment"] = [e for e in app.get("environment", []) if not e["name"].startswith("EFS_SIDECAR_")]
        bare = {"family": service, "requiresCompatibilities": ["FARGATE"], "networkMode": "awsvpc", "cpu": made["cpu"], "memory": made["memory"],
                "taskRoleArn": made["taskRoleArn"], "executionRoleArn": made["executionRoleArn"],
                "volumes": [{"name": n, "efsVolumeConfiguration": v} for n, v in points.items()], "containerDefinitions": [app]}
        done = subprocess.run([os.path.join(BUILD, "efsctl"), "taskdef", "add", f"--image={IMAGE}", f"--cluster={NAME}", f"--service={service}",
                               f"--state={state}", *options, "-"], input=json.dumps(bare), capture_output=True, text=True, timeout=10, check=False)
        check(done.returncode == 0, done.stderr)
        definition = json.loads(done.stdout)
        check({v["name"] for v in made["volumes"]} == {v["name"] for v in definition["volumes"]}, f"{service}: {made['volumes']}")
        for wanted in definition["containerDefinitions"]:
            if wanted.get("readonlyRootFilesystem"):
                mounted = exec_paths & {m["containerPath"] for m in containers[wanted["name"]]["mountPoints"]}
                check(len(mounted) == (3 if options else 0), f"{service}/{wanted['name']}: {mounted}")
            have = containers[wanted["name"]]
            extra = [e for e in have.get("environment", []) if e not in wanted.get("environment", [])]
            check({e["name"] for e in extra} <= {"EFS_SIDECAR_METRICS_INCLUDE"}, f"{service}/{wanted['name']}: {extra}")
            order = {"environment": lambda e: e["name"], "mountPoints": lambda m: m["containerPath"], "dependsOn": lambda d: d["containerName"]}
            for key, value in wanted.items():
                mine = [e for e in have[key] if e not in extra] if key == "environment" else have.get(key)
                if key in order:
                    mine, value = sorted(mine, key=order[key]), sorted(value, key=order[key])
                check(mine == value, f"{service}/{wanted['name']}: {key} is {mine}, efsctl makes {value}")
        takes_settings(service, containers)


def takes_settings(service, containers):
    for program in ("efs-init", "efs-sidecar"):
        env = {k: v for k, v in os.environ.items() if not k.startswith("EFS_SIDECAR_")}
        env.update({v["name"]: v["value"] for v in containers[program]["environment"]})
        done = subprocess.run([os.path.join(BUILD, program), "--check"], env=env, capture_output=True, text=True, timeout=10, check=False)
        check(done.returncode == 0, f"{service}: {program}: {done.stderr}")


def same_alarms(file_system):
    """The alarms are those of the CloudFormation stack."""
    def known(name):
        return {"FileSystem": file_system, "AWS::StackName": NAME, "Alarms": f"arn:aws:sns:eu-west-1:123456789012:{NAME}-alarms",
                "WebGateFailed": f"{NAME}-web-gate-failed", "ProcessorGateFailed": f"{NAME}-processor-gate-failed"}.get(name, name)

    def sort(value):
        """Lists of dimensions and metrics have no order."""
        if isinstance(value, dict):
            return {k: sort(v) for k, v in value.items() if k not in ("ReturnData", "Label")}
        if isinstance(value, list):
            return sorted((sort(v) for v in value), key=json.dumps)
        return float(value) if isinstance(value, (int, float)) else value
    stack = {a["AlarmName"]: a for a in resources_of("AWS::CloudWatch::Alarm", known).values()}
    told = {a["AlarmName"]: a for a in aws("cloudwatch", "describe-alarms")["MetricAlarms"]}
    check(set(told) == set(stack), f"alarms of one only: {set(told) ^ set(stack)}")
    for name, wanted in stack.items():
        for key, value in wanted.items():
            check(sort(told[name].get(key)) == sort(value), f"{name}: {key} is {told[name].get(key)}, the stack has {value}")
    return len(told)


def same_dashboard(file_system):
    body = json.loads(aws("cloudwatch", "get-dashboard", "--dashboard-name", NAME)["DashboardBody"])

    def known(name):
        return {"FileSystem": file_system, "AWS::StackName": NAME, "AWS::Region": "eu-west-1"}.get(name, name)
    wanted = json.loads(resources_of("AWS::CloudWatch::Dashboard", known)["DashboardOfAll"]["DashboardBody"])
    for have, want in zip(body["widgets"], wanted["widgets"], strict=True):
        if want["type"] == "alarm":  # the stack's dashboard is without the one that exists only with bursting
            check(len(have["properties"]["alarms"]) == len(want["properties"]["alarms"]) + 1, have)
        elif want["type"] == "log":
            check("SOURCE '/ecs/efs-sidecar-example-web'" in have["properties"]["query"], have)
        else:
            check(have == want, f"{have}, the stack has {want}")


def guarded(file_system):
    """No root, TLS only, each role through its access points; port 2049 from the tasks only; backed up."""
    policy = aws("efs", "describe-file-system-policy", "--file-system-id", file_system)["Policy"]
    statements = {s["Sid"]: s for s in json.loads(policy)["Statement"]}
    check(set(statements) == {"MountWeb", "MountProcessor", "WriteWeb", "WriteProcessor", "OnlyTls"}, set(statements))
    check("ClientRootAccess" not in policy and statements["OnlyTls"]["Effect"] == "Deny", policy)
    points = {p["RootDirectory"]["Path"]: p["AccessPointArn"] for p in aws("efs", "describe-access-points", "--file-system-id", file_system)["AccessPoints"]}

    def through(statement):
        value = statement["Condition"]["StringEquals"]["elasticfilesystem:AccessPointArn"]
        return set([value] if isinstance(value, str) else value)
    check(through(statements["MountWeb"]) == set(points.values()), statements)
    check(through(statements["WriteWeb"]) == {points["/uploads"], points["/efs-sidecar"]}, statements)
    web = json.loads(json.dumps(aws("iam", "get-role-policy", "--role-name", f"{NAME}-web-task", "--policy-name", "efs-sidecar-mount")["PolicyDocument"]))
    check({s["Sid"]: through(s) for s in web["Statement"]} == {"Mount": through(statements["MountWeb"]), "Write": through(statements["WriteWeb"])}, web)
    names = aws("iam", "list-role-policies", "--role-name", f"{NAME}-processor-task")["PolicyNames"]
    check(sorted(names) == ["efs-sidecar-checks", "efs-sidecar-exec", "efs-sidecar-explain", "efs-sidecar-mount"], names)
    group = aws("ec2", "describe-security-groups", "--filters", f"Name=group-name,Values={NAME}-mount-targets")["SecurityGroups"][0]
    rules = [(r["FromPort"], r["ToPort"], r["IpProtocol"], r["IpRanges"], len(r["UserIdGroupPairs"])) for r in group["IpPermissions"]]
    check(rules == [(2049, 2049, "tcp", [], 1)], rules)
    check(aws("efs", "describe-backup-policy", "--file-system-id", file_system)["BackupPolicy"]["Status"] == "ENABLED", "backup")


def example(_):
    """fmt, validate, apply; a plan afterwards is empty; the parts are those of efsctl and of the stack; destroy leaves nothing"""
    terraform("fmt", "-check", "-recursive", "..")
    terraform("validate")
    with Moto(more=True):
        terraform("apply", "-auto-approve", "-input=false")
        done = terraform("plan", "-detailed-exitcode", "-input=false", check_code=False)
        check(done.returncode == 0, f"a plan after apply changes something: {done.stdout[-3000:]}{done.stderr}")
        file_system = aws("efs", "describe-file-systems")["FileSystems"][0]["FileSystemId"]
        same_containers()
        count = same_alarms(file_system)
        same_dashboard(file_system)
        guarded(file_system)
        existing(file_system)
        terraform("destroy", "-auto-approve", "-input=false", "-refresh=false", "-parallelism=1")  # moto mixes up two rules that go at once
        check(not aws("efs", "describe-file-systems")["FileSystems"] and not aws("cloudwatch", "describe-alarms")["MetricAlarms"], "something is left")
    return f"{count} alarms"


def existing(file_system):
    """A plan with a file system that exists."""
    done = terraform("plan", "-no-color", "-input=false", "-state=/nonexistent/none.tfstate", name="other", file_system_id=file_system)
    check("aws_efs_file_system.this" not in done.stdout and "aws_efs_mount_target" not in done.stdout and "aws_efs_access_point" in done.stdout,
          "with an existing file system it makes one, or changes it")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("its time is up"))
    directory = prepare()
    own_network()
    try:
        run(example)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
