package autoscaling

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
)

func TestStartInstanceRefreshRefuses(t *testing.T) {
	many := make([]string, 11)
	type input = autoscaling.StartInstanceRefreshInput
	prefs := func(p types.RefreshPreferences) input { return input{Preferences: &p} }
	cases := []struct {
		name  string
		saved string
		in    input
		code  string
		text  string
	}{
		{"min too high", "1", input{Preferences: healthyRange(101, 110)}, "ValidationError", "MinHealthyPercentage"},
		{"max too low", "1", input{Preferences: healthyRange(90, 99)}, "ValidationError", "MaxHealthyPercentage"},
		{"max without min", "1", prefs(types.RefreshPreferences{MaxHealthyPercentage: aws.Int32(110)}), "ValidationError", "MinHealthyPercentage must be specified"},
		{"too far apart", "1", input{Preferences: healthyRange(50, 200)}, "ValidationError", "difference"},
		{"delay without checkpoints", "1", prefs(types.RefreshPreferences{CheckpointDelay: aws.Int32(60)}), "ValidationError", "CheckpointDelay"},
		{"checkpoints descend", "1", prefs(types.RefreshPreferences{CheckpointPercentages: []int32{50, 20}}), "ValidationError", "ascending"},
		{"checkpoint out of range", "1", prefs(types.RefreshPreferences{CheckpointPercentages: []int32{0}}), "ValidationError", "between 1 and 100"},
		{"bake too long", "1", prefs(types.RefreshPreferences{BakeTime: aws.Int32(172801)}), "ValidationError", "BakeTime"},
		{"warm-up negative", "1", prefs(types.RefreshPreferences{InstanceWarmup: aws.Int32(-1)}), "ValidationError", "InstanceWarmup"},
		{"too many alarms", "1", prefs(types.RefreshPreferences{AlarmSpecification: &types.AlarmSpecification{Alarms: many}}), "ValidationError", "10 alarms"},
		{"alarm rings", "1", prefs(types.RefreshPreferences{AlarmSpecification: &types.AlarmSpecification{Alarms: []string{"ringing"}}}), "ValidationError", "ALARM"},
		{"alarm is unsure", "1", prefs(types.RefreshPreferences{AlarmSpecification: &types.AlarmSpecification{Alarms: []string{"unsure"}}}), "ValidationError", "INSUFFICIENT_DATA"},
		{"alarm is missing", "1", prefs(types.RefreshPreferences{AlarmSpecification: &types.AlarmSpecification{Alarms: []string{"none"}}}), "ValidationError", "does not exist"},
		{"rollback without target", "1", prefs(types.RefreshPreferences{AutoRollback: aws.Bool(true)}), "ValidationError", "The AutoRollback parameter cannot be set to true when the DesiredConfiguration parameter is empty."},
		{"rollback to $Latest", "$Latest", input{Preferences: &types.RefreshPreferences{AutoRollback: aws.Bool(true)}, DesiredConfiguration: to("2")}, "ValidationError", "$Latest"},
		{"missing version", "1", input{DesiredConfiguration: to("9")}, "ValidationError", "does not exist"},
		{"missing template", "1", input{DesiredConfiguration: &types.DesiredConfiguration{LaunchTemplate: &types.LaunchTemplateSpecification{LaunchTemplateId: aws.String("lt-x")}}}, "ValidationError", "does not exist"},
		{"ssm image", "3", input{DesiredConfiguration: to("2")}, "ValidationError", "Systems Manager"},
		{"root volume", "1", input{Strategy: types.RefreshStrategyReplaceRootVolume}, "ValidationError", "ReplaceRootVolume"},
		{"no such group", "1", input{AutoScalingGroupName: aws.String("none")}, "ValidationError", "AutoScalingGroup name not found"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				if c.saved == "3" {
					w.images[3] = "resolve:ssm:/image"
				}
				w.setAlarm("ringing", "ALARM")
				w.setAlarm("unsure", "INSUFFICIENT_DATA")
				w.group(0, func(in *autoscaling.CreateAutoScalingGroupInput) { in.LaunchTemplate = version(c.saved) })
				if c.in.AutoScalingGroupName == nil {
					c.in.AutoScalingGroupName = aws.String(shop)
				}
				_, err := w.service.startInstanceRefresh(w.Context(), &c.in)
				if code(err) != c.code || !strings.Contains(err.Error(), c.text) {
					t.Errorf("got %v, want %s with %q", err, c.code, c.text)
				}
			})
		})
	}
}

