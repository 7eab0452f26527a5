package main

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/wpbake/wpbake/internal/tier"
	"github.com/wpbake/wpbake/rollout"
)

// TestMain makes this binary wpbake itself when a script runs it by that name.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"wpbake": wpbakeMain, "webnode": webnodeMain, "packer": packerMain})
}

func wpbakeMain() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, process(), killAfter(os.Getenv("TEST_KILL_AFTER"))))
}

// killAfter ends the process as kill -9 does, right after a step was recorded.
func killAfter(step string) func(rollout.Step) {
	return func(s rollout.Step) {
		if string(s) == step {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
	}
}

// TestScript runs the stories in testdata/script.
func TestScript(t *testing.T) {
	tier.Test(t)
	docs, err := filepath.Abs(filepath.Join("..", "..", "docs"))
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("WPBAKE_UPDATE_SCRIPTS") != "",
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
			e.Setenv("XDG_STATE_HOME", filepath.Join(e.WorkDir, "state"))
			e.Setenv("AWS_EC2_METADATA_DISABLED", "true")
			e.Setenv("DOCS", docs)
			e.Defer(func() { stopLocal(e.Getenv("XDG_STATE_HOME")) })
			return os.MkdirAll(e.Getenv("HOME"), 0o700)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"await":     scriptAwait,
			"exit":      scriptExit,
			"site":      scriptSite,
			"fifo":      scriptFifo,
			"cloud":     scriptCloud,
			"group":     scriptGroup,
			"untouched": scriptUntouched,
			"refresh":   scriptRefresh,
			"terminal":  scriptTerminal,
			"shown":     scriptShown,
			"fault":     scriptFault,
			"registry":  scriptRegistry,
			"readonly":  scriptReadonly,
			"orphans":   scriptOrphans,
			"things":    scriptThings,
			"names":     scriptNames,
		},
	})
}
