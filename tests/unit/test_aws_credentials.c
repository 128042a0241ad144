/* What a set of credentials must be, when it is replaced, and that nothing of it stays in memory.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/aws/credential_sources.h"
#include "lib/aws/credentials.h"
#include "lib/clock.h"

enum { NOW_MS = 1000000 };
#define SENT_MS INT64_C(1795420800000) /* 2026-11-23T08:00:00Z */

static const char body[] =
    "{\"RoleArn\":\"arn:aws:iam::1:role/r\",\"AccessKeyId\":\"ASIA1\",\"SecretAccessKey\":\"s/+=\","
    "\"Token\":\"t\",\"Expiration\":\"%s\"}";

static int parse(const char *expiration, struct credentials **ret, struct error *err)
{
    char text[512];
    int n = snprintf(text, sizeof(text), body, expiration);
    return credentials_parse("container", text, (size_t)n, SENT_MS, ret, err);
}

static void test_lifetime(void **state)
{
    struct error err = {0};
    struct credentials *c = NULL;
    clock_fake_set(NOW_MS, 0);
    assert_int_equal(parse("2026-11-23T14:00:00Z", &c, &err), 0);
    assert_string_equal(c->role_arn, "arn:aws:iam::1:role/r");
    assert_string_equal(c->secret_access_key, "s/+=");
    assert_int_equal(c->expires_ms, NOW_MS + 6 * 3600 * 1000);
    int64_t before_ms = c->expires_ms - c->refresh_ms;
    assert_in_range(before_ms, CREDENTIALS_REFRESH_WINDOW_MS,
                    CREDENTIALS_REFRESH_WINDOW_MS + 60000);
    credentials_unref(c);

    assert_int_equal(parse("2026-11-23T08:04:00.500Z", &c, &err), 0); /* a short life */
    assert_int_equal(c->expires_ms - c->refresh_ms, 2 * 60 * 1000);
    credentials_unref(c);

    c = NULL;
    assert_int_equal(parse("2026-11-23T08:00:00Z", &c, &err), -EKEYEXPIRED);
    assert_int_equal(parse("2026-12-01T08:00:00Z", &c, &err), -EINVAL);
    assert_non_null(strstr(err.text, "7 days"));
    static const char *const bad[] = {"",
                                      "2026-11-23",
                                      "2026-11-23T08:00:00",
                                      "1795420800",
                                      "2026-11-23T08:00:00+01:00",
                                      "2026-11-23T08:00:00.5",
                                      "9999999-11-23T08:00:00Z",
                                      "2026-11-23T08:00:00ZZ"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(parse(bad[i], &c, &err), -EINVAL);
    assert_null(c);
    clock_fake_off();
}

static void test_words(void **state)
{
    struct credentials *c = NULL;
    struct error err = {0};
    char *long_token = malloc(CREDENTIALS_TOKEN_MAX + 2);
    assert_non_null(long_token);
    memset(long_token, 't', CREDENTIALS_TOKEN_MAX + 1);
    long_token[CREDENTIALS_TOKEN_MAX + 1] = '\0';
    assert_int_equal(credentials_new("environment", "", "s", "", "", &c, &err), -EINVAL);
    assert_int_equal(credentials_new("environment", "a", "", "", "", &c, &err), -EINVAL);
    assert_int_equal(credentials_new("environment", "a", "s s", "", "", &c, &err), -EINVAL);
    assert_int_equal(credentials_new("environment", "a", "s\n", "", "", &c, &err), -EINVAL);
    assert_string_equal(err.text,
                        "the secret access key has a character in it that cannot be sent (byte 2)");
    assert_int_equal(credentials_new("environment", "a", "s", long_token, "", &c, &err), -EINVAL);
    assert_null(c);
    long_token[CREDENTIALS_TOKEN_MAX] = '\0';
    assert_int_equal(credentials_new("environment", "a", "s", long_token, "", &c, &err), 0);
    credentials_unref(c);
    free(long_token);
}

/* ---- what is left in memory ---- */

enum { PATTERN = 48 };

/* The secret is only ever whole in what the library holds. */
static void make_secret(char secret[PATTERN + 1], uint8_t seed)
{
    for (int i = 0; i < PATTERN; i++)
        secret[i] = (char)('A' + ((i * 7 + seed * 13 + (i * i) % 11) % 26));
    secret[PATTERN] = '\0';
}

static int count_in(int memory_fd, uintptr_t start, uintptr_t end, const char *pattern)
{
    int found = 0;
    size_t size = end - start;
    char *copy = /* not in the heap itself */
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(copy != MAP_FAILED);
    ssize_t n = pread(memory_fd, copy, size, (off_t)start);
    for (ssize_t i = 0; i + PATTERN <= n; i++) {
        int k = 16; /* malloc writes over the first bytes of what is freed */
        while (k < PATTERN && copy[i + k] == (char)(pattern[k] ^ 1))
            k++;
        found += k == PATTERN;
    }
    munmap(copy, size);
    return found;
}

/* Copies of the secret (given with the lowest bit of each byte turned) in the heap. */
static int count_in_heap(const char *pattern)
{
    char line[256];
    int found = 0, memory_fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    FILE *maps = fopen("/proc/self/maps", "re");
    assert_non_null(maps);
    assert_true(memory_fd >= 0);
    while (fgets(line, sizeof(line), maps)) {
        char *dash = NULL;
        uintptr_t start = strtoul(line, &dash, 16);
        if (strstr(line, "[heap]"))
            found += count_in(memory_fd, start, strtoul(dash + 1, NULL, 16), pattern);
    }
    fclose(maps);
    close(memory_fd);
    return found;
}

static void test_wiped(void **state)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); /* its allocator has no [heap] */
#endif
    char secret[PATTERN + 1], token[PATTERN + 1], hidden[2][PATTERN + 1];
    struct credentials *c = NULL;
    make_secret(secret, 1);
    make_secret(token, 2);
    for (int i = 0; i < PATTERN; i++) {
        hidden[0][i] = (char)(secret[i] ^ 1);
        hidden[1][i] = (char)(token[i] ^ 1);
    }
    assert_int_equal(credentials_new("environment", "AKIA", secret, token, "", &c, NULL), 0);
    assert_int_equal(count_in_heap(hidden[0]), 1); /* the search finds what is there */
    assert_int_equal(count_in_heap(hidden[1]), 1);
    atomic_fetch_add(&c->references, 1);
    credentials_unref(c);
    assert_int_equal(count_in_heap(hidden[0]), 1); /* somebody still has it */
    credentials_unref(c);
    assert_int_equal(count_in_heap(hidden[0]), 0);
    assert_int_equal(count_in_heap(hidden[1]), 0);
}

