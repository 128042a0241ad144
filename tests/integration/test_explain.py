#!/usr/bin/env python3
"""explain: both programs, and that each command and each piece of Terraform in the advice is one."""
import json
import os
import re
import shutil
import subprocess
import tempfile

BUILD = os.environ["BUILD"]
EFSCTL, INIT = os.path.join(BUILD, "efsctl"), os.path.join(BUILD, "efs-init")
TEXTS = "tests/data/stopped-reasons"


def check(good, words):
    if not good:
        raise SystemExit(f"test_explain: {words}")


def call(program, *args, text=""):
    return subprocess.run([program, "explain", *args], input=text, capture_output=True, text=True, timeout=20,
                          check=False)


def read(name):
    with open(os.path.join(TEXTS, name), encoding="utf-8") as file:
        return file.read()


def programs_agree():
    """The message as arguments, on stdin, and as "-"; people's and programs' form."""
    text = read("name-fargate.txt")
    for form in ([], ["--json"], ["--gate=gate"]):
        answers = [call(EFSCTL, *form, text=text), call(INIT, *form, text=text), call(EFSCTL, *form, "-", text=text),
                   call(EFSCTL, *form, *text.split()), call(INIT, *form, text)]
        check(len({a.stdout for a in answers}) == 1, f"the answers differ with {form}")
        check(all(a.returncode == 0 and a.stderr == "" for a in answers), answers[0].stderr)
    check(call(INIT, "--format=json", text=text).stdout == call(EFSCTL, "--json", text=text).stdout, "--format=json")
    # An app container of any distribution has the static one.
    static = os.path.join(BUILD, "efsctl-static")
    if os.path.exists(static):
        check(call(static, text=text).stdout == call(EFSCTL, text=text).stdout, "efsctl-static answers otherwise")


def exit_codes():
    for program in (EFSCTL, INIT):
        check(call(program, "143").returncode == 0, "143 is known")
        unknown = call(program, "xyzzy")
        check(unknown.returncode == 1 and "not known" in unknown.stdout, "an unknown text")
        for args, text in ((["--bogus"], ""), ([], ""), ([], "x" * (256 * 1024 + 1))):
            refused = call(program, *args, text=text)
            check(refused.returncode == 64 and refused.stdout == "" and "explain" in refused.stderr, refused.stderr)
        check(call(program, text="x" * 256 * 1024).returncode == 1, "256 KiB are read")


def document_is_current():
    with open("docs/errors.md", encoding="utf-8") as file:
        current = file.read() == call(EFSCTL, "--list").stdout
    check(current, "docs/errors.md differs from the catalogue: build/efsctl explain --list >docs/errors.md")


def advice():
    """Every cause of every entry, filled in with placeholders."""
    entries = re.findall(r"^\| ([a-z0-9-]+) \|", call(EFSCTL, "--list").stdout, re.M)[1:]
    check(len(entries) > 40, f"only {len(entries)} entries")
    for entry in entries:
        for cause in json.loads(call(EFSCTL, "--json", entry).stdout)["findings"][0]["causes"]:
            yield entry, cause


def aws_commands(text):
    """Whole aws commands, of one line or continued; they may stand in a pipe."""
    for line in re.sub(r"\\\n", " ", text).split("\naws "):
        line = line if line.startswith("aws ") else "aws " + line
        yield re.split(r"\n(?![ \t\"{])|\n#| \| ", line)[0]


def aws_understands(entry, command):
    """The real CLI parses it: names of services, calls and options, and the values that it parses itself."""
    command += " --generate-cli-skeleton input"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False,
                          env={**os.environ, "AWS_DEFAULT_REGION": "eu-west-1", "AWS_PAGER": "cat", "PAGER": "cat"})
    check(done.returncode == 0 and done.stdout.startswith("{"), f"{entry}: {command}\n{done.stdout[:300]}{done.stderr}")


def shell_understands(entry, text):
    done = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, timeout=20, check=False)
    check(done.returncode == 0, f"{entry}: {text}\n{done.stderr}")


def terraform_understands(pieces):
    """terraform fmt parses; an argument alone is no file, so each stands in a block."""
    with tempfile.TemporaryDirectory() as directory:
        for number, (entry, piece) in enumerate(pieces):
            with open(os.path.join(directory, f"{number:03}-{entry}.tf"), "w", encoding="utf-8") as file:
                file.write("locals {\n" + piece + "\n}\n")
        done = subprocess.run(["terraform", "fmt", "-list=false", directory], capture_output=True, text=True, timeout=60,
                              check=False)
        check(done.returncode == 0, done.stdout + done.stderr)


def main():
    programs_agree()
    exit_codes()
    document_is_current()
    commands, pieces = 0, []
    seen = set()
    for entry, cause in advice():
        for text in (cause.get("confirm"), cause.get("cli")):
            if not text or text in seen:
                continue
            seen.add(text)
            shell_understands(entry, text)
            if "aws " not in text or not shutil.which("aws"):
                continue
            for command in aws_commands("\n" + text):
                if command.strip().startswith("aws ") and command not in seen:
                    seen.add(command)
                    aws_understands(entry, command)
                    commands += 1
        if "terraform" in cause:
            pieces.append((entry, cause["terraform"]))
    if shutil.which("terraform"):
        terraform_understands(pieces)
    print(f"ok: {commands} aws commands, {len(pieces)} pieces of Terraform")


main()
