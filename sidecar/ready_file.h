/*
 * ready_file: efs-init's report in the run directory, ready.json, which applications and health
 * checks of the task read: put back when something clears that directory.
 *
 *     struct ready_file file = {0};
 *     r = ready_file_keep(&file, settings, &err);      // at the start, and now and then
 *     ready_file_release(&file);
 *
 * It is remembered as the gate wrote it last; where there was none, none is made. Local: may be
 * called in the loop thread.
 */
#ifndef SIDECAR_READY_FILE_H
#define SIDECAR_READY_FILE_H

#include <stddef.h>
#include <sys/stat.h>

#include "lib/error.h"
#include "lib/settings.h"

struct ready_file {
    char *text; /* NULL: there was none */
    size_t bytes;
    struct stat is;
};

/* 1: it was gone and is there again; 0: there is nothing to do. */
int ready_file_keep(struct ready_file *file, const struct settings *settings, struct error *err);
void ready_file_release(struct ready_file *file);

#endif
