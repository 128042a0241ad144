#include "sidecar/api_rate.h"

#include <string.h>

static int64_t full_milli(const struct api_rate *rate)
{
    return rate->per_second * 1000 * API_RATE_BURST_S;
}

void api_rate_init(struct api_rate *rate, int64_t per_second)
{
    *rate = (struct api_rate){.per_second = per_second};
}

static bool begins(const char *path, const char *prefix)
{
    return strncmp(path, prefix, strlen(prefix)) == 0;
}

/* POST /v1/locks/NAME/release and /v1/claims/ID/WORD. */
static bool gives_back(const char *path)
{
    static const char locks[] = "/v1/locks/";
    const char *slash = strrchr(path, '/');
    return begins(path, "/v1/claims/") ||
           (begins(path, locks) && slash - path >= (ptrdiff_t)sizeof(locks) - 1 &&
            strcmp(slash, "/release") == 0);
}

bool api_rate_costs(const struct http_head *head)
{
    const char *path = head->path;
    if (strcmp(head->method, "GET") == 0)
        return strcmp(path, "/v1/tasks") == 0 || begins(path, "/v1/locks/");
    return strcmp(path, "/v1/log") != 0 && !gives_back(path);
}

static struct api_rate_user *find_user(struct api_rate *rate, uid_t uid, int64_t now_ms)
{
    struct api_rate_user *found = rate->users;
    for (struct api_rate_user *u = rate->users; u < rate->users + API_RATE_USERS; u++) {
        if (u->seen_ms > 0 && u->uid == uid)
            return u;
        if (u->seen_ms < found->seen_ms)
            found = u;
    }
    *found = (struct api_rate_user){uid, full_milli(rate), now_ms};
    return found;
}

bool api_rate_take(struct api_rate *rate, uid_t uid, size_t body_bytes, int64_t now_ms)
{
    if (rate->per_second == 0)
        return true;
    struct api_rate_user *user = find_user(rate, uid, now_ms);
    int64_t full = full_milli(rate);
    int64_t cost = 1000 * (1 + (int64_t)(body_bytes / API_RATE_BODY_BYTES));
    int64_t passed_ms = now_ms - user->seen_ms;
    user->seen_ms = now_ms;
    user->left_milli = passed_ms >= API_RATE_BURST_S * 1000
                           ? full
                           : user->left_milli + passed_ms * rate->per_second;
    if (user->left_milli > full)
        user->left_milli = full;
    if (cost > full) /* else it would never be taken */
        cost = full;
    if (user->left_milli < cost)
        return false;
    user->left_milli -= cost;
    return true;
}
