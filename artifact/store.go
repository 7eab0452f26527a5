package artifact

import (
	"context"
	"errors"
	"io"
)

// A ReleaseStore keeps published versions: the objects below releases/, each
// written once and never changed. Names are slash-separated paths such as
// "releases/v42/manifest.json", relative to the place the store was opened on.
//
// Reads are strong: a Get or List that starts after a Put returned sees it.
// Every adapter must pass storetest.Releases.
type ReleaseStore interface {
	// Get opens n bytes of the object starting at off; n < 0 reads to the
	// end. The caller closes the object. An absent name is ErrNotFound.
	Get(ctx context.Context, name string, off, n int64) (*Object, error)

	// Put writes the whole object or nothing. A failed condition is resolved
	// by reading back: when the stored bytes are body's own (the answer to an
	// earlier attempt was lost), Put succeeds. Otherwise it is ErrExists for
	// Condition.Absent and ErrChanged for Condition.ETag.
	//
	// A store that is no more than a ReleaseStore takes Condition.Absent
	// alone, and looks before it writes: of two writers of one name at the
	// same moment it may let both pass.
	Put(ctx context.Context, name string, body Body, cond Condition) (Stat, error)

	// List returns the objects whose names begin with prefix, sorted by name.
	List(ctx context.Context, prefix string) ([]Stat, error)
}

// A Store keeps rollouts too: their locks and records are documents that
// several writers change. It takes every name and every condition, and of
// writers at the same moment lets exactly one pass. Every adapter must pass
// the suite in package storetest.
type Store interface {
	ReleaseStore

	// Delete removes the object; an absent name is no error. With
	// Condition.ETag it removes only that revision, else ErrChanged.
	Delete(ctx context.Context, name string, cond Condition) error
}

// Body is content that can be read more than once, so that a store can retry.
type Body struct {
	io.ReaderAt
	Size   int64  // bytes
	Digest Digest // of all Size bytes
}

// Condition guards a write. The zero value writes unconditionally.
type Condition struct {
	Absent bool   // the name must not exist yet
	ETag   string // the current revision must be this one
}

// Stat describes a stored object.
type Stat struct {
	Name string
	Size int64  // bytes
	ETag string // opaque revision, changes with every write of other bytes
}

// Object is an open object. Size in Stat is that of the whole object, also
// when only a range was asked for.
type Object struct {
	io.ReadCloser
	Stat
}

// Errors a Store answers with, wrapped with the object's name.
var (
	ErrNotFound = errors.New("object not found")
	ErrExists   = errors.New("object exists with other bytes")
	ErrChanged  = errors.New("object was changed by somebody else")
)
