package node

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wpbake/wpbake/artifact"
)

// answers serves its pages in turn, the last one for ever.
func answers(t *testing.T, pages ...http.HandlerFunc) (*httptest.Server, *atomic.Int64) {
	t.Helper()
	var asked atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pages[min(int(asked.Add(1)), len(pages))-1](w, r)
	}))
	t.Cleanup(s.Close)
	return s, &asked
}

func answer(status int, release, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if release != "" {
			w.Header().Set(ReleaseHeader, release)
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

func TestGate(t *testing.T) {
	want := artifact.DigestOf([]byte("v42"))
	right := "/srv/wordpress/releases/" + want.Short() + "/wordpress"
	const body = "<link href='/wp-content/x.css'>"
	good := answer(200, right, body)
	redirect := func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://www.example.com/", http.StatusMovedPermanently)
	}
	for name, c := range map[string]struct {
		pages []http.HandlerFunc
		want  string // empty means it passes
	}{
		"good":          {[]http.HandlerFunc{good}, ""},
		"good later":    {[]http.HandlerFunc{answer(502, "", ""), answer(200, right, ""), good}, ""},
		"wrong release": {[]http.HandlerFunc{answer(200, "/srv/wordpress/releases/0123456789ab/wordpress", body)}, `wrong release: served from "/srv/wordpress/releases/0123456789ab/wordpress", want ` + want.Short()},
		"no header":     {[]http.HandlerFunc{answer(200, "", body)}, "no X-Wpbake-Release header"},
		"empty body":    {[]http.HandlerFunc{answer(200, right, " \n")}, "empty body"},
		"other body":    {[]http.HandlerFunc{answer(200, right, "It works!")}, `the body of 9 bytes lacks "wp-content"`},
		"status 500":    {[]http.HandlerFunc{answer(500, right, body)}, "status 500, want 200"},
		"redirect":      {[]http.HandlerFunc{redirect}, `status 301 to "https://www.example.com/", want 200`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, asked := answers(t, c.pages...)
			g := Gate{URL: s.URL + "/", Status: 200, Body: "wp-content", Timeout: 4 * gatePause}
			if c.want == "" {
				g.Timeout = time.Minute
			}
			err := newBrowser(g).pass(t.Context(), want)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			if c.want != "" && asked.Load() < 2 {
				t.Errorf("asked %d times", asked.Load())
			}
		})
	}
}

func TestGateSendsWhatTheSiteExpects(t *testing.T) {
	d := artifact.DigestOf(nil)
	s, _ := answers(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(ReleaseHeader, d.Short())
		_, _ = w.Write([]byte(r.Host + " " + r.Header.Get("X-Forwarded-Proto") + " " + r.URL.Path))
	})
	g := Gate{
		URL: s.URL + "/health", Host: "www.example.com", Headers: map[string]string{"X-Forwarded-Proto": "https"},
		Status: 200, Body: "www.example.com https /health", Timeout: time.Minute,
	}
	if err := newBrowser(g).pass(t.Context(), d); err != nil {
		t.Error(err)
	}
}

// A request that the gate's clock cuts does not hide what the one before said.
func TestGateRemembersTheLastAnswer(t *testing.T) {
	t.Parallel()
	s, _ := answers(t, answer(500, "", "x"), func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	err := newBrowser(Gate{URL: s.URL, Status: 200, Timeout: 4 * gatePause}).pass(t.Context(), artifact.DigestOf(nil))
	if err == nil || !strings.Contains(err.Error(), "status 500") {
		t.Errorf("got %v", err)
	}
}

func TestGateEndsWithTheBoot(t *testing.T) {
	t.Parallel()
	s, _ := answers(t, answer(500, "", "x"))
	ctx, cancel := context.WithTimeout(t.Context(), 4*gatePause)
	defer cancel()
	err := newBrowser(Gate{URL: s.URL, Status: 200, Timeout: time.Minute}).pass(ctx, artifact.DigestOf(nil))
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "status 500") {
		t.Errorf("got %v", err)
	}
}

func TestWarm(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.RequestURI() {
		case "/":
		case "/?s=x":
			http.Redirect(w, r, "/", http.StatusFound)
		default:
			w.WriteHeader(503)
		}
	}))
	defer s.Close()
	got := newBrowser(Gate{URL: s.URL + "/deep/page"}).warm(t.Context(), []string{"/", "/?s=x", "/feed/"})
	want := []Warmed{{Path: "/", Status: 200}, {Path: "/?s=x", Status: 302}, {Path: "/feed/", Status: 503}}
	for i, failure := range []string{"", "", `warming "/feed/": status 503`} {
		if got[i].failure() != failure || got[i].Seconds <= 0 {
			t.Errorf("%+v: %q", got[i], got[i].failure())
		}
		got[i].Seconds = 0
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A node that never answers is judged by its gate, not held up by its warm-up.
func TestWarmIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBrowser(Gate{URL: "http://127.0.0.1/"})
		b.client.Transport = silence{}
		begun := time.Now()
		got := b.warm(t.Context(), []string{"/", "/a", "/b", "/c", "/d"})
		if took := time.Since(begun); took != warmTimeout {
			t.Errorf("it took %v", took)
		}
		if len(got) != 5 || got[0].failure() == "" || got[4].Error != "no answer within the 1m0s of the whole warm-up" {
			t.Errorf("%+v", got)
		}
	})
}

// silence answers no request.
type silence struct{}

func (silence) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// A server whose start command has ended may not listen yet.
func TestWarmWaitsForTheServer(t *testing.T) {
	reserved, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := reserved.Addr().String()
	if err := reserved.Close(); err != nil {
		t.Fatal(err)
	}
	served := make(chan *http.Server, 1)
	timer := time.AfterFunc(gatePause/2, func() {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Error(err)
			return
		}
		s := &http.Server{Handler: answer(200, "", "")}
		served <- s
		_ = s.Serve(l)
	})
	defer timer.Stop()
	if got := newBrowser(Gate{URL: "http://" + address}).warm(t.Context(), []string{"/"}); len(got) != 1 || got[0].failure() != "" {
		t.Error(got)
	}
	(<-served).Close()
}
