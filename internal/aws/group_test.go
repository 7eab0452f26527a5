package aws_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wpbake/wpbake/internal/aws/awstest"
	"github.com/wpbake/wpbake/rollout"
)

const groupXML = `<AutoScalingGroups><member>
<AutoScalingGroupName>shop</AutoScalingGroupName>
<AutoScalingGroupARN>arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:u:autoScalingGroupName/shop</AutoScalingGroupARN>
<MinSize>2</MinSize><MaxSize>6</MaxSize><DesiredCapacity>3</DesiredCapacity><DefaultCooldown>300</DefaultCooldown>
<LaunchTemplate><LaunchTemplateId>lt-1</LaunchTemplateId><LaunchTemplateName>shop</LaunchTemplateName><Version>$Latest</Version></LaunchTemplate>
<HealthCheckType>EC2,ELB</HealthCheckType><HealthCheckGracePeriod>300</HealthCheckGracePeriod>
<TargetGroupARNs><member>arn:tg/1</member><member>arn:tg/2</member></TargetGroupARNs>
<SuspendedProcesses><member><ProcessName>AZRebalance</ProcessName><SuspensionReason>User</SuspensionReason></member></SuspendedProcesses>
<NewInstancesProtectedFromScaleIn>true</NewInstancesProtectedFromScaleIn>
<Instances>
<member><InstanceId>i-1</InstanceId><AvailabilityZone>eu-central-1a</AvailabilityZone><InstanceType>t3.small</InstanceType>
<LifecycleState>InService</LifecycleState><HealthStatus>Healthy</HealthStatus><ProtectedFromScaleIn>true</ProtectedFromScaleIn>
<LaunchTemplate><LaunchTemplateId>lt-1</LaunchTemplateId><LaunchTemplateName>shop</LaunchTemplateName><Version>7</Version></LaunchTemplate></member>
<member><InstanceId>i-2</InstanceId><AvailabilityZone>eu-central-1b</AvailabilityZone><LifecycleState>Pending:Wait</LifecycleState>
<HealthStatus>UNHEALTHY</HealthStatus><ProtectedFromScaleIn>false</ProtectedFromScaleIn></member>
</Instances></member></AutoScalingGroups>`

const hooksXML = `<LifecycleHooks>
<member><LifecycleHookName>wpbake-boot</LifecycleHookName><AutoScalingGroupName>shop</AutoScalingGroupName><DefaultResult>ABANDON</DefaultResult>
<LifecycleTransition>autoscaling:EC2_INSTANCE_LAUNCHING</LifecycleTransition><HeartbeatTimeout>900</HeartbeatTimeout><GlobalTimeout>90000</GlobalTimeout></member>
<member><LifecycleHookName>drain</LifecycleHookName><AutoScalingGroupName>shop</AutoScalingGroupName><DefaultResult>CONTINUE</DefaultResult>
<LifecycleTransition>autoscaling:EC2_INSTANCE_TERMINATING</LifecycleTransition><HeartbeatTimeout>30</HeartbeatTimeout></member>
</LifecycleHooks>`

