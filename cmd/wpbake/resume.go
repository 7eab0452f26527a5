package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/wpbake/wpbake/rollout"
)

func (c *cli) resumeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "resume",
		Short: "Take up a run that was stopped, and finish it",
		Long: `Takes up the run that stands in the group's lock, from what its record and AWS
say, and brings it to its end: released and proven, or rolled back and proven.`,
		Example: `  eval "$(wpbake local env)"
  wpbake resume --store s3://releases/shop --group shop`,
		GroupID: groupRelease,
		Args:    words(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := c.config()
			if err != nil {
				return err
			}
			return c.follow(cmd.Context(), cfg, rollout.Options{}, openGroup.resume)
		},
	}
	c.settingFlags(cmd, rolloutKeys...)
	return cmd
}

func (r openGroup) resume(ctx context.Context) (rollout.Result, error) { return r.Resume(ctx) }
