package ocistore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/wpbake/wpbake/artifact"
)

// Annotations of a version's image.
const (
	annotManifest   = "io.github.wpbake.manifest"        // manifest.json, byte for byte
	annotDigest     = "io.github.wpbake.manifest.digest" // its digest: the release's identity
	annotVersion    = "org.opencontainers.image.version"
	annotBaseName   = "org.opencontainers.image.base.name"
	annotBaseDigest = "org.opencontainers.image.base.digest"
)

// release is a version as its tag tells it.
type release struct {
	version  artifact.Version
	raw      []byte // manifest.json
	manifest artifact.Manifest
	wrong    error         // why raw is no manifest; manifest is empty then
	image    v1.Descriptor // what the tag stands for
	layers   []v1.Descriptor
	children []v1.Descriptor // of an index
}

// read reads a version's tag.
func (s *Store) read(ctx context.Context, v artifact.Version) (*release, error) {
	desc, err := s.puller.Get(ctx, s.repo.Tag(string(v)))
	if missing(err) {
		return nil, artifact.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	var doc struct {
		Annotations map[string]string `json:"annotations"`
		Layers      []v1.Descriptor   `json:"layers"`
		Manifests   []v1.Descriptor   `json:"manifests"`
	}
	if err := json.Unmarshal(desc.Manifest, &doc); err != nil {
		return nil, &Foreign{Tag: s.repo.Tag(string(v)).Name()}
	}
	text, ok := doc.Annotations[annotManifest]
	if !ok {
		return nil, &Foreign{Tag: s.repo.Tag(string(v)).Name()}
	}
	r := &release{version: v, raw: []byte(text), image: desc.Descriptor, layers: doc.Layers, children: doc.Manifests}
	if said := doc.Annotations[annotDigest]; said != string(artifact.DigestOf(r.raw)) {
		return nil, damaged(v, "the image's annotation names another digest than the manifest has")
	}
	r.manifest, r.wrong = artifact.ParseManifest(r.raw)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.releases[v] = r
	return r, nil
}

// known returns a version as it was read last, or reads it.
func (s *Store) known(ctx context.Context, v artifact.Version, anew bool) (*release, error) {
	s.mu.Lock()
	r := s.releases[v]
	s.mu.Unlock()
	if r != nil && !anew {
		return r, nil
	}
	return s.read(ctx, v)
}

func damaged(v artifact.Version, reason string) error {
	return &artifact.Damaged{Name: artifact.ReleasePrefix(v) + manifestName, Reason: reason}
}

// carries makes sure that who pulls the image gets the artifact that its
// manifest.json names, as the topmost layer of every platform.
func (s *Store) carries(ctx context.Context, r *release) error {
	if r.wrong != nil {
		return nil // for the reader of the manifest to say
	}
	images := [][]v1.Descriptor{r.layers}
	if r.image.MediaType.IsIndex() {
		images = nil
		for _, child := range r.children {
			desc, err := s.puller.Get(ctx, s.repo.Digest(child.Digest.String()))
			if err != nil {
				return err
			}
			var doc struct {
				Layers []v1.Descriptor `json:"layers"`
			}
			if err := json.Unmarshal(desc.Manifest, &doc); err != nil {
				return damaged(r.version, "the index names an image that is none")
			}
			images = append(images, doc.Layers)
		}
	}
	for _, layers := range images {
		n := len(layers)
		if n == 0 || layers[n-1].Digest.String() != string(r.manifest.Artifact.Digest) {
			return damaged(r.version, "the image's topmost layer is not the artifact that the manifest names")
		}
	}
	if len(images) == 0 {
		return damaged(r.version, "the index names no image")
	}
	return nil
}

// stats lists a release's objects.
func (r *release) stats(folder string) []artifact.Stat {
	stats := []artifact.Stat{stat(folder+manifestName, artifact.Blob{Digest: artifact.DigestOf(r.raw), Size: int64(len(r.raw))})}
	if r.wrong != nil {
		return stats
	}
	if r.manifest.SBOM != nil {
		stats = append(stats, stat(folder+sbomName, *r.manifest.SBOM))
	}
	return append(stats, stat(folder+blobName, r.manifest.Artifact))
}

// publish makes the image of a version whose artifact is uploaded, attaches
// the documents that wait for it, and lets the tag appear.
func (s *Store) publish(ctx context.Context, v artifact.Version, body artifact.Body) error {
	raw, err := io.ReadAll(io.NewSectionReader(body, 0, body.Size))
	if err != nil {
		return err
	}
	m, err := artifact.ParseManifest(raw)
	if err != nil {
		return err
	}
	if m.Version != v {
		return fmt.Errorf("it is the manifest of version %q", m.Version)
	}
	image, err := s.image(ctx, m, raw)
	if err != nil {
		return err
	}
	desc, err := describe(image)
	if err != nil {
		return err
	}
	if err := s.pusher.Push(ctx, s.repo.Digest(desc.Digest.String()), image); err != nil {
		return err
	}
	for _, a := range s.waiting(m) {
		if err := s.attach(ctx, desc, a); err != nil {
			return err
		}
	}
	return s.tag(ctx, v, image, artifact.DigestOf(raw))
}

// waiting takes a version's documents. A bill of materials is the one that
// its manifest names.
func (s *Store) waiting(m artifact.Manifest) []attachment {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []attachment
	for d, a := range s.drafts {
		if d.version == m.Version && (d.name != sbomName || m.SBOM != nil && d.digest == m.SBOM.Digest) {
			list = append(list, a)
			delete(s.drafts, d)
		}
	}
	slices.SortFunc(list, func(a, b attachment) int { return strings.Compare(a.name, b.name) })
	return list
}

// tag looks, writes and reads back: what stands decides. The answer to the
// write can be lost, and a registry of immutable tags refuses the second
// writer.
func (s *Store) tag(ctx context.Context, v artifact.Version, image taggable, want artifact.Digest) error {
	have, err := s.held(ctx, v, manifestName)
	if errors.Is(err, artifact.ErrNotFound) {
		refused := s.pusher.Put(ctx, s.repo.Tag(string(v)), image)
		have, err = s.held(ctx, v, manifestName)
		if refused != nil && err != nil {
			return refused
		}
	}
	switch {
	case err != nil:
		return err
	case have != want:
		return artifact.ErrExists
	}
	return nil
}

// taggable is an image or an index.
type taggable interface {
	RawManifest() ([]byte, error)
	MediaType() (types.MediaType, error)
	Digest() (v1.Hash, error)
	Size() (int64, error)
}

func describe(t taggable) (v1.Descriptor, error) {
	mt, err := t.MediaType()
	if err != nil {
		return v1.Descriptor{}, err
	}
	digest, err := t.Digest()
	if err != nil {
		return v1.Descriptor{}, err
	}
	size, err := t.Size()
	return v1.Descriptor{MediaType: mt, Digest: digest, Size: size}, err
}
