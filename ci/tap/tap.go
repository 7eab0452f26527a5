// Package tap stands between an AWS client and a cloud on this machine, both
// on loopback. It knows which call a request is, counts calls, and can let
// something happen at the moment when a call has had its effect and its answer
// has not arrived yet. It refuses to know what the calls mean.
package tap

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

// Tap is a proxy that listens on loopback.
type Tap struct {
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

// Start serves on a free port until Close. Target must be on loopback.
func Start(target string) (*Tap, error) {
	to, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	if addr, err := netip.ParseAddr(to.Hostname()); err != nil || !addr.IsLoopback() {
		return nil, fmt.Errorf("tapping %q: not loopback", target)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	t := &Tap{listener: listener}
	proxy := &httputil.ReverseProxy{
		// Path, query and Host stay as they are, for they are signed.
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = to.Scheme, to.Host, r.In.Host
		},
		ModifyResponse: t.answered,
		ErrorHandler:   func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		ErrorLog:       log.New(io.Discard, "", 0), // of clients that were killed
	}
	t.server = &http.Server{ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.pending.Add(1)
		defer t.pending.Done()
		c, err := callOf(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		t.mu.Lock()
		t.calls = append(t.calls, c)
		t.mu.Unlock()
		// The call goes on to its end when its client is killed.
		proxy.ServeHTTP(w, r.WithContext(withCall(r.Context(), c)))
	})}
	go func() { _ = t.server.Serve(listener) }()
	return t, nil
}

// URL is where clients shall call.
func (t *Tap) URL() string { return "http://" + t.listener.Addr().String() }

// Close ends the proxy at once.
func (t *Tap) Close() error { return t.server.Close() }

// Calls are those that arrived since the start or since Forget.
func (t *Tap) Calls() []Call {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.calls)
}

// Forget begins to count anew, and aims at nothing.
func (t *Tap) Forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.calls, t.aim = nil, aim{}
}

// At lets something happen when the n-th call from now that matches has been
// answered by the cloud, before the client hears of it; never, if the function
// reports false.
func (t *Tap) At(n int, matches func(Call) bool, then func() (deliver bool)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.aim = aim{matches, n, then}
}

// Hold lets every answer to calls of a name wait for a function's end, so that
// a client that asks for the result at once finds it there.
func (t *Tap) Hold(name string, wait func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.holds == nil {
		t.holds = map[string]func(){}
	}
	t.holds[name] = wait
}

// Wait returns once no call is on its way. New ones must not begin: the client
// has ended.
func (t *Tap) Wait() { t.pending.Wait() }

var errSwallowed = errors.New("the answer is lost")

func (t *Tap) answered(r *http.Response) error {
	c := callIn(r.Request.Context())
	t.mu.Lock()
	if hold := t.holds[c.Name]; hold != nil {
		t.mu.Unlock()
		hold()
		t.mu.Lock()
	}
	if t.aim.then == nil || !t.aim.matches(c) {
		t.mu.Unlock()
		return nil
	}
	t.aim.left--
	then := t.aim.then
	if t.aim.left > 0 {
		then = nil
	} else {
		t.aim.then = nil
	}
	t.mu.Unlock()
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
