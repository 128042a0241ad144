#!/usr/bin/env python3
"""The image that users run: what is in it, how large it is, and gate, sidecar and app from it without rights."""
import hashlib
import json
import os
import re
import stat
import subprocess
import tempfile

import jsonschema
import yaml

from watchlib import BUILD, check, run, wait_for

TOP = os.path.realpath(os.path.join(os.path.dirname(os.path.realpath(__file__)), "../.."))
IMAGE = os.path.join(os.path.realpath(BUILD), "image")
ROOT = os.path.join(IMAGE, "root")
VOLUMES = ("/run/efs-sidecar", "/opt/efs-sidecar", "/var/cache/efs-sidecar")
WITHOUT_RIGHTS = ("--read-only", "--cap-drop=all", "--security-opt=no-new-privileges", "--network=host",
                  "--ulimit=nofile=1024:1024", "--ulimit=nproc=1000:1000")
AS_ROOT = [] if os.geteuid() == 0 else ["sudo", "-n"]
MAX_RATIO = 1.25


def content(*path):
    with open(os.path.join(*path), encoding="utf-8") as file:
        return file.read().strip()


def engine(*arguments, timeout=60):
    name = content(IMAGE, "engine")
    check(name != "buildah", "buildah builds, but runs nothing: install podman and runc")
    runtime = ["--runtime=runc"] if name == "podman" else []
    return subprocess.run([*AS_ROOT, name, *runtime, *arguments], capture_output=True, text=True, timeout=timeout, check=False)


class Task:
    """The volumes of a task, and containers with them."""

    def __init__(self, root):
        self.data = os.path.join(root.decode(), "data")
        self.name = "efs-test-" + os.path.basename(root.decode()).rsplit(".", 1)[-1].lower().replace("_", "-")
        os.mkdir(self.data)
        os.chmod(self.data, 0o777)
        self.volumes = [f"--volume={self.name}-{n}:{path}" for n, path in enumerate(VOLUMES)]
        self.containers = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for name in self.containers:
            engine("rm", "-f", "-v", name)
        engine("volume", "rm", "-f", *[f"{self.name}-{n}" for n in range(len(VOLUMES))])

    def run(self, user, *command, options=()):
        return engine("run", "--rm", *WITHOUT_RIGHTS, f"--user={user}", *self.volumes, f"--volume={self.data}:/data", *options,
                      content(IMAGE, "id"), *command)

    def start(self, user, *command):
        name = f"{self.name}-c{len(self.containers)}"
        self.containers.append(name)
        result = engine("run", "-d", "--name", name, *WITHOUT_RIGHTS, f"--user={user}", *self.volumes, f"--volume={self.data}:/data",
                        content(IMAGE, "id"), *command)
        check(result.returncode == 0, f"{result.stderr}")
        return name


def a_task(root, user):
    with Task(root) as task:
        gate = task.run(user, "efs-init", "--allow-local", "--install=/opt/efs-sidecar", "/data")
        check(gate.returncode == 0 and "efs-init: ready" in gate.stderr + gate.stdout, f"gate: {gate}")
        owner = re.search(r"owner +new files belong to (\S+),", gate.stderr + gate.stdout)
        check(owner and owner[1] == user, f"the gate does not run as {user}: {gate}")
        sidecar = task.start(user, "efs-sidecar", "--allow-local", "--task-name=t", "--profile=cache", "/data")
        app = "4242:4242"
        wait_for(lambda: task.run(app, "efsctl", "health", "--fail-on=mount").returncode == 0,
                 lambda: f"not healthy: {engine('logs', sidecar)}", 60)
        # what the app's own image has: the static efsctl that the gate put into the volume
        status = task.run(app, "/opt/efs-sidecar/efsctl", "status", "--json")
        found = json.loads(status.stdout)
        check({c["type"]: c["status"] for c in found["conditions"]}["MountReady"] == "True", status.stdout)
        check(found["version"] == version(), f"{found['version']}")
        preload = task.run(app, "cat", "/run/efs-sidecar/ready.json", options=["--env=LD_PRELOAD=/opt/efs-sidecar/libefscache.so"])
        check(preload.returncode == 0 and not preload.stderr, f"the preload library: {preload}")
        stopped = engine("stop", "-t", "30", sidecar)
        check(stopped.returncode == 0, f"{stopped}")
        code = engine("inspect", "--format", "{{.State.ExitCode}}", sidecar)
        check(code.stdout.strip() == "0", f"it ended with {code.stdout}: {engine('logs', sidecar)}")


