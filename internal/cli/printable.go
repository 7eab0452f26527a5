package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// MaxLine is the longest line, in bytes, that Printable makes of a text.
const MaxLine = 8 << 10

// runnerPrefix begins a command anywhere in a line that GitHub's runner reads,
// and lineCommand one at a line's start, after white space.
const (
	runnerPrefix = "##["
	lineCommand  = "::"
)

// Printable makes a text one line that neither a terminal nor GitHub's runner
// obeys, and no longer than MaxLine: errors, log lines, names and reports carry
// text that others wrote. Controls, invalid UTF-8, and what reorders or hides
// text are written as escapes. Every line that wpbake writes for people goes
// through it.
//
// The runner's own reading is src/Runner.Common/ActionCommand.cs of
// actions/runner: "##[" is searched for in the whole line, "::" at its start
// without leading white space. It compares as a language does, which passes
// over characters that show nothing; those are escaped too.
func Printable(s string) string {
	s, cut := headTo(s, MaxLine) // no more can be shown
	if strings.IndexFunc(s, steers) >= 0 {
		s = escaped(s)
	}
	s = strings.ReplaceAll(s, runnerPrefix, `##\[`)
	if text := strings.TrimLeftFunc(s, unicode.IsSpace); strings.HasPrefix(text, lineCommand) {
		s = s[:len(s)-len(text)] + `\` + text
	}
	if cut || len(s) > MaxLine {
		s, _ = headTo(s, MaxLine-len(ellipsis))
		s += ellipsis
	}
	return s
}

const ellipsis = "…"

// headTo is the longest start of a text of at most n bytes that ends between
// two characters, and whether that is less than all.
func headTo(s string, n int) (string, bool) {
	if len(s) <= n {
		return s, false
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n], true
}

func escaped(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteByte(' ')
		case !steers(r):
			b.WriteRune(r)
		case r < 0x80:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r > 0xffff:
			fmt.Fprintf(&b, `\U%08x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// steers reports controls, invalid UTF-8, and the characters that reorder text
// or show nothing.
func steers(r rune) bool {
	if r < 0x7f {
		return r < ' '
	}
	return unicode.IsControl(r) || r == unicode.ReplacementChar ||
		unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// WriteJSON writes a value as one line, or indented. Its strings stay what they
// are to whoever parses them; what Printable would escape is written as JSON's
// own escapes, since logs of CI show JSON too.
func WriteJSON(w io.Writer, v any, indent string) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	if err := e.Encode(v); err != nil {
		return err
	}
	_, err := w.Write(harmlessJSON(b.Bytes()))
	return err
}

// harmlessJSON writes what steers a terminal or the runner, which valid JSON
// holds in strings only, as escapes.
func harmlessJSON(b []byte) []byte {
	b = bytes.ReplaceAll(b, []byte(runnerPrefix), []byte(`##\u005b`))
	if bytes.IndexFunc(b, steersInJSON) < 0 {
		return b
	}
	var out bytes.Buffer
	for _, r := range string(b) {
		switch {
		case !steersInJSON(r):
			out.WriteRune(r)
		case r > 0xffff:
			high, low := surrogates(r)
			fmt.Fprintf(&out, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
	}
	return out.Bytes()
}

// steersInJSON leaves the line ends and tabs that stand between values; within
// strings they are escaped already.
func steersInJSON(r rune) bool { return r >= 0x7f && r != unicode.ReplacementChar && steers(r) }

// surrogates is how JSON escapes what is beyond 16 bits.
func surrogates(r rune) (high, low rune) {
	r -= 0x10000
	return 0xd800 + r>>10, 0xdc00 + r&0x3ff
}

// Lines is a writer of whole lines for people, each of them Printable.
func Lines(w io.Writer) io.Writer { return &lineWriter{w: w} }

type lineWriter struct {
	w io.Writer

	mu   sync.Mutex
	rest []byte // of a line that has no end yet
}

func (l *lineWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, b...)
	for {
		line, rest, whole := bytes.Cut(l.rest, []byte("\n"))
		if !whole {
			if len(l.rest) > MaxLine { // no line is that long
				l.rest = l.rest[:MaxLine+1]
			}
			return len(b), nil
		}
		if _, err := fmt.Fprintln(l.w, Printable(string(line))); err != nil {
			return 0, err
		}
		l.rest = rest
	}
}

// Annotation is a remark that GitHub shows beside a line of a file.
type Annotation struct {
	Level string // error, warning or notice
	File  string
	Line  int // 0 is the whole file
	Title string
	Text  string
}

// Annotate writes a workflow command: the only lines of wpbake that GitHub's
// runner obeys. What it says about others' files is escaped as the runner reads
// it back.
func (o *Output) Annotate(a Annotation) {
	where := "file=" + property(a.File)
	if a.Line > 0 {
		where += fmt.Sprintf(",line=%d", a.Line)
	}
	lines := strings.Split(a.Text, "\n")
	for i := range lines {
		lines[i] = strings.ReplaceAll(Printable(lines[i]), "%", "%25")
	}
	fmt.Fprintf(o.Stdout, "::%s %s,title=%s::%s\n", a.Level, where, property(a.Title), strings.Join(lines, "%0A"))
}

// property escapes what would end a property of a workflow command.
func property(s string) string {
	return strings.NewReplacer("%", "%25", ":", "%3A", ",", "%2C").Replace(Printable(s))
}