/* ---- the store ---- */

static int environment(void **state)
{
    setenv("AWS_ACCESS_KEY_ID", "AKIAONE", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
    unsetenv("AWS_SESSION_TOKEN");
    return 0;
}

static int no_environment(void **state)
{
    unsetenv("AWS_ACCESS_KEY_ID");
    unsetenv("AWS_SECRET_ACCESS_KEY");
    return 0;
}

static void test_store(void **state)
{
    struct credentials_store *store = NULL;
    struct credentials *first = NULL, *second = NULL;
    struct error err = {0};
    assert_int_equal(credentials_store_open(&store), 0);
    assert_int_equal(credentials_get(store, clock_now_ms() + 1000, &first, &err), 0);
    setenv("AWS_ACCESS_KEY_ID", "AKIATWO", 1);
    assert_int_equal(credentials_get(store, clock_now_ms() + 1000, &second, &err), 0);
    assert_ptr_equal(first, second); /* the environment does not expire */
    credentials_unref(second);
    credentials_reject(store, first);
    assert_int_equal(credentials_get(store, clock_now_ms() + 1000, &second, &err), 0);
    assert_string_equal(second->access_key_id, "AKIATWO");
    assert_string_equal(first->access_key_id, "AKIAONE"); /* it stays ours until we give it back */
    credentials_reject(store, first);                     /* not the current one: no matter */
    credentials_unref(first);
    first = NULL;
    unsetenv("AWS_SECRET_ACCESS_KEY");
    credentials_reject(store, second);
    assert_int_equal(credentials_get(store, clock_now_ms() + 1000, &first, &err), 0);
    assert_ptr_equal(first, second); /* what is there is better than nothing */
    assert_int_equal(credentials_last_error(store, &err), -EINVAL);
    assert_non_null(strstr(err.text, "AWS_SECRET_ACCESS_KEY"));
    credentials_unref(first);
    credentials_unref(second);
    credentials_store_close(store);
}

enum { THREADS = 8, ROUNDS = 2000 };

static void *use(void *arg)
{
    struct credentials_store *store = arg;
    for (int i = 0; i < ROUNDS; i++) {
        struct credentials *c = NULL;
        if (credentials_get(store, clock_now_ms() + 20000, &c, NULL) < 0 ||
            strcmp(c->secret_access_key, "secret") != 0)
            return store;
        if (i % 3 == 0)
            credentials_reject(store, c);
        credentials_unref(c);
    }
    return NULL;
}

static void test_threads(void **state)
{
    struct credentials_store *store = NULL;
    pthread_t threads[THREADS];
    assert_int_equal(credentials_store_open(&store), 0);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use, store), 0);
    for (size_t i = 0; i < THREADS; i++) {
        void *failed = NULL;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    credentials_store_close(store);
}

