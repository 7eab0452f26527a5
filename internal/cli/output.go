package cli

import (
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"golang.org/x/term"
)

// Output is where a command answers: lines on stdout for people, or objects
// for programs; progress on stderr. Nothing that others wrote reaches a
// terminal unescaped.
type Output struct {
	Stdout io.Writer
	Stderr io.Writer
	Now    func() time.Time

	JSON  bool // objects instead of lines
	Quiet bool // no progress
	Dumb  bool // a terminal that cannot be painted on
}

// NewOutput answers on the process's streams.
func NewOutput(p Process) *Output {
	o := &Output{Stdout: p.Stdout, Stderr: p.Stderr, Now: p.Now}
	if p.Env != nil {
		t, _ := p.Env("TERM")
		o.Dumb = t == "dumb"
	}
	return o
}

// Say writes a line of the command's answer for people. With JSON the answer is
// an object instead.
func (o *Output) Say(format string, args ...any) {
	if !o.JSON {
		fmt.Fprintln(o.Stdout, Printable(fmt.Sprintf(format, args...)))
	}
}

// Note writes a line about progress to stderr.
func (o *Output) Note(format string, args ...any) {
	if o.Progress() {
		fmt.Fprintln(o.Stderr, Printable(fmt.Sprintf(format, args...)))
	}
}

// Ask writes a question to stderr, whatever else is told, and leaves its line
// to the answer.
func (o *Output) Ask(question string) { fmt.Fprint(o.Stderr, Printable(question), " ") }

// EndLine ends a question's line where no terminal has.
func (o *Output) EndLine() { fmt.Fprintln(o.Stderr) }

// NoteText is Note of a text that is no format.
func (o *Output) NoteText(text string) { o.Note("%s", text) }

// Progress reports whether progress is told at all.
func (o *Output) Progress() bool { return !o.JSON && !o.Quiet }

// Object writes the command's answer, or one of its lines, for programs.
func (o *Output) Object(v any) error {
	if !o.JSON {
		return nil
	}
	return WriteJSON(o.Stdout, v, "")
}

// End prints how the program ended and returns its exit code. args are the
// program's: a wrong flag ends the parsing before --json was seen.
func (o *Output) End(err error, args []string) int {
	code := ExitCode(err)
	if err == nil {
		return code
	}
	hint := HintOf(err)
	fmt.Fprintf(o.Stderr, "wpbake: error: %s\n", Printable(err.Error()))
	if hint != "" {
		fmt.Fprintf(o.Stderr, "wpbake: hint: %s\n", Printable(hint))
	}
	if slices.Contains(args, "--json") {
		o.JSON = true
	}
	o.Object(struct {
		Error string `json:"error"`
		Hint  string `json:"hint,omitempty"`
		Exit  int    `json:"exit"`
	}{err.Error(), hint, code})
	return code
}

// live reports whether stderr is a terminal that can be painted on.
func (o *Output) live() bool {
	return o.Progress() && !o.Dumb && IsTerminal(o.Stderr)
}

// IsTerminal reports whether a stream is a terminal's.
func IsTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// screen returns the columns and rows of the terminal on w, or 80 by 24.
func screen(w io.Writer) (columns, rows int) {
	if f, ok := w.(*os.File); ok {
		if columns, rows, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 && rows > 0 {
			return columns, rows
		}
	}
	return 80, 24
}
