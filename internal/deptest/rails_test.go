package deptest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Rails of size, outside the local cloud: decision 0094. Code that nobody wrote, such as a
// generated table, counts towards none but that of files.
const (
	maxFiles     = 30  // of a package, without tests
	maxMethods   = 25  // of a type
	maxLines     = 500 // of a file
	maxFunction  = 60  // lines of a function
	usualLength  = 40  // lines that no more than one function in twenty exceeds
	exemptFolder = "internal/localcloud"
)

// beyond says why something may be larger than the rails allow. One that is not
// needed any more fails the test.
type beyond struct {
	What     string // as sizes names it
	Reason   string
	Decision string // number of the document in docs/decisions that says more
}

// There is none today.
func exceptions() []beyond { return nil }

// sizes are what rails are about.
type sizes struct {
	files     map[string]int             // by folder
	methods   map[string]map[string]bool // by folder.Type, their names: a method may be written once for each system
	lines     map[string]int             // by file
	functions map[string]int             // lines, by file:function
}

func measure(root string) (sizes, error) {
	s := sizes{map[string]int{}, map[string]map[string]bool{}, map[string]int{}, map[string]int{}}
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name == exemptFolder || d.Name() == "testdata" || name != "." && strings.HasPrefix(d.Name(), ".") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		return s.add(p, filepath.ToSlash(name))
	})
	return s, err
}

func (s sizes) add(file, name string) error {
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, file, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	folder, _, _ := cutLast(name, "/")
	s.files[folder]++
	if ast.IsGenerated(f) {
		return nil
	}
	s.lines[name] = set.Position(f.FileEnd).Line
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		lines := set.Position(fn.End()).Line - set.Position(fn.Pos()).Line + 1
		if fn.Recv == nil {
			s.functions[name+":"+fn.Name.Name] = lines
			continue
		}
		of := receiver(fn.Recv.List[0].Type)
		s.functions[name+":"+of+"."+fn.Name.Name] = lines
		of = folder + "." + of
		if s.methods[of] == nil {
			s.methods[of] = map[string]bool{}
		}
		s.methods[of][fn.Name.Name] = true
	}
	return nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return "", s, false
}

// receiver is the name of the type that a method is of.
func receiver(e ast.Expr) string {
	switch t := e.(type) {
	case *ast.StarExpr:
		return receiver(t.X)
	case *ast.IndexExpr:
		return receiver(t.X)
	case *ast.IndexListExpr:
		return receiver(t.X)
	case *ast.Ident:
		return t.Name
	}
	return "?"
}

// broken tells what is beyond its rail, each with its size and the rail.
func (s sizes) broken() map[string]string {
	found := map[string]string{}
	check := func(name string, size, most int) {
		if size > most {
			found[name] = fmt.Sprintf("%d, at most %d", size, most)
		}
	}
	for folder, n := range s.files {
		check(folder+": files", n, maxFiles)
	}
	for of, names := range s.methods {
		check(of+": methods", len(names), maxMethods)
	}
	for name, n := range s.lines {
		check(name+": lines", n, maxLines)
	}
	for name, n := range s.functions {
		check(name, n, maxFunction)
	}
	check("functions: 95th percentile", percentile95(slices.Collect(maps.Values(s.functions))), usualLength)
	return found
}

func percentile95(lengths []int) int {
	if len(lengths) == 0 {
		return 0
	}
	slices.Sort(lengths)
	return lengths[(len(lengths)*95+99)/100-1]
}

func TestRails(t *testing.T) {
	root := filepath.Join("..", "..")
	watch(t)
	s, err := measure(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d functions, 95th percentile %d lines", len(s.functions), percentile95(slices.Collect(maps.Values(s.functions))))
	found := s.broken()
	for _, e := range exceptions() {
		if _, ok := found[e.What]; !ok {
			t.Errorf("%s is within the rails: take its exception away", e.What)
		}
		delete(found, e.What)
		if e.Reason == "" {
			t.Errorf("%s: an exception without a reason", e.What)
		}
		if documents, _ := filepath.Glob(filepath.Join(root, "docs", "decisions", e.Decision+"-*.md")); len(documents) != 1 {
			t.Errorf("%s: there is no decision %s", e.What, e.Decision)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		t.Errorf("%s: %s; divide it by noun, or name the reason in a decision and in exceptions", name, found[name])
	}
}

// What is beyond a rail is found, what is just within is not.
func TestRailsAreFound(t *testing.T) {
	s := sizes{
		files:     map[string]int{"a": maxFiles + 1, "b": maxFiles},
		methods:   map[string]map[string]bool{"a.T": {}, "b.T": {}},
		lines:     map[string]int{"a/x.go": maxLines + 1, "b/x.go": maxLines},
		functions: map[string]int{"a/x.go:F": maxFunction + 1, "b/x.go:F": maxFunction},
	}
	for i := range maxMethods + 1 {
		s.methods["a.T"][fmt.Sprint(i)] = true
		s.methods["b.T"][fmt.Sprint(min(i, maxMethods-1))] = true
	}
	want := []string{"a.T: methods", "a/x.go: lines", "a/x.go:F", "a: files", "functions: 95th percentile"}
	if got := slices.Sorted(maps.Keys(s.broken())); !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
	for lengths, want := range map[string]int{"": 0, "x": 1, strings.Repeat("x", 100): 95} {
		var all []int
		for i := range lengths {
			all = append(all, i+1)
		}
		if got := percentile95(all); got != want {
			t.Errorf("of %d the 95th percentile is %d, want %d", len(all), got, want)
		}
	}
}
