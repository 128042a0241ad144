/*
 * layout: the names of what lies on the share and in a state directory, and the rights that members
 * give it.
 *
 * A directory may be made by any member and must be usable by all: it gets these bits whatever the
 * umask is, and the group state.gid.
 */
#ifndef LIB_SHARE_LAYOUT_H
#define LIB_SHARE_LAYOUT_H

#define LAYOUT_STAGE        ".efs-stage"          /* on each data mount */
#define LAYOUT_PROBE_PREFIX ".efs-sidecar-probe." /* what the gate makes and removes */

#define LAYOUT_BOARD    "board"   /* see board.h */
#define LAYOUT_MEMBERS  "members" /* SLOT.json: what people read; nothing is decided from it */
#define LAYOUT_CANARIES "canary"  /* one small file per task, written to see whether that works */

enum { LAYOUT_DIR_MODE = 02770, LAYOUT_FILE_MODE = 0660 };

#endif