/* An endpoint that takes connections and never answers. */
static int open_silent(char url[64])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&address, size) == 0 && listen(fd, 8) == 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    snprintf(url, 64, "http://127.0.0.1:%d/", ntohs(address.sin_port));
    return fd;
}

static void *wait_long(void *arg)
{
    struct credentials *c = NULL;
    int64_t start_ms = clock_now_ms();
    int r = credentials_get(arg, start_ms + 1200, &c, NULL);
    return r == -ETIMEDOUT && clock_now_ms() - start_ms < 2000 ? NULL : arg;
}

static void test_waiting(void **state)
{
    struct credentials_store *store = NULL;
    struct credentials *c = NULL;
    struct error err = {0};
    char url[64];
    pthread_t first;
    void *failed = NULL;
    int fd = open_silent(url);
    setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url, 1);
    assert_int_equal(credentials_store_open(&store), 0);
    assert_int_equal(pthread_create(&first, NULL, wait_long, store), 0);
    usleep(300 * 1000); /* now it fetches */
    int64_t start_ms = clock_now_ms();
    assert_int_equal(credentials_get(store, start_ms + 300, &c, &err), -ETIMEDOUT);
    assert_in_range(clock_now_ms() - start_ms, 250, 600);
    assert_string_equal(err.text, "credentials: another call was still fetching them");
    pthread_join(first, &failed);
    assert_null(failed);
    credentials_store_close(store);
    unsetenv("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    close(fd);
}

static void test_urls(void **state)
{
    static const char *const good[] = {
        "http://127.0.0.1/",      "http://127.255.1.2:8080/x",
        "http://[::1]/",          "http://localhost:1/",
        "http://169.254.170.2/",  "http://169.254.170.23/v1/credentials",
        "http://[fd00:ec2::23]/", "http://[fd00:0ec2:0::0023]/",
        "https://example.com/x",  "http://0x7f.1/"};
    static const char *const bad[] = {"http://128.0.0.1/",
                                      "http://169.254.170.3/",
                                      "http://169.254.170.2.evil.com/",
                                      "http://[fd00:ec2::230]/",
                                      "http://[::2]/",
                                      "http://localhost.evil.com/",
                                      "http://evil.com/127.0.0.1",
                                      "http://[::ffff:1.2.3.4]/",
                                      "http://evil.com?@127.0.0.1/"};
    struct error err;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        if (credential_source_check_url(good[i], &err) < 0)
            fail_msg("%s: %s", good[i], err.text);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (credential_source_check_url(bad[i], &err) != -EACCES)
            fail_msg("%s was not refused", bad[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lifetime),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_wiped),
        cmocka_unit_test_setup_teardown(test_store, environment, no_environment),
        cmocka_unit_test_setup_teardown(test_threads, environment, no_environment),
        cmocka_unit_test(test_waiting),
        cmocka_unit_test(test_urls),
    };
    return cmocka_run_group_tests_name("aws_credentials", tests, NULL, NULL);
}
