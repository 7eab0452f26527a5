package main

import (
	"io"
	"os"
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
