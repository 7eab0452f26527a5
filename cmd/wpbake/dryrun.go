package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/scratch"
	"github.com/wpbake/wpbake/bake"
)

// planned is what a release would do.
type planned struct {
	Group    string           `json:"group"`
	Version  artifact.Version `json:"version"`
	Manifest artifact.Digest  `json:"manifest"`
	Steps    []string         `json:"steps"`
	Findings []bake.Finding   `json:"findings"`
}

// dryRelease looks as release does, and stops where release would change
// something.
func (c *cli) dryRelease(ctx context.Context, cfg Config, o releaseOptions) error {
	r, err := c.connect(ctx, cfg, bake.Options{OnBusy: o.onBusy})
	if err != nil {
		return err
	}
	p := planned{Group: cfg.Group, Version: o.version}
	if p.Findings, err = r.Doctor(ctx); err != nil {
		return err
	}
	p.Findings = append([]bake.Finding{}, p.Findings...) // an empty list in JSON, never null
	if c.findings(p.Findings) > 0 {
		return r.Preflight(ctx)
	}
	if err := r.MayRelease(ctx, o.version); err != nil {
		return err
	}
	step, digest, err := c.wouldPublish(ctx, cfg, r.store, o.version)
	if err != nil {
		return err
	}
	p.Manifest = digest
	p.Steps = append(p.Steps, step)
	st, err := r.Status(ctx)
	if err != nil {
		return err
	}
	p.Steps = append(p.Steps, wouldRelease(st, digest)...)
	for _, s := range p.Steps {
		c.say("%s", s)
	}
	return c.object(p)
}

// wouldPublish builds into a scratch directory to learn the digest.
func (c *cli) wouldPublish(ctx context.Context, cfg Config, store artifact.Store, v artifact.Version) (string, artifact.Digest, error) {
	_, there, err := artifact.Find(ctx, store, v)
	absent := errors.Is(err, artifact.ErrNotFound)
	if err != nil && !absent {
		return "", "", err
	}
	if cfg.Tree == "" {
		digest, err := c.published(ctx, cfg, store, v)
		return fmt.Sprintf("publish: %s stays as it is published", v), digest, err
	}
	own, err := scratch.New("", "wpbake-scratch-")
	if err != nil {
		return "", "", err
	}
	defer own.Remove()
	dir := own.Path
	built, err := c.makeArtifact(ctx, buildOptions{version: v, tree: cfg.Tree, exclude: cfg.Exclude, cache: c.cacheDir(cfg), out: dir})
	switch {
	case err != nil:
		return "", "", err
	case absent:
		return fmt.Sprintf("publish: %s would be put into %s as %s", v, cfg.Store, built.Digest), built.Digest, nil
	case there == built.Digest:
		return fmt.Sprintf("publish: %s stays as it is published, with the same bytes", v), built.Digest, nil
	}
	return "", "", &hintedError{
		err:  fmt.Errorf("version %q is published with other bytes, %s; the tree makes %s", v, there.Short(), built.Digest.Short()),
		hint: "a published version never changes: choose a new one",
	}
}

func wouldRelease(st bake.Status, digest artifact.Digest) []string {
	if st.Proven && st.Manifest == digest && st.Refresh == nil {
		return []string{fmt.Sprintf("release: nothing, %s of %s proven on it", nodes(len(st.Nodes)), st.Group)}
	}
	var steps []string
	for _, t := range st.Saved {
		steps = append(steps, fmt.Sprintf("template: %s would get a version, a copy of %s that pins %s", t.ID, t.Version, digest.Short()))
	}
	before := "what runs now"
	if st.Version != "" {
		before = string(st.Version)
	}
	return append(steps, fmt.Sprintf("refresh: %s of %s would be replaced; a bad first node goes back to %s", nodes(st.Desired), st.Group, before))
}
