/* The settings of one program as mdoc(7) list items: what docs/man/update puts into its page. */
#include <stdio.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/settings.h"

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        unsigned program;
    } programs[] = {
        {"efs-init", PROGRAM_INIT},
        {"efs-sidecar", PROGRAM_SIDECAR},
        {"efs-watch", PROGRAM_WATCH},
        {"efsctl", PROGRAM_CTL},
    };
    for (size_t i = 0; argc == 2 && i < ARRAY_LEN(programs); i++) {
        if (strcmp(argv[1], programs[i].name) == 0) {
            config_print_mdoc(&settings_table, programs[i].program, stdout);
            return 0;
        }
    }
    fputs("usage: man-settings PROGRAM\n", stderr);
    return 64;
}
