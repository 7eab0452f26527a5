package ocistore

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/wpbake/wpbake/artifact"
)

// createdBy is what tools show as the origin of the layer.
const createdBy = "wpbake publish"

// image makes a version's image: the artifact alone, or on top of each Linux
// image that the base holds. The same artifact and base make the same image.
func (s *Store) image(ctx context.Context, m artifact.Manifest, raw []byte) (taggable, error) {
	layer, err := s.layer(ctx, m.Artifact)
	if err != nil {
		return nil, err
	}
	annotations := map[string]string{
		annotManifest: string(raw), annotDigest: string(artifact.DigestOf(raw)), annotVersion: string(m.Version),
	}
	if s.base == nil {
		alone, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{
			OS: "linux", Architecture: "amd64", RootFS: v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{}},
		})
		if err != nil {
			return nil, err
		}
		return onTop(alone, layer, annotations)
	}
	base, err := s.puller.Get(ctx, s.base)
	if missing(err) {
		return nil, &NoBase{Ref: s.base.Name()}
	}
	if err != nil {
		return nil, s.failBase(err)
	}
	annotations[annotBaseName], annotations[annotBaseDigest] = s.base.Name(), base.Digest.String()
	var image taggable
	if base.MediaType.IsIndex() {
		var index v1.ImageIndex
		if index, err = base.ImageIndex(); err == nil {
			image, err = onTopOfAll(index, layer, annotations)
		}
	} else {
		var one v1.Image
		if one, err = base.Image(); err == nil {
			image, err = onTop(one, layer, annotations)
		}
	}
	if err != nil {
		return nil, s.failBase(err)
	}
	return image, nil
}

func (s *Store) failBase(err error) error {
	return newError("reading base image", s.base.Name(), s.base.Context().RegistryStr(), err)
}

// onTop appends the layer to an image. What comes out is an OCI image also
// when the base is one of Docker's own format, which has no zstd layers; the
// base's blobs stay as they are.
func onTop(base v1.Image, layer v1.Layer, annotations map[string]string) (v1.Image, error) {
	config, err := base.ConfigFile()
	if err != nil {
		return nil, err
	}
	layers, err := base.Layers()
	if err != nil {
		return nil, err
	}
	adds := make([]mutate.Addendum, 0, len(layers)+1)
	for _, l := range layers {
		mt, err := l.MediaType()
		if err != nil {
			return nil, err
		}
		adds = append(adds, mutate.Addendum{Layer: l, MediaType: asOCI(mt)})
	}
	adds = append(adds, mutate.Addendum{Layer: layer, MediaType: types.OCILayerZStd})
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	if img, err = mutate.Append(img, adds...); err != nil {
		return nil, err
	}
	diffID, err := layer.DiffID()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, diffID)
	config.History = append(config.History, v1.History{CreatedBy: createdBy})
	if img, err = mutate.ConfigFile(img, config); err != nil {
		return nil, err
	}
	annotated, ok := mutate.Annotations(img, annotations).(v1.Image)
	if !ok {
		return nil, errors.New("annotating an image made something else of it")
	}
	return annotated, nil
}

// onTopOfAll appends the layer to each image for Linux. What else an index
// can hold, such as attestations about its images, is not about the new ones.
func onTopOfAll(base v1.ImageIndex, layer v1.Layer, annotations map[string]string) (v1.ImageIndex, error) {
	list, err := base.IndexManifest()
	if err != nil {
		return nil, err
	}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	images := 0
	for _, desc := range list.Manifests {
		if !desc.MediaType.IsImage() || desc.Platform == nil || desc.Platform.OS != "linux" {
			continue
		}
		img, err := base.Image(desc.Digest)
		if err != nil {
			return nil, err
		}
		if img, err = onTop(img, layer, annotations); err != nil {
			return nil, err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: desc.Platform}})
		images++
	}
	if images == 0 {
		return nil, errors.New("the base image has none for Linux")
	}
	annotated, ok := mutate.Annotations(index, annotations).(v1.ImageIndex)
	if !ok {
		return nil, errors.New("annotating an index made something else of it")
	}
	return annotated, nil
}

// asOCI gives Docker's layers the names that the same bytes have in an OCI
// image.
func asOCI(mt types.MediaType) types.MediaType {
	switch mt {
	case types.DockerLayer:
		return types.OCILayer
	case types.DockerUncompressedLayer:
		return types.OCIUncompressedLayer
	}
	return mt
}

// parseBase reads the name of an image as docker pull does.
func parseBase(ref string) (name.Reference, error) {
	base, err := name.ParseReference(ref)
	if err != nil {
		return nil, fmt.Errorf("base image %q: want a name such as php:8.3-fpm or HOST/REPO:TAG", ref)
	}
	return base, nil
}
