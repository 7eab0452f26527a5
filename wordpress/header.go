package wordpress

import (
	"strings"

	"github.com/wpbake/wpbake/wordpress/internal/printable"
)

// WordPress reads headers from the first 8 KiB of a file (get_file_data).
const headerBytes = 8 << 10

// headers returns the values of named headers, as WordPress's own rule finds
// them: at the start of a line, after <?php or comment signs, in any case.
func headers(src []byte, names ...string) map[string]string {
	if len(src) > headerBytes {
		src = src[:headerBytes]
	}
	text := strings.ReplaceAll(string(src), "\r", "\n")
	values := make(map[string]string)
	for line := range strings.Lines(text) {
		line = strings.TrimLeft(line, " \t")
		if len(line) >= 5 && strings.EqualFold(line[:5], "<?php") {
			line = line[5:]
		}
		line = strings.TrimLeft(line, " \t/*#@")
		for _, name := range names {
			value, ok := headerValue(line, name)
			if _, seen := values[name]; ok && !seen {
				values[name] = value
			}
		}
	}
	return values
}

// headerValue reads "Name: value", without what closes the comment.
func headerValue(line, name string) (string, bool) {
	if len(line) <= len(name) || line[len(name)] != ':' || !strings.EqualFold(line[:len(name)], name) {
		return "", false
	}
	value := line[len(name)+1:]
	for _, end := range []string{"*/", "?>"} {
		value, _, _ = strings.Cut(value, end)
	}
	return printable.Clean(value), true
}
