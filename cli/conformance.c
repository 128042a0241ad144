#include "cli/conformance.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/peer.h"
#include "cli/property.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/fs.h"
#include "lib/json.h"
#include "lib/text.h"

enum { OPTION_JSON, OPTION_PEER };
enum { ALONE_MS = 15 * 1000, ID_WIDTH = 17, VERDICT_WIDTH = 8 };

static const char top_name[] = ".efs-conformance";

struct conformance {
    const char *path;
    bool on_nfs, as_json, hangs;
    int top_fd; /* of all runs */
    char own[32];
    int own_fd; /* of this one, for what is tried alone */
    struct peer *peer;
    unsigned failed;
    json_t *list;
};

/* ---- one property, in a process of its own ---- */

static int open_scene(struct conformance *run, const char *id)
{
    if (mkdirat(run->own_fd, id, 02770) < 0)
        return -errno;
    int fd = openat(run->own_fd, id, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    return fd < 0 ? -errno : fd;
}

static void try(struct conformance *run, const struct property *property, bool with_peer,
                struct finding *found)
{
    struct property_scene scene = {.path = run->path,
                                   .dir_fd = -1,
                                   .on_nfs = run->on_nfs,
                                   .peer = with_peer ? run->peer : NULL};
    int r = 0;
    if (with_peer)
        r = peer_begin(run->peer, property->id, &scene.dir_fd);
    else if (run->own_fd >= 0)
        r = scene.dir_fd = open_scene(run, property->id);
    if (r >= 0)
        r = property->try(&scene, found);
    if (r == -ETIMEDOUT) {
        found->verdict = VERDICT_UNKNOWN;
        snprintf(found->observed, sizeof(found->observed), "the other host did not follow");
    } else if (r < 0) {
        property_holds(found, false, "%s", strerror(-r));
    }
}

static void try_in_child(struct conformance *run, const struct property *property, bool with_peer,
                         struct finding *found)
{
    int ends[2];
    int timeout_ms = with_peer ? ALONE_MS + 2 * PEER_WAIT_MS : ALONE_MS;
    *found = (struct finding){.verdict = VERDICT_UNKNOWN, .observed = "it could not be started"};
    if (pipe2(ends, O_CLOEXEC) < 0)
        return;
    _cleanup_close_ int read_end = ends[0];
    _cleanup_close_ int write_end = ends[1];
    pid_t pid = fork();
    if (pid < 0)
        return;
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        try(run, property, with_peer, found);
        _exit(write(write_end, found, sizeof(*found)) == (ssize_t)sizeof(*found) ? 0 : 1);
    }
    close(take_fd(&write_end));
    struct pollfd readable = {.fd = read_end, .events = POLLIN};
    if (poll(&readable, 1, timeout_ms) == 1 &&
        read(read_end, found, sizeof(*found)) == (ssize_t)sizeof(*found)) {
        waitpid(pid, NULL, 0);
        return;
    }
    /* not waited for: a process that hangs in a call may stay for as long as the mount hangs */
    kill(pid, SIGKILL);
    run->hangs = true;
    property_holds(found, false, "no answer within %d s: the mount hangs", timeout_ms / 1000);
    found->verdict = VERDICT_UNKNOWN;
}

static void print(const struct property *property, const struct finding *found)
{
    text_column(stdout, ID_WIDTH, property->id);
    text_column(stdout, VERDICT_WIDTH, verdict_names[found->verdict]);
    printf("%s\n%*s", property->what, ID_WIDTH + VERDICT_WIDTH + 2, "");
    text_put(stdout, found->observed);
    puts("");
    fflush(stdout);
}

static void try_all(struct conformance *run, const struct property *table, bool with_peer)
{
    for (const struct property *property = table; property->id; property++) {
        struct finding found = {.verdict = VERDICT_UNKNOWN,
                                .observed = "not tried: the mount hangs"};
        if (!run->hangs)
            try_in_child(run, property, with_peer, &found);
        run->failed += found.verdict == VERDICT_FAILS || found.verdict == VERDICT_UNKNOWN;
        if (!run->as_json)
            print(property, &found);
        json_array_append_new(run->list,
                              json_pack("{s:s, s:s, s:s, s:s}", "id", property->id, "what",
                                        property->what, "verdict", verdict_names[found.verdict],
                                        "observed", found.observed));
    }
}

