package localcloud

import (
	"context"
	"hash/fnv"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/wpbake/wpbake/internal/wire"
)

// Kinds of faults that the cloud itself injects.
const (
	faultExpired   = "expired-credentials" // by access key
	faultLost      = "lost-answer"         // by action
	faultThrottle  = "throttle"            // by action
	faultUnhealthy = "unhealthy"           // by instance
)

// fault is something that goes wrong on purpose.
type fault struct {
	Kind    string `json:"kind"`
	Target  string `json:"target,omitempty"`  // "" for everything
	Count   int    `json:"count,omitempty"`   // how often it still happens, 0 until cleared
	Percent int    `json:"percent,omitempty"` // of the chances it has, 0 for all
	Seconds int    `json:"seconds,omitempty"` // how long, 0 until cleared

	until   time.Time // zero without end
	chances int       // hundredths saved up towards the next time
}

// faults are those that are armed.
type faults struct {
	mu  sync.Mutex
	all []*fault
}

func newFaults() *faults { return &faults{} }

func (f *faults) add(one fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if one.Seconds > 0 {
		one.until = time.Now().Add(time.Duration(one.Seconds) * time.Second)
	}
	f.all = append(f.all, &one)
}

// current needs the mutex.
func (f *faults) current() []*fault {
	now := time.Now()
	f.all = slices.DeleteFunc(f.all, func(one *fault) bool { return !one.until.IsZero() && !now.Before(one.until) })
	return f.all
}

func (f *faults) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = nil
}

func (f *faults) list() []fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	listed := []fault{}
	for _, one := range f.current() {
		listed = append(listed, *one)
	}
	return listed
}

// take reports whether a fault of that kind strikes what, and counts it. A
// percentage is spread evenly, so that the same calls always meet the same.
func (f *faults) take(kind, what string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for n, one := range f.current() {
		if one.Kind != kind || one.Target != "" && !strings.EqualFold(one.Target, what) {
			continue
		}
		if one.Percent > 0 {
			if one.chances += one.Percent; one.chances < 100 {
				continue
			}
			one.chances -= 100
		}
		if one.Count > 0 {
			if one.Count--; one.Count == 0 {
				f.all = slices.Delete(f.all, n, n+1)
			}
		}
		return true
	}
	return false
}

// strikes is for faults that last: one that strikes part of everything always
// strikes the same part.
func (f *faults) strikes(kind, what string) bool {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(what)) // never fails
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.ContainsFunc(f.current(), func(one *fault) bool {
		return one.Kind == kind && (one.Target == "" || one.Target == what) &&
			(one.Percent == 0 || int(hash.Sum32()%100) < one.Percent)
	})
}

func (f *faults) armed(kind string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.ContainsFunc(f.current(), func(one *fault) bool { return one.Kind == kind })
}

// around lets faults into a service's actions.
func (f *faults) around(service string, actions wire.Actions) wire.Actions {
	wrapped := wire.Actions{}
	for name, action := range actions {
		wrapped[name] = wire.Action{NewInput: action.NewInput, Call: func(ctx context.Context, input any) (any, error) {
			if f.take(faultThrottle, name) {
				return nil, throttled(service)
			}
			output, err := action.Call(ctx, input)
			if f.take(faultLost, name) {
				lose(ctx)
			}
			return output, err
		}}
	}
	return wrapped
}

// throttled is how a service says that it is asked too often.
func throttled(service string) *wire.Error {
	switch service {
	case "ec2":
		return &wire.Error{Code: "RequestLimitExceeded", Message: "Request limit exceeded.", Status: http.StatusServiceUnavailable}
	case "ebs":
		return &wire.Error{Code: "RequestThrottledException", Message: "Rate exceeded", Status: http.StatusBadRequest, Reason: "ACCOUNT_THROTTLED"}
	case "ssm":
		return wire.Errorf("ThrottlingException", "Rate exceeded")
	}
	return wire.Errorf("Throttling", "Rate exceeded")
}

// answer is a response that may get lost after the deed is done.
type answer struct {
	http.ResponseWriter
	lost bool
}

func (a *answer) WriteHeader(status int) {
	if !a.lost {
		a.ResponseWriter.WriteHeader(status)
	}
}

func (a *answer) Write(b []byte) (int, error) {
	if a.lost {
		return len(b), nil
	}
	return a.ResponseWriter.Write(b)
}

type answerKey struct{}

func withAnswer(ctx context.Context, w http.ResponseWriter) context.Context {
	if a, ok := w.(*answer); ok {
		return context.WithValue(ctx, answerKey{}, a)
	}
	return ctx
}

// lose drops the answer to the request of ctx.
func lose(ctx context.Context) {
	if a, ok := ctx.Value(answerKey{}).(*answer); ok {
		a.lost = true
	}
}

// loseable makes the answer one that can be lost, while there is such a fault.
// finish cuts the connection of a lost one; a transport without connections
// gets AWS's own trouble instead, which clients retry as well.
func (f *faults) loseable(w http.ResponseWriter) (_ http.ResponseWriter, finish func()) {
	if !f.armed(faultLost) {
		return w, func() {}
	}
	a := &answer{ResponseWriter: w}
	return a, func() {
		if !a.lost {
			return
		}
		if hijacker, ok := w.(http.Hijacker); ok {
			if connection, _, err := hijacker.Hijack(); err == nil {
				_ = connection.Close()
				return
			}
		}
		w.Header().Del("Content-Length")
		w.WriteHeader(http.StatusInternalServerError)
	}
}
