package inventory

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// yard is an account that notes what is done to it.
type yard struct {
	things []Resource
	blind  Kind            // cannot be listed
	stuck  map[string]bool // will not go
	did    []string
}

func (y *yard) Unfinished(_ context.Context, kind Kind) ([]Resource, error) {
	if kind == y.blind {
		return nil, errors.New("denied")
	}
	return slices.DeleteFunc(slices.Clone(y.things), func(r Resource) bool { return r.Kind != kind }), nil
}

func (y *yard) Remove(_ context.Context, r Resource) error {
	if y.stuck[r.ID] {
		return errors.New("throttled")
	}
	y.did = append(y.did, "remove "+r.ID)
	if r.Kind != Instance {
		y.things = slices.DeleteFunc(y.things, func(o Resource) bool { return o.ID == r.ID })
	}
	return nil
}

func (y *yard) Ended(_ context.Context, id string) error {
	y.did = append(y.did, "ended "+id)
	y.things = slices.DeleteFunc(y.things, func(o Resource) bool { return o.ID == id })
	return nil
}

func newYard() *yard {
	dead, live := tags("r", "", at(-time.Hour)), tags("s", "", at(time.Hour))
	return &yard{stuck: map[string]bool{}, things: []Resource{
		{Kind: KeyPair, ID: "key-1", Tags: dead}, {Kind: SecurityGroup, ID: "sg-1", Tags: dead},
		{Kind: Volume, ID: "vol-1", Tags: dead, Within: []string{"i-1"}}, {Kind: Volume, ID: "vol-2", Tags: dead, Within: []string{"i-live"}},
		{Kind: Volume, ID: "vol-3", Tags: dead, Within: []string{"i-nobody's"}}, {Kind: Snapshot, ID: "snap-1", State: "pending", Tags: dead},
		{Kind: Image, ID: "ami-1", State: "failed", Tags: dead}, {Kind: Instance, ID: "i-1", Tags: dead}, {Kind: Instance, ID: "i-2", Tags: dead},
		{Kind: Instance, ID: "i-live", Tags: live},
	}}
}

func sweep(y *yard) Sweep { return Sweep{Account: y, Kinds: Kinds(), Judge: judge()} }

func ids(vs []Verdict) []string {
	var got []string
	for _, v := range vs {
		got = append(got, v.ID)
	}
	return got
}

func TestSweepRemovesInOrder(t *testing.T) {
	y := newYard()
	swept := sweep(y).Run(t.Context())
	want := []string{
		"remove i-1", "remove i-2", "ended i-1", "ended i-2", "remove ami-1", "remove snap-1", "remove vol-1", "remove sg-1", "remove key-1",
	}
	if diff := cmp.Diff(want, y.did); diff != "" {
		t.Error(diff)
	}
	for _, v := range swept.Found {
		if kept := !v.Remove; kept != slices.Contains([]string{"i-live", "vol-2", "vol-3"}, v.ID) || v.Reason == "" {
			t.Errorf("%s: kept %v because it %q", v.ID, kept, v.Reason)
		}
	}
	if len(swept.Found) != 10 || len(Left(swept.Found)) != 0 {
		t.Errorf("found %v, left %v", ids(swept.Found), ids(Left(swept.Found)))
	}
	// Again: only what was kept is there, and nothing is done.
	y.did = nil
	if again := sweep(y).Run(t.Context()); len(again.Found) != 3 || len(y.did) != 0 {
		t.Errorf("the second sweep found %v and did %v", ids(again.Found), y.did)
	}
}

func TestSweepOnTrialRemovesNothing(t *testing.T) {
	y := newYard()
	s, told := sweep(y), 0
	s.DryRun, s.Told = true, func(Verdict) { told++ }
	swept := s.Run(t.Context())
	if len(y.did) != 0 || len(y.things) != 10 || told != 10 {
		t.Errorf("did %v, left %d, told of %d", y.did, len(y.things), told)
	}
	if n := len(slices.DeleteFunc(slices.Clone(swept.Found), func(v Verdict) bool { return !v.Remove })); n != 7 {
		t.Errorf("%d would go, want 7", n)
	}
}

// What cannot be listed or removed does not keep the rest, but what it holds
// is not tried.
func TestSweepGoesOnPastFailures(t *testing.T) {
	y := newYard()
	y.blind, y.stuck["i-1"], y.stuck["snap-1"] = KeyPair, true, true
	swept := sweep(y).Run(t.Context())
	if diff := cmp.Diff([]string{"remove i-2", "ended i-2", "remove ami-1", "remove sg-1"}, y.did); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"i-1", "snap-1", "vol-1"}, ids(Left(swept.Found))); diff != "" {
		t.Error(diff)
	}
	for _, v := range Left(swept.Found) {
		if v.ID == "vol-1" && !strings.Contains(v.Err.Error(), "instance i-1") {
			t.Errorf("vol-1 is left because of %v", v.Err)
		}
	}
	if len(swept.Unseen) != 1 || swept.Unseen[0].Kind != KeyPair {
		t.Errorf("unseen %+v", swept.Unseen)
	}
}

func TestSweepStopsWhenToldTo(t *testing.T) {
	y := newYard()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	swept := sweep(y).Run(ctx)
	if len(y.did) != 0 || len(Left(swept.Found)) != 7 {
		t.Errorf("did %v, left %v", y.did, ids(Left(swept.Found)))
	}
}
