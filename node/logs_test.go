package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const parseError = `PHP Parse error:  syntax error, unexpected token ";" in /srv/wordpress/current/wordpress/wp-config.php on line 5`

func TestPHPErrors(t *testing.T) {
	for name, c := range map[string]struct {
		lines []string
		want  []string
		fatal string
	}{
		"PHP's error_log": {
			lines: []string{"[23-Nov-2026 20:15:00 UTC] " + parseError},
			want:  []string{parseError}, fatal: parseError,
		},
		"php-fpm": {
			lines: []string{
				`[23-Nov-2026 20:15:00] NOTICE: ready to handle connections`,
				`[23-Nov-2026 20:15:00] WARNING: [pool www] child 123 said into stderr: "NOTICE: PHP message: ` + parseError + `"`,
			},
			want: []string{parseError}, fatal: parseError,
		},
		"nginx": {
			lines: []string{
				`2026/11/23 20:15:00 [error] 12#12: *1 FastCGI sent in stderr: "PHP message: ` + parseError +
					`" while reading response header from upstream, client: 127.0.0.1, server: _, request: "GET / HTTP/1.1", upstream: "fastcgi://unix:/run/php.sock:", host: "www.example.com"`,
			},
			want: []string{parseError}, fatal: parseError,
		},
		"nginx, two messages": {
			lines: []string{
				`2026/11/23 20:15:00 [error] 12#12: *1 FastCGI sent in stderr: "PHP message: PHP Warning:  mysqli_real_connect(): (HY000/2002): Connection refused in /srv/x.php on line 9; PHP message: ` +
					`PHP Fatal error:  Uncaught Error: Call to undefined function a() in /srv/y.php:3" while reading upstream, client: 127.0.0.1`,
			},
			want: []string{
				"PHP Warning:  mysqli_real_connect(): (HY000/2002): Connection refused in /srv/x.php on line 9",
				"PHP Fatal error:  Uncaught Error: Call to undefined function a() in /srv/y.php:3",
			},
			fatal: "PHP Fatal error:  Uncaught Error: Call to undefined function a() in /srv/y.php:3",
		},
		"nginx, stack trace": {
			lines: []string{
				`2026/11/23 20:15:00 [error] 12#12: *1 FastCGI sent in stderr: "PHP message: PHP Fatal error:  Uncaught Error: x in /srv/y.php:3`,
				`Stack trace:`, `#0 {main}`, `  thrown in /srv/y.php on line 3" while reading response header from upstream, client: 127.0.0.1`,
			},
			want:  []string{"PHP Fatal error:  Uncaught Error: x in /srv/y.php:3"},
			fatal: "PHP Fatal error:  Uncaught Error: x in /srv/y.php:3",
		},
		"repeated": {
			lines: []string{"PHP Fatal error:  a in /x:1", "PHP Fatal error:  b in /x:1", "PHP Fatal error:  a in /x:1"},
			want:  []string{"PHP Fatal error:  b in /x:1", "PHP Fatal error:  a in /x:1"},
			fatal: "PHP Fatal error:  a in /x:1",
		},
		"database": {
			lines: []string{"[23-Nov-2026 20:15:00 UTC] WordPress database error Table 'wp_options' doesn't exist for query SELECT 1 made by x"},
			want:  []string{"WordPress database error Table 'wp_options' doesn't exist for query SELECT 1 made by x"},
		},
		"harmless": {lines: []string{"PHP Notice:  x in /y on line 1", "PHP Deprecated:  x", "PHP Warning:  Undefined variable $x in /y on line 2", "GET /?q=error"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, fatal := phpErrors([]Log{{File: "log", Lines: c.lines}})
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			if fatal != c.fatal {
				t.Errorf("fatal %q, want %q", fatal, c.fatal)
			}
		})
	}
}

// Only what was written since counts: an image can carry its maker's logs.
func TestLogsReadWhatWasWrittenSince(t *testing.T) {
	dir := t.TempDir()
	grown, rotated, fresh := filepath.Join(dir, "grown"), filepath.Join(dir, "rotated"), filepath.Join(dir, "fresh")
	write := func(file, content string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(grown, "old\n")
	write(rotated, "a long old line\n")
	l := watchLogs([]string{grown, rotated, fresh, filepath.Join(dir, "never")})
	write(grown, "old\nnew \x1b[31m\xff\n\nnewer\n")
	write(rotated, "short\n")
	write(fresh, "first")

	want := []Log{
		{File: grown, Lines: []string{"new  [31m\uFFFD", "newer"}},
		{File: rotated, Lines: []string{"short"}},
		{File: fresh, Lines: []string{"first"}},
	}
	if diff := cmp.Diff(want, l.read()); diff != "" {
		t.Error(diff)
	}
}

func TestLogsAreBounded(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log")
	l := watchLogs([]string{file})
	content := strings.Repeat("x", 3*logBytes) + "\n" + strings.Repeat("line\n", 100) + strings.Repeat("ü", lineBytes) + "\n"
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	all := l.read()
	if len(all) != 1 || len(all[0].Lines) != 101 {
		t.Fatalf("read %d lines", len(all[0].Lines))
	}
	short := tails(all)[0].Lines
	if last := short[len(short)-1]; len(short) != logLines || len(last) > lineBytes+len("…") || !strings.HasSuffix(last, "ü…") {
		t.Errorf("%d lines, last ends %q", len(short), last[len(last)-8:])
	}
}

func FuzzPHPMessages(f *testing.F) {
	f.Add(parseError)
	f.Add(`FastCGI sent in stderr: "PHP message: ` + parseError + `" while reading upstream, client: 127.0.0.1`)
	f.Fuzz(func(t *testing.T, line string) {
		for _, m := range phpMessages(cleanLine(line)) {
			if strings.ContainsAny(m, "\n\r") || m == "" {
				t.Errorf("message %q", m)
			}
		}
	})
}
