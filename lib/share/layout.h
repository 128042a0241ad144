/*
 * layout: the names of what lies on the share and in a state directory, and the rights that members
 * give it.
 *
 * A directory may be made by any member and must be usable by all: it gets these bits whatever the
 * umask is, and the group state.gid.
 */
#ifndef LIB_SHARE_LAYOUT_H
#define LIB_SHARE_LAYOUT_H

#include <stdint.h>
#include <sys/types.h>

#define LAYOUT_STAGE        ".efs-stage"          /* on each data mount */
#define LAYOUT_PROBE_PREFIX ".efs-sidecar-probe." /* what the gate makes and removes */
#define LAYOUT_PROBES       ".efs-sidecar-probe.*"

#define LAYOUT_VERSION  "VERSION" /* see version.h */
#define LAYOUT_BOARD    "board"   /* see board.h */
#define LAYOUT_FEED     "feed"    /* SLOT-EPOCH/N.log, see journal.h */
#define LAYOUT_SCANNER  "scanner" /* locked by the one member that scans */
#define LAYOUT_JANITOR  "janitor" /* locked by the one member that clears up */
#define LAYOUT_LOCKS    "locks"   /* AA/NAME, see lock_name.h and lock_record.h */
#define LAYOUT_MEMBERS  "members" /* SLOT.json: what people read; nothing is decided from it */
#define LAYOUT_CANARIES "canary"  /* one small file per task, written to see whether that works */

#define LAYOUT_ORPHANS ".orphans" /* beside the tasks' directories: those that are being moved */
#define LAYOUT_ADOPTED "adopted"  /* in a task's: those that it was given */

/* In a task's write directory. */
#define LAYOUT_OWNER  ".owner"  /* see owner.h */
#define LAYOUT_STAGED ".stage"  /* copies that are being published: never the only one */
#define LAYOUT_CLAIMS ".claims" /* SLOT-EPOCH/: what the task works on */

/* In a directory that files are claimed from; see docs/protocols/claims.md. */
#define LAYOUT_RETRY ".retry" /* given back */
#define LAYOUT_DEAD  ".dead"  /* failed too often */

enum { LAYOUT_DIR_MODE = 02770, LAYOUT_FILE_MODE = 0660 };

/* Give the other members their rights to what fd has open. Only its owner can; for everybody else
 * they are as they are. gid -1 leaves the group. 0 or -errno. */
int layout_share(int fd, mode_t mode, int64_t gid);

#endif
