package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/wpbake/wpbake/rollout"
)

func (c *cli) historyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "history",
		Short: "The group's runs, newest first, and how each ended",
		Example: `  eval "$(wpbake local env)"
  wpbake history --store s3://releases/shop --group shop`,
		GroupID: groupLook,
		Args:    words(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := c.config()
			if err != nil {
				return err
			}
			return c.history(cmd.Context(), cfg)
		},
	}
	c.settingFlags(cmd, groupKeys...)
	return cmd
}

func (c *cli) history(ctx context.Context, cfg Config) error {
	if err := cfg.need("store", "group"); err != nil {
		return err
	}
	store, err := lookIntoRollouts(ctx, cfg)
	if err != nil {
		return err
	}
	b, err := rollout.New(rollout.Options{Store: store, Group: cfg.Group})
	if err != nil {
		return err
	}
	records, err := b.History(ctx)
	if err != nil {
		return err
	}
	if len(records) == 0 {
		c.say("no run of group %s yet", cfg.Group)
	} else {
		c.table(recordTable(records))
	}
	return c.object(struct {
		Group string           `json:"group"`
		Runs  []rollout.Record `json:"runs"`
	}{cfg.Group, append([]rollout.Record{}, records...)})
}

func recordTable(records []rollout.Record) [][]string {
	rows := [][]string{{"STARTED", "RUN", "KIND", "VERSION", "DIGEST", "OUTCOME", "TOOK", "BY", "CAUSE"}}
	for _, r := range records {
		outcome, took := string(r.Outcome), ""
		if outcome == "" {
			outcome = "unfinished"
		}
		if !r.Ended.IsZero() {
			took = elapsed(r.Ended.Sub(r.Started))
		}
		by := r.Holder.Name
		if r.Holder.Link != "" {
			by = r.Holder.Link
		}
		rows = append(rows, []string{
			r.Started.UTC().Format(time.DateTime), r.Run, string(r.Kind), string(r.Version), r.Manifest.Short(), outcome, took, by, r.Cause,
		})
	}
	return rows
}
