package build_test

import (
	"errors"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/artifacttest"
	"github.com/wpbake/wpbake/artifact/build"
	"github.com/wpbake/wpbake/artifact/build/buildtest"
	"github.com/wpbake/wpbake/artifact/fetch"
)

func TestPublishRefusesWhatItWasNotBuiltAs(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, dir string){
		"flipped byte": func(t *testing.T, d string) {
			b, err := os.ReadFile(d + "/wordpress.tar.zst")
			artifacttest.Must(t, err)
			b[len(b)/2] ^= 1
			artifacttest.Must(t, os.WriteFile(d+"/wordpress.tar.zst", b, 0o644))
		},
		"truncated":   func(t *testing.T, d string) { artifacttest.Must(t, os.Truncate(d+"/wordpress.tar.zst", 100)) },
		"no artifact": func(t *testing.T, d string) { artifacttest.Must(t, os.Remove(d+"/wordpress.tar.zst")) },
		"no manifest": func(t *testing.T, d string) { artifacttest.Must(t, os.Remove(d+"/manifest.json")) },
	} {
		t.Run(name, func(t *testing.T) {
			b := buildtest.Build(t, build.Options{Tree: artifacttest.Tree{"index.php": "x"}.Write(t, t.TempDir())})
			spoil(t, b.Dir)
			s := buildtest.Store(t, t.TempDir())
			if _, err := build.Publish(t.Context(), s, b.Dir, nil); err == nil {
				t.Error("published")
			}
			if stats, err := s.List(t.Context(), ""); err != nil || len(stats) > 0 {
				t.Errorf("it left %v, %v", stats, err)
			}
		})
	}
}

// A publication that was killed before its manifest is finished by the same
// bytes, and holds its name against others.
func TestPublishFinishesHalfAPublication(t *testing.T) {
	s, b := buildtest.Published(t, artifacttest.Tree{"index.php": "x"})
	artifacttest.Must(t, s.Delete(t.Context(), "releases/v1/manifest.json", artifact.Condition{}))
	other := buildtest.Build(t, build.Options{Tree: artifacttest.Tree{"index.php": "y"}.Write(t, t.TempDir())})
	_, err := build.Publish(t.Context(), s, other.Dir, nil)
	var taken *artifact.VersionTaken
	if !errors.As(err, &taken) || taken.Have != "" || !strings.Contains(taken.Hint(), "releases/v1/wordpress.tar.zst") {
		t.Errorf("got %v", err)
	}
	p, err := build.Publish(t.Context(), s, b.Dir, nil)
	artifacttest.Must(t, err)
	if !p.Created {
		t.Error("the publication was not finished")
	}
}

// Of many who publish different trees under one name, one wins.
func TestPublishersRace(t *testing.T) {
	s := buildtest.Store(t, t.TempDir())
	var builds []build.Built
	for i := range 6 {
		builds = append(builds, buildtest.Build(t, build.Options{Tree: artifacttest.Tree{"index.php": strings.Repeat("x", i)}.Write(t, t.TempDir())}))
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var won []artifact.Digest
	for _, b := range builds {
		wg.Go(func() {
			p, err := build.Publish(t.Context(), s, b.Dir, nil)
			var taken *artifact.VersionTaken
			switch {
			case err == nil:
				mu.Lock()
				won = append(won, p.Digest)
				mu.Unlock()
			case !errors.As(err, &taken):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(won) != 1 {
		t.Fatalf("%d won", len(won))
	}
	_, err := fetch.Verify(t.Context(), s, "v1", won[0])
	artifacttest.Must(t, err)
}
