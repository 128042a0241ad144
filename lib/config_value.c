#include "lib/config_value.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/fs.h"
#include "lib/parse.h"
#include "lib/text.h"

/* Where the setting's value lies in the structure. */
static void *field_of(void *settings, const struct setting *setting)
{
    return (char *)settings + setting->offset;
}

static void release_names(struct name_list *list)
{
    while (list->n > 0)
        free(list->names[--list->n]);
}

static void release_mounts(struct mount_list *list)
{
    while (list->n > 0) {
        list->n--;
        free(list->mounts[list->n].path);
        free(list->mounts[list->n].file_system_id);
    }
}

/* Call add for each comma-separated, non-empty part of text. */
static int split(const char *text, int (*add)(void *list, const char *part, const char **ret_why),
                 void *list, const char **ret_why)
{
    _cleanup_free_ char *copy = strdup(text);
    if (!copy)
        return -ENOMEM;
    char *rest = copy;
    for (char *part; (part = strsep(&rest, ",")) != NULL;) {
        if (!*part)
            continue;
        int r = add(list, part, ret_why);
        if (r < 0)
            return r;
    }
    return 0;
}

static int add_name(void *list, const char *part, const char **ret_why)
{
    struct name_list *names = list;
    if (names->n == CONFIG_NAMES_MAX) {
        *ret_why = "has more than 32 entries";
        return -E2BIG;
    }
    names->names[names->n] = strdup(part);
    if (!names->names[names->n])
        return -ENOMEM;
    names->n++;
    return 0;
}

/* "fs-" and 8 to 40 hexadecimal digits. */
static bool is_file_system_id(const char *text)
{
    if (strncmp(text, "fs-", 3) != 0)
        return false;
    size_t digits = strspn(text + 3, "0123456789abcdef");
    return text[3 + digits] == '\0' && digits >= 8 && digits <= 40;
}

/* An absolute path that means one place: no "..", ".", "//"; a trailing '/' is taken off. */
static int check_absolute(char *path, const char **ret_why)
{
    size_t length = strlen(path);
    if (path[0] != '/') {
        *ret_why = "is not an absolute path";
        return -EINVAL;
    }
    while (length > 1 && path[length - 1] == '/')
        path[--length] = '\0';
    if (length == 1)
        return 0;
    int r = fs_check_relative(path + 1);
    if (r < 0)
        *ret_why = r == -ENAMETOOLONG ? "is too long, or has a name of more than 255 bytes"
                                      : "has a \"..\", \".\" or empty component";
    return r;
}

static int add_mount(void *list, const char *part, const char **ret_why)
{
    struct mount_list *mounts = list;
    if (mounts->n == CONFIG_MOUNTS_MAX) {
        *ret_why = "has more than 16 mounts";
        return -E2BIG;
    }
    _cleanup_free_ char *path = strdup(part);
    if (!path)
        return -ENOMEM;
    bool read_only = false;
    char *access = strrchr(path, ':');
    if (access) {
        read_only = strcmp(access, ":ro") == 0;
        if (!read_only && strcmp(access, ":rw") != 0) {
            *ret_why = "wants :rw or :ro behind the path";
            return -EINVAL;
        }
        *access = '\0';
    }
    char *id = strchr(path, '=');
    if (id) {
        *id++ = '\0';
        if (!is_file_system_id(id)) {
            *ret_why = "has a file system id that is not like fs-0123456789abcdef0";
            return -EINVAL;
        }
    }
    int r = check_absolute(path, ret_why);
    if (r < 0)
        return r;
    for (size_t i = 0; i < mounts->n; i++) {
        if (strcmp(mounts->mounts[i].path, path) == 0) {
            *ret_why = "names a path twice";
            return -EEXIST;
        }
    }
    _cleanup_free_ char *id_copy = strdup(id ? id : "");
    if (!id_copy)
        return -ENOMEM;
    mounts->mounts[mounts->n++] = (struct mount_setting){
        .path = take_ptr(path),
        .file_system_id = take_ptr(id_copy),
        .read_only = read_only,
    };
    return 0;
}

int config_add_mount(struct mount_list *list, const char *text, struct config_report *report)
{
    const char *why = "cannot be used";
    int r = add_mount(list, text, &why);
    return r < 0 ? config_error(report, "mount \"%s\" %s", text, why) : 0;
}

