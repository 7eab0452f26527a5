package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/wpbake/wpbake/artifact"
)

// A shell waits for completions: a slow store gives none.
const completionTime = 2 * time.Second

// completeVersions offers the versions in the configured store as a command's
// first argument, and for the second of diff.
func (c *cli) completeVersions(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 && cmd.Name() != "diff" || len(args) > 1 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
	defer cancel()
	cfg, err := c.config()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	store, err := lookInto(ctx, cfg)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	versions, err := artifact.Versions(ctx, store)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	names := make([]string, len(versions))
	for i, v := range versions {
		names[i] = string(v)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
