package php_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wpbake/wpbake/internal/tier"
	"github.com/wpbake/wpbake/wordpress/php"
)

const liveTree = "/srv/wordpress/releases/0123456789ab/wordpress/"

func belowLive(p string) (string, bool) { return strings.CutPrefix(p, liveTree) }

func TestReadDenied(t *testing.T) {
	const x = "wp-content/plugins/x/"
	warning := "PHP Warning:  "
	for name, c := range map[string]struct {
		log  string
		want []php.Denied
	}{
		"PHP's log": {
			log:  "[26-Nov-2026 01:00:00 UTC] " + warning + "file_put_contents(" + liveTree + x + "a.log): Failed to open stream: Read-only file system in " + liveTree + x + "x.php on line 7\n",
			want: []php.Denied{{Path: x + "a.log", Call: "file_put_contents", By: x + "x.php", Line: 7, Times: 1}},
		},
		"counted": {
			log:  strings.Repeat(warning+"fopen("+liveTree+x+"a): Failed to open stream: Permission denied in "+liveTree+x+"x.php on line 7\n", 3),
			want: []php.Denied{{Path: x + "a", Call: "fopen", By: x + "x.php", Line: 7, Times: 3}},
		},
		"an exception": {
			log: "PHP Fatal error:  Uncaught RuntimeException: SplFileObject::__construct(" + liveTree + x + "a): Failed to open stream: Read-only file system in " + liveTree + x + "x.php:9\n" +
				"Stack trace:\n#0 " + liveTree + x + "x.php(9): SplFileObject->__construct()\n",
			want: []php.Denied{{Path: x + "a", Call: "SplFileObject::__construct", By: x + "x.php", Line: 9, Times: 1}},
		},
		"no path": {
			log:  warning + "mkdir(): Read-only file system in " + liveTree + x + "x.php on line 8\n",
			want: []php.Denied{{Call: "mkdir", By: x + "x.php", Line: 8, Times: 1}},
		},
		"touch": {
			log:  warning + "touch(): Unable to create file " + liveTree + x + "a because Read-only file system in " + liveTree + x + "x.php on line 8\n",
			want: []php.Denied{{Path: x + "a", Call: "touch", By: x + "x.php", Line: 8, Times: 1}},
		},
		"rename into the tree": {
			log:  warning + "rename(/tmp/a," + liveTree + x + "a): Read-only file system in " + liveTree + x + "x.php on line 8\n",
			want: []php.Denied{{Path: x + "a", Call: "rename", By: x + "x.php", Line: 8, Times: 1}},
		},
		"outside": {
			log:  warning + "file_put_contents(/var/cache/a): Failed to open stream: Permission denied in " + liveTree + x + "x.php on line 8\n",
			want: []php.Denied{{Outside: "/var/cache/a", Call: "file_put_contents", By: x + "x.php", Line: 8, Times: 1}},
		},
		"two in a line of nginx": {
			log: `2026/11/26 01:00:00 [error] 1#1: *1 FastCGI sent in stderr: "PHP message: ` + warning + "unlink(" + liveTree + "a): Read-only file system in " + liveTree + "x.php on line 1; PHP message: " +
				warning + "unlink(" + liveTree + "b): Read-only file system in " + liveTree + `x.php on line 2" while reading response header from upstream` + "\n",
			want: []php.Denied{{Path: "a", Call: "unlink", By: "x.php", Line: 1, Times: 1}, {Path: "b", Call: "unlink", By: "x.php", Line: 2, Times: 1}},
		},
		"another release": {log: warning + "unlink(/srv/wordpress/releases/ba9876543210/wordpress/a): Read-only file system in /srv/wordpress/releases/ba9876543210/wordpress/x.php on line 1\n"},
		"reading":         {log: warning + "file_get_contents(" + liveTree + "a): Failed to open stream: Permission denied in " + liveTree + "x.php on line 1\n"},
		"not there":       {log: warning + "fopen(" + liveTree + "a): Failed to open stream: No such file or directory in " + liveTree + "x.php on line 1\n"},
		"a very long line": {
			log:  strings.Repeat("x", 200<<10) + "\n" + warning + "unlink(" + liveTree + "a): Read-only file system in " + liveTree + "x.php on line 1",
			want: []php.Denied{{Path: "a", Call: "unlink", By: "x.php", Line: 1, Times: 1}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, lines, err := php.ReadDenied(strings.NewReader(c.log), belowLive)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			if want := len(slices.Collect(strings.Lines(c.log))); lines != want {
				t.Errorf("%d lines, want %d", lines, want)
			}
		})
	}
}

