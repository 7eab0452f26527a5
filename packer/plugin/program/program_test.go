package program

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAsk(t *testing.T) {
	file := filepath.Join(t.TempDir(), "wpbake")
	write := func(script string) {
		if err := os.WriteFile(file, []byte("#!/bin/sh\n"+script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(`[ "$*" = "show v42 --json" ] && echo '{"manifest":"sha256:1"}'`)
	program, err := Find(file)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct{ Manifest string }
	if err := Ask(t.Context(), program, &answer, "show", "v42", "--json"); err != nil || answer.Manifest != "sha256:1" {
		t.Errorf("answered %+v, %v", answer, err)
	}
	write("echo wpbake: error: no version >&2; echo wpbake: hint: look >&2; exit 1")
	if err := Ask(t.Context(), program, &answer); err == nil || err.Error() != "exit status 1: wpbake: error: no version" {
		t.Errorf("a failure: %v", err)
	}
	write("echo nothing")
	if err := Ask(t.Context(), program, &answer); err == nil || !strings.Contains(err.Error(), "reading the answer") {
		t.Errorf("another program: %v", err)
	}
	if _, err := Find("/nowhere/wpbake"); err == nil || !strings.Contains(err.Error(), "set wpbake to the path") {
		t.Errorf("no program: %v", err)
	}
}
