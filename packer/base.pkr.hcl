# A base image: nginx, PHP-FPM, PHP's client of memcached and wpbake, as
# docs/node.md wants a node. Release images are made from it; where nodes fetch
# their release or get it as a volume, they launch from it. See packer/README.md.

packer {
  required_plugins {
    amazon = {
      source  = "github.com/hashicorp/amazon"
      version = ">= 1.8.0"
    }
  }
}

variable "os" {
  type        = string
  default     = "debian-12"
  description = "debian-12, debian-13, ubuntu-22.04, ubuntu-24.04 or al2023."
  validation {
    condition     = contains(["debian-12", "debian-13", "ubuntu-22.04", "ubuntu-24.04", "al2023"], var.os)
    error_message = "The os is one of debian-12, debian-13, ubuntu-22.04, ubuntu-24.04 and al2023."
  }
}

variable "arch" {
  type    = string
  default = "amd64"
  validation {
    condition     = contains(["amd64", "arm64"], var.arch)
    error_message = "The arch is amd64 or arm64."
  }
}

variable "wpbake" {
  type        = string
  description = "The program to install, for the instance's architecture."
}

variable "region" {
  type    = string
  default = env("AWS_REGION")
}

variable "source_image" {
  type        = string
  default     = ""
  description = "Id of the image to start from; empty means the newest of the os."
}

variable "image_prefix" {
  type    = string
  default = "wpbake-base"
}

variable "run" {
  type        = string
  default     = ""
  description = "One build, in one word: part of the image's name and a tag of everything that the build makes; empty takes the time."
}

variable "lifetime" {
  type        = number
  default     = 7200
  description = "Seconds after which the build instance ends itself."
}

variable "listen" {
  type        = string
  default     = "80"
  description = "What nginx listens on: a port, or ADDRESS:PORT."
}

variable "children" {
  type        = number
  default     = 8
  description = "Processes of PHP on a node."
}

variable "site_host" {
  type        = string
  default     = ""
  description = "Host name of the site, which the gate asks for by https."
}

variable "gate_body" {
  type        = string
  default     = ""
  description = "Text that every page of the site has: an empty page is none."
}

variable "parameters" {
  type        = string
  default     = ""
  description = "Path of the site's parameters in Parameter Store, such as /shop/production/."
}

variable "node_yaml" {
  type        = string
  default     = ""
  description = "Absolute path of a node.yaml of your own, instead of the three above."
}

variable "instance_type" {
  type        = string
  default     = ""
  description = "Empty means t3.small or t4g.small."
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
  type        = string
  default     = ""
  description = "Empty means the os's own."
}

variable "ssh_port" {
  type    = number
  default = 22
}

locals {
  debian = { owner = "136693071363", user = "admin" }
  ubuntu = { owner = "099720109477", user = "ubuntu" }
  amazon = { owner = "137112412989", user = "ec2-user" }
  known = {
    "debian-12"    = merge(local.debian, { name = "debian-12-${var.arch}-*" })
    "debian-13"    = merge(local.debian, { name = "debian-13-${var.arch}-*" })
    "ubuntu-22.04" = merge(local.ubuntu, { name = "ubuntu/images/hvm-ssd*/ubuntu-jammy-22.04-${var.arch}-server-*" })
    "ubuntu-24.04" = merge(local.ubuntu, { name = "ubuntu/images/hvm-ssd*/ubuntu-noble-24.04-${var.arch}-server-*" })
    "al2023"       = merge(local.amazon, { name = "al2023-ami-2023.*-${var.arch == "amd64" ? "x86_64" : "arm64"}" })
  }
  os   = local.known[var.os]
  user = var.ssh_username != "" ? var.ssh_username : local.os.user
  run  = var.run != "" ? var.run : formatdate("YYYYMMDD'T'hhmmss'Z'", timestamp())

  # wpbake sweep knows by these what a build that was killed has left.
  tags = {
    "wpbake:run"     = local.run
    "wpbake:expires" = timeadd(timestamp(), "${var.lifetime}s")
  }
}

source "amazon-ebs" "base" {
  region            = var.region
  ami_name          = "${var.image_prefix}-${var.os}-${var.arch}-${local.run}"
  ami_description   = "nginx, PHP-FPM and wpbake on ${var.os}"
  imds_support      = "v2.0"
  instance_type     = var.instance_type != "" ? var.instance_type : var.arch == "amd64" ? "t3.small" : "t4g.small"
  subnet_id         = var.subnet_id
  ssh_username      = local.user
  ssh_port          = var.ssh_port
  source_ami        = var.source_image
  shutdown_behavior = "terminate"
  user_data         = templatefile("scripts/self-destruct.sh", { lifetime = var.lifetime })

  temporary_security_group_source_cidrs = var.ssh_from
  ssh_clear_authorized_keys             = true

  dynamic "source_ami_filter" {
    for_each = var.source_image == "" ? [1] : []
    content {
      owners      = [local.os.owner]
      most_recent = true
      filters = {
        name                = local.os.name
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
  tags            = merge(local.tags, { "wpbake:base" = var.os })
}

build {
  sources = ["source.amazon-ebs.base"]

  provisioner "shell" {
    inline = ["mkdir -p /tmp/wpbake-base"]
  }

  provisioner "file" {
    source      = "${path.root}/files/"
    destination = "/tmp/wpbake-base"
  }

  provisioner "file" {
    source      = var.wpbake
    destination = "/tmp/wpbake-base/wpbake"
  }

  provisioner "shell" {
    script = "${path.root}/scripts/base.sh"
    environment_vars = [
      "WPBAKE_FILES=/tmp/wpbake-base",
      "WPBAKE_LISTEN=${var.listen}",
      "WPBAKE_CHILDREN=${var.children}",
      "WPBAKE_HOST=${var.site_host}",
      "WPBAKE_BODY=${var.gate_body}",
      "WPBAKE_PARAMETERS=${var.parameters}",
      "WPBAKE_NODE_YAML=${var.node_yaml == "" ? "" : base64encode(file(var.node_yaml))}",
    ]
    execute_command = local.user == "root" ? "chmod +x {{ .Path }}; {{ .Vars }} {{ .Path }}" : "chmod +x {{ .Path }}; {{ .Vars }} sudo -E {{ .Path }}"
  }
}
