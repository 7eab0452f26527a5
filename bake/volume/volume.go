package volume

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/fetch"
	"github.com/wpbake/wpbake/internal/owner"
	"github.com/wpbake/wpbake/internal/scratch"
)

// BlockSize is EBS's, in bytes.
const BlockSize = 512 << 10

// Snapshots finds, copies and shares snapshots of this account.
type Snapshots interface {
	// Find returns those of a region with all of the tags, in any state,
	// newest first. An empty region is the own one. It may be a while until it
	// shows one that was just started.
	Find(ctx context.Context, region string, tags map[string]string) ([]Snapshot, error)
	// State returns a snapshot's state in a region.
	State(ctx context.Context, region, id string) (State, error)
	// Copy starts a copy in another region and returns its id there.
	Copy(ctx context.Context, c Copy) (id string, err error)
	// Share lets other accounts make volumes of a completed snapshot.
	Share(ctx context.Context, region, id string, accounts []string) error
}

// Writer writes snapshots, as the EBS direct APIs do.
type Writer interface {
	// Start begins a snapshot.
	Start(ctx context.Context, s Start) (id string, err error)
	// Put writes a block. An error that passes is ErrBusy, one of a snapshot
	// that is not there, or not yet, ErrAbsent.
	Put(ctx context.Context, id string, b Block) error
	// Complete says that nothing more will be written. Errors are as those of
	// Put.
	Complete(ctx context.Context, id string, c Completion) error
	// Delete removes a snapshot in any state. One that is gone is no error.
	Delete(ctx context.Context, id string) error
}

// Errors of a Writer.
var (
	ErrBusy   = errors.New("the call may succeed later")
	ErrAbsent = errors.New("no such snapshot")
)

// State is how far a snapshot is.
type State string

// States of snapshots, in AWS's words. Absent is for one that is not shown.
const (
	Pending   State = "pending"
	Completed State = "completed"
	Errored   State = "error"
	Absent    State = ""
)

// Snapshot is one of the account's.
type Snapshot struct {
	ID        string
	Size      int64 // GiB, of a volume made of it
	State     State
	Encrypted bool
	Key       string // ARN; empty when not encrypted
	Tags      map[string]string
	Started   time.Time
}

// Start asks for a new snapshot.
type Start struct {
	Size        int64  // GiB, at least the parent's
	Parent      string // whose blocks it inherits; empty for none
	Description string
	Encrypted   bool   // only without Parent: a child is as its parent
	Key         string // ARN, with Encrypted; empty is the account's
	Timeout     time.Duration
	Tags        map[string]string
}

// Block is a piece of a snapshot.
type Block struct {
	Index int32
	Data  []byte // BlockSize bytes
	Sum   [sha256.Size]byte
}

// Completion is the account of what was written.
type Completion struct {
	Blocks int               // written, each counted once
	Sum    [sha256.Size]byte // of the blocks' sums, in the order of their indexes
}

// Copy asks for a copy in another region.
type Copy struct {
	Snapshot    string
	To          string // region
	Description string
	Encrypted   bool // with the account's key there
	Tags        map[string]string
}

// Options say what to bake. Store, Snapshots, Writer, Version and Owner are
// required.
type Options struct {
	Store     artifact.ReleaseStore
	Snapshots Snapshots
	Writer    Writer
	Version   artifact.Version
	Digest    artifact.Digest // of its manifest
	Owner     owner.Tags

	// Parent is an earlier version. With its snapshot, files that did not change
	// stay where they are and only other blocks are written: the image depends
	// on the parent's then. Empty writes all blocks.
	Parent artifact.Version
	Reader Reader // of the parent's snapshot; required with Parent

	Encrypted bool     // with the account's key, or Key
	Key       string   // ARN
	Regions   []string // to copy to
	Accounts  []string // to share with

	Workers  int           // blocks written at once; 16
	Budget   time.Duration // for the whole; 30 minutes
	TempDir  string        // for the image; empty is the system's
	Alive    func(owner.Holder) bool
	Progress func(artifact.Progress)
	Note     func(string) // what a person may want to know, from several goroutines; may be nil
}

// Baked is a finished release volume.
type Baked struct {
	Snapshot string            `json:"snapshot"`
	Image    artifact.Digest   `json:"image"`
	Reused   bool              `json:"reused"`
	Parent   string            `json:"parent,omitempty"` // snapshot that blocks were inherited from
	Blocks   int               `json:"blocks"`           // written; 0 when reused
	Copies   map[string]string `json:"copies,omitempty"`
}

func (o Options) withDefaults() Options {
	if o.Workers == 0 {
		o.Workers = 16
	}
	if o.Budget == 0 {
		o.Budget = 30 * time.Minute
	}
	if o.Alive == nil {
		o.Alive = func(owner.Holder) bool { return true }
	}
	if o.Note == nil {
		o.Note = func(string) {}
	}
	return o
}

// Bake makes sure that a release has its volume: it reuses a completed
// snapshot that carries the manifest's digest, else writes one. Copies and
// permissions that are asked for are made too. After any error, an interrupt
// among them, no unfinished snapshot of this call is left; a copy in another
// region goes on by itself, and the next call finds it.
func Bake(ctx context.Context, o Options) (Baked, error) {
	o = o.withDefaults()
	ctx, cancel := context.WithTimeoutCause(ctx, o.Budget, &OverBudget{o.Budget})
	defer cancel()
	b := &baker{Options: o}
	made, err := b.find(ctx)
	if err == nil && made.Snapshot == "" {
		made, err = b.write(ctx)
	}
	if err == nil {
		err = b.spread(ctx, &made)
	}
	if over := (*OverBudget)(nil); err != nil && errors.As(context.Cause(ctx), &over) {
		err = fmt.Errorf("%w: %w", over, err)
	}
	return made, err
}

