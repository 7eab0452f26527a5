package cli

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestPrintable(t *testing.T) {
	long := strings.Repeat("x", MaxLine)
	for _, tt := range []struct{ name, in, want string }{
		{"letters of all people", "plain – ünï 日本 👍", "plain – ünï 日本 👍"},
		{"a terminal's command", "a\x1b[2Jb", `a\x1b[2Jb`},
		{"delete", "a\x7fb", `a\x7fb`},
		{"an 8-bit control", "c1 \u009b31m", `c1 \u009b31m`},
		{"two lines", "two\nlines\r\n", `two\nlines\x0d\n`},
		{"a tab", "tab\tbed", "tab bed"},
		{"not UTF-8", "a\xffb", `a\ufffdb`},
		{"text turned around", "\u202egpj.exe \u2066x\u2069", `\u202egpj.exe \u2066x\u2069`},
		{"no width", "a\u200bb\u200dc\ufeff\u2060\u00ad", `a\u200bb\u200dc\ufeff\u2060\u00ad`},
		{"shows nothing", "a\u034f\ufe0f\u3164\U000e0041", `a\u034f\ufe0f\u3164\U000e0041`},
		{"line separators", "a\u2028b\u2029c", `a\u2028b\u2029c`},
		{"a command of the runner", "##[error]gone", `##\[error]gone`},
		{"one further on", "node: ##[command]rm ##[group]", `node: ##\[command]rm ##\[group]`},
		{"after more signs", "###[x]", `###\[x]`},
		{"hidden in one", "#\u200b#[error]", `#\u200b#[error]`},
		{"a workflow command", "::error file=x::gone", `\::error file=x::gone`},
		{"after blanks", " \t\u00a0\u3000::set-env name=x::y", "  \u00a0\u3000" + `\::set-env name=x::y`},
		{"after nothing that shows", "\u200b::stop-commands::x", `\u200b::stop-commands::x`},
		{"further on it is none", "at X::y", "at X::y"},
		{"as long as may be", long, long},
		{"too long", long + "y", long[:MaxLine-3] + "…"},
		{"too long once escaped", strings.Repeat("\x01", MaxLine/2), strings.Repeat(`\x01`, MaxLine/4)[:MaxLine-3] + "…"},
		{"no half of a letter", long[:MaxLine-4] + "üüü", long[:MaxLine-4] + "…"},
	} {
		if got := Printable(tt.in); got != tt.want {
			t.Errorf("%s: Printable(%.80q) = %.80q, want %.80q", tt.name, tt.in, got, tt.want)
		}
	}
}

// obeyed reports whether GitHub's runner takes a line for a command.
func obeyed(line string) bool {
	bare := strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) {
			return -1
		}
		return r
	}, line)
	return strings.Contains(bare, "##[") || strings.HasPrefix(strings.TrimSpace(bare), "::")
}

func FuzzPrintable(f *testing.F) {
	for _, s := range []string{"a\x00\xff\u2028", "##[error]", "\n ::error::x", "#\u200b#[", "##\\[", strings.Repeat("ü", MaxLine)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := Printable(s)
		if !utf8.ValidString(got) || len(got) > MaxLine || strings.ContainsFunc(got, steers) || obeyed(got) {
			t.Errorf("%q becomes %q", s, got)
		}
		if again := Printable(got); again != got {
			t.Errorf("%q becomes %q the second time", got, again)
		}
	})
}

// What a program reads is what was written, and nothing on the way obeys it.
func FuzzWriteJSON(f *testing.F) {
	for _, s := range []string{"##[error]", "\u202e\U000e0041\ufe0f", "a\x00\x7f\u009b\n", `\u0000##\[`, "<&>\u2028"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		s = strings.ToValidUTF8(s, "")
		for _, indent := range []string{"", "  "} {
			var out strings.Builder
			if err := WriteJSON(&out, map[string]string{s: s}, indent); err != nil {
				t.Fatal(err)
			}
			var back map[string]string
			if err := json.Unmarshal([]byte(out.String()), &back); err != nil || len(back) != 1 || back[s] != s {
				t.Fatalf("%q is read back as %q: %v", s, back, err)
			}
			for line := range strings.Lines(out.String()) {
				if obeyed(line) || strings.ContainsFunc(strings.TrimSuffix(line, "\n"), steersInJSON) {
					t.Errorf("%q is written as %q", s, out.String())
				}
			}
		}
	})
}

