variable "name" {
  description = "Name of the whole; first part of the names of what is made."
  type        = string
}

variable "cluster_name" {
  description = "ECS cluster of the services."
  type        = string
}

variable "vpc_id" {
  description = "VPC of the tasks and of the mount targets."
  type        = string
}

variable "subnet_ids" {
  description = "Subnets of the tasks, in different zones. A file system that is made here gets a mount target in each."
  type        = list(string)
}

variable "image" {
  description = "Image of efs-sidecar in your registry."
  type        = string
}

variable "file_system_id" {
  description = "An existing file system. Its mount targets, policy and backup are left alone. null makes one."
  type        = string
  default     = null
}

variable "mount_target_security_group_id" {
  description = "Security group of the existing file system's mount targets: it gets a rule that lets the tasks in. null: you see to that."
  type        = string
  default     = null
}

variable "file_system" {
  description = "The file system that is made: docs/sizing.md says which modes fit. transition_to_... may be null."
  type = object({
    throughput_mode       = optional(string, "elastic")
    provisioned_mibps     = optional(number)
    performance_mode      = optional(string, "generalPurpose")
    kms_key_arn           = optional(string)
    backup                = optional(bool, true)
    transition_to_ia      = optional(string, "AFTER_30_DAYS")
    transition_to_archive = optional(string)
    transition_to_primary = optional(string, "AFTER_1_ACCESS")
  })
  default = {}

  validation {
    condition     = contains(["elastic", "bursting", "provisioned"], var.file_system.throughput_mode)
    error_message = "throughput_mode is elastic, bursting or provisioned."
  }
  validation {
    condition     = (var.file_system.throughput_mode == "provisioned") == (var.file_system.provisioned_mibps != null)
    error_message = "provisioned_mibps goes with throughput_mode provisioned, and with no other."
  }
  validation {
    condition     = var.file_system.performance_mode == "generalPurpose" || var.file_system.throughput_mode != "elastic"
    error_message = "EFS has no maxIO with elastic throughput."
  }
}

variable "access_points" {
  description = "Access points by volume name. Whoever mounts through one is uid:gid there, whatever the container's user. Root directories are made with these ids."
  type = map(object({
    path        = string
    uid         = number
    gid         = number
    permissions = optional(string, "2770")
  }))
}

variable "services" {
  description = <<-END
    ECS services by name.
      app            JSON of the app's container definition; gate, sidecar, volumes and dependsOn are added to it
      other          JSON of a list of further containers, taken as they are
      mounts         which volumes (names of access_points) it mounts where
      profile        gate, observe, coordinate, cache
      state          name of the access point of the sidecar's state; null: it lies in each mount's .efs-sidecar
      features       policies of the task role: checks (the gate asks EFS why), explain, metrics (sink cloudwatch), exec
      environment    further EFS_SIDECAR_... variables of gate and sidecar
  END
  type = map(object({
    app = string
    mounts = list(object({
      volume    = string
      path      = string
      read_only = optional(bool, false)
    }))
    profile            = optional(string, "coordinate")
    state              = optional(string)
    features           = optional(set(string), ["checks"])
    environment        = optional(map(string), {})
    other              = optional(string, "[]")
    cpu                = optional(number, 512)
    memory             = optional(number, 1024)
    desired_count      = optional(number, 1)
    launch_type        = optional(string, "FARGATE")
    assign_public_ip   = optional(bool, false)
    security_group_ids = optional(list(string), [])
    log_retention_days = optional(number, 30)
  }))

  validation {
    condition     = alltrue([for s in var.services : contains(["gate", "observe", "coordinate", "cache"], s.profile)])
    error_message = "profile is gate, observe, coordinate or cache."
  }
  validation {
    condition     = alltrue([for s in var.services : alltrue([for f in s.features : contains(["checks", "explain", "metrics", "exec"], f)])])
    error_message = "features are checks, explain, metrics and exec."
  }
  validation {
    condition     = alltrue([for s in var.services : length(s.mounts) > 0])
    error_message = "A service without mounts has no use for efs-sidecar."
  }
  validation {
    condition     = length(setsubtract(flatten([for s in var.services : concat(s.mounts[*].volume, compact([s.state]))]), keys(var.access_points))) == 0
    error_message = "The volume of each mount, and the state, is one of access_points."
  }
}

variable "create_services" {
  description = "false: only task definitions and what belongs to them, for services that are made elsewhere."
  type        = bool
  default     = true
}

variable "alarms" {
  description = "Names of the alarms to have, see task-def/monitoring/alarms.json; null for all, [] for none."
  type        = set(string)
  default     = null
}

variable "alarm_topic_arns" {
  description = "SNS topics that are told of alarms and of gates that failed. Their policies must let cloudwatch.amazonaws.com and events.amazonaws.com publish."
  type        = list(string)
  default     = []
}

variable "dashboard" {
  description = "Whether to make the dashboard."
  type        = bool
  default     = true
}

variable "runbooks" {
  description = "Where the runbooks lie; alarms name theirs."
  type        = string
  default     = "docs/runbooks"
}

variable "tags" {
  description = "Tags of all that takes some."
  type        = map(string)
  default     = {}
}
