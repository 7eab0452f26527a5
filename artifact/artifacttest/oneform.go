package artifacttest

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/wpbake/wpbake/artifact"
)

// OneForm wants a manifest to be the bytes that were read.
func OneForm(t *testing.T, s Memory, m artifact.Manifest) {
	t.Helper()
	if !bytes.Equal(m.Marshal(), s[ManifestObject]) {
		t.Errorf("the manifest was\n%s\nand is\n%s", s[ManifestObject], m.Marshal())
	}
}

// Consistent wants an accepted index to have one form, to account for every
// byte, and to name nothing outside its prefix.
func Consistent(t *testing.T, x *artifact.Index, m artifact.Manifest) {
	t.Helper()
	again, err := artifact.ParseIndex(x.Marshal(), m.Tree.Prefix)
	if err != nil || !bytes.Equal(again.Marshal(), x.Marshal()) {
		t.Errorf("read again: %v", err)
	}
	sections, err := x.Sections()
	if err != nil {
		t.Fatal(err)
	}
	entries, frames, stored := 0, 1, x.Frames[len(x.Frames)-1].Stored
	for _, s := range sections {
		entries, frames, stored = entries+s.Last-s.First, frames+s.Frames, stored+s.Stored
	}
	if entries != len(x.Members) || frames != len(x.Frames) || stored != x.StoredSize() {
		t.Errorf("%d of %d entries, %d of %d frames, %d of %d bytes are accounted for",
			entries, len(x.Members), frames, len(x.Frames), stored, x.StoredSize())
	}
	for _, e := range x.Members {
		if !filepath.IsLocal(e.Path) || filepath.Clean(e.Path) != e.Path || e.Size < 0 || e.Size > artifact.MaxBytes {
			t.Errorf("accepted %q of %d bytes", e.Path, e.Size)
		}
	}
}
