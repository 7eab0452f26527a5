package node

import (
	"context"
	"fmt"

	"github.com/wpbake/wpbake/node/disk"
)

// Failed says at which stage a boot ended.
type Failed struct {
	Stage string
	Cause string // one line, as in the report
	err   error
}

func (e *Failed) Error() string { return fmt.Sprintf("booting: %s: %s", e.Stage, e.Cause) }

// Unwrap returns the stage's own error.
func (e *Failed) Unwrap() error { return e.err }

// boot is one run of Boot: what outlives a single stage of it.
type boot struct {
	options Options
	disk    disk.Disk
	journal *journal
	lock    *rootLock
	hook    launchHook
}

// stage is one step of a boot.
type stage struct {
	name string
	run  func(ctx context.Context) error
	skip bool // the configuration asks for nothing
}

// Boot brings the node to the release that Options pins, proves it, reports to
// the store and tells the lifecycle hook CONTINUE. After any failure it
// reports and tells ABANDON, and the error is a *Failed. That the hook cannot
// be told who asks is the one exception: without an instance id the hook's
// own timeout abandons.
func Boot(ctx context.Context, o Options) (Report, error) {
	if err := o.Validate(); err != nil {
		return Refuse(ctx, o, err)
	}
	b := newBoot(o)
	defer b.lock.release()
	within, cancel := context.WithTimeout(ctx, o.Config.Timeout)
	defer cancel()
	if err := b.journal.run(within, b.identity()); err != nil {
		return b.fail(ctx, "identity", err)
	}
	defer b.hook.heartbeat(ctx)()
	for _, s := range b.stages() {
		if s.skip {
			continue
		}
		if err := b.journal.run(within, s); err != nil {
			return b.fail(ctx, s.name, err)
		}
	}
	b.remember()
	return b.journal.report, nil
}

// Refuse ends a boot that could not begin, such as for a configuration that
// cannot be read: it reports cause and tells ABANDON, as far as Options has the
// means.
func Refuse(ctx context.Context, o Options, cause error) (Report, error) {
	b := newBoot(o)
	if o.Metadata != nil {
		if err := b.journal.run(ctx, b.identity()); err != nil {
			b.journal.say("%v", err)
		}
	}
	return b.fail(ctx, "config", cause)
}

func newBoot(o Options) *boot {
	d, j := disk.At(o.Config.Root), newJournal(o)
	return &boot{
		options: o, disk: d, journal: j,
		lock: &rootLock{disk: d},
		hook: launchHook{lifecycle: o.Lifecycle, journal: j, group: o.Group, name: o.Hook},
	}
}

func (b *boot) identity() stage {
	return stage{name: "identity", run: identity{b.options.Metadata, b.journal}.find}
}

// stages are what happens once the node knows who it is, in this order.
func (b *boot) stages() []stage {
	o, c, j := b.options, b.options.Config, b.journal
	pinned := &release{store: o.Store, version: o.Version, digest: o.Manifest}
	source := content{release: pinned, disk: b.disk, as: c.As, volume: o.Volume, journal: j}
	current := docroot{disk: b.disk, digest: o.Manifest, journal: j}
	variables := environmentFile{parameters: o.Parameters, config: c.Environment, digest: o.Manifest, journal: j}
	web := newBrowser(c.Gate)
	gate := proof{browser: web, digest: o.Manifest, config: c, disk: b.disk, journal: j}
	return []stage{
		{name: "lock", run: b.lock.take},
		{name: "manifest", run: pinned.find},
		{name: "fetch", run: source.fetch},
		{name: "switch", run: current.point},
		{name: "environment", run: variables.write, skip: c.Environment.Path == ""},
		{name: "hooks", run: b.commands(c.Hooks).run, skip: len(c.Hooks) == 0},
		{name: "services", run: b.commands(c.Services).run, skip: len(c.Services) == 0},
		{name: "warm", run: warmUp{browser: web, paths: c.Warm, journal: j}.run, skip: len(c.Warm) == 0},
		{name: "gate", run: gate.pass},
		{name: "report", run: b.reportGood},
		{name: "lifecycle", run: b.continueLaunch},
	}
}

// commands are hooks or services with what they are told. The environment's
// values are not among it: a command that needs them reads the file.
func (b *boot) commands(list [][]string) commands {
	return commands{list: list, timeout: b.options.Config.CommandTimeout, variables: []string{
		"WPBAKE_VERSION=" + string(b.options.Version),
		"WPBAKE_MANIFEST=" + string(b.options.Manifest),
		"WPBAKE_RELEASE=" + b.disk.Release(b.options.Manifest).Dir(),
		"WPBAKE_CURRENT=" + b.disk.Current(),
		"WPBAKE_ENVIRONMENT=" + b.options.Config.Environment.File,
		"WPBAKE_INSTANCE=" + b.journal.report.Instance,
		"WPBAKE_GROUP=" + b.options.Group,
	}}
}
