package node

import (
	"errors"
	"io"
	"strings"

	"github.com/wpbake/wpbake/artifact"
)

// Options says what to boot. Store, Config, Version, Manifest, Group, Run and
// Metadata are required.
type Options struct {
	Store    artifact.Store
	Config   Config
	Version  artifact.Version
	Manifest artifact.Digest // the release's identity: nothing else is served
	Group    string          // Auto Scaling group, as AWS names it
	Run      string          // rollout that wrote the user data
	Hook     string          // lifecycle hook; empty when a person boots by hand, then nobody is told
	Volume   Volume          // that may hold the release already

	Metadata   Metadata
	Lifecycle  Lifecycle  // required with Hook
	Parameters Parameters // required when Config has an environment path

	Log io.Writer // one line a stage, for the console; nil keeps silent
}

// Validate reports the first thing missing or contradictory.
func (o Options) Validate() error {
	if _, err := artifact.ParseVersion(string(o.Version)); err != nil {
		return err
	}
	if _, err := artifact.ParseDigest(string(o.Manifest)); err != nil {
		return err
	}
	if o.Volume.Snapshot != "" {
		if _, err := artifact.ParseDigest(string(o.Volume.Image)); err != nil {
			return err
		}
	}
	switch {
	case o.Store == nil:
		return errors.New("booting needs a store")
	case o.Metadata == nil:
		return errors.New("booting needs instance metadata")
	case o.Group == "":
		return errors.New("booting needs the group's name")
	case o.Run == "" || strings.ContainsAny(o.Run, "/\\"):
		return errors.New("booting needs the run: one word without slashes")
	case o.Hook != "" && o.Lifecycle == nil:
		return errors.New("telling a lifecycle hook needs a lifecycle client")
	case o.Config.Environment.Path != "" && o.Parameters == nil:
		return errors.New("an environment path needs a parameter client")
	}
	return o.Config.Validate()
}
