/*
 * leave: end the process although threads of it are stuck in calls to a hung NFS server.
 *
 * A killed thread comes out of its NFS call at once. But the last one to exit closes what is still
 * open, and closing a file that is locked or was written asks the server: by then the SIGKILL was
 * taken off the thread, so nothing ends that wait any more, and the process stays, unkillable, for
 * as long as the server hangs. So all descriptors are closed by a thread that is still to be
 * killed.
 *
 *     leave_process(status);            // nothing may need a descriptor any more, but 0 to 2
 */
#ifndef SIDECAR_LEAVE_H
#define SIDECAR_LEAVE_H

#include <stdnoreturn.h>

noreturn void leave_process(int status);

#endif
