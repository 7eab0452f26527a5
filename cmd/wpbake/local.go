package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/wpbake/wpbake/internal/cli"
)

// localPort is where the local cloud serves unless told otherwise.
const localPort = 4599

func newLocalCommand(e *env) *cobra.Command {
	place := &localPlace{usual: usualPlace(e.Env)}
	cmd := &cobra.Command{
		Use:   "local",
		Short: "The local cloud: AWS's behaviour on this machine",
		Long: `Serves S3, EC2, Auto Scaling, ELB, CloudWatch, SSM and STS on one loopback port,
with instances that really run. Any AWS client works against it.`,
		GroupID: groupNode,
		Args:    subcommand,
		RunE:    showHelp,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if place.dir == "" {
				return cli.Misuse(errors.New("no directory for the local cloud: no --dir, and no HOME"), cmd.CommandPath()+" --dir DIR")
			}
			return nil
		},
	}
	cmd.PersistentFlags().StringVar(&place.dir, "dir", place.usual, "state `DIR` of the local cloud")
	cmd.AddCommand(newLocalStartCommand(e, place), newLocalStopCommand(e, place), newLocalStatusCommand(e, place), newLocalEnvCommand(e, place), newLocalFaultCommand(e, place))
	return cmd
}

// localOptions is how the local cloud is started.
type localOptions struct {
	port       int
	speed      float64
	runner     string
	foreground bool
}

func newLocalStartCommand(e *env, place *localPlace) *cobra.Command {
	var o localOptions
	cmd := &cobra.Command{
		Use:   "start",
		Short: "Start the local cloud, in the background unless told otherwise",
		Example: `  wpbake local start --speed 10
  eval "$(wpbake local env)"
  aws autoscaling describe-auto-scaling-groups`,
		Args: exactArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.validate(); err != nil {
				return cli.Usage(cmd, err)
			}
			if o.foreground {
				return runLocalServe(cmd.Context(), e.out, *place, o)
			}
			return runLocalStart(cmd.Context(), e.out, *place, o)
		},
	}
	f := cmd.Flags()
	f.IntVar(&o.port, "port", localPort, "loopback port; 0 takes a free one")
	f.Float64Var(&o.speed, "speed", 1, "how many times faster AWS's clocks run")
	f.StringVar(&o.runner, "runner", "", "`overlay` (root: own disk, namespaces) or plain; without it, what this user may")
	f.BoolVar(&o.foreground, "foreground", false, "serve until interrupted")
	return cmd
}

func (o localOptions) validate() error {
	switch {
	case o.port < 0 || o.port > 65535:
		return fmt.Errorf("--port %d: want 0 to 65535", o.port)
	case !(o.speed >= 0.1 && o.speed <= 1000): // NaN is neither
		return fmt.Errorf("--speed %g: want 0.1 to 1000", o.speed)
	case o.runner != "" && o.runner != "overlay" && o.runner != "plain":
		return fmt.Errorf("--runner %q: want overlay or plain", o.runner)
	}
	return nil
}

// runLocalStart runs the local cloud detached and waits until it answers.
func runLocalStart(ctx context.Context, out *cli.Output, place localPlace, o localOptions) error {
	s, err := place.running(ctx)
	if err != nil {
		return err
	}
	if s != nil {
		out.Say("the local cloud already runs at %s", s.URL)
		return sayLocalStarted(out, place, s)
	}
	died, err := place.spawn(o)
	if err != nil {
		return err
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-died:
			return place.lastWords()
		case <-tick.C:
		}
		if s, err := place.running(ctx); err != nil || s != nil {
			if err != nil {
				return err
			}
			out.Say("the local cloud runs at %s", s.URL)
			return sayLocalStarted(out, place, s)
		}
	}
}

func sayLocalStarted(out *cli.Output, place localPlace, s *localState) error {
	out.Say("for any AWS client: eval \"$(%s)\"", place.command("env"))
	return answerLocal(out, s)
}

// answerLocal is what start and stop say to programs; nil does not run.
func answerLocal(out *cli.Output, s *localState) error {
	if s == nil {
		s = &localState{}
	}
	return out.Object(struct {
		Running bool `json:"running"`
		localState
	}{s.PID != 0, *s})
}

func newLocalStopCommand(e *env, place *localPlace) *cobra.Command {
	return &cobra.Command{
		Use:     "stop",
		Short:   "Stop the local cloud and its instances; its state stays",
		Example: "  wpbake local stop",
		Args:    exactArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runLocalStop(cmd.Context(), e.out, *place) },
	}
}

// runLocalStop ends the process that answers with its own id, and waits until it has
// let go of the state.
func runLocalStop(ctx context.Context, out *cli.Output, place localPlace) error {
	s, err := place.running(ctx)
	if err != nil {
		return err
	}
	if s == nil {
		out.Say("the local cloud does not run")
		return answerLocal(out, nil)
	}
	if err := syscall.Kill(s.PID, syscall.SIGTERM); err != nil {
		return fmt.Errorf("stopping the local cloud, process %d: %w", s.PID, err)
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		lock, err := place.lock()
		if err == nil {
			lock.Close()
			out.Say("the local cloud has stopped; its state stays in %s", place.dir)
			return answerLocal(out, nil)
		}
		if !errors.Is(err, errLocalRuns) {
			return err
		}
		select {
		case <-ctx.Done():
			return cli.Hinted(fmt.Errorf("stopping the local cloud: process %d still runs", s.PID), "the log is "+place.logFile())
		case <-tick.C:
		}
	}
}
