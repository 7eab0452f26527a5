package artifact

import (
	"bytes"
	"path/filepath"
	"testing"
)

// oneForm wants a manifest to be the bytes that were read.
func oneForm(t *testing.T, s memoryStore, m Manifest) {
	t.Helper()
	if !bytes.Equal(m.Marshal(), s[docName]) {
		t.Errorf("the manifest was\n%s\nand is\n%s", s[docName], m.Marshal())
	}
}

// consistent wants an accepted index to have one form, to account for every
// byte, and to name nothing outside its prefix.
func consistent(t *testing.T, x *index, m Manifest) {
	t.Helper()
	again, err := parseIndex(x.marshal(), m.Tree.Prefix)
	if err != nil || !bytes.Equal(again.marshal(), x.marshal()) {
		t.Errorf("read again: %v", err)
	}
	sections, err := x.sections()
	if err != nil {
		t.Fatal(err)
	}
	entries, frames, stored := 0, 1, x.frames[len(x.frames)-1].stored
	for _, s := range sections {
		entries, frames, stored = entries+s.last-s.first, frames+s.frames, stored+s.stored
	}
	if entries != len(x.entries) || frames != len(x.frames) || stored != x.layout() {
		t.Errorf("%d of %d entries, %d of %d frames, %d of %d bytes are accounted for",
			entries, len(x.entries), frames, len(x.frames), stored, x.layout())
	}
	for _, e := range x.entries {
		if !filepath.IsLocal(e.path) || filepath.Clean(e.path) != e.path || e.size < 0 || e.size > maxBytes {
			t.Errorf("accepted %q of %d bytes", e.path, e.size)
		}
	}
}
