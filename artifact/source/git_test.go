package source

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	git "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/wpbake/wpbake/internal/tier"
)

// revisionOf commits a tree of raw entries, which no git program would take.
func revisionOf(t *testing.T, entries ...object.TreeEntry) (spec string) {
	t.Helper()
	dir := t.TempDir()
	repo, err := git.PlainInit(dir, false)
	must(err)
	hash := plumbing.ZeroHash
	save := func(o interface {
		Encode(plumbing.EncodedObject) error
	}) {
		raw := repo.Storer.NewEncodedObject()
		must(o.Encode(raw))
		hash, err = repo.Storer.SetEncodedObject(raw)
		must(err)
	}
	who := object.Signature{Name: "t", Email: "t@example.com", When: time.Unix(1e9, 0)}
	for i, e := range entries {
		if content := e.Hash; content == plumbing.ZeroHash {
			entries[i].Hash = blobOf(repo, "<?php\n")
		}
	}
	save(&object.Tree{Entries: entries})
	save(&object.Commit{Author: who, Committer: who, Message: "m", TreeHash: hash})
	must(repo.Storer.SetReference(plumbing.NewHashReference("refs/heads/master", hash)))
	return "git:" + dir + "@master"
}

func blobOf(repo *git.Repository, content string) plumbing.Hash {
	raw := repo.Storer.NewEncodedObject()
	raw.SetType(plumbing.BlobObject)
	w, err := raw.Writer()
	must(err)
	_, err = w.Write([]byte(content))
	must(err)
	must(w.Close())
	hash, err := repo.Storer.SetEncodedObject(raw)
	must(err)
	return hash
}

// committed commits a file in a new repository.
func committed(t *testing.T, name, content string, mode filemode.FileMode) (spec string) {
	t.Helper()
	spec = revisionOf(t)
	dir, _, err := splitRevision(strings.TrimPrefix(spec, gitPrefix))
	must(err)
	repo, err := git.PlainOpen(dir)
	must(err)
	hash := blobOf(repo, content)
	tree := repo.Storer.NewEncodedObject()
	must((&object.Tree{Entries: []object.TreeEntry{{Name: name, Mode: mode, Hash: hash}}}).Encode(tree))
	top, err := repo.Storer.SetEncodedObject(tree)
	must(err)
	raw := repo.Storer.NewEncodedObject()
	must((&object.Commit{Message: "m", TreeHash: top}).Encode(raw))
	commit, err := repo.Storer.SetEncodedObject(raw)
	must(err)
	must(repo.Storer.SetReference(plumbing.NewHashReference("refs/heads/master", commit)))
	return spec
}

func TestHostileRevisions(t *testing.T) {
	file := func(name string) object.TreeEntry { return object.TreeEntry{Name: name, Mode: filemode.Regular} }
	for name, tt := range map[string]struct{ rule, spec string }{
		"submodule":          {RuleSubmodule, revisionOf(t, object.TreeEntry{Name: "sub", Mode: filemode.Submodule, Hash: plumbing.NewHash(strings.Repeat("a", 40))})},
		"pointer to a file":  {RuleLFS, committed(t, "a.jpg", lfsHeading+"v1\noid sha256:00\nsize 1\n", filemode.Regular)},
		"absolute link":      {RuleLink, committed(t, "l", "/etc/passwd", filemode.Symlink)},
		"escaping link":      {RuleLink, committed(t, "l", "../x", filemode.Symlink)},
		"name with a slash":  {RulePath, revisionOf(t, file("a/b"))},
		"name that leads up": {RulePath, revisionOf(t, file(".."))},
		"backslash":          {RulePath, revisionOf(t, file(`a\b`))},
		"one name twice":     {RuleDuplicate, revisionOf(t, file("a"), file("a"))},
		"missing object":     {RuleDamaged, revisionOf(t, object.TreeEntry{Name: "a", Mode: filemode.Regular, Hash: plumbing.NewHash(strings.Repeat("a", 40))})},
		"no such revision":   {RuleRevision, strings.TrimSuffix(revisionOf(t, file("a")), "master") + "v9"},
		"no repository":      {RuleRevision, "git:" + t.TempDir() + "@HEAD"},
		"no revision":        {RuleFormat, "git:" + t.TempDir()},
		"empty revision":     {RuleFormat, "git:.@"},
		"empty tree":         {RuleFormat, revisionOf(t)},
	} {
		t.Run(name, func(t *testing.T) {
			b := newSandbox(t)
			t.Setenv("TMPDIR", b.tmp)
			_, _, err := Open(t.Context(), tt.spec)
			var refused *Refused
			if !errors.As(err, &refused) || refused.Rule != tt.rule || refused.Hint() == "" {
				t.Errorf("got %v, want %s", err, tt.rule)
			}
			b.check(t)
		})
	}
}

