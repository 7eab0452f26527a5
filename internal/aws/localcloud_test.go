package aws_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	astypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/google/go-cmp/cmp"

	"github.com/wpbake/wpbake/internal/aws"
	"github.com/wpbake/wpbake/internal/aws/awstest"
	"github.com/wpbake/wpbake/internal/localcloud"
	"github.com/wpbake/wpbake/internal/localcloud/control"
	localec2 "github.com/wpbake/wpbake/internal/localcloud/ec2"
	"github.com/wpbake/wpbake/node"
	"github.com/wpbake/wpbake/rollout"
)

// machines boot at once and answer every probe.
type machines struct{}

func (machines) Start(context.Context, localec2.Machine) (localec2.Process, error) {
	return &machine{gone: make(chan struct{})}, nil
}

func (machines) Probe(context.Context, string, string) (int, error) { return http.StatusOK, nil }

type machine struct {
	once sync.Once
	gone chan struct{}
}

func (m *machine) Console() []byte            { return []byte("user data began\n") }
func (m *machine) Stop(context.Context) error { return m.Kill() }
func (m *machine) Done() <-chan struct{}      { return m.gone }
func (m *machine) Kill() error {
	m.once.Do(func() { close(m.gone) })
	return nil
}

// local is a local cloud in a bubble.
type local struct {
	*aws.Clients
	t      *testing.T
	cloud  *localcloud.Cloud
	driven rollout.Cloud
	tg     string
}

func onLocalCloud(t *testing.T, lag time.Duration, f func(l local)) {
	t.Helper()
	virtual(t, func(t *testing.T) {
		cloud, err := localcloud.New(localcloud.Options{NoServe: true, AccessKey: awstest.AccessKey, SecretKey: awstest.SecretKey, Endpoint: awstest.Endpoint, Runner: machines{}, Prober: machines{}, Lag: lag})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- cloud.Run(ctx) }()
		defer func() {
			cancel()
			if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}()
		clients := awstest.Clients(t, cloud)
		f(local{Clients: clients, t: t, cloud: cloud, driven: clients.Cloud()})
	})
}

func (l local) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

func (l local) template(name string, data *ec2types.RequestLaunchTemplateData) rollout.TemplateRef {
	l.t.Helper()
	out, err := l.EC2().CreateLaunchTemplate(l.t.Context(), &ec2.CreateLaunchTemplateInput{LaunchTemplateName: &name, LaunchTemplateData: data})
	l.must(err)
	return rollout.TemplateRef{ID: *out.LaunchTemplate.LaunchTemplateId, Name: name, Version: "1"}
}

// next is a new version of a template.
func (l local) next(from rollout.TemplateRef, text string) rollout.TemplateRef {
	l.t.Helper()
	v, err := l.driven.Templates.Create(l.t.Context(), rollout.NewTemplateVersion{From: from, UserData: []byte("#!/bin/sh\n# " + text), Description: text, Token: text})
	l.must(err)
	return v.TemplateRef
}

// group makes a group of two behind a target group and waits for it.
func (l *local) group(in *autoscaling.CreateAutoScalingGroupInput) {
	l.t.Helper()
	ctx := l.t.Context()
	tg, err := l.ELB().CreateTargetGroup(ctx, &elbv2.CreateTargetGroupInput{
		Name: sdk.String("shop"), Port: sdk.Int32(80), Protocol: elbtypes.ProtocolEnumHttp, VpcId: sdk.String("vpc-1"),
	})
	l.must(err)
	l.tg = *tg.TargetGroups[0].TargetGroupArn
	lb, err := l.ELB().CreateLoadBalancer(ctx, &elbv2.CreateLoadBalancerInput{Name: sdk.String("shop"), Subnets: []string{"subnet-1", "subnet-2"}})
	l.must(err)
	_, err = l.ELB().CreateListener(ctx, &elbv2.CreateListenerInput{
		LoadBalancerArn: lb.LoadBalancers[0].LoadBalancerArn, Port: sdk.Int32(8080), Protocol: elbtypes.ProtocolEnumHttp,
		DefaultActions: []elbtypes.Action{{Type: elbtypes.ActionTypeEnumForward, TargetGroupArn: &l.tg}},
	})
	l.must(err)
	in.AutoScalingGroupName = sdk.String("shop")
	in.MinSize, in.MaxSize, in.DesiredCapacity = sdk.Int32(2), sdk.Int32(4), sdk.Int32(2)
	in.AvailabilityZones = []string{"eu-central-1a", "eu-central-1b"}
	in.TargetGroupARNs = []string{l.tg}
	in.HealthCheckType, in.HealthCheckGracePeriod = sdk.String("ELB"), sdk.Int32(30)
	_, err = l.AutoScaling().CreateAutoScalingGroup(ctx, in)
	l.must(err)
	l.until("two nodes in service", func() bool { return len(l.inService("")) == 2 })
}

