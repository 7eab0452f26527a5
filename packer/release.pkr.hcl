# An image with a release of WordPress in it: a node that boots from it
# downloads nothing. wpbake bake VERSION --as ami builds it; by hand, see
# packer/README.md.

packer {
  required_plugins {
    amazon = {
      source  = "github.com/hashicorp/amazon"
      version = ">= 1.8.0"
    }
    wpbake = {
      source  = "github.com/wpbake/wpbake"
      version = ">= 0.1.0"
    }
  }
}

variable "version" {
  type        = string
  description = "The published version."
}

variable "store" {
  type        = string
  description = "s3://BUCKET/PREFIX, as this machine and the instance reach it."
}

variable "region" {
  type    = string
  default = env("AWS_REGION")
}

variable "base_image" {
  type        = string
  default     = ""
  description = "Id of the image to start from; empty means the newest that base_name finds."
}

variable "base_name" {
  type        = string
  default     = "wpbake-base-*"
  description = "Name pattern of base images."
}

variable "base_owner" {
  type    = string
  default = "self"
}

variable "image_prefix" {
  type    = string
  default = "wpbake"
}

variable "run" {
  type        = string
  default     = ""
  description = "One build, in one word: part of the image's name and a tag of everything that the build makes; empty takes the time."
}

variable "holder" {
  type        = string
  default     = ""
  description = "The process that builds, as wpbake writes it into tags; empty when a person builds."
}

variable "expires" {
  type        = string
  default     = ""
  description = "RFC 3339 time after which what is left of the build is dead; empty means lifetime from now."
}

variable "lifetime" {
  type        = number
  default     = 7200
  description = "Seconds after which the build instance ends itself."
}

variable "wpbake" {
  type        = string
  default     = ""
  description = "The program to install for the instance's architecture; empty means the base image has it."
}

variable "local_wpbake" {
  type        = string
  default     = "wpbake"
  description = "The program on this machine, which finds the release and records the image."
}

variable "instance_type" {
  type    = string
  default = "t3.small"
}

variable "instance_profile" {
  type        = string
  default     = ""
  description = "Lets the instance read the store."
}

variable "subnet_id" {
  type    = string
  default = ""
}

variable "ssh_from" {
  type        = list(string)
  default     = ["0.0.0.0/0"]
  description = "Networks that the temporary security group lets in."
}

variable "ssh_username" {
  type    = string
  default = "admin"
}

variable "ssh_port" {
  type    = number
  default = 22
}

variable "kms_key" {
  type        = string
  default     = ""
  description = "Key that encrypts the image: an ARN, or default for the account's own; empty means as the account is set up."
}

variable "regions" {
  type        = list(string)
  default     = []
  description = "Further regions to copy the image to."
}

variable "accounts" {
  type        = list(string)
  default     = []
  description = "Accounts that may launch the image."
}

variable "deprecate_at" {
  type        = string
  default     = ""
  description = "RFC 3339 time from which the image is marked as deprecated."
}

variable "record" {
  type        = string
  default     = ""
  description = "File that the post-processor also writes; empty for none."
}

data "wpbake-release" "this" {
  version = var.version
  store   = var.store
  wpbake  = var.local_wpbake
}

locals {
  manifest = data.wpbake-release.this.manifest
  run      = var.run != "" ? var.run : formatdate("YYYYMMDD'T'hhmmss'Z'", timestamp())
  expires  = var.expires != "" ? var.expires : timeadd(timestamp(), "${var.lifetime}s")

  # On everything that the build makes, the temporary key pair and security
  # group among it: wpbake sweep knows by these what is dead.
  tags = merge({
    "wpbake:version"  = var.version
    "wpbake:manifest" = local.manifest
    "wpbake:store"    = var.store
    "wpbake:run"      = local.run
    "wpbake:expires"  = local.expires
  }, var.holder == "" ? {} : { "wpbake:holder" = var.holder })
}

source "amazon-ebs" "release" {
  region               = var.region
  ami_name             = "${var.image_prefix}-${var.version}-${local.run}"
  ami_description      = "WordPress release ${var.version}, ${local.manifest}"
  ami_regions          = var.regions
  ami_users            = var.accounts
  snapshot_users       = var.accounts
  deprecate_at         = var.deprecate_at
  imds_support         = "v2.0"
  encrypt_boot         = var.kms_key == "" ? null : true
  kms_key_id           = var.kms_key == "default" ? "" : var.kms_key
  instance_type        = var.instance_type
  iam_instance_profile = var.instance_profile
  subnet_id            = var.subnet_id
  ssh_username         = var.ssh_username
  ssh_port             = var.ssh_port
  source_ami           = var.base_image

  # The instance ends itself, and nothing of it stays.
  shutdown_behavior = "terminate"
  user_data         = templatefile("scripts/self-destruct.sh", { lifetime = var.lifetime })

  temporary_security_group_source_cidrs = var.ssh_from
  ssh_clear_authorized_keys             = true

  dynamic "source_ami_filter" {
    for_each = var.base_image == "" ? [1] : []
    content {
      owners      = [var.base_owner]
      most_recent = true
      filters = {
        name                = var.base_name
        root-device-type    = "ebs"
        virtualization-type = "hvm"
      }
    }
  }

  metadata_options {
    http_endpoint = "enabled"
    http_tokens   = "required"
  }

  aws_polling {
    delay_seconds = 2
    max_attempts  = 900
  }

  run_tags        = local.tags
  run_volume_tags = local.tags
  snapshot_tags   = local.tags
  tags            = local.tags
}

build {
  sources = ["source.amazon-ebs.release"]

  provisioner "wpbake-release" {
    version  = var.version
    manifest = local.manifest
    store    = var.store
    wpbake   = var.wpbake
    no_sudo  = var.ssh_username == "root"
  }

  post-processor "wpbake-image" {
    version  = var.version
    manifest = local.manifest
    store    = var.store
    wpbake   = var.local_wpbake
    output   = var.record
  }
}
