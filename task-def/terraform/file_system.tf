locals {
  create         = var.file_system_id == null
  file_system_id = local.create ? aws_efs_file_system.this[0].id : var.file_system_id
  # Known while planning: the alarms that exist depend on these.
  throughput_mode  = local.create ? var.file_system.throughput_mode : data.aws_efs_file_system.existing[0].throughput_mode
  performance_mode = local.create ? var.file_system.performance_mode : data.aws_efs_file_system.existing[0].performance_mode
  file_system_arn  = "arn:${local.partition}:elasticfilesystem:${local.region}:${local.account}:file-system/${local.file_system_id}"

  lifecycle_rules = {
    for rule, when in {
      transition_to_ia                    = var.file_system.transition_to_ia
      transition_to_archive               = var.file_system.transition_to_archive
      transition_to_primary_storage_class = var.file_system.transition_to_primary
    } : rule => when if when != null
  }
}

data "aws_efs_file_system" "existing" {
  count          = local.create ? 0 : 1
  file_system_id = var.file_system_id
}

resource "aws_efs_file_system" "this" {
  count                           = local.create ? 1 : 0
  creation_token                  = var.name
  encrypted                       = true
  kms_key_id                      = var.file_system.kms_key_arn
  performance_mode                = var.file_system.performance_mode
  throughput_mode                 = var.file_system.throughput_mode
  provisioned_throughput_in_mibps = var.file_system.provisioned_mibps
  tags                            = merge(var.tags, { Name = var.name })

  # EFS wants one rule in each.
  dynamic "lifecycle_policy" {
    for_each = local.lifecycle_rules
    content {
      transition_to_ia                    = lifecycle_policy.key == "transition_to_ia" ? lifecycle_policy.value : null
      transition_to_archive               = lifecycle_policy.key == "transition_to_archive" ? lifecycle_policy.value : null
      transition_to_primary_storage_class = lifecycle_policy.key == "transition_to_primary_storage_class" ? lifecycle_policy.value : null
    }
  }
}

resource "aws_efs_backup_policy" "this" {
  count          = local.create ? 1 : 0
  file_system_id = local.file_system_id
  backup_policy {
    status = var.file_system.backup ? "ENABLED" : "DISABLED"
  }
}

# ---- the network: from the tasks to port 2049 of the mount targets, and nothing else ----

resource "aws_security_group" "tasks" {
  name        = "${var.name}-tasks"
  description = "Tasks that mount ${var.name}"
  vpc_id      = var.vpc_id
  tags        = merge(var.tags, { Name = "${var.name}-tasks" })
}

# NFS, the registry, CloudWatch Logs, names.
resource "aws_vpc_security_group_egress_rule" "tasks" {
  security_group_id = aws_security_group.tasks.id
  ip_protocol       = "-1"
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_security_group" "mount_targets" {
  count       = local.create ? 1 : 0
  name        = "${var.name}-mount-targets"
  description = "Mount targets of ${var.name}"
  vpc_id      = var.vpc_id
  tags        = merge(var.tags, { Name = "${var.name}-mount-targets" })
}

resource "aws_vpc_security_group_ingress_rule" "nfs" {
  count                        = local.create || var.mount_target_security_group_id != null ? 1 : 0
  security_group_id            = local.create ? aws_security_group.mount_targets[0].id : var.mount_target_security_group_id
  referenced_security_group_id = aws_security_group.tasks.id
  ip_protocol                  = "tcp"
  from_port                    = 2049
  to_port                      = 2049
}

resource "aws_efs_mount_target" "this" {
  count           = local.create ? length(var.subnet_ids) : 0
  file_system_id  = local.file_system_id
  subnet_id       = var.subnet_ids[count.index]
  security_groups = [aws_security_group.mount_targets[0].id]
}

resource "aws_efs_access_point" "this" {
  for_each       = var.access_points
  file_system_id = local.file_system_id
  tags           = merge(var.tags, { Name = "${var.name}-${each.key}" })

  posix_user {
    uid = each.value.uid
    gid = each.value.gid
  }
  root_directory {
    path = each.value.path
    creation_info {
      owner_uid   = each.value.uid
      owner_gid   = each.value.gid
      permissions = each.value.permissions
    }
  }
}