func (l local) shop() rollout.Group {
	l.t.Helper()
	g, err := l.driven.Groups.Group(l.t.Context(), "shop")
	l.must(err)
	return g
}

// inService are the nodes in service, of one template version or of all.
func (l local) inService(version string) []rollout.Node {
	var found []rollout.Node
	for _, n := range l.shop().Nodes {
		if n.Lifecycle == "InService" && (version == "" || n.Template.Version == version) {
			found = append(found, n)
		}
	}
	return found
}

func (l local) refresh() rollout.Refresh {
	l.t.Helper()
	all, err := l.driven.Refreshes.Refreshes(l.t.Context(), "shop")
	l.must(err)
	if len(all) == 0 {
		return rollout.Refresh{}
	}
	return all[0]
}

// until lets virtual time pass.
func (l local) until(what string, ok func() bool) {
	l.t.Helper()
	for range 500 {
		if ok() {
			return
		}
		select {
		case <-l.t.Context().Done():
		case <-time.After(5 * time.Second):
		}
	}
	activities, err := l.driven.Groups.Activities(l.t.Context(), "shop", time.Time{})
	l.t.Fatalf("never: %s; group %+v, refresh %+v, activities %+v, %v", what, l.shop(), l.refresh(), activities[:min(3, len(activities))], err)
}

func (l local) fault(json string) {
	l.t.Helper()
	r, err := control.Request(l.t.Context(), l.cloud.Environ(), "/_local/fault", []byte(json))
	l.must(err)
	answer, err := awstest.Transport{Handler: l.cloud}.Do(r)
	l.must(err)
	l.must(answer.Body.Close())
	if answer.StatusCode != http.StatusOK {
		l.t.Fatalf("fault %s: %s", json, answer.Status)
	}
}

var prefs = rollout.Preferences{
	MinHealthy: 100, MaxHealthy: 150, Warmup: 10 * time.Second, BakeTime: time.Minute, SkipMatching: true, AutoRollback: true,
	Protected: "Refresh", Standby: "Terminate",
}

func TestLocalTemplates(t *testing.T) {
	onLocalCloud(t, 3*time.Second, func(l local) {
		ctx := l.t.Context()
		full := l.template("full", aws.FullRequest(l.t))
		l.until("the template is visible", func() bool {
			_, err := l.driven.Templates.Version(ctx, full)
			return err == nil
		})
		l.must(l.driven.Templates.MayCreate(ctx, full.ID))
		source, err := l.driven.Templates.Version(ctx, full)
		l.must(err)
		n := rollout.NewTemplateVersion{From: full, UserData: []byte("#!/bin/sh\nexec wpbake\n"), Description: "wpbake v42", Token: "token"}
		made, err := l.driven.Templates.Create(ctx, n)
		l.must(err)
		if made.Version != "2" || string(made.UserData) != string(n.UserData) || made.Description != n.Description || made.ImageID != source.ImageID {
			l.t.Errorf("made %+v of %+v", made, source)
		}
		again, err := l.driven.Templates.Create(ctx, n)
		l.must(err)
		if diff := cmp.Diff(made, again); diff != "" {
			l.t.Errorf("the same token made another version: %s", diff)
		}
		n.Description = "wpbake v43"
		if _, err := l.driven.Templates.Create(ctx, n); err == nil {
			l.t.Error("the same token took other parameters")
		}
		latest, err := l.driven.Templates.Version(ctx, rollout.TemplateRef{Name: "full", Version: "$Latest"})
		l.must(err)
		first, err := l.driven.Templates.Version(ctx, rollout.TemplateRef{ID: full.ID, Version: "$Default"})
		l.must(err)
		if latest.Version != "2" || first.Version != "1" {
			l.t.Errorf("latest %q, default %q", latest.Version, first.Version)
		}
		all, err := l.driven.Templates.Versions(ctx, full.ID)
		l.must(err)
		if len(all) != 2 || all[0].Version != "2" || all[1].Version != "1" {
			l.t.Errorf("versions %+v", all)
		}
		for _, missing := range []rollout.TemplateRef{{ID: full.ID, Version: "9"}, {ID: "lt-0123456789abcdef0", Version: "1"}, {Name: "nothing"}} {
			if _, err := l.driven.Templates.Version(ctx, missing); !errors.Is(err, rollout.ErrNoTemplate) {
				l.t.Errorf("%+v: %v", missing, err)
			}
		}
	})
}

