package elb

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/wpbake/wpbake/internal/wire"
)

// fleet is instances on one host each, which can be stopped.
type fleet struct {
	mu      sync.Mutex
	hosts   map[string]string
	stopped map[string]bool
}

func (f *fleet) Address(id string) (string, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	host, ok := f.hosts[id]
	return host, ok && !f.stopped[id]
}

func (f *fleet) stop(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stopped[id] = true
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func code(err error) string {
	if aerr := (*wire.Error)(nil); errors.As(err, &aerr) {
		return aerr.Code
	}
	return ""
}

// setUp makes a load balancer with a listener and a target group.
func setUp(t *testing.T, s *Service, group elbv2.CreateTargetGroupInput) (targetGroupARN string) {
	t.Helper()
	ctx := t.Context()
	b := must(s.createLoadBalancer(ctx, &elbv2.CreateLoadBalancerInput{Name: aws.String("shop")})).LoadBalancers[0]
	group.Name = aws.String("web")
	if group.Port == nil {
		group.Port = aws.Int32(80)
	}
	g := must(s.createTargetGroup(ctx, &group)).TargetGroups[0]
	must(s.createListener(ctx, &elbv2.CreateListenerInput{
		LoadBalancerArn: b.LoadBalancerArn, Port: aws.Int32(8080), Protocol: types.ProtocolEnumHttp,
		DefaultActions: []types.Action{{Type: types.ActionTypeEnumForward, TargetGroupArn: g.TargetGroupArn}},
	}))
	return *g.TargetGroupArn
}

func setDelay(t *testing.T, s *Service, arn, seconds string) {
	t.Helper()
	must(s.modifyTargetGroupAttributes(t.Context(), &elbv2.ModifyTargetGroupAttributesInput{
		TargetGroupArn: aws.String(arn), Attributes: []types.TargetGroupAttribute{{Key: aws.String(delayKey), Value: aws.String(seconds)}},
	}))
}

// run keeps the service's loop going until the test is over.
func run(t *testing.T, s *Service) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// eventually waits, in real time, until it is so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	limit := time.After(2 * time.Minute)
	for !so() {
		select {
		case <-ticker.C:
		case <-limit:
			t.Fatalf("not so after two minutes: %s", what)
		}
	}
}
