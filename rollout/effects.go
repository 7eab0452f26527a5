package rollout

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
)

// makeTemplate adds a version to one of the group's templates: the data of
// the base version with this release's boot part in its user data.
func (r *run) makeTemplate(ctx context.Context, s State, t TemplateRef) error {
	from, err := baseOf(r.rec, t)
	if err != nil {
		return err
	}
	base, err := r.b.o.Cloud.Templates.Version(ctx, from)
	if err != nil {
		return err
	}
	boot := Boot{
		Store: r.b.o.StoreURL, Version: r.rec.Version, Manifest: r.rec.Manifest,
		Group: r.rec.Group, Run: r.rec.Run, Hook: HookName,
	}
	if v := r.rec.Volume; v != nil {
		boot.Volume, boot.Image = v.Snapshot, v.Image
	}
	data, err := ComposeUserData(base.UserData, boot)
	if err != nil {
		return err
	}
	before, err := r.madeBefore(ctx, t.ID)
	if err != nil {
		return err
	}
	earlier, _ := ParseBoot(base.UserData) // the zero Boot has no volume
	made, err := r.b.o.Cloud.Templates.Create(ctx, NewTemplateVersion{
		From: from, Made: before, UserData: data, Image: r.rec.Image, Volume: r.rec.Volume, Drop: earlier.Volume,
		Description: describe(r.rec), Token: token(r.rec.Run, t.ID),
	})
	if errors.Is(err, ErrBadTemplate) {
		// The next run makes its own: continuing this one would find the bad
		// version by its description.
		if eerr := r.end(ctx, Abandoned, err.Error()); eerr != nil {
			return eerr
		}
	}
	if err != nil {
		return err
	}
	r.observer.made = append(r.observer.made, made.TemplateRef)
	return nil
}

