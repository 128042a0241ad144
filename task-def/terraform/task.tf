# The same containers as `efsctl taskdef add` makes, from the same template.
locals {
  kit = jsondecode(file("${path.module}/../template.json"))

  plans = {
    for s, v in var.services : s => {
      app     = jsondecode(v.app)
      profile = local.kit.profiles[v.profile]
      sidecar = v.profile != "gate"
      kit     = concat(local.kit.profiles[v.profile].volumes, v.state == null ? [] : ["state"])
      efs = [for m in v.mounts : {
        sourceVolume  = m.volume
        containerPath = m.path
        readOnly      = m.read_only
      }]
      mounts = join(",", [for m in v.mounts : "${m.path}=${local.file_system_id}:${m.read_only ? "ro" : "rw"}"])
      points = join(",", [for m in v.mounts : "${m.path}=${aws_efs_access_point.this[m.volume].id}"])
      log = {
        awslogs-group         = "/ecs/${var.name}-${s}"
        awslogs-region        = local.region
        awslogs-stream-prefix = s
      }
      # Alarms on metrics that CloudWatch would not get otherwise.
      include = sort(distinct(flatten([for a in local.alarms_of[s] : [for m in a.metrics : m.name if contains(local.extended, m.name)]])))
    }
  }

  # The agent of ECS Exec writes into each container; where the root file system is read-only, to volumes of that container alone.
  exec = {
    for s, v in var.services : s => {
      for c in concat(
        [for role in(v.profile == "gate" ? ["efs-init"] : ["efs-init", "efs-sidecar"]) : local.kit[role]],
        [jsondecode(v.app)], jsondecode(v.other)
        ) : c.name => [
        for suffix, path in local.kit.exec : { sourceVolume = "${c.name}-${suffix}", containerPath = path, readOnly = false }
      ] if contains(v.features, "exec") && try(c.readonlyRootFilesystem, false)
    }
  }

  # What the template gives to each role.
  given = {
    for s, p in local.plans : s => {
      for role in ["efs-init", "efs-sidecar", "app"] : role => [
        for volume in p.kit : {
          sourceVolume  = volume
          containerPath = local.kit.volumes[volume].containerPath
          readOnly      = local.kit.volumes[volume][role] == "ro"
        } if can(local.kit.volumes[volume][role])
      ]
    }
  }

  state_path = local.kit.volumes.state.containerPath
  variables = {
    for s, v in var.services : s => {
      efs-init = concat(
        [
          { name = "EFS_SIDECAR_MOUNTS", value = "${local.plans[s].mounts}${v.state == null ? "" : ",${local.state_path}=${local.file_system_id}:rw"}" },
          { name = "EFS_SIDECAR_ACCESS_POINTS", value = "${local.plans[s].points}${v.state == null ? "" : ",${local.state_path}=${aws_efs_access_point.this[v.state].id}"}" },
        ],
        contains(local.plans[s].kit, "tools") ? [{ name = "EFS_SIDECAR_INSTALL", value = local.kit.volumes.tools.containerPath }] : [],
      )
      efs-sidecar = concat(
        [{ name = "EFS_SIDECAR_MOUNTS", value = local.plans[s].mounts }],
        v.state == null ? [] : [{ name = "EFS_SIDECAR_STATE_MOUNT", value = local.state_path }],
        [
          { name = "EFS_SIDECAR_PROFILE", value = v.profile },
          { name = "EFS_SIDECAR_CLUSTER", value = var.cluster_name },
          { name = "EFS_SIDECAR_SERVICE", value = s },
          { name = "EFS_SIDECAR_STOP_TIMEOUT", value = "${local.kit["efs-sidecar"].stopTimeout}s" },
        ],
        length(local.plans[s].include) == 0 ? [] : [{ name = "EFS_SIDECAR_METRICS_INCLUDE", value = join(",", local.plans[s].include) }],
        contains(v.features, "metrics") ? [{ name = "EFS_SIDECAR_METRICS_SINKS", value = "cloudwatch" }] : [],
      )
    }
  }

  ours = {
    for s, v in var.services : s => [
      for role in(local.plans[s].sidecar ? ["efs-init", "efs-sidecar"] : ["efs-init"]) : merge(
        local.kit[role],
        role == "efs-sidecar" ? { essential = local.plans[s].profile.essential } : {},
        {
          image       = var.image
          mountPoints = concat(local.plans[s].efs, local.given[s][role], try(local.exec[s][role], []))
          environment = concat(local.variables[s][role], [for k, value in v.environment : { name = k, value = value }])
          logConfiguration = {
            logDriver = "awslogs"
            options   = merge(local.plans[s].log, local.kit[role].logConfiguration.options)
          }
        }
      )
    ]
  }

  apps = {
    for s, p in local.plans : s => merge(
      { logConfiguration = { logDriver = "awslogs", options = merge(p.log, { mode = "non-blocking", max-buffer-size = "4m" }) } },
      p.app,
      {
        mountPoints = concat(try(p.app.mountPoints, []), p.efs, local.given[s].app, try(local.exec[s][p.app.name], []))
        environment = concat(try(p.app.environment, []), [for k, value in try(p.profile.environment, {}) : { name = k, value = value }])
        dependsOn = concat(
          try(p.app.dependsOn, []),
          [{ containerName = "efs-init", condition = "SUCCESS" }],
          p.sidecar ? [{ containerName = "efs-sidecar", condition = p.profile.condition }] : [],
        )
      }
    )
  }
}

