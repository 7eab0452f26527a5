package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/wpbake/wpbake/internal/cli"
	"github.com/wpbake/wpbake/internal/localcloud"
	"github.com/wpbake/wpbake/internal/localcloud/runner"
)

// localPort is where the local cloud serves unless told otherwise.
const localPort = 4599

func newLocalCommand(e *env) *cobra.Command {
	l := &local{env: e.Env, out: e.out}
	cmd := &cobra.Command{
		Use:   "local",
		Short: "The local cloud: AWS's behaviour on this machine",
		Long: `Serves S3, EC2, Auto Scaling, ELB, CloudWatch, SSM and STS on one loopback port,
with instances that really run. Any AWS client works against it.`,
		GroupID: groupNode,
		Args:    subcommand,
		RunE:    showHelp,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if l.dir == "" {
				return cli.Misuse(errors.New("no directory for the local cloud: no --dir, and no HOME"), cmd.CommandPath()+" --dir DIR")
			}
			return nil
		},
	}
	cmd.PersistentFlags().StringVar(&l.dir, "dir", l.defaultDir(), "state `DIR` of the local cloud")
	cmd.AddCommand(newLocalStartCommand(l), newLocalStopCommand(l), newLocalStatusCommand(l), newLocalEnvCommand(l), newLocalFaultCommand(l))
	return cmd
}

// local is the local cloud that keeps its state in dir.
type local struct {
	env func(name string) (value string, set bool)
	out *cli.Output
	dir string
}

func (l *local) defaultDir() string {
	if state, _ := l.env("XDG_STATE_HOME"); filepath.IsAbs(state) {
		return filepath.Join(state, "wpbake", "local")
	}
	if home, _ := l.env("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, ".local", "state", "wpbake", "local")
	}
	return ""
}

// command is a command line about this local cloud, whichever directory it has.
func (l *local) command(words ...string) string {
	line := "wpbake local " + strings.Join(words, " ")
	if l.dir != l.defaultDir() {
		line += " --dir " + shellWord(l.dir)
	}
	return line
}

// localOptions is how the local cloud is started.
type localOptions struct {
	port       int
	speed      float64
	runner     string
	foreground bool
}

func newLocalStartCommand(l *local) *cobra.Command {
	var o localOptions
	cmd := &cobra.Command{
		Use:   "start",
		Short: "Start the local cloud, in the background unless told otherwise",
		Example: `  wpbake local start --speed 10
  eval "$(wpbake local env)"
  aws autoscaling describe-auto-scaling-groups`,
		Args: exactArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.validate(cmd); err != nil {
				return err
			}
			if o.foreground {
				return l.serve(cmd.Context(), o)
			}
			return l.start(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.IntVar(&o.port, "port", localPort, "loopback port; 0 takes a free one")
	f.Float64Var(&o.speed, "speed", 1, "how many times faster AWS's clocks run")
	f.StringVar(&o.runner, "runner", "", "`overlay` (root: own disk, namespaces) or plain; without it, what this user may")
	f.BoolVar(&o.foreground, "foreground", false, "serve until interrupted")
	return cmd
}

func (o localOptions) validate(cmd *cobra.Command) error {
	switch {
	case o.port < 0 || o.port > 65535:
		return cli.Usage(cmd, fmt.Errorf("--port %d: want 0 to 65535", o.port))
	case !(o.speed >= 0.1 && o.speed <= 1000): // NaN is neither
		return cli.Usage(cmd, fmt.Errorf("--speed %g: want 0.1 to 1000", o.speed))
	case o.runner != "" && o.runner != "overlay" && o.runner != "plain":
		return cli.Usage(cmd, fmt.Errorf("--runner %q: want overlay or plain", o.runner))
	}
	return nil
}

// serve is the local cloud itself: it ends with ctx, after its instances.
func (l *local) serve(ctx context.Context, o localOptions) error {
	dir, err := filepath.Abs(l.dir)
	if err != nil {
		return fmt.Errorf("starting the local cloud: %w", err)
	}
	l.dir = dir
	lock, err := l.lock()
	if err != nil {
		return err
	}
	defer lock.Close()
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(o.port)))
	if errors.Is(err, syscall.EADDRINUSE) {
		return cli.Hinted(fmt.Errorf("port %d is taken by another program", o.port), l.command("start", "--port", "0"))
	}
	if err != nil {
		return fmt.Errorf("starting the local cloud: %w", err)
	}
	defer listener.Close()
	url := "http://" + listener.Addr().String()
	cloud, err := l.cloud(o, url)
	if err != nil {
		return fmt.Errorf("starting the local cloud: %w", err)
	}
	server := &http.Server{Handler: cloud, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	defer server.Close()
	if err := l.writeState(localState{PID: os.Getpid(), URL: url, Environ: cloud.Environ()}); err != nil {
		return err
	}
	defer os.Remove(l.stateFile())
	l.out.Note("local cloud at %s, state in %s", url, l.dir)
	serving, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() { cancel(<-served) }()
	err = cloud.Run(serving)
	if err == nil && ctx.Err() == nil {
		return fmt.Errorf("serving the local cloud: %w", context.Cause(serving))
	}
	return err
}

func (l *local) cloud(o localOptions, url string) (*localcloud.Cloud, error) {
	log := slog.New(slog.NewTextHandler(l.out.Stderr, nil))
	run, err := l.runner(o, log)
	if err != nil {
		return nil, err
	}
	return localcloud.New(localcloud.Options{Dir: l.dir, Runner: run, Speed: o.speed, Endpoint: url, Log: log})
}

// runner makes what instances run in. They find this very program first in
// their PATH, so that their boots are of the same build.
func (l *local) runner(o localOptions, log *slog.Logger) (*runner.Runner, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	made, err := runner.New(runner.Options{Kind: o.runner, Dir: l.dir, Path: []string{filepath.Dir(self)}, Log: log})
	if err != nil && o.runner == "overlay" {
		err = cli.Hinted(err, l.command("start", "--runner", "plain"))
	}
	return made, err
}
