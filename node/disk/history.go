package disk

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

// History is boots.json: what has passed here, newest first, each release
// once. It decides which releases stay on disk, never which one runs.
type History struct {
	Boots []Booted `json:"boots"`
}

// History reads what has passed here.
func (d Disk) History() (History, error) {
	var h History
	b, err := os.ReadFile(filepath.Join(d.root, historyFile))
	if errors.Is(err, fs.ErrNotExist) {
		return h, nil
	}
	if err != nil {
		return h, err
	}
	if err := json.Unmarshal(b, &h); err != nil {
		return History{}, fmt.Errorf("reading %q: %w", filepath.Join(d.root, historyFile), err)
	}
	return h, nil
}

// WriteHistory replaces what has passed here.
func (d Disk) WriteHistory(h History) error {
	b, err := json.MarshalIndent(h, "", "  ")
	if err != nil {
		return err
	}
	return WriteFile(filepath.Join(d.root, historyFile), append(b, '\n'), 0o644)
}

// With puts a boot first and forgets those beyond keep.
func (h History) With(b Booted, keep int) History {
	others := slices.DeleteFunc(slices.Clone(h.Boots), func(o Booted) bool { return o.Manifest == b.Manifest })
	boots := append([]Booted{b}, others...)
	return History{Boots: boots[:min(keep, len(boots))]}
}

// Has tells whether this instance already passed with this release in this
// run: then its hook was told before.
func (h History) Has(b Booted) bool {
	return slices.ContainsFunc(h.Boots, func(o Booted) bool {
		return o.Manifest == b.Manifest && o.Instance == b.Instance && o.Group == b.Group && o.Run == b.Run
	})
}

// Names are those of the releases that the history keeps, as on the disk.
func (h History) Names() []string {
	names := make([]string, len(h.Boots))
	for i, b := range h.Boots {
		names[i] = b.Manifest.Short()
	}
	return names
}
