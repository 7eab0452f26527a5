package ocistore

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/wpbake/wpbake/artifact"
)

// annotDocument tells our documents from what others attach to an image; the
// title is for tools that save an attachment to a file.
const (
	annotDocument = "io.github.wpbake.document"
	annotTitle    = "org.opencontainers.image.title"
)

// An attachment is a document of a version: a blob, and the name it has in the
// version's folder.
type attachment struct {
	name string
	blob v1.Descriptor
}

// The empty config of a manifest that is no image, as the image specification
// has it.
const (
	emptyConfig     = "{}"
	emptyConfigType = types.MediaType("application/vnd.oci.empty.v1+json")
)

// documentType is the artifact type that others look for.
func documentType(file string) types.MediaType {
	switch {
	case strings.HasSuffix(file, ".cdx.json"):
		return "application/vnd.cyclonedx+json"
	case strings.HasSuffix(file, ".sig.json"):
		return "application/vnd.dsse.envelope.v1+json"
	}
	return "application/vnd.wpbake.document"
}

// document keeps a document. Before its version has an image it waits, and is
// attached when the image is made.
func (s *Store) document(ctx context.Context, v artifact.Version, file string, body artifact.Body) error {
	b, err := io.ReadAll(io.NewSectionReader(body, 0, body.Size))
	if err != nil {
		return err
	}
	if artifact.DigestOf(b) != body.Digest {
		return errOtherDigest
	}
	layer := static.NewLayer(b, documentType(file))
	if err := s.pusher.Upload(ctx, s.repo, layer); err != nil {
		return err
	}
	a := attachment{name: file}
	if a.blob, err = describe(blobOnly{layer}); err != nil {
		return err
	}
	r, err := s.known(ctx, v, false)
	if err == nil {
		return s.attach(ctx, r.image, a)
	}
	if !errors.Is(err, artifact.ErrNotFound) {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drafts[draft{v, file, body.Digest}] = a
	return nil
}

// blobOnly is a layer that is described and nothing else.
type blobOnly struct{ v1.Layer }

func (blobOnly) RawManifest() ([]byte, error) { return nil, nil }

// referrer is a manifest that says what is attached to which image.
type referrer struct{ raw []byte }

func (r referrer) RawManifest() ([]byte, error)        { return r.raw, nil }
func (r referrer) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }

// attach pushes a manifest with a subject. Where the registry has no list of
// referrers, the client keeps one under the tag that the specification names.
func (s *Store) attach(ctx context.Context, subject v1.Descriptor, a attachment) error {
	config := static.NewLayer([]byte(emptyConfig), emptyConfigType)
	if err := s.pusher.Upload(ctx, s.repo, config); err != nil {
		return err
	}
	configBlob, err := describe(blobOnly{config})
	if err != nil {
		return err
	}
	raw, err := json.Marshal(v1.Manifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1, ArtifactType: string(documentType(a.name)),
		Config: configBlob, Layers: []v1.Descriptor{a.blob},
		Annotations: map[string]string{annotDocument: a.name, annotTitle: a.name},
		Subject:     &v1.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size},
	})
	if err != nil {
		return err
	}
	return s.pusher.Push(ctx, s.repo.Digest(string(artifact.DigestOf(raw))), referrer{raw})
}

// attached finds a document of a version.
func (s *Store) attached(ctx context.Context, r *release, file string) (artifact.Blob, error) {
	list, err := remote.Referrers(s.repo.Digest(r.image.Digest.String()), remote.WithContext(ctx), remote.Reuse(s.puller))
	if err != nil {
		return artifact.Blob{}, fmt.Errorf("listing referrers: %w", err)
	}
	index, err := list.IndexManifest()
	if err != nil {
		return artifact.Blob{}, fmt.Errorf("listing referrers: %w", err)
	}
	for _, d := range index.Manifests {
		// Not every registry repeats annotations and artifact type here.
		if said, ok := d.Annotations[annotDocument]; ok && said != file {
			continue
		}
		desc, err := s.puller.Get(ctx, s.repo.Digest(d.Digest.String()))
		if missing(err) {
			continue
		}
		if err != nil {
			return artifact.Blob{}, err
		}
		m, err := v1.ParseManifest(bytes.NewReader(desc.Manifest))
		if err != nil || m.Annotations[annotDocument] != file || len(m.Layers) != 1 {
			continue
		}
		return artifact.Blob{Digest: artifact.Digest(m.Layers[0].Digest.String()), Size: m.Layers[0].Size}, nil
	}
	return artifact.Blob{}, artifact.ErrNotFound
}
