package terminal

import (
	"encoding/xml"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

func TestRunKeepsEachScreen(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "sh", "-c", `test -t 2 || exit 3
printf 'one\ntwo\n' >&2; sleep 0.2; printf '\033[2A\r\033[J\033[1mth\033[0m\033[32mree\033[0m\n' >&2`)
	screens, err := Run(cmd, 10, 4)
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, s := range screens {
		texts = append(texts, s.Text())
	}
	if len(texts) < 2 || texts[len(texts)-1] != "three\n" || texts[len(texts)-2] != "one\ntwo\n" {
		t.Fatalf("screens %q", texts)
	}
	last := screens[len(screens)-1].rows[0]
	if last[0].style != (style{bold: true}) || last[2].style != (style{color: 32}) {
		t.Errorf("styles %+v %+v", last[0].style, last[2].style)
	}
}

func TestRunTellsHowItEnded(t *testing.T) {
	screens, err := Run(exec.CommandContext(t.Context(), "sh", "-c", "echo why >&2; exit 7"), 10, 4)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 7 || len(screens) != 1 || screens[0].Text() != "why\n" {
		t.Errorf("%v, %v", screens, err)
	}
}

func TestRunEndsWhatItCannotShow(t *testing.T) {
	_, err := Run(exec.CommandContext(t.Context(), "sh", "-c", `printf '\a' >&2; sleep 600`), 10, 4)
	if err == nil || !strings.Contains(err.Error(), "is not known") {
		t.Errorf("%v", err)
	}
}

func TestEmulator(t *testing.T) {
	for name, tt := range map[string]struct{ written, want string }{
		"scrolls":       {"1\r\n2\r\n3\r\n4", "2\n3\n4\n"},
		"cuts":          {"0123456789ab", "01234567\n"},
		"overwrites":    {"abc\rx", "xbc\n"},
		"clears below":  {"ab\r\ncd\x1b[1A\r\x1b[J", "\n"},
		"clears a row":  {"ab\r\ncd\r\x1b[Ke", "ab\ne\n"},
		"stops above":   {"a\x1b[9A\rb", "b\n"},
		"in two pieces": {"\xe2\x96|\x88 \x1b|[32m█", "█ █\n"},
	} {
		e := newEmulator(8, 3)
		for piece := range strings.SplitSeq(tt.written, "|") {
			if err := e.write([]byte(piece)); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if got := e.screen().Text(); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
	for _, unknown := range []string{"\x1b[2K", "\x1b]0;title", "\a", "\x1b[?25l"} {
		if err := newEmulator(8, 3).write([]byte(unknown)); err == nil {
			t.Errorf("%q is passed over", unknown)
		}
	}
}

func TestSVG(t *testing.T) {
	e := newEmulator(20, 4)
	if err := e.write([]byte("a <b> \x1b[31mbad\x1b[0m\r\n   c  d e")); err != nil {
		t.Fatal(err)
	}
	svg := string(e.screen().SVG("R&D", "wpbake release v2"))
	d := xml.NewDecoder(strings.NewReader(svg))
	var texts []string
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if c, ok := token.(xml.CharData); ok && strings.TrimSpace(string(c)) != "" {
			texts = append(texts, string(c))
		}
	}
	if got, want := strings.Join(texts, "|"), "R&D|$|wpbake release v2|a <b>|bad|c|d e"; got != want {
		t.Errorf("texts %q, want %q", got, want)
	}
	if !strings.Contains(svg, `fill="#ff7b72">bad<`) || !strings.Contains(svg, `x="41.2"`) {
		t.Errorf("color or place is wrong:\n%s", svg)
	}
}
