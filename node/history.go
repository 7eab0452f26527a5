package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/wpbake/wpbake/artifact"
)

const historyFile = "boots.json"

// Booted is a release that has passed its gate on this node.
type Booted struct {
	Version  artifact.Version `json:"version"`
	Manifest artifact.Digest  `json:"manifest"`
	Instance string           `json:"instance"` // differs from the node's own on a disk made from another's image
	Group    string           `json:"group"`
	Run      string           `json:"run"`
	At       time.Time        `json:"at"`
}

// history is boots.json: what has passed here, newest first, each release
// once. It decides which releases stay on disk, never which one runs.
type history struct {
	Boots []Booted `json:"boots"`
}

func (l layout) history() (history, error) {
	var h history
	b, err := os.ReadFile(filepath.Join(l.root, historyFile))
	if errors.Is(err, fs.ErrNotExist) {
		return h, nil
	}
	if err != nil {
		return h, err
	}
	if err := json.Unmarshal(b, &h); err != nil {
		return history{}, fmt.Errorf("reading %q: %w", filepath.Join(l.root, historyFile), err)
	}
	return h, nil
}

func (l layout) writeHistory(h history) error {
	b, err := json.MarshalIndent(h, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(l.root, historyFile), append(b, '\n'), 0o644)
}

// with puts a boot first and forgets those beyond keep.
func (h history) with(b Booted, keep int) history {
	others := slices.DeleteFunc(slices.Clone(h.Boots), func(o Booted) bool { return o.Manifest == b.Manifest })
	boots := append([]Booted{b}, others...)
	return history{Boots: boots[:min(keep, len(boots))]}
}

// has tells whether this instance already passed with this release in this
// run: then its hook was told before.
func (h history) has(b Booted) bool {
	return slices.ContainsFunc(h.Boots, func(o Booted) bool {
		return o.Manifest == b.Manifest && o.Instance == b.Instance && o.Group == b.Group && o.Run == b.Run
	})
}

// directories are the names in releases that the history keeps.
func (h history) directories() []string {
	names := make([]string, len(h.Boots))
	for i, b := range h.Boots {
		names[i] = b.Manifest.Short()
	}
	return names
}
