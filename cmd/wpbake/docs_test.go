package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// example is a block of a document that a story runs: commands, and what they
// answer.
type example struct {
	name  string
	lines []string
}

var exampleBlock = regexp.MustCompile("(?s)<!-- story: ([a-z-]+) -->\n```console\n(.*?)```\n")

func readExamples(text []byte) []example {
	var all []example
	for _, m := range exampleBlock.FindAllSubmatch(text, -1) {
		all = append(all, example{string(m[1]), strings.Split(strings.TrimSpace(string(m[2])), "\n")})
	}
	return all
}

// scriptShown runs the commands of one example of a document in docs, and wants
// the lines that the document shows, in their order; "…" stands for anything,
// and other lines may stand between them. Without a name it wants that all of
// the document's examples have been run: shown FILE [NAME]
func scriptShown(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: shown FILE [NAME]")
	}
	text, err := os.ReadFile(filepath.Join(ts.Getenv("DOCS"), args[0]))
	ts.Check(err)
	examples, ran := readExamples(text), filepath.Join(ts.MkAbs("."), ".ran-"+args[0])
	done, err := os.ReadFile(ran)
	if err != nil && !os.IsNotExist(err) {
		ts.Check(err)
	}
	if len(args) == 1 {
		for _, e := range examples {
			if !strings.Contains(string(done), e.name+"\n") {
				ts.Fatalf("%s: example %q was not run", args[0], e.name)
			}
		}
		return
	}
	i := slices.IndexFunc(examples, func(e example) bool { return e.name == args[1] })
	if i < 0 {
		ts.Fatalf("%s has no example %q", args[0], args[1])
	}
	answer := ""
	for _, line := range examples[i].lines {
		if command, ok := strings.CutPrefix(line, "$ "); ok {
			ts.Check(ts.Exec("sh", "-c", command))
			answer = ts.ReadFile("stdout") + ts.ReadFile("stderr")
			continue
		}
		at := shownLine(line).FindStringIndex(answer)
		if at == nil {
			ts.Fatalf("%s, %s: no line %q in what is left of the answer:\n%s", args[0], args[1], line, answer)
		}
		answer = answer[at[1]:]
	}
	ts.Check(os.WriteFile(ran, append(done, args[1]+"\n"...), 0o600))
}

// shownLine matches a whole line of an answer.
func shownLine(line string) *regexp.Regexp {
	var pattern strings.Builder
	for i, part := range strings.Split(line, "…") {
		if i > 0 {
			pattern.WriteString(`.*`)
		}
		words := strings.Fields(part)
		for j, w := range words {
			words[j] = regexp.QuoteMeta(w)
		}
		p := strings.Join(words, `\s+`)
		if i > 0 && strings.HasPrefix(part, " ") && p != "" {
			p = `\s*` + p
		}
		pattern.WriteString(p)
	}
	return regexp.MustCompile(`(?m)^\s*` + pattern.String() + `\s*$`)
}

func TestShownLine(t *testing.T) {
	const answer = "saved     v1 477c, template lt-1:2\nproof     every node proven\n"
	for line, want := range map[string]bool{
		"saved v1 …, template lt-…": true, "proof every node proven": true, "…proven": true,
		"proof every node": false, "saved v1 …, template 2": false, "saved v1": false,
	} {
		if got := shownLine(line).MatchString(answer); got != want {
			t.Errorf("%q: %v", line, got)
		}
	}
}

// used is a command that a document names, with the flags that it gives it.
type used struct {
	file, text string
	words      []string
}

var (
	fenced = regexp.MustCompile("(?ms)^```.*?^```")
	inline = regexp.MustCompile("`(wpbake [^`]+)`")
)

// usedIn finds the wpbake commands in a document's code.
func usedIn(file, text string) []used {
	var all []used
	add := func(line string) {
		line, _, _ = strings.Cut(line, " #")
		for _, end := range []string{" ||", " &&", " |", " >", ";", ")"} {
			line, _, _ = strings.Cut(line, end)
		}
		words := strings.Fields(line)
		if len(words) > 1 {
			all = append(all, used{file, line, words[1:]})
		}
	}
	for _, block := range fenced.FindAllString(text, -1) {
		block = strings.ReplaceAll(block, "\\\n", " ")
		for line := range strings.Lines(block) {
			line = strings.TrimPrefix(strings.TrimSpace(line), "$ ")
			if rest, ok := strings.CutPrefix(line, `eval "$(`); ok {
				line = rest
			}
			if strings.HasPrefix(line, "wpbake ") && !strings.HasPrefix(line, "wpbake: ") {
				add(line)
			}
		}
	}
	for _, m := range inline.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
		add(strings.Join(strings.Fields(m[1]), " "))
	}
	return all
}

// fault says what the command line has no such command or flag for.
func (u used) fault(root *cobra.Command) error {
	cmd, rest, err := root.Find(u.words)
	if err != nil {
		return err
	}
	if cmd == root {
		return fmt.Errorf("no command %q", u.words[0])
	}
	for _, w := range rest {
		name, _, _ := strings.Cut(w, "=")
		long, ok := strings.CutPrefix(strings.TrimRight(name, ".,"), "--")
		if !ok || long == "" || long == "help" {
			continue
		}
		if flag := findFlag(cmd, long); flag == nil {
			return fmt.Errorf("%s has no flag --%s", cmd.CommandPath(), long)
		}
	}
	return nil
}

func findFlag(cmd *cobra.Command, name string) *pflag.Flag {
	if f := cmd.Flags().Lookup(name); f != nil {
		return f
	}
	return cmd.InheritedFlags().Lookup(name)
}

// Documents name no command and no flag that is not there.
func TestDocumentsNameWhatIsThere(t *testing.T) {
	root := newRootCommand(newEnv(process(), nil))
	names, err := filepath.Glob(filepath.Join("..", "..", "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	names = append(names, filepath.Join("..", "..", "README.md"), filepath.Join("..", "..", "packer", "README.md"))
	count := 0
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range usedIn(name, string(text)) {
			count++
			if err := u.fault(root); err != nil {
				t.Errorf("%s: %s: %v", u.file, u.text, err)
			}
		}
	}
	if count < 50 {
		t.Errorf("only %d commands were found", count)
	}
	for _, wrong := range []string{"`wpbake relaese v1`", "`wpbake release v1 --accept-doors`"} {
		for _, u := range usedIn("x", wrong) {
			if u.fault(root) == nil {
				t.Errorf("%s is there", wrong)
			}
		}
	}
}
