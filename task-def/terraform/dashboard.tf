locals {
  dashboard = replace(replace(replace(replace(replace(replace(
    file("${path.module}/../monitoring/dashboard.json"),
    "\"@alarms@\"", jsonencode([for a in aws_cloudwatch_metric_alarm.this : a.arn])),
    "@logs@", join(" | ", [for l in aws_cloudwatch_log_group.this : "SOURCE '${l.name}'"])),
    "@file_system@", local.file_system_id),
    "@cluster@", var.cluster_name),
    "@region@", local.region),
  "@runbooks@", var.runbooks)
}

resource "aws_cloudwatch_dashboard" "this" {
  count          = var.dashboard ? 1 : 0
  dashboard_name = var.name
  dashboard_body = local.dashboard
}
