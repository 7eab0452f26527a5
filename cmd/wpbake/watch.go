package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/wpbake/wpbake/rollout"
)

func (c *cli) watchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "Follow the group's run from anywhere, changing nothing",
		Long:  `Follows the run that holds the group to its end and exits as that run does.`,
		Example: `  eval "$(wpbake local env)"
  wpbake watch --store s3://releases/shop --group shop`,
		GroupID: groupRelease,
		Args:    words(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := c.config()
			if err != nil {
				return err
			}
			return c.follow(cmd.Context(), cfg, rollout.Options{}, openGroup.watch)
		},
	}
	c.settingFlags(cmd, append([]string{"poll"}, groupKeys...)...)
	return cmd
}

func (r openGroup) watch(ctx context.Context) (rollout.Result, error) { return r.Watch(ctx) }

// follow connects to the group and shows what act does until it ends.
func (c *cli) follow(ctx context.Context, cfg Config, o rollout.Options, act func(openGroup, context.Context) (rollout.Result, error)) error {
	show := c.shower(cfg.Group)
	defer show.close()
	o.Events = show.tell
	r, err := c.connect(ctx, cfg, o)
	if err != nil {
		return err
	}
	result, err := act(r, ctx)
	show.close()
	if err != nil {
		return err
	}
	return c.ended(result, show.laps.laps)
}