// OverBudget says that baking took longer than it may.
type OverBudget struct{ Budget time.Duration }

func (e *OverBudget) Error() string { return fmt.Sprintf("baking took longer than %v", e.Budget) }

// Hint says how to give it more.
func (e *OverBudget) Hint() string { return "--bake-timeout, or bake from within the region" }

type baker struct{ Options }

// identity are the tags that tell a release's snapshot.
func (b *baker) identity() map[string]string {
	return map[string]string{owner.TagManifest: string(b.Digest), owner.TagStore: b.Owner.Store}
}

// Find returns the snapshot that Bake would reuse, empty when there is none.
// Only Snapshots, Digest, Owner and the encryption of the options are looked at.
func Find(ctx context.Context, o Options) (id string, err error) {
	b := &baker{Options: o}
	all, err := b.Snapshots.Find(ctx, "", b.identity())
	if err != nil {
		return "", err
	}
	return b.reusable(all).ID, nil
}

// reusable is the completed snapshot that is as it is asked for, zero when
// there is none.
func (b *baker) reusable(all []Snapshot) Snapshot {
	for _, s := range all {
		if s.State == Completed && b.fits(s) {
			return s
		}
	}
	return Snapshot{}
}

// find looks for a snapshot to reuse, and removes what dead bakes of the same
// release left.
func (b *baker) find(ctx context.Context) (Baked, error) {
	all, err := b.Snapshots.Find(ctx, "", b.identity())
	if err != nil {
		return Baked{}, err
	}
	if s := b.reusable(all); s.ID != "" {
		return Baked{Snapshot: s.ID, Image: artifact.Digest(s.Tags[owner.TagImage]), Reused: true}, nil
	}
	for _, s := range all {
		switch {
		case s.State != Pending && s.State != Errored:
		case s.State == Pending && b.Alive(owner.ParseHolder(s.Tags[owner.TagHolder])):
			b.Note(fmt.Sprintf("snapshot %s of the same release is being written by %s", s.ID, s.Tags[owner.TagHolder]))
		default:
			b.Note(fmt.Sprintf("removing snapshot %s, which a bake that is dead left %s", s.ID, s.State))
			if err := b.Writer.Delete(ctx, s.ID); err != nil {
				return Baked{}, err
			}
		}
	}
	return Baked{}, nil
}

// fits tells whether a completed snapshot is what is asked for.
func (b *baker) fits(s Snapshot) bool {
	if _, err := artifact.ParseDigest(s.Tags[owner.TagImage]); err != nil {
		return false
	}
	if b.Encrypted && !s.Encrypted {
		return false
	}
	return b.Key == "" || b.Key == s.Key
}

// write makes the image and the snapshot of it.
func (b *baker) write(ctx context.Context) (Baked, error) {
	own, err := scratch.New(b.TempDir, "wpbake-volume-")
	if err != nil {
		return Baked{}, err
	}
	defer own.Remove()
	before, err := b.findParent(ctx)
	if err != nil {
		return Baked{}, err
	}
	file := filepath.Join(own.Path, "release.erofs")
	options := fetch.Options{Version: b.Version, Digest: b.Digest, As: fetch.AsImage, Dest: file, Progress: b.Progress}
	if before != nil {
		options.After = &before.placement
	}
	got, err := fetch.Release(ctx, b.Store, options)
	if err != nil {
		return Baked{}, err
	}
	image, err := os.Open(file)
	if err != nil {
		return Baked{}, err
	}
	defer image.Close()
	u := &upload{baker: b, image: image, size: got.Image.Size}
	if before != nil {
		now, err := fetch.ReadLayout(ctx, b.Store, got.Manifest, image)
		if err != nil {
			return Baked{}, err
		}
		if u.changed, err = before.changed(image, now); err != nil {
			return Baked{}, err
		}
	}
	return b.upload(ctx, u, got.Image, before)
}

// upload writes the snapshot of an image.
func (b *baker) upload(ctx context.Context, u *upload, image artifact.Blob, before *parent) (Baked, error) {
	made := Baked{Image: image.Digest}
	s := Start{
		Size: gib(image.Size), Description: b.description(), Encrypted: b.Encrypted, Key: b.Key,
		Timeout: b.Budget, Tags: b.tags(image.Digest),
	}
	if before != nil {
		s.Parent, s.Size, made.Parent = before.ID, max(s.Size, before.Size), before.ID
		s.Encrypted, s.Key = false, "" // as the parent is
	}
	var err error
	made.Snapshot, made.Blocks, err = u.run(ctx, s)
	return made, err
}

func (b *baker) description() string {
	return fmt.Sprintf("wpbake release %s %s", b.Version, b.Digest.Short())
}

func (b *baker) tags(image artifact.Digest) map[string]string {
	tags := b.Owner.Map()
	tags[owner.TagImage] = string(image)
	return tags
}

// gib is a volume's size that holds n bytes.
func gib(n int64) int64 { return max(1, (n+1<<30-1)>>30) }
