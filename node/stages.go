package node

import (
	"context"
	"fmt"

	"github.com/wpbake/wpbake/artifact"
)

func (b *boot) lockRoot(ctx context.Context) error {
	if err := b.prepare(); err != nil {
		return err
	}
	unlock, err := b.layout.lock(ctx)
	if err != nil {
		return err
	}
	b.unlock = unlock
	return nil
}

// findManifest reads the version's manifest and refuses any but the pinned.
func (b *boot) findManifest(ctx context.Context) error {
	_, d, err := artifact.Find(ctx, b.Store, b.Version)
	if err != nil {
		return err
	}
	if d != b.Manifest {
		return fmt.Errorf("version %q has manifest %s in the store, the template pins %s", b.Version, d, b.Manifest)
	}
	return nil
}

func (b *boot) switchOver(context.Context) error {
	if err := b.point(b.Manifest); err != nil {
		return err
	}
	b.report.Manifest = b.Manifest
	return nil
}

func (b *boot) writeEnvironment(ctx context.Context) error {
	env, err := readEnvironment(ctx, b.Parameters, b.Config.Environment.Path)
	if err != nil {
		return err
	}
	b.secrets = env.redactor()
	if b.Config.Environment.CacheSalt == CacheSaltRelease {
		env.saltCache(b.Manifest)
	}
	return writeFile(b.Config.Environment.File, env.bytes(), 0o600)
}

func (b *boot) runHooks(ctx context.Context) error {
	return runCommands(ctx, b.Config.Hooks, b.Config.CommandTimeout, b.variables())
}

func (b *boot) runServices(ctx context.Context) error {
	return runCommands(ctx, b.Config.Services, b.Config.CommandTimeout, b.variables())
}

// variables is what hooks and service commands are told. The environment's
// values are not among them: a command that needs them reads the file.
func (b *boot) variables() []string {
	return []string{
		"WPBAKE_VERSION=" + string(b.Version),
		"WPBAKE_MANIFEST=" + string(b.Manifest),
		"WPBAKE_RELEASE=" + b.layout.release(b.Manifest),
		"WPBAKE_CURRENT=" + b.layout.current(),
		"WPBAKE_ENVIRONMENT=" + b.Config.Environment.File,
		"WPBAKE_INSTANCE=" + b.report.Instance,
		"WPBAKE_GROUP=" + b.Group,
	}
}

func (b *boot) warmUp(ctx context.Context) error {
	b.report.Warm = b.browser.warm(ctx, b.Config.Warm)
	for i := range b.report.Warm {
		w := &b.report.Warm[i]
		w.Error = b.line(w.Error)
		if failed := w.failure(); failed != "" {
			b.say("%s", failed)
			b.report.Errors = append(b.report.Errors, failed)
		}
	}
	b.warmed = len(b.report.Errors)
	return ctx.Err()
}

func (b *boot) passGate(ctx context.Context) error {
	err := b.browser.pass(ctx, b.Manifest)
	if err == nil {
		b.lookAtOpcache(ctx)
		b.lookAtDatabase(ctx)
		return b.guardUpgrade(ctx)
	}
	if ctx.Err() != nil {
		return err
	}
	if _, fatal := phpErrors(b.logs.read()); fatal != "" {
		b.say("gate: %s", b.line(err.Error()))
		return &phpFailure{fatal, err}
	}
	return err
}

// phpFailure is a gate's objection whose reason PHP wrote down.
type phpFailure struct {
	fatal     string
	objection error
}

func (e *phpFailure) Error() string { return e.fatal }

// Unwrap returns the gate's objection.
func (e *phpFailure) Unwrap() error { return e.objection }
