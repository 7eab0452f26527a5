package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptrace"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"
)

// NoRelease is the release of a node that nothing was released to yet.
const NoRelease = "none"

// placeholder is all that such a node has to show.
const placeholder = "no release yet"

// Page is one URL of the load and a text that its body must hold: WordPress
// without its theme answers 200 and nothing.
type Page struct{ Path, Marker string }

// Pages is the load's list for the shop that a Stack installs.
func Pages() []Page {
	return []Page{
		{"/", "wpbake shop"},
		{"/candle-number-3/", "burns for 3 hours"},
		{"/wp-login.php", "loginform"},
		{"/?s=candle", "Candle number"},
		{"/wp-content/themes/twentytwentythree/style.css", "Theme Name:"},
		{"/feed/", "<rss"},
		{"/wp-json/wp/v2/posts", `"title"`},
	}
}

// Tally is what the load client saw since the last one.
type Tally struct {
	Requests int            // answered or not
	Failed   int            // no answer, a status outside 200-399, no release named, or no marker
	Sessions int            // visits of session clients that counted
	Carts    int            // steps of cart clients that counted
	Lost     int            // visits and steps that found session or cart otherwise than they were left
	Releases map[string]int // requests by the short digest of the release that answered
	Failures []string       // the first few, for people
}

// Load asks for pages without pause until its context ends, and counts every
// request.
type Load struct {
	base  string
	pages []Page

	mu    sync.Mutex
	tally Tally
}

// NewLoad is a load on the site at base.
func NewLoad(base string, pages []Page) *Load {
	return &Load{base: base, pages: pages, tally: Tally{Releases: map[string]int{}}}
}

// Clients says how many of each kind a load has.
type Clients struct {
	Browsers int // go round the pages
	Sessions int // count their visits in the PHP session
	Carts    int // fill a cart of the plugin wpb-shop and buy it
}

// Run asks with so many clients, each with connections and cookies of its own,
// pace apart. It returns once ctx has ended and every request under way was
// answered and counted.
func (l *Load) Run(ctx context.Context, c Clients, pace time.Duration) {
	var wg sync.WaitGroup
	for b := range c.Browsers {
		wg.Go(func() { l.browse(ctx, b, pace) })
	}
	for range c.Sessions {
		wg.Go(func() { l.visit(ctx, pace) })
	}
	for range c.Carts {
		wg.Go(func() { l.fill(ctx, pace) })
	}
	wg.Wait()
}

// Cut returns the tally since the last cut and begins a new one.
func (l *Load) Cut() Tally {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.tally
	l.tally = Tally{Releases: map[string]int{}}
	return t
}

func (l *Load) count(release string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tally.Requests++
	if release != "" {
		l.tally.Releases[release]++
	}
	if err == nil {
		return
	}
	l.tally.Failed++
	l.note(err.Error())
}

// note keeps a failure for people. The caller holds mu.
func (l *Load) note(text string) {
	if len(l.tally.Failures) < 10 {
		l.tally.Failures = append(l.tally.Failures, time.Now().UTC().Format("15:04:05.000 ")+text)
	}
}

// browse goes round the list, beginning where the other workers do not.
func (l *Load) browse(ctx context.Context, offset int, pace time.Duration) {
	client := newClient()
	defer client.CloseIdleConnections()
	for i := offset; ; i++ {
		page := l.pages[i%len(l.pages)]
		_, release, err := l.get(ctx, client, page)
		l.count(release, err)
		if !pause(ctx, pace) {
			return
		}
	}
}

// sessionPage counts its visits in the PHP session.
const sessionPage = "/wpb-session"

// visit is a customer whose session must grow by exactly one with each visit.
func (l *Load) visit(ctx context.Context, pace time.Duration) {
	client := newClient()
	defer client.CloseIdleConnections()
	var visits visits
	for {
		body, release, err := l.get(ctx, client, Page{sessionPage, "visits="})
		l.count(release, err)
		if err != nil {
			visits.failed()
		} else if release != NoRelease {
			l.visited(visits.next(body))
		}
		if !pause(ctx, pace) {
			return
		}
	}
}

func (l *Load) visited(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tally.Sessions++
	l.lost(err)
}

// lost counts a session or cart that is not what it was, if err says so. The
// caller holds mu.
func (l *Load) lost(err error) {
	if err != nil {
		l.tally.Lost++
		l.note(err.Error())
	}
}

// visits follows the counter in one session.
type visits struct {
	last   int
	unsure bool // the last answer never came: it may have counted
}

func (v *visits) failed() { v.unsure = true }

// next judges the counter in body against the one before.
func (v *visits) next(body string) error {
	now, err := strconv.Atoi(strings.TrimPrefix(body, "visits="))
	if err != nil {
		return fmt.Errorf("%s: it answers %q", sessionPage, body)
	}
	last, unsure := v.last, v.unsure
	v.last, v.unsure = now, false
	if now == last+1 || unsure && now == last+2 {
		return nil
	}
	return fmt.Errorf("%s: visit %d came after visit %d", sessionPage, now, last)
}

// newClient is a browser: cookies and connections that are kept.
func newClient() *http.Client {
	jar, _ := cookiejar.New(nil) // no options, no error
	return &http.Client{
		Jar:       jar,
		Transport: &http.Transport{MaxIdleConnsPerHost: 2},
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse // each request is counted, so each is ours
		},
	}
}

// get asks for one page and judges the answer. A request is never broken off
// because the load ends: that would count as the site's failure.
func (l *Load) get(ctx context.Context, client *http.Client, page Page) (body, release string, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	// Go's client asks again by itself when a kept connection turns out to be
	// closed. A browser's user would not notice, but the load client must.
	tries := 0
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { tries++ }})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, l.base+page.Path, nil)
	if err != nil {
		return "", "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", "", err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	body, release = string(data), releaseOf(resp.Header.Get("X-Wpbake-Release"))
	if err == nil && tries > 1 {
		err = errors.New("a kept connection was closed under the request")
	}
	if err == nil {
		err = judge(resp.StatusCode, release, body, page.Marker)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", page.Path, err)
	}
	return body, release, err
}

// releaseOf is the short digest in the path that a node names in its header.
func releaseOf(header string) string {
	if dir, docroot := path.Split(header); docroot == "wordpress" {
		return path.Base(dir)
	}
	return header
}

func judge(status int, release, body, marker string) error {
	switch {
	case status < 200 || status > 399:
		return fmt.Errorf("status %d: %.80q", status, body)
	case release == "":
		return errors.New("no release named in the answer")
	case release == NoRelease:
		marker = placeholder
	}
	if status < 300 && !strings.Contains(body, marker) {
		return fmt.Errorf("no %q in %d bytes of release %s", marker, len(body), release)
	}
	return nil
}

// pause waits and reports whether ctx is still alive.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
