// Package ocistore keeps releases in a repository of a container registry.
//
// A version is a tag. The artifact is a layer of the image that the tag stands
// for, alone or on top of a base image: the layer's digest is the artifact's,
// so any container tool pulls it. manifest.json stands byte for byte in an
// annotation of the image; the bill of materials, and whatever else belongs to
// a version, is attached as a referrer.
//
// It knows the distribution protocol, and that a registry has no conditional
// writes. So a version is refused if its tag stands for other bytes when it is
// looked at, right before it is written; it is read back right after. Who
// publishes the same version in between can replace the tag, and is not seen
// by the one who has read back already. A registry whose tags are immutable
// closes that window. Fetching by digest is safe either way. Documents that
// several writers change, such as a rollout's lock, do not belong here: Store
// is an artifact.ReleaseStore and no more.
//
// It refuses to know what a release is rolled out to.
package ocistore

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"golang.org/x/sync/errgroup"

	"github.com/wpbake/wpbake/artifact"
)

// Names of a version's objects that are not documents attached to its image.
const (
	blobName     = "wordpress.tar.zst"
	manifestName = "manifest.json"
	sbomName     = "sbom.cdx.json"
)

// Options says where releases are kept. Repository is required.
type Options struct {
	Repository string         // HOST/REPO
	Base       string         // image that published artifacts are put on top of; empty for none
	Keychain   authn.Keychain // credentials; nil takes those that docker login saved
}

// Store is an artifact.ReleaseStore in one repository. It is safe for
// concurrent use.
type Store struct {
	repo   name.Repository
	base   name.Reference // nil for none
	puller *remote.Puller
	pusher *remote.Pusher
	blobs  *blobs

	mu       sync.Mutex
	releases map[artifact.Version]*release // as they were read last
	diffIDs  map[artifact.Digest]v1.Hash   // of artifacts that were uploaded
	drafts   map[draft]attachment          // documents of versions without a tag yet
}

// draft names a document that waits for its version's image.
type draft struct {
	version artifact.Version
	name    string
	digest  artifact.Digest
}

// New opens a repository. It calls nobody yet.
func New(o Options) (*Store, error) {
	repo, err := parseRepository(o.Repository)
	if err != nil {
		return nil, err
	}
	s := &Store{
		repo:     repo,
		blobs:    &blobs{repo: repo, keychain: o.Keychain, transport: encrypted{remote.DefaultTransport}, spools: map[artifact.Digest]*spool{}},
		releases: map[artifact.Version]*release{}, diffIDs: map[artifact.Digest]v1.Hash{}, drafts: map[draft]attachment{},
	}
	if o.Base != "" {
		if s.base, err = parseBase(o.Base); err != nil {
			return nil, err
		}
	}
	if s.blobs.keychain == nil {
		s.blobs.keychain = authn.DefaultKeychain
	}
	options := []remote.Option{remote.WithAuthFromKeychain(s.blobs.keychain), remote.WithTransport(s.blobs.transport), remote.WithUserAgent("wpbake")}
	if s.puller, err = remote.NewPuller(options...); err != nil {
		return nil, err
	}
	s.pusher, err = remote.NewPusher(options...)
	return s, err
}

// Close frees what the store keeps on this machine's disk.
func (s *Store) Close() error { return s.blobs.close() }

// splitName takes "releases/v42/manifest.json" apart. Nothing else is kept in
// a registry.
func splitName(object string) (v artifact.Version, file string, ok bool) {
	parts := strings.Split(object, "/")
	if len(parts) != 3 || parts[0] != "releases" || parts[2] == "" {
		return "", "", false
	}
	v, err := artifact.ParseVersion(parts[1])
	return v, parts[2], err == nil
}

// Get implements artifact.ReleaseStore. A manifest is always read anew; the
// other objects are those of the manifest that was read last.
func (s *Store) Get(ctx context.Context, object string, off, n int64) (*artifact.Object, error) {
	o, err := s.get(ctx, object, off, n)
	if err != nil {
		return nil, s.fail("getting", object, err)
	}
	return o, nil
}

