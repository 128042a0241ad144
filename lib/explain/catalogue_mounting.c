/* The volume cannot be mounted: efs-utils, the ECS volume plugin and Fargate say why. */
#include "lib/explain/catalogue.h"
#include "lib/explain/snippets.h"

const struct explain_entry explain_mounting[] = {
    {
        .id = "mount-denied",
        .meaning =
            "The file system refused the mount: network and name are right, the permission is not.",
        .forms = {"access denied by server while mounting {host}:{path}",
                  "access denied by server while mounting",
                  "mounting {host}:{path} failed, reason given by server: permission denied",
                  "mounting '127.0.0.1:/' failed. permission denied"},
        .causes =
            {
                {
                    .why = "The task role has no elasticfilesystem:ClientMount; ECS mounts with "
                           "the task role, not with the execution role.",
                    .confirm = SHOW_VOLUMES
                    "\n"
                    "aws iam simulate-principal-policy --policy-source-arn TASK_ROLE_ARN \\\n"
                    "    --action-names elasticfilesystem:ClientMount "
                    "elasticfilesystem:ClientWrite",
                    .fix = "Name a taskRoleArn and allow it to mount and to write.",
                    .cli = "aws iam put-role-policy --role-name TASK_ROLE --policy-name efs \\\n"
                           "    --policy-document '{\"Version\":\"2012-10-17\",\"Statement\":[{\n"
                           "      \"Effect\":\"Allow\",\n"
                           "      \"Action\":[\"elasticfilesystem:ClientMount\",\n"
                           "                \"elasticfilesystem:ClientWrite\"],\n"
                           "      "
                           "\"Resource\":\"arn:aws:elasticfilesystem:{region}:{account}:file-"
                           "system/{fs}\"}]}'",
                    .terraform =
                        "resource \"aws_iam_role_policy\" \"efs\" {\n"
                        "  role = aws_iam_role.task.id\n"
                        "  policy = jsonencode({\n"
                        "    Version = \"2012-10-17\"\n"
                        "    Statement = [{\n"
                        "      Effect   = \"Allow\"\n"
                        "      Action   = [\"elasticfilesystem:ClientMount\", "
                        "\"elasticfilesystem:ClientWrite\"]\n"
                        "      Resource = "
                        "\"arn:aws:elasticfilesystem:{region}:{account}:file-system/{fs}\"\n"
                        "    }]\n"
                        "  })\n"
                        "}",
                },
                {
                    .why = "The volume does not use IAM or TLS, but the file system policy asks "
                           "for it: both are off by default in ECS, and terraform-aws-efs denies "
                           "plain NFS by default.",
                    .confirm = SHOW_POLICY "\n" SHOW_VOLUMES,
                    .fix = "Switch both on in the volume of the task definition.",
                    .terraform = VOLUME_TERRAFORM,
                },
                {
                    .why = "The file system policy allows nothing: it has Deny statements only, or "
                           "it names another role or another access point.",
                    .confirm = SHOW_POLICY,
                    .fix = "Add an Allow for the task role; a policy replaces the default that "
                           "lets everybody in, and put replaces the whole policy. A condition on "
                           "elasticfilesystem:AccessPointArn must name {ap}.",
                    .cli = "aws efs put-file-system-policy --region {region} --file-system-id {fs} "
                           "\\\n"
                           "    --policy '{\"Version\":\"2012-10-17\",\"Statement\":[{\n"
                           "      \"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"TASK_ROLE_ARN\"},\n"
                           "      \"Action\":[\"elasticfilesystem:ClientMount\",\n"
                           "                \"elasticfilesystem:ClientWrite\"]}]}'",
                    .terraform = "resource \"aws_efs_file_system_policy\" \"this\" {\n"
                                 "  file_system_id = \"{fs}\"\n"
                                 "  policy = jsonencode({\n"
                                 "    Version = \"2012-10-17\"\n"
                                 "    Statement = [{\n"
                                 "      Effect    = \"Allow\"\n"
                                 "      Principal = { AWS = aws_iam_role.task.arn }\n"
                                 "      Action    = [\"elasticfilesystem:ClientMount\", "
                                 "\"elasticfilesystem:ClientWrite\"]\n"
                                 "    }]\n"
                                 "  })\n"
                                 "}",
                },
                {
                    .why =
                        "The access point is not one of this file system, or was made seconds ago.",
                    .confirm =
                        "aws efs describe-access-points --region {region} --file-system-id {fs}",
                    .fix = "Name an access point of {fs}, and wait until its LifeCycleState is "
                           "available.",
                },
            },
        .sources = {"aws/efs-utils#132", "kubernetes-sigs/aws-efs-csi-driver#347",
                    "kubernetes-sigs/aws-efs-csi-driver#280",
                    "kubernetes-sigs/aws-efs-csi-driver#1723", "aws/amazon-ecs-agent#4714",
                    "aws/aws-cdk#36224", "terraform-aws-modules/terraform-aws-efs#20"},
    },
    {
        .id = "mount-denied-without-tls",
        .meaning = "The file system refused a mount that was made without TLS and without IAM.",
        .forms = {"access denied by server while mounting*'noresvport', 'fs-"},
        .causes =
            {
                {
                    .why = "transitEncryption is not ENABLED in the volume, and the file system "
                           "policy denies connections that are not encrypted.",
                    .confirm = SHOW_POLICY "\n"
                                           "# look for aws:SecureTransport\n" SHOW_VOLUMES,
                    .fix = "Set transitEncryption and iam to ENABLED in the volume, with a "
                           "taskRoleArn that has elasticfilesystem:ClientMount.",
                    .terraform = VOLUME_TERRAFORM,
                },
            },
        .sources = {"terraform-aws-modules/terraform-aws-efs#20", "aws/amazon-ecs-agent#4714"},
    },
    {
        .id = "name-unresolved",
        .meaning =
            "The DNS name of the file system has no address for the task. What the message says of "
            "botocore is only a fallback that failed as well: nothing needs to be installed.",
        .forms = {"failed to resolve \"{host}\" - check that your file system id is correct",
                  "failed to resolve \"{host}\" - check that the specified dns name is a cname",
                  "failed to resolve \"{host}\"", "failed to resolve server {host}:",
                  "failed to import necessary dependency botocore"},
        .causes =
            {
                {
                    .why = "The file system has no mount target in the zone or in the VPC of the "
                           "task.",
                    .confirm = SHOW_TARGETS,
                    .fix = "Make a mount target in every zone where tasks run; a name is known "
                           "about 90 seconds after its mount target became available.",
                    .cli =
                        "aws efs create-mount-target --region {region} --file-system-id {fs} \\\n"
                        "    --subnet-id SUBNET_OF_TASK --security-groups SG_OF_MOUNT_TARGET",
                    .terraform = "resource \"aws_efs_mount_target\" \"this\" {\n"
                                 "  for_each        = toset(var.task_subnet_ids)\n"
                                 "  file_system_id  = \"{fs}\"\n"
                                 "  subnet_id       = each.value\n"
                                 "  security_groups = [aws_security_group.mount_target.id]\n"
                                 "}",
                },
                {
                    .why = "The VPC does not resolve such names: DNS support or DNS hostnames are "
                           "off, or its DHCP options name a DNS server that does not know them.",
                    .confirm = "aws ec2 describe-vpc-attribute --region {region} --vpc-id VPC_ID "
                               "--attribute enableDnsSupport\n"
                               "aws ec2 describe-vpc-attribute --region {region} --vpc-id VPC_ID "
                               "--attribute enableDnsHostnames",
                    .fix = "Switch both on.",
                    .cli = "aws ec2 modify-vpc-attribute --region {region} --vpc-id VPC_ID \\\n"
                           "    --enable-dns-support '{\"Value\":true}'\n"
                           "aws ec2 modify-vpc-attribute --region {region} --vpc-id VPC_ID \\\n"
                           "    --enable-dns-hostnames '{\"Value\":true}'",
                    .terraform = "resource \"aws_vpc\" \"this\" {\n"
                                 "  cidr_block           = var.cidr_block\n"
                                 "  enable_dns_support   = true\n"
                                 "  enable_dns_hostnames = true\n"
                                 "}",
                },
                {
                    .why = "The task started before the mount target was available, as in a stack "
                           "that makes both at once.",
                    .confirm = SHOW_TARGETS,
                    .fix = "Let the service depend on the mount targets; until then, start the "
                           "task again.",
                    .terraform = "resource \"aws_ecs_service\" \"this\" {\n"
                                 "  # ...\n"
                                 "  depends_on = [aws_efs_mount_target.this]\n"
                                 "}",
                },
                {
                    .why = "The file system id is wrong, or the file system is in another region "
                           "or was deleted.",
                    .confirm =
                        "aws efs describe-file-systems --region {region} --file-system-id {fs}",
                    .fix = "Correct fileSystemId in the volume. ECS mounts from the task's own "
                           "region only.",
                },
            },
        .sources = {"aws/amazon-ecs-cli#1083", "rileydakota/valheim-ecs-fargate-cdk#28",
                    "aws/copilot-cli#5419", "cn-terraform/terraform-aws-jenkins#23",
                    "aws/efs-utils#90", "ydamni/cloud-is-free#3", "aws/aws-cdk#26476",
                    "appsmithorg/appsmith-docs#2234"},
    },
    {
        .id = "mount-target-missing",
        .meaning = "The file system has no usable mount target in the zone of the task.",
        .forms = {"no matching mount target in the az {zone}.",
                  "cannot find mount target for the file system {fs}, please create",
                  "no mount target created for the file system {fs} is in available state yet",
                  "mount target in the az {zone} is*please retry in 5 minutes",
                  "mount target in the availability zone {zone} is*please create a new one"},
        .causes =
            {
                {
                    .why = "There is none in {zone}, or it is still being made.",
                    .confirm = SHOW_TARGETS,
                    .fix =
                        "Make one in the task's subnet, or keep tasks out of zones that have none.",
                    .cli =
                        "aws efs create-mount-target --region {region} --file-system-id {fs} \\\n"
                        "    --subnet-id SUBNET_OF_TASK --security-groups SG_OF_MOUNT_TARGET",
                    .terraform = "resource \"aws_efs_mount_target\" \"this\" {\n"
                                 "  file_system_id  = \"{fs}\"\n"
                                 "  subnet_id       = var.task_subnet_id\n"
                                 "  security_groups = [aws_security_group.mount_target.id]\n"
                                 "}",
                },
            },
        .sources = {"aws/efs-utils (get_mount_target_in_az)", "aws/efs-utils#308"},
    },
    {
        .id = "connect-timeout",
        .meaning = "The mount target did not answer on TCP port 2049.",
        .forms = {"mount.nfs4: connection timed out", "mount.nfs: connection timed out",
                  "mount attempt*failed due to timeout after",
                  "connection to the mount target ip address {host} timeout",
                  "cannot connect to file system mount target ip address {host}."},
        .causes =
            {
                {
                    .why = "The security group of the mount target does not let the task in, or "
                           "that of the task does not let it out.",
                    .confirm = SHOW_TARGETS "\n"
                                            "aws efs describe-mount-target-security-groups "
                                            "--region {region} --mount-target-id MOUNT_TARGET_ID",
                    .fix = "Allow TCP 2049 into the group of the mount target from the group of "
                           "the task (on EC2 with bridge or host networking: of the instance).",
                    .cli = OPEN_PORT_CLI,
                    .terraform = OPEN_PORT_TERRAFORM,
                    .gate = CAUSE_SERVER_UNREACHABLE,
                },
                {
                    .why = "A network ACL drops port 2049 or the answers to ports 1024 to 65535.",
                    .confirm = "aws ec2 describe-network-acls --region {region} \\\n"
                               "    --filters Name=association.subnet-id,Values=SUBNET_OF_TASK",
                    .fix = "Allow both ways in the ACLs of both subnets.",
                    .gate = CAUSE_SERVER_UNREACHABLE,
                },
                {
                    .why = "There is no route from the subnet of the task to the mount target, as "
                           "between VPCs without peering.",
                    .confirm = SHOW_TARGETS,
                    .fix = "Make a mount target in the VPC of the task, or peer the VPCs.",
                    .gate = CAUSE_SERVER_UNREACHABLE,
                },
            },
        .sources = {"docker-archive/compose-cli#1490", "aws/amazon-ecs-agent#2570",
                    "aws-solutions/efs-backup#14", "aws/efs-utils (mount_nfs)"},
    },
    {
        .id = "connect-ipv6",
        .meaning =
            "The kernel gave the mount up: the connection through the proxy never came about.",
        .forms = {"mount attempt*failed due to timeout after*mount system call failed",
                  "mount.nfs4: mount system call failed", "mount system call failed"},
        .causes =
            {
                {
                    .why = "The VPC has IPv6, the name resolves to IPv6 addresses first, and those "
                           "are not reachable.",
                    .confirm = "getent ahosts {fs}.efs.{region}.amazonaws.com\n"
                               "aws ec2 describe-security-group-rules --region {region} \\\n"
                               "    --filters Name=group-id,Values=SG_OF_MOUNT_TARGET",
                    .fix = "Allow port 2049 for IPv6 as well, or give mount targets and task "
                           "subnets the same address family. A rule that names the task's security "
                           "group covers both families.",
                    .cli = OPEN_PORT_CLI,
                    .terraform = OPEN_PORT_TERRAFORM,
                },
                {
                    .why = "A security group or network ACL drops port 2049.",
                    .confirm = SHOW_TARGETS,
                    .fix = "Allow TCP 2049 into the group of the mount target from the group of "
                           "the task.",
                    .cli = OPEN_PORT_CLI,
                    .terraform = OPEN_PORT_TERRAFORM,
                },
            },
        .sources = {"tommybobbins/expert-octo-succotash", "nfs-ganesha/nfs-ganesha#805"},
    },
    {
        .id = "connect-reset",
        .meaning = "The connection to the mount target was closed while mounting.",
        .forms = {"mount.nfs4: connection reset by peer", "connection reset by peer*mount attempt",
                  "mounting '127.0.0.1:/' failed. connection reset by peer",
                  "mount.nfs4: connection refused"},
        .causes =
            {
                {
                    .why = "The proxy on the host could not reach the mount target: a new mount "
                           "target, no mount target in that zone, or port 2049 is closed.",
                    .confirm = SHOW_TARGETS,
                    .fix =
                        "Open port 2049; let the service depend on the mount targets. If it comes "
                        "and goes, start the task again: efs-utils tries three times only.",
                    .cli = OPEN_PORT_CLI,
                    .terraform = OPEN_PORT_TERRAFORM,
                    .gate = CAUSE_SERVER_UNREACHABLE,
                },
                {
                    .why =
                        "Many volumes are mounted at once on one EC2 host with an old efs-utils.",
                    .confirm = "rpm -q amazon-efs-utils ecs-init",
                    .fix = "Update the ECS-optimized AMI.",
                },
            },
        .sources = {"docker-archive/compose-cli#1490", "aws/efs-utils#32", "aws/efs-utils#125",
                    "aws/amazon-ecs-init#301"},
    },
    {
        .id = "plugin-busy",
        .meaning = "The ECS volume plugin on the EC2 host did not answer Docker in time.",
        .forms = {"volumedriver.create: context deadline exceeded",
                  "volumedriver.mount: context deadline exceeded",
                  "amazon-ecs-volume-plugin*context deadline exceeded",
                  "volumedriver.*: net/http: request canceled"},
        .causes =
            {
                {
                    .why = "The mount target is not reachable from the host or, with awsvpc, from "
                           "the task's network interface: the mount hangs until the time is up.",
                    .confirm = "sudo tail -50 /var/log/ecs/ecs-volume-plugin.log "
                               "/var/log/amazon/efs/mount.log",
                    .fix = "Allow TCP 2049 into the group of the mount target.",
                    .cli = OPEN_PORT_CLI,
                    .terraform = OPEN_PORT_TERRAFORM,
                },
                {
                    .why = "Another mount or unmount on this host holds the plugin's only lock.",
                    .confirm = "sudo grep -c Mount /var/log/ecs/ecs-volume-plugin.log",
                    .fix = "Update the ECS agent to 1.106.1 or newer, which tries again; start "
                           "fewer tasks with volumes at once on one host.",
                },
            },
        .sources = {"aws/amazon-ecs-agent#2570", "aws/containers-roadmap#2319",
                    "aws/amazon-ecs-agent#5077", "aws/amazon-ecs-agent#5009"},
    },
    {
        .id = "root-directory-missing",
        .meaning = "The directory that should be mounted does not exist in the file system.",
        .forms = {":{path} failed, reason given by server: no such file or directory",
                  "reason given by server: no such file or directory"},
        .causes =
            {
                {
                    .why = "rootDirectory of the volume names {path}, and ECS does not create it.",
                    .confirm = SHOW_VOLUMES,
                    .fix = "Use an access point that creates the directory at the first mount, and "
                           "leave rootDirectory out.",
                    .cli =
                        "aws efs create-access-point --region {region} --file-system-id {fs} \\\n"
                        "    --posix-user Uid=1000,Gid=1000 \\\n"
                        "    --root-directory "
                        "'Path={path},CreationInfo={OwnerUid=1000,OwnerGid=1000,Permissions=0755}'",
                    .terraform = "resource \"aws_efs_access_point\" \"this\" {\n"
                                 "  file_system_id = \"{fs}\"\n"
                                 "  posix_user {\n"
                                 "    uid = 1000\n"
                                 "    gid = 1000\n"
                                 "  }\n"
                                 "  root_directory {\n"
                                 "    path = \"{path}\"\n"
                                 "    creation_info {\n"
                                 "      owner_uid   = 1000\n"
                                 "      owner_gid   = 1000\n"
                                 "      permissions = \"0755\"\n"
                                 "    }\n"
                                 "  }\n"
                                 "}",
                    .gate = CAUSE_PATH_MISSING,
                },
                {
                    .why = "The access point has a root directory but no creationInfo, so nobody "
                           "creates it.",
                    .confirm = "aws efs describe-access-points --region {region} --file-system-id "
                               "{fs} \\\n"
                               "    --query 'AccessPoints[].RootDirectory'",
                    .fix = "Make a new access point with creationInfo; that of an access point "
                           "cannot be changed.",
                },
            },
        .sources = {"aws/efs-utils#79", "acp-io/terraform-grafana#4",
                    "awsdocs/amazon-efs-user-guide#47"},
    },
    {0},
};