func TestGroup(t *testing.T) {
	s := newScript(t, map[string][]string{
		"DescribeAutoScalingGroups": {result("DescribeAutoScalingGroups", groupXML)},
		"DescribeLifecycleHooks":    {result("DescribeLifecycleHooks", hooksXML)},
	})
	got, err := awstest.Clients(t, s).Cloud().Groups.Group(t.Context(), "shop")
	if err != nil {
		t.Fatal(err)
	}
	want := rollout.Group{
		Name: "shop", ARN: "arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:u:autoScalingGroupName/shop",
		Min: 2, Max: 6, Desired: 3,
		Templates:    []rollout.TemplateRef{{ID: "lt-1", Name: "shop", Version: "$Latest"}},
		HealthChecks: []string{"EC2", "ELB"}, Grace: 5 * time.Minute, Warmup: -1,
		TargetGroups: []string{"arn:tg/1", "arn:tg/2"}, Suspended: []string{"AZRebalance"}, ProtectsNew: true,
		Hooks: []rollout.Hook{
			{Name: "wpbake-boot", Launching: true, DefaultResult: "ABANDON", Heartbeat: 15 * time.Minute},
			{Name: "drain", DefaultResult: "CONTINUE", Heartbeat: 30 * time.Second},
		},
		Nodes: []rollout.Node{
			{ID: "i-1", Zone: "eu-central-1a", Type: "t3.small", Lifecycle: "InService", Healthy: true, Protected: true, Template: rollout.TemplateRef{ID: "lt-1", Name: "shop", Version: "7"}},
			{ID: "i-2", Zone: "eu-central-1b", Lifecycle: "Pending:Wait"},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	s.wantSent("DescribeAutoScalingGroups", "AutoScalingGroupNames.member.1=shop\n")
}

func TestNoGroup(t *testing.T) {
	s := newScript(t, map[string][]string{
		"DescribeAutoScalingGroups": {result("DescribeAutoScalingGroups", "<AutoScalingGroups/>")},
		"PutLifecycleHook":          {refusal(400, "ValidationError", "AutoScalingGroup name not found - null")},
	})
	groups := awstest.Clients(t, s).Cloud().Groups
	if _, err := groups.Group(t.Context(), "shop"); !errors.Is(err, rollout.ErrNoGroup) {
		t.Errorf("Group: %v", err)
	}
	if err := groups.Pin(t.Context(), "shop", nil); !errors.Is(err, rollout.ErrNoGroup) {
		t.Errorf("Pin: %v", err)
	}
	if err := groups.PutHook(t.Context(), "shop", rollout.Hook{Name: "h"}); !errors.Is(err, rollout.ErrNoGroup) {
		t.Errorf("PutHook: %v", err)
	}
}

func TestPin(t *testing.T) {
	s := newScript(t, map[string][]string{
		"DescribeAutoScalingGroups": {result("DescribeAutoScalingGroups", groupXML)},
		"UpdateAutoScalingGroup":    {"<UpdateAutoScalingGroupResponse/>"},
		"PutLifecycleHook":          {result("PutLifecycleHook", "")},
	})
	groups := awstest.Clients(t, s).Cloud().Groups
	if err := groups.Pin(t.Context(), "shop", []rollout.TemplateRef{{ID: "lt-1", Name: "shop", Version: "7"}}); err != nil {
		t.Fatal(err)
	}
	s.wantSent("UpdateAutoScalingGroup", `
		AutoScalingGroupName=shop
		LaunchTemplate.LaunchTemplateId=lt-1
		LaunchTemplate.Version=7
		`)
	hook := rollout.Hook{Name: "wpbake-boot", Launching: true, DefaultResult: "ABANDON", Heartbeat: 1500 * time.Millisecond}
	if err := groups.PutHook(t.Context(), "shop", hook); err != nil {
		t.Fatal(err)
	}
	s.wantSent("PutLifecycleHook", `
		AutoScalingGroupName=shop
		DefaultResult=ABANDON
		HeartbeatTimeout=2
		LifecycleHookName=wpbake-boot
		LifecycleTransition=autoscaling:EC2_INSTANCE_LAUNCHING
		`)
}

func activity(id, started, rest string) string {
	return "<member><ActivityId>" + id + "</ActivityId><StartTime>" + started + "</StartTime>" + rest + "</member>"
}

func TestActivities(t *testing.T) {
	const ended = "<EndTime>2026-11-23T23:00:00Z</EndTime>"
	page := func(next, members string) string {
		return result("DescribeScalingActivities", "<Activities>"+members+"</Activities>"+next)
	}
	s := newScript(t, map[string][]string{"DescribeScalingActivities": {
		page("<NextToken>two</NextToken>", activity("running-old", "2026-11-23T10:00:00Z", "")+
			activity("running", "2026-11-23T20:00:00Z", "<StatusCode>InProgress</StatusCode>")),
		page("<NextToken>three</NextToken>", activity("newest", "2026-11-23T21:00:00Z", ended+
			"<StatusCode>Failed</StatusCode><Description>Launching a new EC2 instance</Description><Cause>At …</Cause><StatusMessage>no capacity</StatusMessage>")+
			activity("just", "2026-11-23T19:00:00Z", ended)+activity("older", "2026-11-23T18:59:59Z", ended)),
		page("", activity("never read", "2026-11-23T01:00:00Z", ended)),
	}})
	got, err := awstest.Clients(t, s).Cloud().Groups.Activities(t.Context(), "shop", time.Date(2026, 11, 23, 19, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	at := func(hour int) time.Time { return time.Date(2026, 11, 23, hour, 0, 0, 0, time.UTC) }
	want := []rollout.Activity{
		{ID: "newest", Status: "Failed", Description: "Launching a new EC2 instance", Cause: "At …", Message: "no capacity", Started: at(21)},
		{ID: "running", Status: "InProgress", Started: at(20)},
		{ID: "just", Started: at(19)},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if n := s.count("DescribeScalingActivities"); n != 2 {
		t.Errorf("%d pages were read", n)
	}
}
