package rollout

import (
	"context"
	"fmt"
	"time"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/internal/owner"
)

// Options make an Engine. Zero durations mean the defaults named here.
type Options struct {
	Cloud    Cloud
	Store    artifact.Store
	StoreURL string // as nodes open it, such as s3://bucket/prefix
	Group    string

	Refresh   RefreshOptions
	FirstNode time.Duration // how long the first new node may take to prove itself; 15 minutes
	Settle    time.Duration // how long the proof may lag behind the refresh; 5 minutes
	Poll      time.Duration // between observations; 10 seconds
	Lease     time.Duration // of the lock, renewed all the time; 2 minutes

	Site     Site                                                // reaches the database; nil: nobody asks it
	Snapshot func(ctx context.Context, r Record) (string, error) // saves the database before a schema step and names what it made; may be nil

	Holder owner.Holder            // who takes the lock
	Alive  func(owner.Holder) bool // false only when that holder is surely gone; nil: nobody is known to be gone

	Events    func(Event) // told of each change, in order; may be nil
	AfterStep func(Step)  // called once a step stands in the store; may be nil
}

// complete checks options and fills in defaults.
func (o *Options) complete() error {
	if o.Group == "" {
		return fmt.Errorf("making a release: no group")
	}
	if o.Store == nil {
		return fmt.Errorf("making a release: no store")
	}
	o.FirstNode = orDefault(o.FirstNode, 15*time.Minute)
	o.Settle = orDefault(o.Settle, 5*time.Minute)
	o.Poll = orDefault(o.Poll, 10*time.Second)
	o.Lease = orDefault(o.Lease, 2*time.Minute)
	if o.Alive == nil {
		o.Alive = func(owner.Holder) bool { return true }
	}
	if o.Events == nil {
		o.Events = func(Event) {}
	}
	if o.AfterStep == nil {
		o.AfterStep = func(Step) {}
	}
	return nil
}

func orDefault(d, fallback time.Duration) time.Duration {
	if d == 0 {
		return fallback
	}
	return d
}
