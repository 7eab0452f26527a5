package ami

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/internal/owner"
)

// State is how far an image is, in EC2's words.
type State string

// States that matter; in all others an image can never be used.
const (
	Pending   State = "pending"
	Available State = "available"
)

// Image is an AMI of this account.
type Image struct {
	ID         string
	Region     string
	Account    string
	Name       string
	State      State
	Encrypted  bool
	Snapshots  []string
	Created    time.Time
	Deprecated time.Time // zero for never
	Tags       map[string]string
}

// Copy asks for a copy of an image.
type Copy struct {
	From        Image
	To          string // region
	Description string
	Encrypted   bool
	Tags        map[string]string // of the copy and of its snapshots
	Token       string            // the same one makes one copy
}

// Access is who may use an image, and until when it is proposed.
type Access struct {
	Accounts  []string  // to let in besides those that are
	Deprecate time.Time // zero leaves it
}

// Images is what is asked of EC2. A region of "" is the caller's own.
type Images interface {
	// Find returns this account's images with all these tags, newest first.
	Find(ctx context.Context, region string, tags map[string]string) ([]Image, error)
	// Building returns the tags of instances that have all these tags and
	// have not ended.
	Building(ctx context.Context, tags map[string]string) ([]map[string]string, error)
	Copy(ctx context.Context, c Copy) (id string, err error)
	// Open changes who may use the image and its snapshots.
	Open(ctx context.Context, one Image, a Access) error
}

// Options say what is to be had. Images, Build, Store and Owner are required.
type Options struct {
	Images Images
	// Build makes an image that carries the owner's tags, and returns its id by
	// region.
	Build func(context.Context) (map[string]string, error)
	Store artifact.ReleaseStore // gets the record
	Owner owner.Tags

	Encrypted bool          // take no image that is not
	Regions   []string      // to copy to
	Accounts  []string      // to let in
	Deprecate time.Duration // after an image was made; 0 for never

	Alive func(owner.Holder) bool // false only for a process that is known to be gone; nil: all live
	Poll  time.Duration           // 0 means 10 seconds
	Note  func(text string)       // nil for nobody
}

// Baked is what there is now.
type Baked struct {
	Image  Image
	Reused bool
	Copies map[string]string // ids by region
}

// settling is how long EC2 may take to show what was made.
const settling = 2 * time.Minute

// Bake finds an image of the release or makes one. What another bake is making
// at the moment is waited for. Repeated after it was ended anywhere, it goes on
// with what is there.
func Bake(ctx context.Context, o Options) (Baked, error) {
	if o.Poll <= 0 {
		o.Poll = 10 * time.Second
	}
	if o.Alive == nil {
		o.Alive = func(owner.Holder) bool { return true }
	}
	if o.Note == nil {
		o.Note = func(string) {}
	}
	b := &baker{o}
	one, reused, err := b.get(ctx)
	if err != nil {
		return Baked{}, err
	}
	made := Baked{Image: one, Reused: reused}
	if made.Copies, err = b.spread(ctx, one); err != nil {
		return Baked{}, err
	}
	return made, nil
}

type baker struct{ Options }

// identity are the tags by which an image of the release is found.
func identity(m owner.Tags) map[string]string {
	return map[string]string{owner.TagManifest: string(m.Manifest), owner.TagStore: m.Store}
}

// get finds an image or makes one.
func (b *baker) get(ctx context.Context) (one Image, reused bool, err error) {
	waited := ""
	for {
		found, whom, err := b.look(ctx)
		if err != nil || found.ID != "" {
			return found, true, err
		}
		if whom == "" {
			break
		}
		if whom != waited {
			b.Note("waiting for " + whom)
			waited = whom
		}
		if err := pause(ctx, b.Poll); err != nil {
			return Image{}, false, err
		}
	}
	one, err = b.build(ctx)
	return one, false, err
}

// look returns an image that can be used, or whom to wait for. An image of a
// bake that goes on is not taken: with a key of its own the first one that
// Packer makes goes again.
func (b *baker) look(ctx context.Context) (found Image, whom string, err error) {
	under, err := b.Images.Building(ctx, identity(b.Owner))
	if err != nil {
		return Image{}, "", err
	}
	busy := map[string]string{} // holders by run
	for _, tags := range under {
		if run := tags[owner.TagRun]; run != "" && b.live(tags) {
			busy[run] = owner.ParseHolder(tags[owner.TagHolder]).Name
		}
	}
	all, err := b.Images.Find(ctx, "", identity(b.Owner))
	if err != nil {
		return Image{}, "", err
	}
	for _, one := range all {
		run := one.Tags[owner.TagRun]
		_, unfinished := busy[run]
		switch {
		case b.Encrypted && !one.Encrypted && one.State == Available:
		case one.State == Available && !unfinished:
			return one, "", nil
		case one.State == Pending && !unfinished:
			// EC2 finishes it, whatever became of who asked for it.
			whom = fmt.Sprintf("image %s, which is pending", one.ID)
		}
	}
	for run, holder := range busy {
		whom = fmt.Sprintf("run %s of %s, which builds the image", run, holder)
	}
	return Image{}, whom, nil
}

// Ready returns the id of the image that Bake would take, empty when there is
// none. Only Images, Owner and Encrypted of the options are looked at.
func Ready(ctx context.Context, o Options) (id string, err error) {
	if o.Alive == nil {
		o.Alive = func(owner.Holder) bool { return true }
	}
	found, _, err := (&baker{o}).look(ctx)
	return found.ID, err
}

// live reports whether who made a thing may still be at it.
func (b *baker) live(tags map[string]string) bool {
	expires, err := time.Parse(time.RFC3339, tags[owner.TagExpires])
	if err == nil && time.Now().After(expires) {
		return false
	}
	return b.Alive(owner.ParseHolder(tags[owner.TagHolder]))
}

// build makes an image and looks at what came of it.
func (b *baker) build(ctx context.Context) (Image, error) {
	ids, err := b.Build(ctx)
	if err != nil {
		return Image{}, err
	}
	made := slices.Sorted(maps.Values(ids))
	if len(made) == 0 {
		return Image{}, errors.New("building an image: the template made none")
	}
	ctx, cancel := context.WithTimeoutCause(ctx, settling, &Untagged{Images: made, Tags: identity(b.Owner)})
	defer cancel()
	for {
		all, err := b.Images.Find(ctx, "", identity(b.Owner))
		if cause := context.Cause(ctx); cause != nil {
			return Image{}, cause
		}
		if err != nil {
			return Image{}, err
		}
		n := slices.IndexFunc(all, func(one Image) bool { return slices.Contains(made, one.ID) })
		if n >= 0 && all[n].State == Available {
			return all[n], nil
		}
		if err := pause(ctx, b.Poll); err != nil {
			return Image{}, err
		}
	}
}

// Untagged says that images were made that cannot be told as the release's.
type Untagged struct {
	Images []string
	Tags   map[string]string
}

func (e *Untagged) Error() string {
	return fmt.Sprintf("image %q does not carry the release's tags, or is in another region", e.Images[0])
}

// Hint says what a template must do.
func (e *Untagged) Hint() string {
	return "a template of your own must set tags and run_tags as packer/release.pkr.hcl does, and build in the region of wpbake"
}

// pause waits, unless ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
