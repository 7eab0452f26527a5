package erofs_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/wpbake/wpbake/artifact/erofs"
)

// A disk can hold anything. What is accepted lies within it, in places of its
// own, and an image that follows it keeps them.
func FuzzReadLayout(f *testing.F) {
	for _, tr := range []tree{{}, {"a": "x", "d/b": "yy", "d/l": "-> ../a"}, {"large": string(make([]byte, 9000)), "more": "z"}} {
		f.Add(image(f, tr))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		size, err := erofs.ReadSize(bytes.NewReader(b))
		if err != nil || size > int64(len(b)) {
			return
		}
		metadata, files, err := erofs.ReadLayout(bytes.NewReader(b), size)
		if err != nil {
			return
		}
		next := metadata
		for _, e := range slices.SortedFunc(slices.Values(files), func(a, b erofs.Extent) int { return int(a.Offset - b.Offset) }) {
			if e.Offset < next || e.Size <= 0 || e.Offset+e.Size > size {
				t.Fatalf("%+v of %d bytes, after %d", e, size, next)
			}
			next = e.Offset + e.Size
		}
		follow(t, files)
	})
}

// follow lays an image out after one that has files in these places.
func follow(t *testing.T, files []erofs.Extent) {
	entries := make([]erofs.Entry, len(files))
	for i, e := range files {
		entries[i] = erofs.Entry{Path: string(rune('a'+i%26)) + string(rune('0'+i/26%10)) + string(rune('A'+i/260)), Size: e.Size}
	}
	l, err := erofs.NewAfter(len(entries), func(i int) erofs.Entry { return entries[i] }, func(i int) (erofs.Extent, bool) { return files[i], true })
	if err != nil {
		return // names that are there twice
	}
	for i, e := range files {
		if e.Offset >= l.Metadata() && l.Offset(i) != e.Offset {
			t.Fatalf("%+v went to %d", e, l.Offset(i))
		}
	}
}
