#include "sidecar/cache_record.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

#include "lib/bytes.h"
#include "lib/config.h"
#include "shim/cache_layout.h"

#define ATTRIBUTE "user.efs-sidecar"
#define MAGIC     0x3130796f43534645ULL /* "EFSCoy01" */

/* So short that ext4 keeps it in the inode. */
enum { FIELDS = 7, RECORD_BYTES = FIELDS * 8 };

static uint64_t place_hash(const struct cache_source *source, const char *path)
{
    char text[CONFIG_TEXT_MAX + CACHE_PATH_MAX + 2];
    int n = snprintf(text, sizeof(text), "%s/%s", source->path, path);
    return cache_hash(text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1);
}

static void encode(const struct cache_source *source, const char *path,
                   const struct cache_identity *identity, uint8_t record[RECORD_BYTES])
{
    const uint64_t fields[FIELDS] = {
        MAGIC,          place_hash(source, path),     source->root.inode,           identity->inode,
        identity->size, (uint64_t)identity->mtime_ns, (uint64_t)identity->ctime_ns,
    };
    for (size_t i = 0; i < FIELDS; i++)
        record = put_le64(record, fields[i]);
}

void cache_record_put(int fd, const struct cache_source *source, const char *path,
                      const struct cache_identity *identity)
{
    uint8_t record[RECORD_BYTES];
    encode(source, path, identity, record);
    fsetxattr(fd, ATTRIBUTE, record, sizeof(record), 0); /* a copy without one is a good copy */
}

int cache_record_get(int fd, const struct cache_source *source, const char *path,
                     struct cache_identity *ret_identity)
{
    uint8_t found[RECORD_BYTES], expected[RECORD_BYTES];
    if (fgetxattr(fd, ATTRIBUTE, found, sizeof(found)) != sizeof(found))
        return -ENODATA;
    const struct cache_identity identity = {
        .inode = get_le64(found + 3 * 8),
        .size = get_le64(found + 4 * 8),
        .mtime_ns = (int64_t)get_le64(found + 5 * 8),
        .ctime_ns = (int64_t)get_le64(found + 6 * 8),
    };
    encode(source, path, &identity, expected);
    if (memcmp(found, expected, sizeof(found)) != 0)
        return -ENODATA;
    *ret_identity = identity;
    return 0;
}
