package rollout

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/node"
	"github.com/wpbake/wpbake/rollout/userdata"
)

// makeTemplate adds a version to one of the group's templates: the data of
// the base version with this release's boot part in its user data.
func (r *run) makeTemplate(ctx context.Context, t TemplateRef) error {
	rec := r.journal.rec
	from, err := baseOf(rec, t)
	if err != nil {
		return err
	}
	base, err := r.o.Cloud.Templates.Version(ctx, from)
	if err != nil {
		return err
	}
	boot := userdata.Boot{
		Store: r.o.StoreURL, Version: rec.Version, Manifest: rec.Manifest,
		Group: rec.Group, Run: rec.Run, Hook: HookName,
	}
	if v := rec.Volume; v != nil {
		boot.Volume, boot.Image = v.Snapshot, v.Image
	}
	data, err := userdata.Compose(base.UserData, boot)
	if err != nil {
		return err
	}
	before, err := r.madeBefore(ctx, t.ID)
	if err != nil {
		return err
	}
	earlier, _ := userdata.ParseBoot(base.UserData) // the zero Boot has no volume
	made, err := r.o.Cloud.Templates.Create(ctx, NewTemplateVersion{
		From: from, Made: before, UserData: data, Image: rec.Image, Volume: rec.Volume, Drop: earlier.Volume,
		Description: describe(rec), Token: token(rec.Run, t.ID),
	})
	if errors.Is(err, ErrBadTemplate) {
		// The next run makes its own: continuing this one would find the bad
		// version by its description.
		if eerr := r.journal.end(ctx, Abandoned, err.Error()); eerr != nil {
			return eerr
		}
	}
	if err != nil {
		return err
	}
	r.obs.made = append(r.obs.made, made.TemplateRef)
	return nil
}

// madeBefore finds the run's version of a template by its description: the
// answer to an earlier call was lost, or the process that made it died.
func (r *run) madeBefore(ctx context.Context, templateID string) (TemplateRef, error) {
	versions, err := r.o.Cloud.Templates.Versions(ctx, templateID)
	if err != nil {
		return TemplateRef{}, err
	}
	for _, v := range versions {
		if v.Description == describe(r.journal.rec) {
			return v.TemplateRef, nil
		}
	}
	return TemplateRef{}, nil
}

// describe is a template version's description: what the version pins and
// which run made it. AWS cannot tag versions.
func describe(r Record) string {
	return fmt.Sprintf("wpbake %s %s run=%s", r.Version, r.Manifest, r.Run)
}

func baseOf(rec Record, t TemplateRef) (TemplateRef, error) {
	for _, base := range rec.Base {
		if base.ID == t.ID {
			return base, nil
		}
	}
	return TemplateRef{}, fmt.Errorf("making a version of launch template %q: it is not one of the group's", t.ID)
}

// token makes AWS answer a repeated call with the version of the first.
func token(run, templateID string) string {
	sum := sha256.Sum256([]byte(run + " " + templateID))
	return hex.EncodeToString(sum[:16])
}

func (r *run) startRefresh(ctx context.Context, s State) (*Result, error) {
	rec := r.journal.rec
	if rec.Kind == Release && sameTemplates(s.Group.Templates, s.Templates) && len(unproven(s, s.Templates)) == 0 {
		if s.Asks && rec.wantsSchema() {
			return nil, r.schema.upgrade(ctx, s)
		}
		return r.finish(ctx, s, Action{Verb: Finish, Outcome: Released})
	}
	if err := r.journal.lease.fence(ctx); err != nil {
		return nil, err
	}
	whole, cancel := withoutCancel(ctx)
	defer cancel()
	options := r.o.Refresh
	if rec.Kind == Rollback {
		options.Alarms = nil // they may ring because of what is gone back from
	}
	id, err := r.o.Cloud.Refreshes.Start(whole, NewRefresh{
		Group: rec.Group, Templates: s.Templates, Preferences: preferencesFor(s.Group, options),
	})
	if errors.Is(err, ErrRefreshActive) {
		return nil, pause(ctx, r.o.Poll) // the next observation tells whose it is
	}
	if err != nil {
		return nil, r.doubtStart(whole, err)
	}
	return nil, r.journal.write(whole, StepRefresh, func(rec *Record) { rec.Refresh = id })
}

// doubtStart asks whether a start that was answered with an error happened all
// the same: an error can stand for an answer that was lost.
func (r *run) doubtStart(ctx context.Context, err error) error {
	rec := r.journal.rec
	refreshes, lerr := r.o.Cloud.Refreshes.Refreshes(ctx, rec.Group)
	if lerr != nil {
		return &Unattended{Run: rec.Run, Err: err, Unsure: true}
	}
	if f := rec.find(refreshes); f != nil {
		return r.journal.write(ctx, StepRefresh, func(rec *Record) { rec.Refresh = f.ID })
	}
	return err
}

