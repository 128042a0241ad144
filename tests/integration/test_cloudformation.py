#!/usr/bin/env python3
"""The CloudFormation stack: made of the current parts, clean for cfn-lint, made, broken and removed by try.sh in moto_server."""
import json
import os
import subprocess

from awslib import environment, own_network
from motolib import ENV, Moto, aws
from stacklib import STACK, TASK_DEF, resources_of
from watchlib import BUILD, check, needs, run

TRY = os.path.join(TASK_DEF, "cloudformation/try.sh")


def up_to_date(_):
    """the stack is what its parts make"""
    done = subprocess.run([os.path.join(TASK_DEF, "cloudformation/update"), "--check", os.path.join(BUILD, "efsctl")], capture_output=True,
                          text=True, timeout=30, check=False)
    check(done.returncode == 0, done.stderr)


def lint(_):
    """cfn-lint finds nothing, and no rule is switched off"""
    needs("cfn-lint")
    done = subprocess.run(["cfn-lint", "--include-checks", "I", "--format", "parseable", STACK], capture_output=True, text=True, timeout=60,
                          check=False)
    check(done.returncode == 0 and done.stdout == "", done.stdout + done.stderr)
    with open(STACK, encoding="utf-8") as file:
        check("cfn-lint" not in file.read(), "a rule is switched off in the stack")


def settings(_):
    """gate and sidecar take what their containers set"""
    def known(name):
        return {"FileSystem": "fs-0123456789abcdef0", "Uploads": "fsap-0123456789abcdef0", "SharedConfig": "fsap-0123456789abcdef1",
                "State": "fsap-0123456789abcdef2"}.get(name, name)
    for name, definition in resources_of("AWS::ECS::TaskDefinition", known).items():
        for container in definition["ContainerDefinitions"][:2]:
            env = {k: v for k, v in os.environ.items() if not k.startswith("EFS_SIDECAR_")}
            env.update({v["Name"]: v["Value"] for v in container["Environment"]})
            done = subprocess.run([os.path.join(BUILD, container["Name"]), "--check"], env=env, capture_output=True, text=True, timeout=10,
                                  check=False)
            check(done.returncode == 0, f"{name}: {container['Name']}: {done.stderr}")


class Account:
    """moto_server as an account, and docker as a program that only notes what it is asked."""

    def __init__(self, root):
        self.notes = os.path.join(root, "docker.notes")
        docker = os.path.join(root, "docker")
        with open(docker, "w", encoding="utf-8") as file:
            file.write(f'#!/bin/sh\necho "$@" >>{self.notes}\n[ "$1" != login ] || cat >/dev/null\n')
        os.chmod(docker, 0o755)
        # moto knows a bucket in an URL only behind this name.
        self.env = {**environment(ENV), "AWS_ENDPOINT_URL": ENV["AWS_ENDPOINT_URL"].replace("127.0.0.1", "localhost"), "PATH": f"{root}:{os.environ['PATH']}"}

    def run(self, *args, **env):
        return subprocess.run([TRY, *args], env={**self.env, **env}, capture_output=True, text=True, timeout=120, check=False,
                              stdin=subprocess.DEVNULL)

    def works(self, *args):
        done = self.run(*args, YES="1")
        check(done.returncode == 0, f"try.sh {args}: {done.stdout}{done.stderr}")
        return done.stdout

    def docker(self):
        with open(self.notes, encoding="utf-8") as file:
            return file.read()


def parameters():
    stack = aws("cloudformation", "describe-stacks", "--stack-name", "efs-sidecar-try")["Stacks"][0]
    return {p["ParameterKey"]: p["ParameterValue"] for p in stack["Parameters"]}


def tried(root):
    """try.sh says the cost and asks; up makes everything, break changes only that, down leaves nothing"""
    with Moto(more=True):
        account = Account(root.decode())
        done = account.run("up")
        check(done.returncode == 1 and "2.60 USD a day" in done.stdout.split("\n", maxsplit=1)[0], f"no cost first: {done.stdout}")
        check(not aws("cloudformation", "describe-stacks")["Stacks"] and not os.path.exists(account.notes), "it did not wait for a yes")
        for wrong in (["break"], ["break", "everything"], [], ["down", "now"]):
            check(account.run(*wrong).returncode == 64, wrong)

        account.works("up")
        check("build -q" in account.docker() and "push -q 123456789012.dkr.ecr.eu-west-1" in account.docker(), account.docker())
        have = {r.get("ResourceType") for r in aws("cloudformation", "describe-stack-resources", "--stack-name", "efs-sidecar-try")["StackResources"]}
        check(have >= {"AWS::EFS::FileSystem", "AWS::EFS::AccessPoint", "AWS::EFS::MountTarget", "AWS::ECS::TaskDefinition", "AWS::ECS::Service",
                       "AWS::IAM::Role", "AWS::Events::Rule", "AWS::Logs::LogGroup", "AWS::SNS::Topic"}, have)
        services = aws("ecs", "describe-services", "--cluster", "efs-sidecar-try", "--services", "web", "processor")["services"]
        check({s["serviceName"]: s["desiredCount"] for s in services} == {"web": 3, "processor": 2}, services)
        definition = aws("ecs", "describe-task-definition", "--task-definition", "efs-sidecar-try-web")["taskDefinition"]
        check([c["name"] for c in definition["containerDefinitions"]] == ["efs-init", "efs-sidecar", "app"], definition)
        check(definition["containerDefinitions"][0]["image"] == parameters()["Image"], parameters())

        before = parameters()
        account.works("break", "network")
        check(parameters() == {**before, "Break": "network"}, parameters())
        account.works("down")
        check(not aws("cloudformation", "describe-stacks")["Stacks"], "the stack is still there")
        check(not aws("ecr", "describe-repositories")["repositories"] and not aws("s3api", "list-buckets")["Buckets"], "image or bucket is still there")


def breaks(_):
    """each case of break changes what it says"""
    with open(STACK, encoding="utf-8") as file:
        text = file.read()
    for condition in ("BreakWrite", "BreakOwner", "NetworkWorks"):
        check(text.count(condition) == 2, f"{condition} is defined and used")


if __name__ == "__main__":
    own_network()
    run(up_to_date, lint, settings, tried, breaks)
