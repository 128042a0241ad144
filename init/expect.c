#include "init/expect.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/fs.h"
#include "lib/parse.h"

static const struct {
    const char *option;
    size_t list;
} kinds[] = {
    [EXPECT_MARKER] = {"marker", offsetof(struct settings, init_marker)},
    [EXPECT_CREATE] = {"create", offsetof(struct settings, init_create)},
    [EXPECT_REQUIRE] = {"require", offsetof(struct settings, init_require)},
};

void expect_release(struct expectations *expect)
{
    while (expect->n > 0) {
        expect->n--;
        free(expect->items[expect->n].path);
        free(expect->items[expect->n].content);
    }
}

/* What is left of path beneath directory; "" for the same, NULL when it is somewhere else. */
static const char *beneath(const char *path, const char *directory)
{
    size_t length = strcmp(directory, "/") == 0 ? 0 : strlen(directory);
    if (strncmp(path, directory, length) != 0 || (path[length] != '/' && path[length] != '\0'))
        return NULL;
    return path + length + strspn(path + length, "/");
}

static const char *find_mount(const struct mount_list *mounts, struct expectation *item)
{
    size_t longest = 0;
    for (size_t i = 0; i < mounts->n; i++) {
        const char *rest = beneath(item->path, mounts->mounts[i].path);
        if (!rest || strlen(mounts->mounts[i].path) < longest)
            continue;
        longest = strlen(mounts->mounts[i].path);
        item->mount = i;
        item->relative = *rest ? rest : ".";
    }
    if (!item->relative)
        return "lies in none of the mounts";
    if (strcmp(item->relative, ".") != 0 && fs_check_relative(item->relative) < 0)
        return "has a \"..\", \".\" or empty component, or a name of more than 255 bytes";
    return NULL;
}

/* UID:GID[:MODE] */
static const char *parse_owner(char *text, struct expectation *item)
{
    static const char *const wanted = "wants PATH, PATH:UID:GID or PATH:UID:GID:MODE";
    char *second = strchr(text, ':');
    char *mode = second ? strchr(second + 1, ':') : NULL;
    if (mode) {
        *mode++ = '\0';
        if (parse_mode(mode, &item->mode) < 0)
            return wanted;
        item->mode_set = true;
    }
    if (parse_ids(text, &item->owner.uid, &item->owner.gid) < 0)
        return wanted;
    item->owner.set = true;
    return NULL;
}

/* Cuts text at what follows the path. NULL or what is wrong. */
static const char *parse_item(char *text, struct expectation *item)
{
    char *rest = strchr(text, item->kind == EXPECT_MARKER ? '=' : ':');
    if (rest)
        *rest++ = '\0';
    if (item->kind == EXPECT_CREATE)
        item->mode = EXPECT_CREATE_MODE;
    if (rest && item->kind == EXPECT_CREATE && parse_mode(rest, &item->mode) < 0)
        return "wants PATH or PATH:MODE with octal permission bits";
    if (rest && item->kind == EXPECT_REQUIRE) {
        const char *why = parse_owner(rest, item);
        if (why)
            return why;
    }
    if (rest && item->kind == EXPECT_MARKER && !(item->content = strdup(rest)))
        return "does not fit into memory";
    for (size_t end = strlen(text); end > 1 && text[end - 1] == '/'; end--)
        text[end - 1] = '\0';
    if (!(item->path = strdup(text)))
        return "does not fit into memory";
    return NULL;
}

static void add(const struct settings *settings, enum expect_kind kind, const char *text,
                struct expectations *expect, struct config_report *errors)
{
    struct expectation *item = &expect->items[expect->n++];
    *item = (struct expectation){.kind = kind};
    _cleanup_free_ char *copy = strdup(text);
    const char *why = copy ? parse_item(copy, item) : "does not fit into memory";
    if (!why)
        why = find_mount(&settings->mounts, item);
    if (!why && kind == EXPECT_CREATE && settings->mounts.mounts[item->mount].read_only)
        why = "lies in a mount that is asked for as read-only";
    if (why)
        (void)config_error(errors, "--%s: \"%.200s\" %s", kinds[kind].option, text, why);
}

/* PATH=fsap-0123456789abcdef0 */
static void add_access_point(const struct settings *settings, const char *text,
                             struct expectations *expect, struct config_report *errors)
{
    static const char prefix[] = "=fsap-";
    const char *equals = strrchr(text, '=');
    size_t digits = equals && strncmp(equals, prefix, strlen(prefix)) == 0
                        ? strspn(equals + strlen(prefix), "0123456789abcdef")
                        : 0;
    if (digits < 8 || digits > 40 || equals[strlen(prefix) + digits] != '\0') {
        (void)config_error(errors, "--access-points: \"%.200s\" is not like %s%s0123456789abcdef0",
                           text, "/data", prefix);
        return;
    }
    for (size_t i = 0; i < settings->mounts.n; i++) {
        const char *path = settings->mounts.mounts[i].path;
        if (strlen(path) == (size_t)(equals - text) && strncmp(path, text, strlen(path)) == 0) {
            expect->access_points[i] = equals + 1;
            return;
        }
    }
    (void)config_error(errors, "--access-points: \"%.200s\" names none of the mounts", text);
}

int expect_load(const struct settings *settings, struct expectations *ret_expect,
                struct config_report *errors)
{
    unsigned before = errors->n_errors;
    for (size_t kind = 0; kind < ARRAY_LEN(kinds); kind++) {
        const struct name_list *list =
            (const struct name_list *)(const void *)((const char *)settings + kinds[kind].list);
        for (size_t i = 0; i < list->n; i++)
            add(settings, (enum expect_kind)kind, list->names[i], ret_expect, errors);
    }
    for (size_t i = 0; i < settings->init_access_points.n; i++)
        add_access_point(settings, settings->init_access_points.names[i], ret_expect, errors);
    return errors->n_errors == before ? 0 : -EINVAL;
}
