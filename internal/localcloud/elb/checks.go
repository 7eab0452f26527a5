package elb

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

// Prober is how a health check reaches a target.
type Prober interface {
	// Probe asks for url with a Host header and gives the answer's status. It
	// gives up when ctx ends.
	Probe(ctx context.Context, url, host string) (status int, err error)
}

type httpProber struct{ client *http.Client }

// HTTPProber asks over real HTTP, on a new connection each time: a kept one
// would hide a target that takes no more.
func HTTPProber() Prober {
	return httpProber{&http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, Proxy: nil},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (p httpProber) Probe(ctx context.Context, url, host string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	req.Host = host
	req.Header.Set("User-Agent", "ELB-HealthChecker/2.0")
	resp, err := p.client.Do(req)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

// tick ends draining, looks where targets are and starts the checks that are
// due. It tells whether anything changed.
func (s *Service) tick(ctx context.Context, probes *sync.WaitGroup) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	changed := false
	for _, g := range s.state.TargetGroups {
		used := s.inUse(g)
		var gone []*target
		for _, t := range g.Targets {
			if t.draining() {
				if !now.Before(t.DrainUntil) {
					gone = append(gone, t)
				}
				continue
			}
			if s.locate(g, t); !t.Alive {
				if t.State != types.TargetHealthStateEnumInitial {
					t.restart()
					changed = true
				}
				continue
			}
			if used && !t.checking && !now.Before(t.NextCheck) {
				s.check(ctx, g, t, probes)
			}
		}
		changed = changed || len(gone) > 0
		g.remove(gone)
	}
	return changed
}

// check asks a target in the background. One that is slower than the
// interval is not asked twice at a time.
func (s *Service) check(ctx context.Context, g *targetGroup, t *target, probes *sync.WaitGroup) {
	t.checking = true
	t.NextCheck = time.Now().Add(s.scaled(g.interval()))
	if t.Reason == types.TargetHealthReasonEnumRegistrationInProgress {
		t.Reason, t.Text = types.TargetHealthReasonEnumInitialHealthChecking, "Initial health checks in progress"
	}
	address := net.JoinHostPort(t.Host, g.checkPort(t.Port))
	url := "http://" + address + aws.ToString(g.Settings.HealthCheckPath)
	timeout := g.timeout()
	probes.Go(func() {
		limited, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		status, err := s.options.Prober.Probe(limited, url, address)
		if ctx.Err() != nil {
			return
		}
		s.mu.Lock()
		t.checking = false
		changed := t.record(g, status, err)
		s.mu.Unlock()
		if changed {
			s.options.Changed()
		}
	})
}

// record counts a check's result and moves the target's state: a new target
// is healthy after one success, an unhealthy one after as many in a row as
// its group asks for.
func (t *target) record(g *targetGroup, status int, err error) (changed bool) {
	if t.draining() {
		return false
	}
	before := t.State
	reason, text := judge(g, status, err)
	if reason == "" {
		t.Streak = max(t.Streak, 0) + 1
		if t.State == types.TargetHealthStateEnumInitial || t.Streak >= int(*g.Settings.HealthyThresholdCount) {
			t.State, t.Reason, t.Text = types.TargetHealthStateEnumHealthy, "", ""
		}
		return t.State != before
	}
	t.Streak = min(t.Streak, 0) - 1
	if -t.Streak >= int(*g.Settings.UnhealthyThresholdCount) {
		t.State = types.TargetHealthStateEnumUnhealthy
	}
	if t.State == types.TargetHealthStateEnumUnhealthy {
		t.Reason, t.Text = reason, text
	}
	return t.State != before
}

// judge is the reason and text of a failed check, or nothing.
func judge(g *targetGroup, status int, err error) (types.TargetHealthReasonEnum, string) {
	var timeout net.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return types.TargetHealthReasonEnumTimeout, "Request timed out"
	case err != nil:
		return types.TargetHealthReasonEnumFailedHealthChecks, "Health checks failed"
	}
	if m, err := parseMatcher(aws.ToString(g.Settings.Matcher.HttpCode)); err == nil && m.match(status) {
		return "", ""
	}
	return types.TargetHealthReasonEnumResponseCodeMismatch, fmt.Sprintf("Health checks failed with these codes: [%d]", status)
}
