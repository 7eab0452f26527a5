package rollout_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/google/go-cmp/cmp"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/rollout"
	"github.com/wpbake/wpbake/wordpress/database"
)

// requests names what is asked of AWS and the store, in order.
type requests struct {
	next http.Handler

	mu    sync.Mutex
	on    bool
	names []string
	exact []string // with all that they say
}

func (r *requests) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	on := r.on
	r.mu.Unlock()
	if on {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		req.Body = io.NopCloser(bytes.NewReader(body))
		r.add(requestName(req, body), req.Method+" "+req.URL.String()+" "+string(body))
	}
	r.next.ServeHTTP(w, req)
}

func (r *requests) add(name, exact string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.on {
		r.names, r.exact = append(r.names, name), append(r.exact, exact)
	}
}

func (r *requests) record(on bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.on, r.names, r.exact = on, nil, nil
}

// taken are the requests so far.
func (r *requests) taken() (names, exact []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.names), slices.Clone(r.exact)
}

var (
	runName  = regexp.MustCompile(`\d{8}T\d{6}Z-[0-9a-f]{6}`)
	nodeName = regexp.MustCompile(`i-[0-9a-f]+`)
)

func requestName(req *http.Request, body []byte) string {
	if target := req.Header.Get("X-Amz-Target"); target != "" {
		return target[strings.LastIndexByte(target, '.')+1:]
	}
	if form, err := url.ParseQuery(string(body)); err == nil && form.Get("Action") != "" {
		return form.Get("Action")
	}
	if _, operation, ok := strings.Cut(req.URL.Path, "/operation/"); ok {
		return operation
	}
	name := req.Method + " " + strings.TrimPrefix(req.URL.Path, "/releases/shop/")
	if prefix := req.URL.Query().Get("prefix"); prefix != "" {
		name = "LIST " + strings.TrimPrefix(prefix, "shop/")
	}
	return nodeName.ReplaceAllString(runName.ReplaceAllString(name, "RUN"), "NODE")
}

// asking is a site whose database is asked on the record.
type asking struct {
	*siteDatabase
	requests *requests
}

func (a asking) Database(ctx context.Context, instance string) (database.State, error) {
	a.requests.add("ask the database by a node", "ask "+instance)
	return a.siteDatabase.Database(ctx, instance)
}

// before are the requests before the first of a name, and those between it and
// the first of another.
func between(names []string, first, second string) (before, after []string) {
	i := slices.Index(names, first)
	if i < 0 {
		return names, nil
	}
	before, after = names[:i], names[i+1:]
	if j := slices.Index(after, second); j >= 0 {
		after = after[:j]
	}
	return before, after
}

const (
	takesLock    = "PUT rollouts/shop/lock.json"
	writesRecord = "PUT rollouts/shop/RUN/record.json"
)

