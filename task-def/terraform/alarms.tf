locals {
  metrics  = { for m in jsondecode(file("${path.module}/../monitoring/metrics.json")) : m.name => m }
  extended = [for m in values(local.metrics) : m.name if !m.core]

  catalogue = [
    for a in jsondecode(file("${path.module}/../monitoring/alarms.json")) : a
    if var.alarms == null ? true : contains(var.alarms, a.name)
  ]
  profiles_with = { coordinate = ["coordinate", "cache"], observe = ["observe", "coordinate", "cache"] }
  alarms_of = {
    for s, v in var.services : s => [
      for a in local.catalogue : a
      if a.of == "rule" || (contains(["mount", "service"], a.of) && contains(local.profiles_with[try(a.from, "observe")], v.profile))
    ]
  }

  alarms = merge(
    merge([
      for s, list in local.alarms_of : {
        for a in list : "${s}-${a.name}" => merge(a, { dimensions = {
          rule    = { RuleName = "${var.name}-${s}-gate-failed" }
          service = { ClusterName = var.cluster_name, ServiceName = s }
          mount   = { ClusterName = var.cluster_name, ServiceName = s, FileSystemId = local.file_system_id }
        }[a.of] })
      }
    ]...),
    {
      for a in local.catalogue : a.name => merge(a, { dimensions = { FileSystemId = local.file_system_id } })
      if a.of == "file_system" && contains([local.throughput_mode, local.performance_mode, "always"], try(a.when, "always"))
    }
  )
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each            = local.alarms
  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = "${each.value.says} ${var.runbooks}/${each.value.runbook}.md"
  comparison_operator = each.value.comparison
  threshold           = each.value.threshold
  evaluation_periods  = each.value.evaluations
  datapoints_to_alarm = each.value.datapoints
  treat_missing_data  = each.value.missing
  alarm_actions       = var.alarm_topic_arns
  ok_actions          = var.alarm_topic_arns
  tags                = merge(var.tags, { severity = each.value.severity })

  # Of a single metric.
  namespace          = can(each.value.expression) ? null : try(each.value.metrics[0].namespace, "EFSSidecar")
  metric_name        = can(each.value.expression) ? null : each.value.metrics[0].name
  dimensions         = can(each.value.expression) ? null : each.value.dimensions
  period             = can(each.value.expression) ? null : each.value.period
  statistic          = can(each.value.expression) || startswith(each.value.metrics[0].stat, "p") ? null : each.value.metrics[0].stat
  extended_statistic = !can(each.value.expression) && startswith(each.value.metrics[0].stat, "p") ? each.value.metrics[0].stat : null

  # Computed from several.
  dynamic "metric_query" {
    for_each = can(each.value.expression) ? [each.value.expression] : []
    content {
      id          = "result"
      label       = each.value.name
      expression  = metric_query.value
      return_data = true
    }
  }
  dynamic "metric_query" {
    for_each = can(each.value.expression) ? each.value.metrics : []
    content {
      id = metric_query.value.id
      metric {
        namespace   = try(metric_query.value.namespace, "EFSSidecar")
        metric_name = metric_query.value.name
        dimensions  = each.value.dimensions
        period      = each.value.period
        stat        = metric_query.value.stat
      }
    }
  }
}

# ---- the gate: ECS tells of each task that stopped; of those whose gate ended with another code than 0 the topics hear why ----

resource "aws_cloudwatch_event_rule" "gate_failed" {
  for_each    = var.services
  name        = "${var.name}-${each.key}-gate-failed"
  description = "A task of ${each.key} stopped because efs-init ended with another exit code than 0. ${var.runbooks}/gate-failed.md"
  event_pattern = replace(replace(file("${path.module}/../monitoring/gate-failed.json"),
    "@cluster_arn@", "arn:${local.partition}:ecs:${local.region}:${local.account}:cluster/${var.cluster_name}"),
  "@service@", each.key)
  tags = var.tags
}

resource "aws_cloudwatch_event_target" "gate_failed" {
  for_each = merge([for s in keys(var.services) : { for i, topic in var.alarm_topic_arns : "${s}-${i}" => { service = s, topic = topic } }]...)
  rule     = aws_cloudwatch_event_rule.gate_failed[each.value.service].name
  arn      = each.value.topic
  input_transformer {
    input_paths    = { task = "$.detail.taskArn", reason = "$.detail.stoppedReason", zone = "$.detail.availabilityZone" }
    input_template = "\"${each.value.service}: the gate failed in <zone>: <reason> (task <task>). The last line of efs-init in /ecs/${var.name}-${each.value.service} says why; ${var.runbooks}/gate-failed.md\""
  }
}
