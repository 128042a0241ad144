/* Directories, links and the member's file on a real directory. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/fs.h"
#include "lib/json.h"
#include "sidecar/taskdirs.h"

static char top[] = "/tmp/taskdirs-XXXXXX";
static char mount_path[64], run_dir[64];
static char state_mount[] = "";
static char task_name[] = "task-a", state_dir[] = ".efs-sidecar", tasks_dir[] = "out/tasks";
static struct settings settings;
static struct place place;

static int set_up(void **state)
{
    if (!mkdtemp(top))
        return -1;
    snprintf(mount_path, sizeof(mount_path), "%s/share", top);
    snprintf(run_dir, sizeof(run_dir), "%s/run", top);
    settings = (struct settings){
        .run_dir = run_dir,
        .task_name = task_name,
        .state_dir = state_dir,
        .state_mount = state_mount,
        .tasks_dir = tasks_dir,
        .task_dir_mode = 02750,
        .state_gid = -1,
    };
    place = (struct place){
        .settings = &settings,
        .path = mount_path,
        .name = "share",
        .writable = true,
        .first_writable = true,
    };
    return mkdir(mount_path, 0755) < 0 || mkdir(run_dir, 0755) < 0;
}

static int tear_down(void **state)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", top);
    strcpy(top, "/tmp/taskdirs-XXXXXX");
    return system(command); /* NOLINT(cert-env33-c): our own mkdtemp name */
}

static void assert_mode(const char *path, mode_t mode)
{
    char full[256];
    struct stat now;
    snprintf(full, sizeof(full), "%s/%s", top, path);
    if (stat(full, &now) < 0)
        fail_msg("%s: %s", full, strerror(errno));
    assert_int_equal(now.st_mode & 07777, mode);
}

static void assert_link(const char *path, const char *target)
{
    char full[256], now[256] = "";
    snprintf(full, sizeof(full), "%s/%s", top, path);
    if (readlink(full, now, sizeof(now) - 1) < 0)
        fail_msg("%s: %s", full, strerror(errno));
    assert_string_equal(now, target);
}

static void test_link_names(void **state)
{
    char name[32];
    assert_int_equal(taskdirs_link_name("/data", name, sizeof(name)), 0);
    assert_string_equal(name, "data");
    assert_int_equal(taskdirs_link_name("/srv/a/b", name, sizeof(name)), 0);
    assert_string_equal(name, "srv-a-b");
    assert_int_equal(taskdirs_link_name("/", name, sizeof(name)), 0);
    assert_string_equal(name, "root");
    assert_int_equal(taskdirs_link_name("/srv/0123456789012345678901234567", name, sizeof(name)),
                     -ENAMETOOLONG);
}

static void test_makes_everything_whatever_the_umask(void **state)
{
    struct error err;
    char task[128], file[160];
    mode_t old = umask(0177);
    assert_int_equal(taskdirs_link_root(&place, &err), 0);
    assert_int_equal(taskdirs_make(&place, &err), 0);
    assert_int_equal(taskdirs_link_task(&place, &err), 0);
    umask(old);
    assert_mode("share/.efs-sidecar", 02770);
    assert_mode("share/.efs-sidecar/members", 02770);
    assert_mode("share/.efs-sidecar/board", 0660);
    assert_mode("share/out/tasks", 02770);
    assert_mode("share/out/tasks/task-a", 02750);
    snprintf(task, sizeof(task), "%s/out/tasks/task-a", mount_path);
    assert_link("run/mounts/share/root", mount_path);
    assert_link("run/mounts/share/task", task);
    assert_link("run/task", task);

    /* Who comes back finds what is there, and links that went elsewhere are set right. */
    snprintf(file, sizeof(file), "%s/kept", task);
    assert_int_equal(symlink("x", file), 0);
    snprintf(file, sizeof(file), "%s/task", run_dir);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(symlink("/elsewhere", file), 0);
    assert_int_equal(taskdirs_make(&place, &err), 0);
    assert_int_equal(taskdirs_link_task(&place, &err), 0);
    assert_link("share/out/tasks/task-a/kept", "x");
    assert_link("run/task", task);
}

static void test_says_what_cannot_be_made(void **state)
{
    struct error err;
    char path[128];
    snprintf(path, sizeof(path), "%s/out", mount_path);
    assert_int_equal(symlink("/tmp", path), 0); /* leads out of the mount */
    assert_int_not_equal(taskdirs_make(&place, &err), 0);
    assert_non_null(strstr(err.text, "out/tasks"));
    assert_int_equal(access("/tmp/tasks", F_OK), -1);
}

static void test_member(void **state)
{
    struct error err;
    char path[128];
    _cleanup_free_ char *text = NULL;
    size_t length;

    assert_int_equal(taskdirs_write_member(&place, 7, 3, &err), -ENOENT);
    assert_int_equal(taskdirs_make(&place, &err), 0);
    assert_int_equal(taskdirs_write_member(&place, 7, 3, &err), 0);
    assert_mode("share/.efs-sidecar/members/7.json", 0660);
    snprintf(path, sizeof(path), "%s/.efs-sidecar/members/7.json", mount_path);
    assert_int_equal(fs_read_file(AT_FDCWD, path, 4096, &text, &length), 0);
    _cleanup_json_ json_t *member = NULL;
    assert_int_equal(json_parse(text, length, &member, &err), 0);
    assert_string_equal(json_string_value(json_object_get(member, "task")), "task-a");
    assert_int_equal(strlen(json_string_value(json_object_get(member, "boot_id"))), 36);
    assert_true(json_integer_value(json_object_get(member, "net_namespace")) > 0);
    assert_int_equal(taskdirs_remove_member(&place, 7, &err), 0);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(taskdirs_remove_member(&place, 7, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_link_names),
        cmocka_unit_test_setup_teardown(test_makes_everything_whatever_the_umask, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_says_what_cannot_be_made, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_member, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