// Every request costs time before each release, and some cost money: whoever
// adds one adds it here, and says why.
//
// An observation is the group and its hooks; its refreshes, before the record
// that says whose they are; the lock, the record that it names, what is proven;
// the saved template version, which pins a release, and the one that the run in
// the lock came from, which it goes back to; the boot reports of the release
// that is pinned and the target groups. A release that would begin also asks whether it may
// make template versions, and for the alarms that it is to watch.
//
// Before the lock it asks for the manifests of what is to come and of what
// runs, and the database. Once it is held all is observed anew, but for what
// cannot change: reports that were read, manifests, and the database, whose
// answer takes a command on a node.
func TestRequestsBeforeTheLock(t *testing.T) {
	observation := []string{
		"DescribeAutoScalingGroups",
		"DescribeLifecycleHooks",
		"DescribeInstanceRefreshes",
		"GET rollouts/shop/lock.json",
		"GET rollouts/shop/RUN/record.json",
		"GET rollouts/shop/proven.json",
		"DescribeLaunchTemplateVersions",
	}
	came := []string{"DescribeLaunchTemplateVersions"} // is known afterwards
	reports := []string{
		"LIST rollouts/shop/RUN/nodes/",
		"GET rollouts/shop/RUN/nodes/NODE.json",
		"GET rollouts/shop/RUN/nodes/NODE.json",
	}
	rest := []string{
		"DescribeTargetHealth",
		"CreateLaunchTemplateVersion", // a dry run
		"DescribeAlarms",
	}
	asked := []string{
		"GET releases/v3/manifest.json",
		"GET releases/v2/manifest.json",
		"ask the database by a node",
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		s := newSiteDatabase(w, 60421)
		for _, v := range []artifact.Version{"v1", "v2"} {
			if res, err := s.release(v, s.publish(v, "6.8.12", 60421), rollout.Options{}); err != nil || res.Outcome != rollout.Released {
				t.Fatalf("releasing %s: %+v, %v", v, res, err)
			}
		}
		w.alarm("OK")
		to := rollout.Intent{Version: "v3", Manifest: s.publish("v3", "6.8.12", 60421), Detach: true}
		e := w.engine(rollout.Options{Site: asking{s, w.requests}, Refresh: rollout.RefreshOptions{Alarms: []string{"errors"}}})
		w.requests.record(true)
		if res, err := e.Release(w.ctx, to); err != nil || res.Outcome != rollout.Started {
			t.Fatalf("%+v, %v", res, err)
		}
		names, exact := w.requests.taken()
		before, held := between(names, takesLock, writesRecord)
		if diff := cmp.Diff(slices.Concat(observation, came, reports, rest, asked), before); diff != "" {
			t.Error("before the lock:\n" + diff)
		}
		if diff := cmp.Diff(slices.Concat(observation, reports[:1], rest), held); diff != "" {
			t.Error("once it is held:\n" + diff)
		}
		if most := 20; len(before) > most {
			t.Errorf("%d requests before the lock, want at most %d", len(before), most)
		}
		if again := firstTwice(exact[:len(before)]); again != "" {
			t.Errorf("asked twice in one observation: %s", again)
		}
	})
}

func firstTwice(list []string) string {
	seen := map[string]bool{}
	for _, s := range list {
		if seen[s] {
			return s
		}
		seen[s] = true
	}
	return ""
}

// What an observation takes grows only with pages, target groups, templates and
// reports.
func TestRequestsGrow(t *testing.T) {
	count := func(size int, change ...func(*autoscaling.CreateAutoScalingGroupInput)) (names []string) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, size, change...)
			w.released("v1")
			w.requests.record(true)
			if _, err := w.engine(rollout.Options{}).Observe(w.ctx); err != nil {
				t.Fatal(err)
			}
			var exact []string
			if names, exact = w.requests.taken(); firstTwice(exact) != "" {
				t.Errorf("asked twice: %s", firstTwice(exact))
			}
		})
		slices.Sort(names)
		return names
	}
	small, large, two := count(2), count(12), count(4, mixed)
	grown := func(have []string, name string) int {
		n := 0
		for _, h := range have {
			if h == name {
				n++
			}
		}
		return n
	}
	report := "GET rollouts/shop/RUN/nodes/NODE.json"
	if more := len(large) - len(small); more != 10 || grown(large, report)-grown(small, report) != 10 {
		t.Errorf("ten nodes more are %d requests more: %v", more, large)
	}
	for name, want := range map[string]int{"DescribeLaunchTemplateVersions": 4, "CreateLaunchTemplateVersion": 2, report: 4} {
		if n := grown(two, name); n != want {
			t.Errorf("%d of %s with two templates, want %d", n, name, want)
		}
	}
	// A dry run, a version saved and one come from, two reports.
	if more := len(two) - len(small); more != 1+2+2 {
		t.Errorf("a template and two nodes more are %d requests more: %v", more, two)
	}
}

// slowReports is a store that takes a second for each boot report.
type slowReports struct {
	artifact.Store

	mu        sync.Mutex
	now, most int
}

func (s *slowReports) Get(ctx context.Context, name string, off, n int64) (*artifact.Object, error) {
	if strings.Contains(name, "/nodes/") {
		s.count(1)
		wait(ctx, time.Second)
		defer s.count(-1)
	}
	return s.Store.Get(ctx, name, off, n)
}

func (s *slowReports) count(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now += n
	s.most = max(s.most, s.now)
}

// Reports of a large group are read side by side, and not all at once.
func TestReportsAreReadSideBySide(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 40)
		w.released("v1")
		slow := &slowReports{Store: w.store}
		w.store = slow
		began := time.Now()
		if _, err := w.engine(rollout.Options{}).Observe(w.ctx); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < 3*time.Second || took >= 4*time.Second || slow.most != 16 {
			t.Errorf("40 reports of a second each took %s, at most %d at once", took, slow.most)
		}
	})
}
