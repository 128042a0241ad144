/* Entries of on_change: what is taken, what is refused and how, and which changes concern a rule.
 */
#include "sidecar/reaction_rule.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include "lib/cleanup.h"

static char root_path[] = "/", data_path[] = "/data", deep_path[] = "/data/deep",
            config_path[] = "/config";
static const struct mount_list mounts = {
    .n = 3,
    .mounts = {{.path = data_path}, {.path = deep_path}, {.path = config_path}},
};

static struct reaction_rule parse(const char *text)
{
    struct reaction_rule rule;
    struct error err = {0};
    if (reaction_rule_parse(text, &mounts, &rule, &err) < 0)
        fail_msg("%s", err.text);
    return rule;
}

static void test_http(void **state)
{
    static const struct {
        const char *text, *glob, *mount, *host, *path;
        int port;
    } cases[] = {
        {"a.yaml=http://127.0.0.1:8080/-/reload?x=1", "a.yaml", NULL, "127.0.0.1:8080",
         "/-/reload?x=1", 8080},
        {"/config/**.yaml=http://localhost", "**.yaml", "/config", "localhost", "/", 80},
        {"/data/deep/x=http://[::1]:65535?y", "x", "/data/deep", "[::1]:65535", "/?y", 65535},
        {"/data/deeper/x=http://127.255.0.9:1/", "deeper/x", "/data", "127.255.0.9:1", "/", 1},
        {"k=v.yaml=http://[::1]/", "k=v.yaml", NULL, "[::1]", "/", 80},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct reaction_rule rule = parse(cases[i].text);
        assert_int_equal(rule.kind, REACTION_HTTP);
        assert_string_equal(rule.glob, cases[i].glob);
        assert_string_equal(rule.mount ? rule.mount : "", cases[i].mount ? cases[i].mount : "");
        assert_string_equal(rule.host, cases[i].host);
        assert_string_equal(rule.path, cases[i].path);
        assert_true(reaction_is_loopback(&rule.address));
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)&rule.address; /* or v6 */
        assert_int_equal(ntohs(v4->sin_port), cases[i].port);
    }
}

static void test_signal(void **state)
{
    struct reaction_rule rule = parse("conf/*=signal:USR1:my app:1");
    assert_int_equal(rule.kind, REACTION_SIGNAL);
    assert_int_equal(rule.signal_number, SIGUSR1);
    assert_string_equal(rule.process, "my app:1");
    assert_string_equal(rule.glob, "conf/*");
}

/* Whatever is wrong is named. */
static void test_refusals(void **state)
{
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"", "GLOB=http"},
        {"a.yaml", "GLOB=http"},
        {"a.yaml=", "GLOB=http"},
        {"a.yaml=ftp://127.0.0.1/", "GLOB=http"},
        {"=http://127.0.0.1/", "is empty"},
        {"a[=http://127.0.0.1/", "\"[\" without"},
        {"../a=http://127.0.0.1/", "\"..\""},
        {"/etc/passwd=http://127.0.0.1/", "/etc/passwd lies on none of the mounts"},
        {"/data=http://127.0.0.1/", "/data lies on none"},
        {"/data/=http://127.0.0.1/", "is empty"},
        {"a=https://127.0.0.1/", "only http://"},
        {"a=http:/127.0.0.1/", "only http://"},
        {"a=http://", "the host \"\""},
        {"a=http://example.com/", "the host \"example.com\""},
        {"a=http://10.0.0.1/", "\"10.0.0.1\""},
        {"a=http://169.254.170.2/v2/credentials", "\"169.254.170.2\""},
        {"a=http://0.0.0.0/", "\"0.0.0.0\""},
        {"a=http://127.1/", "\"127.1\""},
        {"a=http://2130706433/", "\"2130706433\""},
        {"a=http://[::]/", "\"::\""},
        {"a=http://[::ffff:127.0.0.1]/", "\"::ffff:127.0.0.1\""},
        {"a=http://[::1/", "the host"},
        {"a=http://localhost.example.com/", "localhost.example.com"},
        {"a=http://127.0.0.1@example.com/", "127.0.0.1@example.com"},
        {"a=http://user:pw@127.0.0.1/", "the port \":pw@127.0.0.1\""},
        {"a=http://127.0.0.1:/", "the port"},
        {"a=http://127.0.0.1:0/", "the port \":0\""},
        {"a=http://127.0.0.1:65536/", "the port"},
        {"a=http://127.0.0.1:80x/", "the port"},
        {"a=http://[::1]x/", "the port \"x\""},
        {"a=http://127.0.0.1/a b", "%20"},
        {"a=http://127.0.0.1/a\r\nX: y", "%0D"},
        {"a=http://127.0.0.1/#x", "%23"},
        {"a=signal:KILL:app", "\"KILL\" is none of HUP"},
        {"a=signal:SIGHUP:app", "\"SIGHUP\""},
        {"a=signal:HUP", "name of a process"},
        {"a=signal:HUP:", "name of a process"},
        {"a=signal:HUP:/usr/bin/app", "/usr/bin/app"},
        {"a=signal::app", "the signal \"\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct reaction_rule rule = {.signal_number = 77};
        struct error err = {0};
        if (reaction_rule_parse(cases[i].text, &mounts, &rule, &err) != -EINVAL)
            fail_msg("%s was taken", cases[i].text);
        if (!strstr(err.text, cases[i].words) || !strstr(err.text, "on_change: "))
            fail_msg("%s: no %s in %s", cases[i].text, cases[i].words, err.text);
        assert_int_equal(rule.signal_number, 77);
    }
    char longest[3 * CONFIG_TEXT_MAX];
    struct reaction_rule rule;
    memset(longest, 'a', sizeof(longest));
    snprintf(longest + sizeof(longest) - 30, 30, "=http://127.0.0.1/");
    assert_int_equal(reaction_rule_parse(longest, &mounts, &rule, NULL), -EINVAL);
}

