package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/wpbake/wpbake/internal/cli"
	"github.com/wpbake/wpbake/rollout"
)

func newStatusCommand(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "What the group runs, saves and waits for",
		Example: `  eval "$(wpbake local env)"
  wpbake status --store s3://releases/shop --group shop`,
		GroupID: groupLook,
		Args:    exactArgs,
		RunE: e.prepared(func(ctx context.Context, in invocation) error {
			r, err := e.open.group(ctx, in.cfg, rollout.Options{})
			if err != nil {
				return err
			}
			return runStatus(ctx, e.out, r)
		}),
	}
	e.settings.AddFlags(cmd, groupKeys()...)
	return cmd
}

func runStatus(ctx context.Context, out *cli.Output, r openGroup) error {
	st, err := r.Status(ctx)
	if err != nil {
		return err
	}
	out.List(statusList(st))
	if len(st.Nodes) > 0 {
		out.Say("")
		out.Table(nodeTable(st.Nodes))
	}
	return out.Object(st)
}

func statusList(st rollout.Status) (list cli.List) {
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
	list.Add("group", "%s, %s desired", st.Group, cli.Count(st.Desired, "node"))
	list.Add("saved", "%s", release)
	list.Add("proof", "%s", proof)
	if r := st.Refresh; r != nil {
		whose := ""
		if st.Foreign {
			whose = ", not started by wpbake"
		}
		list.Add("refresh", "%s %s, %d %%%s", r.ID, r.Status, r.Percent, whose)
	}
	if l := st.Lock; l != nil {
		list.Add("run", "%s of %s, %s, by %s", l.Kind, l.Version, l.Run, l.Holder.Name)
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
		list.Add("proven", "%s", strings.Join(names, ", "))
	}
	return list
}

func nodeTable(views []rollout.NodeView) [][]string {
	rows := [][]string{{"NODE", "ZONE", "STATE", "TARGET", "TEMPLATE", "VERSION", "DIGEST", "WAITS FOR"}}
	for _, n := range views {
		waits := cmp.Or(n.Cause, n.Waits, n.Note)
		rows = append(rows, []string{n.ID, n.Zone, n.Lifecycle, n.Target, n.Template, string(n.Version), n.Digest.Short(), waits})
	}
	return rows
}

func newHistoryCommand(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "history",
		Short: "The group's runs, newest first, and how each ended",
		Example: `  eval "$(wpbake local env)"
  wpbake history --store s3://releases/shop --group shop`,
		GroupID: groupLook,
		Args:    exactArgs,
		RunE:    e.prepared(func(ctx context.Context, in invocation) error { return runHistory(ctx, e.out, in.cfg) }, "store", "group"),
	}
	e.settings.AddFlags(cmd, groupKeys()...)
	return cmd
}

func runHistory(ctx context.Context, out *cli.Output, cfg cli.Config) error {
	store, err := readRollouts(ctx, cfg)
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
		out.Say("no run of group %s yet", cfg.Group)
	} else {
		out.Table(recordTable(records))
	}
	return out.Object(struct {
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
			took = cli.Elapsed(r.Ended.Sub(r.Started))
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
