package main

import (
	"fmt"
	"os"
	"path/filepath"
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
	return []work{b.cold(), b.fetch()}
}

// bench names the files of one corpus's works.
type bench struct {
	options
	corpus  corpus
	scratch string
}

func (b bench) out(name string) string { return filepath.Join(b.scratch, name) }

func (b bench) build(out string, more ...string) []string {
	return append([]string{b.wpbake, "build", "v1", "--quiet", "--tree", b.corpus.Tree, "--out", b.out(out)}, more...)
}

func (b bench) tar(int) []string { return shell(tarZstd, b.corpus.Tree, b.out("peer.tar.zst")) }

func (b bench) cold() work {
	return work{
		name: "build, cold", goal: 1,
		ours: func(int) []string { return b.build("cold") },
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
