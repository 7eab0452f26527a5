package artifact

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"
)

// FetchOptions says what to fetch. Version and Dest are required.
type FetchOptions struct {
	Version  Version
	Digest   Digest // the only manifest to accept; empty takes the store's
	Dest     string // appears whole or not at all
	Progress func(Progress)
}

// fetchers is how many requests run at once: enough to fill a connection,
// little enough to stay below 64 MiB of memory.
const fetchers = 4

// Fetch unpacks a published version into Dest. The manifest is compared with
// Digest before it is parsed, the index with the manifest, each frame with
// the index before it is decoded, and all content with the manifest at the
// end. Dest then holds the tree under its prefix and, in .wpbake, SHA256SUMS
// and manifest.json, synced to disk. Until then everything stands in
// Dest.partial, which is removed on any failure; one that a killed run left
// is thrown away. A Dest that already holds the release, compared file by
// file, is left as it is; any other is a *DestTaken. Bytes that are not the
// release's are *Damaged.
func Fetch(ctx context.Context, store ReleaseStore, o FetchOptions) (Manifest, error) {
	raw, err := manifestBytes(ctx, store, o.Version)
	if err != nil {
		return Manifest{}, err
	}
	m, err := pinnedManifest(o.Version, o.Digest, raw)
	if err != nil {
		return Manifest{}, err
	}
	dest, err := filepath.Abs(o.Dest)
	if err != nil {
		return Manifest{}, err
	}
	stage, err := newStaging(ctx, dest)
	if err != nil {
		return Manifest{}, err
	}
	defer stage.close()
	if stage.exists() {
		if err := reuse(ctx, dest, m); err != nil {
			return Manifest{}, err
		}
		return m, nil
	}
	f := &fetcher{store: store, m: m, stage: stage, progress: newCounter(o.Progress, "fetching", m.Index.Offset)}
	var taken *DestTaken
	if err := f.into(ctx, raw); errors.As(err, &taken) {
		return Manifest{}, err
	} else if err != nil {
		return Manifest{}, fmt.Errorf("fetching %q into %q: %w", o.Version, o.Dest, err)
	}
	return m, nil
}

// pinnedManifest parses a manifest that has the digest asked for.
func pinnedManifest(v Version, pin Digest, raw []byte) (Manifest, error) {
	if got := DigestOf(raw); pin != "" && got != pin {
		return Manifest{}, unread(ReleasePrefix(v)+manifestName, "its digest is %s, not %s as asked for", got.Short(), pin.Short())
	}
	return manifestOf(v, raw)
}

func reuse(ctx context.Context, dest string, m Manifest) error {
	if info, err := os.Lstat(dest); err != nil || !info.IsDir() {
		return &DestTaken{Dest: dest, Err: errors.New("it is not a directory")}
	}
	if err := check(ctx, dest, m); err != nil {
		if ctx.Err() != nil {
			return err
		}
		return &DestTaken{Dest: dest, Err: err}
	}
	return nil
}

type fetcher struct {
	store    ReleaseStore
	m        Manifest
	stage    *staging
	u        *unpacker
	progress *counter
}

// into makes the release appear.
func (f *fetcher) into(ctx context.Context, raw []byte) error {
	if err := f.stage.open(); err != nil {
		return err
	}
	if err := f.unpack(ctx); err != nil {
		return err
	}
	if err := f.stage.write(unpackedManifest, raw); err != nil {
		return err
	}
	if err := f.stage.finish(f.u.index.entries); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return f.stage.commit()
}

// unpack fetches the index, then everything that it lists.
func (f *fetcher) unpack(ctx context.Context) error {
	x, err := fetchIndex(ctx, f.store, f.m)
	if err != nil {
		return err
	}
	sections, err := x.sections()
	if err != nil {
		return err
	}
	f.u = newUnpacker(ReleasePrefix(f.m.Version)+artifactName, x)
	if err := f.stage.directories(x.entries); err != nil {
		return err
	}
	spans := make(chan span)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(spans)
		for _, s := range spansOf(sections) {
			select {
			case spans <- s:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	for range fetchers {
		g.Go(func() error { return f.work(ctx, spans) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return f.u.finish(f.m)
}

// fetchIndex reads what follows the frames.
func fetchIndex(ctx context.Context, store ReleaseStore, m Manifest) (*index, error) {
	r := newRangeReader(ctx, store, m, m.Index.Offset, m.Artifact.Size)
	defer r.Close()
	tail, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("reading index: %w", err)
	}
	return readTail(m, ReleasePrefix(m.Version)+artifactName, tail)
}

func (f *fetcher) work(ctx context.Context, spans <-chan span) error {
	plain, err := f.u.reader()
	if err != nil {
		return err
	}
	defer plain.Close()
	sink := &fileSink{dirs: lastDir{root: f.stage.root}, u: f.u}
	defer sink.dirs.Close()
	for s := range spans {
		if err := f.span(ctx, s, plain, sink); err != nil {
			return err
		}
	}
	return nil
}

func (f *fetcher) span(ctx context.Context, s span, plain *plainReader, sink sink) error {
	end := f.m.Index.Offset
	if last := s.sections[len(s.sections)-1]; !s.ends {
		end = last.offset + last.stored
	}
	body := newRangeReader(ctx, f.store, f.m, s.sections[0].offset, end)
	defer body.Close()
	for _, p := range s.sections {
		if err := ctx.Err(); err != nil {
			return err
		}
		plain.reset(body, p.frame, p.frame+p.frames)
		if err := f.u.section(plain, p, sink); err != nil {
			return err
		}
		f.progress.add(p.stored)
	}
	if s.ends {
		return f.u.trailer(plain, body, f.progress)
	}
	return nil
}

// trailer reads the frame that ends the tar.
func (u *unpacker) trailer(plain *plainReader, body io.Reader, progress *counter) error {
	n := len(u.index.frames) - 1
	plain.reset(body, n, n+1)
	if err := u.zeros(plain, trailerSize, listPath); err != nil {
		return err
	}
	progress.add(u.index.frames[n].stored)
	return nil
}
