//go:build linux

package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/wpbake/wpbake/internal/tier"
)

// TestSameBytesEverywhere builds one tree with processors of other word sizes
// and instruction sets, and without the hand-written assembly.
func TestSameBytesEverywhere(t *testing.T) {
	tier.Soak(t)
	tree := t.TempDir()
	writeTree(t, tree)
	want := output(t, buildProgram(t, runtime.GOARCH), tree)
	if lines := strings.Count(want, "sha256:"); lines != 2 {
		t.Fatalf("printed %q", want)
	}
	for _, tt := range []struct {
		name, arch string
		flags      []string
		qemu       string // the program that runs it on other machines
	}{
		{name: "no assembly", arch: runtime.GOARCH, flags: []string{"-tags", "noasm"}},
		{name: "386", arch: "386", qemu: "qemu-i386-static"},
		{name: "amd64", arch: "amd64", qemu: "qemu-x86_64-static"},
		{name: "arm64", arch: "arm64", qemu: "qemu-aarch64-static"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var runner []string
			if tt.arch != runtime.GOARCH { // also 386 on amd64: not every kernel runs it
				runner = []string{tier.Program(t, tt.qemu)}
			}
			got := output(t, append(runner, buildProgram(t, tt.arch, tt.flags...)...), tree)
			if got != want {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
}

// build compiles the command and returns how to call it.
func buildProgram(t *testing.T, arch string, flags ...string) []string {
	t.Helper()
	exe := filepath.Join(t.TempDir(), "portable")
	cmd := exec.CommandContext(t.Context(), "go", append(append([]string{"build"}, flags...), "-o", exe, ".")...)
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+arch, "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building for %s: %v\n%s", arch, err, out)
	}
	return []string{exe}
}

// output runs the command on the tree and returns what it printed. What a
// failing command printed is kept for the test's log.
//
// qemu-i386 keeps one table of segments for all threads of a program (linux-user
// up to 8.x), so that a thread that starts while another does can find the
// wrong thread's storage and crash. One processor and no preemption by signals
// make that rare; a crash of the emulator, unlike one of ours, does not come
// three times in a row.
func output(t *testing.T, command []string, tree string) string {
	t.Helper()
	emulated := strings.HasPrefix(filepath.Base(command[0]), "qemu-")
	for attempt := 1; ; attempt++ {
		cmd := exec.CommandContext(t.Context(), command[0], append(command[1:], tree, t.TempDir())...)
		if emulated {
			cmd.Env = append(os.Environ(), "GODEBUG=asyncpreemptoff=1", "GOMAXPROCS=1")
		}
		var errs bytes.Buffer
		cmd.Stderr = &errs
		out, err := cmd.Output()
		if err == nil {
			return string(out)
		}
		crashed := strings.HasPrefix(errs.String(), "SIG") || strings.HasPrefix(errs.String(), "fatal error:")
		if !emulated || !crashed || attempt == 3 {
			t.Fatalf("%v: %v\n%s", command, err, errs.String())
		}
		t.Logf("attempt %d: the emulator crashed: %.200s", attempt, errs.String())
	}
}

// writeTree writes text that compresses, noise that does not, and names that
// need extended headers: enough for several frames.
func writeTree(t *testing.T, dir string) {
	t.Helper()
	noise := rand.NewChaCha8([32]byte{42})
	words := rand.New(noise)
	write := func(name string, b []byte) {
		path := filepath.Join(dir, name)
		check(t, os.MkdirAll(filepath.Dir(path), 0o755))
		check(t, os.WriteFile(path, b, 0o644))
	}
	for i := range 200 {
		var text strings.Builder
		for range 200 + i*8 {
			fmt.Fprintf(&text, "function f%d() { return $this->n%d; }\n", words.IntN(90), words.IntN(500))
		}
		write(fmt.Sprintf("wp-includes/%c/class-%d.php", 'a'+i%7, i), []byte(text.String()))
	}
	picture := make([]byte, 1<<20)
	noise.Read(picture)
	write("wp-content/picture.jpg", picture)
	write("wp-content/half.bin", append(picture[:300000:300000], make([]byte, 3<<20)...))
	write(strings.Repeat("long/", 40)+"Zürich.php", []byte("<?php\n"))
	write("empty", nil)
	check(t, os.Symlink("../empty", filepath.Join(dir, "wp-content/link")))
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
