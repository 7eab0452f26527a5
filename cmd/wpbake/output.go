package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode"

	"golang.org/x/term"
)

// say writes a line of the command's answer for people. With --json the answer
// is an object instead.
func (c *cli) say(format string, args ...any) {
	if !c.flags.json {
		fmt.Fprintln(c.Stdout, printable(fmt.Sprintf(format, args...)))
	}
}

// note writes a line about progress to stderr.
func (c *cli) note(format string, args ...any) {
	if !c.flags.json && !c.flags.quiet {
		fmt.Fprintln(c.Stderr, printable(fmt.Sprintf(format, args...)))
	}
}

// object writes the command's answer, or one of its lines, for programs.
func (c *cli) object(v any) error {
	if !c.flags.json {
		return nil
	}
	e := json.NewEncoder(c.Stdout)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// table writes rows in aligned columns; the first row is the heading.
func (c *cli) table(rows [][]string) {
	if c.flags.json {
		return
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = printable(orDash(cell))
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	w.Flush()
	for line := range strings.Lines(b.String()) {
		fmt.Fprintln(c.Stdout, strings.TrimRight(line, " \n"))
	}
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// report prints how the program ended and returns its exit code.
func (c *cli) report(err error) int {
	code := exitCode(err)
	if err == nil {
		return code
	}
	hint := hintOf(err)
	fmt.Fprintf(c.Stderr, "wpbake: error: %s\n", printable(err.Error()))
	if hint != "" {
		fmt.Fprintf(c.Stderr, "wpbake: hint: %s\n", printable(hint))
	}
	// A wrong flag ends the parsing before --json was seen.
	if c.flags.json || slices.Contains(c.Args, "--json") {
		c.flags.json = true
		c.object(struct {
			Error string `json:"error"`
			Hint  string `json:"hint,omitempty"`
			Exit  int    `json:"exit"`
		}{err.Error(), hint, code})
	}
	return code
}

// printable escapes what could steer a terminal: errors, log lines and reports
// carry text that others wrote.
func printable(s string) string {
	if strings.IndexFunc(s, steers) < 0 {
		return s
	}
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
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// steers reports controls, invalid UTF-8, and the format characters that
// reorder or hide text.
func steers(r rune) bool {
	return unicode.IsControl(r) || r == unicode.ReplacementChar || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp)
}

// live reports whether stderr is a terminal that can be painted on.
func (c *cli) live() bool {
	if c.flags.json || c.flags.quiet {
		return false
	}
	if t, _ := c.Env("TERM"); t == "dumb" {
		return false
	}
	return isTerminal(c.Stderr)
}

// isTerminal reports whether a stream is a terminal's.
func isTerminal(stream any) bool {
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
