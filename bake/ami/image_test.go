package ami

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/internal/owner"
)

// account is EC2 with images in regions.
type account struct {
	images    []Image
	instances []map[string]string // tags
	looks     int                 // at instances
	onLook    func(n int)
	copied    []Copy
	opened    map[string]Access
}

func (a *account) Find(_ context.Context, region string, tags map[string]string) ([]Image, error) {
	var found []Image
	for _, one := range a.images {
		if region == "" {
			region = "home"
		}
		if one.Region == region && has(one.Tags, tags) {
			found = append(found, one)
		}
	}
	return found, nil
}

func has(tags, wanted map[string]string) bool {
	for k, v := range wanted {
		if tags[k] != v {
			return false
		}
	}
	return true
}

func (a *account) Building(_ context.Context, tags map[string]string) ([]map[string]string, error) {
	if a.looks++; a.onLook != nil {
		a.onLook(a.looks)
	}
	var found []map[string]string
	for _, one := range a.instances {
		if has(one, tags) {
			found = append(found, one)
		}
	}
	return found, nil
}

func (a *account) Copy(_ context.Context, c Copy) (string, error) {
	a.copied = append(a.copied, c)
	id := "ami-" + c.To
	a.images = append(a.images, Image{ID: id, Region: c.To, State: Available, Encrypted: c.Encrypted, Tags: c.Tags, Created: time.Now(), Snapshots: []string{"snap-" + c.To}})
	return id, nil
}

func (a *account) Open(_ context.Context, one Image, x Access) error {
	if a.opened == nil {
		a.opened = map[string]Access{}
	}
	a.opened[one.ID] = x
	return nil
}

// memory is a store of records.
type memory map[string]string

func (m memory) Get(context.Context, string, int64, int64) (*artifact.Object, error) {
	return nil, artifact.ErrNotFound
}

func (m memory) List(context.Context, string) ([]artifact.Stat, error) { return nil, nil }

func (m memory) Put(_ context.Context, name string, body artifact.Body, c artifact.Condition) (artifact.Stat, error) {
	text, err := io.ReadAll(io.NewSectionReader(body, 0, body.Size))
	if err != nil || !c.Absent || artifact.DigestOf(text) != body.Digest {
		return artifact.Stat{}, fmt.Errorf("writing %q: %v", name, err)
	}
	if old, ok := m[name]; ok && old != string(text) {
		return artifact.Stat{}, artifact.ErrExists
	}
	m[name] = string(text)
	return artifact.Stat{Name: name}, nil
}

func ownerTags(run string) owner.Tags {
	return owner.Tags{
		Version: "v42", Manifest: string(artifact.DigestOf([]byte("v42"))), Store: "s3://releases/shop", Run: run,
		Holder: owner.Holder{Name: "ann@ci", Host: "ci", PID: 7, Started: "1"}, Expires: time.Now().Add(time.Hour),
	}
}

func own(id, run string, state State) Image {
	return Image{ID: id, Region: "home", State: state, Created: time.Now(), Tags: ownerTags(run).Map(), Snapshots: []string{"snap-" + id}}
}

// options build an image into the account.
func options(a *account, store memory) Options {
	m := ownerTags("r2")
	return Options{
		Images: a, Store: store, Owner: m,
		Build: func(context.Context) (map[string]string, error) {
			a.images = append(a.images, own("ami-built", "r2", Available))
			return map[string]string{"home": "ami-built"}, nil
		},
	}
}

func TestBake(t *testing.T) {
	dead := func(owner.Holder) bool { return false }
	for name, c := range map[string]struct {
		account account
		change  func(*account, *Options)
		want    string
		reused  bool
		noted   string
	}{
		"nothing is there":            {want: "ami-built"},
		"an image is there":           {account: account{images: []Image{own("ami-1", "r1", Available)}}, want: "ami-1", reused: true},
		"it is another release's":     {account: account{images: []Image{other("ami-1")}}, want: "ami-built"},
		"it failed":                   {account: account{images: []Image{own("ami-1", "r1", "failed")}}, want: "ami-built"},
		"it is not encrypted":         {account: account{images: []Image{own("ami-1", "r1", Available)}}, change: func(_ *account, o *Options) { o.Encrypted = true }, want: "ami-built"},
		"it is pending":               {account: account{images: []Image{own("ami-1", "r1", Pending)}}, change: becomes("ami-1", Available), want: "ami-1", reused: true, noted: "image ami-1"},
		"it is pending and fails":     {account: account{images: []Image{own("ami-1", "r1", Pending)}}, change: becomes("ami-1", "failed"), want: "ami-built", noted: "image ami-1"},
		"somebody builds it":          {account: account{instances: []map[string]string{ownerTags("r1").Map()}}, change: finishes, want: "ami-theirs", reused: true, noted: "run r1 of ann@ci"},
		"somebody gives up":           {account: account{instances: []map[string]string{ownerTags("r1").Map()}}, change: givesUp, want: "ami-built", noted: "run r1 of ann@ci"},
		"who builds it is dead":       {account: account{instances: []map[string]string{ownerTags("r1").Map()}}, change: func(_ *account, o *Options) { o.Alive = dead }, want: "ami-built"},
		"who builds it has expired":   {account: account{instances: []map[string]string{expired()}}, want: "ami-built"},
		"an image is still worked on": {account: account{images: []Image{own("ami-1", "r1", Available)}, instances: []map[string]string{ownerTags("r1").Map()}}, change: givesUp, want: "ami-1", reused: true, noted: "run r1"},
	} {
		synctest.Test(t, func(t *testing.T) {
			a, store := c.account, memory{}
			for i := range a.images {
				a.images[i].Created = time.Now()
			}
			for i := range a.instances {
				if name != "who builds it has expired" {
					a.instances[i] = ownerTags("r1").Map()
				}
			}
			o := options(&a, store)
			var notes []string
			o.Note = func(text string) { notes = append(notes, text) }
			if c.change != nil {
				c.change(&a, &o)
			}
			got, err := Bake(t.Context(), o)
			if err != nil || got.Image.ID != c.want || got.Reused != c.reused {
				t.Errorf("%s: %+v, %v; want %s, reused %t", name, got, err, c.want, c.reused)
			}
			if said := strings.Join(notes, "\n"); len(notes) > 1 || !strings.Contains(said, c.noted) {
				t.Errorf("%s: noted %q, want %q once", name, said, c.noted)
			}
			if _, ok := store["releases/v42/images/"+c.want+".json"]; !ok {
				t.Errorf("%s: recorded %v", name, slices.Collect(maps.Keys(store)))
			}
		})
	}
}

