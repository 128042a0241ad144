#include "cli/watch_cursor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/fs.h"

enum { SAVE_INTERVAL_MS = 1000, MODE = 0644 };

int watch_cursor_load(struct watch_cursor *cursor, const char *file, struct error *err)
{
    _cleanup_free_ char *text = NULL;
    uint32_t epoch;
    uint64_t sequence;
    *cursor = (struct watch_cursor){.file = file};
    int r = file ? fs_read_file(AT_FDCWD, file, CHANGE_CURSOR_TEXT, &text, NULL) : -ENOENT;
    if (r == -ENOENT)
        return 0;
    if (r < 0 && r != -EFBIG)
        return error_set_errno(err, -r, "--cursor-file: %.200s cannot be read", file);
    if (r == 0)
        text[strcspn(text, "\n")] = '\0';
    if (r < 0 || change_cursor_parse(text, &epoch, &sequence) < 0)
        return error_set(err, EINVAL,
                         "--cursor-file: what is in %.200s is not a cursor; remove it to begin "
                         "with what comes from now on",
                         file);
    watch_cursor_set(cursor, text);
    cursor->unsaved = false;
    return 0;
}

void watch_cursor_set(struct watch_cursor *cursor, const char *text)
{
    if (!*text || strcmp(text, cursor->text) == 0)
        return;
    snprintf(cursor->text, sizeof(cursor->text), "%s", text);
    cursor->unsaved = true;
}

int64_t watch_cursor_due_ms(const struct watch_cursor *cursor)
{
    return cursor->file && cursor->unsaved ? cursor->save_ms : CLOCK_NEVER;
}

static int save(const char *file, const char *text)
{
    char line[CHANGE_CURSOR_TEXT + 1], dir[4096];
    const char *slash = strrchr(file, '/');
    size_t dir_length = slash ? (size_t)(slash - file) + 1 : 0;
    if (dir_length >= sizeof(dir))
        return -ENAMETOOLONG;
    *(char *)mempcpy(dir, file, dir_length) = '\0';
    _cleanup_close_ int dir_fd = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0)
        return -errno;
    int n = snprintf(line, sizeof(line), "%s\n", text);
    return fs_write_atomic(dir_fd, slash ? slash + 1 : file, line, (size_t)n, MODE);
}

int watch_cursor_save(struct watch_cursor *cursor, bool now, struct error *err)
{
    int64_t due_ms = watch_cursor_due_ms(cursor);
    if (due_ms == CLOCK_NEVER || (!now && clock_now_ms() < due_ms))
        return 0;
    int r = save(cursor->file, cursor->text);
    if (r < 0)
        return error_set_errno(err, -r, "--cursor-file: %.200s cannot be written", cursor->file);
    cursor->unsaved = false;
    cursor->save_ms = clock_now_ms() + SAVE_INTERVAL_MS;
    return 0;
}
