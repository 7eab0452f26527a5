package main

import (
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/wpbake/wpbake/internal/cli"
)

// Every command shows how it is used on the local cloud or this machine.
func TestEveryCommandHasAnExample(t *testing.T) {
	e := newEnv(cli.Process{Env: os.LookupEnv, Stderr: io.Discard, Now: time.Now}, nil)
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
		if cmd.HasSubCommands() || !cmd.Runnable() {
			return
		}
		if !strings.Contains(cmd.Example, "wpbake ") {
			t.Errorf("%s has no example", cmd.CommandPath())
		}
		if cmd.Short == "" {
			t.Errorf("%s has no short description", cmd.CommandPath())
		}
	}
	for _, cmd := range newCommands(e) {
		walk(cmd)
	}
}

func TestParseStore(t *testing.T) {
	for in, want := range map[string]storeURL{
		"s3://releases":            {bucket: "releases"},
		"s3://releases/":           {bucket: "releases"},
		"s3://releases/shop":       {bucket: "releases", prefix: "shop"},
		"s3://releases/a/b/":       {bucket: "releases", prefix: "a/b"},
		"s3://my.bucket-1/shop":    {bucket: "my.bucket-1", prefix: "shop"},
		"dir:///srv/store":         {dir: "/srv/store"},
		"dir:///srv/../srv/store/": {dir: "/srv/store"},
	} {
		if got, err := parseStore(in); err != nil || got != want {
			t.Errorf("parseStore(%q) = %+v, %v; want %+v", in, got, err, want)
		}
	}
	for _, in := range []string{
		"", "releases", "/srv/store", "s3://", "s3:///shop", "s3://Releases", "s3://ab", "s3://a..b/c",
		"s3://releases/a//b", "s3://releases/../x", "dir://srv/store", "dir://", "http://x/y",
		"s3://arn:aws:s3:::bucket/x",
	} {
		if got, err := parseStore(in); cli.ExitCode(err) != cli.ExitUsage {
			t.Errorf("parseStore(%q) = %+v, %v; want a usage error", in, got, err)
		}
	}
}

func TestShellWord(t *testing.T) {
	for _, s := range []string{"", "plain", "http://127.0.0.1:4599", "a b", "it's", "$(id)", "a\nb", `"x"\`} {
		out, err := exec.Command("/bin/sh", "-c", "printf %s "+shellWord(s)).Output()
		if err != nil || string(out) != s {
			t.Errorf("shellWord(%q) reads as %q, %v", s, out, err)
		}
	}
}
