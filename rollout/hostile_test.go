package rollout_test

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	awsec2 "github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/internal/localcloud/ec2"
	"github.com/wpbake/wpbake/internal/tier"
	"github.com/wpbake/wpbake/rollout"
)

// siege is a group that has released v1 and v2, with v3 published, and a
// stranger who writes the bucket: he has published v66.
type siege struct {
	w         *world
	digests   map[artifact.Version]artifact.Digest
	stranger  artifact.Digest
	strangers rollout.TemplateRef // a version of the group's template that is on no list
	image     string              // of v66
	lock      rollout.Lock        // after the releases, or of the run that died
	report    string
	honest    map[string][]byte
	older     map[string][]byte // by kind of document
}

func newSiege(t *testing.T, died bool) *siege {
	w := newWorld(t, 1)
	s := &siege{w: w, digests: map[artifact.Version]artifact.Digest{}, honest: map[string][]byte{}, older: map[string][]byte{}}
	s.stranger = w.publish("v66")
	s.digests["v3"] = w.publish("v3")
	s.digests["v1"] = w.released("v1").Manifest
	s.see()
	for _, d := range documentsUnderAttack() {
		s.older[d.kind] = s.honest[d.name(s)]
	}
	s.digests["v2"] = w.released("v2").Manifest
	made, err := w.clients.EC2().CreateLaunchTemplateVersion(w.ctx, &awsec2.CreateLaunchTemplateVersionInput{
		LaunchTemplateName: awssdk.String("shop"), SourceVersion: awssdk.String("1"),
		LaunchTemplateData: &ec2types.RequestLaunchTemplateData{ImageId: awssdk.String("ami-66666666666666666")},
	})
	w.must(made, err)
	s.image = w.bakedFor("v66", s.stranger).Image
	s.strangers = rollout.TemplateRef{ID: *made.LaunchTemplateVersion.LaunchTemplateId, Version: fmt.Sprint(*made.LaunchTemplateVersion.VersionNumber)}
	if died {
		s.die()
	}
	s.see()
	return s
}

// die begins the release of v3 and stops it before it has made anything: all
// that comes of it is still to be decided.
func (s *siege) die() {
	ctx, cancel := context.WithCancel(s.w.ctx)
	e := s.w.engine(rollout.Options{AfterStep: func(step rollout.Step) {
		if step == rollout.StepRecord {
			cancel()
		}
	}})
	if _, err := e.Release(ctx, to("v3", s.digests["v3"])); err == nil {
		s.w.t.Fatal("the run was not stopped")
	}
	wait(s.w.ctx, 5*time.Minute) // its lease ends
}

// see reads the bucket as it is without the stranger.
func (s *siege) see() {
	s.w.t.Helper()
	clear(s.honest)
	stats, err := s.w.store.List(s.w.ctx, "")
	s.w.must(stats, err)
	for _, st := range stats {
		s.honest[st.Name] = s.bytesOf(st.Name)
	}
	s.unmarshal(s.honest[artifact.RolloutPrefix(s.w.group)+"lock.json"], &s.lock)
	for name := range s.honest {
		if strings.Contains(name, "/nodes/") && strings.HasSuffix(name, "/"+s.w.state().Nodes[0].ID+".json") {
			s.report = name
		}
	}
}

// order is a command under attack.
type order struct {
	name string
	may  []artifact.Version // what nodes may boot because of it
	do   func(*siege, *rollout.Engine) error
}

func looks() []order {
	return []order{
		{name: "status", do: func(s *siege, e *rollout.Engine) error { _, err := e.Status(s.w.ctx); return err }},
		{name: "doctor", do: func(s *siege, e *rollout.Engine) error { _, err := e.Observe(s.w.ctx); return err }},
		{name: "history", do: func(s *siege, e *rollout.Engine) error { _, err := e.History(s.w.ctx); return err }},
		{name: "plan a release", do: func(s *siege, e *rollout.Engine) error {
			_, err := e.Plan(s.w.ctx, rollout.Intent{Kind: rollout.Release, Version: "v3", Manifest: s.digests["v3"]})
			return err
		}},
		{name: "plan a rollback", do: func(s *siege, e *rollout.Engine) error {
			_, err := e.Plan(s.w.ctx, rollout.Intent{Kind: rollout.Rollback})
			return err
		}},
	}
}