func TestLocalRefresh(t *testing.T) {
	onLocalCloud(t, 2*time.Second, func(l local) {
		ctx := l.t.Context()
		one := l.template("shop", &ec2types.RequestLaunchTemplateData{ImageId: sdk.String(localec2.DefaultImage), InstanceType: ec2types.InstanceTypeT3Small})
		l.until("the template is visible", func() bool {
			_, err := l.driven.Templates.Version(ctx, one)
			return err == nil
		})
		l.group(&autoscaling.CreateAutoScalingGroupInput{LaunchTemplate: &astypes.LaunchTemplateSpecification{LaunchTemplateName: sdk.String("shop"), Version: sdk.String("$Latest")}})
		began := time.Now()
		g := l.shop()
		if diff := cmp.Diff([]rollout.TemplateRef{{ID: one.ID, Name: "shop", Version: "$Latest"}}, g.Templates); diff != "" {
			l.t.Error(diff)
		}
		if g.Mixed || g.Min != 2 || g.Max != 4 || g.Desired != 2 || g.Warmup >= 0 || g.Grace != 30*time.Second || g.ARN == "" || g.Nodes[0].Template.Version != "1" {
			l.t.Errorf("group %+v", g)
		}
		l.must(l.driven.Groups.Pin(ctx, "shop", []rollout.TemplateRef{one}))
		if got := l.shop().Templates[0].Version; got != "1" {
			l.t.Errorf("pinned to %q", got)
		}
		for name, err := range map[string]error{"rollback": l.driven.Refreshes.Rollback(ctx, "shop"), "cancel": l.driven.Refreshes.Cancel(ctx, "shop")} {
			if !errors.Is(err, rollout.ErrNoRefresh) {
				l.t.Errorf("%s without a refresh: %v", name, err)
			}
		}

		two := l.next(one, "two")
		id, err := l.driven.Refreshes.Start(ctx, rollout.NewRefresh{Group: "shop", Templates: []rollout.TemplateRef{two}, Preferences: prefs})
		l.must(err)
		if _, err := l.driven.Refreshes.Start(ctx, rollout.NewRefresh{Group: "shop", Templates: []rollout.TemplateRef{two}, Preferences: prefs}); !errors.Is(err, rollout.ErrRefreshActive) {
			l.t.Errorf("a second refresh: %v", err)
		}
		if err := l.driven.Groups.Pin(ctx, "shop", []rollout.TemplateRef{two}); !errors.Is(err, rollout.ErrRefreshActive) {
			l.t.Errorf("pinning during a refresh: %v", err)
		}
		l.until("the refresh ended", func() bool { return !l.refresh().Ended.IsZero() })
		r := l.refresh()
		if r.ID != id || r.Status != "Successful" || r.Percent != 100 || r.Remaining != 0 || len(r.Templates) != 1 || r.Templates[0].ID != two.ID || r.Templates[0].Version != "2" {
			l.t.Errorf("refresh %+v", r)
		}
		if len(l.inService("2")) != 2 || l.shop().Templates[0].Version != "2" {
			l.t.Errorf("group %+v", l.shop())
		}
		l.lookAtFleet(began)

		three := l.next(two, "three")
		_, err = l.driven.Refreshes.Start(ctx, rollout.NewRefresh{Group: "shop", Templates: []rollout.TemplateRef{three}, Preferences: prefs})
		l.must(err)
		l.until("a new node", func() bool { return len(l.inService("3")) > 0 })
		l.must(l.driven.Refreshes.Rollback(ctx, "shop"))
		l.until("rolled back", func() bool { return l.refresh().Status == "RollbackSuccessful" })
		if len(l.inService("2")) != 2 || l.shop().Templates[0].Version != "2" {
			l.t.Errorf("group %+v", l.shop())
		}

		_, err = l.driven.Refreshes.Start(ctx, rollout.NewRefresh{Group: "shop", Templates: []rollout.TemplateRef{three}, Preferences: prefs})
		l.must(err)
		l.must(l.driven.Refreshes.Cancel(ctx, "shop"))
		l.until("cancelled", func() bool { return l.refresh().Status == "Cancelled" })
	})
}

