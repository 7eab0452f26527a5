package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/node"
	"github.com/wpbake/wpbake/rollout/userdata"
	"github.com/wpbake/wpbake/wordpress/database"
)

// Site reaches the database of a group's site by way of one of its nodes.
type Site interface {
	// Database asks, and changes nothing.
	Database(ctx context.Context, instance string) (database.State, error)
	// UpgradeSchema brings the database up to the release with the given
	// manifest, which the node must serve. Asked again it finds what it did.
	UpgradeSchema(ctx context.Context, instance string, manifest artifact.Digest) (node.Schema, error)
}

// Incompatible says that the database has gone where the code to come cannot
// follow. Nothing was changed.
type Incompatible struct {
	Group             string
	Kind              Kind
	Version           artifact.Version
	Incompatibilities []database.Incompatibility // all of them; at least one blocks
}

func (e *Incompatible) Error() string {
	var texts []string
	for _, d := range database.Blocking(e.Incompatibilities) {
		texts = append(texts, fmt.Sprintf("%s %s: %s", d.ID, d.Name, d.Text))
	}
	return fmt.Sprintf("%s of %s to group %q is refused, the database does not go back with the code: %s", e.Kind, e.Version, e.Group, strings.Join(texts, "; "))
}

// Hint says how to go ahead all the same.
func (e *Incompatible) Hint() string {
	fix := database.Blocking(e.Incompatibilities)[0].Fix
	return fix + "; --accept-incompatible goes ahead all the same"
}

// comparison is what was found between what a group serves and a version to
// come. It is found once: asking a database takes a command on a node.
type comparison struct {
	from, to artifact.Digest
	move     *database.Move
}

// compare adds to an observation what stands between the database and the
// release that a plan leads to, and makes sure of what a rollback goes to.
func (b *observer) compare(ctx context.Context, o *Observation, p Plan) error {
	var to *artifact.WordPress
	var err error
	if p.Target != nil {
		if to, err = b.stillThere(ctx, *p.Target); err != nil {
			return fmt.Errorf("going back to %q: %w", p.Target.Version, err)
		}
	}
	if b.o.Site == nil {
		return nil
	}
	from, _ := o.served()
	if last := b.compared; last.move != nil && last.from == from.Manifest && last.to == p.Intent.Manifest {
		o.Move = last.move
		return nil
	}
	if p.Target == nil {
		if to, err = wordpressOf(ctx, p.Intent.storeOr(b.o.Store), p.Intent.Version, p.Intent.Manifest); err != nil {
			return err
		}
	}
	if o.Move, err = b.move(ctx, o, to, p.Intent.Kind); err != nil {
		return err
	}
	b.compared = comparison{from: from.Manifest, to: p.Intent.Manifest, move: o.Move}
	return nil
}

// move is the change of code that is to come, beside the database. What has no
// WordPress in it has nothing to compare.
func (b *observer) move(ctx context.Context, o *Observation, to *artifact.WordPress, k Kind) (*database.Move, error) {
	m := &database.Move{To: to, Back: k == Rollback}
	pin, ok := o.served()
	if to == nil || !ok {
		return m, nil
	}
	var err error
	if m.From, err = wordpressOf(ctx, b.o.Store, pin.Version, pin.Manifest); err != nil {
		b.database().emitter.note("", "what runs now cannot be compared: %v", err)
	}
	before := o.Record // the last that is known of the database under the code that ran until then
	if before.Run != pin.Run {
		if before, _, err = b.docs.record(ctx, pin.Run); err != nil {
			return nil, err
		}
	}
	m.Previous = before.Database
	m.Now = b.database().ask(ctx, o.State)
	return m, nil
}

// stillThere refuses a way back whose template version or artifact is gone
// before the group is touched.
func (b *observer) stillThere(ctx context.Context, t ProvenRelease) (*artifact.WordPress, error) {
	for _, ref := range t.Templates {
		if err := b.pins.exists(ctx, ref); err != nil {
			return nil, err
		}
	}
	m, digest, err := artifact.Find(ctx, b.o.Store, t.Version)
	if err != nil {
		return nil, err
	}
	if digest != t.Manifest {
		return nil, fmt.Errorf("the store holds manifest %s, proven was %s", digest.Short(), t.Manifest.Short())
	}
	return m.WordPress, nil
}

// wordpressOf is what a published version is as WordPress, nil when nobody
// looked.
func wordpressOf(ctx context.Context, store artifact.ReleaseStore, v artifact.Version, want artifact.Digest) (*artifact.WordPress, error) {
	m, digest, err := artifact.Find(ctx, store, v)
	if err != nil {
		return nil, err
	}
	if digest != want {
		return nil, fmt.Errorf("the store holds manifest %s of %q, not %s", digest.Short(), v, want.Short())
	}
	return m.WordPress, nil
}

func (b *observer) database() siteDatabase {
	return siteDatabase{site: b.o.Site, emitter: &emitter{sink: b.o.Events}}
}

// siteDatabase is the site's, as far as nodes reach it.
type siteDatabase struct {
	site    Site
	emitter *emitter
}

// ask asks by way of the nodes in service, one after the other, and tells why
// none could.
func (d siteDatabase) ask(ctx context.Context, s State) *database.State {
	why := errors.New("no node of a release is in service")
	for _, id := range s.reachable("") {
		found, err := d.site.Database(ctx, id)
		if err == nil {
			return &found
		}
		if why = fmt.Errorf("node %s: %w", id, err); ctx.Err() != nil {
			break
		}
	}
	d.emitter.note("", "the database was not asked: %v", why)
	return nil
}

// served is the release that the group's saved template version pins.
func (s State) served() (userdata.Boot, bool) {
	if len(s.Group.Templates) == 0 {
		return userdata.Boot{}, false
	}
	return s.pin(s.Group.Templates[0])
}

// How many nodes are tried before the database counts as out of reach.
const tries = 2

// reachable are nodes in service that have proven a release, or the given one.
func (s State) reachable(manifest artifact.Digest) []string {
	var ids []string
	for _, n := range s.Group.Nodes {
		r, ok := s.Reports[n.ID]
		if n.Lifecycle == "InService" && ok && r.Verdict == node.Good && (manifest == "" || r.Manifest == manifest) {
			ids = append(ids, n.ID)
		}
	}
	slices.Sort(ids)
	return ids[:min(len(ids), tries)]
}
