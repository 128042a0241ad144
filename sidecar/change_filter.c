#include "sidecar/change_filter.h"

#include <errno.h>
#include <string.h>

static bool add_op(const char *name, size_t length, unsigned *ops)
{
    for (unsigned op = CHANGE_CREATE; op <= CHANGE_RESYNC; op++) {
        const char *known = change_op_name(op);
        if (strlen(known) == length && memcmp(known, name, length) == 0) {
            *ops |= 1U << op;
            return true;
        }
    }
    return false;
}

int change_filter_ops(const char *text, unsigned *ret_ops, struct error *err)
{
    unsigned ops = 0;
    for (const char *name = text;; name++) {
        size_t length = strcspn(name, ",");
        if (!add_op(name, length, &ops))
            return error_set(err, EINVAL,
                             "\"%.*s\" is none of create, modify, delete, rename, attrib, "
                             "publish, resync",
                             length > 32 ? 32 : (int)length, name);
        name += length;
        if (!*name)
            break;
    }
    *ret_ops = ops;
    return 0;
}

bool change_path_under(const char *path, const char *prefix)
{
    size_t length = strlen(prefix);
    return length == 0 ||
           (strncmp(path, prefix, length) == 0 && (path[length] == '/' || path[length] == '\0'));
}

static bool concerns(const struct change *change, const char *prefix)
{
    const char *from = change->from ? change->from : "";
    if (change_path_under(change->path, prefix) || (*from && change_path_under(from, prefix)))
        return true;
    switch (change->op) { /* of a directory above, as a whole */
    case CHANGE_DELETE:
    case CHANGE_RENAME:
    case CHANGE_RESYNC:
        return change_path_under(prefix, change->path) ||
               (*from && change_path_under(prefix, from));
    default:
        return false;
    }
}

bool change_filter_passes(const struct change_filter *filter, const struct change *change)
{
    if (!concerns(change, filter->prefix))
        return false;
    if (change->op == CHANGE_RESYNC)
        return true;
    if (filter->remote && change->source == CHANGE_SOURCE_LOCAL)
        return false;
    return filter->ops == 0 || filter->ops & 1U << change->op;
}