func (l local) lookAtFleet(since time.Time) {
	l.t.Helper()
	ctx := l.t.Context()
	healthy := map[string]bool{}
	targets, err := l.driven.Fleet.Targets(ctx, l.tg)
	l.must(err)
	for _, target := range targets {
		healthy[target.ID] = target.State == "healthy"
	}
	for _, n := range l.inService("2") {
		if !healthy[n.ID] || !n.Healthy {
			l.t.Errorf("node %+v, targets %+v", n, targets)
		}
		console, err := l.driven.Fleet.Console(ctx, n.ID)
		if err != nil || console != "user data began\n" {
			l.t.Errorf("console %q, %v", console, err)
		}
	}
	activities, err := l.driven.Groups.Activities(ctx, "shop", since)
	l.must(err)
	if len(activities) < 4 {
		l.t.Errorf("activities %+v", activities)
	}
	for i, a := range activities {
		if a.Started.Before(since) || i > 0 && a.Started.After(activities[i-1].Started) || a.ID == "" || a.Cause == "" {
			l.t.Errorf("activity %+v", a)
		}
	}
	if all, err := l.driven.Groups.Activities(ctx, "shop", time.Time{}); err != nil || len(all) < len(activities)+2 {
		l.t.Errorf("%d activities in all, %v", len(all), err)
	}
}

func TestLocalMixedRefresh(t *testing.T) {
	onLocalCloud(t, 0, func(l local) {
		ctx := l.t.Context()
		intel := l.template("intel", &ec2types.RequestLaunchTemplateData{ImageId: sdk.String(localec2.DefaultImage), InstanceType: ec2types.InstanceTypeT3Small})
		arm := l.template("arm", &ec2types.RequestLaunchTemplateData{ImageId: sdk.String(localec2.DefaultImage), InstanceType: ec2types.InstanceTypeT3Small})
		l.group(&autoscaling.CreateAutoScalingGroupInput{MixedInstancesPolicy: &astypes.MixedInstancesPolicy{
			InstancesDistribution: &astypes.InstancesDistribution{OnDemandPercentageAboveBaseCapacity: sdk.Int32(100), OnDemandBaseCapacity: sdk.Int32(1)},
			LaunchTemplate: &astypes.LaunchTemplate{
				LaunchTemplateSpecification: &astypes.LaunchTemplateSpecification{LaunchTemplateId: &intel.ID, Version: sdk.String("1")},
				Overrides: []astypes.LaunchTemplateOverrides{
					{InstanceType: sdk.String("m6i.large")},
					{InstanceType: sdk.String("m6g.large"), LaunchTemplateSpecification: &astypes.LaunchTemplateSpecification{LaunchTemplateId: &arm.ID, Version: sdk.String("1")}},
				},
			},
		}})
		g := l.shop()
		if diff := cmp.Diff([]rollout.TemplateRef{intel, arm}, g.Templates); diff != "" || !g.Mixed || g.AttributeBased {
			l.t.Errorf("mixed %v, attributes %v, templates %s", g.Mixed, g.AttributeBased, diff)
		}
		before := l.policy()
		to := []rollout.TemplateRef{l.next(intel, "intel-2"), l.next(arm, "arm-2")}
		_, err := l.driven.Refreshes.Start(ctx, rollout.NewRefresh{Group: "shop", Templates: to, Preferences: prefs})
		l.must(err)
		if got := l.refresh().Templates; len(got) != 2 || got[0].Version != "2" || got[1].ID != arm.ID || got[1].Version != "2" {
			l.t.Errorf("desired %+v", got)
		}
		l.until("the refresh ended", func() bool { return l.refresh().Status == "Successful" })
		if got, want := l.policy(), strings.ReplaceAll(before, "@1", "@2"); got != want {
			l.t.Errorf("policy\n%s\nwant\n%s", got, want)
		}
	})
}