def as_user(root):
    """as uid 1000: read-only root file system, no capability, no new privileges; gate, health, an app of another uid, stop"""
    a_task(root, "1000:1000")


def as_anybody(root):
    """the same as a uid that nobody has heard of"""
    a_task(root, "54321:54321")


def compose(root):
    """demo/compose.yml, in its order: three gates, sidecars and apps; each app has its turn, and the first hears of the others"""
    with open(os.path.join(TOP, "demo/compose.yml"), encoding="utf-8") as file:
        document = yaml.safe_load(re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", file.read()).replace("$$", "$"))
    services = {n: s for n, s in document["services"].items() if n != "aws"}  # moto's image is not here; nothing waits for it
    check(len(services) == 10 and {s["image"] for s in services.values()} == {f"efs-sidecar:{version()}"}, f"{list(services)}")
    prefix = "efs-compose-" + os.path.basename(root.decode()).rsplit(".", 1)[-1].lower().replace("_", "-") + "-"

    def healthy(name):
        test = services[name]["healthcheck"]["test"]
        check(test[0] == "CMD", f"{test}")  # no shell
        wait_for(lambda: engine("exec", prefix + name, *test[1:]).returncode == 0, lambda: f"{engine('logs', prefix + name)}", 60)
        return True

    conditions = {"service_completed_successfully": lambda n: engine("wait", prefix + n).stdout.strip() == "0", "service_healthy": healthy}
    try:
        for name, service in services.items():
            for other, how in service.get("depends_on", {}).items():
                check(conditions[how["condition"]](other), f"{other}: {engine('logs', prefix + other)}")
            rights = [f"--cap-drop={c}" for c in service["cap_drop"]] + [f"--security-opt={o}" for o in service["security_opt"]]
            result = engine("run", "-d", f"--name={prefix}{name}", *WITHOUT_RIGHTS[3:], "--read-only", *rights, f"--user={service['user']}",
                            *[f"--env={k}={v}" for k, v in service.get("environment", {}).items()], *[f"--volume={prefix}{v}" for v in service["volumes"]],
                            content(IMAGE, "id"), *service["command"])
            check(result.returncode == 0, f"{name}: {result}")
        wait_for(lambda: all(f"web-{n}/turn" in engine("logs", prefix + "app-1").stdout for n in (2, 3)),
                 lambda: f"{engine('logs', prefix + 'app-1')}", 60)
        tokens = engine("exec", prefix + "app-3", "sh", "-c", "cat /data/tasks/*/turn").stdout.split("\n")
        check(len(set(tokens) - {""}) == 3, f"{tokens}")
    finally:
        engine("rm", "-f", "-v", "-t", "5", *[prefix + n for n in services])
        engine("volume", "rm", "-f", *[prefix + v for v in document["volumes"]])


def version():
    with open(os.path.join(TOP, "Makefile"), encoding="utf-8") as file:
        return re.search(r"^VERSION := (\S+)", file.read(), re.M)[1]


def config(root):
    """user, volumes, command and labels are as documented; the Dockerfile's version is the Makefile's"""
    found = json.loads(content(IMAGE, "config.json"))
    check(found["User"] == "1000:1000" and found["Cmd"] == ["efs-sidecar"] and not found.get("Entrypoint"), f"{found}")
    check(set(found["Volumes"]) == set(VOLUMES), f"{found['Volumes']}")
    labels = {k.removeprefix("org.opencontainers.image."): v for k, v in found["Labels"].items()}
    check(labels["version"] == version() and labels["licenses"] == "MIT AND GPL-2.0-only AND LGPL-2.1-or-later" and labels["title"] == "efs-sidecar", f"{labels}")
    check("ARG VERSION=" + version() in content(TOP, "Dockerfile").splitlines(), "the Dockerfile says another version")
    for path in VOLUMES:
        mode = stat.S_IMODE(os.stat(ROOT + path).st_mode)
        check(mode == 0o1777, f"{path} has mode {mode:o}")
    link = os.lstat(ROOT + "/run/efs-sidecar/task")
    check(os.readlink(ROOT + "/run/efs-sidecar/task") == "mounts/.task", "the link to the sidecar's link")
    check(link.st_uid == os.stat(ROOT + "/run/efs-sidecar").st_uid == 1000, f"it belongs to {link.st_uid}")


def files():
    for directory, _, names in os.walk(ROOT):
        for name in names:
            path = os.path.join(directory, name)
            yield path, os.lstat(path)


def rights(root):
    """no file changes the user, none can be written by everybody, no lists or archives of apt"""
    regular = [(p, s) for p, s in files() if stat.S_ISREG(s.st_mode)]
    check(len(regular) > 1000, f"only {len(regular)} files")
    wrong = [p for p, s in regular if s.st_mode & (stat.S_ISUID | stat.S_ISGID | stat.S_IWOTH)]
    check(not wrong, f"{wrong}")
    for folder in ("var/lib/apt/lists", "var/cache/apt/archives"):
        path = os.path.join(ROOT, folder)
        check(not os.path.isdir(path) or not [n for n in os.listdir(path) if n not in ("lock", "partial")], f"{folder} is not empty")
    for program in ("efs-init", "efs-sidecar", "efs-watch", "efsctl"):
        sections = subprocess.run(["readelf", "-WS", f"{ROOT}/usr/bin/{program}"], capture_output=True, text=True, check=True).stdout
        check(".text" in sections and ".debug_info" not in sections, f"{program} has debugging information")


def dpkg(*arguments):
    return subprocess.run(["dpkg-query", f"--admindir={ROOT}/var/lib/dpkg", *arguments], capture_output=True, text=True, check=True).stdout


def packages():
    return dict(line.split("\t") for line in dpkg("-W", "-f", "${Package}\t${Version}\n").splitlines())


def digest(algorithm, path):
    with open(path, "rb") as file:
        return hashlib.new(algorithm, file.read()).hexdigest()


def fields(required, optional=""):
    text, several = {"type": "string", "minLength": 1}, {"checksums", "externalRefs", "fileTypes", "creators", "packages", "files", "relationships"}
    known = {n: {"type": "array", "minItems": 1} if n in several else text for n in f"{required} {optional}".split()}
    known |= {n: t for n, t in (("filesAnalyzed", {"type": "boolean"}), ("creationInfo", {}), ("packageVerificationCode", {})) if n in known}
    return {"type": "object", "required": required.split(), "properties": known, "additionalProperties": False}


# What SPDX 2.3's JSON schema demands of what we use of it.
SPDX = fields("SPDXID creationInfo dataLicense name spdxVersion", "documentNamespace packages files relationships")
SPDX_PARTS = {
    "packages": fields("SPDXID downloadLocation name", "versionInfo supplier filesAnalyzed packageVerificationCode sourceInfo licenseConcluded "
                       "licenseDeclared licenseComments copyrightText externalRefs"),
    "files": fields("SPDXID checksums fileName", "fileTypes licenseConcluded copyrightText"),
    "relationships": fields("spdxElementId relatedSpdxElement relationshipType"),
}
LICENCES = {"MIT", "GPL-2.0-only", "LGPL-2.1-or-later"}


def sbom_form(document):
    """the schema, and what the text of SPDX 2.3 demands beyond it"""
    jsonschema.validate(document, SPDX)
    jsonschema.validate(document["creationInfo"], fields("created creators"))
    for part, schema in SPDX_PARTS.items():
        for element in document[part]:
            jsonschema.validate(element, schema)
    check((document["spdxVersion"], document["dataLicense"], document["SPDXID"]) == ("SPDX-2.3", "CC0-1.0", "SPDXRef-DOCUMENT"), "head")
    check(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", document["creationInfo"]["created"]), f"{document['creationInfo']}")
    check(document["creationInfo"]["creators"] == [f"Tool: efs-sidecar-sbom-{version()}"], f"{document['creationInfo']}")
    check(re.fullmatch(r"[a-z]+:[^\s#]+", document["documentNamespace"]), document["documentNamespace"])
    ids = [e["SPDXID"] for e in document["packages"] + document["files"]]
    check(len(set(ids)) == len(ids) and all(re.fullmatch(r"SPDXRef-[A-Za-z0-9.-]+", i) for i in ids), "ids")
    for relation in document["relationships"]:
        for end in ("spdxElementId", "relatedSpdxElement"):
            check(relation[end] in ids + ["SPDXRef-DOCUMENT"], f"{relation}")
        check(relation["relationshipType"] in ("DESCRIBES", "CONTAINS", "STATIC_LINK"), f"{relation}")
    holders = {r["spdxElementId"] for r in document["relationships"] if r["relationshipType"] == "CONTAINS"}
    for package in document["packages"]:
        analyzed = package["filesAnalyzed"]
        check((package["SPDXID"] in holders) == analyzed == ("packageVerificationCode" in package), f"{package}")
        for ref in package.get("externalRefs", []):
            check(re.fullmatch(r"pkg:deb/debian/[A-Za-z0-9.%-]+@[A-Za-z0-9.%-]+\?arch=\w+", ref["referenceLocator"]), f"{ref}")
    for element in document["packages"] + document["files"]:
        check(element["licenseConcluded"] == "NOASSERTION" or set(element["licenseConcluded"].split(" AND ")) <= LICENCES, f"{element}")


def sbom(root):
    """the SBOM is SPDX 2.3, names exactly the packages that dpkg knows and our files, with their hashes"""
    document = json.loads(content(ROOT, "usr/share/efs-sidecar/sbom.spdx.json"))
    sbom_form(document)
    ours, *debian = document["packages"]
    check((ours["name"], ours["versionInfo"]) == ("efs-sidecar", version()), f"{ours}")
    check({p["name"]: p["versionInfo"] for p in debian} == packages(), "other packages than dpkg's")
    expected = {os.path.join(d, n) for top in ("usr/bin", "usr/lib/efs-sidecar", "usr/share/doc/efs-sidecar")
                for d, _, names in os.walk(os.path.join(ROOT, top)) for n in names if n.startswith(("efs", "libefs")) or "/doc/" in d}
    check({os.path.normpath(os.path.join(ROOT, f["fileName"])) for f in document["files"]} == expected, "other files")
    for file in document["files"]:
        check(file["fileName"].startswith("./") and {s["algorithm"] for s in file["checksums"]} == {"SHA1", "SHA256"}, f"{file}")
        for sum_ in file["checksums"]:
            check(digest(sum_["algorithm"].lower(), os.path.join(ROOT, file["fileName"])) == sum_["checksumValue"], file["fileName"])
    sums = sorted(digest("sha1", os.path.join(ROOT, f["fileName"])) for f in document["files"])
    code = {"packageVerificationCodeValue": hashlib.sha1("".join(sums).encode()).hexdigest(),
            "packageVerificationCodeExcludedFiles": ["./usr/share/efs-sidecar/sbom.spdx.json"]}
    check(ours["packageVerificationCode"] == code, f"{ours}")
    licences_ = {os.path.basename(f["fileName"]): f["licenseConcluded"] for f in document["files"] if "/bin/" in f["fileName"]}
    check(licences_ == {"efs-init": "MIT", "efs-sidecar": "MIT", "efs-watch": "GPL-2.0-only", "efsctl": "MIT"}, f"{licences_}")


def licences(root):
    """each package has its licence in the image, and so have we; where the source of what is under the GPL is"""
    for package in packages():
        folder = os.path.join(ROOT, "usr/share/doc", package)
        if os.path.islink(folder):  # to that of another package of the same source
            folder = os.path.join(ROOT, "usr/share/doc", os.path.basename(os.readlink(folder)))
        check(os.path.getsize(os.path.join(folder, "copyright")) > 100, f"{package} has no licence")
    ours = os.path.join(ROOT, "usr/share/doc/efs-sidecar")
    check(content(ours, "LICENSE") == content(TOP, "LICENSE"), "LICENSE")
    notice = content(ours, "NOTICE")
    check("efs-watch" in notice and "inotify-tools" in notice and "GPL-2" in notice, notice)
    check("GNU GENERAL PUBLIC LICENSE" in content(ROOT, "usr/share/common-licenses/GPL-2"), "the text of the GPL")


def libraries():
    """all libraries that our programs link or load, and those that they link."""
    wanted, found = {"libcurl.so.4", "libcrypto.so.3"}, {}
    for name in ("efs-init", "efs-sidecar", "efs-watch", "efsctl"):
        wanted |= needed(f"{ROOT}/usr/bin/{name}")
    places = [os.path.join(ROOT, "usr/lib", d) for d in os.listdir(os.path.join(ROOT, "usr/lib")) if d.endswith("-linux-gnu")]
    while wanted:
        name = wanted.pop()
        path = next(p for p in (os.path.join(d, name) for d in places) if os.path.exists(p))
        found[name] = os.path.realpath(path)
        wanted |= needed(path) - set(found)
    return found


def needed(path):
    dynamic = subprocess.run(["readelf", "-Wd", path], capture_output=True, text=True, check=True).stdout
    return {n for n in re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic) if not n.startswith("ld-linux")}


def size(root):
    """size and packages are within a quarter of the floor: the base, and the libraries that the programs need"""
    base = content(IMAGE, "base")
    listed = engine("run", "--rm", "--network=none", *WITHOUT_RIGHTS[4:], base, "dpkg-query", "-W", "-f", "${Package}\n")
    check(listed.returncode == 0, f"{listed}")
    of_base = set(listed.stdout.split())
    owners = {}
    for name, path in libraries().items():
        owners[path] = dpkg("-S", "*/" + name).split(":")[0].split(",")[0]
    roots = os.path.getsize(os.path.join(ROOT, "etc/ssl/certs/ca-certificates.crt"))
    floor_packages = of_base | set(owners.values()) | {"ca-certificates"}
    bytes_of = [int(engine("image", "inspect", "--format", "{{.Size}}", i).stdout) for i in (base, content(IMAGE, "id"))]
    floor_bytes = bytes_of[0] + roots + sum(os.path.getsize(p) for p, o in owners.items() if o not in of_base)
    ratios = bytes_of[1] / floor_bytes, len(packages()) / len(floor_packages)
    note = (f"{bytes_of[1] / 1e6:.1f} MB of {floor_bytes / 1e6:.1f} MB ({ratios[0]:.2f}), "
            f"{len(packages())} packages of {len(floor_packages)} ({ratios[1]:.2f})")
    check(max(ratios) <= MAX_RATIO, note)
    extra = sorted(set(packages()) - floor_packages)
    return note + (f"; beyond the floor: {' '.join(extra)}" if extra else "")


def no_mirror(root):
    """without Debian's mirror, and without a base, the message says so"""
    with tempfile.TemporaryDirectory() as build:
        result = subprocess.run([*AS_ROOT, "env", "VERSION=0", f"BUILD={build}", "FRESH=1", "DEBIAN=none-such", f"ENGINE={content(IMAGE, 'engine')}",
                                 "MIRROR=http://127.0.0.1:9/debian", os.path.join(TOP, "image/make"), "root"], cwd=TOP, capture_output=True,
                                text=True, timeout=120, check=False)
        check(result.returncode == 1 and "this needs Debian's mirror, or MIRROR=URL" in result.stderr, f"{result}")


if __name__ == "__main__":
    quiet = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    subprocess.run(["make", "--no-print-directory", f"BUILD={os.path.realpath(BUILD)}", "image-root"], cwd=TOP, env=quiet, check=True)
    run(config, rights, sbom, licences, size, as_user, as_anybody, compose, no_mirror)
