#!/usr/bin/env bash
# Launch templates: create one, give it a second version, read both.
. "$(dirname "$0")/lib.sh"

name=cli-$RANDOM
id=$(aws ec2 create-launch-template --launch-template-name "$name" \
	--launch-template-data '{"ImageId":"ami-0a1b2c3d4e5f60718","InstanceType":"t3.small"}' \
	--query LaunchTemplate.LaunchTemplateId)
case $id in lt-*) ;; *) fail "template id \"$id\"" ;; esac

number=$(aws ec2 create-launch-template-version --launch-template-id "$id" --version-description 'by the CLI' \
	--launch-template-data '{"ImageId":"ami-0a1b2c3d4e5f60718","InstanceType":"t3.medium"}' \
	--query LaunchTemplateVersion.VersionNumber)
want 2 "$number" "number of the second version"

types=$(aws ec2 describe-launch-template-versions --launch-template-id "$id" --versions 1 2 \
	--query 'sort_by(LaunchTemplateVersions,&VersionNumber)[].LaunchTemplateData.InstanceType')
want $'t3.small\tt3.medium' "$types" "instance types of both versions"

default=$(aws ec2 describe-launch-templates --launch-template-names "$name" \
	--query 'LaunchTemplates[0].[DefaultVersionNumber,LatestVersionNumber]')
want $'1\t2' "$default" "default and latest version"

refused InvalidLaunchTemplateName.AlreadyExistsException aws ec2 create-launch-template \
	--launch-template-name "$name" --launch-template-data '{"InstanceType":"t3.small"}'
refused InvalidLaunchTemplateId.VersionNotFound aws ec2 describe-launch-template-versions \
	--launch-template-id "$id" --versions 9

aws ec2 delete-launch-template --launch-template-id "$id" >/dev/null
say "launch templates: created, versioned, read, refused, deleted"
