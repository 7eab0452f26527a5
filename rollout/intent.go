package rollout

import "github.com/wpbake/wpbake/artifact"

// Kind is what a run does.
type Kind string

// The kinds of runs.
const (
	Release  Kind = "release"
	Rollback Kind = "rollback"
)

// OnBusy says what to do while another run holds the group.
type OnBusy string

// What a release does about another one.
const (
	Fail      OnBusy = "fail"      // refuse; the zero value does, too
	Wait      OnBusy = "wait"      // begin when it has ended
	Supersede OnBusy = "supersede" // take its lock over, roll its refresh back, then begin
)

// Intent is what was asked for. Nothing in it was observed.
type Intent struct {
	Kind     Kind
	Version  artifact.Version      // of a rollback: empty means the newest proven one that does not run now
	Manifest artifact.Digest       // empty while the version is not built: then only the group is looked at
	Baked    Baked                 // what a release's template versions carry
	Store    artifact.ReleaseStore // that has the version; nil: the engine's own

	OnBusy             OnBusy
	AcceptIncompatible bool // go ahead although the database cannot go back with the code
	Detach             bool // return once the refresh has started
}

// same reports whether the run that a lock names has the same aim.
func (in Intent) same(l Lock) bool {
	return l.Kind == in.Kind && l.Version == in.Version && (in.Manifest == "" || l.Manifest == in.Manifest)
}

// of is the intent of the run that a lock names.
func (in Intent) of(l Lock) Intent {
	in.Kind, in.Version, in.Manifest = l.Kind, l.Version, l.Manifest
	return in
}

func (in Intent) storeOr(own artifact.ReleaseStore) artifact.ReleaseStore {
	if in.Store != nil {
		return in.Store
	}
	return own
}
