package wordpress

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"

	"github.com/wpbake/wpbake/artifact"
)

// Carried are assets of the release before that a release still has, because
// pages of the one before ask for them while both serve.
type Carried struct {
	From  artifact.Version `json:"from"`
	Files []artifact.File  `json:"files"`
}

// Bytes is what they weigh together.
func (c Carried) Bytes() (n int64) {
	for _, f := range c.Files {
		n += f.Size
	}
	return n
}

// NewTree says what the tree of a release to come holds.
type NewTree struct {
	Paths map[string]bool   // directories are true
	Leave func(string) bool // what no release holds, and all below it
}

// Carry chooses what to carry over out of the files of the release before:
// assets that the new tree has not, of plugins and themes that it still has,
// and that were not carried into that release themselves. Nothing takes the place
// of anything in the new tree, not even on file systems without regard to case.
func Carry(files []artifact.File, before Carried, tree NewTree) []artifact.File {
	old := map[artifact.File]bool{}
	for _, f := range before.Files {
		old[f] = true
	}
	folded := make(map[string]string, len(tree.Paths))
	for p := range tree.Paths {
		folded[strings.ToLower(p)] = p
	}
	var carried []artifact.File
	for _, f := range files {
		if IsAsset(f.Path) && !old[f] && tree.stays(f.Path) && tree.free(f.Path, folded) {
			carried = append(carried, f)
			folded[strings.ToLower(f.Path)] = f.Path
		}
	}
	return carried
}

// stays reports whether the plugin or theme that a path belongs to is still
// there: of one that is gone no page is left, and a theme of nothing but
// stylesheets would be a broken one.
func (t NewTree) stays(p string) bool {
	part := PartOf(p)
	if part.Kind != "plugin" && part.Kind != "theme" {
		return true
	}
	names := strings.Split(p, "/")
	i := slices.Index(names, part.Kind+"s")
	return i >= 0 && i+2 < len(names) && t.Paths[path.Join(names[:i+2]...)]
}

// free reports whether a file can be added under its name.
func (t NewTree) free(p string, folded map[string]string) bool {
	if _, taken := folded[strings.ToLower(p)]; taken || t.Leave(p) {
		return false
	}
	for dir := path.Dir(p); dir != "."; dir = path.Dir(dir) {
		name, known := folded[strings.ToLower(dir)]
		if known && (name != dir || !t.Paths[dir]) || t.Leave(dir) {
			return false
		}
	}
	return true
}

// What marks carried files in a bill of materials.
const (
	carriedFrom = "wpbake:carried-from"
	carriedSize = "wpbake:size"
)

// CarriedSBOM adds carried files to the bill of materials of a release, where
// the release after it finds them.
func CarriedSBOM(sbom []byte, c Carried) ([]byte, error) {
	b, err := decodeSBOM(sbom)
	if err != nil {
		return nil, err
	}
	var list []cdx.Component
	if b.Components != nil {
		list = *b.Components
	}
	for _, f := range c.Files {
		list = append(list, cdx.Component{
			Type: cdx.ComponentTypeFile, BOMRef: "carried/" + f.Path, Name: f.Path,
			Hashes: &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: strings.TrimPrefix(string(f.Digest), "sha256:")}},
			Properties: &[]cdx.Property{
				{Name: carriedFrom, Value: string(c.From)}, {Name: carriedSize, Value: fmt.Sprint(f.Size)},
			},
		})
	}
	b.Components = &list
	return encodeSBOM(b)
}

// ReadCarried returns what a bill of materials says was carried over; nothing
// when it says nothing.
func ReadCarried(sbom []byte) (Carried, error) {
	if sbom == nil || !bytes.Contains(sbom, []byte(carriedFrom)) {
		return Carried{}, nil
	}
	b, err := decodeSBOM(sbom)
	if err != nil || b.Components == nil {
		return Carried{}, err
	}
	var c Carried
	for _, x := range *b.Components {
		from, size := property(x, carriedFrom), property(x, carriedSize)
		if x.Type != cdx.ComponentTypeFile || from == "" {
			continue
		}
		f := artifact.File{Path: x.Name}
		if _, err := fmt.Sscan(size, &f.Size); err != nil || x.Hashes == nil || len(*x.Hashes) != 1 {
			return Carried{}, errors.New("reading bill of materials: a carried file without its size or hash")
		}
		if f.Digest, err = artifact.ParseDigest("sha256:" + (*x.Hashes)[0].Value); err != nil {
			return Carried{}, fmt.Errorf("reading bill of materials: %w", err)
		}
		if c.From, err = artifact.ParseVersion(from); err != nil {
			return Carried{}, fmt.Errorf("reading bill of materials: %w", err)
		}
		c.Files = append(c.Files, f)
	}
	return c, nil
}

func property(c cdx.Component, name string) string {
	if c.Properties == nil {
		return ""
	}
	for _, p := range *c.Properties {
		if p.Name == name {
			return p.Value
		}
	}
	return ""
}
