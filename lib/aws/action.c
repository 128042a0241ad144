#include "lib/aws/action.h"

#define CHECKS  "checks"  /* the gate's and the preflight's questions */
#define METRICS "metrics" /* the sink cloudwatch */
#define EXPLAIN "explain" /* efs-init explain --task */

const struct aws_action aws_actions[AWS_ACTIONS_N] = {
    [AWS_GET_CALLER_IDENTITY] = {&aws_sts, "sts:GetCallerIdentity", NULL},
    [AWS_DESCRIBE_FILE_SYSTEMS] = {&aws_efs, "elasticfilesystem:DescribeFileSystems", CHECKS},
    [AWS_DESCRIBE_MOUNT_TARGETS] = {&aws_efs, "elasticfilesystem:DescribeMountTargets", CHECKS},
    [AWS_DESCRIBE_MOUNT_TARGET_GROUPS] = {&aws_efs,
                                          "elasticfilesystem:DescribeMountTargetSecurityGroups",
                                          CHECKS},
    [AWS_DESCRIBE_ACCESS_POINTS] = {&aws_efs, "elasticfilesystem:DescribeAccessPoints", CHECKS},
    [AWS_DESCRIBE_FILE_SYSTEM_POLICY] = {&aws_efs, "elasticfilesystem:DescribeFileSystemPolicy",
                                         CHECKS},
    [AWS_GET_METRIC_STATISTICS] = {&aws_cloudwatch, "cloudwatch:GetMetricStatistics", CHECKS},
    [AWS_PUT_METRIC_DATA] = {&aws_cloudwatch, "cloudwatch:PutMetricData", METRICS},
    [AWS_DESCRIBE_TASKS] = {&aws_ecs, "ecs:DescribeTasks", EXPLAIN},
};
