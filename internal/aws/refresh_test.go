package aws_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wpbake/wpbake/internal/aws/awstest"
	"github.com/wpbake/wpbake/rollout"
)

var plain = rollout.NewRefresh{
	Group:     "shop",
	Templates: []rollout.TemplateRef{{ID: "lt-1", Version: "8"}},
	Preferences: rollout.Preferences{
		MinHealthy: 100, MaxHealthy: 150, Warmup: 90 * time.Second, SkipMatching: true, AutoRollback: true, Protected: "Refresh", Standby: "Terminate",
	},
}

func startAnswers(answers ...string) map[string][]string {
	return map[string][]string{
		"DescribeAutoScalingGroups": {result("DescribeAutoScalingGroups", groupXML)},
		"StartInstanceRefresh":      answers,
	}
}

var started = result("StartInstanceRefresh", "<InstanceRefreshId>r-1</InstanceRefreshId>")

func TestStart(t *testing.T) {
	s := newScript(t, startAnswers(started))
	id, err := awstest.Clients(t, s).Cloud().Refreshes.Start(t.Context(), plain)
	if err != nil || id != "r-1" {
		t.Fatalf("got %q, %v", id, err)
	}
	s.wantSent("StartInstanceRefresh", `
		AutoScalingGroupName=shop
		DesiredConfiguration.LaunchTemplate.LaunchTemplateId=lt-1
		DesiredConfiguration.LaunchTemplate.Version=8
		Preferences.AutoRollback=true
		Preferences.BakeTime=0
		Preferences.InstanceWarmup=90
		Preferences.MaxHealthyPercentage=150
		Preferences.MinHealthyPercentage=100
		Preferences.ScaleInProtectedInstances=Refresh
		Preferences.SkipMatching=true
		Preferences.StandbyInstances=Terminate
		Strategy=Rolling
		`)
}

const policyXML = `<AutoScalingGroups><member><AutoScalingGroupName>shop</AutoScalingGroupName><HealthCheckType>ELB</HealthCheckType>
<MixedInstancesPolicy><LaunchTemplate><LaunchTemplateSpecification><LaunchTemplateId>lt-1</LaunchTemplateId>
<LaunchTemplateName>shop</LaunchTemplateName><Version>7</Version></LaunchTemplateSpecification><Overrides>
<member><InstanceType>m6i.large</InstanceType><WeightedCapacity>2</WeightedCapacity></member>
<member><InstanceType>m6g.large</InstanceType><ImageId>ami-arm</ImageId><LaunchTemplateSpecification><LaunchTemplateId>lt-2</LaunchTemplateId>
<LaunchTemplateName>shop-arm</LaunchTemplateName><Version>3</Version></LaunchTemplateSpecification></member></Overrides></LaunchTemplate>
<InstancesDistribution><OnDemandAllocationStrategy>prioritized</OnDemandAllocationStrategy><OnDemandBaseCapacity>1</OnDemandBaseCapacity>
<OnDemandPercentageAboveBaseCapacity>50</OnDemandPercentageAboveBaseCapacity><SpotAllocationStrategy>price-capacity-optimized</SpotAllocationStrategy>
</InstancesDistribution></MixedInstancesPolicy></member></AutoScalingGroups>`

