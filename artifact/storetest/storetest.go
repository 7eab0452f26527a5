// Package storetest is the suite that every artifact.Store passes.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/wpbake/wpbake/artifact"
)

// Run tests a store. open answers with an empty one each time.
func Run(t *testing.T, open func(t *testing.T) artifact.Store) {
	tests := []struct {
		name string
		test func(*testing.T, artifact.Store)
	}{
		{"put and get", putAndGet},
		{"ranges", ranges},
		{"absent objects", absent},
		{"put if absent", putIfAbsent},
		{"put if unchanged", putIfUnchanged},
		{"list", list},
		{"delete", remove},
		{"sixteen writers of one name", raceAbsent},
		{"sixteen writers of one counter", raceCounter},
		{"large object", large},
		{"a body that cannot be read", unreadable},
		{"ended context", ended},
		{"uploads", uploads},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, open(t)) })
	}
}

// Body makes a body of b.
func Body(b []byte) artifact.Body {
	return artifact.Body{ReaderAt: bytes.NewReader(b), Size: int64(len(b)), Digest: artifact.DigestOf(b)}
}

func put(t *testing.T, s artifact.Store, name, content string, c artifact.Condition) artifact.Stat {
	t.Helper()
	st, err := s.Put(t.Context(), name, Body([]byte(content)), c)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func get(t *testing.T, s artifact.Store, name string, off, n int64) (string, artifact.Stat) {
	t.Helper()
	o, err := s.Get(t.Context(), name, off, n)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	b, err := io.ReadAll(o)
	if err != nil {
		t.Fatal(err)
	}
	return string(b), o.Stat
}

func wants(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got %v, want %v", err, want)
	}
}

func putAndGet(t *testing.T, s artifact.Store) {
	for _, name := range []string{"plain", "releases/v1/a.json", "rollouts/caf%C3%A9%2Fx/lock.json"} {
		first := put(t, s, name, "one", artifact.Condition{})
		second := put(t, s, name, "two", artifact.Condition{})
		if first.ETag == second.ETag {
			t.Errorf("%s: one revision for two contents", name)
		}
		got, st := get(t, s, name, 0, -1)
		if got != "two" || st.ETag != second.ETag || st.Size != 3 || st.Name != name {
			t.Errorf("%s: got %q, %+v", name, got, st)
		}
	}
	put(t, s, "empty", "", artifact.Condition{})
	if got, st := get(t, s, "empty", 0, -1); got != "" || st.Size != 0 {
		t.Errorf("empty: got %q, %+v", got, st)
	}
}

func ranges(t *testing.T, s artifact.Store) {
	put(t, s, "digits", "0123456789", artifact.Condition{})
	for _, tt := range []struct {
		off, n int64
		want   string
	}{{0, 10, "0123456789"}, {3, 4, "3456"}, {7, -1, "789"}, {9, 1, "9"}, {4, 0, ""}} {
		if got, st := get(t, s, "digits", tt.off, tt.n); got != tt.want || st.Size != 10 {
			t.Errorf("bytes %d+%d: got %q of %d", tt.off, tt.n, got, st.Size)
		}
	}
}

func absent(t *testing.T, s artifact.Store) {
	_, err := s.Get(t.Context(), "nothing", 0, -1)
	wants(t, err, artifact.ErrNotFound)
	_, err = s.Get(t.Context(), "nothing", 5, 5)
	wants(t, err, artifact.ErrNotFound)
	if err := s.Delete(t.Context(), "nothing", artifact.Condition{}); err != nil {
		t.Error(err)
	}
	stats, err := s.List(t.Context(), "nothing/")
	if err != nil || len(stats) != 0 {
		t.Errorf("got %v, %v", stats, err)
	}
}

func putIfAbsent(t *testing.T, s artifact.Store) {
	first := put(t, s, "name", "ours", artifact.Condition{Absent: true})
	again := put(t, s, "name", "ours", artifact.Condition{Absent: true})
	if first.ETag != again.ETag {
		t.Errorf("the same bytes again: %q, then %q", first.ETag, again.ETag)
	}
	_, err := s.Put(t.Context(), "name", Body([]byte("their")), artifact.Condition{Absent: true})
	wants(t, err, artifact.ErrExists)
	if got, _ := get(t, s, "name", 0, -1); got != "ours" {
		t.Errorf("the refused write changed it to %q", got)
	}
}

func putIfUnchanged(t *testing.T, s artifact.Store) {
	first := put(t, s, "name", "one", artifact.Condition{Absent: true})
	second := put(t, s, "name", "two", artifact.Condition{ETag: first.ETag})
	_, err := s.Put(t.Context(), "name", Body([]byte("three")), artifact.Condition{ETag: first.ETag})
	wants(t, err, artifact.ErrChanged)
	again := put(t, s, "name", "two", artifact.Condition{ETag: first.ETag})
	if again.ETag != second.ETag {
		t.Errorf("our own bytes, whose answer was lost: %q, want %q", again.ETag, second.ETag)
	}
	_, err = s.Put(t.Context(), "gone", Body([]byte("x")), artifact.Condition{ETag: first.ETag})
	wants(t, err, artifact.ErrChanged)
}