// policy is the group's, in a line.
func (l local) policy() string {
	l.t.Helper()
	out, err := l.AutoScaling().DescribeAutoScalingGroups(l.t.Context(), &autoscaling.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: []string{"shop"}})
	l.must(err)
	p := out.AutoScalingGroups[0].MixedInstancesPolicy
	d := p.InstancesDistribution
	text := fmt.Sprint(sdk.ToInt32(d.OnDemandBaseCapacity), sdk.ToInt32(d.OnDemandPercentageAboveBaseCapacity), sdk.ToString(d.OnDemandAllocationStrategy), sdk.ToString(d.SpotAllocationStrategy))
	at := func(s *astypes.LaunchTemplateSpecification) string {
		if s == nil {
			return ""
		}
		return " " + sdk.ToString(s.LaunchTemplateId) + "@" + sdk.ToString(s.Version)
	}
	text += at(p.LaunchTemplate.LaunchTemplateSpecification)
	for _, o := range p.LaunchTemplate.Overrides {
		text += " " + sdk.ToString(o.InstanceType) + at(o.LaunchTemplateSpecification)
	}
	return text
}

func TestLocalHook(t *testing.T) {
	onLocalCloud(t, 0, func(l local) {
		ctx := l.t.Context()
		one := l.template("shop", &ec2types.RequestLaunchTemplateData{ImageId: sdk.String(localec2.DefaultImage), InstanceType: ec2types.InstanceTypeT3Small})
		l.group(&autoscaling.CreateAutoScalingGroupInput{LaunchTemplate: &astypes.LaunchTemplateSpecification{LaunchTemplateId: &one.ID, Version: sdk.String("1")}})
		hook := rollout.Hook{Name: "wpbake-boot", Launching: true, DefaultResult: "ABANDON", Heartbeat: 10 * time.Minute}
		l.must(l.driven.Groups.PutHook(ctx, "shop", hook))
		if diff := cmp.Diff([]rollout.Hook{hook}, l.shop().Hooks); diff != "" {
			l.t.Error(diff)
		}
		_, err := l.AutoScaling().SetDesiredCapacity(ctx, &autoscaling.SetDesiredCapacityInput{AutoScalingGroupName: sdk.String("shop"), DesiredCapacity: sdk.Int32(3)})
		l.must(err)
		var waiting string
		l.until("a node waits", func() bool {
			for _, n := range l.shop().Nodes {
				if n.Lifecycle == "Pending:Wait" {
					waiting = n.ID
				}
			}
			return waiting != ""
		})
		action := node.Action{Group: "shop", Hook: hook.Name, Instance: waiting}
		l.must(l.Lifecycle().Heartbeat(ctx, action))
		l.must(l.Lifecycle().Complete(ctx, node.Completion{Action: action, Result: node.Continue}))
		l.until("three nodes in service", func() bool { return len(l.inService("")) == 3 })
		if err := l.Lifecycle().Complete(ctx, node.Completion{Action: action, Result: node.Continue}); !errors.Is(err, node.ErrNoAction) {
			l.t.Errorf("completing again: %v", err)
		}
		if err := l.Lifecycle().Heartbeat(ctx, action); !errors.Is(err, node.ErrNoAction) {
			l.t.Errorf("a late heartbeat: %v", err)
		}
	})
}