func TestStartMixed(t *testing.T) {
	s := newScript(t, startAnswers(started))
	s.answers["DescribeAutoScalingGroups"] = []string{result("DescribeAutoScalingGroups", policyXML)}
	n := plain
	n.Templates = []rollout.TemplateRef{{ID: "lt-1", Version: "8"}, {ID: "lt-2", Version: "4"}}
	n.Preferences.Checkpoints, n.Preferences.CheckpointDelay = []int{20, 100}, 10*time.Minute
	n.Preferences.Alarms = []string{"errors"}
	if _, err := awstest.Clients(t, s).Cloud().Refreshes.Start(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	s.wantSent("StartInstanceRefresh", strings.ReplaceAll(`
		AutoScalingGroupName=shop
		POLICY.InstancesDistribution.OnDemandAllocationStrategy=prioritized
		POLICY.InstancesDistribution.OnDemandBaseCapacity=1
		POLICY.InstancesDistribution.OnDemandPercentageAboveBaseCapacity=50
		POLICY.InstancesDistribution.SpotAllocationStrategy=price-capacity-optimized
		POLICY.LaunchTemplate.LaunchTemplateSpecification.LaunchTemplateId=lt-1
		POLICY.LaunchTemplate.LaunchTemplateSpecification.Version=8
		POLICY.LaunchTemplate.Overrides.member.1.InstanceType=m6i.large
		POLICY.LaunchTemplate.Overrides.member.1.WeightedCapacity=2
		POLICY.LaunchTemplate.Overrides.member.2.ImageId=ami-arm
		POLICY.LaunchTemplate.Overrides.member.2.InstanceType=m6g.large
		POLICY.LaunchTemplate.Overrides.member.2.LaunchTemplateSpecification.LaunchTemplateId=lt-2
		POLICY.LaunchTemplate.Overrides.member.2.LaunchTemplateSpecification.Version=4
		Preferences.AlarmSpecification.Alarms.member.1=errors
		Preferences.AutoRollback=true
		Preferences.BakeTime=0
		Preferences.CheckpointDelay=600
		Preferences.CheckpointPercentages.member.1=20
		Preferences.CheckpointPercentages.member.2=100
		Preferences.InstanceWarmup=90
		Preferences.MaxHealthyPercentage=150
		Preferences.MinHealthyPercentage=100
		Preferences.ScaleInProtectedInstances=Refresh
		Preferences.SkipMatching=true
		Preferences.StandbyInstances=Terminate
		Strategy=Rolling
		`, "POLICY", "DesiredConfiguration.MixedInstancesPolicy"))
}

func TestStartWaitsForTheTemplate(t *testing.T) {
	unknown := refusal(400, "ValidationError", "You must use a valid fully-formed launch template. Could not find the specified version 8 for the launch template with ID lt-1.")
	virtual(t, func(t *testing.T) {
		s := newScript(t, startAnswers(unknown, unknown, unknown, started))
		if id, err := awstest.Clients(t, s).Cloud().Refreshes.Start(t.Context(), plain); err != nil || id != "r-1" {
			t.Errorf("got %q, %v", id, err)
		}
	})
	virtual(t, func(t *testing.T) {
		s := newScript(t, startAnswers(unknown))
		begin := time.Now()
		_, err := awstest.Clients(t, s).Cloud().Refreshes.Start(t.Context(), plain)
		if spent := time.Since(begin); !errors.Is(err, rollout.ErrNoTemplate) || spent < time.Minute || spent > 90*time.Second {
			t.Errorf("after %s: %v", spent, err)
		}
	})
}

func TestStartRefused(t *testing.T) {
	s := newScript(t, startAnswers(refusal(400, "InstanceRefreshInProgress", "An Instance Refresh is already in progress and blocks the execution of this Instance Refresh.")))
	refreshes := awstest.Clients(t, s).Cloud().Refreshes
	if _, err := refreshes.Start(t.Context(), plain); !errors.Is(err, rollout.ErrRefreshActive) {
		t.Errorf("got %v", err)
	}
	other := plain
	other.Templates = []rollout.TemplateRef{{ID: "lt-9", Version: "1"}}
	if _, err := refreshes.Start(t.Context(), other); err == nil || s.count("StartInstanceRefresh") != 1 {
		t.Errorf("another template: %v", err)
	}
}

func TestRollbackAndCancelRefused(t *testing.T) {
	for _, c := range []struct {
		code, message string
		want          error
	}{
		{"ActiveInstanceRefreshNotFound", "No in progress or pending Instance Refresh found for Auto Scaling group shop", rollout.ErrNoRefresh},
		{"ValidationError", "No in progress or pending Instance Refresh found for Auto Scaling group shop", rollout.ErrNoRefresh},
		{"IrreversibleInstanceRefresh", "…", rollout.ErrIrreversible},
		{"ValidationError", "The instance refresh can't be rolled back", rollout.ErrIrreversible},
		{"ValidationError", "AutoScalingGroup name not found - AutoScalingGroup shop not found", rollout.ErrNoGroup},
	} {
		s := newScript(t, map[string][]string{
			"RollbackInstanceRefresh": {refusal(400, c.code, c.message)}, "CancelInstanceRefresh": {refusal(400, c.code, c.message)},
		})
		refreshes := awstest.Clients(t, s).Cloud().Refreshes
		if err := refreshes.Rollback(t.Context(), "shop"); !errors.Is(err, c.want) {
			t.Errorf("Rollback, %s: %v is not %v", c.code, err, c.want)
		}
		if err := refreshes.Cancel(t.Context(), "shop"); c.want != rollout.ErrIrreversible && !errors.Is(err, c.want) {
			t.Errorf("Cancel, %s: %v is not %v", c.code, err, c.want)
		}
	}
}

func TestRefreshes(t *testing.T) {
	page := func(next, members string) string {
		return result("DescribeInstanceRefreshes", "<InstanceRefreshes>"+members+"</InstanceRefreshes>"+next)
	}
	policy := policyXML[strings.Index(policyXML, "<MixedInstancesPolicy>"):strings.Index(policyXML, "</member></AutoScalingGroups>")]
	s := newScript(t, map[string][]string{"DescribeInstanceRefreshes": {
		page("<NextToken>more</NextToken>", `<member><InstanceRefreshId>r-2</InstanceRefreshId><AutoScalingGroupName>shop</AutoScalingGroupName>
			<Status>RollbackInProgress</Status><StatusReason>warming up</StatusReason><StartTime>2026-11-23T20:15:00Z</StartTime>
			<PercentageComplete>25</PercentageComplete><InstancesToUpdate>2</InstancesToUpdate>
			<DesiredConfiguration>`+policy+`</DesiredConfiguration>
			<RollbackDetails><RollbackReason>alarm errors</RollbackReason></RollbackDetails></member>`),
		page("", `<member><InstanceRefreshId>r-1</InstanceRefreshId><Status>Successful</Status><StartTime>2026-11-22T20:15:00Z</StartTime>
			<EndTime>2026-11-22T20:45:00Z</EndTime><PercentageComplete>100</PercentageComplete><InstancesToUpdate>0</InstancesToUpdate>
			<DesiredConfiguration><LaunchTemplate><LaunchTemplateId>lt-1</LaunchTemplateId><Version>7</Version></LaunchTemplate></DesiredConfiguration></member>
			<member><InstanceRefreshId>r-0</InstanceRefreshId><Status>Pending</Status></member>`),
	}})
	got, err := awstest.Clients(t, s).Cloud().Refreshes.Refreshes(t.Context(), "shop")
	if err != nil {
		t.Fatal(err)
	}
	want := []rollout.Refresh{
		{ID: "r-2", Status: "RollbackInProgress", Reason: "warming up", Percent: 25, Remaining: 2, Started: time.Date(2026, 11, 23, 20, 15, 0, 0, time.UTC),
			Templates:      []rollout.TemplateRef{{ID: "lt-1", Name: "shop", Version: "7"}, {ID: "lt-2", Name: "shop-arm", Version: "3"}},
			RollbackReason: "alarm errors"},
		{ID: "r-1", Status: "Successful", Percent: 100, Started: time.Date(2026, 11, 22, 20, 15, 0, 0, time.UTC),
			Ended: time.Date(2026, 11, 22, 20, 45, 0, 0, time.UTC), Templates: []rollout.TemplateRef{{ID: "lt-1", Version: "7"}}},
		{ID: "r-0", Status: "Pending"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
