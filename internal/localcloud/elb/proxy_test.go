package elb

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

// site is a served load balancer with real backends on loopback.
type site struct {
	*testing.T
	service *Service
	arn     string
	url     string
	client  *http.Client
	nodes   *fleet
}

// newSite serves with clocks a hundred times as fast as AWS's.
func newSite(t *testing.T) *site {
	t.Helper()
	w := &site{T: t, nodes: &fleet{hosts: map[string]string{}, stopped: map[string]bool{}}, client: &http.Client{Transport: &http.Transport{}}}
	w.service = New(Options{
		Addresses: w.nodes, Speed: 100,
		Listen: func(int32) (net.Listener, error) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err == nil {
				w.url = "http://" + l.Addr().String()
			}
			return l, err
		},
	})
	w.arn = setUp(t, w.service, elbv2.CreateTargetGroupInput{HealthCheckIntervalSeconds: aws.Int32(6), HealthCheckPath: aws.String("/health")})
	setDelay(t, w.service, w.arn, "50")
	stop := run(t, w.service)
	t.Cleanup(func() { w.client.CloseIdleConnections(); stop() })
	return w
}

// backend starts a web server as an instance and registers it.
func (w *site) backend(id string, h http.HandlerFunc) *httptest.Server {
	w.Helper()
	server := httptest.NewServer(h)
	w.Cleanup(server.Close)
	w.nodes.mu.Lock()
	w.nodes.hosts[id] = "127.0.0.1"
	w.nodes.mu.Unlock()
	must(w.service.registerTargets(w.Context(), &elbv2.RegisterTargetsInput{TargetGroupArn: aws.String(w.arn), Targets: []types.TargetDescription{{Id: aws.String(id), Port: port(server)}}}))
	return server
}

func port(s *httptest.Server) *int32 {
	_, p, _ := net.SplitHostPort(s.Listener.Addr().String())
	return aws.Int32(int32(must(strconv.Atoi(p))))
}

func (w *site) state(id string) string {
	out := must(w.service.describeTargetHealth(w.Context(), &elbv2.DescribeTargetHealthInput{TargetGroupArn: aws.String(w.arn), Targets: []types.TargetDescription{{Id: aws.String(id)}}}))
	return string(out.TargetHealthDescriptions[0].TargetHealth.State)
}

func (w *site) becomes(id, state string) {
	w.Helper()
	eventually(w.T, id+" is "+state, func() bool { return w.state(id) == state })
}

func (w *site) deregister(id string) {
	must(w.service.deregisterTargets(w.Context(), &elbv2.DeregisterTargetsInput{TargetGroupArn: aws.String(w.arn), Targets: []types.TargetDescription{{Id: aws.String(id)}}}))
}

func (w *site) get(path string) (int, string) {
	w.Helper()
	resp, err := w.client.Get(w.url + path)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(body)
}

func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
}

func TestProxySpreadsAndForwards(t *testing.T) {
	w := newSite(t)
	if status, body := w.get("/"); status != 503 || !strings.Contains(body, "503 Service Temporarily Unavailable") {
		t.Errorf("without targets: %d %q", status, body)
	}
	for _, id := range []string{"i-1", "i-2", "i-3"} {
		w.backend(id, says(id))
	}
	for _, id := range []string{"i-1", "i-2", "i-3"} {
		w.becomes(id, "healthy")
	}
	seen := map[string]int{}
	for range 30 {
		_, body := w.get("/")
		seen[body]++
	}
	if seen["i-1"] != 10 || seen["i-2"] != 10 || seen["i-3"] != 10 {
		t.Errorf("requests went to %v", seen)
	}
}

func TestProxyHeaders(t *testing.T) {
	w := newSite(t)
	w.backend("i-1", func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "%s|%s|%s|%s|%s|%v", r.Host, r.Header.Get("X-Forwarded-For"), r.Header.Get("X-Forwarded-Proto"), r.Header.Get("X-Forwarded-Port"), r.URL, r.Header.Get("X-Amzn-Trace-Id") != "")
	})
	w.becomes("i-1", "healthy")
	req := must(http.NewRequestWithContext(t.Context(), http.MethodGet, w.url+"/a%2Fb?c=d;e", nil))
	req.Host = "www.example.com"
	req.Header.Set("X-Forwarded-For", "203.0.113.7")
	resp := must(w.client.Do(req))
	body := string(must(io.ReadAll(resp.Body)))
	_ = resp.Body.Close()
	if want := "www.example.com|203.0.113.7, 127.0.0.1|http|8080|/a%2Fb?c=d;e|true"; body != want {
		t.Errorf("got %q, want %q", body, want)
	}
}

