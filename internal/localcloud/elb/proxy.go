package elb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/wpbake/wpbake/internal/wire"
)

const (
	connectTimeout = 10 * time.Second
	// keepIdle is shorter than any web server's own, so that a kept
	// connection is hardly ever one that the target is just closing.
	keepIdle = 4 * time.Second
)

// prepare gives a target its own connections.
func (t *target) prepare() {
	t.gone = make(chan struct{})
	t.transport = &http.Transport{
		DialContext:         (&net.Dialer{Timeout: connectTimeout}).DialContext,
		DisableCompression:  true,
		IdleConnTimeout:     keepIdle,
		MaxIdleConnsPerHost: 64,
	}
}

// stop cuts all requests and connections to the target.
func (t *target) stop() {
	close(t.gone)
	t.transport.CloseIdleConnections()
}

// serve opens a listener's socket.
func (s *Service) serve(l *listener) error {
	if s.options.NoServe {
		return nil
	}
	port := *l.Settings.Port
	socket, err := s.options.Listen(port)
	if err != nil {
		return wire.Errorf("InvalidConfigurationRequest", "The local cloud cannot listen on port %d: %v", port, err)
	}
	server := &http.Server{
		Handler:           &proxy{service: s, listener: l, port: port},
		ReadHeaderTimeout: time.Minute,
		IdleTimeout:       time.Hour,
		ErrorLog:          slog.NewLogLogger(s.options.Log.Handler(), slog.LevelDebug),
	}
	s.servers[l.arn()] = server
	go func() {
		if err := server.Serve(socket); err != nil && !errors.Is(err, http.ErrServerClosed) {
			s.options.Log.Error("serving a listener ended", "port", port, "cause", err)
		}
	}()
	return nil
}

// serveAll opens the sockets of listeners that have none yet.
func (s *Service) serveAll() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.state.Listeners {
		if s.servers[l.arn()] != nil {
			continue
		}
		if err := s.serve(l); err != nil {
			return fmt.Errorf("serving listener %q: %w", l.arn(), err)
		}
	}
	return nil
}

func (s *Service) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for arn, server := range s.servers {
		_ = server.Close()
		delete(s.servers, arn)
	}
	for _, g := range s.state.TargetGroups {
		for _, t := range g.Targets {
			t.transport.CloseIdleConnections()
		}
	}
}

// route is one request's way, chosen under the lock.
type route struct {
	target  *target
	address string
	timeout time.Duration
}

// choose picks the target for a request: the healthy ones in turn; if none is
// healthy, all that run, since a load balancer rather fails open than closed.
// A draining target is never chosen.
func (s *Service) choose(l *listener) (route, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, err := s.targetGroup(l.next())
	if err != nil {
		return route{}, false
	}
	var healthy, rest []*target
	for _, t := range g.Targets {
		switch {
		case t.draining() || !t.Alive:
		case t.State == types.TargetHealthStateEnumHealthy:
			healthy = append(healthy, t)
		default:
			rest = append(rest, t)
		}
	}
	if len(healthy) == 0 {
		healthy = rest
	}
	if len(healthy) == 0 {
		return route{}, false
	}
	t := healthy[g.turn%len(healthy)]
	g.turn++
	return route{target: t, address: t.address(), timeout: s.idleTimeout(l)}, true
}

// idleTimeout is the load balancer's: how long a target may take to answer.
func (s *Service) idleTimeout(l *listener) time.Duration {
	seconds := 60
	if b := s.loadBalancer(aws.ToString(l.Settings.LoadBalancerArn)); b != nil {
		if n, err := strconv.Atoi(b.Attributes["idle_timeout.timeout_seconds"]); err == nil {
			seconds = n
		}
	}
	return time.Duration(seconds) * time.Second
}

// proxy serves one listener.
type proxy struct {
	service  *Service
	listener *listener
	port     int32
}

