package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/imagefs"
	"golang.org/x/sync/errgroup"
)

// Form is how a release lies on a disk.
type Form string

// Forms of a release.
const (
	AsDirectory Form = "dir"
	AsImage     Form = "erofs" // one file, which Linux mounts
)

// Options says what to fetch. Version and Dest are required.
type Options struct {
	Version  artifact.Version
	Digest   artifact.Digest // the only manifest to accept; empty takes the store's
	Dest     string          // appears whole or not at all
	As       Form            // empty is AsDirectory
	Base     string          // another artifact on this disk, whose frames need no download; empty or not there is none
	Keep     string          // file that becomes the artifact itself, a Base for later; empty keeps none
	After    *imagefs.Layout // of an image: leave files where another one has them, as far as they fit; nil lays it out as the manifest says
	Progress func(artifact.Progress)
}

// Result is what came of a fetch.
type Result struct {
	Manifest   artifact.Manifest
	Downloaded int64         // bytes of the artifact that were read from the store
	Reused     int64         // bytes of it that were taken from Base
	Image      artifact.Blob // what was made AsImage: the manifest's, unless After placed it
}

// fetchers is how many requests run at once: enough to fill a connection,
// little enough to stay below 64 MiB of memory.
const fetchers = 3

// Release brings a published version to Dest, unpacked or as an image. The
// manifest is compared with Digest before it is parsed, the index with the
// manifest, each frame with the index before it is decoded, and all content
// with the manifest at the end. A directory then holds the tree under its
// prefix and, in .wpbake, SHA256SUMS and manifest.json; an image holds the
// same but manifest.json. Both are synced to disk. Until then everything
// stands in Dest.partial, which is removed on any failure; one that a killed
// run left is thrown away. A Dest that already holds the release, compared
// whole, is left as it is; any other is a *DestTaken. Bytes that are not the
// release's are *Damaged.
//
// What of Base is not as the index wants it is downloaded: nobody vouches for
// Base. Keep is replaced whole, once the artifact has the digest that the
// manifest says.
func Release(ctx context.Context, store artifact.ReleaseStore, o Options) (Result, error) {
	raw, err := artifact.ManifestBytes(ctx, store, o.Version)
	if err != nil {
		return Result{}, err
	}
	m, err := artifact.PinnedManifest(o.Version, o.Digest, raw)
	if err != nil {
		return Result{}, err
	}
	if o.As == "" {
		o.As = AsDirectory
	}
	f := &fetcher{Options: o, store: store, m: m, raw: raw}
	if err := f.run(ctx); err != nil {
		return Result{}, err
	}
	return Result{Manifest: m, Downloaded: f.downloaded.Load(), Reused: f.reused.Load(), Image: f.image}, nil
}

// A receiver is what a release is made in before it gets its name.
type receiver interface {
	// open makes room for what an index lists.
	open(x *artifact.Index) error
	// sink takes contents, for one worker.
	sink() sink
	// finish completes what the contents alone do not make.
	finish(u *unpacker) error
	// sync makes everything durable.
	sync() error
	// reveal makes it visible.
	commit() error
	// close removes what was not committed.
	close()
}

type fetcher struct {
	Options
	store      artifact.ReleaseStore
	m          artifact.Manifest
	raw        []byte // the manifest's bytes
	u          *unpacker
	base       *Previous      // nil when there is none
	keep       *artifactCache // nil when nothing is kept
	progress   *artifact.Counter
	downloaded atomic.Int64
	reused     atomic.Int64
	image      artifact.Blob // as it was made
}

func (f *fetcher) run(ctx context.Context) error {
	dest, err := filepath.Abs(f.Dest)
	if err != nil {
		return err
	}
	at, err := newStagingDir(ctx, dest)
	if err != nil {
		return err
	}
	defer at.close()
	var to receiver = &directory{stagingDir: at, manifest: f.raw}
	if f.As == AsImage {
		made := &imageFile{stagingDir: at, m: f.m, after: f.After, made: f.m.Image}
		defer func() { f.image = made.made }()
		to = made
	}
	if at.exists() {
		if err := f.stands(ctx, dest); err != nil {
			return err
		}
		if f.Keep == "" || holdsBlob(ctx, f.Keep, f.m) {
			return nil
		}
		to = discardAll{} // only the artifact is wanted
	}
	defer to.close()
	if f.Keep != "" {
		if f.keep, err = newArtifactCache(f.Keep); err != nil {
			return err
		}
		defer f.keep.close()
	}
	var taken *DestTaken
	if err = f.apply(ctx, to); err != nil && !errors.As(err, &taken) {
		err = fmt.Errorf("fetching %q into %q: %w", f.Version, f.Dest, err)
	}
	return err
}

