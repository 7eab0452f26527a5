package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/wpbake/wpbake/artifact"
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
	Boots    []Booted         `json:"boots"`              // that passed, newest first
}

// Status tells what runs on this node, from its disk alone. It is an error
// when there is no node here; a tree that is not what it should be is not, but
// a Problem.
func Status(ctx context.Context, o StatusOptions) (State, error) {
	l := layout{o.Root}
	s := State{Root: o.Root, Releases: []string{}, Boots: []Booted{}}
	entries, err := os.ReadDir(l.releases())
	if err != nil {
		return s, fmt.Errorf("looking for releases: %w", err)
	}
	for _, e := range entries {
		if e.IsDir() && !strings.Contains(e.Name(), ".") { // no staging directory
			s.Releases = append(s.Releases, e.Name())
		}
	}
	h, err := l.history()
	if err != nil {
		return s, err
	}
	s.Boots = append(s.Boots, h.Boots...)
	name, err := l.running()
	if err != nil {
		return s, err
	}
	if name == "" {
		return s, nil
	}
	s.Current = name
	return s, s.look(ctx, l, o.Deep)
}

// look fills in what the running release says of itself.
func (s *State) look(ctx context.Context, l layout, deep bool) error {
	var problem error
	m, err := l.manifest(s.Current)
	switch {
	case !slices.Contains(s.Releases, s.Current):
		problem = errors.New("its directory is missing")
	case errors.Is(err, fs.ErrNotExist):
		problem = errors.New("its manifest is missing")
	case err != nil:
		problem = err
	default:
		s.Version, s.Manifest = m.Version, m.Digest()
		problem = l.whole(ctx, s.Current, m, deep)
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

// whole tells whether a release is what its manifest says: for an image, that
// it is mounted, and when it matters that every byte of it is right.
func (l layout) whole(ctx context.Context, name string, m artifact.Manifest, deep bool) error {
	at, image := filepath.Join(l.releases(), name), l.image(name)
	if _, err := os.Lstat(l.document(name)); err != nil {
		if deep {
			return artifact.Check(at, m)
		}
		return nil
	}
	if _, err := os.Lstat(l.volume(name)); err == nil {
		return l.wholeVolume(ctx, name, deep)
	}
	if !mountedFrom(at, image) {
		return errors.New("its image is not mounted")
	}
	if deep {
		return artifact.CheckImage(ctx, image, m)
	}
	return nil
}

// manifest reads the manifest inside a release's directory, or beside its
// image, and refuses another's.
func (l layout) manifest(name string) (artifact.Manifest, error) {
	m, err := artifact.Unpacked(filepath.Join(l.releases(), name))
	if errors.Is(err, fs.ErrNotExist) {
		var b []byte
		if b, err = os.ReadFile(l.document(name)); err == nil {
			m, err = artifact.ParseManifest(b)
		}
	}
	if err != nil {
		return artifact.Manifest{}, err
	}
	if got := m.Digest().Short(); got != name {
		return artifact.Manifest{}, fmt.Errorf("its manifest is that of %s", got)
	}
	return m, nil
}