var (
	errTooSlow = errors.New("target did not answer within the idle timeout")
	errGone    = errors.New("target's deregistration delay is over")
)

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	way, ok := p.service.choose(p.listener)
	if !ok {
		answer(w, http.StatusServiceUnavailable)
		return
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	go func() {
		select {
		case <-way.target.gone:
			cancel(errGone)
		case <-ctx.Done():
		}
	}()
	slow := time.AfterFunc(way.timeout, func() { cancel(errTooSlow) })
	defer slow.Stop()
	(&httputil.ReverseProxy{
		Transport:      way.target.transport,
		Rewrite:        func(pr *httputil.ProxyRequest) { p.rewrite(pr, way.address) },
		ModifyResponse: func(*http.Response) error { slow.Stop(); return nil },
		ErrorHandler:   p.failed,
		ErrorLog:       slog.NewLogLogger(p.service.options.Log.Handler(), slog.LevelDebug),
	}).ServeHTTP(w, r.WithContext(ctx))
	p.service.tidy(way.target)
}

// tidy drops the connections that a draining target's last requests kept.
func (s *Service) tidy(t *target) {
	s.mu.Lock()
	draining := t.draining()
	s.mu.Unlock()
	if draining {
		t.transport.CloseIdleConnections()
	}
}

// rewrite aims a request at its target. The Host stays the client's.
func (p *proxy) rewrite(pr *httputil.ProxyRequest, address string) {
	pr.SetURL(&url.URL{Scheme: "http", Host: address})
	pr.Out.Host, pr.Out.URL.RawQuery = pr.In.Host, pr.In.URL.RawQuery
	client, _, err := net.SplitHostPort(pr.In.RemoteAddr)
	if err != nil {
		client = pr.In.RemoteAddr
	}
	forwarded := client
	if before := pr.In.Header.Get("X-Forwarded-For"); before != "" {
		forwarded = before + ", " + client
	}
	pr.Out.Header.Set("X-Forwarded-For", forwarded)
	pr.Out.Header.Set("X-Forwarded-Proto", "http")
	pr.Out.Header.Set("X-Forwarded-Port", strconv.Itoa(int(p.port)))
	if pr.Out.Header.Get("X-Amzn-Trace-Id") == "" {
		pr.Out.Header.Set("X-Amzn-Trace-Id", fmt.Sprintf("Root=1-%08x-%s%s", time.Now().Unix(), randomID(), randomID()[:8]))
	}
	if pr.Out.Body == nil {
		// Without a body Go would send the request again on another
		// connection when a kept one breaks. A load balancer answers 502.
		pr.Out.Body = unrepeatable{}
	}
}

// unrepeatable is an empty body that net/http does not know to be empty.
type unrepeatable struct{}

func (unrepeatable) Read([]byte) (int, error) { return 0, io.EOF }
func (unrepeatable) Close() error             { return nil }

// failed answers for a target that did not.
func (p *proxy) failed(w http.ResponseWriter, r *http.Request, err error) {
	p.service.options.Log.Debug("proxying a request failed", "url", r.URL.Path, "cause", err)
	var timeout net.Error
	switch {
	case errors.Is(context.Cause(r.Context()), errTooSlow), errors.As(err, &timeout) && timeout.Timeout():
		answer(w, http.StatusGatewayTimeout)
	default:
		answer(w, http.StatusBadGateway)
	}
}

// answer is the load balancer's own page.
func answer(w http.ResponseWriter, status int) {
	title := strconv.Itoa(status) + " " + map[int]string{
		http.StatusBadGateway:         "Bad Gateway",
		http.StatusServiceUnavailable: "Service Temporarily Unavailable",
		http.StatusGatewayTimeout:     "Gateway Time-out",
	}[status]
	w.Header().Set("Server", "awselb/2.0")
	w.Header().Set("Content-Type", "text/html")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "<html>\r\n<head><title>%[1]s</title></head>\r\n<body>\r\n<center><h1>%[1]s</h1></center>\r\n</body>\r\n</html>\r\n", title)
}
