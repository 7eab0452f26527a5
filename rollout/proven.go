package rollout

import (
	"time"

	"github.com/wpbake/wpbake/artifact"
)

// Proven is the list of releases that have passed a whole refresh of the
// group, newest first.
type Proven struct {
	Format   int             `json:"format"`
	Releases []ProvenRelease `json:"releases"`
}

// ProvenRelease is a release that can be gone back to.
type ProvenRelease struct {
	Version   artifact.Version `json:"version"`
	Manifest  artifact.Digest  `json:"manifest"`
	Run       string           `json:"run"` // whose template versions and boot reports these are
	Templates []TemplateRef    `json:"templates"`
	Proven    time.Time        `json:"proven"`
	Withdrawn time.Time        `json:"withdrawn,omitzero"` // when a rollback left it; a rollback without a version skips it
}

// Previous returns the newest release other than current that was not
// withdrawn.
func (p Proven) Previous(current artifact.Digest) (ProvenRelease, bool) {
	for _, r := range p.Releases {
		if r.Manifest != current && r.Withdrawn.IsZero() {
			return r, true
		}
	}
	return ProvenRelease{}, false
}

// Find returns the newest entry of a version.
func (p Proven) Find(v artifact.Version) (ProvenRelease, bool) {
	for _, r := range p.Releases {
		if r.Version == v {
			return r, true
		}
	}
	return ProvenRelease{}, false
}

// with puts r first and drops older entries of the same content.
func (p Proven) with(r ProvenRelease) Proven {
	out := Proven{Format: 1, Releases: []ProvenRelease{r}}
	for _, old := range p.Releases {
		if old.Manifest != r.Manifest {
			out.Releases = append(out.Releases, old)
		}
	}
	return out
}

// withdrawing marks every entry of a content as left by a rollback.
func (p Proven) withdrawing(d artifact.Digest, now time.Time) Proven {
	out := Proven{Format: 1}
	for _, r := range p.Releases {
		if r.Manifest == d {
			r.Withdrawn = now
		}
		out.Releases = append(out.Releases, r)
	}
	return out
}

func (p Proven) versions() []artifact.Version {
	var vs []artifact.Version
	for _, r := range p.Releases {
		vs = append(vs, r.Version)
	}
	return vs
}
