// Package inventory decides what may go of the things that wpbake made in an
// account: what a dead bake left unfinished, and finished images and release
// volumes that nothing needs any more. It knows tags, states and who refers to
// what; it refuses to know how a thing is found or removed, and it never takes
// for wpbake's what does not carry its tags.
package inventory

import (
	"context"
	"fmt"
	"time"

	"github.com/wpbake/wpbake/internal/owner"
)

// Kind is a kind of thing in an account.
type Kind string

// The kinds, in the order in which they can be removed: what comes earlier can
// hold what comes later.
const (
	Instance      Kind = "instance"
	Image         Kind = "image"
	Snapshot      Kind = "snapshot"
	Volume        Kind = "volume"
	SecurityGroup Kind = "security group"
	KeyPair       Kind = "key pair"
	Upload        Kind = "upload" // to the store, unfinished
)

// Kinds are those that carry tags, in the order in which they can be removed.
func Kinds() []Kind { return []Kind{Instance, Image, Snapshot, Volume, SecurityGroup, KeyPair} }

// Resource is a thing in an account.
type Resource struct {
	Kind    Kind
	ID      string
	Name    string // where there is one: of a key pair, group or image, or the key of an upload
	State   string // as AWS calls it; empty where it has no word
	Tags    map[string]string
	Created time.Time // zero where AWS does not tell
	Within  []string  // what holds it: instances a volume, images a snapshot
}

// Account is where things are, in one region.
type Account interface {
	// Unfinished lists what there is of a kind that carries TagRun. Snapshots
	// and images that are finished, and instances that have ended, are left out.
	Unfinished(ctx context.Context, kind Kind) ([]Resource, error)
	// Remove removes a thing; one that is gone is no error. An instance is
	// only told to end.
	Remove(ctx context.Context, r Resource) error
	// Ended returns once an instance has ended or is gone.
	Ended(ctx context.Context, id string) error
}

// Verdict is what becomes of a thing, and why.
type Verdict struct {
	Resource
	Remove bool
	Reason string
	Err    error // it was to be removed, and is perhaps still there
}

// Judge says what is dead.
type Judge struct {
	Now     time.Time
	Alive   func(owner.Holder) bool // false only for a process that is known to be gone
	Uploads time.Duration           // how long an upload may take
}

// groupTag is how Auto Scaling marks a node.
const groupTag = "aws:autoscaling:groupName"

// Dead judges one thing by itself.
func (j Judge) Dead(r Resource) Verdict {
	v := Verdict{Resource: r}
	v.Remove, v.Reason = j.dead(r)
	return v
}

func (j Judge) dead(r Resource) (bool, string) {
	if r.Kind == Upload {
		age := j.Now.Sub(r.Created)
		if age > j.Uploads {
			return true, fmt.Sprintf("began %s ago and was never finished", spent(age))
		}
		return false, fmt.Sprintf("began %s ago; one may take %s", spent(age), spent(j.Uploads))
	}
	run := r.Tags[owner.TagRun]
	switch {
	case run == "":
		return false, "has no tag " + owner.TagRun
	case r.Tags[groupTag] != "":
		return false, fmt.Sprintf("is a node of group %q", r.Tags[groupTag])
	case finished(r):
		return false, "is finished; wpbake gc knows whether anything needs it"
	}
	expires, err := time.Parse(time.RFC3339, r.Tags[owner.TagExpires])
	if err == nil && j.Now.After(expires) {
		return true, fmt.Sprintf("run %s ended at the latest %s ago", run, spent(j.Now.Sub(expires)))
	}
	if h := owner.ParseHolder(r.Tags[owner.TagHolder]); h.PID != 0 && !j.Alive(h) {
		return true, fmt.Sprintf("run %s is dead: process %d of this machine is gone", run, h.PID)
	}
	if err != nil {
		return false, fmt.Sprintf("run %s does not say when it ends: tag %s is %q", run, owner.TagExpires, r.Tags[owner.TagExpires])
	}
	return false, fmt.Sprintf("run %s may go on until %s", run, expires.UTC().Format(time.RFC3339))
}

func finished(r Resource) bool {
	return r.Kind == Snapshot && r.State == "completed" || r.Kind == Image && r.State == "available"
}

// spent is a time span in a unit that fits it.
func spent(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dd", d/(24*time.Hour))
}
