"""files removed while open are told by their own names, and no .nfs name ever is"""

import json

from harness.errors import check, equal


def changes(watch):
    return [json.loads(line) for line in watch.stdout.splitlines() if '"op"' in line]


def run(cluster):
    host = cluster.host(1)
    host.mount()
    host.run("mkdir -p /mnt/data/dir && cd /mnt/data/dir && touch before stays")
    watch = host.spawn("efs-watch /mnt/data")
    watch.wait_output('"ready"')
    host.run("""cd /mnt/data/dir && touch after && sleep 0.5 && exec 3<before 4<after 5<stays
                rm before after && mv stays moved && sleep 1 && exec 3<&- 4<&- 5<&-
                touch /mnt/data/last""", timeout=30)
    watch.wait_output('"last"')
    cluster.wait_until(lambda: {"dir/before", "dir/after"} <= {
        c["path"] for c in changes(watch) if c["op"] == "delete"}, 10, "both deletes")
    seen = changes(watch)
    cluster.log("\n".join(map(json.dumps, seen)))
    check(not [c for c in seen if ".nfs" in c["path"] or ".nfs" in c.get("from", "")], ".nfs shown")
    check(not [c for c in seen if c["op"] == "resync"], "a resync where names were known")
    equal("renames", [(c["from"], c["path"]) for c in seen if c["op"] == "rename"],
          [("dir/stays", "dir/moved")])