static int set_text(char **target, const struct setting *setting, const char *text,
                    const char **ret_why)
{
    size_t length = strlen(text), max = setting->max ? (size_t)setting->max : CONFIG_TEXT_MAX - 1;
    if (length > max || length < (size_t)setting->min) {
        *ret_why = length > max ? "is too long" : "is empty";
        return -EINVAL;
    }
    char *copy = strdup(text);
    if (!copy)
        return -ENOMEM;
    int r = setting->type == SETTING_PATH && *copy ? check_absolute(copy, ret_why) : 0;
    if (r < 0) {
        free(copy);
        return r;
    }
    free(*target);
    *target = copy;
    return 0;
}

static int set_choice(int *target, const struct setting *setting, const char *text)
{
    for (int i = 0; setting->words[i]; i++) {
        if (strcmp(setting->words[i], text) == 0) {
            *target = i;
            return 0;
        }
    }
    return -EINVAL;
}

static int set_ids(struct ids_setting *target, const char *text)
{
    struct ids_setting ids = {.set = true};
    if (*text) {
        int r = parse_ids(text, &ids.uid, &ids.gid);
        if (r < 0)
            return r;
    } else {
        ids.set = false;
    }
    *target = ids;
    return 0;
}

static int set_list(void *target, const struct setting *setting, const char *text,
                    const char **ret_why)
{
    if (setting->type == SETTING_MOUNTS) {
        release_mounts(target);
        return split(text, add_mount, target, ret_why);
    }
    release_names(target);
    return split(text, add_name, target, ret_why);
}

/* *ret_why is set when the reason is not simply the type or the bounds. */
int config_set_value(void *settings, const struct setting *setting, const char *text,
                     const char **ret_why)
{
    void *target = field_of(settings, setting);
    switch (setting->type) {
    case SETTING_BOOL:
        return parse_bool(text, target);
    case SETTING_COUNT:
        return parse_i64(text, setting->min, setting->max, target);
    case SETTING_DURATION:
        return parse_duration_ms(text, setting->min, setting->max, target);
    case SETTING_SIZE:
        return parse_size_bytes(text, setting->min, setting->max, target);
    case SETTING_MODE:
        return parse_mode(text, target);
    case SETTING_CHOICE:
        return set_choice(target, setting, text);
    case SETTING_TEXT:
    case SETTING_PATH:
        return set_text(target, setting, text, ret_why);
    case SETTING_IDS:
        return set_ids(target, text);
    case SETTING_NAMES:
    case SETTING_MOUNTS:
        return set_list(target, setting, text, ret_why);
    }
    return -EINVAL;
}

void config_describe_wanted(const struct setting *setting, char *buf, size_t size)
{
    char min[TEXT_SHORT], max[TEXT_SHORT];
    switch (setting->type) {
    case SETTING_BOOL:
        snprintf(buf, size, "wants true or false");
        return;
    case SETTING_COUNT:
        snprintf(buf, size, "wants a whole number from %lld to %lld", (long long)setting->min,
                 (long long)setting->max);
        return;
    case SETTING_DURATION:
        snprintf(buf, size, "wants a duration such as 250ms, 30s or 5m, from %s to %s",
                 text_duration_exact(setting->min, min), text_duration_exact(setting->max, max));
        return;
    case SETTING_SIZE:
        snprintf(buf, size, "wants a size such as 64KiB or 2GiB, from %lld to %lld bytes",
                 (long long)setting->min, (long long)setting->max);
        return;
    case SETTING_MODE:
        snprintf(buf, size, "wants octal permission bits such as 0660");
        return;
    case SETTING_IDS:
        snprintf(buf, size, "wants numeric ids as UID:GID");
        return;
    case SETTING_CHOICE: {
        size_t used = (size_t)snprintf(buf, size, "wants one of");
        for (int i = 0; setting->words[i] && used < size; i++)
            used += (size_t)snprintf(buf + used, size - used, " %s", setting->words[i]);
        return;
    }
    default:
        snprintf(buf, size, "cannot be used");
    }
}

void config_release(const struct config_table *table, void *settings)
{
    for (size_t i = 0; i < table->n; i++) {
        void *target = field_of(settings, &table->settings[i]);
        switch (table->settings[i].type) {
        case SETTING_TEXT:
        case SETTING_PATH:
            free(*(char **)target);
            break;
        case SETTING_NAMES:
            release_names(target);
            break;
        case SETTING_MOUNTS:
            release_mounts(target);
            break;
        default:
            break;
        }
    }
    memset(settings, 0, table->struct_size);
}
