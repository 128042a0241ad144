/*
 * redact: takes out of a text what nobody else needs to see: keys, tokens, account numbers,
 * passwords in URLs. Names of files, tasks and file systems stay: without them it says nothing.
 *
 *     redact_text(text);                    // in place: what goes is overwritten with '*'
 *     redact_json(root);                    // every string in it; fields named as secrets whole
 *
 * Threads: safe.
 */
#ifndef CLI_REDACT_H
#define CLI_REDACT_H

#include <jansson.h>

void redact_text(char *text);

/* -ENOMEM: it is not redacted throughout, and must not be shown. */
int redact_json(json_t *root);

#endif