// What PHP says itself is understood, whichever function it was.
func TestDeniedByRealPHP(t *testing.T) {
	program := tier.Program(t, "php")
	dir := t.TempDir()
	tree, log := filepath.Join(dir, "tree"), filepath.Join(dir, "php.log")
	source := `<?php
file_put_contents( __DIR__ . '/a', 'x' );
fopen( __DIR__ . '/b', 'w' );
mkdir( __DIR__ . '/c' );
touch( __DIR__ . '/d' );
copy( __FILE__, __DIR__ . '/e' );
unlink( __FILE__ );
rename( __FILE__, __DIR__ . '/f' );
@file_put_contents( __DIR__ . '/silenced', 'x' );
file_put_contents( sys_get_temp_dir() . '/good', 'x' ) || exit( 9 );
new SplFileObject( __DIR__ . '/g', 'w' );
`
	if err := os.Mkdir(tree, 0o755); err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(tree, "x.php")
	if err := os.WriteFile(script, []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := readOnly(t, tree, program, "-n", "-d", "log_errors=1", "-d", "display_errors=0", "-d", "error_log="+log, "-d", "sys_temp_dir="+dir, script)
	if out, err := cmd.CombinedOutput(); err == nil || strings.Contains(string(out), "exit status 9") {
		t.Fatalf("%v: %s", err, out) // the last line ends PHP
	}
	f, err := os.Open(log)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, _, err := php.ReadDenied(f, func(p string) (string, bool) { return strings.CutPrefix(p, tree+"/") })
	if err != nil {
		t.Fatal(err)
	}
	var places []string
	for _, d := range got {
		places = append(places, fmt.Sprintf("%s %s %s:%d", d.Path, d.Call, d.By, d.Line))
	}
	want := []string{
		" mkdir x.php:4", "a file_put_contents x.php:2", "b fopen x.php:3", "d touch x.php:5", "e copy x.php:6", "f rename x.php:8",
		"g SplFileObject::__construct x.php:11", "x.php unlink x.php:7",
	}
	if diff := cmp.Diff(want, places); diff != "" {
		b, _ := os.ReadFile(log)
		t.Errorf("%s\n%s", diff, b)
	}
}

// readOnly runs a program for which a directory is read-only: by its modes, or
// for root, who is above them, by a mount that only the program sees.
func readOnly(t *testing.T, dir, program string, args ...string) *exec.Cmd {
	t.Helper()
	if os.Geteuid() != 0 {
		if err := os.Chmod(dir, 0o555); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.Chmod(dir, 0o755) })
		return exec.Command(program, args...)
	}
	const mounted = `mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"`
	return exec.Command("unshare", append([]string{"--mount", "sh", "-c", mounted, "sh", dir, program}, args...)...)
}

func FuzzReadDenied(f *testing.F) {
	f.Add("PHP Warning:  fopen(" + liveTree + "a): Failed to open stream: Permission denied in " + liveTree + "x.php on line 7\n")
	f.Add("PHP Warning:  rename(/a,b," + liveTree + "x): Read-only file system in /y.php:99999999999999999999\n")
	f.Fuzz(func(t *testing.T, log string) {
		denied, _, err := php.ReadDenied(strings.NewReader(log), belowLive)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range denied {
			if d.Times < 1 || d.Path == "" && d.By == "" {
				t.Errorf("%+v", d)
			}
		}
	})
}
