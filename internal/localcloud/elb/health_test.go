package elb

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

// answers is a Prober whose targets answer as told, all alike.
type answers struct {
	mu     sync.Mutex
	status int
	err    error
	slow   bool
	urls   map[string]int
}

func (a *answers) set(status int, err error, slow bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.status, a.err, a.slow = status, err, slow
}

func (a *answers) Probe(ctx context.Context, url, _ string) (int, error) {
	a.mu.Lock()
	status, err, slow := a.status, a.err, a.slow
	a.urls[url]++
	a.mu.Unlock()
	if slow {
		<-ctx.Done()
		return 0, ctx.Err()
	}
	return status, err
}

func TestTargetHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := &fleet{hosts: map[string]string{"i-1": "127.77.0.1"}, stopped: map[string]bool{}}
		a := &answers{status: 500, urls: map[string]int{}}
		s := New(Options{Region: "eu-central-1", Account: "123456789012", Addresses: nodes, Prober: a, NoServe: true})
		arn := setUp(t, s, elbv2.CreateTargetGroupInput{
			HealthCheckIntervalSeconds: aws.Int32(10), HealthyThresholdCount: aws.Int32(3), HealthCheckPath: aws.String("/up"),
			Matcher: &types.Matcher{HttpCode: aws.String("200-299,301")},
		})
		setDelay(t, s, arn, "60")
		defer run(t, s)()
		expect := func(when string, state types.TargetHealthStateEnum, reason types.TargetHealthReasonEnum, text string) {
			t.Helper()
			synctest.Wait()
			out := must(s.describeTargetHealth(t.Context(), &elbv2.DescribeTargetHealthInput{TargetGroupArn: aws.String(arn), Targets: []types.TargetDescription{{Id: aws.String("i-1")}}}))
			h := out.TargetHealthDescriptions[0].TargetHealth
			if len(out.TargetHealthDescriptions) != 1 || h.State != state || h.Reason != reason || aws.ToString(h.Description) != text {
				t.Errorf("%s: %s %s %q, want %s %s %q", when, h.State, h.Reason, aws.ToString(h.Description), state, reason, text)
			}
			if state == types.TargetHealthStateEnumHealthy && h.Description != nil {
				t.Errorf("%s: a healthy target has a description", when)
			}
		}
		pass := func(d time.Duration) { time.Sleep(d) }

		expect("before", "unused", "Target.NotRegistered", "Target is not registered to the target group")
		if err := s.Register(arn, "i-1"); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		expect("registered", "initial", "Elb.InitialHealthChecking", "Initial health checks in progress")
		pass(11 * time.Second)
		expect("two failures", "unhealthy", "Target.ResponseCodeMismatch", "Health checks failed with these codes: [500]")
		a.set(301, nil, false)
		pass(20 * time.Second)
		expect("two successes", "unhealthy", "Target.ResponseCodeMismatch", "Health checks failed with these codes: [500]")
		pass(10 * time.Second)
		expect("three successes", "healthy", "", "")
		a.set(0, nil, true)
		pass(27 * time.Second)
		expect("time-outs", "unhealthy", "Target.Timeout", "Request timed out")
		a.set(0, fmt.Errorf("connection refused"), false)
		pass(20 * time.Second)
		expect("refused", "unhealthy", "Target.FailedHealthChecks", "Health checks failed")
		if err := s.Deregister(arn, "i-1"); err != nil {
			t.Fatal(err)
		}
		expect("deregistered", "draining", "Target.DeregistrationInProgress", "Target deregistration is in progress")
		pass(59 * time.Second)
		expect("nearly drained", "draining", "Target.DeregistrationInProgress", "Target deregistration is in progress")
		pass(2 * time.Second)
		expect("drained", "unused", "Target.NotRegistered", "Target is not registered to the target group")

		a.set(200, nil, false)
		_ = s.Register(arn, "i-1")
		pass(2 * time.Second)
		expect("a new target needs one success", "healthy", "", "")
		_ = s.Deregister(arn, "i-1")
		_ = s.Register(arn, "i-1")
		pass(2 * time.Second)
		expect("back from draining", "healthy", "", "")
		nodes.stop("i-1")
		pass(2 * time.Second)
		expect("stopped", "unused", "Target.InvalidState", "Target is in the stopped or terminated state")
		if err := s.Register(arn, "i-2"); code(err) != "InvalidTarget" {
			t.Errorf("registering an unknown instance: %v", err)
		}
		if len(a.urls) != 1 || a.urls["http://127.77.0.1:80/up"] == 0 {
			t.Errorf("asked %v", a.urls)
		}
	})
}

func TestUnusedTargetGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := &fleet{hosts: map[string]string{"i-1": "127.77.0.1"}, stopped: map[string]bool{}}
		a := &answers{status: 200, urls: map[string]int{}}
		s := New(Options{Addresses: nodes, Prober: a, NoServe: true})
		defer run(t, s)()
		g := must(s.createTargetGroup(t.Context(), &elbv2.CreateTargetGroupInput{Name: aws.String("web"), Port: aws.Int32(80)})).TargetGroups[0]
		_ = s.Register(*g.TargetGroupArn, "i-1")
		time.Sleep(time.Hour)
		if state, reason := s.Health(*g.TargetGroupArn, "i-1"); state != "unused" || reason != "Target.NotInUse" {
			t.Errorf("%s %s", state, reason)
		}
		if len(a.urls) != 0 {
			t.Errorf("an unused group was checked: %v", a.urls)
		}
		_ = s.Deregister(*g.TargetGroupArn, "i-1")
		if _, reason := s.Health(*g.TargetGroupArn, "i-1"); reason != "Target.NotRegistered" {
			t.Errorf("after deregistration: %s", reason)
		}
	})
}

