package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/wpbake/wpbake/rollout"
)

// templates answers the first Create with an error, after it took effect.
type templates struct {
	rollout.Templates
	err error
}

func (t *templates) Create(ctx context.Context, n rollout.NewTemplateVersion) (rollout.TemplateVersion, error) {
	v, err := t.Templates.Create(ctx, n)
	if err == nil && t.err != nil {
		v, err, t.err = rollout.TemplateVersion{}, t.err, nil
	}
	return v, err
}

// A template version whose answer was lost is found again and compared; one
// that AWS warned of is never used, not even by the same command again.
func TestCreateAnsweredWithAnError(t *testing.T) {
	for name, tt := range map[string]struct {
		err      error
		versions int
		outcomes []rollout.Outcome
	}{
		"lost": {errors.New("connection reset"), 1, []rollout.Outcome{rollout.Released}},
		"bad":  {fmt.Errorf("calling CreateLaunchTemplateVersion: %w", rollout.ErrBadTemplate), 2, []rollout.Outcome{rollout.Released, rollout.Abandoned}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 3)
				digest := w.publish("v1")
				before := w.templateVersions()
				cloud := w.clients.Cloud()
				cloud.Templates = &templates{cloud.Templates, tt.err}
				if _, err := w.engine(rollout.Options{Cloud: cloud}).Release(w.ctx, to("v1", digest)); !errors.Is(err, tt.err) {
					t.Fatalf("got %v", err)
				}
				if w.refreshes() != 0 {
					t.Error("a refresh was started")
				}
				wait(w.ctx, 1) // so that runs do not begin at the same time
				if res, err := w.engine(rollout.Options{Cloud: cloud}).Release(w.ctx, to("v1", digest)); err != nil || res.Outcome != rollout.Released {
					t.Fatalf("again: %+v, %v", res, err)
				}
				if n := w.templateVersions() - before; n != tt.versions {
					t.Errorf("%d template versions were made", n)
				}
				if got := w.outcomes(); !slices.Equal(got, tt.outcomes) {
					t.Errorf("outcomes %v", got)
				}
			})
		})
	}
}
