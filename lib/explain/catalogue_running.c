/* The task does not start, or stops: what ECS says of containers and tasks. */
#include "lib/explain/catalogue.h"
#include "lib/explain/snippets.h"

const struct explain_entry explain_running[] = {
    {
        .id = "dependency-failed",
        .level = LEVEL_CONSEQUENCE,
        .meaning = "A container was not started because one that it depends on failed; ECS gives "
                   "it exit code 143 although it never ran.",
        .forms = {"failed to resolve container ordering dependency [{container}(*exit: {code}]*as "
                  "dependency did not exit successfully",
                  "failed to resolve container ordering dependency [{container}(*as dependency did "
                  "not exit successfully",
                  "as dependency did not exit successfully"},
        .causes =
            {
                {
                    .why =
                        "{container} exited with {code}, and the dependsOn condition is SUCCESS.",
                    .confirm = SHOW_LOG "\n"
                                        "# the last line of {container} says why",
                    .fix = "Look at {container}: its exit code and its log are the cause. If it is "
                           "efs-init, efsctl explain {code} says what the code means.",
                    .cli = "efsctl explain {code}",
                },
            },
        .sources = {"aws/amazon-ecs-agent#3218", "aws/containers-roadmap#817",
                    "aws/amazon-ecs-agent#2579"},
    },
    {
        .id = "dependency-timeout",
        .meaning = "A container that others depend on did not get ready in time.",
        .forms = {"container ordering dependency [{container}(*has timed out",
                  "dependency graph*has timed out"},
        .causes =
            {
                {
                    .why = "startTimeout of {container} ended before it exited or got healthy.",
                    .confirm = SHOW_LOG,
                    .fix = "For efs-init: its own deadline (--deadline) must lie below "
                           "startTimeout, so that it can say what hangs. For a sidecar with "
                           "condition HEALTHY: raise startPeriod.",
                },
            },
        .sources = {"aws/amazon-ecs-agent (dependencygraph)", "aws/amazon-ecs-agent#2152"},
    },
    {
        .id = "dependency-not-started",
        .level = LEVEL_CONSEQUENCE,
        .meaning = "A container waits for one that never started.",
        .forms = {"container ordering dependency [{container}(",
                  "failed to resolve the container ordering dependency"},
        .causes =
            {
                {
                    .why = "{container} could not be started at all; its own reason says why.",
                    .confirm = STOPPED_TASK,
                    .fix = "Read the reason of {container}.",
                },
            },
        .sources = {"aws/amazon-ecs-agent#2350", "aws/amazon-ecs-agent#2579"},
    },
    {
        .id = "out-of-memory",
        .meaning = "The kernel killed the container because it used more memory than it may.",
        .forms = {"outofmemoryerror: container killed due to memory usage", "outofmemoryerror",
                  "out of memory: killed process"},
        .causes =
            {
                {
                    .why = "Application or sidecar need more than the memory of the container or "
                           "task. Data written to EFS and not yet sent count too.",
                    .confirm = SHOW_MEMORY,
                    .fix = "Raise memory of the container and of the task. A container may exit "
                           "with 0 or 137 then: the reason counts, not the code.",
                    .terraform = "resource \"aws_ecs_task_definition\" \"this\" {\n"
                                 "  memory = 2048\n"
                                 "  # ...\n"
                                 "}",
                },
            },
        .sources = {"aws/amazon-ecs-agent#1187", "aws/amazon-ecs-agent#2467"},
    },
    {
        .id = "container-unhealthy",
        .meaning =
            "ECS replaced the task because the health check of an essential container failed.",
        .forms = {"failed container health checks", "health check exceeded timeout"},
        .causes =
            {
                {
                    .why =
                        "The health check's command failed or took longer than its timeout, "
                        "retries times in a row. A check that touches a hung mount never returns.",
                    .confirm =
                        "aws ecs describe-task-definition --region {region} --task-definition "
                        "FAMILY \\\n"
                        "    --query 'taskDefinition.containerDefinitions[].[name,healthCheck]'",
                    .fix = "Let the check ask the sidecar, which answers even when the mount "
                           "hangs: efsctl health, with --fail-on=mount --for=300s where a stalled "
                           "mount should recycle the task. Raise startPeriod if the application "
                           "starts slowly.",
                    .terraform = "healthCheck = {\n"
                                 "  command     = [\"CMD\", \"efsctl\", \"health\"]\n"
                                 "  interval    = 30\n"
                                 "  timeout     = 5\n"
                                 "  retries     = 3\n"
                                 "  startPeriod = 60\n"
                                 "}",
                },
            },
        .sources = {"aws/containers-roadmap#1373", "aws/amazon-ecs-agent#2111"},
    },
    {
        .id = "target-unhealthy",
        .meaning = "ECS replaced the task because the load balancer found it unhealthy.",
        .forms = {"failed elb health checks", "is unhealthy in*target-group"},
        .causes =
            {
                {
                    .why = "The application does not answer on its port in time: it still starts, "
                           "or it waits for the mount.",
                    .confirm = "aws elbv2 describe-target-health --region {region} "
                               "--target-group-arn TARGET_GROUP_ARN",
                    .fix =
                        "Raise healthCheckGracePeriodSeconds, let the application answer the check "
                        "without touching the volume, and open its port to the load balancer.",
                    .cli = "aws ecs update-service --region {region} --cluster {cluster} --service "
                           "SERVICE \\\n"
                           "    --health-check-grace-period-seconds 120",
                    .terraform = "resource \"aws_ecs_service\" \"this\" {\n"
                                 "  health_check_grace_period_seconds = 120\n"
                                 "  # ...\n"
                                 "}",
                },
            },
        .sources = {"aws/containers-roadmap#612"},
    },
    {
        .id = "secrets-or-registry",
        .meaning = "The task could not fetch a secret, or the right to pull its image.",
        .forms = {"unable to pull secrets or registry auth", "unable to retrieve secret from asm",
                  "unable to retrieve secrets from ssm",
                  "fetching secret data from aws secrets manager",
                  "unable to retrieve ecr registry auth"},
        .causes =
            {
                {
                    .why = "The subnet has no way to the AWS APIs: no NAT gateway, no public "
                           "address, no VPC endpoints. It is not the volume.",
                    .confirm = "aws ec2 describe-vpc-endpoints --region {region} \\\n"
                               "    --filters Name=vpc-id,Values=VPC_ID --query "
                               "'VpcEndpoints[].ServiceName'",
                    .fix = "Add endpoints for ecr.api, ecr.dkr, s3, logs and secretsmanager, or a "
                           "NAT gateway.",
                },
                {
                    .why = "The execution role may not read the secret.",
                    .confirm = "aws iam simulate-principal-policy --policy-source-arn "
                               "EXECUTION_ROLE_ARN \\\n"
                               "    --action-names secretsmanager:GetSecretValue",
                    .fix = "Allow it to the execution role (not the task role).",
                },
            },
        .sources = {"newrelic/docs-website (ECS integration)", "aws/amazon-ecs-cli#752"},
    },
    {
        .id = "image-pull",
        .meaning = "The image could not be pulled.",
        .forms = {"cannotpullcontainererror*manifest for {image} not found",
                  "cannotpullcontainererror", "cannotpullimagemanifesterror",
                  "pull access denied for {image},"},
        .causes =
            {
                {
                    .why = "The tag does not exist, the execution role may not pull, or the subnet "
                           "has no way to the registry. It is not the volume.",
                    .confirm =
                        "aws ecr describe-images --region {region} --repository-name REPOSITORY",
                    .fix = "Correct the image, the execution role "
                           "(AmazonECSTaskExecutionRolePolicy), or the network of the subnet.",
                },
            },
        .sources = {"mapbox/ecs-watchbot#108"},
    },
    {
        .id = "log-driver",
        .meaning = "The log driver of a container could not start.",
        .forms = {"failed to initialize logging driver", "failed to validate logger args",
                  "failed to create cloudwatch log stream",
                  "the specified log group does not exist"},
        .causes =
            {
                {
                    .why = "The log group does not exist in the region of awslogs-region, or the "
                           "execution role may not write to it.",
                    .confirm = "aws logs describe-log-groups --region {region} "
                               "--log-group-name-prefix LOG_GROUP",
                    .fix = "Create the log group, or set awslogs-create-group to true and allow "
                           "logs:CreateLogGroup.",
                    .cli = "aws logs create-log-group --region {region} --log-group-name LOG_GROUP",
                    .terraform = "resource \"aws_cloudwatch_log_group\" \"this\" {\n"
                                 "  name = \"/ecs/app\"\n"
                                 "}",
                },
            },
        .sources = {"Rayraegah/terraform-aws-hasura#25", "aws/amazon-ecs-cli#752"},
    },
    {
        .id = "role-not-assumable",
        .meaning = "ECS may not use a role of the task definition.",
        .forms = {"ecs was unable to assume the role '{role}'", "unable to assume the role"},
        .causes =
            {
                {
                    .why = "The role does not exist, or its trust policy does not name "
                           "ecs-tasks.amazonaws.com.",
                    .confirm =
                        "aws iam get-role --role-name ROLE --query Role.AssumeRolePolicyDocument",
                    .fix = "Trust ecs-tasks.amazonaws.com.",
                    .cli =
                        "aws iam update-assume-role-policy --role-name ROLE --policy-document \\\n"
                        "    '{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\n"
                        "      \"Principal\":{\"Service\":\"ecs-tasks.amazonaws.com\"},\n"
                        "      \"Action\":\"sts:AssumeRole\"}]}'",
                    .terraform = "data \"aws_iam_policy_document\" \"trust\" {\n"
                                 "  statement {\n"
                                 "    actions = [\"sts:AssumeRole\"]\n"
                                 "    principals {\n"
                                 "      type        = \"Service\"\n"
                                 "      identifiers = [\"ecs-tasks.amazonaws.com\"]\n"
                                 "    }\n"
                                 "  }\n"
                                 "}",
                },
            },
        .sources = {"Amazon ECS developer guide, stopped task errors"},
    },
    {
        .id = "executable-missing",
        .meaning = "The container's command could not be started.",
        .forms = {"exec format error", "executable file not found in $path",
                  "starting container process caused: exec:",
                  "exec: \"{path}\": stat {path}: no such file",
                  "exec: \"{path}\": permission denied"},
        .exit_codes = {126, 127},
        .causes =
            {
                {
                    .why = "The path is wrong, the file is not executable, the image is for "
                           "another CPU, or a volume that is mounted over the directory hides it.",
                    .confirm = "docker run --rm --entrypoint ls IMAGE -l {path}",
                    .fix = "Correct command and entryPoint, build for the runtimePlatform, or "
                           "mount the volume somewhere else.",
                },
            },
        .sources = {"aws/amazon-ecs-agent#2152"},
    },
    {
        .id = "killed",
        .meaning = "The process was ended by SIGKILL.",
        .forms = {"exit code 137", "exit code: 137", "exited with code 137"},
        .exit_codes = {137},
        .causes =
            {
                {
                    .why =
                        "It used more memory than it may: the reason then says OutOfMemoryError.",
                    .confirm = STOPPED_TASK,
                    .fix = "Raise the memory of the container.",
                },
                {
                    .why = "It did not end within stopTimeout (30 seconds) after SIGTERM, as "
                           "processes do that wait for a hung mount.",
                    .confirm =
                        "aws ecs describe-task-definition --region {region} --task-definition "
                        "FAMILY \\\n"
                        "    --query 'taskDefinition.containerDefinitions[].[name,stopTimeout]'",
                    .fix = "Handle SIGTERM, and raise stopTimeout (Fargate: up to 120).",
                },
            },
        .sources = {"aws/amazon-ecs-agent#1187", "moby/moby#21083"},
    },
    {
        .id = "terminated",
        .level = LEVEL_CONSEQUENCE,
        .meaning = "The process was ended by SIGTERM, or never started because a container that it "
                   "depends on failed.",
        .forms = {"exit code 143", "exit code: 143", "exited with code 143"},
        .exit_codes = {143},
        .causes =
            {
                {
                    .why = "ECS stopped the task, or another container ended first: look at the "
                           "other containers and at the stoppedReason.",
                    .confirm = STOPPED_TASK,
                    .fix =
                        "Give explain the whole task: it says which container was the first cause.",
                },
            },
        .sources = {"aws/amazon-ecs-agent#3218"},
    },
    {
        .id = "crashed",
        .meaning = "The process crashed.",
        .forms = {"exit code 139", "exited with code 139", "segmentation fault", "exit code 134"},
        .exit_codes = {139, 134},
        .causes =
            {
                {
                    .why = "139 is a segmentation fault, 134 an abort: a bug of the program, or an "
                           "image for another CPU.",
                    .confirm = SHOW_LOG,
                    .fix = "Read its log; try the image on the same runtimePlatform.",
                },
            },
        .sources = {"Amazon ECS developer guide, stopped task errors"},
    },
    {
        .id = "essential-exited",
        .level = LEVEL_SYMPTOM,
        .meaning = "A container that the task cannot do without ended, so ECS stopped the rest.",
        .forms = {"essential container in task exited", "essentialcontainerexited"},
        .causes =
            {
                {
                    .why = "The exit codes and reasons of the containers say which one and why.",
                    .confirm = STOPPED_TASK,
                    .fix = "Give explain the whole task. A container that ends with 0 in the "
                           "normal course, as efs-init does, must have essential = false.",
                },
            },
        .sources = {"aws/amazon-ecs-agent#168", "mapbox/ecs-watchbot#108"},
    },
    {
        .id = "stopped-on-purpose",
        .level = LEVEL_CONSEQUENCE,
        .meaning = "ECS or a person stopped the task on purpose: a deployment, scaling, or a call "
                   "of StopTask.",
        .forms = {"scaling activity initiated by", "task stopped by user", "stopped by user",
                  "userinitiated", "serviceschedulerinitiated"},
        .causes =
            {
                {
                    .why = "Nothing is wrong with the task itself.",
                    .confirm = "aws ecs describe-services --region {region} --cluster {cluster} "
                               "--services SERVICE \\\n"
                               "    --query 'services[].events[:5].message'",
                    .fix = "If it repeats, look for why the service replaces its tasks.",
                },
            },
        .sources = {"aws/amazon-ecs-agent#168"},
    },
    {
        .id = "host-gone",
        .level = LEVEL_CONSEQUENCE,
        .meaning = "The capacity below the task went away.",
        .forms = {"your spot task was interrupted", "spotinterruption",
                  "host ec2 (instance *) terminated", "host ec2 (instance *) stopped",
                  "ecs is performing maintenance on the underlying infrastructure",
                  "terminationnotice"},
        .causes =
            {
                {
                    .why = "Spot capacity was taken back, the instance ended, or AWS retired the "
                           "infrastructure.",
                    .confirm = STOPPED_TASK,
                    .fix =
                        "The service starts another task. Let the application finish within "
                        "stopTimeout; locks and claims of the old task are free after their fence.",
                },
            },
        .sources = {"Amazon ECS developer guide, stopped task errors"},
    },
    {
        .id = "not-started",
        .level = LEVEL_SYMPTOM,
        .meaning = "Something that the task needs could not be set up; this part of the message "
                   "does not say what.",
        .forms = {"resourceinitializationerror", "cannotstartcontainererror",
                  "cannotcreatecontainererror", "task failed to start", "taskfailedtostart",
                  "taskfailed to start"},
        .causes =
            {
                {
                    .why = "Volume, image, secret, log driver or network interface: the rest of "
                           "the reason says which.",
                    .confirm = STOPPED_TASK,
                    .fix = "Give explain the whole answer of describe-tasks: the console cuts the "
                           "reason.",
                },
            },
        .sources = {"aws/amazon-ecs-agent#1631"},
    },
    {0},
};
