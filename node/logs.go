package node

import (
	"bytes"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Bounds of what a report takes over from logs.
const (
	logBytes  = 256 << 10 // read from a log's end
	logLines  = 20        // of each log
	logErrors = 20        // in all
	lineBytes = 2000
)

// logs watches log files from the moment it is made.
type logs struct {
	files []string
	marks []int64 // size of each file at the start
}

func watchLogs(files []string) logs {
	l := logs{files: files, marks: make([]int64, len(files))}
	for i, f := range files {
		if fi, err := os.Stat(f); err == nil {
			l.marks[i] = fi.Size()
		}
	}
	return l
}

// read returns the lines that were written since. A log that cannot be read
// has none: a boot does not fail for it.
func (l logs) read() []Log {
	var found []Log
	for i, f := range l.files {
		if lines := linesSince(f, l.marks[i]); len(lines) > 0 {
			found = append(found, Log{File: f, Lines: lines})
		}
	}
	return found
}

func linesSince(file string, mark int64) []string {
	fi, err := os.Stat(file)
	if err != nil || !fi.Mode().IsRegular() { // reading a FIFO would hang
		return nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil
	}
	defer f.Close()
	if fi.Size() < mark { // rotated
		mark = 0
	}
	start := max(mark, fi.Size()-logBytes)
	b, err := io.ReadAll(io.NewSectionReader(f, start, logBytes))
	if err != nil {
		return nil
	}
	if start > mark { // begins inside a line
		_, b, _ = bytes.Cut(b, []byte("\n"))
	}
	return cleanLines(string(b))
}

// cleanLines cuts text into lines of valid, bounded, printable text.
func cleanLines(text string) []string {
	var lines []string
	for line := range strings.SplitSeq(text, "\n") {
		if line = cleanLine(line); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

func cleanLine(line string) string {
	if len(line) > lineBytes {
		n := lineBytes
		for n > 0 && !utf8.RuneStart(line[n]) {
			n--
		}
		line = line[:n] + "…"
	}
	line = strings.ToValidUTF8(line, "\uFFFD")
	line = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, line)
	return strings.TrimSpace(line)
}

// tails shortens each log to its last lines.
func tails(all []Log) []Log {
	short := make([]Log, len(all))
	for i, l := range all {
		short[i] = Log{File: l.File, Lines: l.Lines[max(0, len(l.Lines)-logLines):]}
	}
	return short
}

// fatalPHP begins the messages of PHP that stop a request, as PHP itself spells
// them. A message ends with its line, with the next message of the same line
// in nginx's log, or where nginx says what it was doing.
var (
	fatalPHP   = regexp.MustCompile(`PHP (?:Parse|Fatal|Recoverable fatal) error: .*`)
	otherPHP   = regexp.MustCompile(`PHP Warning: +mysqli.*|WordPress database error .*`)
	endMessage = regexp.MustCompile(`; PHP message: |" while [a-z]+ing [a-z ]*upstream|"?, client: `)
)

// phpErrors returns the errors that PHP left in the logs, each once, in the
// order of their last appearance, and the last fatal one of them. PHP-FPM's
// own log, PHP's error_log and nginx's error log are understood.
func phpErrors(all []Log) (found []string, fatal string) {
	for _, l := range all {
		for _, line := range l.Lines {
			for _, message := range phpMessages(line) {
				found = append(slices.DeleteFunc(found, func(s string) bool { return s == message }), message)
				if fatalPHP.MatchString(message) {
					fatal = message
				}
			}
		}
	}
	return found[max(0, len(found)-logErrors):], fatal
}

func phpMessages(line string) []string {
	var found []string
	for line != "" {
		message, rest := line, ""
		if end := endMessage.FindStringIndex(line); end != nil {
			message, rest = line[:end[0]], line[end[1]:]
		}
		for _, pattern := range []*regexp.Regexp{fatalPHP, otherPHP} {
			if m := pattern.FindString(message); m != "" {
				found = append(found, strings.TrimSpace(strings.TrimSuffix(m, `"`)))
				break
			}
		}
		line = rest
	}
	return found
}
