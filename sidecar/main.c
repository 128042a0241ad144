/* efs-sidecar: the command line. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/fs.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/settings.h"
#include "sidecar/api.h"
#include "sidecar/cache_pins.h"
#include "sidecar/cache_rules.h"
#include "sidecar/daemon.h"
#include "sidecar/locks.h"
#include "sidecar/metrics.h"
#include "sidecar/orphans.h"
#include "sidecar/reactions.h"

enum { EXIT_USAGE = 64, LOG_WAIT_MS = 300 };

static void print_help(void)
{
    puts("Usage: efs-sidecar [OPTION]... [PATH[=FILE_SYSTEM_ID][:rw|:ro]]...\n"
         "Watch over the shared directories of this task: is each reachable and writable, what\n"
         "changes in it, where is this task's own directory. Answers on a Unix socket, see "
         "efsctl.\n");
    config_print_help(&settings_table, PROGRAM_SIDECAR, stdout);
}

/* The host name is the task's name unless it was given. */
static int name_task(struct settings *settings, struct config_report *report)
{
    if (!*settings->task_name) {
        char host[NAME_MAX + 1];
        if (gethostname(host, sizeof(host)) < 0)
            return config_error(report, "task.name: the host has no name; set one");
        host[sizeof(host) - 1] = '\0';
        free(settings->task_name);
        settings->task_name = strdup(host);
        if (!settings->task_name)
            return config_error(report, "task.name: no memory");
    }
    if (fs_check_name(settings->task_name) < 0 || *settings->task_name == '.')
        return config_error(report,
                            "task.name: \"%s\" cannot be the name of a write directory: it must "
                            "not begin with '.' or contain '/'",
                            settings->task_name);
    return 0;
}

/* On a volume for all file systems each needs a name of its own. */
static void check_state_mount(const struct settings *settings, struct config_report *report)
{
    for (size_t i = 0; *settings->state_mount && i < settings->mounts.n; i++)
        if (!*settings->mounts.mounts[i].file_system_id)
            config_error(report,
                         "state.mount: %s needs its file system id, because its state lies in a "
                         "directory named after it: write %s=fs-... in mounts",
                         settings->mounts.mounts[i].path, settings->mounts.mounts[i].path);
}

/* What only the sidecar needs to be right. All errors at once. */
static int check(struct settings *settings, char **paths, int n, struct config_report *report)
{
    for (int i = 0; i < n; i++)
        config_add_mount(&settings->mounts, paths[i], report);
    name_task(settings, report);
    if (settings->mounts.n == 0)
        config_error(report, "mounts: none is given. Set EFS_SIDECAR_MOUNTS, for example to "
                             "/data=fs-0123456789abcdef0:rw");
    if (fs_check_name(settings->state_dir) < 0)
        config_error(report, "state.dir: \"%s\" is not a name: it lies at the top of each mount",
                     settings->state_dir);
    if (fs_check_relative(settings->tasks_dir) < 0)
        config_error(report,
                     "task.root: \"%s\" is not a path below the mount: it must be relative, "
                     "without \"..\" or \".\"",
                     settings->tasks_dir);
    check_state_mount(settings, report);
    if (!*settings->run_dir)
        config_error(report, "run_dir: it must not be empty");
    api_check(settings, report);
    metrics_check(settings, report);
    locks_check(settings, report);
    reactions_check(settings, report);
    cache_rules_check(settings, report);
    cache_pins_check(settings, report);
    orphans_check(settings, report);
    return report->n_errors ? -EINVAL : 0;
}

static int print_settings(const struct settings *settings)
{
    _cleanup_json_ json_t *all = config_to_json(&settings_table, settings);
    if (!all || json_dumpf(all, stdout, JSON_INDENT(2)) < 0 || puts("") < 0)
        return EXIT_FAILURE;
    return EXIT_SUCCESS;
}

/* As process 1 of a container it would not hear of one that comes before the loop does; from the
 * loop on they are taken there. */
static void hold_stop_signals(void)
{
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    sigprocmask(SIG_BLOCK, &stop, NULL);
}

int main(int argc, char **argv)
{
    static struct settings settings;
    static struct config_report report;
    enum config_action action;
    int first, status = EXIT_SUCCESS;

    if (config_load(&settings_table, PROGRAM_SIDECAR, argc, argv, &settings, &action, &first,
                    &report) < 0) {
        fputs(report.text, stderr);
        return EXIT_USAGE;
    }
    if (action == CONFIG_HELP) {
        print_help();
    } else if (action == CONFIG_VERSION) {
        puts("efs-sidecar " EFS_SIDECAR_VERSION);
    } else if (check(&settings, argv + first, argc - first, &report) < 0) {
        fputs(report.text, stderr);
        status = EXIT_USAGE;
    } else if (action == CONFIG_CHECK) {
        status = print_settings(&settings);
    } else {
        hold_stop_signals();
        log_open("efs-sidecar", settings.log_level);
        status = daemon_run(&settings);
        log_close(LOG_WAIT_MS);
    }
    config_release(&settings_table, &settings);
    return status;
}