// madeBefore finds the run's version of a template by its description: the
// answer to an earlier call was lost, or the process that made it died.
func (r *run) madeBefore(ctx context.Context, templateID string) (TemplateRef, error) {
	versions, err := r.b.o.Cloud.Templates.Versions(ctx, templateID)
	if err != nil {
		return TemplateRef{}, err
	}
	for _, v := range versions {
		if v.Description == describe(r.rec) {
			return v.TemplateRef, nil
		}
	}
	return TemplateRef{}, nil
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

func (r *run) startRefresh(ctx context.Context, s State) (Result, bool, error) {
	if r.rec.Kind == Release && sameTemplates(s.Group.Templates, s.Templates) && len(unproven(s, s.Templates)) == 0 {
		if s.Asks && r.rec.wantsSchema() {
			return Result{}, false, r.upgradeSchema(ctx, s)
		}
		res, err := r.finish(ctx, s, Action{Verb: Finish, Outcome: Released})
		return res, err == nil, err
	}
	if err := r.fence(ctx); err != nil {
		return Result{}, false, err
	}
	whole, cancel := withoutCancel(ctx)
	defer cancel()
	id, err := r.b.o.Cloud.Refreshes.Start(whole, NewRefresh{
		Group: r.rec.Group, Templates: s.Templates, Preferences: preferencesFor(s.Group, r.b.o.Refresh),
	})
	if errors.Is(err, ErrRefreshActive) {
		return Result{}, false, pause(ctx, r.b.o.Poll) // the next look tells whose it is
	}
	if err != nil {
		return Result{}, false, r.doubtStart(whole, err)
	}
	return Result{}, false, r.record(whole, StepRefresh, func(rec *Record) { rec.Refresh = id })
}

// doubtStart asks whether a start that was answered with an error happened all
// the same: an error can stand for an answer that was lost.
func (r *run) doubtStart(ctx context.Context, err error) error {
	refreshes, lerr := r.b.o.Cloud.Refreshes.Refreshes(ctx, r.rec.Group)
	if lerr != nil {
		return &Unattended{Run: r.rec.Run, Err: err, Unsure: true}
	}
	if f := r.rec.find(refreshes); f != nil {
		return r.record(ctx, StepRefresh, func(rec *Record) { rec.Refresh = f.ID })
	}
	return err
}

// withoutCancel is a context for an effect and its record, which an interrupt must not
// part: nobody could say then whether the group was touched.
func withoutCancel(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
}

// startRollback saves what can be seen of the bad node and tells AWS to go back.
func (r *run) startRollback(ctx context.Context, s State, a Action) error {
	if err := r.fence(ctx); err != nil {
		return err
	}
	if !r.rec.Has(StepVerdict) || r.rec.Cause == "" {
		r.saveEvidence(ctx, s, a)
		err := r.record(ctx, StepVerdict, func(rec *Record) { rec.Cause, rec.BadNode = a.Cause, a.Node })
		if err != nil {
			return err
		}
		r.b.emit(Event{Kind: "verdict", Run: r.rec.Run, Version: r.rec.Version, Text: "bad: " + a.Cause})
	}
	whole, cancel := withoutCancel(ctx)
	defer cancel()
	err := r.b.o.Cloud.Refreshes.Rollback(whole, r.rec.Group)
	switch {
	case errors.Is(err, ErrNoRefresh):
		return pause(ctx, r.b.o.Poll) // it ended or turned back meanwhile: the next look tells
	case errors.Is(err, ErrIrreversible):
		return &InterventionRequired{Run: r.rec.Run, Text: "the release is bad (" + a.Cause + ") and AWS will not roll the refresh back",
			Fix: "aws autoscaling cancel-instance-refresh, then wpbake rollback"}
	case err != nil:
		return err
	}
	return r.record(whole, StepRollback, func(*Record) {})
}

// fence makes sure of the lock right before an effect that cannot be guarded
// by a condition.
func (r *run) fence(ctx context.Context) error {
	l, _, err := r.docs.lock(ctx)
	if err != nil {
		return err
	}
	if l.Fence != r.lease.lock.Fence {
		return &LeaseLost{Run: r.rec.Run, By: l}
	}
	return nil
}

// finish writes the list of proven releases, the outcome and frees the lock,
// in this order: each can be repeated.
func (r *run) finish(ctx context.Context, s State, a Action) (Result, error) {
	if a.Outcome == Abandoned {
		if err := r.end(ctx, Abandoned, a.Cause); err != nil {
			return Result{}, err
		}
		return Result{}, &FailedUntouched{Run: r.rec.Run, Cause: a.Cause, Fix: a.Fix}
	}
	if a.Outcome == RolledBack {
		r.leftBehind(ctx, s)
	}
	if err := r.prove(ctx, s, a.Outcome); err != nil {
		return Result{}, err
	}
	res := r.result(s, a)
	return res, r.end(ctx, a.Outcome, r.rec.Cause)
}

// prove writes the list of proven releases, once for a run.
func (r *run) prove(ctx context.Context, s State, o Outcome) error {
	if r.rec.Has(StepProven) {
		return nil
	}
	if err := r.writeProven(ctx, s, o); err != nil {
		return err
	}
	return r.record(ctx, StepProven, func(*Record) {})
}

func (r *run) writeProven(ctx context.Context, s State, o Outcome) error {
	now := time.Now().UTC()
	_, err := revise(ctx, r.docs, r.docs.provenName(), func(p Proven) Proven {
		p.Format = 1
		if o == RolledBack {
			return p
		}
		if pin, ok := s.basePin(); ok && r.rec.Kind == Rollback && pin.Manifest != r.rec.Manifest {
			p = p.withdrawing(pin.Manifest, now)
		}
		return p.with(ProvenRelease{
			Version: r.rec.Version, Manifest: r.rec.Manifest, Run: s.runOfTarget(),
			Templates: s.Templates, Proven: now,
		})
	})
	return err
}

func (r *run) end(ctx context.Context, o Outcome, cause string) error {
	err := r.record(ctx, StepDone, func(rec *Record) {
		rec.Outcome, rec.Cause, rec.Ended = o, cause, time.Now().UTC()
	})
	if err != nil {
		return err
	}
	r.free(ctx)
	return nil
}

// free gives the lock back. What the run has to say stands in its record, so a
// lock that stays until its lease ends is only told.
func (r *run) free(ctx context.Context) {
	if r.lease.lock.Expires.IsZero() {
		return
	}
	var lost *LeaseLost
	if err := r.lease.free(ctx); err != nil && !errors.As(err, &lost) {
		r.b.emit(Event{Kind: "note", Run: r.rec.Run, Text: fmt.Sprintf("the lock stays until %s: %v", r.lease.lock.Expires.Format("15:04:05"), err)})
	}
}

// giveUp asks for a person. A run that waiting cannot mend ends; another stays
// open, so that resume can go on once a person has put things right.
func (r *run) giveUp(ctx context.Context, a Action) error {
	text := a.Text
	if a.Cause != "" {
		text += " (the release was bad: " + a.Cause + ")"
	}
	if a.Outcome != "" {
		if err := r.end(ctx, a.Outcome, text); err != nil {
			return err
		}
	}
	return &InterventionRequired{Run: r.rec.Run, Text: text, Fix: a.Fix}
}

func (r *run) result(s State, a Action) Result {
	ended := r.rec.Ended
	if ended.IsZero() {
		ended = time.Now()
	}
	res := Result{
		Outcome: a.Outcome, Kind: r.rec.Kind, Group: r.rec.Group, Run: r.rec.Run,
		Version: r.rec.Version, Manifest: r.rec.Manifest, Templates: s.Templates, Refresh: r.rec.Refresh,
		Nodes: provenNodes(s.Group), Cause: r.rec.Cause, BadNode: r.rec.BadNode,
		Incompatibilities: r.rec.Incompatibilities, Schema: r.rec.Schema, Snapshot: r.rec.Snapshot,
		Seconds: ended.Sub(r.rec.Started).Seconds(),
	}
	switch a.Outcome {
	case Released, UpToDate:
		res.Serving = r.rec.Version
	case RolledBack:
		if p, ok := s.basePin(); ok {
			res.Serving = p.Version
		}
		res.Evidence = r.docs.evidence(r.rec.Run)
	}
	return res
}
