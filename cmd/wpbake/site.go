package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/internal/aws"
	"github.com/wpbake/wpbake/node"
	"github.com/wpbake/wpbake/rollout"
	"github.com/wpbake/wpbake/wordpress"
)

// databaseOff switches asking the database off.
const databaseOff = "off"

func databaseSettings() []setting {
	return []setting{
		{key: "database.command", kind: "COMMAND", list: true,
			usage: "how a command reaches a node that can ask the database: its words, with {node} for the instance id, before wpbake's own (default SSM Run Command); off asks nothing",
			set: func(c *Config, v []string) error {
				if c.DatabaseCommand = v; len(v) == 0 || v[0] == "" {
					return errors.New("want a program, or off")
				}
				return nil
			}},
		{key: "database.snapshot", kind: "COMMAND", list: true,
			usage: "what saves the database before its schema changes; its last line of output names what it made",
			set: func(c *Config, v []string) error {
				if c.DatabaseSnapshot = v; len(v) == 0 || v[0] == "" {
					return errors.New("want a program")
				}
				return nil
			}},
	}
}

// site is how the configuration reaches the database: by SSM's Run Command
// unless it says otherwise, nil when it says off.
func (c *cli) site(cfg Config, clients *aws.Clients) rollout.Site {
	switch {
	case len(cfg.DatabaseCommand) == 0:
		return onNode{clients.Commands().Run}
	case cfg.DatabaseCommand[0] == databaseOff:
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

func acceptIncompatibleFlag(cmd *cobra.Command, accept *bool) {
	cmd.Flags().BoolVar(accept, "accept-incompatible", false, "go ahead although the database cannot go back with the code")
}

// onNode runs wpbake's node commands on a node and reads their answers.
type onNode struct {
	run func(ctx context.Context, instance string, argv []string) (stdout []byte, err error)
}

// askPatience is for one question, with all that the way to the node takes.
const askPatience = 2 * time.Minute

// Database runs wpbake node database.
func (r onNode) Database(ctx context.Context, instance string) (wordpress.Database, error) {
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	var d wordpress.Database
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

func (r onNode) ask(ctx context.Context, instance string, into any, words ...string) error {
	out, err := r.run(ctx, instance, append([]string{"wpbake", "node"}, append(words, "--json")...))
	answer := lastObject(out)
	var failed struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(answer, &failed) == nil && failed.Error != "" {
		return errors.New(failed.Error)
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(answer, into); err != nil {
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

// snapshot is the configuration's hook, nil when there is none.
func (c *cli) snapshot(cfg Config) func(context.Context, rollout.Record) (string, error) {
	if len(cfg.DatabaseSnapshot) == 0 {
		return nil
	}
	return func(ctx context.Context, r rollout.Record) (string, error) {
		out, err := runHook(ctx, cfg.DatabaseSnapshot, []string{
			"WPBAKE_GROUP=" + r.Group, "WPBAKE_RUN=" + r.Run, "WPBAKE_VERSION=" + string(r.Version), "WPBAKE_MANIFEST=" + string(r.Manifest),
		})
		return lastLine(strings.TrimSpace(string(out))), err
	}
}

// sayDatabase tells what a run did to the database, and what it went past.
func (c *cli) sayDatabase(r rollout.Result) {
	if r.Schema != nil {
		c.say("database: schema %d → %d, by node %s", r.Schema.Before, r.Schema.After, r.Schema.Node)
	}
	if r.Snapshot != "" {
		c.say("snapshot: %s", r.Snapshot)
	}
	c.sayIncompatibilities(r.Incompatibilities)
}

func (c *cli) sayIncompatibilities(list []wordpress.Incompatibility) {
	for _, d := range list {
		c.say("incompatible: %s %s: %s", d.ID, d.Name, d.Text)
		if d.Fix != "" {
			c.say("  fix: %s", d.Fix)
		}
	}
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