func TestMatcher(t *testing.T) {
	cases := []struct {
		text    string
		yes, no int
	}{
		{"200", 200, 201},
		{"200,302", 302, 301},
		{"200-299", 250, 300},
		{"200-299,301", 301, 302},
	}
	for _, c := range cases {
		m, err := parseMatcher(c.text)
		if err != nil || !m.match(c.yes) || m.match(c.no) {
			t.Errorf("%q: %v, %v", c.text, m, err)
		}
	}
	for _, bad := range []string{"", "abc", "299-200", "100", "500", "200-", "200;201"} {
		if _, err := parseMatcher(bad); code(err) != "ValidationError" {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestTargetGroupRefusals(t *testing.T) {
	cases := []struct {
		name   string
		change func(*elbv2.CreateTargetGroupInput)
		code   string
	}{
		{"interval", func(in *elbv2.CreateTargetGroupInput) { in.HealthCheckIntervalSeconds = aws.Int32(4) }, "ValidationError"},
		{"timeout", func(in *elbv2.CreateTargetGroupInput) { in.HealthCheckTimeoutSeconds = aws.Int32(1) }, "ValidationError"},
		{"timeout beyond interval", func(in *elbv2.CreateTargetGroupInput) { in.HealthCheckTimeoutSeconds = aws.Int32(30) }, "ValidationError"},
		{"healthy threshold", func(in *elbv2.CreateTargetGroupInput) { in.HealthyThresholdCount = aws.Int32(11) }, "ValidationError"},
		{"unhealthy threshold", func(in *elbv2.CreateTargetGroupInput) { in.UnhealthyThresholdCount = aws.Int32(1) }, "ValidationError"},
		{"path", func(in *elbv2.CreateTargetGroupInput) { in.HealthCheckPath = aws.String("up") }, "ValidationError"},
		{"no port", func(in *elbv2.CreateTargetGroupInput) { in.Port = nil }, "ValidationError"},
		{"name", func(in *elbv2.CreateTargetGroupInput) { in.Name = aws.String("-web") }, "ValidationError"},
		{"protocol", func(in *elbv2.CreateTargetGroupInput) { in.Protocol = types.ProtocolEnumTcp }, "UnsupportedProtocol"},
		{"twice", func(in *elbv2.CreateTargetGroupInput) { in.Name = aws.String("taken") }, "DuplicateTargetGroupName"},
	}
	s := New(Options{NoServe: true})
	must(s.createTargetGroup(t.Context(), &elbv2.CreateTargetGroupInput{Name: aws.String("taken"), Port: aws.Int32(80)}))
	for _, c := range cases {
		in := elbv2.CreateTargetGroupInput{Name: aws.String("web"), Port: aws.Int32(80)}
		c.change(&in)
		if _, err := s.createTargetGroup(t.Context(), &in); code(err) != c.code {
			t.Errorf("%s: %v, want %s", c.name, err, c.code)
		}
	}
}

func TestSnapshot(t *testing.T) {
	nodes := &fleet{hosts: map[string]string{"i-1": "127.77.0.1"}, stopped: map[string]bool{}}
	s := New(Options{Addresses: nodes, NoServe: true})
	arn := setUp(t, s, elbv2.CreateTargetGroupInput{Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("b")}}})
	if err := s.Register(arn, "i-1"); err != nil {
		t.Fatal(err)
	}
	again := New(Options{Addresses: nodes, NoServe: true})
	if err := again.Restore(must(s.Snapshot())); err != nil {
		t.Fatal(err)
	}
	if state, _ := again.Health(arn, "i-1"); state != "initial" {
		t.Errorf("target is %s after a restart", state)
	}
	g := must(again.describeTargetGroups(t.Context(), &elbv2.DescribeTargetGroupsInput{Names: []string{"web"}})).TargetGroups[0]
	if len(g.LoadBalancerArns) != 1 || *g.HealthCheckIntervalSeconds != 30 {
		t.Errorf("target group %+v", g)
	}
	if e := again.Endpoints(); len(e) != 1 || e[0] != (Endpoint{"shop", "http://localhost:8080/"}) {
		t.Errorf("endpoints %v", e)
	}
	if _, err := again.deleteTargetGroup(t.Context(), &elbv2.DeleteTargetGroupInput{TargetGroupArn: aws.String(arn)}); code(err) != "ResourceInUse" {
		t.Errorf("deleting a target group in use: %v", err)
	}
	tags := must(again.describeTags(t.Context(), &elbv2.DescribeTagsInput{ResourceArns: []string{arn}}))
	if len(tags.TagDescriptions[0].Tags) != 1 {
		t.Errorf("tags %+v", tags)
	}
}
