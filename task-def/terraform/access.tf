locals {
  # What each service mounts, its state among it.
  used = {
    for s, v in var.services : s => concat(v.mounts, v.state == null ? [] : [{ volume = v.state, path = "", read_only = false }])
  }
  policies = merge([
    for s, v in var.services : {
      for p in setunion(["mount"], v.features) : "${s}-${p}" => { service = s, purpose = p }
    }
  ]...)
}

data "aws_iam_policy_document" "ecs_tasks" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }
}

# ---- the task role: what the containers may, a policy for each purpose ----

resource "aws_iam_role" "task" {
  for_each           = var.services
  name               = "${var.name}-${each.key}-task"
  assume_role_policy = data.aws_iam_policy_document.ecs_tasks.json
  tags               = var.tags
}

resource "aws_iam_role_policy" "task" {
  for_each = local.policies
  name     = "efs-sidecar-${each.value.purpose}"
  role     = aws_iam_role.task[each.value.service].id
  policy = replace(replace(replace(replace(
    file("${path.module}/../policies/${each.value.purpose}.json"),
    "\"@access_points@\"", jsonencode([for m in local.used[each.value.service] : aws_efs_access_point.this[m.volume].arn])),
    "\"@writable_access_points@\"", jsonencode([for m in local.used[each.value.service] : aws_efs_access_point.this[m.volume].arn if !m.read_only])),
    "@file_system_arn@", local.file_system_arn),
  "@tasks@", "arn:${local.partition}:ecs:${local.region}:${local.account}:task/${var.cluster_name}/*")
}

# ---- the execution role: what ECS itself does before the containers run ----

resource "aws_iam_role" "execution" {
  for_each           = var.services
  name               = "${var.name}-${each.key}-execution"
  assume_role_policy = data.aws_iam_policy_document.ecs_tasks.json
  tags               = var.tags
}

data "aws_iam_policy_document" "execution" {
  for_each = var.services
  statement {
    sid       = "Logs"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.this[each.key].arn}:*"]
  }
  statement {
    sid       = "Login"
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"]
  }
  statement {
    sid       = "Pull"
    actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    resources = ["arn:${local.partition}:ecr:*:${local.account}:repository/*"]
  }
}

resource "aws_iam_role_policy" "execution" {
  for_each = var.services
  name     = "start-the-task"
  role     = aws_iam_role.execution[each.key].id
  policy   = data.aws_iam_policy_document.execution[each.key].json
}

# ---- the file system's own policy: nobody without TLS, no one but these roles, each through its access points. It replaces
# EFS's default, by which whoever reaches a mount target is root. ----

data "aws_iam_policy_document" "file_system" {
  dynamic "statement" {
    for_each = var.services
    content {
      sid       = "Mount${replace(title(replace(statement.key, "/[^0-9A-Za-z]/", " ")), " ", "")}"
      actions   = ["elasticfilesystem:ClientMount"]
      resources = [local.file_system_arn]
      principals {
        type        = "AWS"
        identifiers = [aws_iam_role.task[statement.key].arn]
      }
      condition {
        test     = "StringEquals"
        variable = "elasticfilesystem:AccessPointArn"
        values   = [for m in local.used[statement.key] : aws_efs_access_point.this[m.volume].arn]
      }
    }
  }
  dynamic "statement" {
    for_each = { for s, used in local.used : s => used if anytrue([for m in used : !m.read_only]) }
    content {
      sid       = "Write${replace(title(replace(statement.key, "/[^0-9A-Za-z]/", " ")), " ", "")}"
      actions   = ["elasticfilesystem:ClientWrite"]
      resources = [local.file_system_arn]
      principals {
        type        = "AWS"
        identifiers = [aws_iam_role.task[statement.key].arn]
      }
      condition {
        test     = "StringEquals"
        variable = "elasticfilesystem:AccessPointArn"
        values   = [for m in statement.value : aws_efs_access_point.this[m.volume].arn if !m.read_only]
      }
    }
  }
  statement {
    sid       = "OnlyTls"
    effect    = "Deny"
    actions   = ["*"]
    resources = [local.file_system_arn]
    principals {
      type        = "AWS"
      identifiers = ["*"]
    }
    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_efs_file_system_policy" "this" {
  count          = local.create ? 1 : 0
  file_system_id = local.file_system_id
  policy         = data.aws_iam_policy_document.file_system.json
}
