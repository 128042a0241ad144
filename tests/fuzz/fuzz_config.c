/* The file of settings. What is taken can be said again on the command line. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/settings.h"
#include "tests/fuzz/driver.h"

static struct config_report report;

static int load(int argc, char **argv, struct settings *ret_settings)
{
    enum config_action action;
    int first = 0;
    int r = config_load(&settings_table, PROGRAM_SIDECAR, argc, argv, ret_settings, &action, &first,
                        &report);
    MUST((r < 0) == (report.n_errors > 0) && (r < 0) == (report.text[0] != '\0'));
    return r;
}

int fuzz_parse(const char *text, size_t length)
{
    static struct settings settings, same;
    char program[] = "fuzz", option[64];
    char *argv[] = {program, option, NULL};
    _cleanup_close_ int fd = memfd_create("config", MFD_CLOEXEC);
    MUST(fd >= 0 && write(fd, text, length) == (ssize_t)length);
    snprintf(option, sizeof(option), "--config=/proc/self/fd/%d", fd);
    report = (struct config_report){0};
    if (load(2, argv, &settings) < 0)
        return -1;
    char **options = config_to_options(&settings_table, PROGRAM_SIDECAR, &settings);
    int n = 0;
    MUST(options);
    while (options[n])
        n++;
    char **all = calloc((size_t)n + 2, sizeof(*all));
    MUST(all);
    all[0] = program;
    memcpy(all + 1, options, (size_t)n * sizeof(*all));
    MUST(load(n + 1, all, &same) == 0);
    free(all);
    config_free_options(options);
    config_release(&settings_table, &same);
    config_release(&settings_table, &settings);
    return 0;
}
