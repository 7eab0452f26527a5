package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/node/wait"
)

// ReleaseHeader is the response header that names the directory a page was
// served from. The web server sets it from the real path of its docroot.
const ReleaseHeader = "X-Wpbake-Release"

const (
	pageBytes   = 4 << 20 // read of a page
	pageTimeout = 30 * time.Second
	gatePause   = 500 * time.Millisecond
)

// browser asks this node's web server.
type browser struct {
	gate   Gate
	client *http.Client
}

func newBrowser(g Gate) browser {
	transport := &http.Transport{Proxy: nil, DisableKeepAlives: true} // a reload must not be hidden by an old connection
	return browser{gate: g, client: &http.Client{
		Transport: transport,
		// A redirect leads to another server as often as not; it is the answer.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// page is an answer, read to its end.
type page struct {
	status   int
	location string // of a redirect
	release  string // ReleaseHeader
	body     []byte
}

// get asks for target, a path on the gate's server or "" for the gate's page.
func (b browser) get(ctx context.Context, target string) (page, error) {
	ctx, cancel := context.WithTimeout(ctx, pageTimeout)
	defer cancel()
	address := b.gate.URL
	if target != "" {
		u, err := url.Parse(b.gate.URL)
		if err != nil {
			return page{}, err
		}
		ref, err := u.Parse(target)
		if err != nil {
			return page{}, err
		}
		address = ref.String()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return page{}, err
	}
	for name, value := range b.gate.Headers {
		req.Header.Set(name, value)
	}
	req.Header.Set("User-Agent", "wpbake")
	req.Host = b.gate.Host
	res, err := b.client.Do(req)
	if err != nil {
		return page{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, pageBytes))
	if err != nil {
		return page{}, fmt.Errorf("reading %q: %w", address, err)
	}
	return page{res.StatusCode, res.Header.Get("Location"), res.Header.Get(ReleaseHeader), body}, nil
}

// pass asks for the gate's page until it proves the release, and returns the
// last objection when the gate's time is over.
func (b browser) pass(ctx context.Context, want artifact.Digest) error {
	limited, cancel := context.WithTimeout(ctx, b.gate.Timeout)
	defer cancel()
	var objection error
	asked := 0
	for asked = range wait.Every(limited, gatePause) {
		p, err := b.get(limited, "")
		if err == nil {
			err = b.gate.judge(p, want)
		}
		if err == nil {
			return nil
		}
		if objection == nil || limited.Err() == nil { // a request cut by the clock says less than the one before
			objection = err
		}
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%w, the last answer: %w", ctx.Err(), objection)
	}
	return fmt.Errorf("%w (asked %d times in %v)", objection, asked, b.gate.Timeout)
}

// judge says what a page lacks to prove the release.
func (g Gate) judge(p page, want artifact.Digest) error {
	switch {
	case p.status != g.Status && p.location != "":
		return fmt.Errorf("status %d to %q, want %d", p.status, p.location, g.Status)
	case p.status != g.Status:
		return fmt.Errorf("status %d, want %d", p.status, g.Status)
	case p.release == "":
		return fmt.Errorf("no %s header: the web server must set it from its docroot's real path", ReleaseHeader)
	case !strings.Contains(p.release, want.Short()):
		return fmt.Errorf("wrong release: served from %q, want %s", p.release, want.Short())
	case len(bytes.TrimSpace(p.body)) == 0:
		return errors.New("empty body: WordPress answers so when its theme is missing")
	case !bytes.Contains(p.body, []byte(g.Body)):
		return fmt.Errorf("the body of %d bytes lacks %q", len(p.body), g.Body)
	}
	return nil
}

// denied asks for a page that the web server has to keep from everybody.
func (b browser) denied(ctx context.Context, target string) error {
	p, err := b.get(ctx, target)
	if err != nil {
		return err
	}
	if slices.Contains([]int{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusGone}, p.status) {
		return nil
	}
	return &Open{Page: target, Status: p.status}
}

// Open says that the web server answers a page that it has to deny.
type Open struct {
	Page   string
	Status int
}

func (e *Open) Error() string {
	return fmt.Sprintf("the web server answers %s with status %d and has to deny it (docs/node.md)", e.Page, e.Status)
}