func (s *Store) get(ctx context.Context, object string, off, n int64) (*artifact.Object, error) {
	v, file, ok := splitName(object)
	if !ok {
		return nil, artifact.ErrNotFound
	}
	r, err := s.known(ctx, v, file == manifestName)
	if err != nil {
		return nil, err
	}
	blob := artifact.Blob{Digest: artifact.DigestOf(r.raw), Size: int64(len(r.raw))}
	open := func(off, n int64) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(r.raw[off : off+n])), nil
	}
	if file == manifestName {
		if err := s.carries(ctx, r); err != nil {
			return nil, err
		}
	} else {
		if blob, err = s.blobOf(ctx, r, file); err != nil {
			return nil, err
		}
		open = func(off, n int64) (io.ReadCloser, error) { return s.blobs.open(ctx, blob, off, n) }
	}
	off = min(off, blob.Size)
	if n < 0 || n > blob.Size-off {
		n = blob.Size - off
	}
	body, err := open(off, n)
	if err != nil {
		return nil, err
	}
	return &artifact.Object{ReadCloser: body, Stat: stat(object, blob)}, nil
}

// blobOf finds what stands for a file of a release that is not its manifest.
func (s *Store) blobOf(ctx context.Context, r *release, file string) (artifact.Blob, error) {
	if file != blobName {
		return s.attached(ctx, r, file)
	}
	return r.manifest.Artifact, r.wrong
}

// stat describes an object by its content: the digest is its only revision.
func stat(object string, b artifact.Blob) artifact.Stat {
	return artifact.Stat{Name: object, Size: b.Size, ETag: string(b.Digest)}
}

// List implements artifact.ReleaseStore. It names manifest, artifact and bill
// of materials of the versions; tags that stand for anything else, such as
// base images, are passed over.
func (s *Store) List(ctx context.Context, prefix string) ([]artifact.Stat, error) {
	stats, err := s.list(ctx, prefix)
	if err != nil {
		return nil, s.fail("listing", prefix, err)
	}
	return stats, nil
}

// listers is how many tags are looked at side by side.
const listers = 8

func (s *Store) list(ctx context.Context, prefix string) ([]artifact.Stat, error) {
	tags, err := s.puller.List(ctx, s.repo)
	if missing(err) {
		return nil, nil // a repository comes into being with its first image
	}
	if err != nil {
		return nil, err
	}
	found := make([][]artifact.Stat, len(tags))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(listers)
	for i, tag := range tags {
		v, err := artifact.ParseVersion(tag)
		folder := artifact.ReleasePrefix(v)
		if err != nil || !strings.HasPrefix(folder, prefix) && !strings.HasPrefix(prefix, folder) {
			continue
		}
		g.Go(func() error {
			r, err := s.read(ctx, v)
			var foreign *Foreign
			if errors.Is(err, artifact.ErrNotFound) || errors.As(err, &foreign) {
				return nil
			}
			if err == nil {
				found[i] = r.stats(folder)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	stats := slices.Concat(found...)
	stats = slices.DeleteFunc(stats, func(st artifact.Stat) bool { return !strings.HasPrefix(st.Name, prefix) })
	slices.SortFunc(stats, func(a, b artifact.Stat) int { return strings.Compare(a.Name, b.Name) })
	return stats, nil
}

// Put implements artifact.ReleaseStore. The order is that of publishing:
// artifact, documents, manifest; with the manifest the version's tag appears.
// Documents may follow later.
func (s *Store) Put(ctx context.Context, object string, body artifact.Body, cond artifact.Condition) (artifact.Stat, error) {
	st, err := s.put(ctx, object, body, cond)
	if err != nil {
		return artifact.Stat{}, s.fail("putting", object, err)
	}
	return st, nil
}

func (s *Store) put(ctx context.Context, object string, body artifact.Body, cond artifact.Condition) (artifact.Stat, error) {
	v, file, ok := splitName(object)
	switch {
	case !ok:
		return artifact.Stat{}, errors.New("a registry keeps releases and nothing else")
	case cond != artifact.Condition{Absent: true}:
		return artifact.Stat{}, errors.New("what a registry keeps is written once: it has no conditional writes")
	}
	b := artifact.Blob{Digest: body.Digest, Size: body.Size}
	have, err := s.held(ctx, v, file)
	switch {
	case err == nil && have == b.Digest:
		return stat(object, b), nil
	case err == nil:
		return artifact.Stat{}, artifact.ErrExists
	case !errors.Is(err, artifact.ErrNotFound):
		return artifact.Stat{}, err
	}
	switch file {
	case manifestName:
		err = s.publish(ctx, v, body)
	case blobName:
		err = s.upload(ctx, body)
	default:
		err = s.document(ctx, v, file, body)
	}
	return stat(object, b), err
}

// held returns the digest of an object that is there.
func (s *Store) held(ctx context.Context, v artifact.Version, file string) (artifact.Digest, error) {
	r, err := s.known(ctx, v, true)
	if err != nil {
		return "", err
	}
	if file == manifestName {
		return artifact.DigestOf(r.raw), nil
	}
	b, err := s.blobOf(ctx, r, file)
	return b.Digest, err
}
