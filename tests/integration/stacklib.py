"""task-def/cloudformation/stack.yaml, read as CloudFormation reads it, and the catalogue of alarms."""
import json
import os
import re

import yaml

HERE = os.path.dirname(os.path.realpath(__file__))
TASK_DEF = os.path.join(HERE, "../../task-def")
STACK = os.path.join(TASK_DEF, "cloudformation/stack.yaml")


class Loader(yaml.SafeLoader):
    pass


def intrinsic(loader, suffix, node):
    value = loader.construct_scalar(node) if isinstance(node, yaml.ScalarNode) else loader.construct_sequence(node, deep=True)
    return {"Fn::" + suffix: value}


Loader.add_multi_constructor("!", intrinsic)


def template():
    with open(STACK, encoding="utf-8") as file:
        return yaml.load(file, Loader)


def resolve(value, known):
    """The value with what it refers to filled in; known: a name, or NAME.ATTRIBUTE, and what it is."""
    if isinstance(value, list):
        return [resolve(v, known) for v in value]
    if not isinstance(value, dict):
        return value
    if "Fn::Sub" in value:
        return re.sub(r"\$\{([^}]+)\}", lambda m: known(m.group(1)), value["Fn::Sub"])
    if "Fn::Ref" in value or "Fn::GetAtt" in value:
        return known(next(iter(value.values())))
    if "Fn::If" in value:  # of the stack as it is by default
        condition, yes, no = value["Fn::If"]
        return resolve(yes if known(condition) == "true" else no, known)
    return {k: resolve(v, known) for k, v in value.items()}


def catalogue(name):
    with open(os.path.join(TASK_DEF, "monitoring", name), encoding="utf-8") as file:
        return json.load(file)


def resources_of(kind, known):
    """Properties by logical name."""
    return {name: resolve(r["Properties"], known) for name, r in template()["Resources"].items() if r["Type"] == kind}