func TestProxyFailures(t *testing.T) {
	w := newSite(t)
	must(w.service.modifyLoadBalancerAttributes(t.Context(), &elbv2.ModifyLoadBalancerAttributesInput{
		LoadBalancerArn: w.service.state.LoadBalancers[0].Settings.LoadBalancerArn,
		Attributes:      []types.LoadBalancerAttribute{{Key: aws.String("idle_timeout.timeout_seconds"), Value: aws.String("1")}},
	}))
	var asked atomic.Int32
	w.backend("i-1", func(rw http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/cut":
			asked.Add(1)
			panic(http.ErrAbortHandler)
		case "/slow":
			<-r.Context().Done()
		default:
			_, _ = io.WriteString(rw, "here")
		}
	})
	w.becomes("i-1", "healthy")
	if status, _ := w.get("/"); status != 200 {
		t.Fatalf("status %d", status)
	}
	if status, body := w.get("/cut"); status != 502 || !strings.Contains(body, "502 Bad Gateway") || asked.Load() != 1 {
		t.Errorf("a cut connection: %d %q after %d tries", status, body, asked.Load())
	}
	if status, _ := w.get("/slow"); status != 504 {
		t.Errorf("a slow target: %d", status)
	}
}

// When no target is healthy the load balancer sends requests to all of them.
func TestProxyFailsOpen(t *testing.T) {
	w := newSite(t)
	w.backend("i-1", func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/health" {
			rw.WriteHeader(http.StatusInternalServerError)
		}
		_, _ = io.WriteString(rw, "still here")
	})
	w.becomes("i-1", "unhealthy")
	if status, body := w.get("/"); status != 200 || body != "still here" {
		t.Errorf("%d %q", status, body)
	}
}

func TestDrainingLetsRequestsFinish(t *testing.T) {
	w := newSite(t)
	arrived, finish := make(chan bool), make(chan bool)
	w.backend("i-1", func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/long" {
			arrived <- true
			<-finish
		}
		_, _ = io.WriteString(rw, "i-1")
	})
	w.backend("i-2", says("i-2"))
	w.becomes("i-1", "healthy")
	w.becomes("i-2", "healthy")
	answer := make(chan string)
	go func() {
		for {
			status, body := w.get("/long")
			if body != "i-2" {
				answer <- fmt.Sprint(status, body)
				return
			}
		}
	}()
	<-arrived
	w.deregister("i-1")
	for range 20 {
		if _, body := w.get("/"); body != "i-2" {
			t.Errorf("a draining target got a new request: %q", body)
		}
	}
	close(finish)
	if got := <-answer; got != "200i-1" {
		t.Errorf("the request in flight ended with %s", got)
	}
	if s := w.state("i-1"); s != "draining" {
		t.Errorf("target is %s before its delay is over", s)
	}
	w.becomes("i-1", "unused")
}

// What still runs when the delay is over is cut.
func TestDrainingEnds(t *testing.T) {
	w := newSite(t)
	arrived := make(chan bool)
	w.backend("i-1", func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/endless" {
			close(arrived)
			<-r.Context().Done()
		}
	})
	w.becomes("i-1", "healthy")
	answer := make(chan int)
	go func() {
		status, _ := w.get("/endless")
		answer <- status
	}()
	<-arrived
	w.deregister("i-1")
	if got := <-answer; got != 502 {
		t.Errorf("the endless request ended with %d", got)
	}
}

// load asks from several connections until told to stop.
func (w *site) load() (stop func() (good, bad int64)) {
	var ok, failed atomic.Int64
	ctx, cancel := context.WithCancel(w.Context())
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for ctx.Err() == nil {
				if status, _ := w.get("/"); status == 200 {
					ok.Add(1)
				} else {
					failed.Add(1)
				}
			}
		})
	}
	return func() (int64, int64) {
		cancel()
		clients.Wait()
		return ok.Load(), failed.Load()
	}
}

func TestReplacingTargetsUnderLoad(t *testing.T) {
	for _, drained := range []bool{true, false} {
		t.Run(fmt.Sprintf("drained %v", drained), func(t *testing.T) {
			w := newSite(t)
			old := w.backend("i-0", says("i-0"))
			w.becomes("i-0", "healthy")
			stop := w.load()
			for i := 1; i <= 3; i++ {
				before, id := fmt.Sprint("i-", i-1), fmt.Sprint("i-", i)
				next := w.backend(id, says(id))
				w.becomes(id, "healthy")
				if drained {
					w.deregister(before)
					w.becomes(before, "unused")
				}
				old.CloseClientConnections()
				old.Close()
				if !drained {
					eventually(t, "the dead target is noticed", func() bool { return w.state(before) == "unhealthy" })
					w.deregister(before)
				}
				old = next
			}
			good, bad := stop()
			if good < 10 || drained != (bad == 0) {
				t.Errorf("%d requests answered, %d failed", good, bad)
			}
		})
	}
}
