/*
 * snippets: commands and Terraform that several entries of the catalogue show.
 */
#ifndef LIB_EXPLAIN_SNIPPETS_H
#define LIB_EXPLAIN_SNIPPETS_H

#define SHOW_TARGETS                                                                               \
    "aws efs describe-mount-targets --region {region} --file-system-id {fs}\n"                     \
    "# compare the zones and subnets with those of the task"
#define SHOW_POLICY                                                                                \
    "aws efs describe-file-system-policy --region {region} --file-system-id {fs}\n"                \
    "# PolicyNotFound: everybody may mount"
#define SHOW_VOLUMES                                                                               \
    "aws ecs describe-task-definition --region {region} --task-definition FAMILY \\\n"             \
    "    --query 'taskDefinition.[taskRoleArn,volumes]'"
#define OPEN_PORT_CLI                                                                              \
    "aws ec2 authorize-security-group-ingress --region {region} \\\n"                              \
    "    --group-id SG_OF_MOUNT_TARGET --protocol tcp --port 2049 \\\n"                            \
    "    --source-group SG_OF_TASK"
#define OPEN_PORT_TERRAFORM                                                                        \
    "resource \"aws_vpc_security_group_ingress_rule\" \"nfs\" {\n"                                 \
    "  security_group_id            = aws_security_group.mount_target.id\n"                        \
    "  referenced_security_group_id = aws_security_group.task.id\n"                                \
    "  ip_protocol                  = \"tcp\"\n"                                                   \
    "  from_port                    = 2049\n"                                                      \
    "  to_port                      = 2049\n"                                                      \
    "}"
#define VOLUME_TERRAFORM                                                                           \
    "efs_volume_configuration {\n"                                                                 \
    "  file_system_id     = \"{fs}\"\n"                                                            \
    "  transit_encryption = \"ENABLED\"\n"                                                         \
    "  authorization_config {\n"                                                                   \
    "    access_point_id = \"{ap}\"\n"                                                             \
    "    iam             = \"ENABLED\"\n"                                                          \
    "  }\n"                                                                                        \
    "}"

#define SHOW_MOUNT_POINTS                                                                          \
    "aws ecs describe-task-definition --region {region} --task-definition FAMILY \\\n"             \
    "    --query 'taskDefinition.containerDefinitions[].[name,mountPoints]'"
#define SHOW_CREDITS                                                                               \
    "aws cloudwatch get-metric-statistics --region {region} --namespace AWS/EFS \\\n"              \
    "    --metric-name BurstCreditBalance --dimensions Name=FileSystemId,Value={fs} \\\n"          \
    "    --start-time \"$(date -u -d '1 day ago' +%FT%TZ)\" --end-time \"$(date -u +%FT%TZ)\" "    \
    "\\\n"                                                                                         \
    "    --period 3600 --statistics Minimum"
#define SHOW_LOG                                                                                   \
    "aws logs filter-log-events --region {region} --log-group-name LOG_GROUP \\\n"                 \
    "    --log-stream-name-prefix PREFIX/{container} --query 'events[].message'"
#define SHOW_MEMORY                                                                                \
    "aws cloudwatch get-metric-statistics --region {region} --namespace ECS/ContainerInsights "    \
    "\\\n"                                                                                         \
    "    --metric-name MemoryUtilized --dimensions Name=ClusterName,Value={cluster} \\\n"          \
    "    --start-time \"$(date -u -d '1 day ago' +%FT%TZ)\" --end-time \"$(date -u +%FT%TZ)\" "    \
    "\\\n"                                                                                         \
    "    --period 300 --statistics Maximum"
#define ELASTIC_CLI                                                                                \
    "aws efs update-file-system --region {region} --file-system-id {fs} --throughput-mode elastic"
#define ELASTIC_TERRAFORM                                                                          \
    "resource \"aws_efs_file_system\" \"this\" {\n"                                                \
    "  throughput_mode = \"elastic\"\n"                                                            \
    "  # ...\n"                                                                                    \
    "}"
#define STOPPED_TASK                                                                               \
    "aws ecs describe-tasks --region {region} --cluster {cluster} --tasks {task} | efsctl explain"

#endif
