/* The volume cannot be mounted because of how it or its host is set up. */
#include "lib/explain/catalogue.h"
#include "lib/explain/snippets.h"

const struct explain_entry explain_settings[] = {
    {
        .id = "tls-required",
        .meaning = "An access point or IAM was asked for, but not TLS, which both need.",
        .forms = {"the \"tls\" option is required when mounting via",
                  "transit encryption must be enabled*efs",
                  "access point*transitencryption*enabled"},
        .causes =
            {
                {
                    .why = "transitEncryption is not ENABLED in the volume; in ECS it is off by "
                           "default.",
                    .confirm = SHOW_VOLUMES,
                    .fix = "Set transitEncryption to ENABLED.",
                    .terraform = VOLUME_TERRAFORM,
                },
            },
        .sources = {"aws/aws-cdk#10683", "aws/efs-utils (check_options_validity)"},
    },
    {
        .id = "access-point-with-root",
        .meaning = "The volume names an access point and a root directory.",
        .forms = {"when using an efs access point, the root directory must either be set to"},
        .causes =
            {
                {
                    .why = "The root directory comes from the access point; rootDirectory must be "
                           "\"/\" or missing.",
                    .confirm = SHOW_VOLUMES,
                    .fix = "Remove rootDirectory from the volume, and make one access point for "
                           "each directory.",
                    .terraform = VOLUME_TERRAFORM,
                },
            },
        .sources = {"aws/aws-cdk#10683"},
    },
    {
        .id = "access-point-malformed",
        .meaning = "The access point id is not one.",
        .forms = {"access point id {ap} is malformed", "access point id * is malformed"},
        .causes =
            {
                {
                    .why = "efs-utils wants fsap- and 17 hexadecimal digits; an ARN or a name was "
                           "given.",
                    .confirm = "aws efs describe-access-points --region {region} --file-system-id "
                               "{fs} \\\n"
                               "    --query 'AccessPoints[].[AccessPointId,Name]'",
                    .fix = "Name the id in authorizationConfig.accessPointId.",
                    .terraform = VOLUME_TERRAFORM,
                },
            },
        .sources = {"aws/efs-utils (check_options_validity)"},
    },
    {
        .id = "mount-options-fixed",
        .meaning = "A mount option was asked for that an ECS volume cannot have.",
        .forms = {"unsupported mount options detected",
                  "unknown parameter in volumes*efsvolumeconfiguration", "adjust nfs timeo",
                  "nfs timeo option", "timeo value other than default", "noac and other*nfs mount"},
        .causes =
            {
                {
                    .why =
                        "ECS mounts with fixed options (nfsvers=4.1, hard, timeo=600, which is 60 "
                        "seconds, retrans=2): there is no field for soft, timeo, noac or actimeo.",
                    .confirm = "grep nfs4 /proc/self/mountinfo",
                    .fix = "Keep the hard mount and put the deadline into the application, or let "
                           "efsctl health --fail-on=mount --for=300s end a task whose mount "
                           "stalls. For fresh data use efsctl watch instead of noac.",
                },
            },
        .sources = {"aws/containers-roadmap#2037", "aws/amazon-ecs-agent#4014",
                    "awsdocs/amazon-ecs-developer-guide#118"},
    },
    {
        .id = "port-unavailable",
        .meaning = "The proxy found no free port on the host.",
        .forms = {"specified port [{port}] is unavailable",
                  "failed to locate an available port in the range"},
        .causes =
            {
                {
                    .why = "transitEncryptionPort is set in the volume, and another mount has that "
                           "port already.",
                    .confirm = SHOW_VOLUMES,
                    .fix = "Remove transitEncryptionPort: a free port is then chosen.",
                    .terraform = VOLUME_TERRAFORM,
                },
                {
                    .why = "Old mounts of stopped tasks still hold their ports.",
                    .confirm = "grep -c 127.0.0.1:/ /proc/mounts\n"
                               "ls /var/run/efs | wc -l",
                    .fix = "Update the ECS-optimized AMI and replace the host; as a stopgap widen "
                           "the port range in /etc/amazon/efs/efs-utils.conf.",
                },
            },
        .sources = {"aws/containers-roadmap#2337", "kubernetes-sigs/aws-efs-csi-driver#1353",
                    "aws/efs-utils#35"},
    },
    {
        .id = "credentials-unavailable",
        .meaning = "efs-utils could not get the credentials of the task role.",
        .forms = {"unsuccessful retrieval of aws security credentials",
                  "aws access key id and secret access key are not found in aws credentials file",
                  "failed to retrieve aws security credentials using lookup method",
                  "unable to reach*to retrieve aws security credentials"},
        .causes =
            {
                {
                    .why = "iam is ENABLED in the volume, but the task definition has no "
                           "taskRoleArn: then there is nothing behind the credentials address.",
                    .confirm = SHOW_VOLUMES,
                    .fix =
                        "Add a taskRoleArn that has elasticfilesystem:ClientMount and ClientWrite.",
                    .terraform = "resource \"aws_ecs_task_definition\" \"this\" {\n"
                                 "  task_role_arn = aws_iam_role.task.arn\n"
                                 "  # ...\n"
                                 "}",
                },
                {
                    .why = "The task of this mount has ended, but its mount has not: the host goes "
                           "on renewing credentials that no longer exist.",
                    .confirm = "grep 127.0.0.1:/ /proc/mounts\n"
                               "sudo tail -20 /var/log/amazon/efs/mount-watchdog.log",
                    .fix = "Harmless for other tasks. Update the ECS agent to 1.82 or newer, which "
                           "unmounts when the task stops, and replace the host.",
                },
                {
                    .why = "On an EC2 host efs-utils asked the instance metadata, and IMDSv2 with "
                           "a hop limit of 1 or an old efs-utils did not answer it.",
                    .confirm = "aws ec2 describe-instances --region {region} --instance-ids "
                               "INSTANCE_ID \\\n"
                               "    --query 'Reservations[].Instances[].MetadataOptions'",
                    .fix = "Update efs-utils; raise the hop limit only if containers must read the "
                           "metadata.",
                    .cli = "aws ec2 modify-instance-metadata-options --region {region} \\\n"
                           "    --instance-id INSTANCE_ID --http-put-response-hop-limit 2",
                },
            },
        .sources = {"aws/efs-utils#83", "aws/amazon-ecs-agent#2810", "aws/efs-utils#80",
                    "aws/amazon-ecs-agent#4714"},
    },
    {
        .id = "region-unknown",
        .meaning = "efs-utils on the host does not know its region.",
        .forms = {"error retrieving region. please set the"},
        .causes =
            {
                {
                    .why = "The instance metadata did not answer while the mount was made.",
                    .confirm = "grep -n region /etc/amazon/efs/efs-utils.conf",
                    .fix = "Set region in /etc/amazon/efs/efs-utils.conf, in the host's user data.",
                    .cli = "sed -i 's/^#region = .*/region = {region}/' "
                           "/etc/amazon/efs/efs-utils.conf",
                },
            },
        .sources = {"aws/efs-utils#32"},
    },
    {
        .id = "host-without-efs",
        .meaning = "The EC2 host cannot mount EFS volumes.",
        .forms = {"unknown filesystem type 'efs'", "wrong fs type, bad option, bad superblock*efs",
                  "plugin \"amazon-ecs-volume-plugin\" not found",
                  "is missing an attribute required by your task",
                  "error while mounting volume*no such device"},
        .causes =
            {
                {
                    .why = "The AMI has no amazon-efs-utils, or the ECS volume plugin does not "
                           "run: the host then lacks the attribute ecs.capability.efsAuth.",
                    .confirm = "aws ecs list-attributes --region {region} --cluster {cluster} \\\n"
                               "    --target-type container-instance --attribute-name "
                               "ecs.capability.efsAuth",
                    .fix = "Use a current ECS-optimized AMI, or install both.",
                    .cli = "sudo yum install -y amazon-efs-utils && sudo systemctl enable --now "
                           "amazon-ecs-volume-plugin",
                },
            },
        .sources = {"aws/efs-utils#39", "ClusterLabs/resource-agents#1859",
                    "aws/amazon-ecs-agent#2372"},
    },
    {
        .id = "mounted-over-root",
        .meaning = "The container runtime could not prepare the root file system of the container.",
        .forms = {"error creating device nodes: mknod*errno 524",
                  "container init caused*rootfs_linux.go"},
        .causes =
            {
                {
                    .why = "The volume's containerPath covers the root directory, or /dev: the "
                           "runtime makes device files there, which EFS does not have.",
                    .confirm = "aws ecs describe-task-definition --region {region} "
                               "--task-definition FAMILY \\\n"
                               "    --query 'taskDefinition.containerDefinitions[].mountPoints'",
                    .fix = "Mount the volume at a directory of its own, such as /data.",
                    .terraform =
                        "mountPoints = [{ sourceVolume = \"data\", containerPath = \"/data\" }]",
                },
            },
        .sources = {"aws/amazon-ecs-agent#3526", "aws/amazon-ecs-agent#2442"},
    },
    {
        .id = "volume-ownership",
        .meaning = "Docker could not give the volume the owner that the image wants there.",
        .forms = {"failed to copy file info for {path}: failed to chown",
                  "failed to chown {path}: lchown", "cannotcreatecontainererror*lchown {path}:",
                  "lchown {path}: operation not permitted"},
        .causes =
            {
                {
                    .why = "The image has a directory at the mount point that belongs to somebody "
                           "other than the posixUser of the access point; Docker copies that owner "
                           "to an empty volume, and an access point refuses every chown.",
                    .confirm = "docker run --rm --entrypoint ls IMAGE -ldn /PATH/IN/CONTAINER\n"
                               "aws efs describe-access-points --region {region} --file-system-id "
                               "{fs} \\\n"
                               "    --query 'AccessPoints[].PosixUser'",
                    .fix = "Let both be the same: set the owner in the image, or the posixUser of "
                           "the access point to the image's ids; or mount at a path that the image "
                           "does not have.",
                    .terraform = "resource \"aws_efs_access_point\" \"this\" {\n"
                                 "  file_system_id = \"{fs}\"\n"
                                 "  posix_user {\n"
                                 "    uid = 1000 # the owner of the directory in the image\n"
                                 "    gid = 1000\n"
                                 "  }\n"
                                 "}",
                },
            },
        .sources = {"aws/amazon-ecs-agent#4702", "kubernetes-sigs/aws-efs-csi-driver#300"},
    },
    {
        .id = "unmount-stuck",
        .meaning = "The volume of a stopped task could not be unmounted, or its connection stays.",
        .forms = {"volumedriver.unmount:", "volumedriver.remove:", "could not unmount",
                  "unmount failed: exit status", "unmountvolume.teardown failed",
                  "not releasing efs client connections", "umount.nfs4: {path}: device is busy"},
        .causes =
            {
                {
                    .why = "The ECS agent is older than 1.82: it unmounts after the network of the "
                           "task is gone, and that hangs.",
                    .confirm = "curl -s http://localhost:51678/v1/metadata\n"
                               "grep 127.0.0.1:/ /proc/mounts",
                    .fix = "Update the ECS agent; the mounts that are left go with the host.",
                    .cli =
                        "aws ecs update-container-agent --region {region} --cluster {cluster} \\\n"
                        "    --container-instance CONTAINER_INSTANCE_ID",
                },
                {
                    .why = "A process of the task still has files open, or waits in the kernel for "
                           "the server.",
                    .confirm = "ps -eo pid,stat,wchan:32,comm | awk '$2 ~ /D/'",
                    .fix = "Close files at SIGTERM and finish within stopTimeout.",
                },
            },
        .sources = {"aws/amazon-ecs-agent#4053", "aws/amazon-ecs-agent#3874",
                    "kubernetes-sigs/aws-efs-csi-driver#112", "aws/amazon-ecs-init#308"},
    },
    {
        .id = "mount-failed",
        .level = LEVEL_SYMPTOM,
        .meaning =
            "The EFS volume could not be mounted; the rest of the message is missing or not known.",
        .forms = {"failed to invoke efs utils commands to set up efs volumes",
                  "failed to invoke efs utils commands", "unsuccessful efs utils command execution",
                  "volumedriver.create: mounting volume failed",
                  "mounting volume failed:", "failed to set up efs volume"},
        .causes =
            {
                {
                    .why = "No container of the task ran, so none can say why: a task without the "
                           "volume can look from the same place.",
                    .confirm = SHOW_TARGETS "\n" SHOW_POLICY "\n" SHOW_VOLUMES,
                    .fix = "Give explain the whole answer of describe-tasks: the console cuts the "
                           "reason. Then run efs-init preflight as a one-off task without the "
                           "volume, in the same subnet and security group.",
                    .cli = STOPPED_TASK,
                },
            },
        .sources = {"docker-archive/compose-cli#1490", "aws/amazon-ecs-init#301"},
    },
    {0},
};
