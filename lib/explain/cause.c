#include "lib/explain/cause.h"

#include <errno.h>
#include <stddef.h>

#include "lib/cleanup.h"

const struct cause_info cause_table[CAUSE_COUNT] = {
    [CAUSE_NONE] = {"None", 0, "nothing is wrong", ""},
    [CAUSE_PATH_MISSING] =
        {"PathMissing", 10, "the path does not exist",
         "Correct the path, or create the directory: an access point with creationInfo makes its "
         "root, a task that may write makes directories below it."},
    [CAUSE_NOT_A_DIRECTORY] = {"NotADirectory", 11, "the path is not a directory",
                               "Name a directory: the mount point or something below it."},
    [CAUSE_PATH_UNUSABLE] =
        {"PathUnusable", 12, "the path cannot be followed",
         "Name the directory itself, without loops of symbolic links and with at most 255 bytes "
         "between two slashes."},
    [CAUSE_NOT_MOUNTED] =
        {"NotMounted", 13, "EFS is not mounted there",
         "Give this container a mountPoints entry with that containerPath and a sourceVolume whose "
         "volume has an efsVolumeConfiguration. To try things without EFS, add --allow-local."},
    [CAUSE_WRONG_FILE_SYSTEM] =
        {"WrongFileSystem", 14, "another file system is mounted there",
         "Correct the fileSystemId of the volume, or the file system named in the list of mounts."},
    [CAUSE_REQUIRED_PATH_MISSING] =
        {"RequiredPathMissing", 15, "a path that is required does not exist",
         "Put it there (--create makes directories), correct the list of required paths, or mount "
         "the directory in which it lies."},
    [CAUSE_REQUIRED_PATH_DIFFERS] =
        {"RequiredPathDiffers", 16, "a required path has another owner or other permission bits",
         "Change them on the file system (chown and chmod from a task that may), or correct the "
         "list of required paths."},
    [CAUSE_MARKER_MISMATCH] =
        {"MarkerMismatch", 17, "the marker file is missing or says something else",
         "Another file system, or another directory of it, is probably mounted: correct "
         "fileSystemId, rootDirectory or accessPointId of the volume. On a new file system, write "
         "the marker once."},
    [CAUSE_READ_ONLY_MOUNT] =
        {"ReadOnlyMount", 20, "the mount is read-only",
         "Remove \"readOnly\": true from this container's mountPoints entry, or ask for PATH:ro."},
    [CAUSE_NO_CLIENT_WRITE] =
        {"NoClientWrite", 21, "the mount is read-write but the server refuses writes",
         "Allow elasticfilesystem:ClientWrite to the task role, in its policy and in the file "
         "system policy, and set authorizationConfig.iam to ENABLED together with a taskRoleArn; "
         "or ask for PATH:ro."},
    [CAUSE_PERMISSION_DENIED] =
        {"PermissionDenied", 22, "owner and mode of the directory do not let this identity in",
         "Give the directory to the container's identity (chown from a task that runs as root, or "
         "creationInfo of a new access point), or use an access point whose root directory belongs "
         "to its posixUser."},
    [CAUSE_ROOT_SQUASHED] =
        {"RootSquashed", 23, "the server does not treat root as root",
         "Allow elasticfilesystem:ClientRootAccess to the task role, or use an access point whose "
         "root directory belongs to its posixUser."},
    [CAUSE_SQUASHED_IDENTITY] =
        {"SquashedIdentity", 24, "the server applies another identity than this process has",
         "Give the directory to the posixUser of the access point, or use an access point whose "
         "root directory belongs to its posixUser."},
    [CAUSE_WRONG_OWNER] =
        {"WrongOwner", 25, "new files belong to somebody else than expected",
         "Set the posixUser of the access point to the ids that are expected, or expect those "
         "that it sets."},
    [CAUSE_CANNOT_CHANGE_IDENTITY] =
        {"CannotChangeIdentity", 26, "this process may not take on the identity of --as",
         "Run the gate's container as root (\"user\": \"0\") with the capabilities SETUID and "
         "SETGID, or as that identity, without --as."},
    [CAUSE_NO_CREDENTIALS] =
        {"NoCredentials", 27, "the task cannot get its credentials",
         "Give the task definition a taskRoleArn, and let this container reach the credentials "
         "endpoint (169.254.170.2)."},
    [CAUSE_WRONG_ROLE] =
        {"WrongRole", 28, "the task has another role than expected",
         "Correct the taskRoleArn of the task definition (not its executionRoleArn), or the role "
         "that is expected."},
    [CAUSE_WRONG_ACCESS_POINT] =
        {"WrongAccessPoint", 29, "the access point is not the one that is meant",
         "Correct the accessPointId in the volume's authorizationConfig, or the access point that "
         "is expected."},
    [CAUSE_MOUNT_HUNG] =
        {"MountHung", 30, "the mount does not answer",
         "Check that the mount target is available in the task's zone, that security groups let "
         "port 2049 through both ways, and that the efs-utils proxy on the host is alive. A new "
         "task gets a new mount."},
    [CAUSE_SERVER_UNREACHABLE] =
        {"ServerUnreachable", 31, "the connection to the server failed",
         "Check mount target and security groups (port 2049). The mount is probably soft: mount "
         "it hard, so that an app waits instead of failing."},
    [CAUSE_STALE_HANDLE] =
        {"StaleHandle", 32, "what is mounted no longer exists on the server",
         "Start a new task: file system, mount target or directory was probably removed or made "
         "anew, and only a new mount finds it."},
    [CAUSE_IO_ERROR] =
        {"IoError", 33, "the server could not carry out the operation",
         "Check that the KMS key of the file system is enabled and that its limits (open files, "
         "users, locks per client) are not used up."},
    [CAUSE_NO_SPACE] =
        {"NoSpace", 34, "there is no space left",
         "Free space. EFS grows by itself, so a disk of this host is probably mounted there."},
    [CAUSE_QUOTA_EXCEEDED] =
        {"QuotaExceeded", 35, "a limit of the file system is reached",
         "Close files or release locks: EFS answers so at its limits of open files, locks and "
         "users of one client."},
    [CAUSE_TOO_MANY_LINKS] =
        {"TooManyLinks", 36, "a file or directory has too many links",
         "Use fewer hard links to one file (EFS: 177) or fewer directories in one directory."},
    [CAUSE_DATA_MISMATCH] =
        {"DataMismatch", 37, "the bytes read are not those written",
         "Do not use this mount. Something between here and the server changes data: report it, "
         "with the mount options."},
    [CAUSE_UNSUPPORTED] = {"Unsupported", 38, "the file system does not support the operation",
                           "Mount EFS with nfsvers=4.1."},
    [CAUSE_LOCKS_UNAVAILABLE] = {"LocksUnavailable", 40, "file locks do not work",
                                 "Mount with nfsvers=4.1 and without nolock and local_lock."},
    [CAUSE_LEASE_LOST] =
        {"LeaseLost", 41,
         "a lock was lost because the server did not hear from this host for too long",
         "Look for what stalled the mount: network, throttling, the efs-utils proxy, or a "
         "paused host."},
    [CAUSE_CLIENT_IDENTITY_SHARED] =
        {"ClientIdentityShared", 42,
         "another mount presents itself to the server as the same NFS client",
         "Tasks with network namespaces of their own on one host need NFS identities of their own: "
         "before each mounts, write a name of its own to /sys/fs/nfs/net/nfs_client/identifier in "
         "its namespace (or to the nfs4_unique_id parameter of the host's nfs module). Otherwise "
         "run one such task per host, or on Fargate, or with host networking."},
    [CAUSE_NO_RESOURCES] = {"NoResources", 43, "this container is out of memory or descriptors",
                            "Raise the container's memory, or its nofile ulimit."},
    [CAUSE_UNEXPECTED] =
        {"UnexpectedError", 49, "an operation failed in a way not foreseen",
         "Look the error up, and report it with the JSON report of --format json."},
    [CAUSE_RUN_DIR_UNWRITABLE] =
        {"RunDirUnwritable", 60, "the ready report cannot be written",
         "Mount a volume there that this container may write to and that the others share, or "
         "name another run directory."},
    [CAUSE_INSTALL_FAILED] =
        {"InstallFailed", 61, "efsctl or the preload library cannot be installed",
         "Mount a volume there that this container may write to, with room for some megabytes."},
    [CAUSE_USAGE] = {"Usage", 64, "an option or setting is wrong", "See efs-init --help."},
    [CAUSE_INTERNAL] = {"Internal", 70, "the gate itself failed",
                        "Report it with the JSON report of --format json."},
    [CAUSE_INTERRUPTED] =
        {"Interrupted", 75, "the gate was stopped by a signal",
         "Start it again; if ECS stopped it, the reason stands in the task's stoppedReason."},
    [CAUSE_REGION_UNKNOWN] = {"RegionUnknown", 80, "the AWS region is not known",
                              "Set AWS_REGION or add --region; Fargate, and the ECS agent from "
                              "version 1.104.0 on, set it for every container."},
    [CAUSE_FILE_SYSTEM_UNAVAILABLE] =
        {"FileSystemUnavailable", 81, "the file system does not exist or is not available",
         "Correct the file system id and the region, or wait until EFS shows it as available."},
    [CAUSE_NO_MOUNT_TARGET] = {"NoMountTarget", 82,
                               "the file system has no available mount target in this zone",
                               "Create a mount target in a subnet of this zone, or run the task in "
                               "subnets of zones that have one."},
    [CAUSE_NAME_NOT_RESOLVED] =
        {"NameNotResolved", 83, "the name of the file system has no address",
         "Set enableDnsSupport and enableDnsHostnames of the VPC, let containers ask its DNS "
         "server (AmazonProvidedDNS), and check that the file system has a mount target in this "
         "zone of this VPC; the name of a new one takes about 90 seconds."},
    [CAUSE_CONNECTION_REFUSED] = {"ConnectionRefused", 84,
                                  "nothing listens on port 2049 of the address",
                                  "Check that the address is a mount target's, and that no "
                                  "firewall rejects the connection."},
    [CAUSE_CONNECTION_TIMED_OUT] =
        {"ConnectionTimedOut", 85, "nothing answers on port 2049 of the address",
         "Let the security group of the mount target accept TCP port 2049 from the task's security "
         "group, let the task's group send there, and let the network ACLs of both subnets pass it "
         "both ways."},
    [CAUSE_NETWORK_UNREACHABLE] =
        {"NetworkUnreachable", 86, "there is no way to the address",
         "Run the task in the VPC of the mount target, or give its subnet a route there; an IPv6 "
         "address needs one on the task's side, too."},
    [CAUSE_CONNECTION_RESET] = {"ConnectionReset", 87, "the other end closes the connection",
                                "Look for a firewall or proxy that ends connections to port 2049; "
                                "a mount target that is just being made or changed does it, too."},
    [CAUSE_NO_NFS_SERVER] = {"NoNfsServer", 88, "no NFS server of version 4 answers at the address",
                             "Check that the address is a mount target's, and that nothing on the "
                             "way intercepts port 2049."},
    [CAUSE_LOOPBACK_ADDRESS] = {"LoopbackAddress", 89,
                                "the address is this host's own, and nothing connects to it",
                                "Name the file system, or the address of a mount target. The "
                                "efs-utils proxy on a loopback address serves one connection at a "
                                "time: a probe of it can stop the mount that it belongs to."},
    [CAUSE_ACCESS_POINT_UNUSABLE] =
        {"AccessPointUnusable", 90,
         "the access point does not exist, is not available, or is another file system's",
         "Correct the accessPointId, or the fileSystemId, of the volume."},
    [CAUSE_POLICY_REFUSES] = {"PolicyRefuses", 91, "the file system policy refuses the mount",
                              "Allow elasticfilesystem:ClientMount in the file system policy, and "
                              "remove what denies it."},
};

