/* The volume works; what is built on it does not: locks, databases, speed, metrics. */
#include "lib/explain/catalogue.h"
#include "lib/explain/snippets.h"

const struct explain_entry explain_working[] = {
    {
        .id = "lock-bad-descriptor",
        .meaning = "A lock was refused with EBADF.",
        .forms = {"flock:*bad file descriptor", "lock on file failed: bad file descriptor",
                  "unable to lock*bad file descriptor"},
        .causes =
            {
                {
                    .why = "On NFS flock() is a lock of the whole file: an exclusive lock needs a "
                           "file that is open for writing, a shared one a file open for reading.",
                    .confirm = "strace -f -e trace=openat,flock,fcntl COMMAND",
                    .fix = "Open the lock file for reading and writing: exec 200<>FILE instead of "
                           "200<FILE in a shell, \"rb+\" in Python; or use efsctl lock NAME -- "
                           "COMMAND.",
                    .cli = "efsctl lock NAME -- COMMAND",
                },
            },
        .sources = {"docker-mailserver/docker-mailserver#1979", "elfshaker/elfshaker#136",
                    "syslog-ng/syslog-ng#4991"},
    },
    {
        .id = "limit-reached",
        .meaning = "A limit of EFS on locks, open files or users is reached.",
        .forms = {"{path}: disk quota exceeded", "disk quota exceeded", "edquot",
                  "file-locks on more than 256 files", "no locks available", "enolck"},
        .causes =
            {
                {
                    .why = "One mount holds more locks or open files than EFS gives: 65,536 locks "
                           "a connection (8,192 over 256 files before), 512 on one file, 65,536 "
                           "open files.",
                    .confirm = "grep -c . /proc/locks\n"
                               "ls /proc/[0-9]*/fd 2>/dev/null | wc -l",
                    .fix = "Lock one file instead of many, release what is done, and close files. "
                           "It is not a quota of space: EFS has none.",
                    .gate = CAUSE_QUOTA_EXCEEDED,
                },
            },
        .sources = {"jhclark/ducttape#175", "Amazon EFS user guide, limits"},
    },
    {
        .id = "sqlite",
        .meaning = "An SQLite database on the volume is damaged or locked.",
        .forms = {"sqlite_corrupt", "database disk image is malformed", "sqlite*database is locked",
                  "sqlite_busy", "sqlite*disk i/o error", "general error: 10 disk i/o error",
                  "general error: 5 database is locked", "sqlite on efs", "sqlite_ioerr"},
        .causes =
            {
                {
                    .why = "Two tasks had it open at once, as during a deployment: the old one "
                           "still runs while the new one starts.",
                    .confirm = "aws ecs describe-services --region {region} --cluster {cluster} "
                               "--services SERVICE \\\n"
                               "    --query 'services[].deploymentConfiguration'",
                    .fix = "Let one task run at a time: minimumHealthyPercent 0, maximumPercent "
                           "100, one task; or guard it with efsctl lead.",
                    .cli =
                        "aws ecs update-service --region {region} --cluster {cluster} --service "
                        "SERVICE \\\n"
                        "    --deployment-configuration minimumHealthyPercent=0,maximumPercent=100",
                    .terraform = "resource \"aws_ecs_service\" \"this\" {\n"
                                 "  desired_count                      = 1\n"
                                 "  deployment_minimum_healthy_percent = 0\n"
                                 "  deployment_maximum_percent         = 100\n"
                                 "  # ...\n"
                                 "}",
                },
                {
                    .why = "It is in WAL mode, whose shared memory works within one host only.",
                    .confirm = "sqlite3 FILE 'PRAGMA journal_mode'",
                    .fix = "Set journal_mode=DELETE, with one connection that reads and writes; "
                           "for more than light use take a database server. Restore a damaged file "
                           "from a copy made with .backup.",
                    .cli = "sqlite3 FILE 'PRAGMA journal_mode=DELETE'",
                },
            },
        .sources = {"louislam/uptime-kuma#5915", "electric-sql/electric#3857",
                    "teamtnt/laravel-scout-tntsearch-driver#339",
                    "terraform-aws-modules/terraform-aws-atlantis#247"},
    },
    {
        .id = "slow-small-files",
        .meaning = "Work with many files on the volume is slow.",
        .forms = {"efs*slow", "slow*efs", "efs*latency", "small files*efs", "efs*small files",
                  "slow*persistent volume"},
        .causes =
            {
                {
                    .why = "Each open, close, create, rename and unlink is a round trip to the "
                           "server of about a millisecond or more: rm -rf, git, npm and start-up "
                           "scans make many.",
                    .confirm = "efsctl status\n"
                               "# probe_ms is one round trip",
                    .fix = "Unpack and build on the task's own disk and publish the result; keep "
                           "many small files in one archive; let the cache of efs-sidecar serve "
                           "what is read often; run independent file work in parallel.",
                },
                {
                    .why = "The file system is throttled.",
                    .confirm = SHOW_CREDITS,
                    .fix = "Change the throughput mode to elastic.",
                    .cli = ELASTIC_CLI,
                    .terraform = ELASTIC_TERRAFORM,
                },
            },
        .sources = {"department-of-veterans-affairs/va.gov-team#61207",
                    "widdix/aws-cf-templates#168", "kubernetes-retired/external-storage#355"},
    },
    {
        .id = "burst-credits",
        .meaning = "The file system has used up its burst credits and is held at its baseline.",
        .forms = {"burst credit", "burstcreditbalance", "bursting, no credits",
                  "permittedthroughput", "limits of efs's bursting throughput mode"},
        .causes =
            {
                {
                    .why = "In bursting mode the baseline is 50 KiB/s for each GiB stored: a small "
                           "file system that is used much runs dry and stays slow for hours.",
                    .confirm = SHOW_CREDITS,
                    .fix = "Change the throughput mode to elastic (pay for what is moved), or "
                           "provision throughput; alarm on BurstCreditBalance.",
                    .cli = ELASTIC_CLI,
                    .terraform = ELASTIC_TERRAFORM,
                },
            },
        .sources = {"runs-on/terraform-aws-runs-on#37", "awslabs/engineering-development-hub#36",
                    "widdix/aws-cf-templates#116", "cisagov/cool-assessment-terraform#230"},
    },
    {
        .id = "metrics-missing",
        .meaning = "No metrics of the client side of the volume are there.",
        .forms = {"volume metrics computation is underway", "vol-metrics-opt-in",
                  "metrics*are not available yet", "kubelet_volume_stats"},
        .causes =
            {
                {
                    .why =
                        "efs-utils and its proxy publish no metrics for plain EFS mounts, "
                        "CloudWatch has one set for the whole file system, and the CSI driver's "
                        "volume statistics are off by default and first come after a whole walk.",
                    .confirm =
                        "aws cloudwatch list-metrics --region {region} --namespace AWS/EFS \\\n"
                        "    --dimensions Name=FileSystemId,Value={fs}",
                    .fix = "efs-sidecar publishes latency, stalls and errors of each task: as EMF "
                           "on stdout, or for Prometheus.",
                    .cli = "curl --unix-socket /run/efs-sidecar/api.sock http://localhost/metrics",
                },
            },
        .sources = {"kubernetes-sigs/aws-efs-csi-driver#841",
                    "kubernetes-sigs/aws-efs-csi-driver#454"},
    },
    {
        .id = "disk-full",
        .meaning =
            "There is no space left; that is the task's own disk, since EFS grows by itself.",
        .forms = {"{path}: no space left on device", "no space left on device", "enospc"},
        .causes =
            {
                {
                    .why = "The path is not on the volume, or the volume is not mounted there and "
                           "a directory of the image takes its place.",
                    .confirm = "df -h {path}; stat -f -c %T {path}",
                    .fix = "Correct containerPath, or give the task more ephemeral storage.",
                    .terraform = "ephemeral_storage {\n"
                                 "  size_in_gib = 50\n"
                                 "}",
                    .gate = CAUSE_NO_SPACE,
                },
            },
        .sources = {"Amazon EFS user guide, limits"},
    },
    {
        .id = "clients-share-identity",
        .meaning =
            "Two mounts on one host are one NFS client to the server and lose each other's locks.",
        .forms = {"reports our clientid is in use", "nfs: * lost * locks",
                  "nfs4_reclaim_open_state*lock reclaim failed"},
        .causes =
            {
                {
                    .why = "Tasks with network namespaces of their own (awsvpc) on one EC2 host "
                           "present the same host name.",
                    .confirm = "cat /sys/module/nfs/parameters/nfs4_unique_id",
                    .fix =
                        "Run one such task a host, or on Fargate, or write a name of its own to "
                        "/sys/fs/nfs/net/nfs_client/identifier in each namespace before it mounts.",
                    .gate = CAUSE_CLIENT_IDENTITY_SHARED,
                },
            },
        .sources = {"TIGRLab/admin#234", "Linux kernel, NFS client identifier"},
    },
    {0},
};
