output "file_system_id" {
  value = local.file_system_id
}

output "access_point_ids" {
  description = "By volume name."
  value       = { for name, point in aws_efs_access_point.this : name => point.id }
}

output "tasks_security_group_id" {
  description = "Of the tasks: add rules for what the app serves."
  value       = aws_security_group.tasks.id
}

output "task_role_names" {
  description = "By service: attach what the app itself needs."
  value       = { for s, role in aws_iam_role.task : s => role.name }
}

output "task_definition_arns" {
  value = { for s, definition in aws_ecs_task_definition.this : s => definition.arn }
}

output "container_definitions" {
  description = "By service, as JSON: for task definitions that are made elsewhere."
  value       = { for s, definition in aws_ecs_task_definition.this : s => definition.container_definitions }
}

output "monitoring_cost" {
  description = "What metrics, alarms and the dashboard cost a month, in dollars; list prices of us-east-1, 2026, without the free tier."
  value = {
    core_metrics     = 0.30 * length([for m in values(local.metrics) : m if m.core]) * length([for p in local.plans : p if p.sidecar])
    included_metrics = 0.30 * sum(concat([0], [for p in local.plans : length(p.include) if p.sidecar]))
    alarms           = 0.10 * sum(concat([0], [for a in local.alarms : length(a.metrics)]))
    dashboard        = var.dashboard ? 3 : 0
  }
}