// stands tells whether dest is what would be fetched.
func (f *fetcher) stands(ctx context.Context, dest string) error {
	info, err := os.Lstat(dest)
	if err != nil {
		return err
	}
	switch {
	case f.As == AsImage:
		err = CheckImage(ctx, dest, f.m)
	case !info.IsDir():
		err = errors.New("it is not a directory")
	default:
		err = check(ctx, dest, f.m)
	}
	if err == nil || ctx.Err() != nil {
		return err
	}
	return &DestTaken{Dest: dest, Err: err}
}

// apply fills a receiver and commits it.
func (f *fetcher) apply(ctx context.Context, to receiver) error {
	if err := f.unpack(ctx, to); err != nil {
		return err
	}
	if err := to.finish(f.u); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(to.sync)
	if f.keep != nil {
		g.Go(func() error { return SumBlob(ctx, f.keep.file, f.m) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if f.keep != nil {
		if err := f.keep.commit(); err != nil {
			return err
		}
	}
	return to.commit()
}

// unpack fetches the index, then everything that it lists.
func (f *fetcher) unpack(ctx context.Context, to receiver) error {
	f.progress = artifact.NewCounter(f.Progress, "fetching", f.m.Index.Offset)
	tail, err := fetchTail(ctx, f.store, f.m)
	if err != nil {
		return err
	}
	name := artifact.ReleasePrefix(f.m.Version) + artifact.TarballName
	x, err := artifact.ReadTail(f.m, name, tail)
	if err != nil {
		return err
	}
	f.downloaded.Add(int64(len(tail)))
	if f.keep != nil {
		if err := f.keep.write(tail, f.m.Index.Offset); err != nil {
			return err
		}
	}
	sections, err := x.All()
	if err != nil {
		return err
	}
	f.u = newUnpacker(name, x)
	if f.Base != "" {
		var done func()
		f.base, done = openBase(f.Base)
		defer done()
	}
	if err := to.open(x); err != nil {
		return err
	}
	if err := f.spans(ctx, f.plan(sections), to); err != nil {
		return err
	}
	return f.u.finish(f.m)
}

// spans has workers take what is to be read, until all is or one fails.
func (f *fetcher) spans(ctx context.Context, spans []span, to receiver) error {
	g, ctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	for range min(fetchers, len(spans)) {
		g.Go(func() error {
			r, err := f.u.reader(to.sink())
			if err != nil {
				return err
			}
			defer r.close()
			for {
				n := int(next.Add(1)) - 1
				if n >= len(spans) {
					return nil
				}
				if err := f.span(ctx, r, spans[n]); err != nil {
					return err
				}
			}
		})
	}
	return g.Wait()
}

// fetchIndex reads what follows the frames.
func fetchIndex(ctx context.Context, store artifact.ReleaseStore, m artifact.Manifest) (*artifact.Index, error) {
	tail, err := fetchTail(ctx, store, m)
	if err != nil {
		return nil, err
	}
	return artifact.ReadTail(m, artifact.ReleasePrefix(m.Version)+artifact.TarballName, tail)
}

func fetchTail(ctx context.Context, store artifact.ReleaseStore, m artifact.Manifest) ([]byte, error) {
	r := newRangeReader(ctx, store, m, m.Index.Offset, m.Artifact.Size)
	defer r.Close()
	tail := make([]byte, m.Artifact.Size-m.Index.Offset)
	if _, err := io.ReadFull(r, tail); err != nil {
		return nil, fmt.Errorf("reading index: %w", err)
	}
	return tail, nil
}

// span reads sections that follow each other, from the base or by one request.
func (f *fetcher) span(ctx context.Context, r *reader, s span) error {
	last := s.sections[len(s.sections)-1]
	from := f.local(ctx)
	if !s.local {
		body := newRangeReader(ctx, f.store, f.m, s.sections[0].Offset, last.Offset+last.Stored)
		defer body.Close()
		from = counted(sequential(body), &f.downloaded)
	}
	if f.keep != nil {
		from = f.keep.keeping(from)
	}
	for _, p := range s.sections {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.section(p, from); err != nil {
			return err
		}
		f.progress.Add(p.Stored)
	}
	return nil
}

func counted(from frames, n *atomic.Int64) frames {
	return func(at artifact.Located, b []byte) ([]byte, error) {
		b, err := from(at, b)
		n.Add(int64(len(b)))
		return b, err
	}
}

// local takes frames from the base. One that is not there as it should be is
// downloaded alone.
func (f *fetcher) local(ctx context.Context) frames {
	return func(at artifact.Located, b []byte) ([]byte, error) {
		if old, ok := f.base.same(at.Frame); ok {
			if got, err := f.base.Read(old, b[:0]); err == nil {
				f.reused.Add(at.Stored)
				return got, nil
			}
		}
		body := newRangeReader(ctx, f.store, f.m, at.Offset, at.Offset+at.Stored)
		defer body.Close()
		return counted(sequential(body), &f.downloaded)(at, b)
	}
}