func TestRefreshControlRefuses(t *testing.T) {
	name := aws.String(shop)
	rollback := func(w *world) error {
		_, err := w.service.rollbackInstanceRefresh(w.Context(), &autoscaling.RollbackInstanceRefreshInput{AutoScalingGroupName: name})
		return err
	}
	cases := []struct {
		name string
		do   func(*world) error
		code string
		text string
	}{
		{"start while active", func(w *world) error {
			w.start(nil, to("2"))
			_, err := w.service.startInstanceRefresh(w.Context(), &autoscaling.StartInstanceRefreshInput{AutoScalingGroupName: name})
			return err
		}, "InstanceRefreshInProgress", "An Instance Refresh is already in progress and blocks the execution of this Instance Refresh."},
		{"cancel without one", func(w *world) error {
			_, err := w.service.cancelInstanceRefresh(w.Context(), &autoscaling.CancelInstanceRefreshInput{AutoScalingGroupName: name})
			return err
		}, "ActiveInstanceRefreshNotFound", "No in progress or pending Instance Refresh found"},
		{"rollback without one", rollback, "ActiveInstanceRefreshNotFound", "No in progress or pending Instance Refresh found"},
		{"rollback without target", func(w *world) error {
			w.start(nil, nil)
			return rollback(w)
		}, "IrreversibleInstanceRefresh", "no desired configuration"},
		{"rollback while rolling back", func(w *world) error {
			w.start(nil, to("2"))
			if err := rollback(w); err != nil {
				return err
			}
			return rollback(w)
		}, "ActiveInstanceRefreshNotFound", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.group(2)
				if err := c.do(w); code(err) != c.code || !strings.Contains(err.Error(), c.text) {
					t.Errorf("got %v, want %s with %q", err, c.code, c.text)
				}
			})
		})
	}
}

func TestRollbackOfAFloatingGroupIsIrreversible(t *testing.T) {
	inWorld(t, func(w *world) {
		w.group(2, func(in *autoscaling.CreateAutoScalingGroupInput) { in.LaunchTemplate = version("$Latest") })
		w.start(nil, to("2"))
		_, err := w.service.rollbackInstanceRefresh(w.Context(), &autoscaling.RollbackInstanceRefreshInput{AutoScalingGroupName: aws.String(shop)})
		if code(err) != "IrreversibleInstanceRefresh" {
			t.Errorf("got %v", err)
		}
	})
}

func TestEffectivePreferences(t *testing.T) {
	inWorld(t, func(w *world) {
		w.group(1, func(in *autoscaling.CreateAutoScalingGroupInput) {
			in.DefaultInstanceWarmup, in.HealthCheckGracePeriod = nil, aws.Int32(77)
			in.InstanceMaintenancePolicy = &types.InstanceMaintenancePolicy{MinHealthyPercentage: aws.Int32(100), MaxHealthyPercentage: aws.Int32(150)}
		})
		w.start(&types.RefreshPreferences{CheckpointPercentages: []int32{100}}, nil)
		p := w.refresh().Preferences
		if *p.MinHealthyPercentage != 100 || *p.MaxHealthyPercentage != 150 || *p.InstanceWarmup != 77 || *p.CheckpointDelay != 3600 ||
			*p.SkipMatching || *p.AutoRollback || p.ScaleInProtectedInstances != "Wait" || p.StandbyInstances != "Wait" || p.AlarmSpecification == nil {
			t.Errorf("preferences %+v", p)
		}
		if r := w.refresh(); r.Status != types.InstanceRefreshStatusPending || r.StartTime != nil || r.EndTime != nil || r.ProgressDetails != nil {
			t.Errorf("a pending refresh: %+v", r)
		}
	})
}

func TestDescribeGroups(t *testing.T) {
	inWorld(t, func(w *world) {
		w.group(2, func(in *autoscaling.CreateAutoScalingGroupInput) {
			in.Tags = []types.Tag{{Key: aws.String("role"), Value: aws.String("web"), PropagateAtLaunch: aws.Bool(true)}}
		})
		if got := w.launches()[0].Tags; got["role"] != "web" || got["aws:autoscaling:groupName"] != shop {
			t.Errorf("tags at launch: %v", got)
		}
		none := must(w.service.describeGroups(w.Context(), &autoscaling.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: []string{"none"}}))
		if len(none.AutoScalingGroups) != 0 {
			t.Error("an unknown name is found")
		}
		second := &autoscaling.CreateAutoScalingGroupInput{
			AutoScalingGroupName: aws.String("blog"), MinSize: aws.Int32(0), MaxSize: aws.Int32(0),
			AvailabilityZones: []string{"eu-central-1a"}, LaunchTemplate: version("$Default"),
		}
		must(w.service.createGroup(w.Context(), second))
		if _, err := w.service.createGroup(w.Context(), second); code(err) != "AlreadyExists" {
			t.Errorf("creating twice: %v", err)
		}
		one := must(w.service.describeGroups(w.Context(), &autoscaling.DescribeAutoScalingGroupsInput{MaxRecords: aws.Int32(1)}))
		if len(one.AutoScalingGroups) != 1 || *one.AutoScalingGroups[0].AutoScalingGroupName != "blog" || one.NextToken == nil {
			t.Fatalf("first page: %+v", one)
		}
		two := must(w.service.describeGroups(w.Context(), &autoscaling.DescribeAutoScalingGroupsInput{MaxRecords: aws.Int32(1), NextToken: one.NextToken, IncludeInstances: aws.Bool(false)}))
		if len(two.AutoScalingGroups) != 1 || two.NextToken != nil || len(two.AutoScalingGroups[0].Instances) != 0 {
			t.Errorf("second page: %+v", two)
		}
		if _, err := w.service.describeGroups(w.Context(), &autoscaling.DescribeAutoScalingGroupsInput{NextToken: aws.String("x")}); code(err) != "InvalidNextToken" {
			t.Errorf("bad token: %v", err)
		}
		byTag := must(w.service.describeGroups(w.Context(), &autoscaling.DescribeAutoScalingGroupsInput{Filters: []types.Filter{{Name: aws.String("tag:role"), Values: []string{"web"}}}}))
		if len(byTag.AutoScalingGroups) != 1 {
			t.Errorf("%d groups by tag", len(byTag.AutoScalingGroups))
		}
		i := must(w.service.describeInstances(w.Context(), &autoscaling.DescribeAutoScalingInstancesInput{})).AutoScalingInstances
		if len(i) != 2 || *i[0].HealthStatus != "HEALTHY" || *i[0].AutoScalingGroupName != shop {
			t.Errorf("instances: %+v", i)
		}
		states := must(w.service.describeTargetGroups(w.Context(), &autoscaling.DescribeLoadBalancerTargetGroupsInput{AutoScalingGroupName: aws.String(shop)}))
		if s := states.LoadBalancerTargetGroups; len(s) != 1 || *s[0].State != "InService" {
			t.Errorf("target groups: %+v", s)
		}
	})
}

