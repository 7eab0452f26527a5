package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wpbake/wpbake/rollout"
)

func (c *cli) statusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "What the group runs, saves and waits for",
		Example: `  eval "$(wpbake local env)"
  wpbake status --store s3://releases/shop --group shop`,
		GroupID: groupLook,
		Args:    words(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := c.config()
			if err != nil {
				return err
			}
			return c.status(cmd.Context(), cfg)
		},
	}
	c.settingFlags(cmd, groupKeys...)
	return cmd
}

func (c *cli) status(ctx context.Context, cfg Config) error {
	r, err := c.connect(ctx, cfg, rollout.Options{})
	if err != nil {
		return err
	}
	st, err := r.Status(ctx)
	if err != nil {
		return err
	}
	for _, line := range statusLines(st) {
		c.say("%s", line)
	}
	if len(st.Nodes) > 0 {
		c.say("")
		c.table(nodeTable(st.Nodes))
	}
	return c.object(st)
}

func statusLines(st rollout.Status) []string {
	release := "no release of wpbake"
	if st.Version != "" {
		release = fmt.Sprintf("%s %s", st.Version, st.Manifest.Short())
	}
	for _, t := range st.Saved {
		release += fmt.Sprintf(", template %s:%s", t.ID, t.Version)
	}
	proof := "every node proven"
	switch {
	case st.Version == "":
		proof = "nothing to prove"
	case !st.Proven:
		proof = "not proven: " + strings.Join(st.Missing, "; ")
	}
	lines := []string{
		fmt.Sprintf("group     %s, %s desired", st.Group, nodes(st.Desired)),
		"saved     " + release,
		fmt.Sprintf("proof     %s", proof),
	}
	if r := st.Refresh; r != nil {
		whose := ""
		if st.Foreign {
			whose = ", not started by wpbake"
		}
		lines = append(lines, fmt.Sprintf("refresh   %s %s, %d %%%s", r.ID, r.Status, r.Percent, whose))
	}
	if l := st.Lock; l != nil {
		lines = append(lines, fmt.Sprintf("run       %s of %s, %s, by %s", l.Kind, l.Version, l.Run, l.Holder.Name))
	}
	if len(st.Releases) > 0 {
		names := make([]string, 0, len(st.Releases))
		for _, r := range st.Releases {
			name := string(r.Version)
			if !r.Withdrawn.IsZero() {
				name += " (withdrawn)"
			}
			names = append(names, name)
		}
		lines = append(lines, "proven    "+strings.Join(names, ", "))
	}
	return lines
}

func nodeTable(views []rollout.NodeView) [][]string {
	rows := [][]string{{"NODE", "ZONE", "STATE", "TARGET", "TEMPLATE", "VERSION", "DIGEST", "WAITS FOR"}}
	for _, n := range views {
		waits := cmp.Or(n.Cause, n.Waits, n.Note)
		rows = append(rows, []string{n.ID, n.Zone, n.Lifecycle, n.Target, n.Template, string(n.Version), n.Digest.Short(), waits})
	}
	return rows
}
