package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/internal/aws"
	"github.com/wpbake/wpbake/internal/cli"
	"github.com/wpbake/wpbake/node"
	"github.com/wpbake/wpbake/rollout"
	"github.com/wpbake/wpbake/wordpress/database"
)

// openSite is how the configuration reaches the database: by SSM's Run Command
// unless it says otherwise, nil when it says off.
func openSite(cfg cli.Config, clients *aws.Clients) rollout.Site {
	switch {
	case len(cfg.DatabaseCommand) == 0:
		return onNode{clients.Commands().Run}
	case cfg.DatabaseCommand[0] == cli.Off:
		return nil
	}
	return onNode{func(ctx context.Context, instance string, argv []string) ([]byte, error) {
		words := slices.Clone(cfg.DatabaseCommand)
		for i := range words {
			words[i] = strings.ReplaceAll(words[i], "{node}", instance)
		}
		return runHook(ctx, append(words, argv...), nil)
	}}
}

// onNode runs wpbake's node commands on a node and reads their answers.
type onNode struct {
	run func(ctx context.Context, instance string, argv []string) (stdout []byte, err error)
}

// askTimeout is for one question, with all that the way to the node takes.
const askTimeout = 2 * time.Minute

// Database runs wpbake node database.
func (r onNode) Database(ctx context.Context, instance string) (database.State, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var d database.State
	err := r.ask(ctx, instance, &d, "database")
	if err == nil && d.Schema == 0 {
		err = errors.New("its answer holds no schema")
	}
	return d, err
}

// UpgradeSchema runs wpbake node schema.
func (r onNode) UpgradeSchema(ctx context.Context, instance string, manifest artifact.Digest) (node.Schema, error) {
	var s node.Schema
	err := r.ask(ctx, instance, &s, "schema", "--manifest", string(manifest))
	if err == nil && s.After == 0 {
		err = errors.New("its answer holds no schema")
	}
	return s, err
}

func (r onNode) ask(ctx context.Context, instance string, answer any, words ...string) error {
	if !node.IsInstance(instance) {
		return fmt.Errorf("asking node %q: that is no instance id", instance)
	}
	out, err := r.run(ctx, instance, append([]string{"wpbake", "node"}, append(words, "--json")...))
	found := lastObject(out)
	var failed struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(found, &failed) == nil && failed.Error != "" {
		return errors.New(failed.Error)
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(found, answer); err != nil {
		return fmt.Errorf("reading its answer: %w", err)
	}
	return nil
}

// lastObject is the last line that is a JSON object: what greets a session may
// come before it.
func lastObject(out []byte) []byte {
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	slices.Reverse(lines)
	for _, l := range lines {
		if bytes.HasPrefix(bytes.TrimSpace(l), []byte("{")) {
			return l
		}
	}
	return nil
}

// runHook runs a command of the configuration and returns its stdout. The last
// line of what it complained about is part of the error.
func runHook(ctx context.Context, argv, extra []string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Env = append(os.Environ(), extra...)
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("running %q: %w", argv[0], err)
		if said := lastLine(cmp.Or(strings.TrimSpace(stderr.String()), strings.TrimSpace(stdout.String()))); said != "" {
			err = fmt.Errorf("%w: %s", err, said)
		}
	}
	return stdout.Bytes(), err
}

func lastLine(text string) string {
	return text[strings.LastIndexByte(text, '\n')+1:]
}

// snapshotHook runs the configuration's command, nil when there is none.
func snapshotHook(command []string) func(context.Context, rollout.Record) (string, error) {
	if len(command) == 0 {
		return nil
	}
	return func(ctx context.Context, r rollout.Record) (string, error) {
		out, err := runHook(ctx, command, []string{
			"WPBAKE_GROUP=" + r.Group, "WPBAKE_RUN=" + r.Run, "WPBAKE_VERSION=" + string(r.Version), "WPBAKE_MANIFEST=" + string(r.Manifest),
		})
		return lastLine(strings.TrimSpace(string(out))), err
	}
}

// sayDatabase tells what a run did to the database, and what it went past.
func sayDatabase(out *cli.Output, r rollout.Result) {
	if r.Schema != nil {
		out.Say("database: schema %d → %d, by node %s", r.Schema.Before, r.Schema.After, r.Schema.Node)
	}
	if r.Snapshot != "" {
		out.Say("snapshot: %s", r.Snapshot)
	}
	sayIncompatibilities(out, r.Incompatibilities)
}

func sayIncompatibilities(out *cli.Output, list []database.Incompatibility) {
	for _, d := range list {
		out.Say("incompatible: %s %s: %s", d.ID, d.Name, d.Text)
		if d.Fix != "" {
			out.Say("  fix: %s", d.Fix)
		}
	}
}
