"""the harness undoes whatever a scenario did"""

HOSTS = 2


def run(cluster):
    a, b = cluster.host(1), cluster.host(2)
    for host in (a, b):
        host.mount()
        host.mount("squash1000", "/mnt/other")
    a.run("mkdir -p /mnt/data/deep/er; chmod 0700 /mnt/data; echo x >/mnt/other/file; touch /tmp/file /run/file")
    a.spawn("nfsprobe hold /mnt/data/lock").wait_output("locked")
    a.spawn(["sh", "-c", "setsid sh -c 'exec 9>/mnt/data/stuck; while :; do echo >&9; sleep 0.1; done'"])
    a.netns("a").mount("normal", "/mnt/inner")
    a.delay_ms(30)
    b.link_down()
    b.spawn("echo late >/mnt/data/late")
    cluster.server.delay_ms(30)
    cluster.server.stop()
