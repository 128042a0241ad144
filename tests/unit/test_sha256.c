#include "lib/sha256.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
/* cmocka needs the four above */
#include <cmocka.h>

static int file_of(const char *chunk, size_t times)
{
    int fd = memfd_create("test", MFD_CLOEXEC);
    for (size_t i = 0; i < times; i++)
        assert_int_equal(write(fd, chunk, strlen(chunk)), strlen(chunk));
    return fd;
}

/* FIPS 180-4's examples; the last takes several reads. */
static void test_known(void **state)
{
    static const struct {
        const char *chunk;
        size_t times;
        const char *sha256;
    } cases[] = {
        {"", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"aaaaaaaaaa", 100000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t sha256[SHA256_BYTES];
        char text[SHA256_TEXT];
        struct error err;
        int fd = file_of(cases[i].chunk, cases[i].times);
        uint64_t size = strlen(cases[i].chunk) * cases[i].times;
        assert_int_equal(sha256_of_file(fd, size, sha256, &err), 0);
        assert_string_equal(sha256_format(sha256, text), cases[i].sha256);
        close(fd);
    }
}

static void test_refused(void **state)
{
    uint8_t sha256[SHA256_BYTES];
    struct error err;
    int fd = file_of("abc", 1);
    assert_int_equal(sha256_of_file(fd, 4, sha256, &err), -EBUSY);
    close(fd);
    fd = open("/", O_RDONLY | O_CLOEXEC);
    assert_int_equal(sha256_of_file(fd, 1, sha256, &err), -EISDIR);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