const struct cause_info *cause_from_exit_code(int exit_code)
{
    for (size_t i = 0; i < CAUSE_COUNT; i++)
        if (cause_table[i].exit_code == exit_code)
            return &cause_table[i];
    return NULL;
}

enum cause cause_from_errno(int error)
{
    static const struct {
        int error;
        enum cause cause;
    } map[] = {
        {ENOENT, CAUSE_PATH_MISSING},
        {ENOTDIR, CAUSE_NOT_A_DIRECTORY},
        {ELOOP, CAUSE_PATH_UNUSABLE},
        {ENAMETOOLONG, CAUSE_PATH_UNUSABLE},
        {EROFS, CAUSE_NO_CLIENT_WRITE},
        {EACCES, CAUSE_PERMISSION_DENIED},
        {EPERM, CAUSE_PERMISSION_DENIED},
        {ETIMEDOUT, CAUSE_SERVER_UNREACHABLE},
        {ECONNREFUSED, CAUSE_SERVER_UNREACHABLE},
        {ECONNRESET, CAUSE_SERVER_UNREACHABLE},
        {EHOSTUNREACH, CAUSE_SERVER_UNREACHABLE},
        {ENETUNREACH, CAUSE_SERVER_UNREACHABLE},
        {EHOSTDOWN, CAUSE_SERVER_UNREACHABLE},
        {ENOTCONN, CAUSE_SERVER_UNREACHABLE},
        {ESTALE, CAUSE_STALE_HANDLE},
        {EIO, CAUSE_IO_ERROR},
        {EREMOTEIO, CAUSE_IO_ERROR},
        {ENOSPC, CAUSE_NO_SPACE},
        {EFBIG, CAUSE_NO_SPACE},
        {EDQUOT, CAUSE_QUOTA_EXCEEDED},
        {EMLINK, CAUSE_TOO_MANY_LINKS},
        {EBADMSG, CAUSE_DATA_MISMATCH},
        {EOPNOTSUPP, CAUSE_UNSUPPORTED},
        {ENOSYS, CAUSE_UNSUPPORTED},
        {EINVAL, CAUSE_UNSUPPORTED},
        {ENOLCK, CAUSE_LOCKS_UNAVAILABLE},
        {ENOMEM, CAUSE_NO_RESOURCES},
        {EMFILE, CAUSE_NO_RESOURCES},
        {ENFILE, CAUSE_NO_RESOURCES},
    };
    for (size_t i = 0; i < ARRAY_LEN(map); i++)
        if (map[i].error == error)
            return map[i].cause;
    return CAUSE_UNEXPECTED;
}
