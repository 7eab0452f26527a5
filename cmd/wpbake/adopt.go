package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wpbake/wpbake/rollout"
)

func (c *cli) adoptCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "adopt",
		Short: "Prepare a group for releases: pin its template, add the boot hook",
		Long: `Shows what a group lacks for releases and, once confirmed, changes it: numbered
template versions in place of $Latest and $Default, and the lifecycle hook that
a node's boot completes. No node is replaced.`,
		Example: `  eval "$(wpbake local env)"
  wpbake adopt --store s3://releases/shop --group shop`,
		GroupID: groupRelease,
		Args:    words(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := c.config()
			if err != nil {
				return err
			}
			return c.adopt(cmd.Context(), cfg, yes)
		},
	}
	c.settingFlags(cmd, groupKeys...)
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

func (c *cli) adopt(ctx context.Context, cfg Config, yes bool) error {
	r, err := c.connect(ctx, cfg, rollout.Options{})
	if err != nil {
		return err
	}
	changes, err := r.PlanAdopt(ctx)
	if err != nil {
		return err
	}
	for _, ch := range changes {
		c.say("%s: %s", cfg.Group, ch.Text)
	}
	done := false
	if len(changes) > 0 {
		if !yes {
			if err := c.confirm(fmt.Sprintf("change group %s?", cfg.Group)); err != nil {
				return err
			}
		}
		if err := r.Adopt(ctx, changes); err != nil {
			return err
		}
		done = true
		c.say("%s is adopted; wpbake doctor shows what else there is", cfg.Group)
	} else {
		c.say("nothing to do: %s is ready", cfg.Group)
	}
	return c.object(struct {
		Group   string           `json:"group"`
		Changes []rollout.Change `json:"changes"`
		Done    bool             `json:"done"`
	}{cfg.Group, append([]rollout.Change{}, changes...), done})
}

// confirm asks for yes on stderr and reads the answer.
func (c *cli) confirm(question string) error {
	fmt.Fprintf(c.Stderr, "%s [y/N] ", printable(question))
	answer, _ := bufio.NewReader(c.Stdin).ReadString('\n')
	if !isTerminal(c.Stdin) { // nobody's Enter has ended the line
		fmt.Fprintln(c.Stderr)
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return &usageError{err: errors.New("not confirmed; nothing was changed"), hint: "--yes does it without asking"}
}