// startRollback saves what can be seen of the bad node and tells AWS to go
// back.
func (r *run) startRollback(ctx context.Context, s State, a Action) error {
	j := r.journal
	if err := j.lease.fence(ctx); err != nil {
		return err
	}
	if !j.rec.Has(StepVerdict) || j.rec.Cause == "" {
		r.saveEvidence(ctx, s, a)
		err := j.write(ctx, StepVerdict, func(rec *Record) { rec.Cause, rec.BadNode = a.Cause, a.Node })
		if err != nil {
			return err
		}
		r.emitter.emit(Event{Kind: "verdict", Run: j.rec.Run, Version: j.rec.Version, Text: "bad: " + a.Cause})
	}
	whole, cancel := withoutCancel(ctx)
	defer cancel()
	err := r.o.Cloud.Refreshes.Rollback(whole, j.rec.Group)
	switch {
	case errors.Is(err, ErrNoRefresh):
		return pause(ctx, r.o.Poll) // it ended or turned back meanwhile: the next observation tells
	case errors.Is(err, ErrIrreversible):
		return &InterventionRequired{Run: j.rec.Run, Text: "the release is bad (" + a.Cause + ") and AWS will not roll the refresh back",
			Fix: "aws autoscaling cancel-instance-refresh, then wpbake rollback"}
	case err != nil:
		return err
	}
	return j.mark(whole, StepRollback)
}

// finish writes the list of proven releases, the outcome and frees the lock,
// in this order: each can be repeated.
func (r *run) finish(ctx context.Context, s State, a Action) (*Result, error) {
	j := r.journal
	if a.Outcome == Abandoned {
		if err := j.end(ctx, Abandoned, a.Cause); err != nil {
			return nil, err
		}
		return nil, &FailedUntouched{Run: j.rec.Run, Cause: a.Cause, Fix: a.Fix}
	}
	if a.Outcome == RolledBack {
		r.schema.leftBehind(ctx, s)
	}
	if err := j.prove(ctx, s, a.Outcome); err != nil {
		return nil, err
	}
	s.Record = j.rec
	res := resultOf(s, a.Outcome)
	return &res, j.end(ctx, a.Outcome, j.rec.Cause)
}

// giveUp asks for a person. A run that waiting cannot mend ends; another stays
// open, so that resume can go on once a person has put things right.
func (r *run) giveUp(ctx context.Context, a Action) error {
	text := a.Text
	if a.Cause != "" {
		text += " (the release was bad: " + a.Cause + ")"
	}
	if a.Outcome != "" {
		if err := r.journal.end(ctx, a.Outcome, text); err != nil {
			return err
		}
	}
	return &InterventionRequired{Run: r.journal.rec.Run, Text: text, Fix: a.Fix}
}

// Evidence is what is saved of a node before its refresh is rolled back: soon
// afterwards AWS has terminated it.
type Evidence struct {
	Format     int          `json:"format"`
	Run        string       `json:"run"`
	Cause      string       `json:"cause"`
	Node       *Node        `json:"node,omitempty"`
	Report     *node.Report `json:"report,omitempty"`
	Targets    []Target     `json:"targets,omitempty"`
	Console    string       `json:"console,omitempty"`
	Activities []Activity   `json:"activities,omitempty"`
	Saved      time.Time    `json:"saved"`
}

// saveEvidence tells when it cannot: evidence must not be in the way of going
// back.
func (r *run) saveEvidence(ctx context.Context, s State, a Action) {
	e := Evidence{Format: 1, Run: r.journal.rec.Run, Cause: a.Cause, Activities: s.Activities, Saved: time.Now().UTC()}
	name := "refresh.json"
	if a.Node != "" {
		name = a.Node + ".json"
		e.Targets = s.Targets[a.Node]
		if rep, ok := s.Reports[a.Node]; ok {
			e.Report = &rep
		}
		for _, n := range s.Group.Nodes {
			if n.ID == a.Node {
				e.Node = &n
			}
		}
		// Console output is a courtesy of AWS and often not there yet.
		if out, err := r.o.Cloud.Fleet.Console(ctx, a.Node); err == nil {
			e.Console = out
		}
	}
	if _, err := r.journal.docs.write(ctx, evidenceFolder(r.journal.rec.Group, r.journal.rec.Run)+name, e, artifact.Condition{}); err != nil {
		r.emitter.note(r.journal.rec.Run, "saving evidence: %v", err)
	}
}
