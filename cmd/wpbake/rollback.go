package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/rollout"
)

func (c *cli) rollbackCommand() *cobra.Command {
	accept := false
	cmd := &cobra.Command{
		Use:   "rollback [VERSION]",
		Short: "Go back to a proven version",
		Long: `Takes the group back to VERSION, or to the newest proven version that does not
run now. A release under way is turned back instead. It builds nothing, ignores
alarms and takes the lock over; the record says so.

The database does not go back. What has changed in it since, so that older code
cannot live with it, is listed; the rollback is then refused, with exit code 4,
unless --accept-incompatible is given.`,
		Example: `  eval "$(wpbake local env)"
  wpbake rollback --store s3://releases/shop --group shop`,
		GroupID:           groupRelease,
		Args:              words("[VERSION]"),
		ValidArgsFunction: c.completeVersions,
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := c.config()
			if err != nil {
				return err
			}
			var v artifact.Version
			if len(args) > 0 {
				if v, err = parseVersion(cmd, args[0]); err != nil {
					return err
				}
			}
			return c.rollback(cmd.Context(), cfg, v, accept)
		},
	}
	c.settingFlags(cmd, rolloutKeys...)
	acceptIncompatibleFlag(cmd, &accept)
	return cmd
}

func (c *cli) rollback(ctx context.Context, cfg Config, v artifact.Version, accept bool) error {
	err := c.follow(ctx, cfg, rollout.Options{AcceptIncompatible: accept}, func(r openGroup, ctx context.Context) (rollout.Result, error) {
		return r.Rollback(ctx, v)
	})
	ended := (*endedError)(nil)
	if errors.As(err, &ended) && asked(ended.result, v) {
		return nil
	}
	return err
}

// asked reports whether a run that was rolled back is what a rollback to v asks
// for: it led to v or, where none was named, it turned a release under way back.
func asked(r rollout.Result, v artifact.Version) bool {
	if v != "" {
		return r.Outcome == rollout.RolledBack && v == r.Serving
	}
	return r.Outcome == rollout.RolledBack && r.Kind == rollout.Release
}
