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

// ward watches one target, i-1, in virtual time.
type ward struct {
	*testing.T
	service *Service
	arn     string
	nodes   *fleet
	answers *answers
}

func inWard(t *testing.T, f func(*ward)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &ward{
			T: t, answers: &answers{status: 200, urls: map[string]int{}},
			nodes: &fleet{hosts: map[string]string{"i-1": "127.77.0.1"}, stopped: map[string]bool{}},
		}
		w.service = New(Options{Region: "eu-central-1", Account: "123456789012", Addresses: w.nodes, Prober: w.answers, NoServe: true})
		w.arn = setUp(t, w.service, elbv2.CreateTargetGroupInput{
			HealthCheckIntervalSeconds: aws.Int32(10), HealthyThresholdCount: aws.Int32(3), HealthCheckPath: aws.String("/up"),
			Matcher: &types.Matcher{HttpCode: aws.String("200-299,301")},
		})
		setDelay(t, w.service, w.arn, "60")
		defer run(t, w.service)()
		f(w)
	})
}

// after lets virtual time pass and then checks what is said of the target.
func (w *ward) after(d time.Duration, when string, state types.TargetHealthStateEnum, reason types.TargetHealthReasonEnum, text string) {
	w.Helper()
	time.Sleep(d)
	synctest.Wait()
	out := must(w.service.describeTargetHealth(w.Context(), &elbv2.DescribeTargetHealthInput{TargetGroupArn: aws.String(w.arn), Targets: []types.TargetDescription{{Id: aws.String("i-1")}}}))
	h := out.TargetHealthDescriptions[0].TargetHealth
	if len(out.TargetHealthDescriptions) != 1 || h.State != state || h.Reason != reason || aws.ToString(h.Description) != text {
		w.Errorf("%s: %s %s %q, want %s %s %q", when, h.State, h.Reason, aws.ToString(h.Description), state, reason, text)
	}
	if state == types.TargetHealthStateEnumHealthy && h.Description != nil {
		w.Errorf("%s: a healthy target has a description", when)
	}
}

func (w *ward) register() {
	w.Helper()
	if err := w.service.Register(w.arn, "i-1"); err != nil {
		w.Fatal(err)
	}
}

func (w *ward) deregister() {
	w.Helper()
	if err := w.service.Deregister(w.arn, "i-1"); err != nil {
		w.Fatal(err)
	}
}

func TestHealthChecks(t *testing.T) {
	inWard(t, func(w *ward) {
		w.answers.set(500, nil, false)
		w.register()
		w.after(time.Second, "registered", "initial", "Elb.InitialHealthChecking", "Initial health checks in progress")
		w.after(11*time.Second, "two failures", "unhealthy", "Target.ResponseCodeMismatch", "Health checks failed with these codes: [500]")
		w.answers.set(301, nil, false)
		w.after(20*time.Second, "two successes", "unhealthy", "Target.ResponseCodeMismatch", "Health checks failed with these codes: [500]")
		w.after(10*time.Second, "three successes", "healthy", "", "")
		w.answers.set(0, nil, true)
		w.after(27*time.Second, "time-outs", "unhealthy", "Target.Timeout", "Request timed out")
		w.answers.set(0, fmt.Errorf("connection refused"), false)
		w.after(20*time.Second, "refused", "unhealthy", "Target.FailedHealthChecks", "Health checks failed")
		if len(w.answers.urls) != 1 || w.answers.urls["http://127.77.0.1:80/up"] == 0 {
			t.Errorf("asked %v", w.answers.urls)
		}
	})
}

func TestTargetComesAndGoes(t *testing.T) {
	inWard(t, func(w *ward) {
		w.after(0, "before", "unused", "Target.NotRegistered", "Target is not registered to the target group")
		w.register()
		w.after(2*time.Second, "a new target needs one success", "healthy", "", "")
		w.deregister()
		w.after(59*time.Second, "nearly drained", "draining", "Target.DeregistrationInProgress", "Target deregistration is in progress")
		w.after(2*time.Second, "drained", "unused", "Target.NotRegistered", "Target is not registered to the target group")
		w.deregister() // something unknown is no error
		w.register()
		w.after(2*time.Second, "registered again", "healthy", "", "")
		w.deregister()
		w.register()
		w.after(2*time.Second, "back from draining", "healthy", "", "")
		w.nodes.stop("i-1")
		w.after(2*time.Second, "stopped", "unused", "Target.InvalidState", "Target is in the stopped or terminated state")
		if err := w.service.Register(w.arn, "i-2"); code(err) != "InvalidTarget" {
			t.Errorf("registering an unknown instance: %v", err)
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
