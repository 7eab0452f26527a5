package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wpbake/wpbake/artifact"
)

// answers is a server that answers with its pages in turn, with the last one for
// ever. Nothing lies between it and the browser, so that a page takes none of a
// bubble's time.
type answers struct {
	pages []http.HandlerFunc
	asked int
}

func (a *answers) RoundTrip(r *http.Request) (*http.Response, error) {
	a.asked++
	w := httptest.NewRecorder()
	a.pages[min(a.asked, len(a.pages))-1](w, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return w.Result(), nil
}

// asking is the browser of a gate before such a server.
func asking(g Gate, pages ...http.HandlerFunc) (browser, *answers) {
	a := &answers{pages: pages}
	g.URL = "http://127.0.0.1/"
	b := newBrowser(g)
	b.client.Transport = a
	return b, a
}

// silence answers no request.
func silence(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

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
			synctest.Test(t, func(t *testing.T) {
				const timeout = 7 * gatePause / 2 // between two looks
				b, server := asking(Gate{Status: 200, Body: "wp-content", Timeout: timeout}, c.pages...)
				begun := time.Now()
				err := b.pass(t.Context(), want)
				if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
					t.Fatalf("got %v, want %q", err, c.want)
				}
				asked, took := len(c.pages), time.Duration(len(c.pages)-1)*gatePause
				if c.want != "" {
					asked, took = 4, timeout
				}
				if server.asked != asked || time.Since(begun) != took {
					t.Errorf("asked %d times in %v, want %d in %v", server.asked, time.Since(begun), asked, took)
				}
			})
		})
	}
}

// The browser is a real one, before a real server.
func TestGateSendsWhatTheSiteExpects(t *testing.T) {
	d := artifact.DigestOf(nil)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(ReleaseHeader, d.Short())
		_, _ = w.Write([]byte(r.Host + " " + r.Header.Get("X-Forwarded-Proto") + " " + r.URL.Path))
	}))
	defer s.Close()
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
	synctest.Test(t, func(t *testing.T) {
		b, server := asking(Gate{Status: 200, Timeout: 4 * gatePause}, answer(500, "", "x"), silence)
		err := b.pass(t.Context(), artifact.DigestOf(nil))
		if err == nil || !strings.Contains(err.Error(), "status 500") || server.asked != 2 {
			t.Errorf("asked %d times: %v", server.asked, err)
		}
	})
}

func TestGateEndsWithTheBoot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 7*gatePause/2)
		defer cancel()
		b, _ := asking(Gate{Status: 200, Timeout: time.Minute}, answer(500, "", "x"))
		err := b.pass(ctx, artifact.DigestOf(nil))
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "status 500") {
			t.Errorf("got %v", err)
		}
	})
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
		b, _ := asking(Gate{}, silence)
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

// A server whose start command has ended may not listen yet.
func TestWarmWaitsForTheServer(t *testing.T) {
	s := httptest.NewServer(answer(200, "", ""))
	defer s.Close()
	b := newBrowser(Gate{URL: s.URL})
	var dialed int
	b.client.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if dialed++; dialed < 3 {
			address = deaf(t)
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	if got := b.warm(t.Context(), []string{"/"}); len(got) != 1 || got[0].failure() != "" || dialed != 3 {
		t.Errorf("dialed %d times: %+v", dialed, got)
	}
}

// deaf is an address that is taken, and at which nobody listens.
func deaf(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port)
}
