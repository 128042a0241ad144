/*
 * lockapi SOCKET NAME COUNT: takes a lock over the API and gives it back, again and again; prints
 * the microseconds of each round.
 */
#include "bench/api.h"

int main(int argc, char **argv)
{
    static const char hold_key[] = "\"hold\":\"";
    char buf[4096], target[512];
    if (argc != 4) {
        fputs("usage: lockapi SOCKET NAME COUNT\n", stderr);
        return 64;
    }
    for (long i = strtol(argv[3], NULL, 10); i > 0; i--) {
        int64_t start_us = now_us();
        snprintf(target, sizeof(target), "/v1/locks/%s", argv[2]);
        int stream = post(argv[1], target, NULL);
        read_until(stream, buf, sizeof(buf), "now_ms");
        const char *hold = strstr(buf, hold_key);
        if (!hold)
            fail("hold");
        snprintf(target, sizeof(target), "/v1/locks/%s/release?hold=%.16s", argv[2],
                 hold + strlen(hold_key));
        int release = post(argv[1], target, NULL);
        read_until(release, buf, sizeof(buf), "released");
        close(release);
        close(stream);
        printf("%lld\n", (long long)(now_us() - start_us));
    }
    return 0;
}
