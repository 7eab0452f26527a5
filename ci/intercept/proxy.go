// Package intercept is a proxy that stands between an AWS client and a cloud on this machine, both
// on loopback. It knows which call a request is, counts calls, and can let
// something happen at the moment when a call has had its effect and its answer
// has not arrived yet. It refuses to know what the calls mean.
package intercept

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// Proxy listens on loopback.
type Proxy struct {
	listener net.Listener
	server   *http.Server
	pending  sync.WaitGroup

	mu    sync.Mutex
	calls []Call
	aim   aim
	holds map[string]func()
}

// Call is a request that arrived.
type Call struct {
	Service string // as signed for, such as ec2
	Name    string // such as RunInstances; of S3, method and folder
}

// aim is a call that something shall happen at.
type aim struct {
	matches func(Call) bool
	left    int         // of those that match, until it happens
	then    func() bool // reports whether the answer may go on; nil once it happened
}

// addresses is how many proxies one cloud may have.
const addresses = 16

// listen takes the cloud's own port on another loopback address: the local
// cloud refuses requests for another port than its own, and Host is signed.
func listen(port string) (net.Listener, error) {
	var err error
	for n := range addresses {
		var listener net.Listener
		if listener, err = net.Listen("tcp", fmt.Sprintf("127.0.0.%d:%s", n+2, port)); err == nil {
			return listener, nil
		}
	}
	return nil, err
}

// Start serves until Close. Target must be on loopback.
func Start(target string) (*Proxy, error) {
	to, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	if addr, err := netip.ParseAddr(to.Hostname()); err != nil || !addr.IsLoopback() {
		return nil, fmt.Errorf("intercepting calls to %q: not loopback", target)
	}
	listener, err := listen(to.Port())
	if err != nil {
		return nil, err
	}
	p := &Proxy{listener: listener}
	forward := &httputil.ReverseProxy{
		// Path, query and Host stay as they are, for they are signed.
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = to.Scheme, to.Host, r.In.Host
		},
		ModifyResponse: p.answered,
		ErrorHandler:   func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		ErrorLog:       log.New(io.Discard, "", 0), // of clients that were killed
	}
	p.server = &http.Server{ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.pending.Add(1)
		defer p.pending.Done()
		c, err := callOf(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		p.mu.Lock()
		p.calls = append(p.calls, c)
		p.mu.Unlock()
		// The call goes on to its end when its client is killed.
		forward.ServeHTTP(w, r.WithContext(withCall(r.Context(), c)))
	})}
	go func() { _ = p.server.Serve(listener) }()
	return p, nil
}

// URL is where clients shall call.
func (p *Proxy) URL() string { return "http://" + p.listener.Addr().String() }

// Close ends the proxy at once.
func (p *Proxy) Close() error { return p.server.Close() }

// Calls are those that arrived since the start or since Forget.
func (p *Proxy) Calls() []Call {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.calls)
}

// Forget begins to count anew, and aims at nothing.
func (p *Proxy) Forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls, p.aim = nil, aim{}
}

// At lets something happen when the n-th call from now that matches has been
// answered by the cloud, before the client hears of it; never, if the function
// reports false.
func (p *Proxy) At(n int, matches func(Call) bool, then func() (deliver bool)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.aim = aim{matches, n, then}
}

// Hold lets every answer to calls of a name wait for a function's end, so that
// a client that asks for the result at once finds it there.
func (p *Proxy) Hold(name string, wait func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.holds == nil {
		p.holds = map[string]func(){}
	}
	p.holds[name] = wait
}

// Wait returns once no call is on its way. New ones must not begin: the client
// has ended.
func (p *Proxy) Wait() { p.pending.Wait() }

var errSwallowed = errors.New("the answer is lost")

func (p *Proxy) answered(r *http.Response) error {
	c := callIn(r.Request.Context())
	p.mu.Lock()
	if hold := p.holds[c.Name]; hold != nil {
		p.mu.Unlock()
		hold()
		p.mu.Lock()
	}
	if p.aim.then == nil || !p.aim.matches(c) {
		p.mu.Unlock()
		return nil
	}
	p.aim.left--
	then := p.aim.then
	if p.aim.left > 0 {
		then = nil
	} else {
		p.aim.then = nil
	}
	p.mu.Unlock()
	if then != nil && !then() {
		return errSwallowed
	}
	return nil
}

// callOf reads what a request is. Its body can be read again afterwards.
func callOf(r *http.Request) (Call, error) {
	c := Call{Service: signedFor(r.Header.Get("Authorization"))}
	switch c.Service {
	case "ebs":
		c.Name = direct(r)
	case "s3":
		_, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		c.Name = r.Method + " " + key
	default:
		body, err := io.ReadAll(io.LimitReader(r.Body, 16<<20))
		if err != nil {
			return c, err
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		values, err := url.ParseQuery(string(body))
		if c.Name = values.Get("Action"); err != nil || c.Name == "" {
			_, c.Name, _ = strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		}
	}
	return c, nil
}

// signedFor reads the service from a signature of version 4.
func signedFor(authorization string) string {
	_, scope, _ := strings.Cut(authorization, "Credential=")
	scope, _, _ = strings.Cut(scope, ",")
	parts := strings.Split(scope, "/")
	if len(parts) != 5 {
		return ""
	}
	return parts[3]
}

// direct names a call of the EBS direct APIs, which only its path does.
func direct(r *http.Request) string {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case r.Method == http.MethodPost && len(parts) == 1:
		return "StartSnapshot"
	case r.Method == http.MethodPost:
		return "CompleteSnapshot"
	case r.Method == http.MethodPut:
		return "PutSnapshotBlock"
	case parts[len(parts)-1] == "changedblocks":
		return "ListChangedBlocks"
	case parts[len(parts)-1] == "blocks":
		return "ListSnapshotBlocks"
	}
	return "GetSnapshotBlock"
}