// A repository whose object was altered on disk is noticed.
func TestAlteredObject(t *testing.T) {
	spec := committed(t, "a", "honest content\n", filemode.Regular)
	dir, _, err := splitRevision(strings.TrimPrefix(spec, gitPrefix))
	must(err)
	repo, err := git.PlainOpen(dir)
	must(err)
	honest, evil := objectFile(dir, blobOf(repo, "honest content\n")), objectFile(dir, blobOf(repo, "altered content"))
	must(os.Chmod(honest, 0o644))
	content, err := os.ReadFile(evil)
	must(err)
	must(os.WriteFile(honest, content, 0o644))
	_, _, err = Open(t.Context(), spec)
	var refused *Refused
	if !errors.As(err, &refused) || refused.Rule != RuleDamaged {
		t.Errorf("got %v", err)
	}
}

func objectFile(dir string, h plumbing.Hash) string {
	return filepath.Join(dir, ".git", "objects", h.String()[:2], h.String()[2:])
}

// The git program's own repositories are read: packed, with a worktree, by
// tags and by names such as HEAD~1.
func TestProgramsRepositories(t *testing.T) {
	program := tier.Program(t, "git")
	dir := filepath.Join(t.TempDir(), "a@b")
	must(os.Mkdir(dir, 0o755))
	run := func(args ...string) {
		cmd := exec.CommandContext(t.Context(), program, append([]string{"-C", dir, "-c", "user.name=t", "-c", "user.email=t@example.com"}, args...)...)
		cmd.Env = []string{"HOME=" + t.TempDir(), "GIT_CONFIG_NOSYSTEM=1"}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	run("init", "-q", "-b", "main")
	for _, content := range []string{"one", "two", "three"} {
		must(os.WriteFile(filepath.Join(dir, "f"), []byte(content), 0o644))
		run("add", ".")
		run("commit", "-q", "-m", content)
		run("tag", "-a", "-m", content, "v-"+content)
	}
	run("gc", "-q")
	run("worktree", "add", "-q", filepath.Join(filepath.Dir(dir), "w"), "v-two")
	for revision, want := range map[string]string{"main": "three", "HEAD~1": "two", "v-one": "one", "refs/tags/v-two": "two"} {
		if got := fileAt(t, "git:"+dir+"@"+revision); got != want {
			t.Errorf("%s: got %q, want %q", revision, got, want)
		}
	}
	if got := fileAt(t, "git:"+filepath.Join(filepath.Dir(dir), "w")+"@HEAD"); got != "two" {
		t.Errorf("worktree: got %q", got)
	}
}

func fileAt(t *testing.T, spec string) string {
	t.Helper()
	dir, cleanup, err := Open(t.Context(), spec)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer cleanup()
	b, err := os.ReadFile(filepath.Join(dir, "f"))
	must(err)
	return string(b)
}

func TestSplitRevision(t *testing.T) {
	for spec, want := range map[string][2]string{
		".@HEAD": {".", "HEAD"}, "a@b@v1": {"a@b", "v1"}, ".@HEAD@{1}": {".", "HEAD@{1}"}, ".@{1}": {}, "@HEAD": {}, ".": {}, "": {}, ".@": {},
	} {
		dir, revision, err := splitRevision(spec)
		if got := [2]string{dir, revision}; got != want || (err != nil) != (want == [2]string{}) {
			t.Errorf("%q: got %v, %v", spec, got, err)
		}
	}
}

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	text, archive := filepath.Join(dir, "text"), filepath.Join(dir, "archive")
	must(os.WriteFile(text, []byte("x"), 0o644))
	must(os.WriteFile(archive, zipOf(str("a")), 0o644))
	for _, good := range []string{dir, archive, "git:" + dir + "@HEAD"} {
		if err := Check(good); err != nil {
			t.Error(err)
		}
	}
	for _, absent := range []string{dir + "/none", "git:" + dir + "/none@HEAD"} {
		if err := Check(absent); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", absent, err)
		}
	}
	for _, bad := range []string{text, "/dev/null", "git:" + dir} {
		if refused := (*Refused)(nil); !errors.As(Check(bad), &refused) || refused.Rule != RuleFormat {
			t.Errorf("%s: %v", bad, Check(bad))
		}
	}
}
