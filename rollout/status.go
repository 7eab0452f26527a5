package rollout

import (
	"context"
	"slices"
	"strings"

	"github.com/wpbake/wpbake/artifact"
)

// Status is what a group runs, saves and waits for.
type Status struct {
	Group    string           `json:"group"`
	Desired  int              `json:"desired"`
	Version  artifact.Version `json:"version,omitempty"` // what the saved template version pins
	Manifest artifact.Digest  `json:"manifest,omitempty"`
	Saved    []TemplateRef    `json:"saved"`
	Proven   bool             `json:"proven"` // every node reported what the saved version pins
	Missing  []string         `json:"missing,omitempty"`
	Nodes    []NodeView       `json:"nodes"`
	Refresh  *RefreshView     `json:"refresh,omitempty"` // the active one, whoever started it
	Foreign  bool             `json:"foreign,omitempty"` // it is not wpbake's
	Lock     *Lock            `json:"lock,omitempty"`    // when held or unfinished
	Releases []ProvenRelease  `json:"releases,omitempty"`
}

// Status looks and changes nothing.
func (b *Engine) Status(ctx context.Context) (Status, error) {
	l, _, err := b.docs().lock(ctx)
	if err != nil {
		return Status{}, err
	}
	rec, _, err := b.docs().record(ctx, l.Run)
	if err != nil {
		return Status{}, err
	}
	s, err := b.observer().observe(ctx, rec)
	if err != nil {
		return Status{}, err
	}
	p, err := b.docs().proven(ctx)
	if err != nil {
		return Status{}, err
	}
	st := Status{Group: s.Group.Name, Desired: s.Group.Desired, Saved: s.Group.Templates, Nodes: nodeViews(s), Releases: p.Releases}
	if len(s.Group.Templates) > 0 {
		if pin, ok := s.pin(s.Group.Templates[0]); ok {
			st.Version, st.Manifest = pin.Version, pin.Manifest
		}
	}
	st.Missing = unproven(s, s.Group.Templates)
	st.Proven = len(st.Missing) == 0
	active := s.Foreign
	if s.Refresh != nil && s.Refresh.Active() {
		active = s.Refresh
	}
	if active != nil {
		st.Refresh = &RefreshView{ID: active.ID, Status: active.Status, Percent: active.Percent, Remaining: active.Remaining, Reason: active.Reason}
		st.Foreign = active == s.Foreign
	}
	if l.Run != "" && (rec.Outcome == "" || !l.Expires.IsZero()) {
		st.Lock = &l
	}
	return st, nil
}

// History returns the records of the group's runs, newest first.
func (b *Engine) History(ctx context.Context) ([]Record, error) {
	stats, err := b.o.Store.List(ctx, b.docs().prefix())
	if err != nil {
		return nil, err
	}
	var records []Record
	for _, st := range stats {
		run, ok := strings.CutSuffix(strings.TrimPrefix(st.Name, b.docs().prefix()), "/record.json")
		if !ok {
			continue
		}
		r, _, err := b.docs().record(ctx, run)
		if err != nil {
			return nil, err
		}
		records = append(records, r)
	}
	slices.SortFunc(records, func(a, c Record) int { return c.Started.Compare(a.Started) })
	return records, nil
}
