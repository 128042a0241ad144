#include "tests/fuzz/driver.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/error.h"
#include "lib/fs.h"

#ifdef FUZZ_LIBFUZZER

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_parse((const char *)data, size);
    return 0;
}

#else

static int replay(int dir_fd, const char *name)
{
    _cleanup_free_ char *text = NULL;
    size_t length = 0;
    int r = fs_read_file(dir_fd, name, 1 << 20, &text, &length);
    if (r < 0) {
        fprintf(stderr, "%s: %s\n", name, error_name(-r));
        return 1;
    }
    bool bad = strncmp(name, "bad-", 4) == 0, parsed = fuzz_parse(text, length) == 0;
    if (bad == parsed)
        fprintf(stderr, "%s was %s\n", name, parsed ? "parsed" : "refused");
    return bad == parsed;
}

int main(int argc, char **argv)
{
    _cleanup_closedir_ DIR *dir = argc == 2 ? opendir(argv[1]) : NULL;
    int wrong = 0, good = 0, bad = 0;
    if (!dir) {
        fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
        return 64;
    }
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (entry->d_name[0] == '.')
            continue;
        wrong += replay(dirfd(dir), entry->d_name);
        *(strncmp(entry->d_name, "bad-", 4) == 0 ? &bad : &good) += 1;
    }
    if (wrong || !good || !bad)
        fprintf(stderr, "%s: %d good, %d bad, %d wrong\n", argv[1], good, bad, wrong);
    return wrong || !good || !bad;
}

#endif
