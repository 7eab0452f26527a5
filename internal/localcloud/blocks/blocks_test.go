package blocks

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// block is full of one letter.
func block(letter byte) []byte { return bytes.Repeat([]byte{letter}, Size) }

// stores runs a test with a store in memory and one on disk; again opens the
// latter anew.
func stores(t *testing.T, test func(t *testing.T, s *Store, again func() *Store)) {
	open := func(t *testing.T, dir string) *Store {
		s, err := New(dir)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	t.Run("memory", func(t *testing.T) {
		s := open(t, "")
		test(t, s, func() *Store { return s })
	})
	t.Run("disk", func(t *testing.T) {
		dir := t.TempDir()
		test(t, open(t, dir), func() *Store { return open(t, dir) })
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// text tells a snapshot's blocks: index, letter, * for own ones.
func text(t *testing.T, s *Store, id string) string {
	t.Helper()
	text := ""
	for _, one := range s.List(id) {
		content, err := s.Get(id, one.Index)
		must(t, err)
		if Digest(sha256.Sum256(content)) != one.Digest {
			t.Errorf("block %d of %s has another digest", one.Index, id)
		}
		own := ""
		if one.Own {
			own = "*"
		}
		text += fmt.Sprintf("%d%c%s ", one.Index, content[0], own)
	}
	return text
}

func TestInheritance(t *testing.T) {
	stores(t, func(t *testing.T, s *Store, again func() *Store) {
		must(t, s.Create("parent", ""))
		must(t, s.Put("parent", 0, block('a')))
		must(t, s.Put("parent", 7, block('b')))
		must(t, s.Create("child", "parent"))
		must(t, s.Put("child", 7, block('c')))
		must(t, s.Put("child", 7, block('d')))
		must(t, s.Put("child", 9, block('a')))
		s = again()
		if got, want := text(t, s, "parent")+"| "+text(t, s, "child"), "0a* 7b* | 0a 7d* 9a* "; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		must(t, s.Delete("parent"))
		s = again()
		if got, want := text(t, s, "child"), "0a 7d* 9a* "; got != want {
			t.Errorf("without its parent %q, want %q", got, want)
		}
		if s.List("parent") != nil {
			t.Error("the parent is still there")
		}
		if len(s.owners) != 2 {
			t.Errorf("%d contents are left, want 2", len(s.owners))
		}
	})
}

func TestWhatIsNotThere(t *testing.T) {
	stores(t, func(t *testing.T, s *Store, _ func() *Store) {
		must(t, s.Create("one", ""))
		_, err := s.Get("one", 3)
		for n, err := range []error{err, s.Create("other", "nothing"), s.Put("nothing", 0, block('a'))} {
			if !errors.Is(err, ErrNotFound) {
				t.Errorf("%d: %v", n, err)
			}
		}
		if s.Create("one", "") == nil || s.Put("one", 0, []byte("short")) == nil {
			t.Error("a second snapshot of one name, or a short block")
		}
	})
}

func TestContent(t *testing.T) {
	stores(t, func(t *testing.T, s *Store, _ func() *Store) {
		content := append(append(block('a'), make([]byte, 2*Size)...), "the end"...)
		must(t, s.Create("stream", ""))
		must(t, s.Fill("stream", bytes.NewReader(content)))
		file, err := os.Create(filepath.Join(t.TempDir(), "volume"))
		must(t, err)
		defer file.Close()
		must(t, file.Truncate(1<<30))
		must(t, s.Restore("stream", file))
		must(t, s.Create("file", ""))
		must(t, s.FillFile("file", file))
		for _, id := range []string{"stream", "file"} {
			if got, want := text(t, s, id), "0a* 3t* "; got != want {
				t.Errorf("%s: blocks %q, want %q", id, got, want)
			}
			got, err := io.ReadAll(s.Open(id))
			must(t, err)
			if want := append(content[:len(content):len(content)], make([]byte, 4*Size-len(content))...); !bytes.Equal(got, want) {
				t.Errorf("%s: %d bytes, other than the %d written", id, len(got), len(want))
			}
		}
	})
}

func TestKilledInBetween(t *testing.T) {
	dir := t.TempDir()
	s, err := New(dir)
	must(t, err)
	must(t, s.Create("one", ""))
	must(t, s.Put("one", 1, block('a')))
	// A block whose entry is missing, half a block, and half an entry.
	orphan := disk{dir}
	must(t, orphan.writeBlock(sha256.Sum256(block('x')), block('x')))
	must(t, os.WriteFile(orphan.blockFile(sha256.Sum256(block('a')))+".new", []byte("aaa"), 0o600))
	list, err := os.OpenFile(orphan.listFile("one"), os.O_APPEND|os.O_WRONLY, 0)
	must(t, err)
	_, err = list.WriteString("torn")
	must(t, errors.Join(err, list.Close()))
	for range 2 {
		if s, err = New(dir); err != nil {
			t.Fatal(err)
		}
		if got := text(t, s, "one"); got[:4] != "1a* " {
			t.Errorf("got %q", got)
		}
		found, err := orphan.blocks()
		must(t, err)
		if len(found) != len(s.List("one")) {
			t.Errorf("%d blocks on disk, %d in the list", len(found), len(s.List("one")))
		}
		must(t, s.Put("one", 2, block('b')))
	}
}
