package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/bake"
	"github.com/wpbake/wpbake/internal/cli"
	"github.com/wpbake/wpbake/wordpress"
	"github.com/wpbake/wpbake/wordpress/rules"
)

func testReport() examined {
	var e examined
	for i := range shownPlaces + 2 {
		e.Findings = append(e.Findings, rules.Finding{ID: "T07", Severity: rules.Block, Path: fmt.Sprintf("%02d.sql", i), Message: "a dump", Why: "w", Fix: "f"})
	}
	e.Findings = append(e.Findings, rules.Finding{ID: "C01", Severity: rules.Warn, Path: "wp-config.php", Line: 3, Message: "<m>, or:\nnot", Why: "w2", Fix: "f2"})
	e.Waived = []rules.Finding{{ID: "T06", Path: ".git", Message: "m", Waived: "because"}}
	e.Unused = []rules.Waiver{{ID: "T01", Path: "gone"}}
	e.Files, e.Bytes, e.Took, e.Parsing = 7, 2048, 3*time.Second, time.Second
	e.Unasked = "there is no php here"
	return e
}

// The reason and the remedy of a rule stand once, whatever it found.
func TestEmitText(t *testing.T) {
	out, got := recorder()
	if err := emitReport(out, checkOptions{tree: "site", format: formatText}, testReport()); err != nil {
		t.Fatal(err)
	}
	titles := map[string]string{}
	for _, r := range rules.Catalogue() {
		titles[r.ID] = r.Title
	}
	var places strings.Builder
	for i := range shownPlaces {
		fmt.Fprintf(&places, "  %02d.sql: a dump\n", i)
	}
	want := "BLOCK T07 " + titles["T07"] + "\n" + places.String() + `  and 2 more; --format json lists all
  why: w
  fix: f
WARN C01 ` + titles["C01"] + `
  wp-config.php:3: <m>, or:\nnot
  why: w2
  fix: f2
waived T06 .git: m (because)
12 block, 0 repaired, 1 to look at, 0 to know, 1 waived: 7 files, 2.0 KiB, in 2.00s; no PHP was parsed: there is no php here
`
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("text (-want +got):\n%s", diff)
	}
}

func TestEmitJSON(t *testing.T) {
	out, got := recorder()
	out.JSON = true
	if err := emitReport(out, checkOptions{tree: "site", format: formatText}, examined{}); err != nil {
		t.Fatal(err)
	}
	want := `{"tree":"site","blocked":false,"findings":[],"waived":[],"files":0,"bytes":0,"seconds":0,"parsed":0,"parsing_seconds":0}` + "\n"
	if got.String() != want {
		t.Errorf("an empty report is %s", got.String())
	}
	got.Reset()
	e := testReport()
	e.Site = &wordpress.Site{WordPress: artifact.WordPress{Core: "6.8.3", Layout: "plain"}}
	if err := emitReport(out, checkOptions{tree: "site", format: formatJSON}, e); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"blocked":true`, `"message":"<m>, or:\nnot"`, `"wordpress":{"core":"6.8.3","layout":"plain"}`, `"seconds":2,`, `"parsing_seconds":1}`} {
		if !strings.Contains(got.String(), want) {
			t.Errorf("no %s in %s", want, got.String())
		}
	}
}

// Only a tree that is a directory has paths that a reader of the log can open.
func TestEmitGitHub(t *testing.T) {
	archive := filepath.Join(t.TempDir(), "site.zip")
	if err := os.WriteFile(archive, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for tree, want := range map[string]string{"site": "site/wp-config.php", "git:.@HEAD": "wp-config.php", archive: "wp-config.php"} {
		out, got := recorder()
		if err := emitReport(out, checkOptions{tree: tree, format: formatGitHub}, testReport()); err != nil {
			t.Fatal(err)
		}
		if line := "::warning file=" + want + ",line=3,title=wpbake C01::<m>, or:%0Anot. w2 f2\n"; !strings.HasSuffix(got.String(), line) {
			t.Errorf("%s ends with %q, want %q", tree, got.String()[max(0, got.Len()-len(line)):], line)
		}
	}
}

// Who builds hears of what blocks; of the rest only how much there is.
func TestNoteReport(t *testing.T) {
	blocked := testReport().Report.Report
	passed := blocked
	passed.Findings = passed.Findings[len(passed.Findings)-1:]
	for name, tt := range map[string]struct {
		report rules.Report
		lines  int
		last   string
	}{
		"blocked": {blocked, shownPlaces + 2, "blocked: T07 11.sql: a dump\n"},
		"passed":  {passed, 2, "check: 1 to look at, 1 waived; wpbake check site shows them\nthe waiver of T01 at gone meets no finding: remove it\n"},
		"clean":   {rules.Report{}, 0, ""},
	} {
		var errs strings.Builder
		noteReport(&cli.Output{Stderr: &errs}, "site", tt.report)
		if got := errs.String(); strings.Count(got, "\n") != tt.lines || !strings.HasSuffix(got, tt.last) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestReadFacts(t *testing.T) {
	name := filepath.Join(t.TempDir(), "facts.json")
	if facts, err := readFacts(""); facts != nil || err != nil {
		t.Errorf("none: %v, %v", facts, err)
	}
	for text, good := range map[string]bool{"{}": true, `{"unknown":1}`: false, "[]": false} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := readFacts(name); (err == nil) != good || err != nil && cli.ExitCode(err) != cli.ExitUsage {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := readFacts(name + "x"); cli.ExitCode(err) != cli.ExitUsage {
		t.Errorf("a file that is not there: %v", err)
	}
}

func TestBuildObserver(t *testing.T) {
	var errs strings.Builder
	b := builder{out: &cli.Output{Stderr: &errs, Now: time.Now}}
	told := b.observer("site")
	told.Carried(wordpress.Carried{From: "v1"})
	told.Checked(bake.Report{})
	told.forgot(nil)
	if errs.Len() > 0 {
		t.Errorf("said %q of nothing", errs.String())
	}
	told.forgot(os.ErrPermission)
	if got, want := errs.String(), "the next build will be slow: permission denied\n"; got != want {
		t.Errorf("said %q, want %q", got, want)
	}
	if got, want := (carriedView{From: "v1", Files: 2, Bytes: 2048}).String(), "carried over: 2 files, 2.0 KiB, from v1"; got != want {
		t.Errorf("carried %q, want %q", got, want)
	}
}

// A version that is not published yet is read from where it was built, all
// others from the store.
func TestOverlayStore(t *testing.T) {
	s := overlayStore{Store: named{name: "published"}, version: "v2", other: named{name: "built"}}
	for object, want := range map[string]string{
		artifact.ReleasePrefix("v2") + "manifest.json": "built",
		artifact.ReleasePrefix("v1") + "manifest.json": "published",
		artifact.ReleasePrefix("v22") + "sbom":         "published",
		"rollouts/shop/lock.json":                      "published",
	} {
		if _, err := s.Get(t.Context(), object, 0, -1); err == nil || err.Error() != want {
			t.Errorf("%s is read from %v, want %s", object, err, want)
		}
	}
}

// named is a store that says which it is.
type named struct {
	artifact.Store
	name string
}

func (n named) Get(context.Context, string, int64, int64) (*artifact.Object, error) {
	return nil, errors.New(n.name)
}

func TestParseOnBusy(t *testing.T) {
	for word, good := range map[string]bool{"fail": true, "wait": true, "supersede": true, "": false, "Fail": false} {
		if _, err := parseOnBusy(word); (err == nil) != good {
			t.Errorf("%q: %v", word, err)
		}
	}
}
