package artifact

import (
	"context"
	"io"
)

// An Uploader is a store that takes an object while it is being made. Publish
// works with any store; one that is no Uploader gets artifacts by way of a
// file.
type Uploader interface {
	// Upload begins an object. Nobody sees anything of it before it is
	// committed. ctx ends the writes as well.
	Upload(ctx context.Context, name string) (Upload, error)

	// Sweep removes unfinished uploads under a name that is taken: none of
	// them can be committed under Condition.Absent any more.
	Sweep(ctx context.Context, name string) error
}

// An Upload takes an object's bytes, of which it keeps a bounded part in
// memory.
type Upload interface {
	io.Writer

	// Commit makes the object appear whole, as Put does and with Put's
	// errors. digest is of all that was written.
	Commit(ctx context.Context, digest Digest, cond Condition) (Stat, error)

	// Abort removes what was not committed, and does nothing after Commit
	// returned nil.
	Abort(ctx context.Context) error
}
