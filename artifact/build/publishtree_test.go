package build_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/artifacttest"
	"github.com/wpbake/wpbake/artifact/build"
	"github.com/wpbake/wpbake/artifact/build/buildtest"
	"github.com/wpbake/wpbake/artifact/fetch"
)

// counting is a store that counts the bytes put into it.
type counting struct {
	artifact.Store
	put int64
}

func (c *counting) Put(ctx context.Context, name string, body artifact.Body, cond artifact.Condition) (artifact.Stat, error) {
	c.put += body.Size
	return c.Store.Put(ctx, name, body, cond)
}

// A tree that is published while it is built gives what Build and Publish give.
func TestPublishTree(t *testing.T) {
	for name, cache := range map[string]string{"without a cache": "", "with a cache": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			dir := artifacttest.Sample().Write(t, t.TempDir())
			o := build.Options{Tree: dir, Version: "v1", Cache: cache, Described: build.Description{SBOM: []byte("{}\n")}}
			s := &counting{Store: buildtest.Store(t, t.TempDir())}
			p, err := build.PublishTree(t.Context(), s, o)
			artifacttest.Must(t, err)
			b := buildtest.Build(t, build.Options{Tree: dir, Version: "v1", Described: build.Description{SBOM: []byte("{}\n")}})
			if p.Digest != b.Digest || !p.Created || p.Forgot != nil {
				t.Errorf("got %+v, want %s", p, b.Digest)
			}
			_, err = fetch.Verify(t.Context(), s, "v1", b.Digest)
			artifacttest.Must(t, err)
			sent := s.put
			again, err := build.PublishTree(t.Context(), s, o)
			artifacttest.Must(t, err)
			if again.Digest != b.Digest || again.Created || s.put != sent {
				t.Errorf("again: %+v, %d bytes more were put", again, s.put-sent)
			}
			artifacttest.Must(t, os.WriteFile(filepath.Join(dir, "index.php"), []byte("<?php // other"), 0o644))
			var taken *artifact.VersionTaken
			if _, err := build.PublishTree(t.Context(), s, o); !errors.As(err, &taken) || taken.Have != b.Digest || s.put != sent {
				t.Errorf("other bytes: %v, %d bytes more were put", err, s.put-sent)
			}
			o.Version = "V1"
			if _, err := build.PublishTree(t.Context(), s, o); !errors.As(err, &taken) || taken.Taken != "v1" {
				t.Errorf("another spelling: %v", err)
			}
		})
	}
}

// An artifact without a manifest holds the name: for its own bytes only.
func TestPublishTreeAfterAnUnfinishedPublication(t *testing.T) {
	dir := artifacttest.Sample().Write(t, t.TempDir())
	where := t.TempDir()
	s := &counting{Store: buildtest.Store(t, where)}
	o := build.Options{Tree: dir, Version: "v1"}
	first, err := build.PublishTree(t.Context(), s, o)
	artifacttest.Must(t, err)
	artifacttest.Must(t, os.Remove(filepath.Join(where, "releases/v1/manifest.json")))
	s.put = 0
	again, err := build.PublishTree(t.Context(), s, o)
	artifacttest.Must(t, err)
	if again.Digest != first.Digest || !again.Created || s.put > 4<<10 {
		t.Errorf("got %+v, %d bytes were put", again, s.put)
	}
	artifacttest.Must(t, os.Remove(filepath.Join(where, "releases/v1/manifest.json")))
	artifacttest.Must(t, os.WriteFile(filepath.Join(dir, "index.php"), []byte("<?php // other"), 0o644))
	var taken *artifact.VersionTaken
	if _, err := build.PublishTree(t.Context(), s, o); !errors.As(err, &taken) || taken.Have != "" {
		t.Errorf("other bytes: %v", err)
	}
}

// An interrupted publication leaves nothing.
func TestPublishTreeInterrupted(t *testing.T) {
	where := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	_, err := build.PublishTree(ctx, buildtest.Store(t, where), build.Options{
		Tree: artifacttest.Sample().Write(t, t.TempDir()), Version: "v1",
		Progress: func(p artifact.Progress) {
			if p.Done > 0 {
				cancel()
			}
		},
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	if left, err := os.ReadDir(where); err != nil || len(left) > 0 {
		t.Errorf("it left %v, %v", left, err)
	}
}
