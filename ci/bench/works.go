package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Goals of memory: what a build and a node may take at any tree's size.
const (
	buildMemory = 256 << 20
	nodeMemory  = 64 << 20
)

// peers are shell lines; $0 is a corpus's tree, $1 what to write.
const (
	tarZstd   = `tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -C "$0" -cf - . | zstd -q -f -T0 -3 -o "$1"`
	tarUpload = `tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -C "$0" -cf - . | zstd -q -T0 -3 | aws s3 cp --quiet - "$1"`
)

// Lines that unpack: $0 is the new directory, $1 an object or a URL, $2 the
// object's SHA-256.
const (
	awsUnpack  = `mkdir -p "$0" && aws s3 cp --quiet "$1" - | tar --zstd -x -C "$0" && sync -f "$0"`
	s5Unpack   = `mkdir -p "$0" && s5cmd --endpoint-url "$AWS_ENDPOINT_URL" cp "$1" "$0.tar.zst" >/dev/null && echo "$2  $0.tar.zst" | sha256sum -c --quiet && tar --zstd -x -C "$0" -f "$0.tar.zst" && sync -f "$0"`
	curlUnpack = `mkdir -p "$0" && curl -fsS "$1" | zstd -q -d | tar -x -C "$0" && sync -f "$0"`
)

func shell(line string, args ...string) []string {
	return append([]string{"bash", "-o", "pipefail", "-c", line}, args...)
}

// works lists what is measured. Each makes what it needs, so that -only can
// leave any of them out.
func (b *bench) works() []work {
	f := &fetches{bench: b}
	return append([]work{
		b.cold(), b.unchanged(), b.nextVersion(), b.oneFile(), b.freshCheckout(),
		b.publish(), b.publishOneFile(),
		f.directory(), f.image(), b.delta("delta, one file changed", 0.02, b.corpus.changeFile), b.delta("delta, one plugin updated", 0.12, b.corpus.changePlugin),
	}, b.bakes()...)
}

// bench names the files of one corpus's works.
type bench struct {
	options
	corpus  corpus
	scratch string
	cloud   *cloud
}

func (b *bench) out(name string) string { return filepath.Join(b.scratch, name) }

func (b *bench) build(version, out, cache string) []string {
	return append([]string{b.wpbake, "build", version, "--quiet", "--tree", b.corpus.Tree, "--out", b.out(out), "--cache", cache}, asChecked()...)
}

// asChecked leaves the parsing of PHP out: no peer looks at what it packs, and
// the generated plugins are no programs. All other checks run.
func asChecked() []string { return []string{"--check-php", "off", "--check-cron", "nobody"} }

// remembering builds with a cache that the round before has filled.
func (b *bench) remembering(version string) []string {
	return b.build(version, "remembered", b.out("cache"))
}

func (b *bench) tar() []peer {
	return []peer{{"tar | zstd", func(int) []string { return shell(tarZstd, b.corpus.Tree, b.out("peer.tar.zst")) }}}
}

func (b *bench) cold() work {
	return work{
		name: "build, cold", goal: 1, memory: buildMemory,
		ours:  func(int) []string { return b.build("v1", "cold", "off") },
		peers: b.tar(),
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

func (b *bench) unchanged() work {
	return work{
		name: "build, nothing changed", goal: 0.08, memory: buildMemory,
		ours: func(int) []string { return b.remembering("v1") }, peers: b.tar(),
		ready: b.remember,
	}
}

// nextVersion writes a new artifact of an unchanged tree.
func (b *bench) nextVersion() work {
	return work{
		name: "build, nothing changed, next version", memory: buildMemory,
		ours: func(round int) []string { return b.remembering(fmt.Sprintf("v%d", round+2)) }, peers: b.tar(),
		ready: b.remember,
	}
}

// oneFile changes a file of the corpus before each round.
func (b *bench) oneFile() work {
	return work{
		name: "build, one file changed", goal: 0.15, memory: buildMemory,
		ours: func(int) []string { return b.remembering("v1") }, peers: b.tar(),
		ready: func(ctx context.Context, round int) error {
			if err := b.remember(ctx, round); err != nil {
				return err
			}
			return b.corpus.changeFile(round)
		},
	}
}

// freshCheckout gives every file a new time, as a checkout would.
func (b *bench) freshCheckout() work {
	return work{
		name: "build, fresh checkout", goal: 0.45, memory: buildMemory,
		ours: func(int) []string { return b.remembering("v1") }, peers: b.tar(),
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
func (b *bench) remember(ctx context.Context, _ int) error {
	for range 2 {
		if _, err := b.cloud.env.run(ctx, b.remembering("v1")); err != nil {
			return err
		}
		time.Sleep(2 * time.Second) // what is younger is not trusted
	}
	return nil
}
