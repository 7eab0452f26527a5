package artifact

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Format is the version of artifacts and manifests that this package writes.
const Format = 1

// Names of a version's objects below ReleasePrefix.
const (
	TarballName  = "wordpress.tar.zst"
	SBOMName     = "sbom.cdx.json"
	ManifestName = "manifest.json"
)

// Manifest names an artifact's digests and says what it holds. Its own digest
// is a release's identity. No clock, host or user is in it.
type Manifest struct {
	Format    int        `json:"format"`
	Version   Version    `json:"version"`
	Artifact  Blob       `json:"artifact"`
	Index     Part       `json:"index"`
	Tree      Tree       `json:"tree"`
	Image     Blob       `json:"image"`               // of all members as a file system
	SBOM      *Blob      `json:"sbom,omitempty"`      // nil when there is none
	WordPress *WordPress `json:"wordpress,omitempty"` // nil when nobody looked
}

// Blob is an object of the version's folder as it is stored.
type Blob struct {
	Digest Digest `json:"digest"`
	Size   int64  `json:"size"`
}

// Part is a part of the artifact.
type Part struct {
	Digest Digest `json:"digest"`
	Offset int64  `json:"offset"`
	Size   int64  `json:"size"`
}

// Tree is the plain tree.
type Tree struct {
	Digest Digest `json:"digest"` // of paths, kinds, contents and link targets
	List   Digest `json:"list"`   // of .wpbake/SHA256SUMS
	Prefix string `json:"prefix"` // the directory that the tree stands in
	Files  int    `json:"files"`
	Bytes  int64  `json:"bytes"` // of all files
}

// WordPress is what a tree is as WordPress; package wordpress finds it out.
type WordPress struct {
	Core      string      `json:"core"`             // $wp_version
	DBVersion int         `json:"db_version"`       // $wp_db_version
	PHP       string      `json:"php,omitempty"`    // least version
	MySQL     string      `json:"mysql,omitempty"`  // least version
	Locale    string      `json:"locale,omitempty"` // of a localised package
	Layout    string      `json:"layout"`
	Plugins   []Component `json:"plugins,omitempty"` // by slug
	Themes    []Component `json:"themes,omitempty"`  // by slug
}

// Component is a plugin or a theme.
type Component struct {
	Slug    string `json:"slug"` // its directory, or file without .php
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
}

// Marshal returns the manifest's one form: keys in the order of the fields,
// two spaces of indentation, a newline at the end.
func (m Manifest) Marshal() []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(m); err != nil {
		panic(err) // strings and numbers always encode
	}
	return b.Bytes()
}

// Digest is the release's identity.
func (m Manifest) Digest() Digest { return DigestOf(m.Marshal()) }

// ImageBlock is what an image is a whole number of, in bytes.
const ImageBlock = 4096

// Limits of a manifest.
const (
	maxManifest   = 1 << 20
	maxSBOM       = 64 << 20
	maxComponents = 2000
	maxText       = 1000
	maxImage      = 2 * MaxBytes
)

// ParseManifest accepts exactly what Marshal writes: no other key, order,
// spelling or number form, so that what was signed, digested and read is one
// thing.
func ParseManifest(b []byte) (Manifest, error) {
	m, err := parseManifest(b)
	if err != nil {
		return Manifest{}, fmt.Errorf("parsing manifest: %w", err)
	}
	return m, nil
}

func parseManifest(b []byte) (Manifest, error) {
	if len(b) > maxManifest {
		return Manifest{}, fmt.Errorf("%d bytes are more than %d", len(b), maxManifest)
	}
	var head struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(b, &head); err != nil {
		return Manifest{}, err
	}
	if head.Format > Format {
		return Manifest{}, &NewerFormat{Format: head.Format}
	}
	var m Manifest
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&m); err != nil {
		return Manifest{}, err
	}
	if !utf8.Valid(b) || !bytes.Equal(m.Marshal(), b) {
		return Manifest{}, errors.New("not in its one form: keys, order, spelling and spaces are fixed")
	}
	return m, m.validate()
}

// NewerFormat says that a newer wpbake wrote this.
type NewerFormat struct{ Format int }

func (e *NewerFormat) Error() string {
	return fmt.Sprintf("format %d is newer than %d", e.Format, Format)
}

// Hint says what to do next.
func (e *NewerFormat) Hint() string { return "use the wpbake that published it, or a newer one" }

func (m *Manifest) validate() error {
	if m.Format != Format {
		return fmt.Errorf("format %d is unknown", m.Format)
	}
	if _, err := ParseVersion(string(m.Version)); err != nil {
		return err
	}
	for _, d := range []Digest{m.Artifact.Digest, m.Index.Digest, m.Tree.Digest, m.Tree.List, m.Image.Digest} {
		if _, err := ParseDigest(string(d)); err != nil {
			return err
		}
	}
	switch x, t := m.Index, m.Tree; {
	case x.Offset < 1 || x.Size <= skipHeader || x.Size > MaxIndex || m.Artifact.Size < 1 ||
		x.Offset > m.Artifact.Size-x.Size:
		return fmt.Errorf("index at %d of %d bytes is not inside an artifact of %d", x.Offset, x.Size, m.Artifact.Size)
	case m.Artifact.Size-x.Offset-x.Size > seekTableSize(maxFrames):
		return fmt.Errorf("%d bytes after the index are too many", m.Artifact.Size-x.Offset-x.Size)
	case t.Files < 0 || t.Files > MaxEntries || t.Bytes < 0 || t.Bytes > MaxBytes:
		return fmt.Errorf("a tree of %d files and %d bytes is out of bounds", t.Files, t.Bytes)
	case m.Image.Size < t.Bytes || m.Image.Size > maxImage || m.Image.Size%ImageBlock != 0:
		return fmt.Errorf("an image of %d bytes is out of bounds", m.Image.Size)
	}
	if err := CheckPrefix(m.Tree.Prefix); err != nil {
		return err
	}
	if err := m.SBOM.validate(); err != nil {
		return err
	}
	return m.WordPress.Validate()
}

// validate accepts what a bill of materials may be.
func (b *Blob) validate() error {
	if b == nil {
		return nil
	}
	if b.Size < 1 || b.Size > maxSBOM {
		return fmt.Errorf("a bill of materials of %d bytes is out of bounds", b.Size)
	}
	_, err := ParseDigest(string(b.Digest))
	return err
}

// Validate refuses what no manifest may say; nil says nothing.
func (w *WordPress) Validate() error {
	if w == nil {
		return nil
	}
	if len(w.Plugins) > maxComponents || len(w.Themes) > maxComponents {
		return fmt.Errorf("more than %d plugins or themes", maxComponents)
	}
	texts := []string{w.Core, w.PHP, w.MySQL, w.Locale, w.Layout}
	for _, list := range [][]Component{w.Plugins, w.Themes} {
		for _, c := range list {
			texts = append(texts, c.Slug, c.Name, c.Version)
		}
	}
	for _, s := range texts {
		if len(s) > maxText || !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
			return fmt.Errorf("text %q is longer than %d bytes, not UTF-8 or has control characters", s[:min(len(s), 40)], maxText)
		}
	}
	return nil
}

// ReadManifest reads a manifest's bytes and no more than one can have.
func ReadManifest(r io.Reader) ([]byte, error) {
	return io.ReadAll(io.LimitReader(r, maxManifest+1))
}
