package main

import (
	"context"
	"fmt"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/internal/aws"
	"github.com/wpbake/wpbake/rollout"
)

// Settings that a command about a group reads, and those that a rollout adds.
var (
	storeKeys   = []string{"store", "region", "bucket_owner"}
	groupKeys   = append([]string{"group"}, storeKeys...)
	rolloutKeys = append([]string{
		"first_node.timeout", "poll", "lock.lease", "database.command", "database.snapshot",
		"refresh.min_healthy", "refresh.max_healthy", "refresh.warmup", "refresh.bake_time",
		"refresh.checkpoints", "refresh.checkpoint_delay", "refresh.alarms", "refresh.protected", "refresh.standby",
	}, groupKeys...)
)

// openGroup is a group ready to be looked at or changed.
type openGroup struct {
	*rollout.Bake
	clients *aws.Clients
	store   artifact.Store
	saves   bool // the database, before its schema changes
}

// connect opens the store and AWS, and makes the rollout that cfg describes. o
// holds what is not configuration.
func (c *cli) connect(ctx context.Context, cfg Config, o rollout.Options) (openGroup, error) {
	if err := cfg.need("store", "group"); err != nil {
		return openGroup{}, err
	}
	clients, store, err := openWithAWS(ctx, cfg)
	if err != nil {
		return openGroup{}, err
	}
	o.Cloud, o.Store, o.StoreURL, o.Group = clients.Cloud(), store, cfg.Store, cfg.Group
	o.Refresh, o.FirstNode, o.Poll, o.Lease = cfg.Refresh, cfg.FirstNode, cfg.Poll, cfg.Lease
	o.Site, o.Snapshot = c.site(cfg, clients), c.snapshot(cfg)
	o.Holder, o.Alive, o.AfterStep = c.holder(), alive, c.afterStep
	b, err := rollout.New(o)
	if err != nil {
		return openGroup{}, err
	}
	return openGroup{b, clients, store, o.Snapshot != nil}, nil
}

// ended prints a run's result and returns the error that its outcome is.
func (c *cli) ended(r rollout.Result, laps []lap) error {
	switch r.Outcome {
	case rollout.Released:
		c.say("%s of %s to %s is done: %s proven on %s in %s", r.Kind, r.Version, r.Group, nodes(r.Nodes), r.Manifest.Short(), spent(r.Seconds))
	case rollout.Already:
		c.say("nothing to do: %s of %s proven on %s, %s", nodes(r.Nodes), r.Group, r.Version, r.Manifest.Short())
	case rollout.Started:
		c.say("%s of %s to %s has started; wpbake watch follows it, wpbake resume finishes it", r.Kind, r.Version, r.Group)
	case rollout.RolledBack:
		serving := "what ran before"
		if r.Serving != "" {
			serving = string(r.Serving)
		}
		c.say("rolled back: %s of %s proven on %s in %s", nodes(r.Nodes), r.Group, serving, spent(r.Seconds))
		c.say("cause: %s", r.Cause)
	}
	c.sayDatabase(r)
	if len(laps) > 0 {
		c.say("%s", lapLine(laps))
	}
	if err := c.object(struct {
		Event string `json:"event"`
		rollout.Result
		Laps []lap `json:"laps,omitempty"`
	}{"result", r, laps}); err != nil {
		return err
	}
	switch r.Outcome {
	case rollout.Released, rollout.Already, rollout.Started:
		return nil
	}
	return &endedError{r}
}

func nodes(n int) string {
	if n == 1 {
		return "1 node"
	}
	return fmt.Sprintf("%d nodes", n)
}
