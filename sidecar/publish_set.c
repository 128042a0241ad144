#include "sidecar/publish_set.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/fs.h"
#include "lib/json_path.h"
#include "lib/share/layout.h"

enum { AT_ONCE = 4, MANIFEST_NAME_SIZE = 40 };

struct set_file {
    struct publish_set *set;
    uint64_t size;
    bool has_digest;
    uint8_t sha256[SHA256_BYTES];
};

struct publish_set {
    struct publisher *publisher;
    struct publish_body body;
    uint64_t hold_id;
    int64_t deadline_ms;
    publish_set_ended *ended;
    void *arg;
    size_t next, in_flight, done;
    bool failed;
    enum publish_end how;
    struct error err;
    struct set_file *files;
};

/* A worker writes it. */
struct manifest {
    struct publish_set *set;
    const struct place *place;
    char *text;
    char name[MANIFEST_NAME_SIZE];
    char path[PATH_MAX]; /* relative to the mount */
    struct error err;
};

static void step(struct publish_set *set);

static void release(struct publish_set *set)
{
    publish_body_release(&set->body);
    free(set->files);
    free(set);
}

static void end(struct publish_set *set)
{
    if (set->failed && set->body.n > 1)
        error_prefix(&set->err, "%zu of %zu files are published, the manifest is not", set->done,
                     set->body.n);
    if (set->ended)
        set->ended(set->arg, set, set->how, &set->err);
    release(set);
}

static void fail(struct publish_set *set, enum publish_end how, const struct error *err)
{
    if (set->failed)
        return;
    set->failed = true;
    set->how = how;
    set->err = *err;
}

static int submit(struct publish_set *set, const char *from, const char *to, bool digest,
                  publish_ended *ended, void *arg, struct error *err)
{
    const struct publish_body *body = &set->body;
    const struct publish_request request = {
        .from = from,
        .to = to,
        .replace = body->replace,
        .mkdir = body->mkdir,
        .digest = digest,
        .mode = body->mode,
        .hold_id = set->hold_id,
        .deadline_ms = set->deadline_ms,
    };
    return publisher_submit(set->publisher, &request, ended, arg, err);
}

/* ---- the manifest ---- */

static json_t *file_json(const struct publish_set *set, size_t i)
{
    const struct set_file *file = &set->files[i];
    const char *path = set->body.files[i].to;
    char sha256[SHA256_TEXT];
    json_t *json = json_pack("{s:I}", "size", (json_int_t)file->size);
    if (json)
        json_path_set(json, "path", path);
    if (json && file->has_digest)
        json_object_set_new(json, "sha256", json_string(sha256_format(file->sha256, sha256)));
    return json;
}

