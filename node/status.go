package node

import (
	"context"
	"errors"
	"io/fs"
	"slices"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/node/disk"
)

// StatusOptions says where to look.
type StatusOptions struct {
	Root string // Config.Root
	Deep bool   // compare the running tree with its manifest, every byte of it
}

// State is what a node's disk says.
type State struct {
	Root     string           `json:"root"`
	Current  string           `json:"current,omitempty"`  // directory that serves; empty before the first boot
	Version  artifact.Version `json:"version,omitempty"`  // empty when its manifest is not there
	Manifest artifact.Digest  `json:"manifest,omitempty"` // of that version
	Verified *bool            `json:"verified,omitempty"` // nil unless asked for
	Problem  string           `json:"problem,omitempty"`  // why the running tree cannot be vouched for
	Releases []string         `json:"releases"`           // on disk
	Boots    []disk.Booted    `json:"boots"`              // that passed, newest first
}

// Status tells what runs on this node, from its disk alone. It is an error
// when there is no node here; a tree that is not what it should be is not, but
// a Problem.
func Status(ctx context.Context, o StatusOptions) (State, error) {
	d := disk.At(o.Root)
	s := State{Root: o.Root, Releases: []string{}, Boots: []disk.Booted{}}
	names, err := d.Releases()
	if err != nil {
		return s, err
	}
	s.Releases = names
	h, err := d.History()
	if err != nil {
		return s, err
	}
	s.Boots = append(s.Boots, h.Boots...)
	name, err := d.Running()
	if err != nil {
		return s, err
	}
	if name == "" {
		return s, nil
	}
	s.Current = name
	return s, s.observe(ctx, d.Named(name), o.Deep)
}

// observe fills in what the running release says of itself.
func (s *State) observe(ctx context.Context, r disk.Release, deep bool) error {
	var problem error
	m, err := r.Manifest()
	switch {
	case !slices.Contains(s.Releases, s.Current):
		problem = errors.New("its directory is missing")
	case errors.Is(err, fs.ErrNotExist):
		problem = errors.New("its manifest is missing")
	case err != nil:
		problem = err
	default:
		s.Version, s.Manifest = m.Version, m.Digest()
		problem = r.Check(ctx, m, deep)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if problem != nil {
		s.Problem = problem.Error()
	}
	if deep {
		verified := problem == nil
		s.Verified = &verified
	}
	return nil
}