func moves() []order {
	return []order{
		{"release", []artifact.Version{"v3", "v2"}, func(s *siege, e *rollout.Engine) error {
			_, err := e.Release(s.w.ctx, to("v3", s.digests["v3"]))
			return err
		}},
		{"rollback to v1", []artifact.Version{"v1", "v2"}, func(s *siege, e *rollout.Engine) error {
			_, err := e.Rollback(s.w.ctx, back("v1"))
			return err
		}},
	}
}

// attack performs an order while one document is forged, and lists what is
// wrong afterwards.
func (s *siege) attack(o order, d document, f forgery) (wrong []string) {
	h := &hostile{Store: s.w.store, siege: s, name: d.name(s), forged: f}
	s.put(h.name, f.first)
	before := len(s.w.fleet.launched)
	own := s.w.store
	s.w.store = h
	s.w.requests.record(true)
	err := o.do(s, s.w.engine(rollout.Options{}))
	_, asked := s.w.requests.taken()
	s.w.requests.record(false)
	s.w.store = own
	s.w.fleet.mu.Lock()
	launched := slices.Clone(s.w.fleet.launched[before:])
	s.w.fleet.mu.Unlock()
	for _, l := range launched {
		may := slices.ContainsFunc(o.may, func(v artifact.Version) bool { return s.digests[v] == l.boot.Manifest })
		if !may {
			wrong = append(wrong, fmt.Sprintf("a node booted %q %s", l.boot.Version, l.boot.Manifest.Short()))
		}
		if l.image != ec2.DefaultImage {
			wrong = append(wrong, "a node runs image "+l.image)
		}
	}
	if len(h.removed) > 0 {
		wrong = append(wrong, fmt.Sprintf("removed %v", h.removed))
	}
	for _, a := range asked {
		if len(o.may) == 0 && changes(a) && !strings.Contains(a, h.name) {
			wrong = append(wrong, "a command that looks asked for "+a)
		}
	}
	if len(wrong) > 0 {
		wrong = append(wrong, fmt.Sprintf("and it said: %v", err))
	}
	return wrong
}

// changing are the requests that leave something behind, but for dry runs.
var changing = regexp.MustCompile(`^(PUT|DELETE) |Action=(Create|Start|Rollback|Cancel|Update|Put|Delete|Modify|Terminate|Run)|\.(Put|Delete)`)

func changes(request string) bool {
	return changing.MatchString(request) && !strings.Contains(request, "DryRun=true")
}

// Whatever a stranger writes into the bucket, commands that look change
// nothing. With the race detector only beside a run that died, where there is
// more to read.
func TestHostileStoreLooks(t *testing.T) {
	t.Parallel()
	for _, died := range []bool{false, true} {
		if !died && tier.Racing() && !tier.Soaking() {
			continue
		}
		t.Run(fmt.Sprintf("died=%v", died), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { newSiege(t, died).looks() })
		})
	}
}

// looks demands that there is enough to try, too: an enumeration that finds no
// documents proves nothing.
func (s *siege) looks() {
	tried := 0
	for _, d := range documentsUnderAttack() {
		for _, f := range s.forgeries(d) {
			for _, o := range looks() {
				tried++
				s.demand(o, d, f)
			}
			s.put(d.name(s), s.honest[d.name(s)])
		}
	}
	s.w.t.Logf("%d combinations", tried)
	if want := 1000; tried < want {
		s.w.t.Errorf("%d combinations, want %d", tried, want)
	}
}

// demand attacks and wants nothing wrong.
func (s *siege) demand(o order, d document, f forgery) {
	s.w.t.Helper()
	if wrong := s.attack(o, d, f); wrong != nil {
		s.w.t.Errorf("%s, the %s is %s: %s", o.name, d.kind, f.name, strings.Join(wrong, "; "))
	}
}

// Whatever a stranger writes into the bucket, a release and a rollback move no
// node to what was not asked for. Each combination takes a group of its own, so
// that only soak tries all.
func TestHostileStoreMoves(t *testing.T) {
	step := 1
	switch {
	case tier.Soaking():
	case tier.Racing():
		step = 90
	default:
		step = 30
	}
	for _, o := range moves() {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			for i, more := 0, true; more; i += step {
				synctest.Test(t, func(t *testing.T) { more = newSiege(t, false).move(o, i) })
			}
		})
	}
}

// move tries the nth of all combinations of an order, and reports whether it
// exists.
func (s *siege) move(o order, n int) bool {
	for _, d := range documentsUnderAttack() {
		list := s.forgeries(d)
		if n < len(list) {
			s.demand(o, d, list[n])
			return true
		}
		n -= len(list)
	}
	return false
}