static json_t *files_json(const struct publish_set *set)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < set->body.n; i++)
        if (json_array_append_new(list, file_json(set, i)) < 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

static int manifest_write(void *arg)
{
    struct manifest *manifest = arg;
    const struct settings *settings = manifest->place->settings;
    _cleanup_close_ int root_fd = -1, fd = -1;
    char *slash = strrchr(manifest->path, '/');
    *slash = '\0';
    int r = place_open_root(manifest->place, &root_fd, &manifest->err);
    if (r == 0)
        r = place_make_dir(manifest->place, root_fd, manifest->path, settings->task_dir_mode, &fd,
                           &manifest->err);
    *slash = '/';
    if (r < 0)
        return r;
    r = fs_write_atomic(fd, manifest->name, manifest->text, strlen(manifest->text),
                        LAYOUT_FILE_MODE);
    if (r < 0)
        error_set_errno(&manifest->err, -r, "the manifest cannot be written to %s on %s",
                        manifest->path, manifest->place->path);
    return r;
}

static void manifest_published(void *arg, enum publish_end how, const struct publish_file *file,
                               const struct error *err)
{
    struct publish_set *set = arg;
    if (how != PUBLISH_DONE)
        fail(set, how, err);
    end(set);
}

static void manifest_written(void *arg, enum work_outcome outcome, int result)
{
    struct manifest *manifest = arg;
    struct publish_set *set = manifest->set;
    if (outcome != WORK_DONE)
        result = error_set(&manifest->err, ETIMEDOUT,
                           "%s did not answer in time: the manifest was not published",
                           manifest->place->path);
    if (result == 0)
        result = submit(set, manifest->path, set->body.manifest, set->body.digest,
                        manifest_published, set, &manifest->err);
    if (result < 0) {
        fail(set, PUBLISH_FAILED, &manifest->err);
        end(set);
    }
}

static void manifest_release(void *arg)
{
    struct manifest *manifest = arg;
    free(manifest->text);
    free(manifest);
}

static const struct job manifest_job = {
    .what = "writing a manifest",
    .run = manifest_write,
    .done = manifest_written,
    .release = manifest_release,
};

static int name_manifest(struct manifest *manifest)
{
    const struct settings *settings = manifest->place->settings;
    uint64_t random;
    if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return -EIO;
    snprintf(manifest->name, sizeof(manifest->name), "manifest-%016" PRIx64, random);
    int n = snprintf(manifest->path, sizeof(manifest->path), "%s/%s/" LAYOUT_STAGED "/%s",
                     settings->tasks_dir, settings->task_name, manifest->name);
    return n < 0 || (size_t)n >= sizeof(manifest->path) ? -ENAMETOOLONG : 0;
}

static int start_manifest(struct publish_set *set)
{
    const struct publisher_options *options = publisher_options(set->publisher);
    struct manifest *manifest = calloc(1, sizeof(*manifest));
    if (!manifest)
        return -ENOMEM;
    manifest->set = set;
    manifest->place = options->place;
    _cleanup_json_ json_t *json =
        json_pack("{s:i, s:o, s:o}", "version", 1, "task",
                  json_string_lossy(options->place->settings->task_name), "files", files_json(set));
    manifest->text = json ? json_dumps(json, JSON_INDENT(1)) : NULL;
    int r = manifest->text ? name_manifest(manifest) : -ENOMEM;
    if (r == 0)
        r = work_pool_submit(options->files, &manifest_job, manifest, set->deadline_ms);
    if (r < 0)
        manifest_release(manifest);
    return r;
}

/* ---- the files ---- */

static void file_ended(void *arg, enum publish_end how, const struct publish_file *found,
                       const struct error *err)
{
    struct set_file *file = arg;
    struct publish_set *set = file->set;
    set->in_flight--;
    if (how == PUBLISH_DONE) {
        set->done++;
        file->size = found->size;
        file->has_digest = found->has_digest;
        memcpy(file->sha256, found->sha256, sizeof(file->sha256));
        if (err->code) /* a warning */
            set->err = *err;
    } else {
        fail(set, how, err);
    }
    step(set);
}

static int submit_next(struct publish_set *set, struct error *err)
{
    const struct publish_names *names = &set->body.files[set->next];
    int r = submit(set, names->from, names->to, set->body.digest, file_ended,
                   &set->files[set->next], err);
    if (r < 0)
        return r;
    set->next++;
    set->in_flight++;
    return 0;
}

static void step(struct publish_set *set)
{
    struct error err;
    while (!set->failed && set->next < set->body.n && set->in_flight < AT_ONCE)
        if (submit_next(set, &err) < 0) {
            if (err.code == ENOBUFS && set->in_flight > 0)
                return; /* the next end makes room */
            fail(set, PUBLISH_FAILED, &err);
        }
    if (set->in_flight > 0)
        return;
    if (!set->failed && set->body.manifest) {
        int r = start_manifest(set);
        if (r == 0)
            return;
        error_set_errno(&err, -r, "the manifest cannot be written");
        fail(set, PUBLISH_FAILED, &err);
    }
    end(set);
}

int publish_set_start(struct publisher *publisher, struct publish_body *body, uint64_t hold_id,
                      publish_set_ended *ended, void *arg, struct publish_set **ret_set,
                      struct error *err)
{
    struct publish_set *set = calloc(1, sizeof(*set));
    struct set_file *files = calloc(body->n, sizeof(*files));
    if (!set || !files) {
        free(set);
        free(files);
        return error_set(err, ENOMEM, "no memory");
    }
    *set = (struct publish_set){
        .publisher = publisher,
        .body = *body,
        .hold_id = hold_id,
        .deadline_ms = clock_now_ms() + body->timeout_ms,
        .ended = ended,
        .arg = arg,
        .how = PUBLISH_DONE,
        .files = files,
    };
    for (size_t i = 0; i < body->n; i++)
        files[i].set = set;
    int r = submit_next(set, err); /* the rest follows its end */
    if (r < 0) {
        free(files);
        free(set);
        return r;
    }
    *body = (struct publish_body){0};
    *ret_set = set;
    return 0;
}

void publish_set_abandon(struct publish_set *set)
{
    set->ended = NULL;
}

json_t *publish_set_json(const struct publish_set *set)
{
    const struct publish_body *body = &set->body;
    json_t *json;
    if (body->manifest || body->n > 1)
        json = json_pack("{s:s, s:o?, s:o}", "outcome", "published", "manifest",
                         body->manifest ? json_string_lossy(body->manifest) : NULL, "files",
                         files_json(set));
    else if ((json = file_json(set, 0)))
        json_object_set_new(json, "outcome", json_string("published"));
    if (json && set->err.code)
        json_object_set_new(json, "warning", json_string_lossy(set->err.text));
    return json;
}
