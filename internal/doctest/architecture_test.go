package doctest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const architecture = root + "/docs/architecture.md"

// Limits of the two ways: so many files a reader follows at most.
const (
	treeFiles    = 12
	versionFiles = 14
	questions    = 20
)

// place is a file of the repository and what the document says is declared in
// it: names, or Type.Method.
type place struct {
	file    string
	symbols []string
}

var (
	placeLink = regexp.MustCompile("\\[`([^`]+)`\\]\\(\\.\\./([^)]+)\\)")
	symbol    = regexp.MustCompile("`([A-Za-z_][A-Za-z0-9_]*(?:\\.[A-Za-z_][A-Za-z0-9_]*)?)`")
)

// section is the text below a heading of the second level.
func section(t *testing.T, text, heading string) string {
	t.Helper()
	_, rest, ok := strings.Cut(text, "\n## "+heading+"\n")
	if !ok {
		t.Fatalf("%s has no section %q", architecture, heading)
	}
	body, _, _ := strings.Cut(rest, "\n## ")
	return body
}

// steps are the places of a numbered list, one an item.
func steps(text string) (all []place, faults []string) {
	item := regexp.MustCompile(`(?m)^\d+\. `)
	for _, line := range item.Split(text, -1)[1:] {
		p, err := parsePlace(line)
		if err != nil {
			faults = append(faults, err.Error())
			continue
		}
		all = append(all, p)
	}
	return all, faults
}

// answers are the places of the table's rows, one a row.
func answers(text string) (all []place, faults []string) {
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| where is … |") || strings.HasPrefix(line, "| ---") {
			continue
		}
		p, err := parsePlace(line)
		if err != nil {
			faults = append(faults, err.Error())
			continue
		}
		all = append(all, p)
	}
	return all, faults
}

// parsePlace takes the first file that a text links to and the symbols right
// behind it.
func parsePlace(text string) (place, error) {
	link := placeLink.FindStringSubmatchIndex(text)
	if link == nil {
		return place{}, fmt.Errorf("no file in %q", text)
	}
	name, target := text[link[2]:link[3]], text[link[4]:link[5]]
	if name != target {
		return place{}, fmt.Errorf("%q leads to %q", name, target)
	}
	p := place{file: target}
	// Symbols stand before the sentence that explains them.
	behind, _, _ := strings.Cut(text[link[1]:], ":")
	for _, s := range symbol.FindAllStringSubmatch(behind, -1) {
		p.symbols = append(p.symbols, s[1])
	}
	if strings.HasSuffix(target, ".go") && len(p.symbols) == 0 {
		return place{}, fmt.Errorf("%q: no symbol behind %s", text, target)
	}
	return p, nil
}

// faults says which of a place's file and symbols are not there.
func (p place) faults() (faults []string) {
	name := filepath.Join(root, p.file)
	if !strings.HasSuffix(p.file, ".go") {
		text, err := os.ReadFile(name)
		if err != nil {
			return []string{err.Error()}
		}
		for _, s := range p.symbols {
			if !strings.Contains(string(text), s) {
				faults = append(faults, fmt.Sprintf("%s says nothing of %s", p.file, s))
			}
		}
		return faults
	}
	f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
	if err != nil {
		return []string{err.Error()}
	}
	have := declared(f)
	for _, s := range p.symbols {
		if !have[s] {
			faults = append(faults, fmt.Sprintf("%s does not declare %s", p.file, s))
		}
	}
	return faults
}

// declared are a file's own names: functions, types, methods as Type.Method,
// variables and constants.
func declared(f *ast.File) map[string]bool {
	names := map[string]bool{}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			name := d.Name.Name
			if d.Recv != nil {
				name = receiver(d.Recv.List[0].Type) + "." + name
			}
			names[name] = true
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					names[spec.Name.Name] = true
				case *ast.ValueSpec:
					for _, n := range spec.Names {
						names[n.Name] = true
					}
				}
			}
		}
	}
	return names
}

func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

// wayFaults wants at most so many files, and none that a reader comes back to.
func wayFaults(way []place, limit int) (faults []string) {
	seen := map[string]int{}
	for i, p := range way {
		if before, ok := seen[p.file]; ok && before != i-1 {
			faults = append(faults, fmt.Sprintf("step %d goes back to %s", i+1, p.file))
		}
		seen[p.file] = i
	}
	if len(seen) > limit || len(seen) == 0 {
		faults = append(faults, fmt.Sprintf("%d files, want %d at most", len(seen), limit))
	}
	return faults
}

func readArchitecture(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(architecture)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestWhereIs(t *testing.T) {
	rows, faults := answers(section(t, readArchitecture(t), "Where is …?"))
	if len(rows) != questions {
		faults = append(faults, fmt.Sprintf("%d rows, want %d", len(rows), questions))
	}
	for _, p := range rows {
		faults = append(faults, p.faults()...)
	}
	for _, f := range faults {
		t.Error(f)
	}
}

func TestWays(t *testing.T) {
	text := readArchitecture(t)
	for heading, limit := range map[string]int{"The way of a tree": treeFiles, "The way of a version": versionFiles} {
		way, faults := steps(section(t, text, heading))
		faults = append(faults, wayFaults(way, limit)...)
		for _, p := range way {
			faults = append(faults, p.faults()...)
		}
		for _, f := range faults {
			t.Errorf("%s: %s", heading, f)
		}
	}
}

// Every folder with code stands in the table of folders, or below one that
// does; every folder of the table is there.
func TestFolders(t *testing.T) {
	text := section(t, readArchitecture(t), "The folders")
	var named []string
	for line := range strings.Lines(text) {
		cells := strings.Split(line, "|")
		if len(cells) < 3 {
			continue
		}
		for _, name := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[1], -1) {
			named = append(named, name[1])
			if info, err := os.Stat(filepath.Join(root, name[1])); err != nil || !info.IsDir() {
				t.Errorf("folder %s: %v", name[1], err)
			}
		}
	}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") {
			return nil
		}
		folder, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		for _, n := range named {
			if folder == n || strings.HasPrefix(folder, n+"/") {
				return nil
			}
		}
		t.Errorf("%s stands in no row", folder)
		return filepath.SkipDir
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestPlacesAreLookedFor(t *testing.T) {
	const here = "internal/doctest/architecture_test.go"
	good := "[`" + here + "`](../" + here + ") `place`, `place.faults`: what `Nobody` reads"
	p, err := parsePlace(good)
	if err != nil || len(p.symbols) != 2 || len(p.faults()) > 0 {
		t.Fatalf("%+v, %v, %q", p, err, p.faults())
	}
	for _, missing := range []place{{file: "no.go", symbols: []string{"x"}}, {file: here, symbols: []string{"nobody"}}, {file: here, symbols: []string{"place.nobody"}}} {
		if len(missing.faults()) != 1 {
			t.Errorf("%+v is found", missing)
		}
	}
	for _, text := range []string{"none", "[`a.go`](../b.go) `x`", "[`a.go`](../a.go): no symbol"} {
		if _, err := parsePlace(text); err == nil {
			t.Errorf("%q is a place", text)
		}
	}
	a, b := place{file: "a"}, place{file: "b"}
	if f := wayFaults([]place{a, a, b}, 2); len(f) > 0 {
		t.Errorf("%q", f)
	}
	if f := wayFaults([]place{a, b, a}, 1); len(f) != 2 {
		t.Errorf("%q", f)
	}
}
