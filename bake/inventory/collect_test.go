package inventory

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wpbake/wpbake/internal/owner"
)

const store = "s3://releases/shop"

// shelf is where finished things are; it notes what is done to it.
type shelf struct {
	things     []Resource
	references []Reference
	blind      bool              // references cannot be listed
	shared     map[string]string // with whom
	stuck      string            // will not go
	did        []string
}

func (s *shelf) Finished(context.Context) ([]Resource, error) { return s.things, nil }

func (s *shelf) References(context.Context, []Root) ([]Reference, error) {
	if s.blind {
		return nil, errors.New("denied")
	}
	return s.references, nil
}

func (s *shelf) Shared(_ context.Context, r Resource) (string, error) {
	if s.shared[r.ID] == "?" {
		return "", errors.New("denied")
	}
	return s.shared[r.ID], nil
}

func (s *shelf) Remove(_ context.Context, r Resource) error {
	if r.ID == s.stuck {
		return errors.New("protected")
	}
	s.did = append(s.did, r.ID)
	return nil
}

func made(kind Kind, id, version string, more ...string) Resource {
	r := Resource{Kind: kind, ID: id, Created: now.Add(-30 * 24 * time.Hour), Tags: map[string]string{
		owner.TagVersion: version, owner.TagManifest: "sha256:" + version, owner.TagStore: store, owner.TagRun: "r",
	}}
	for i := 0; i+1 < len(more); i += 2 {
		r.Tags[more[i]] = more[i+1]
	}
	return r
}

func collect(s *shelf) Collect {
	return Collect{Baked: s, Store: store, Young: 7 * 24 * time.Hour, Judge: judge()}
}

func TestNeeded(t *testing.T) {
	young, within := made(Image, "x-1", "v1"), made(Snapshot, "x-1", "v1")
	young.Created, within.Within = now.Add(-6*24*time.Hour), []string{"ami-1"}
	for name, tt := range map[string]struct {
		r      Resource
		remove bool
		reason string // "" for no verdict at all
	}{
		"nothing needs it":     {made(Image, "x-1", "v1"), true, "nothing needs it: made 30d ago for v1"},
		"with a final slash":   {made(Image, "x-1", "v1", owner.TagStore, store+"/"), true, "nothing needs it"},
		"another store":        {made(Image, "x-1", "v1", owner.TagStore, "s3://releases/other"), false, ""},
		"no store":             {made(Image, "x-1", "v1", owner.TagStore, ""), false, ""},
		"no manifest":          {made(Image, "x-1", "v1", owner.TagManifest, ""), false, ""},
		"named":                {made(Image, "x-2", "v1"), false, "instance i-1 names it"},
		"to go back to":        {made(Snapshot, "x-1", "v8"), false, "can go back to v8"},
		"image of a run":       {made(Image, "ami-run", "v1"), false, "is not finished"},
		"volume of a run":      {made(Snapshot, "snap-run", "v1"), false, "is not finished"},
		"young":                {young, false, "is only 6d old; 7d are wanted"},
		"its bake goes on":     {made(Image, "x-1", "v1", owner.TagExpires, at(time.Hour)), false, "run r may go on until"},
		"its bake is dead":     {made(Image, "x-1", "v1", owner.TagExpires, at(time.Hour), owner.TagHolder, gone.Tag()), true, "nothing needs it"},
		"its bake is over":     {made(Image, "x-1", "v1", owner.TagExpires, at(-time.Hour)), true, "nothing needs it"},
		"of an image of yours": {within, false, "image ami-1, which stays, is made of it"},
	} {
		s := &shelf{things: []Resource{tt.r}, references: []Reference{{"x-2", "instance i-1"}}}
		c := collect(s)
		c.Roots = []Root{
			{Why: `group "shop" can go back to v8`, Manifest: "sha256:v8"},
			{Why: "the release of v9 is not finished", Manifest: "sha256:v9", Image: "ami-run", Snapshot: "snap-run"},
		}
		found, err := c.Run(t.Context())
		if err != nil || (len(found) == 1) != (tt.reason != "") {
			t.Errorf("%s: %+v, %v", name, found, err)
			continue
		}
		if len(found) == 1 && (found[0].Remove != tt.remove || !strings.Contains(found[0].Reason, tt.reason)) {
			t.Errorf("%s: removed %v because %q, want %v, %q", name, found[0].Remove, found[0].Reason, tt.remove, tt.reason)
		}
		if want := tt.remove; (len(s.did) == 1) != want {
			t.Errorf("%s: did %v", name, s.did)
		}
	}
}

