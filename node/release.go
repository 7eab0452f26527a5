package node

import (
	"context"
	"fmt"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/node/disk"
)

// rootLock keeps other boots of this node away.
type rootLock struct {
	disk   disk.Disk
	unlock func() // nil while it is not held
}

// take is the stage that prepares the node's disk and waits for other boots.
func (l *rootLock) take(ctx context.Context) (err error) {
	if err := l.disk.Prepare(); err != nil {
		return err
	}
	l.unlock, err = l.disk.Lock(ctx)
	return err
}

func (l *rootLock) release() {
	if l.unlock != nil {
		l.unlock()
	}
}

// release is the one that the template pins.
type release struct {
	store    artifact.Store
	version  artifact.Version
	digest   artifact.Digest   // of its manifest: the release's identity
	manifest artifact.Manifest // once it was found
}

// find is the stage that reads the version's manifest and refuses any but the
// pinned.
func (r *release) find(ctx context.Context) error {
	m, d, err := artifact.Find(ctx, r.store, r.version)
	if err != nil {
		return err
	}
	if d != r.digest {
		return fmt.Errorf("version %q has manifest %s in the store, the template pins %s", r.version, d, r.digest)
	}
	r.manifest = m
	return nil
}

// docroot is what the web server serves: the release that current leads to.
type docroot struct {
	disk    disk.Disk
	digest  artifact.Digest
	journal *journal
}

// point is the stage that switches over.
func (d docroot) point(context.Context) error {
	if err := d.disk.Point(d.disk.Release(d.digest)); err != nil {
		return err
	}
	d.journal.report.Manifest = d.digest
	return nil
}