func list(t *testing.T, s artifact.Store) {
	for _, name := range []string{"b/2", "a/1", "b/10", "b/1", "bb", "b/1-x"} {
		put(t, s, name, name, artifact.Condition{})
	}
	stats, err := s.List(t.Context(), "b/")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, st := range stats {
		names = append(names, st.Name)
		if st.Size != int64(len(st.Name)) || st.ETag == "" {
			t.Errorf("%+v", st)
		}
	}
	if got := strings.Join(names, " "); got != "b/1 b/1-x b/10 b/2" {
		t.Errorf("got %s", got)
	}
	if stats, err := s.List(t.Context(), "b/1"); err != nil || len(stats) != 3 {
		t.Errorf("a prefix that is no folder: %v, %v", stats, err)
	}
}

func remove(t *testing.T, s artifact.Store) {
	first := put(t, s, "name", "one", artifact.Condition{})
	put(t, s, "name", "two", artifact.Condition{})
	wants(t, s.Delete(t.Context(), "name", artifact.Condition{ETag: first.ETag}), artifact.ErrChanged)
	if err := s.Delete(t.Context(), "name", artifact.Condition{}); err != nil {
		t.Fatal(err)
	}
	_, err := s.Get(t.Context(), "name", 0, -1)
	wants(t, err, artifact.ErrNotFound)
	put(t, s, "name", "three", artifact.Condition{Absent: true})
}

func raceAbsent(t *testing.T, s artifact.Store) {
	var wg sync.WaitGroup
	won := make(chan int, 16)
	for i := range 16 {
		wg.Go(func() {
			_, err := s.Put(t.Context(), "name", Body(fmt.Appendf(nil, "writer %d", i)), artifact.Condition{Absent: true})
			switch {
			case err == nil:
				won <- i
			case !errors.Is(err, artifact.ErrExists):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	close(won)
	if len(won) != 1 {
		t.Fatalf("%d of 16 writers won", len(won))
	}
	if got, _ := get(t, s, "name", 0, -1); got != fmt.Sprintf("writer %d", <-won) {
		t.Errorf("stored is %q", got)
	}
}

// raceCounter counts to 32 with read, add, write if unchanged. The writer's
// name is in the content, so that two writers never write the same bytes.
func raceCounter(t *testing.T, s artifact.Store) {
	put(t, s, "counter", "0 nobody", artifact.Condition{})
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for range 2 {
				increment(t, s, i)
			}
		})
	}
	wg.Wait()
	if got, _ := get(t, s, "counter", 0, -1); !strings.HasPrefix(got, "32 ") {
		t.Errorf("counted to %q", got)
	}
}

func increment(t *testing.T, s artifact.Store, writer int) {
	for {
		o, err := s.Get(t.Context(), "counter", 0, -1)
		if err != nil {
			t.Error(err)
			return
		}
		b, err := io.ReadAll(o)
		o.Close()
		var n int
		if err == nil {
			_, err = fmt.Sscan(string(b), &n)
		}
		if err != nil {
			t.Error(err)
			return
		}
		_, err = s.Put(t.Context(), "counter", Body(fmt.Appendf(nil, "%d writer %d", n+1, writer)), artifact.Condition{ETag: o.ETag})
		if err == nil {
			return
		}
		if !errors.Is(err, artifact.ErrChanged) {
			t.Error(err)
			return
		}
	}
}

func large(t *testing.T, s artifact.Store) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 20<<20/16+1)
	for range 2 {
		if _, err := s.Put(t.Context(), "large", Body(content), artifact.Condition{Absent: true}); err != nil {
			t.Fatal(err)
		}
	}
	got, st := get(t, s, "large", 0, -1)
	if st.Size != int64(len(content)) || got != string(content) {
		t.Errorf("%d bytes came back", len(got))
	}
	other := append(bytes.Clone(content), '!')
	_, err := s.Put(t.Context(), "large", Body(other), artifact.Condition{Absent: true})
	wants(t, err, artifact.ErrExists)
}

func unreadable(t *testing.T, s artifact.Store) {
	first := put(t, s, "name", "one", artifact.Condition{})
	body := Body([]byte("two"))
	body.ReaderAt = noReader{}
	if _, err := s.Put(t.Context(), "name", body, artifact.Condition{}); err == nil {
		t.Error("a body that cannot be read was stored")
	}
	if got, st := get(t, s, "name", 0, -1); got != "one" || st.ETag != first.ETag {
		t.Errorf("it changed the object to %q", got)
	}
	if stats, err := s.List(t.Context(), ""); err != nil || len(stats) != 1 {
		t.Errorf("it left %v, %v", stats, err)
	}
}

type noReader struct{}

func (noReader) ReadAt([]byte, int64) (int, error) { return 0, errors.New("disk on fire") }

func ended(t *testing.T, s artifact.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Put(ctx, "name", Body([]byte("x")), artifact.Condition{}); err == nil {
		t.Error("a put under an ended context succeeded")
	}
	if stats, err := s.List(t.Context(), ""); err != nil || len(stats) != 0 {
		t.Errorf("it left %v, %v", stats, err)
	}
}