func TestLifecycleHooks(t *testing.T) {
	inWorld(t, func(w *world) {
		w.group(0)
		put := func(in autoscaling.PutLifecycleHookInput) error {
			in.AutoScalingGroupName, in.LifecycleHookName = aws.String(shop), aws.String("boot")
			_, err := w.service.putLifecycleHook(w.Context(), &in)
			return err
		}
		for name, in := range map[string]autoscaling.PutLifecycleHookInput{
			"no transition":    {},
			"wrong transition": {LifecycleTransition: aws.String("autoscaling:EC2_INSTANCE_BOOTING")},
			"heartbeat":        {LifecycleTransition: aws.String(launching), HeartbeatTimeout: aws.Int32(29)},
			"result":           {LifecycleTransition: aws.String(launching), DefaultResult: aws.String("RETRY")},
		} {
			if err := put(in); code(err) != "ValidationError" {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := put(autoscaling.PutLifecycleHookInput{LifecycleTransition: aws.String(launching)}); err != nil {
			t.Fatal(err)
		}
		if err := put(autoscaling.PutLifecycleHookInput{HeartbeatTimeout: aws.Int32(7200)}); err != nil {
			t.Fatal(err)
		}
		hooks := must(w.service.describeLifecycleHooks(w.Context(), &autoscaling.DescribeLifecycleHooksInput{AutoScalingGroupName: aws.String(shop)})).LifecycleHooks
		if h := hooks[0]; len(hooks) != 1 || *h.HeartbeatTimeout != 7200 || *h.GlobalTimeout != 172800 || *h.DefaultResult != resultAbandon || *h.LifecycleTransition != launching {
			t.Errorf("hook %+v", h)
		}
		w.desire(1)
		id := w.inState(types.LifecycleStatePendingWait)
		_, err := w.service.completeLifecycleAction(w.Context(), &autoscaling.CompleteLifecycleActionInput{
			AutoScalingGroupName: aws.String(shop), LifecycleHookName: aws.String("boot"), LifecycleActionToken: aws.String(uuid()), LifecycleActionResult: aws.String(resultContinue),
		})
		if code(err) != "ValidationError" || !strings.Contains(err.Error(), "No active Lifecycle Action found with token") {
			t.Errorf("wrong token: %v", err)
		}
		must(w.service.deleteLifecycleHook(w.Context(), &autoscaling.DeleteLifecycleHookInput{AutoScalingGroupName: aws.String(shop), LifecycleHookName: aws.String("boot")}))
		w.until(time.Minute, "a node without its hook goes on", func() bool { return w.state(id) == types.LifecycleStateInService })
	})
}

// Every clock of AWS's runs faster by the same factor.
func TestSpeed(t *testing.T) {
	inWorldAt(t, 60, func(w *world) {
		w.group(1)
		p := healthyRange(100, 200)
		p.InstanceWarmup, p.BakeTime = aws.Int32(3600), aws.Int32(7200)
		began := time.Now()
		w.start(p, to("2"))
		w.reaches(types.InstanceRefreshStatusSuccessful, time.Hour)
		if took := time.Since(began); took < 3*time.Minute || took > 6*time.Minute {
			t.Errorf("an hour of warm-up and two of baking took %s at 60 times the speed", took)
		}
	})
}
