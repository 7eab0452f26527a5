package elb

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/wpbake/wpbake/internal/wire"
)

// Addresses tells where instances can be reached. It is called while the
// service is locked and must not call back into it.
type Addresses interface {
	// Address is an instance's host, such as 127.77.0.5, and whether it runs.
	Address(instanceID string) (host string, running bool)
}

// Options are the service's neighbours and settings.
type Options struct {
	Region, Account string
	Addresses       Addresses
	Prober          Prober  // nil asks over real HTTP
	Speed           float64 // how many times faster than AWS's the clocks run; 0 means 1
	// NoServe opens no sockets: health is checked, nothing is proxied.
	NoServe bool
	// Listen opens a listener's socket; nil listens on 127.0.0.1.
	Listen  func(port int32) (net.Listener, error)
	Changed func() // called, unlocked, after anything changed
	Log     *slog.Logger
}

// Service is the Elastic Load Balancing of one account and region.
type Service struct {
	options Options
	wake    chan struct{}

	mu      sync.Mutex
	state   state
	servers map[string]*http.Server // by listener
}

// state is what a snapshot holds, each list in order of creation.
type state struct {
	LoadBalancers []*loadBalancer
	Listeners     []*listener
	TargetGroups  []*targetGroup
}

// New makes a service without load balancers.
func New(o Options) *Service {
	if o.Speed <= 0 {
		o.Speed = 1
	}
	if o.Prober == nil {
		o.Prober = HTTPProber()
	}
	if o.Listen == nil {
		o.Listen = listenLoopback
	}
	if o.Changed == nil {
		o.Changed = func() {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Service{options: o, wake: make(chan struct{}, 1), servers: map[string]*http.Server{}}
}

func listenLoopback(port int32) (net.Listener, error) {
	return net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port))))
}

// Actions are the service's operations by wire name.
func (s *Service) Actions() wire.Actions {
	return wire.Actions{
		"AddTags":                        wire.Handle(s.addTags),
		"CreateListener":                 wire.Handle(s.createListener),
		"CreateLoadBalancer":             wire.Handle(s.createLoadBalancer),
		"CreateTargetGroup":              wire.Handle(s.createTargetGroup),
		"DeleteListener":                 wire.Handle(s.deleteListener),
		"DeleteLoadBalancer":             wire.Handle(s.deleteLoadBalancer),
		"DeleteTargetGroup":              wire.Handle(s.deleteTargetGroup),
		"DeregisterTargets":              wire.Handle(s.deregisterTargets),
		"DescribeListeners":              wire.Handle(s.describeListeners),
		"DescribeLoadBalancerAttributes": wire.Handle(s.describeLoadBalancerAttributes),
		"DescribeLoadBalancers":          wire.Handle(s.describeLoadBalancers),
		"DescribeTags":                   wire.Handle(s.describeTags),
		"DescribeTargetGroupAttributes":  wire.Handle(s.describeTargetGroupAttributes),
		"DescribeTargetGroups":           wire.Handle(s.describeTargetGroups),
		"DescribeTargetHealth":           wire.Handle(s.describeTargetHealth),
		"ModifyListener":                 wire.Handle(s.modifyListener),
		"ModifyLoadBalancerAttributes":   wire.Handle(s.modifyLoadBalancerAttributes),
		"ModifyTargetGroup":              wire.Handle(s.modifyTargetGroup),
		"ModifyTargetGroupAttributes":    wire.Handle(s.modifyTargetGroupAttributes),
		"RegisterTargets":                wire.Handle(s.registerTargets),
		"RemoveTags":                     wire.Handle(s.removeTags),
	}
}

// change runs f locked, then has the change saved and acted on at once.
func (s *Service) change(f func() error) error {
	s.mu.Lock()
	err := f()
	s.mu.Unlock()
	if err != nil {
		return err
	}
	s.options.Changed()
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return nil
}

// scaled is d on the local cloud's clock.
func (s *Service) scaled(d time.Duration) time.Duration {
	return time.Duration(float64(d) / s.options.Speed)
}

func (s *Service) arn(rest string) string {
	return fmt.Sprintf("arn:aws:elasticloadbalancing:%s:%s:%s", s.options.Region, s.options.Account, rest)
}

// Endpoint is where a listener of a load balancer can be reached.
type Endpoint struct{ LoadBalancer, URL string }

// Endpoints are all listeners that are served.
func (s *Service) Endpoints() []Endpoint {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Endpoint
	for _, l := range s.state.Listeners {
		if b := s.loadBalancer(aws.ToString(l.Settings.LoadBalancerArn)); b != nil {
			out = append(out, Endpoint{*b.Settings.LoadBalancerName, fmt.Sprintf("http://%s:%d/", dnsName, *l.Settings.Port)})
		}
	}
	return out
}

// Snapshot is the service's state as JSON.
func (s *Service) Snapshot() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return json.Marshal(s.state)
}

// Restore replaces the state by a snapshot's. Run serves its listeners.
func (s *Service) Restore(snapshot []byte) error {
	var from state
	if err := json.Unmarshal(snapshot, &from); err != nil {
		return fmt.Errorf("restoring load balancers: %w", err)
	}
	for _, g := range from.TargetGroups {
		g.index = map[targetKey]*target{}
		for _, t := range g.Targets {
			t.prepare()
			g.index[t.key()] = t
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = from
	return nil
}

// Run checks health and ends draining until ctx ends; then it closes all
// listeners.
func (s *Service) Run(ctx context.Context) error {
	if err := s.serveAll(); err != nil {
		return err
	}
	defer s.closeAll()
	ticker := time.NewTicker(max(s.scaled(time.Second), minTick))
	defer ticker.Stop()
	var probes sync.WaitGroup
	defer probes.Wait()
	for {
		if s.tick(ctx, &probes) {
			s.options.Changed()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-s.wake:
		}
	}
}

// minTick bounds how often a very fast cloud looks at its targets.
const minTick = 20 * time.Millisecond

func invalid(format string, args ...any) *wire.Error {
	return wire.Errorf("ValidationError", format, args...)
}

// randomID is the last part of an ARN.
func randomID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails, by its contract
	return hex.EncodeToString(b[:])
}

// wanted keeps the items that were asked for by ARN or name, or all when
// nothing was asked for; something asked for that is not there is missing.
func wanted[T any](all []T, keys []string, key func(T) string, missing func(string) error) ([]T, error) {
	if len(keys) == 0 {
		return all, nil
	}
	var out []T
	for _, k := range keys {
		i := slices.IndexFunc(all, func(item T) bool { return key(item) == k })
		if i < 0 {
			return nil, missing(k)
		}
		out = append(out, all[i])
	}
	return out, nil
}

// page cuts one answer's part out of a list.
func page[T any](all []T, marker *string, size *int32) ([]T, *string, error) {
	from := 0
	if m := aws.ToString(marker); m != "" {
		at, err := strconv.Atoi(m)
		if err != nil || at < 0 || at > len(all) {
			return nil, nil, invalid("The marker '%s' is not valid", m)
		}
		from = at
	}
	count := 400
	if size != nil {
		if *size < 1 || *size > 400 {
			return nil, nil, invalid("The page size '%d' must be between 1 and 400", *size)
		}
		count = int(*size)
	}
	to := min(len(all), from+count)
	if to == len(all) {
		return all[from:to], nil, nil
	}
	return all[from:to], aws.String(strconv.Itoa(to)), nil
}
