package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/wpbake/wpbake/node"
	"github.com/wpbake/wpbake/rollout"
)

func (c *cli) nodeReadyCommand() *cobra.Command {
	var hook string
	cmd := &cobra.Command{
		Use:   "ready",
		Short: "Let an instance without a release into service",
		Long: `The last line of a group's own user data. On an instance whose template pins no
release yet it tells the lifecycle hook to continue, so that an adopted group
can launch nodes before its first release. Where a release is pinned it does
nothing: that boot speaks for itself.`,
		Example: `  # at the end of the group's own user data:
  wpbake node ready --group shop`,
		Args: words(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var cfg Config
			if err := c.override(&cfg); err != nil {
				return err
			}
			return c.nodeReady(cmd.Context(), cfg, hook)
		},
	}
	c.settingFlags(cmd, "group", "region")
	cmd.Flags().StringVar(&hook, "hook", rollout.HookName, "the lifecycle `HOOK` to tell")
	return cmd
}

func (c *cli) nodeReady(ctx context.Context, cfg Config, hook string) error {
	if err := cfg.need("group"); err != nil {
		return err
	}
	clients, err := loadAWS(ctx, cfg)
	if err != nil {
		return err
	}
	data, err := clients.UserData(ctx)
	if err != nil {
		return err
	}
	if boot, ok := rollout.ParseBoot(data); ok {
		c.say("%s is pinned here: its boot speaks to the hook", boot.Version)
		return nil
	}
	told, err := node.Ready(ctx, clients.Metadata(), clients.Lifecycle(), node.Action{Group: cfg.Group, Hook: hook})
	if err == nil && !told {
		c.say("no hook waits for this instance")
	}
	return err
}
