package storetest

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/wpbake/wpbake/artifact"
)

// uploads tests what a store that is an artifact.Uploader promises of it.
func uploads(t *testing.T, s artifact.Store) {
	up, ok := s.(artifact.Uploader)
	if !ok {
		return
	}
	large := bytes.Repeat([]byte("0123456789abcdef"), 20<<20/16)
	for _, content := range [][]byte{nil, []byte("small"), large} {
		name := "upload/" + artifact.DigestOf(content).Short()
		absentUntilCommit(t, s, up, name, content)
		refused(t, up, name, []byte("other"), artifact.ErrExists)
		if got, _ := get(t, s, name, 0, -1); got != string(content) {
			t.Errorf("another upload changed %d bytes", len(content))
		}
		// The same bytes again are no conflict: an answer may have been lost.
		refused(t, up, name, content, nil)
	}
	u := begun(t, t.Context(), up, "upload/aborted", large)
	if err := u.Abort(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), "upload/aborted", 0, -1); !errors.Is(err, artifact.ErrNotFound) {
		t.Errorf("an aborted upload: %v", err)
	}
	endedUpload(t, up, large)
	dead := begun(t, t.Context(), up, "upload/swept", large)
	put(t, s, "upload/swept", "whole", artifact.Condition{Absent: true})
	if err := up.Sweep(t.Context(), "upload/swept"); err != nil {
		t.Fatal(err)
	}
	if _, err := dead.Commit(t.Context(), artifact.DigestOf(large), artifact.Condition{Absent: true}); err == nil {
		t.Error("an upload that was swept replaced an object")
	}
	if got, _ := get(t, s, "upload/swept", 0, -1); got != "whole" {
		t.Errorf("sweeping left %q", got[:min(len(got), 20)])
	}
	if err := dead.Abort(t.Context()); err != nil {
		t.Errorf("aborting what was swept: %v", err)
	}
}

func begun(t *testing.T, ctx context.Context, up artifact.Uploader, name string, content []byte) artifact.Upload {
	t.Helper()
	u, err := up.Upload(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	for rest := content; len(rest) > 0; {
		n, err := u.Write(rest[:min(len(rest), 1<<20-1)])
		if err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	return u
}

func absentUntilCommit(t *testing.T, s artifact.Store, up artifact.Uploader, name string, content []byte) {
	t.Helper()
	u := begun(t, t.Context(), up, name, content)
	if _, err := s.Get(t.Context(), name, 0, -1); !errors.Is(err, artifact.ErrNotFound) {
		t.Errorf("it is there before it is committed: %v", err)
	}
	if listed, err := s.List(t.Context(), name); err != nil || len(listed) > 0 {
		t.Errorf("it is listed before it is committed: %v, %v", listed, err)
	}
	st, err := u.Commit(t.Context(), artifact.DigestOf(content), artifact.Condition{Absent: true})
	if err != nil || st.Name != name || st.Size != int64(len(content)) || st.ETag == "" {
		t.Fatalf("%+v, %v", st, err)
	}
	if err := u.Abort(t.Context()); err != nil {
		t.Errorf("aborting what was committed: %v", err)
	}
	if got, stat := get(t, s, name, 0, -1); got != string(content) || stat.ETag != st.ETag {
		t.Errorf("%d bytes became %d, %+v", len(content), len(got), stat)
	}
}

func refused(t *testing.T, up artifact.Uploader, name string, content []byte, want error) {
	t.Helper()
	u := begun(t, t.Context(), up, name, content)
	if _, err := u.Commit(t.Context(), artifact.DigestOf(content), artifact.Condition{Absent: true}); !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
	if err := u.Abort(t.Context()); err != nil {
		t.Error(err)
	}
}

// endedUpload ends an upload's context: what is written after that fails.
func endedUpload(t *testing.T, up artifact.Uploader, content []byte) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	u, err := up.Upload(ctx, "upload/ended")
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := u.Write(content); !errors.Is(err, context.Canceled) {
		t.Errorf("writing after the end: %v", err)
	}
	if err := u.Abort(ctx); err != nil {
		t.Error(err)
	}
}
