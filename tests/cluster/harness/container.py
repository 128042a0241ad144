"""A container on a task host: an image's file tree in namespaces of its own, a user, an environment, mounts."""

import json
import os
import re
import signal

from .errors import check

# What Docker leaves to a container; the others need "add".
DOCKER_CAPABILITIES = ("chown dac_override fowner fsetid kill setgid setuid setpcap net_bind_service net_raw sys_chroot mknod "
                       "audit_write setfcap").split()
# Process 1 with initProcessEnabled: hands SIGTERM on, reaps what is left to it, ends with the code of the command.
INIT = """trap 'term=yes; [ -z "$p" ] || kill -TERM $p' TERM
"$@" & p=$!
[ -z "$term" ] || kill -TERM $p
while :; do wait $p; code=$?; kill -0 $p 2>/dev/null || exit $code; done"""
# Its parent, outside: unshare --fork does not tell that it was ended by SIGKILL.
PARENT = 'env --default-signal=INT,QUIT "$@" & exec 2>/dev/null; wait $!'


class Image:
    """What a container definition takes from its image. `root` is its file tree, or A:B, with A over B; `volumes` maps the path of
    each VOLUME to the mode, uid and gid of the directory there, which an empty volume takes over."""

    def __init__(self, command, root="/", env=None, user="0:0", volumes=None):
        self.command, self.root, self.env, self.user = command, root, env or {}, user
        self.volumes = volumes or {}

    @classmethod
    def of_dockerfile(cls, cluster):
        """efs-sidecar's, as the Dockerfile says, with the file tree of this machine and the programs in build/."""
        with open(os.path.join(cluster.top, "Dockerfile"), encoding="utf-8") as file:
            text = file.read()
        args = dict(re.findall(r"^ARG (\w+)=(\S+)$", text, re.M))
        env = dict(re.findall(r"^ENV (\w+)=(\S+)$", text, re.M))
        text = re.sub(r"\$(UID|GID)\b", lambda m: args[m.group(1)], text)
        made = re.findall(r"install -d -m (\d+) (?:-o (\d+) -g (\d+) )?(/[^\\\n]+)", text)
        volumes = {path: (mode, int(uid or 0), int(gid or 0)) for mode, uid, gid, paths in made for path in paths.split()}
        declared = json.loads(re.search(r"^VOLUME (.*)$", text, re.M).group(1))
        check(sorted(volumes) == sorted(declared), f"the Dockerfile makes {volumes}, and has the volumes {declared}")
        user = re.search(r"^USER (\S+)$", text, re.M).group(1)
        command = json.loads(re.search(r"^CMD (.*)$", text, re.M).group(1))
        return cls(command, env={"PATH": cluster.path, **env}, user=user, volumes=volumes)

    @classmethod
    def built(cls, cluster, over=None, command=None):
        """efs-sidecar's, as `make image-root` left it; the file tree `over` lies over its own. An app's with another command."""
        folder = os.path.join(cluster.build, "image")
        check(os.path.exists(f"{folder}/config.json"), f"there is no image in {folder}: make image-root")
        with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
            config = json.load(file)
        tree = os.path.join(folder, "root")
        at = {path: os.stat(tree + path) for path in config["Volumes"]}
        volumes = {path: (f"{s.st_mode & 0o7777:o}", s.st_uid, s.st_gid) for path, s in at.items()}
        env = dict(line.split("=", 1) for line in config["Env"])
        return cls(command or config["Cmd"], f"{over}:{tree}" if over else tree, env, config["User"], volumes)


class Container:
    """One run of a container definition; a restart is another. mounts: (source on the host, path, "ro" or "rw")."""

    def __init__(self, host, definition, image, mounts, env, directory):
        self.host, self.definition, self.image = host, definition, image
        self.env = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", **image.env, **env,
                    **{v["name"]: v["value"] for v in definition.get("environment", [])}}
        linux = definition.get("linuxParameters", {})
        command = (definition.get("entryPoint") or []) + (definition.get("command") or image.command)
        if linux.get("initProcessEnabled"):
            command = ["sh", "-c", INIT, "init"] + command
        binds = [word for mount in mounts for word in mount]
        root = [directory, image.root, "ro" if definition.get("readonlyRootFilesystem") else "rw"]
        script = os.path.join(os.path.dirname(os.path.realpath(__file__)), "container.sh")
        self.process = host.spawn(["unshare", "--mount", "--pid", "sh", "-c", PARENT, "container", "sh", script, *root, *binds, "--",
                                   *self.as_user(command)])
        self.directory, self.first = directory, None

    @property
    def pid(self):
        """Of its first process, when all is mounted: containers that start at one time do not wait for each other."""
        if self.first is None:
            ready = f"{self.directory}/ready"
            result = self.host.run(f"for i in $(seq 400); do [ -s {ready} ] && exec cat {ready}; sleep 0.05; done; exit 1", timeout=40)
            self.first = int(result.stdout)
        return self.first

    def as_user(self, command, user=None):
        """The command with the ids, capabilities and environment of the container."""
        uid, _, gid = (user or self.definition.get("user") or self.image.user).partition(":")
        capabilities = self.definition.get("linuxParameters", {}).get("capabilities", {})
        kept = [] if "ALL" in capabilities.get("drop", []) else DOCKER_CAPABILITIES
        kept = kept + [name.lower() for name in capabilities.get("add", [])]
        bounding = ",".join(["-all"] + ["+" + name for name in kept])
        return ["setpriv", f"--reuid={uid}", f"--regid={gid or uid}", "--clear-groups", f"--bounding-set={bounding}",
                "--inh-caps=-all", "env", "-i", *[f"{k}={v}" for k, v in self.env.items()], *command]

    def spawn(self, command, user=None):
        """A process beside the first one, as a health check or `docker exec` has it."""
        words = ["sh", "-c", command] if isinstance(command, str) else list(command)
        return self.host.spawn(["nsenter", "-t", str(self.pid), "-m", "-p", "--", *self.as_user(words, user)])

    def run(self, command, timeout=10, check=True, user=None):
        return self.spawn(command, user).wait(timeout, check)

    def signal(self, number):
        self.host.run(["kill", f"-{signal.Signals(number).value}", str(self.pid)], check=False)

    def exit_code(self):
        """128 and the signal's number after a signal; None while it runs."""
        return self.process.poll()

    def output(self):
        return self.process.output
