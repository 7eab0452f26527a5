package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/internal/cli"
	"github.com/wpbake/wpbake/rollout"
)

func newRollbackCommand(e *env) *cobra.Command {
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
		Args:              exactArgs,
		ValidArgsFunction: e.completeVersions,
		RunE: e.prepared(func(ctx context.Context, in invocation) error {
			return runRollback(ctx, e.follower(in.cfg), rollout.Intent{Version: in.version(), AcceptIncompatible: accept})
		}),
	}
	e.settings.AddFlags(cmd, rolloutKeys()...)
	acceptIncompatibleFlag(cmd, &accept)
	return cmd
}

func runRollback(ctx context.Context, f follower, in rollout.Intent) error {
	err := f.follow(ctx, func(ctx context.Context, r openGroup) (rollout.Result, error) { return r.Rollback(ctx, in) })
	ended := (*cli.Ended)(nil)
	if errors.As(err, &ended) && asked(ended.Result, in.Version) {
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

func newWatchCommand(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "Follow the group's run from anywhere, changing nothing",
		Long:  `Follows the run that holds the group to its end and exits as that run does.`,
		Example: `  eval "$(wpbake local env)"
  wpbake watch --store s3://releases/shop --group shop`,
		GroupID: groupRelease,
		Args:    exactArgs,
		RunE: e.prepared(func(ctx context.Context, in invocation) error {
			return e.follower(in.cfg).follow(ctx, watch)
		}),
	}
	e.settings.AddFlags(cmd, append([]string{"poll"}, groupKeys()...)...)
	return cmd
}

func watch(ctx context.Context, r openGroup) (rollout.Result, error) { return r.Watch(ctx) }

func newResumeCommand(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "resume",
		Short: "Take up a run that was stopped, and finish it",
		Long: `Takes up the run that stands in the group's lock, from what its record and AWS
say, and brings it to its end: released and proven, or rolled back and proven.`,
		Example: `  eval "$(wpbake local env)"
  wpbake resume --store s3://releases/shop --group shop`,
		GroupID: groupRelease,
		Args:    exactArgs,
		RunE: e.prepared(func(ctx context.Context, in invocation) error {
			return e.follower(in.cfg).follow(ctx, resume)
		}),
	}
	e.settings.AddFlags(cmd, rolloutKeys()...)
	return cmd
}

func resume(ctx context.Context, r openGroup) (rollout.Result, error) { return r.Resume(ctx) }

// follower connects to a group and shows a run of it until it ends.
type follower struct {
	out  *cli.Output
	open opener
	cfg  cli.Config
}

func (e *env) follower(cfg cli.Config) follower {
	return follower{out: e.out, open: e.open, cfg: cfg}
}

// follow shows what act does.
func (f follower) follow(ctx context.Context, act func(context.Context, openGroup) (rollout.Result, error)) error {
	view := cli.NewRunView(f.out, f.cfg.Group)
	defer view.Close()
	r, err := f.open.group(ctx, f.cfg, rollout.Options{Events: view.Emit})
	if err != nil {
		return err
	}
	result, err := act(ctx, r)
	view.Close()
	if err != nil {
		return err
	}
	return sayEnded(f.out, result, view.Timings)
}

// sayEnded prints a run's result and returns the error that its outcome is.
func sayEnded(out *cli.Output, r rollout.Result, timings cli.Timings) error {
	switch r.Outcome {
	case rollout.Released:
		out.Say("%s of %s to %s is done: %s proven on %s in %s", r.Kind, r.Version, r.Group, cli.Count(r.Nodes, "node"), r.Manifest.Short(), cli.Seconds(r.Seconds))
	case rollout.UpToDate:
		out.Say("nothing to do: %s of %s proven on %s, %s", cli.Count(r.Nodes, "node"), r.Group, r.Version, r.Manifest.Short())
	case rollout.Started:
		out.Say("%s of %s to %s has started; wpbake watch follows it, wpbake resume finishes it", r.Kind, r.Version, r.Group)
	case rollout.RolledBack:
		serving := "what ran before"
		if r.Serving != "" {
			serving = string(r.Serving)
		}
		out.Say("rolled back: %s of %s proven on %s in %s", cli.Count(r.Nodes, "node"), r.Group, serving, cli.Seconds(r.Seconds))
		out.Say("cause: %s", r.Cause)
	}
	sayDatabase(out, r)
	if len(timings) > 0 {
		out.Say("%s", timings)
	}
	if err := out.Object(struct {
		Event string `json:"event"`
		rollout.Result
		Timings cli.Timings `json:"timings,omitempty"`
	}{"result", r, timings}); err != nil {
		return err
	}
	switch r.Outcome {
	case rollout.Released, rollout.UpToDate, rollout.Started:
		return nil
	}
	return &cli.Ended{Result: r}
}
