/* Every source, their order, and errors that name the field, all at once. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/settings.h"

static struct settings settings;
static struct config_report report;
static enum config_action action;
static int first;

/* getopt permutes the pointers, so it gets its own array; the strings stay as they are. */
static int load(unsigned program, const char *const *words)
{
    char *argv[32] = {0};
    int argc = 0;
    for (; words[argc]; argc++)
        argv[argc] = (char *)(uintptr_t)words[argc];
    config_release(&settings_table, &settings);
    return config_load(&settings_table, program, argc, argv, &settings, &action, &first, &report);
}

#define LOAD(program, ...) load(program, (const char *[]){"program", ##__VA_ARGS__, NULL})

static int clear(void **state)
{
    clearenv();
    config_release(&settings_table, &settings);
    return 0;
}

/* A new file of this content; the test unlinks it. */
static void write_file(const char *content, char *path, size_t size)
{
    snprintf(path, size, "/tmp/test_config.XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, strlen(content)), (ssize_t)strlen(content));
    close(fd);
}

static void assert_reports(const char *part)
{
    if (!strstr(report.text, part))
        fail_msg("the report does not say \"%s\":\n%s", part, report.text);
}

static void test_defaults_are_valid(void **state)
{
    assert_int_equal(LOAD(PROGRAM_SIDECAR), 0);
    assert_string_equal(report.text, "");
    assert_int_equal(settings.profile, PROFILE_COORDINATE);
    assert_string_equal(settings.run_dir, "/run/efs-sidecar");
    assert_int_equal(settings.task_dir_mode, 02770);
    assert_int_equal(settings.watch_batch_ms, 50);
    assert_int_equal(settings.mounts.n, 0);
    assert_false(settings.init_as.set);
    assert_int_equal(settings.log_level, LOG_INFO);
    assert_int_equal(settings.metrics_sinks.n, 1);
    assert_int_equal(action, CONFIG_RUN);
}

static void test_later_source_wins(void **state)
{
    char path[64];
    write_file("{\"watch\": {\"max_dirs\": 10, \"batch\": \"1s\", \"exclude\": [\"a\", \"b\"]},"
               " \"profile\": \"observe\", \"task.dir_mode\": \"0700\"}",
               path, sizeof(path));
    setenv("EFS_SIDECAR_WATCH_BATCH", "2s", 1);
    setenv("EFS_SIDECAR_PROFILE", "cache", 1);
    setenv("EFS_SIDECAR_CLUSTER", "", 1);
    assert_int_equal(LOAD(PROGRAM_SIDECAR, "--config", path, "--profile=coordinate"), 0);
    unlink(path);
    assert_int_equal(settings.watch_max_dirs, 10);
    assert_int_equal(settings.watch_exclude.n, 2);
    assert_string_equal(settings.watch_exclude.names[1], "b");
    assert_int_equal(settings.watch_batch_ms, 2000);
    assert_int_equal(settings.profile, PROFILE_COORDINATE);
    assert_int_equal(settings.task_dir_mode, 0700);

    _cleanup_(json_decrefp) json_t *json = config_to_json(&settings_table, &settings);
    json_t *entry = json_object_get(json, "watch.batch");
    assert_string_equal(json_string_value(json_object_get(entry, "value")), "2000ms");
    assert_string_equal(json_string_value(json_object_get(entry, "source")), "environment");
    entry = json_object_get(json, "watch.exclude");
    assert_string_equal(json_string_value(json_object_get(entry, "value")), "a,b");
    assert_string_equal(json_string_value(json_object_get(entry, "source")), "file");
    entry = json_object_get(json, "profile");
    assert_string_equal(json_string_value(json_object_get(entry, "source")), "option");
}

static void test_options_for_another_program(void **state)
{
    setenv("EFS_SIDECAR_WATCH_EXCLUDE", "a,b", 1);
    assert_int_equal(LOAD(PROGRAM_SIDECAR, "--watch-batch=2s", "--profile=observe"), 0);
    char **options = config_to_options(&settings_table, PROGRAM_WATCH, &settings);
    assert_string_equal(options[0], "--watch-exclude=a,b");
    assert_string_equal(options[1], "--watch-batch=2000ms");
    assert_null(options[2]);
    config_free_options(options);
}

static void test_mounts(void **state)
{
    setenv("EFS_SIDECAR_MOUNTS", "/data/=fs-0123456789abcdef0:rw,/config:ro,/plain", 1);
    assert_int_equal(LOAD(PROGRAM_INIT), 0);
    assert_int_equal(settings.mounts.n, 3);
    assert_string_equal(settings.mounts.mounts[0].path, "/data");
    assert_string_equal(settings.mounts.mounts[0].file_system_id, "fs-0123456789abcdef0");
    assert_false(settings.mounts.mounts[0].read_only);
    assert_true(settings.mounts.mounts[1].read_only);
    assert_string_equal(settings.mounts.mounts[2].file_system_id, "");
    assert_int_equal(config_add_mount(&settings.mounts, "/more:ro", &report), 0);
    assert_int_equal(settings.mounts.n, 4);
    assert_int_equal(config_add_mount(&settings.mounts, "/more", &report), -EINVAL);
    assert_reports("\"/more\" names a path twice");
}

static void test_bad_mounts(void **state)
{
    static const struct {
        const char *text, *why;
    } bad[] = {
        {"data", "not an absolute path"},
        {"/a/../b", "\"..\""},
        {"/a//b", "empty component"},
        {"/data:rx", ":rw or :ro"},
        {"/data=fs-xyz", "fs-0123456789abcdef0"},
        {"/data=0abc:rw", "fs-0123456789abcdef0"},
        {"/a,/a", "twice"},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        setenv("EFS_SIDECAR_MOUNTS", bad[i].text, 1);
        assert_int_equal(LOAD(PROGRAM_INIT), -EINVAL);
        assert_reports("EFS_SIDECAR_MOUNTS");
        assert_reports(bad[i].why);
    }
    char name[300] = "/";
    memset(name + 1, 'x', 280);
    setenv("EFS_SIDECAR_MOUNTS", name, 1);
    assert_int_equal(LOAD(PROGRAM_INIT), -EINVAL);
    assert_reports("255 bytes");
    char many[CONFIG_MOUNTS_MAX * 8 + 16] = "";
    for (int i = 0; i <= CONFIG_MOUNTS_MAX; i++)
        snprintf(many + strlen(many), sizeof(many) - strlen(many), "/m%d,", i);
    setenv("EFS_SIDECAR_MOUNTS", many, 1);
    assert_int_equal(LOAD(PROGRAM_INIT), -EINVAL);
    assert_reports("more than 16");
}

static void test_all_errors_at_once(void **state)
{
    char path[64];
    write_file("{\"watch\": {\"max_dir\": 10}, \"profile\": {\"a\": 1}, \"task.dir_mode\": 770}",
               path, sizeof(path));
    setenv("EFS_SIDECAR_PROFLE", "observe", 1);
    setenv("EFS_SIDECAR_METRICS_INTERVAL", "1ms", 1);
    assert_int_equal(LOAD(PROGRAM_SIDECAR, "-c", path, "--watch-max-dirs=no", "--nonsense",
                          "--watch-max-dir=1", "--run-dir"),
                     -EINVAL);
    unlink(path);
    assert_reports("watch.max_dir (did you mean watch.max_dirs?)");
    assert_reports("task.dir_mode: wants a string of octal digits");
    assert_reports("EFS_SIDECAR_PROFLE (did you mean EFS_SIDECAR_PROFILE?)");
    assert_reports("EFS_SIDECAR_METRICS_INTERVAL: \"1ms\" wants a duration");
    assert_reports("--watch-max-dirs: \"no\" wants a whole number from 1 to 1000000");
    assert_reports("unknown option --nonsense\n"); /* no guess */
    assert_reports("--run-dir wants a value");
    assert_int_equal(report.n_errors, 8); /* and profile.a */
}

static void test_bad_files(void **state)
{
    char path[64];
    assert_int_equal(LOAD(PROGRAM_SIDECAR, "--config=/nonexistent/file"), -EINVAL);
    assert_reports("/nonexistent/file: cannot read the configuration file: No such file");
    static const char *const contents[] = {"",
                                           "[1]",
                                           "{\"profile\": ",
                                           "{\"a\":1,\"a\":2}",
                                           "{\"watch.paths\": [1]}",
                                           "{\"profile\": null}"};
    for (size_t i = 0; i < ARRAY_LEN(contents); i++) {
        write_file(contents[i], path, sizeof(path));
        setenv("EFS_SIDECAR_CONFIG", path, 1);
        assert_int_equal(LOAD(PROGRAM_SIDECAR), -EINVAL);
        assert_reports(path);
        unlink(path);
    }
}

static void test_options_are_the_programs_own(void **state)
{
    assert_int_equal(LOAD(PROGRAM_INIT, "--watch-max-dirs=3"), -EINVAL);
    assert_reports("unknown option --watch-max-dirs");
    /* but the environment belongs to the task */
    setenv("EFS_SIDECAR_WATCH_MAX_DIRS", "3", 1);
    assert_int_equal(LOAD(PROGRAM_INIT, "--allow-local", "/data:ro", "--as", "10:20"), 0);
    assert_true(settings.allow_local);
    assert_true(settings.init_as.set);
    assert_int_equal(settings.init_as.gid, 20);
    assert_int_equal(first, 4); /* permuted: /data:ro is last */
}

static void test_actions_and_print(void **state)
{
    char *text = NULL;
    size_t size;
    assert_int_equal(LOAD(PROGRAM_SIDECAR, "--help", "--profile=wrong"), 0);
    assert_int_equal(action, CONFIG_HELP);
    assert_int_equal(LOAD(PROGRAM_SIDECAR, "--check"), 0);
    assert_int_equal(action, CONFIG_CHECK);
    FILE *out = open_memstream(&text, &size);
    config_print_help(&settings_table, PROGRAM_SIDECAR, out);
    config_print_mdoc(&settings_table, PROGRAM_INIT, out);
    fclose(out);
    assert_non_null(strstr(text, "--watch-max-dirs=N\n"));
    assert_non_null(strstr(text, ".It Fl -as Ns = Ns Ar UID:GID , Ev EFS_SIDECAR_AS\n"));
    free(text);
}

/* What --check prints can be set again. */
static void test_values_round_trip(void **state)
{
    setenv("EFS_SIDECAR_MOUNTS", "/data=fs-0123456789abcdef0,/config:ro", 1);
    setenv("EFS_SIDECAR_AS", "1000:2000", 1);
    assert_int_equal(LOAD(PROGRAM_SIDECAR), 0);
    _cleanup_(json_decrefp) json_t *before = config_to_json(&settings_table, &settings);
    for (size_t i = 0; i < settings_table.n; i++) {
        char variable[64];
        json_t *entry = json_object_get(before, settings_table.settings[i].name);
        config_variable_name(&settings_table.settings[i], variable, sizeof(variable));
        setenv(variable, json_string_value(json_object_get(entry, "value")), 1);
        json_object_del(entry, "source");
    }
    config_release(&settings_table, &settings);
    assert_int_equal(LOAD(PROGRAM_SIDECAR), 0);
    _cleanup_(json_decrefp) json_t *after = config_to_json(&settings_table, &settings);
    const char *key;
    json_t *entry;
    json_object_foreach(after, key, entry) json_object_del(entry, "source");
    assert_true(json_equal(before, after));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_defaults_are_valid, clear),
        cmocka_unit_test_teardown(test_later_source_wins, clear),
        cmocka_unit_test_teardown(test_options_for_another_program, clear),
        cmocka_unit_test_teardown(test_mounts, clear),
        cmocka_unit_test_teardown(test_bad_mounts, clear),
        cmocka_unit_test_teardown(test_all_errors_at_once, clear),
        cmocka_unit_test_teardown(test_bad_files, clear),
        cmocka_unit_test_teardown(test_options_are_the_programs_own, clear),
        cmocka_unit_test_teardown(test_actions_and_print, clear),
        cmocka_unit_test_teardown(test_values_round_trip, clear),
    };
    clearenv();
    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