locals {
  others = {
    for s, v in var.services : s => [
      for c in jsondecode(v.other) : merge(c, can(local.exec[s][c.name]) ? { mountPoints = concat(try(c.mountPoints, []), local.exec[s][c.name]) } : {})
    ]
  }
}

resource "aws_cloudwatch_log_group" "this" {
  for_each          = var.services
  name              = "/ecs/${var.name}-${each.key}"
  retention_in_days = each.value.log_retention_days
  tags              = var.tags
}

resource "aws_ecs_task_definition" "this" {
  for_each                 = var.services
  family                   = "${var.name}-${each.key}"
  requires_compatibilities = [each.value.launch_type]
  network_mode             = "awsvpc"
  cpu                      = each.value.cpu
  memory                   = each.value.memory
  task_role_arn            = aws_iam_role.task[each.key].arn
  execution_role_arn       = aws_iam_role.execution[each.key].arn
  container_definitions    = jsonencode(concat(local.ours[each.key], [local.apps[each.key]], local.others[each.key]))
  tags                     = var.tags

  dynamic "volume" {
    for_each = { for m in local.used[each.key] : m.path == "" ? "state" : m.volume => m.volume }
    content {
      name = volume.key
      efs_volume_configuration {
        file_system_id     = local.file_system_id
        transit_encryption = "ENABLED"
        authorization_config {
          access_point_id = aws_efs_access_point.this[volume.value].id
          iam             = "ENABLED"
        }
      }
    }
  }
  dynamic "volume" {
    for_each = toset(concat([for v in local.plans[each.key].kit : v if v != "state"], flatten(values(local.exec[each.key]))[*].sourceVolume))
    content {
      name = volume.value
    }
  }
}

resource "aws_ecs_service" "this" {
  for_each               = var.create_services ? var.services : {}
  name                   = each.key
  cluster                = var.cluster_name
  task_definition        = aws_ecs_task_definition.this[each.key].arn
  desired_count          = each.value.desired_count
  launch_type            = each.value.launch_type
  enable_execute_command = contains(each.value.features, "exec")
  tags                   = var.tags

  # A gate that fails ends a deployment instead of trying for ever.
  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }
  network_configuration {
    subnets          = var.subnet_ids
    security_groups  = concat([aws_security_group.tasks.id], each.value.security_group_ids)
    assign_public_ip = each.value.assign_public_ip
  }
  # A task mounts before anything of it runs.
  depends_on = [
    aws_efs_mount_target.this, aws_efs_file_system_policy.this, aws_iam_role_policy.task, aws_iam_role_policy.execution,
    aws_vpc_security_group_ingress_rule.nfs, aws_vpc_security_group_egress_rule.tasks,
  ]
}
