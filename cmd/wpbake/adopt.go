package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wpbake/wpbake/internal/cli"
	"github.com/wpbake/wpbake/rollout"
)

func newAdoptCommand(e *env) *cobra.Command {
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
		Args:    exactArgs,
		RunE: e.prepared(func(ctx context.Context, in invocation) error {
			r, err := e.open.group(ctx, in.cfg, rollout.Options{})
			if err != nil {
				return err
			}
			ask := confirmation{question: fmt.Sprintf("change group %s?", in.cfg.Group), yes: yes, answers: e.Stdin, out: e.out}
			return runAdopt(ctx, e.out, r, ask)
		}),
	}
	e.settings.AddFlags(cmd, groupKeys()...)
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

func runAdopt(ctx context.Context, out *cli.Output, r openGroup, ask confirmation) error {
	changes, err := r.PlanAdopt(ctx)
	if err != nil {
		return err
	}
	for _, ch := range changes {
		out.Say("%s: %s", r.name, ch.Text)
	}
	if len(changes) > 0 {
		if err := ask.confirm(); err != nil {
			return err
		}
		if err := r.Adopt(ctx, changes); err != nil {
			return err
		}
		out.Say("%s is adopted; wpbake doctor shows what else there is", r.name)
	} else {
		out.Say("nothing to do: %s is ready", r.name)
	}
	return out.Object(struct {
		Group   string           `json:"group"`
		Changes []rollout.Change `json:"changes"`
		Done    bool             `json:"done"`
	}{r.name, append([]rollout.Change{}, changes...), len(changes) > 0})
}

// confirmation is a question that comes before a change.
type confirmation struct {
	question string
	yes      bool // answered beforehand
	answers  io.Reader
	out      *cli.Output
}

// confirm asks on stderr and reads the answer.
func (q confirmation) confirm() error {
	if q.yes {
		return nil
	}
	q.out.Ask(q.question + " [y/N]")
	answer, _ := bufio.NewReader(q.answers).ReadString('\n')
	if !cli.IsTerminal(q.answers) { // nobody's Enter has ended the line
		q.out.EndLine()
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return cli.Misuse(errors.New("not confirmed; nothing was changed"), "--yes does it without asking")
}

func newDoctorCommand(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "What stands in the way of a safe release of the group",
		Example: `  eval "$(wpbake local env)"
  wpbake doctor --store s3://releases/shop --group shop`,
		GroupID: groupLook,
		Args:    exactArgs,
		RunE: e.prepared(func(ctx context.Context, in invocation) error {
			r, err := e.open.group(ctx, in.cfg, rollout.Options{})
			if err != nil {
				return err
			}
			return runDoctor(ctx, e.out, r)
		}),
	}
	e.settings.AddFlags(cmd, append([]string{"refresh.alarms"}, groupKeys()...)...)
	return cmd
}

func runDoctor(ctx context.Context, out *cli.Output, r openGroup) error {
	seen, err := r.Observe(ctx)
	if err != nil {
		return err
	}
	findings := seen.Findings
	blocking := sayFindings(out, findings)
	if err := out.Object(struct {
		Group    string            `json:"group"`
		Findings []rollout.Finding `json:"findings"`
	}{r.name, append([]rollout.Finding{}, findings...)}); err != nil {
		return err
	}
	if blocking > 0 {
		return cli.Hinted(fmt.Errorf("a release to %q is blocked by %d of what was found", r.name, blocking), findings[0].Fix)
	}
	if len(findings) == 0 {
		out.Say("%s is ready for a release", r.name)
	}
	return nil
}

// sayFindings prints each finding with its fix and returns how many block.
func sayFindings(out *cli.Output, findings []rollout.Finding) (blocking int) {
	var list cli.List
	for _, f := range findings {
		word := "note"
		if f.Blocks {
			word = "blocks"
			blocking++
		}
		list.Add(word, "%s: %s", f.ID, f.Text)
		if f.Fix != "" {
			list.Add("", "fix: %s", f.Fix)
		}
	}
	out.List(list)
	return blocking
}
