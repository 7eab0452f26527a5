package main

import (
	"context"
	"io"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/internal/cli"
)

// recorder is an output whose stdout is kept, at a time that stands still.
func recorder() (*cli.Output, *strings.Builder) {
	var b strings.Builder
	return &cli.Output{Stdout: &b, Stderr: io.Discard, Now: func() time.Time { return time.Unix(0, 0) }}, &b
}

// testEnv is an environment of these variables.
func testEnv(variables map[string]string) *env {
	return newEnv(cli.Process{
		Env:    func(name string) (string, bool) { v, ok := variables[name]; return v, ok },
		Stdin:  strings.NewReader(""),
		Stdout: io.Discard, Stderr: io.Discard, Now: time.Now,
	}, nil)
}

func TestPrepared(t *testing.T) {
	e := testEnv(map[string]string{"WPBAKE_STORE": "s3://releases/shop"})
	for args, want := range map[string]string{
		"v1 dest":         "v1;dest",
		"v1 dest v2":      "v1;dest;v2",
		"v1":              "missing DEST",
		"":                "missing VERSION",
		"v1 dest v2 more": `unexpected argument "more"`,
		"latest dest":     `version "latest"`,
		"v1 dest $x":      `version "$x"`,
	} {
		var got []string
		cmd := &cobra.Command{
			Use: "x VERSION DEST [VERSION]", SilenceErrors: true, SilenceUsage: true, Args: exactArgs,
			RunE: e.prepared(func(_ context.Context, in invocation) error {
				got = []string{string(in.version()), in.args[1]}
				for _, v := range in.versions[1:] {
					got = append(got, string(v))
				}
				if in.cfg.Store != "s3://releases/shop" {
					t.Errorf("store %q", in.cfg.Store)
				}
				return nil
			}, "store"),
		}
		cmd.SetArgs(strings.Fields(args))
		err := cmd.ExecuteContext(t.Context())
		if err == nil {
			if joined := strings.Join(got, ";"); joined != want {
				t.Errorf("%q is prepared as %q, want %q", args, joined, want)
			}
		} else if cli.ExitCode(err) != cli.ExitUsage || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", args, err, want)
		}
	}
}

func TestPreparedNeedsSettings(t *testing.T) {
	t.Chdir(t.TempDir())
	called := false
	run := testEnv(nil).prepared(func(context.Context, invocation) error { called = true; return nil }, "group")
	err := run(&cobra.Command{Use: "x"}, nil)
	if called || cli.ExitCode(err) != cli.ExitUsage || !strings.HasPrefix(err.Error(), "no group: ") {
		t.Errorf("called: %v, %v", called, err)
	}
}

func TestVersionMayBeLeftOut(t *testing.T) {
	if v := (invocation{}).version(); v != "" {
		t.Errorf("version %q", v)
	}
}

// A digest that is named is whole: an empty one would take any manifest.
func TestManifestFlag(t *testing.T) {
	var one artifact.Digest
	var all digestValues
	for _, flag := range []func(*cobra.Command){
		func(cmd *cobra.Command) { manifestFlag(cmd, &one) },
		func(cmd *cobra.Command) { addManifestFlag(cmd, &all, "") },
	} {
		cmd := &cobra.Command{Use: "x"}
		flag(cmd)
		for _, bad := range []string{"", "sha256:1", "sha256:" + strings.Repeat("A", 64)} {
			if err := cmd.ParseFlags([]string{"--manifest=" + bad}); err == nil {
				t.Errorf("%q is taken", bad)
			}
		}
	}
	one, all = "", nil
	good := artifact.Digest("sha256:" + strings.Repeat("a", 64))
	cmd := &cobra.Command{Use: "x"}
	manifestFlag(cmd, &one)
	if err := cmd.ParseFlags([]string{"--manifest", string(good)}); err != nil || one != good {
		t.Errorf("%q, %v", one, err)
	}
}

func TestSubcommand(t *testing.T) {
	parent := &cobra.Command{Use: "wpbake"}
	parent.AddCommand(&cobra.Command{Use: "release VERSION"}, &cobra.Command{Use: "history"})
	for word, hint := range map[string]string{"relaese": "wpbake release", "qqq": "wpbake --help"} {
		if err := subcommand(parent, []string{word}); cli.ExitCode(err) != cli.ExitUsage || cli.HintOf(err) != hint {
			t.Errorf("%s: %v, hint %q, want %q", word, err, cli.HintOf(err), hint)
		}
	}
	if err := subcommand(parent, nil); err != nil {
		t.Error(err)
	}
}

// A shell that waits is never told to look for files where a version belongs.
func TestCompleteVersions(t *testing.T) {
	e := testEnv(map[string]string{"WPBAKE_STORE": "dir://" + t.TempDir() + "/none"})
	cmd := &cobra.Command{Use: "fetch VERSION DEST"}
	cmd.SetContext(t.Context())
	for args, want := range map[string]cobra.ShellCompDirective{
		"": cobra.ShellCompDirectiveNoFileComp, "v1": cobra.ShellCompDirectiveDefault, "v1 dest": cobra.ShellCompDirectiveDefault,
	} {
		if names, got := e.completeVersions(cmd, strings.Fields(args), ""); got != want || len(names) > 0 {
			t.Errorf("after %q: %v, directive %d, want %d", args, names, got, want)
		}
	}
}

// Every setting that a command names is one.
func TestKeysAreSettings(t *testing.T) {
	keys := slices.Concat(rolloutKeys(), treeKeys(), bakeKeys(), []string{"bake.as", "bake.parent", "base_image"})
	slices.Sort(keys)
	keys = slices.Compact(keys)
	cmd := &cobra.Command{Use: "x"}
	(&cli.Sources{}).AddFlags(cmd, keys...)
	for _, key := range keys {
		if cmd.Flags().Lookup(strings.NewReplacer(".", "-", "_", "-").Replace(key)) == nil {
			t.Errorf("%s is no setting", key)
		}
	}
}

func TestGCLimits(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	restore := gcLimits{memory: 123 << 20, garbage: 50}.apply()
	if got := debug.SetMemoryLimit(-1); got != 123<<20 {
		t.Errorf("memory limit %d", got)
	}
	restore()
	if got := debug.SetMemoryLimit(-1); got != before {
		t.Errorf("memory limit %d, want %d again", got, before)
	}
	percent := debug.SetGCPercent(100)
	debug.SetGCPercent(percent)
	if percent == 50 {
		t.Error("the garbage collector still works for the command that ended")
	}
}
