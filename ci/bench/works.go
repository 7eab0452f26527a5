package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// peers are shell lines; $0 is a corpus's tree, $1 what to write or read.
const (
	tarZstd   = `tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -C "$0" -cf - . | zstd -q -f -T0 -3 -o "$1"`
	tarUnpack = `mkdir -p "$0" && tar --zstd -xf "$1" -C "$0" && sync -f "$0"`
)

func shell(line string, args ...string) []string {
	return append([]string{"sh", "-c", line}, args...)
}

// works lists what is measured, in order: later works use what earlier ones
// made.
func works(o options, c corpus, scratch string) []work {
	b := bench{options: o, corpus: c, scratch: scratch}
	return []work{b.cold(), b.unchanged(), b.nextVersion(), b.oneFile(), b.freshCheckout(), b.fetch()}
}

// bench names the files of one corpus's works.
type bench struct {
	options
	corpus  corpus
	scratch string
}

func (b bench) out(name string) string { return filepath.Join(b.scratch, name) }

func (b bench) build(version, out, cache string) []string {
	return []string{b.wpbake, "build", version, "--quiet", "--tree", b.corpus.Tree, "--out", b.out(out), "--cache", cache}
}

// remembering builds with a cache that the round before has filled.
func (b bench) remembering(version string) []string {
	return b.build(version, "remembered", b.out("cache"))
}

func (b bench) tar(int) []string { return shell(tarZstd, b.corpus.Tree, b.out("peer.tar.zst")) }

func (b bench) cold() work {
	return work{
		name: "build, cold", goal: 1,
		ours: func(int) []string { return b.build("v1", "cold", "off") },
		peer: b.tar,
		sizes: func() (int64, int64, error) {
			ours, err := os.Stat(b.out("cold/releases/v1/wordpress.tar.zst"))
			if err != nil {
				return 0, 0, err
			}
			peer, err := os.Stat(b.out("peer.tar.zst"))
			if err != nil {
				return 0, 0, err
			}
			return ours.Size(), peer.Size(), nil
		},
	}
}

func (b bench) unchanged() work {
	return work{
		name: "build, nothing changed", goal: 0.08,
		ours: func(int) []string { return b.remembering("v1") }, peer: b.tar,
		ready: b.remember,
	}
}

// nextVersion writes a new artifact of an unchanged tree.
func (b bench) nextVersion() work {
	return work{
		name: "build, nothing changed, next version",
		ours: func(round int) []string { return b.remembering(fmt.Sprintf("v%d", round+2)) }, peer: b.tar,
		ready: b.remember,
	}
}

// oneFile changes a file of the corpus before each round.
func (b bench) oneFile() work {
	return work{
		name: "build, one file changed", goal: 0.15,
		ours: func(int) []string { return b.remembering("v1") }, peer: b.tar,
		ready: func(ctx context.Context, round int) error {
			if err := b.remember(ctx, round); err != nil {
				return err
			}
			name, err := b.corpus.phpFile()
			if err != nil {
				return err
			}
			return changeLastLine(name, fmt.Sprintf("// bench %d", round))
		},
	}
}

// freshCheckout gives every file a new time, as a checkout would.
func (b bench) freshCheckout() work {
	return work{
		name: "build, fresh checkout", goal: 0.45,
		ours: func(int) []string { return b.remembering("v1") }, peer: b.tar,
		ready: func(ctx context.Context, round int) error {
			if err := b.remember(ctx, round); err != nil {
				return err
			}
			return filepath.WalkDir(b.corpus.Tree, func(p string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return err
				}
				now := time.Now()
				return os.Chtimes(p, now, now)
			})
		},
	}
}

// remember builds until nothing is too young to be remembered.
func (b bench) remember(ctx context.Context, _ int) error {
	if _, err := spend(ctx, b.remembering("v1")); err != nil {
		return err
	}
	_, err := spend(ctx, b.remembering("v1"))
	return err
}

// changeLastLine puts a line in the place of the one it put there before.
func changeLastLine(name, line string) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if i := bytes.LastIndex(b, []byte("\n// bench ")); i >= 0 {
		b = b[:i]
	}
	return os.WriteFile(name, append(b, "\n"+line...), 0o644)
}

// fetch unpacks into a new directory each round: nothing is deleted between
// timings.
func (b bench) fetch() work {
	return work{
		name: "fetch to a verified, synced directory", goal: 0.6,
		ours: func(round int) []string {
			return []string{b.wpbake, "fetch", "v1", b.out(fmt.Sprintf("fetched/%d", round)), "--quiet", "--store", "dir://" + b.out("cold")}
		},
		peer: func(round int) []string {
			return shell(tarUnpack, b.out(fmt.Sprintf("untarred/%d", round)), b.out("peer.tar.zst"))
		},
	}
}