/* ---- the directory ---- */

static int answers(const struct property_scene *scene, struct finding *found)
{
    _cleanup_close_ int fd = open(scene->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct statx stat;
    int r = fd < 0 ? -errno : property_look(fd, "", &stat);
    return r < 0 ? r : property_holds(found, true, "it answers");
}

static int open_own(struct conformance *run, struct error *err)
{
    static const struct property first = {"answers", "", answers};
    struct finding found;
    try_in_child(run, &first, false, &found);
    if (found.verdict != VERDICT_HOLDS)
        return error_set(err, EIO, "%s: %s", run->path, found.observed);
    _cleanup_close_ int dir_fd = open(run->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0)
        return error_set_errno(err, errno, "%s cannot be opened", run->path);
    run->on_nfs = fs_is_nfs(run->path);
    int r = fs_mkdir_beneath(dir_fd, top_name, 02770, &run->top_fd);
    if (r < 0)
        return error_set_errno(err, -r, "%s/%s cannot be made", run->path, top_name);
    snprintf(run->own, sizeof(run->own), "alone-%d-%08llx", getpid(),
             (unsigned long long)clock_now_us() & 0xffffffff);
    r = fs_mkdir_beneath(run->top_fd, run->own, 02770, &run->own_fd);
    return r < 0
               ? error_set_errno(err, -r, "%s/%s/%s cannot be made", run->path, top_name, run->own)
               : 0;
}

static void close_own(struct conformance *run)
{
    if (run->hangs)
        return; /* what was made stays */
    if (run->own_fd >= 0) {
        close(run->own_fd);
        property_remove(run->top_fd, run->own);
    }
    peer_leave(run->peer);
    if (run->top_fd < 0)
        return;
    close(run->top_fd);
    _cleanup_close_ int dir_fd = open(run->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd >= 0)
        unlinkat(dir_fd, top_name, AT_REMOVEDIR); /* unless another run is in it */
}

static void print_json(const struct conformance *run)
{
    struct utsname host = {0};
    char when[CLOCK_TEXT];
    uname(&host);
    _cleanup_json_ json_t *root =
        json_pack("{s:s, s:s, s:s, s:s, s:b, s:s, s:O, s:i}", "version", EFS_SIDECAR_VERSION,
                  "time", clock_format(clock_wall_ms(), when), "kernel", host.release, "directory",
                  run->path, "nfs", run->on_nfs, "tried", run->peer ? "with a peer" : "alone",
                  "properties", run->list, "failed", (int)run->failed);
    if (root && json_dumpf(root, stdout, JSON_INDENT(2)) == 0)
        puts("");
}

int conformance_run(const struct command_call *call)
{
    if (call->n_arguments != 1)
        return command_misuse(call, "which directory?");
    struct conformance run = {.path = call->arguments[0],
                              .as_json = call->values[OPTION_JSON] != NULL,
                              .top_fd = -1,
                              .own_fd = -1,
                              .list = json_array()};
    struct error err;
    int r = open_own(&run, &err);
    if (r == 0 && call->values[OPTION_PEER]) {
        fputs("efsctl: waiting for the other host\n", stderr);
        r = peer_join(run.top_fd, &run.peer, &err);
    }
    if (r < 0) {
        command_say("", &err);
    } else {
        try_all(&run, properties_alone, false);
        if (run.peer)
            try_all(&run, properties_peer, true);
        if (run.as_json)
            print_json(&run);
        else
            printf("%u of %zu do not hold or are not known%s\n", run.failed,
                   json_array_size(run.list),
                   run.on_nfs ? "" : "; this is no NFS, so it says nothing about EFS");
    }
    close_own(&run);
    json_decref(run.list);
    return r == 0 && run.failed == 0 ? 0 : COMMAND_REFUSED;
}
