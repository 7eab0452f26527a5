package doctest

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	mdCode    = regexp.MustCompile("(?ms)^```.*?^```|`[^`]*`")
	mdLink    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	mdHeading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	mdAnchor  = regexp.MustCompile(`<a id="([^"]+)">`)
)

// anchors are the places in a document that links can lead to, named as GitHub
// names them.
func anchors(text string) []string {
	var all []string
	for _, m := range mdHeading.FindAllStringSubmatch(text, -1) {
		heading := strings.ToLower(strings.ReplaceAll(m[1], " ", "-"))
		all = append(all, regexp.MustCompile(`[^\p{L}\p{N}_-]`).ReplaceAllString(heading, ""))
	}
	for _, m := range mdAnchor.FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	return all
}

// deadLinks are those of a document that lead to no file or heading of the
// repository. Links to elsewhere are not followed.
func deadLinks(name, text string) (faults []string) {
	for _, m := range mdLink.FindAllStringSubmatch(mdCode.ReplaceAllString(text, "`code`"), -1) {
		target, anchor, _ := strings.Cut(m[1], "#")
		if strings.Contains(target, "://") {
			continue
		}
		path := name
		if target != "" {
			path = filepath.Join(filepath.Dir(name), target)
		}
		if _, err := os.Stat(path); err != nil {
			faults = append(faults, fmt.Sprintf("%s: no %s", name, m[1]))
			continue
		}
		if anchor == "" {
			continue
		}
		there, err := os.ReadFile(path)
		if err != nil || !slices.Contains(anchors(string(there)), anchor) {
			faults = append(faults, fmt.Sprintf("%s: %s has no heading #%s", name, target, anchor))
		}
	}
	return faults
}

func documents(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".md") {
			return nil
		}
		text, err := os.ReadFile(path)
		all[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestLinksLeadSomewhere(t *testing.T) {
	for name, text := range documents(t) {
		for _, f := range deadLinks(name, text) {
			t.Error(f)
		}
	}
	const wrong = "[a](no.md) [b](decisions/README.md#no) [c](#no) [d](https://example.com/no) `[e](no.md)`"
	if faults := deadLinks(root+"/docs/README.md", wrong); len(faults) != 3 {
		t.Errorf("faults %q, want three", faults)
	}
}

// The index of documents names each of them.
func TestIndexOfDocuments(t *testing.T) {
	all := documents(t)
	index := all[root+"/docs/README.md"]
	for name := range all {
		if filepath.Dir(name) == root+"/docs" && filepath.Base(name) != "README.md" && !strings.Contains(index, "("+filepath.Base(name)+")") {
			t.Errorf("docs/README.md does not name %s", name)
		}
	}
}