static void test_root_mount(void **state)
{
    const struct mount_list root = {.n = 1, .mounts = {{.path = root_path}}};
    struct reaction_rule rule;
    assert_int_equal(reaction_rule_parse("/etc/x=http://127.0.0.1/", &root, &rule, NULL), 0);
    assert_string_equal(rule.glob, "etc/x");
    assert_string_equal(rule.mount, "/");
}

static void test_concerns(void **state)
{
    const struct reaction_rule rule = parse("/config/conf.d/*.yaml=signal:HUP:app");
    static const struct {
        const char *mount;
        struct change change;
        bool concerns;
    } cases[] = {
        {"/config", {.op = CHANGE_MODIFY, .path = "conf.d/a.yaml"}, true},
        {"/data", {.op = CHANGE_MODIFY, .path = "conf.d/a.yaml"}, false},
        {"/config", {.op = CHANGE_MODIFY, .path = "conf.d/a.yaml.tmp"}, false},
        {"/config", {.op = CHANGE_DELETE, .path = "conf.d/a.yaml"}, true},
        {"/config", {.op = CHANGE_RENAME, .path = "x", .from = "conf.d/a.yaml"}, true},
        {"/config", {.op = CHANGE_RENAME, .path = "conf.d/a.yaml", .from = "x"}, true},
        {"/config", {.op = CHANGE_CREATE, .flags = CHANGE_IS_DIR, .path = "conf.d"}, false},
        {"/config", {.op = CHANGE_DELETE, .flags = CHANGE_IS_DIR, .path = "conf.d"}, true},
        {"/config",
         {.op = CHANGE_RENAME, .flags = CHANGE_IS_DIR, .path = "old", .from = "conf.d"},
         true},
        {"/config",
         {.op = CHANGE_RENAME, .flags = CHANGE_IS_DIR, .path = "conf.d", .from = "new"},
         true},
        {"/config", {.op = CHANGE_DELETE, .flags = CHANGE_IS_DIR, .path = "other"}, false},
        {"/config", {.op = CHANGE_RESYNC, .path = ""}, true},
        {"/config", {.op = CHANGE_RESYNC, .path = "conf.d"}, true},
        {"/config", {.op = CHANGE_RESYNC, .path = "other"}, false},
        {"/data", {.op = CHANGE_RESYNC, .path = ""}, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (reaction_rule_concerns(&rule, cases[i].mount, &cases[i].change) != cases[i].concerns)
            fail_msg("case %zu, %s", i, cases[i].change.path);
    const struct reaction_rule anywhere = parse("a=signal:HUP:app");
    assert_true(reaction_rule_concerns(&anywhere, "/data", &(struct change){.path = "a"}));
    assert_true(reaction_rule_concerns(&anywhere, "/config", &(struct change){.path = "a"}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_http),     cmocka_unit_test(test_signal),
        cmocka_unit_test(test_refusals), cmocka_unit_test(test_root_mount),
        cmocka_unit_test(test_concerns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
