#!/usr/bin/env bash
# An instance refresh of the group $GROUP: started, watched, rolled back; a
# second one cancelled. The group runs as it did afterwards.
. "$(dirname "$0")/lib.sh"

group() { aws autoscaling describe-auto-scaling-groups --auto-scaling-group-names "$GROUP" --query "AutoScalingGroups[0].$1"; }
state() { aws autoscaling describe-instance-refreshes --auto-scaling-group-name "$GROUP" --instance-refresh-ids "$1" --query 'InstanceRefreshes[0].Status'; }

template=$(group LaunchTemplate.LaunchTemplateId)
# A group on $Latest has no version to go back to: AWS rolls none back.
version=$(aws ec2 describe-launch-template-versions --launch-template-id "$template" --versions "\$Latest" \
	--query 'LaunchTemplateVersions[0].VersionNumber')
aws autoscaling update-auto-scaling-group --auto-scaling-group-name "$GROUP" \
	--launch-template "LaunchTemplateId=$template,Version=$version"
want "$version" "$(group LaunchTemplate.Version)" "saved version after it was pinned"
desired=$(group DesiredCapacity)
targets=$(group 'TargetGroupARNs[0]')
want "$desired" "$(group "length(Instances[?LifecycleState=='InService'])")" "nodes in service"

healthy() {
	aws elbv2 describe-target-health --target-group-arn "$targets" \
		--query "length(TargetHealthDescriptions[?TargetHealth.State=='healthy'])"
}
want "$desired" "$(healthy)" "healthy targets"

# A template version of the same data and another description: the new nodes
# are as good as the old ones.
data=$(aws ec2 describe-launch-template-versions --launch-template-id "$template" --versions "$version" \
	--query 'LaunchTemplateVersions[0].LaunchTemplateData' --output json)
next=$(aws ec2 create-launch-template-version --launch-template-id "$template" \
	--launch-template-data "$data" --query LaunchTemplateVersion.VersionNumber)

# After the first node it waits for an hour, so that it is under way however long
# the CLI takes to start.
start() {
	aws autoscaling start-instance-refresh --auto-scaling-group-name "$GROUP" \
		--desired-configuration "{\"LaunchTemplate\":{\"LaunchTemplateId\":\"$template\",\"Version\":\"$next\"}}" \
		--preferences '{"MinHealthyPercentage":100,"MaxHealthyPercentage":200,"InstanceWarmup":30,"SkipMatching":true,"CheckpointPercentages":[34,100],"CheckpointDelay":3600}' \
		--query InstanceRefreshId
}
rollback() {
	if knows autoscaling rollback-instance-refresh AutoScalingGroupName; then
		aws autoscaling rollback-instance-refresh --auto-scaling-group-name "$GROUP" --query InstanceRefreshId
	else
		say "this AWS CLI knows no rollback-instance-refresh: curl makes the call" >&2
		signed autoscaling --fail-with-body "$AWS_ENDPOINT_URL/" \
			--data "Action=RollbackInstanceRefresh&Version=2011-01-01&AutoScalingGroupName=$GROUP" |
			sed -n 's:.*<InstanceRefreshId>\(.*\)</InstanceRefreshId>.*:\1:p'
	fi
}

id=$(start)
refused InstanceRefreshInProgress start
until_is InProgress 120 state "$id"
want "$id" "$(rollback)" "the refresh that is rolled back"
until_is RollbackSuccessful 120 state "$id"
want "$version" "$(group LaunchTemplate.Version)" "saved version after the rollback"
say "refresh $id: started, watched, rolled back"

id=$(start)
until_is InProgress 120 state "$id"
want "$id" "$(aws autoscaling cancel-instance-refresh --auto-scaling-group-name "$GROUP" --query InstanceRefreshId)" "the refresh that is cancelled"
until_is Cancelled 120 state "$id"
want "$version" "$(group LaunchTemplate.Version)" "saved version after the cancel"
refused ActiveInstanceRefreshNotFound aws autoscaling cancel-instance-refresh --auto-scaling-group-name "$GROUP"
say "refresh $id: started, cancelled"

want 2 "$(aws autoscaling describe-instance-refreshes --auto-scaling-group-name "$GROUP" --query 'length(InstanceRefreshes)')" "refreshes of the group"
activities=$(aws autoscaling describe-scaling-activities --auto-scaling-group-name "$GROUP" --query 'length(Activities)')
[ "$activities" -ge "$desired" ] || fail "only $activities scaling activities"