// newShelf holds two images of one snapshot each, one snapshot that both are
// made of, and a release volume.
func newShelf() *shelf {
	s := &shelf{things: []Resource{
		made(Snapshot, "snap-1", "v1"), made(Snapshot, "snap-2", "v2"), made(Snapshot, "snap-both", "v1"), made(Snapshot, "snap-volume", "v3"),
		made(Image, "ami-1", "v1"), made(Image, "ami-2", "v2"),
	}}
	for i, images := range [][]string{{"ami-1"}, {"ami-2"}, {"ami-1", "ami-2"}} {
		s.things[i].Within = images
	}
	return s
}

func TestCollect(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*shelf, *Collect)
		did    []string // removed, in this order
		left   []string // could not be
	}{
		"all":                        {func(*shelf, *Collect) {}, []string{"ami-1", "ami-2", "snap-1", "snap-2", "snap-both", "snap-volume"}, nil},
		"on trial":                   {func(_ *shelf, c *Collect) { c.DryRun = true }, nil, nil},
		"one image is needed":        {func(s *shelf, _ *Collect) { s.references = []Reference{{"ami-2", "group"}} }, []string{"ami-1", "snap-1", "snap-volume"}, nil},
		"one image is shared":        {func(s *shelf, _ *Collect) { s.shared = map[string]string{"ami-1": "123456789012"} }, []string{"ami-2", "snap-2", "snap-volume"}, nil},
		"shared, and meant":          {func(s *shelf, c *Collect) { s.shared, c.Shared = map[string]string{"ami-1": "123456789012"}, true }, []string{"ami-1", "ami-2", "snap-1", "snap-2", "snap-both", "snap-volume"}, nil},
		"nobody knows whose":         {func(s *shelf, _ *Collect) { s.shared = map[string]string{"ami-1": "?"} }, []string{"ami-2", "snap-2", "snap-volume"}, []string{"snap-1", "snap-both", "ami-1"}},
		"one image is protected":     {func(s *shelf, _ *Collect) { s.stuck = "ami-2" }, []string{"ami-1", "snap-1", "snap-volume"}, []string{"snap-2", "snap-both", "ami-2"}},
		"one snapshot of them stays": {func(s *shelf, _ *Collect) { s.references = []Reference{{"snap-1", "template"}} }, []string{"ami-1", "ami-2", "snap-2", "snap-both", "snap-volume"}, nil},
	} {
		s := newShelf()
		c := collect(s)
		tt.change(s, &c)
		found, err := c.Run(t.Context())
		if err != nil || len(found) != 6 {
			t.Errorf("%s: %+v, %v", name, found, err)
		}
		if diff := cmp.Diff(tt.did, s.did); diff != "" {
			t.Errorf("%s: removed (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff(tt.left, ids(Left(found))); diff != "" {
			t.Errorf("%s: left (-want +got):\n%s", name, diff)
		}
	}
}

// Without all references nothing is removed.
func TestCollectNeedsAllReferences(t *testing.T) {
	s := newShelf()
	s.blind = true
	if found, err := collect(s).Run(t.Context()); err == nil || len(s.did) > 0 || found != nil {
		t.Errorf("did %v, %v", s.did, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.blind = false
	if found, _ := collect(s).Run(ctx); len(s.did) > 0 || !slices.ContainsFunc(found, func(v Verdict) bool { return v.Err != nil }) {
		t.Errorf("after its end: did %v", s.did)
	}
}