// Each way to say something, with a text that steers everything.
func TestEveryWayOutIsPrintable(t *testing.T) {
	const evil = "::error::x\n##[error]\x1b[2J\u202e"
	for name, say := range map[string]func(*Output){
		"Say":      func(o *Output) { o.Say("%s", evil) },
		"Note":     func(o *Output) { o.Note("%s", evil) },
		"NoteText": func(o *Output) { o.NoteText(evil) },
		"Ask":      func(o *Output) { o.Ask(evil) },
		"Table":    func(o *Output) { o.Table([][]string{{evil, evil}, {evil, evil}}) },
		"List":     func(o *Output) { o.List(List{{"", evil}, {evil, evil}}) },
		"End":      func(o *Output) { o.End(Hinted(errors.New(evil), evil), nil) },
		"Object":   func(o *Output) { o.JSON = true; o.Object(evil) },
		"Lines":    func(o *Output) { Lines(o.Stderr).Write([]byte(evil + "\n")) },
	} {
		var out, errs strings.Builder
		say(&Output{Stdout: &out, Stderr: &errs})
		text := out.String() + errs.String()
		if text == "" {
			t.Errorf("%s: nothing", name)
		}
		for line := range strings.Lines(text) {
			if obeyed(line) || strings.ContainsFunc(strings.TrimSuffix(line, "\n"), steers) {
				t.Errorf("%s: %q", name, line)
			}
		}
	}
}

func TestAnnotate(t *testing.T) {
	var out strings.Builder
	o := &Output{Stdout: &out}
	o.Annotate(Annotation{Level: "error", File: "a:b,c%\nd::error::", Line: 7, Title: "wpbake T05", Text: "50 %\n::warning::x ##[error]"})
	want := `::error file=a%3Ab%2Cc%25\nd%3A%3Aerror%3A%3A,line=7,title=wpbake T05::50 %25%0A\::warning::x ##\[error]` + "\n"
	if out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}

func TestLinesKeepNothingBack(t *testing.T) {
	var out strings.Builder
	w := Lines(&out)
	for _, part := range []string{"a", "\x1b", "b\n\nnext", " one\n" + strings.Repeat("x", 2*MaxLine), strings.Repeat("x", MaxLine) + "\nend\n"} {
		if n, err := w.Write([]byte(part)); n != len(part) || err != nil {
			t.Fatal(n, err)
		}
	}
	want := `a\x1bb` + "\n\nnext one\n" + strings.Repeat("x", MaxLine-3) + "…\nend\n"
	if out.String() != want {
		t.Errorf("%.60q of %d bytes", out.String(), out.Len())
	}
}

// Nothing is written for people but by the functions of this package that make
// it printable.
func TestNothingWritesAroundPrintable(t *testing.T) {
	writers := map[string]bool{"output.go": true, "table.go": true, "meter.go": true, "painter.go": true, "printable.go": true}
	found := 0
	for _, dir := range []string{".", "../../cmd/wpbake"} {
		err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, name), nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				if what := writesToStream(call); what != "" {
					found++
					if dir != "." || !writers[name] {
						t.Errorf("%s: %s is written to around Printable", filepath.Join(dir, name), what)
					}
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if found == 0 {
		t.Error("no writing was found at all")
	}
}

// writesToStream names the stream that a call prints to.
func writesToStream(call *ast.CallExpr) string {
	fun, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	pkg, _ := fun.X.(*ast.Ident)
	switch {
	case pkg != nil && pkg.Name == "fmt" && (fun.Sel.Name == "Print" || fun.Sel.Name == "Println" || fun.Sel.Name == "Printf"):
		return "stdout"
	case strings.HasPrefix(fun.Sel.Name, "Write") && stream(fun.X) != "":
		return stream(fun.X)
	case pkg != nil && (pkg.Name == "fmt" && strings.HasPrefix(fun.Sel.Name, "Fprint") || pkg.Name == "io" && fun.Sel.Name == "WriteString" ||
		pkg.Name == "json" && fun.Sel.Name == "NewEncoder" || pkg.Name == "slog" && strings.HasSuffix(fun.Sel.Name, "Handler")):
		return stream(call.Args[0])
	}
	return ""
}

func stream(x ast.Expr) string {
	if s, ok := x.(*ast.SelectorExpr); ok && (s.Sel.Name == "Stdout" || s.Sel.Name == "Stderr") {
		return s.Sel.Name
	}
	return ""
}