func other(id string) Image {
	one := own(id, "r1", Available)
	one.Tags[owner.TagStore] = "s3://releases/blog"
	return one
}

func expired() map[string]string {
	tags := ownerTags("r1").Map()
	tags[owner.TagExpires] = "1999-12-31T23:59:59Z"
	return tags
}

// becomes changes an image at the third look.
func becomes(id string, state State) func(*account, *Options) {
	return func(a *account, _ *Options) {
		a.onLook = func(n int) {
			for i := range a.images {
				if n == 3 && a.images[i].ID == id {
					a.images[i].State = state
				}
			}
		}
	}
}

func finishes(a *account, _ *Options) {
	a.onLook = func(n int) {
		if n == 3 {
			a.instances = nil
			a.images = append(a.images, own("ami-theirs", "r1", Available))
		}
	}
}

func givesUp(a *account, _ *Options) {
	a.onLook = func(n int) {
		if n == 3 {
			a.instances = nil
		}
	}
}

func TestBuildWithoutTags(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &account{}
		o := options(a, memory{})
		o.Build = func(context.Context) (map[string]string, error) {
			a.images = append(a.images, Image{ID: "ami-bare", Region: "home", State: Available})
			return map[string]string{"home": "ami-bare"}, nil
		}
		_, err := Bake(t.Context(), o)
		var untagged *Untagged
		if !errors.As(err, &untagged) || !strings.Contains(err.Error(), "ami-bare") || untagged.Hint() == "" {
			t.Errorf("a template that sets no tags: %v", err)
		}
		o.Build = func(context.Context) (map[string]string, error) { return nil, nil }
		if _, err := Bake(t.Context(), o); err == nil || !strings.Contains(err.Error(), "made none") {
			t.Errorf("a template that makes no image: %v", err)
		}
	})
}

func TestSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, store := &account{}, memory{}
		o := options(a, store)
		o.Regions, o.Accounts, o.Deprecate = []string{"home", "far", "near"}, []string{"210987654321"}, 24*time.Hour
		for n := range 2 { // what is there is found again
			got, err := Bake(t.Context(), o)
			if err != nil || !maps.Equal(got.Copies, map[string]string{"far": "ami-far", "near": "ami-near"}) || got.Reused != (n == 1) {
				t.Fatalf("%+v, %v", got, err)
			}
		}
		if len(a.copied) != 2 || a.copied[0].Tags[owner.TagManifest] == "" || a.copied[0].From.ID != "ami-built" {
			t.Errorf("copied %+v", a.copied)
		}
		for _, id := range []string{"ami-built", "ami-far", "ami-near"} {
			if x := a.opened[id]; !slices.Equal(x.Accounts, o.Accounts) || !x.Deprecate.Equal(time.Now().Add(24*time.Hour)) {
				t.Errorf("%s was opened to %+v", id, x)
			}
			var r Record
			if err := json.NewDecoder(bytes.NewReader([]byte(store["releases/v42/images/"+id+".json"]))).Decode(&r); err != nil || r.Image != id || r.Run != "r2" || len(r.Snapshots) != 1 {
				t.Errorf("%s is recorded as %+v, %v", id, r, err)
			}
		}
	})
}

func TestFind(t *testing.T) {
	a := &account{images: []Image{own("ami-1", "r1", Available), other("ami-2")}}
	found, err := Find(t.Context(), a, ownerTags("r2"), map[string]string{"home": "ami-1"})
	if err != nil || len(found) != 1 || found[0].ID != "ami-1" {
		t.Errorf("found %+v, %v", found, err)
	}
	if _, err := Find(t.Context(), a, ownerTags("r2"), map[string]string{"home": "ami-2"}); err == nil {
		t.Error("another release's image is none of this one")
	}
}
