package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/wpbake/wpbake/rollout"
)

func (c *cli) doctorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "What stands in the way of a safe release of the group",
		Example: `  eval "$(wpbake local env)"
  wpbake doctor --store s3://releases/shop --group shop`,
		GroupID: groupLook,
		Args:    words(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := c.config()
			if err != nil {
				return err
			}
			return c.doctor(cmd.Context(), cfg)
		},
	}
	c.settingFlags(cmd, append([]string{"refresh.alarms"}, groupKeys...)...)
	return cmd
}

func (c *cli) doctor(ctx context.Context, cfg Config) error {
	r, err := c.connect(ctx, cfg, rollout.Options{})
	if err != nil {
		return err
	}
	findings, err := r.Doctor(ctx)
	if err != nil {
		return err
	}
	blocking := c.findings(findings)
	if err := c.object(struct {
		Group    string            `json:"group"`
		Findings []rollout.Finding `json:"findings"`
	}{cfg.Group, append([]rollout.Finding{}, findings...)}); err != nil {
		return err
	}
	if blocking > 0 {
		return &hintedError{
			err:  fmt.Errorf("a release to %q is blocked by %d of what was found", cfg.Group, blocking),
			hint: findings[0].Fix,
		}
	}
	if len(findings) == 0 {
		c.say("%s is ready for a release", cfg.Group)
	}
	return nil
}

// findings prints each finding with its fix and returns how many block.
func (c *cli) findings(findings []rollout.Finding) (blocking int) {
	for _, f := range findings {
		word := "note"
		if f.Blocks {
			word = "blocks"
			blocking++
		}
		c.say("%-6s %s: %s", word, f.ID, f.Text)
		if f.Fix != "" {
			c.say("       fix: %s", f.Fix)
		}
	}
	return blocking
}
