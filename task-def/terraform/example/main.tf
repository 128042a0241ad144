# Two services on one file system: web x 3 takes uploads, processor x 2 works on them.
#
#   terraform init && terraform apply -var image=ACCOUNT.dkr.ecr.REGION.amazonaws.com/efs-sidecar:0.2.0
#
# Costs about $2.60 a day while it stands (list prices of us-east-1, 2026): five Fargate tasks of 0.25 vCPU and 0.5 GB $1.48, their public
# addresses $0.60, and monitoring, of which the output `monitoring_cost` says more. `terraform destroy` ends it.

terraform {
  required_version = ">= 1.9"
}

variable "region" {
  type    = string
  default = "eu-central-1"
}

variable "name" {
  type    = string
  default = "efs-sidecar-example"
}

variable "image" {
  description = "efs-sidecar in your registry"
  type        = string
}

variable "app_image" {
  description = "What stands for the app; it must have a shell"
  type        = string
  default     = "public.ecr.aws/docker/library/busybox:1.36"
}

variable "vpc_id" {
  description = "null: the account's default VPC"
  type        = string
  default     = null
}

variable "subnet_ids" {
  description = "null: all subnets of the VPC, one a zone"
  type        = list(string)
  default     = null
}

variable "file_system_id" {
  description = "An existing file system; null makes one"
  type        = string
  default     = null
}

variable "throughput_mode" {
  type    = string
  default = "elastic"
}

variable "mail" {
  description = "Who is told of alarms; null for nobody"
  type        = string
  default     = null
}

provider "aws" {
  region = var.region
}

data "aws_vpc" "this" {
  id      = var.vpc_id
  default = var.vpc_id == null ? true : null
}

data "aws_subnets" "this" {
  filter {
    name   = "vpc-id"
    values = [data.aws_vpc.this.id]
  }
}

resource "aws_ecs_cluster" "this" {
  name = var.name
}

resource "aws_sns_topic" "alarms" {
  name = "${var.name}-alarms"
}

resource "aws_sns_topic_subscription" "mail" {
  count     = var.mail == null ? 0 : 1
  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = var.mail
}

data "aws_iam_policy_document" "alarms" {
  statement {
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.alarms.arn]
    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com", "events.amazonaws.com"]
    }
  }
}

resource "aws_sns_topic_policy" "alarms" {
  arn    = aws_sns_topic.alarms.arn
  policy = data.aws_iam_policy_document.alarms.json
}

module "efs_sidecar" {
  source = "../"

  name             = var.name
  cluster_name     = aws_ecs_cluster.this.name
  vpc_id           = data.aws_vpc.this.id
  subnet_ids       = coalesce(var.subnet_ids, sort(data.aws_subnets.this.ids))
  image            = var.image
  alarm_topic_arns = [aws_sns_topic.alarms.arn]

  file_system_id = var.file_system_id
  file_system = {
    throughput_mode   = var.throughput_mode
    provisioned_mibps = var.throughput_mode == "provisioned" ? 16 : null
  }

  # Web and processor share the group, so that each may change what the other made.
  access_points = {
    uploads       = { path = "/uploads", uid = 10001, gid = 10001 }
    shared-config = { path = "/shared-config", uid = 10001, gid = 10001 }
    state         = { path = "/efs-sidecar", uid = 10002, gid = 10002 }
  }

  services = {
    web = {
      desired_count    = 3
      cpu              = 256
      memory           = 512
      assign_public_ip = true
      state            = "state"
      app              = local.app.web
      mounts = [
        { volume = "uploads", path = "/uploads" },
        { volume = "shared-config", path = "/shared-config", read_only = true },
      ]
    }
    processor = {
      desired_count    = 2
      cpu              = 256
      memory           = 512
      assign_public_ip = true
      state            = "state"
      features         = ["checks", "explain", "exec"]
      app              = local.app.processor
      mounts           = [{ volume = "uploads", path = "/uploads" }]
    }
  }
}

locals {
  # Each makes a file now and then, so that there is something to see.
  scripts = {
    web       = "while sleep 10; do date >/run/efs-sidecar/task/$(date +%s); done"
    processor = "/opt/efs-sidecar/efsctl watch"
  }
  app = {
    for name, script in local.scripts : name => jsonencode({
      name                   = "app"
      image                  = var.app_image
      essential              = true
      command                = ["sh", "-c", script]
      user                   = "10001:10001"
      readonlyRootFilesystem = true
      linuxParameters        = { capabilities = { drop = ["ALL"] }, initProcessEnabled = true }
      stopTimeout            = 60
    })
  }
}

output "monitoring_cost" {
  value = module.efs_sidecar.monitoring_cost
}

output "file_system_id" {
  value = module.efs_sidecar.file_system_id
}
