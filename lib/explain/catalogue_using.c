/* The volume is mounted, and what the application does on it fails. */
#include "lib/explain/catalogue.h"
#include "lib/explain/snippets.h"

const struct explain_entry explain_using[] = {
    {
        .id = "read-only",
        .meaning = "The volume is mounted, but writing to it is refused.",
        .forms = {"mkdir {path}: read-only file system", "{path}: read-only file system",
                  "'{path}': read-only file system", "erofs: read-only file system,*'{path}'",
                  "read-only file system", "erofs"},
        .causes =
            {
                {
                    .why = "The mount says rw but IAM gives no elasticfilesystem:ClientWrite: a "
                           "file system policy that allows only ClientMount, or a role without it.",
                    .confirm = "grep ' nfs4 ' /proc/self/mountinfo\n" SHOW_POLICY,
                    .fix = "Allow ClientWrite to the task role, in its policy and in the file "
                           "system policy, with iam ENABLED in the volume.",
                    .cli = "aws iam put-role-policy --role-name TASK_ROLE --policy-name efs \\\n"
                           "    --policy-document '{\"Version\":\"2012-10-17\",\"Statement\":[{\n"
                           "      \"Effect\":\"Allow\",\n"
                           "      \"Action\":[\"elasticfilesystem:ClientMount\",\n"
                           "                \"elasticfilesystem:ClientWrite\"],\n"
                           "      "
                           "\"Resource\":\"arn:aws:elasticfilesystem:{region}:{account}:file-"
                           "system/{fs}\"}]}'",
                    .terraform = "data \"aws_iam_policy_document\" \"efs\" {\n"
                                 "  statement {\n"
                                 "    actions   = [\"elasticfilesystem:ClientMount\", "
                                 "\"elasticfilesystem:ClientWrite\"]\n"
                                 "    resources = [aws_efs_file_system.this.arn]\n"
                                 "  }\n"
                                 "}",
                    .gate = CAUSE_NO_CLIENT_WRITE,
                },
                {
                    .why = "This container's mountPoints entry says readOnly (mountinfo then says "
                           "ro).",
                    .confirm = SHOW_MOUNT_POINTS,
                    .fix = "Remove \"readOnly\": true from that entry.",
                    .terraform = "mountPoints = [{ sourceVolume = \"data\", containerPath = "
                                 "\"{path}\", readOnly = false }]",
                    .gate = CAUSE_READ_ONLY_MOUNT,
                },
                {
                    .why = "The path is not on the volume, and readonlyRootFilesystem is on.",
                    .confirm = "stat -f -c %T {path}\n"
                               "# nfs: it is on the volume",
                    .fix = "Write to the volume, or give that path a volume of its own.",
                },
            },
        .sources = {"aws/efs-utils#82", "terraform-aws-modules/terraform-aws-atlantis#376"},
    },
    {
        .id = "permission-denied",
        .meaning = "Owner and mode of files on the volume do not fit the user of the container.",
        .forms = {"can't safely access \"{path}\" because it's not owned by the current user",
                  "because it's not owned by the current user", "mkdir {path}: permission denied",
                  "open {path}: permission denied", "{path}: permission denied",
                  "permission denied: '{path}'", "eacces: permission denied,*'{path}'",
                  "java.nio.file.accessdeniedexception: {path}", "permission denied", "eacces",
                  "is owned by someone else", "detected dubious ownership in repository"},
        .causes =
            {
                {
                    .why =
                        "The container runs as another uid than the owner of the directory, which "
                        "is the access point's creationInfo, or root 0755 for a new file system.",
                    .confirm =
                        "id; stat -c '%u:%g %a %n' {path}\n"
                        "aws efs describe-access-points --region {region} --file-system-id {fs}",
                    .fix = "Let three ids be the same: \"user\" of the container, posixUser of the "
                           "access point, and owner in its creationInfo. creationInfo counts only "
                           "when the directory does not exist yet: otherwise chown it once from a "
                           "client without access point.",
                    .terraform = "resource \"aws_efs_access_point\" \"this\" {\n"
                                 "  file_system_id = \"{fs}\"\n"
                                 "  posix_user {\n"
                                 "    uid = 1000\n"
                                 "    gid = 1000\n"
                                 "  }\n"
                                 "  root_directory {\n"
                                 "    path = \"/data-1000\"\n"
                                 "    creation_info {\n"
                                 "      owner_uid   = 1000\n"
                                 "      owner_gid   = 1000\n"
                                 "      permissions = \"0755\"\n"
                                 "    }\n"
                                 "  }\n"
                                 "}",
                    .gate = CAUSE_PERMISSION_DENIED,
                },
                {
                    .why = "The container is root, but IAM gives no "
                           "elasticfilesystem:ClientRootAccess: the server then treats root as "
                           "nobody.",
                    .confirm = SHOW_POLICY,
                    .fix =
                        "Use an access point with a posixUser (better), or allow ClientRootAccess.",
                    .gate = CAUSE_ROOT_SQUASHED,
                },
                {
                    .why = "The user is in more than 16 groups; NFS passes on 16.",
                    .confirm = "id -G | wc -w",
                    .fix = "Make the group that matters the primary one.",
                    .gate = CAUSE_PERMISSION_DENIED,
                },
            },
        .sources = {"1Password/connect#70", "kubernetes-sigs/aws-efs-csi-driver#300",
                    "terraform-aws-modules/terraform-aws-atlantis#287",
                    "aws/containers-roadmap#825"},
    },
    {
        .id = "chown-refused",
        .meaning = "The application tried to change the owner of files on the volume.",
        .forms = {"chown: {path}: operation not permitted",
                  "chown: changing ownership of *{path}*: operation not permitted",
                  "chown \"{path}\" failed: operation not permitted",
                  "chown*operation not permitted"},
        .causes =
            {
                {
                    .why = "An access point with a posixUser refuses every chown: all files belong "
                           "to that user already.",
                    .confirm = "aws efs describe-access-points --region {region} --file-system-id "
                               "{fs} \\\n"
                               "    --query 'AccessPoints[].[PosixUser,RootDirectory]'",
                    .fix = "Leave the chown out of the entrypoint (many images have a switch for "
                           "it, or skip it when they do not run as root), and run the container as "
                           "the posixUser.",
                    .terraform = "container_definitions = jsonencode([{\n"
                                 "  user = \"1000:1000\" # the posix_user of the access point\n"
                                 "  # ...\n"
                                 "}])",
                    .gate = CAUSE_SQUASHED_IDENTITY,
                },
                {
                    .why = "The container is root, but IAM gives no "
                           "elasticfilesystem:ClientRootAccess.",
                    .confirm = SHOW_POLICY,
                    .fix = "Allow ClientRootAccess to the task role if the image must chown.",
                    .gate = CAUSE_ROOT_SQUASHED,
                },
            },
        .sources = {"aws/copilot-cli#4431", "kubernetes-sigs/aws-efs-csi-driver#300",
                    "bitnami/bitnami-docker-magento#223", "nextcloud/helm#318"},
    },
    {
        .id = "mount-hung",
        .meaning =
            "The kernel gets no answer from the server: everything that touches the mount waits.",
        .forms = {"nfs: server {host} not responding, timed out",
                  "nfs: server {host} not responding, still trying", "nfs: server*not responding",
                  "task *:* blocked for more than", "rpc_wait_bit_killable"},
        .causes =
            {
                {
                    .why = "The proxy of efs-utils on the host (127.0.0.1) has died or hangs; the "
                           "watchdog restarts it within seconds, unless it hangs too.",
                    .confirm = "pgrep -a 'efs-proxy|stunnel'\n"
                               "sudo tail -50 /var/log/amazon/efs/mount-watchdog.log",
                    .fix = "On Fargate stop the task: a new one gets a new mount. On EC2 restart "
                           "amazon-efs-mount-watchdog, then update efs-utils.",
                    .cli = "aws ecs stop-task --region {region} --cluster {cluster} --task {task}",
                    .gate = CAUSE_MOUNT_HUNG,
                },
                {
                    .why = "The mount target or the network went away: maintenance, a changed "
                           "security group, a deleted mount target.",
                    .confirm = SHOW_TARGETS,
                    .fix = "Restore port 2049; a hard mount then goes on where it was.",
                    .cli = OPEN_PORT_CLI,
                    .terraform = OPEN_PORT_TERRAFORM,
                    .gate = CAUSE_MOUNT_HUNG,
                },
                {
                    .why = "The file system is throttled: no burst credits, or the limit of "
                           "operations.",
                    .confirm = SHOW_CREDITS,
                    .fix = "Change the throughput mode to elastic.",
                    .cli = ELASTIC_CLI,
                    .terraform = ELASTIC_TERRAFORM,
                    .gate = CAUSE_MOUNT_HUNG,
                },
            },
        .sources = {"kubernetes-sigs/aws-efs-csi-driver#616",
                    "kubernetes-sigs/aws-efs-csi-driver#472",
                    "kubernetes-sigs/aws-efs-csi-driver#1571", "aws/efs-utils#61",
                    "aws/efs-utils#69", "aws/efs-utils#125", "aws/efs-utils#374"},
    },
    {
        .id = "proxy-died",
        .meaning = "The proxy between the kernel and EFS died or is not restarted.",
        .forms = {"tls tunnel is not running for {fs}", "tls tunnel: * is no longer running",
                  "[efs-proxy] <defunct>", "[stunnel5] <defunct>", "[stunnel] <defunct>",
                  "killed process*(efs-proxy)", "efs-proxy*oom", "mount.efs invoked oom-killer",
                  "failed to initialize tls tunnel for {fs}",
                  "could not start amazon-efs-mount-watchdog"},
        .causes =
            {
                {
                    .why = "It was killed for memory: it buffers what is written while the server "
                           "is slower, and after a restart all writes that wait come at once.",
                    .confirm = "dmesg -T | grep -i -e oom -e 'Killed process'",
                    .fix =
                        "Give the proxy's cgroup more memory (about 30 MiB a mount while mounting, "
                        "more under heavy writes), and write with fewer or smaller requests at "
                        "once. On Fargate it is not in your task's memory: start a new task.",
                    .gate = CAUSE_MOUNT_HUNG,
                },
                {
                    .why = "The watchdog hangs itself, on a process that waits for the dead mount.",
                    .confirm = "sudo tail -20 /var/log/amazon/efs/mount-watchdog.log\n"
                               "ps -eo pid,stat,wchan:32,comm | awk '$2 ~ /D/'",
                    .fix = "Restart it; if processes stay in state D, replace the host.",
                    .cli = "sudo systemctl restart amazon-efs-mount-watchdog",
                    .gate = CAUSE_MOUNT_HUNG,
                },
            },
        .sources = {"kubernetes-sigs/aws-efs-csi-driver#1827",
                    "kubernetes-sigs/aws-efs-csi-driver#1383", "aws/efs-utils#374",
                    "aws/efs-utils#361", "aws/efs-utils#346", "aws/efs-utils#175",
                    "kubernetes-sigs/aws-efs-csi-driver#1940"},
    },
    {
        .id = "lease-refused",
        .meaning = "The server no longer accepts the identity or the lease of this mount.",
        .forms = {"check lease failed on nfsv4 server {host} with error",
                  "lease expired failed on nfsv4 server", "nfs: __nfs4_reclaim_open_state: lock",
                  "cannot recreate self-signed certificate"},
        .causes =
            {
                {
                    .why = "The credentials that the mount was made with ran out or were revoked, "
                           "and efs-utils could not renew its certificate (error 13 is EACCES).",
                    .confirm = "sudo grep -e credentials -e certificate "
                               "/var/log/amazon/efs/mount-watchdog.log | tail",
                    .fix =
                        "Check that the task role still exists and is trusted, update efs-utils "
                        "and the ECS agent, and start the task anew: the mount does not come back.",
                    .cli = "aws ecs update-service --region {region} --cluster {cluster} \\\n"
                           "    --service SERVICE --force-new-deployment",
                    .gate = CAUSE_LEASE_LOST,
                },
                {
                    .why = "The host was cut off for longer than the lease; locks are lost, and "
                           "I/O on locked files fails until they are opened anew.",
                    .confirm = "grep lease /proc/self/mountstats",
                    .fix = "Treat EIO on a locked file as a lost lock: close, open, lock again.",
                    .gate = CAUSE_LEASE_LOST,
                },
            },
        .sources = {"aws/efs-utils#267", "aws/efs-utils#83", "aws/amazon-ecs-agent#2810"},
    },
    {
        .id = "stale-handle",
        .meaning = "What was open or mounted no longer exists on the server.",
        .forms = {"{path}: stale file handle", "'{path}': stale file handle",
                  "stale file handle: '{path}'", "stale file handle", "stale nfs file handle",
                  "estale", "bad file handle"},
        .causes =
            {
                {
                    .why = "Another task removed the file or directory, or replaced it by rename, "
                           "while it was open here.",
                    .confirm = "stat {path}",
                    .fix = "Open it again by its path. Replace directories by a new name and a "
                           "symbolic link instead of removing what others use.",
                    .gate = CAUSE_STALE_HANDLE,
                },
                {
                    .why = "File system or mount target were deleted and made anew, perhaps with "
                           "the same address, or a replaced stack left the task with the old one.",
                    .confirm = "aws efs describe-file-systems --region {region} --file-system-id "
                               "{fs}\n" SHOW_TARGETS,
                    .fix = "Start new tasks: only a new mount finds the new file system.",
                    .cli = "aws ecs update-service --region {region} --cluster {cluster} \\\n"
                           "    --service SERVICE --force-new-deployment",
                    .gate = CAUSE_STALE_HANDLE,
                },
            },
        .sources = {"kubernetes-sigs/aws-efs-csi-driver#614", "docker-archive/for-aws#177"},
    },
    {
        .id = "io-error",
        .meaning = "The server could not carry out an operation (EIO).",
        .forms = {"{path}: input/output error", "input/output error: '{path}'",
                  "input/output error", "errno 5]", "i/o error"},
        .causes =
            {
                {
                    .why = "The KMS key of the file system is disabled or about to be deleted, or "
                           "its grant was retired.",
                    .confirm =
                        "aws efs describe-file-systems --region {region} --file-system-id {fs} \\\n"
                        "    --query 'FileSystems[].[Encrypted,KmsKeyId]'\n"
                        "aws kms describe-key --region {region} --key-id KEY_ID --query "
                        "KeyMetadata.KeyState",
                    .fix = "Enable the key, or cancel its deletion.",
                    .cli = "aws kms enable-key --region {region} --key-id KEY_ID\n"
                           "aws kms cancel-key-deletion --region {region} --key-id KEY_ID",
                    .gate = CAUSE_IO_ERROR,
                },
                {
                    .why = "A lock on the file was lost because the server did not hear from this "
                           "host.",
                    .confirm = "dmesg -T | grep -i nfs",
                    .fix = "Close the file, open and lock it again.",
                    .gate = CAUSE_IO_ERROR,
                },
                {
                    .why = "A limit of one client is used up: 65,536 open files, locks or users.",
                    .confirm = "lsof -n 2>/dev/null | grep -c {path}",
                    .fix = "Hold fewer files open.",
                },
            },
        .sources = {"sahlberg/fuse-nfs#44", "Amazon EFS user guide, file operation errors"},
    },
    {
        .id = "kms-key",
        .meaning = "The KMS key that encrypts the file system cannot be used.",
        .forms = {"kmsinvalidstateexception", "kms key*is pending deletion", "kms key*is disabled",
                  "kmskeydisabled", "kms.disabledexception"},
        .causes =
            {
                {
                    .why = "The key is disabled, pending deletion, or its policy no longer lets "
                           "EFS in.",
                    .confirm = "aws kms describe-key --region {region} --key-id KEY_ID --query "
                               "KeyMetadata.KeyState",
                    .fix = "Enable it, or cancel the deletion; data come back with the key.",
                    .cli = "aws kms enable-key --region {region} --key-id KEY_ID\n"
                           "aws kms cancel-key-deletion --region {region} --key-id KEY_ID",
                    .gate = CAUSE_IO_ERROR,
                },
            },
        .sources = {"aws-samples/amazon-efs-tutorial#18", "AWS KMS API reference"},
    },
    {0},
};