func TestLocalAlarmsParametersIdentity(t *testing.T) {
	onLocalCloud(t, 0, func(l local) {
		ctx := l.t.Context()
		_, err := l.CloudWatch().PutMetricAlarm(ctx, &cloudwatch.PutMetricAlarmInput{
			AlarmName: sdk.String("errors"), MetricName: sdk.String("HTTPCode_Target_5XX_Count"), Namespace: sdk.String("AWS/ApplicationELB"),
			ComparisonOperator: cwtypes.ComparisonOperatorGreaterThanThreshold, Threshold: sdk.Float64(1), EvaluationPeriods: sdk.Int32(1),
			Period: sdk.Int32(60), Statistic: cwtypes.StatisticSum,
		})
		l.must(err)
		l.fault(`{"kind": "alarm", "target": "errors"}`)
		states, err := l.driven.Fleet.Alarms(ctx, []string{"errors", "missing"})
		if diff := cmp.Diff(map[string]string{"errors": "ALARM"}, states); err != nil || diff != "" {
			l.t.Errorf("%v %s", err, diff)
		}
		for name, value := range map[string]string{"/shop/production/DB_HOST": "db", "/shop/production/salts/AUTH": "s3cret", "/shop/staging/DB_HOST": "no"} {
			_, err := l.SSM().PutParameter(ctx, &ssm.PutParameterInput{Name: &name, Value: &value, Type: ssmtypes.ParameterTypeSecureString})
			l.must(err)
		}
		params, err := l.Parameters().Get(ctx, "/shop/production/")
		if diff := cmp.Diff(map[string]string{"DB_HOST": "db", "salts/AUTH": "s3cret"}, params); err != nil || diff != "" {
			l.t.Errorf("%v %s", err, diff)
		}
		me, err := l.Identity(ctx)
		if err != nil || me.Account != "123456789012" || !strings.HasPrefix(me.ARN, "arn:aws:") {
			l.t.Errorf("identity %+v, %v", me, err)
		}
		if _, err := l.driven.Groups.Group(ctx, "nothing"); !errors.Is(err, rollout.ErrNoGroup) {
			l.t.Errorf("no group: %v", err)
		}
		if err := l.driven.Refreshes.Cancel(ctx, "nothing"); !errors.Is(err, rollout.ErrNoGroup) {
			l.t.Errorf("cancelling without a group: %v", err)
		}
		if err := l.driven.Groups.PutHook(ctx, "nothing", rollout.Hook{Name: "h", Launching: true, DefaultResult: "ABANDON", Heartbeat: time.Minute}); !errors.Is(err, rollout.ErrNoGroup) {
			l.t.Errorf("hook without a group: %v", err)
		}
	})
}

func TestLocalFaults(t *testing.T) {
	onLocalCloud(t, 0, func(l local) {
		ctx := l.t.Context()
		one := l.template("shop", &ec2types.RequestLaunchTemplateData{ImageId: sdk.String(localec2.DefaultImage), InstanceType: ec2types.InstanceTypeT3Small})
		n := rollout.NewTemplateVersion{From: one, UserData: []byte("#!/bin/sh\n"), Description: "two", Token: "two"}
		l.fault(`{"kind": "lost-answer", "target": "CreateLaunchTemplateVersion", "count": 1}`)
		made, err := l.driven.Templates.Create(ctx, n)
		if err != nil || made.Version != "2" {
			l.t.Errorf("after a lost answer: %+v, %v", made, err)
		}
		if all, err := l.driven.Templates.Versions(ctx, one.ID); err != nil || len(all) != 2 {
			l.t.Errorf("%d versions, %v", len(all), err)
		}
		l.fault(`{"kind": "expired-credentials"}`)
		if _, err := l.Identity(ctx); !errors.Is(err, rollout.ErrCredentials) || !strings.Contains(hint(err), "wpbake resume") {
			l.t.Errorf("expired: %v, hint %q", err, hint(err))
		}
		if err := l.driven.Templates.MayCreate(ctx, one.ID); !errors.Is(err, rollout.ErrCredentials) {
			l.t.Errorf("expired: %v", err)
		}
		l.fault(`{"kind": "clear"}`)
		l.must(l.driven.Templates.MayCreate(ctx, one.ID))
	})
}
