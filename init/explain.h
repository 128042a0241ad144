/*
 * explain: `efs-init explain`, what a message, an exit code or a stopped task means. The same as
 * efsctl's, for where only this image is at hand. Threads: one. Exit code 0; 1: nothing is known of
 * it; 69: there was no answer; 64: misuse.
 */
#ifndef INIT_EXPLAIN_H
#define INIT_EXPLAIN_H

/* argv[0] is "explain". Returns the exit code: 0 explained, 1 not known, or CAUSE_USAGE's. */
int explain_main(int argc, char **argv);

#endif
