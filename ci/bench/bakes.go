package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// ebsBlock is what snapshots are written by, in bytes.
const ebsBlock = 512 << 10

// bakes measure release volumes: the time and calls of one beside Packer's
// image, and the blocks that a change costs.
func (b *bench) bakes() []work {
	works := []work{b.bakeVolume()}
	for _, change := range []struct {
		name string
		make func(round int) error
	}{
		{"one file", b.corpus.changeFile}, {"one plugin", b.corpus.changePlugin}, {fmt.Sprintf("%d core files and a new one", minorUpdate), b.corpus.changeCore},
	} {
		works = append(works, b.differingBlocks(change.name, change.make), b.inheritedBlocks(change.name, change.make))
	}
	return works
}

// bake is the command line of a bake.
func (b *bench) bake(version, as string, more ...string) []string {
	return append([]string{b.wpbake, "bake", version, "--as", as, "--json", "--store", b.cloud.store(b.corpus.Name)}, more...)
}

// publishing anew gives each round a version that was never baked.
func (b *bench) anew(what string, change func(int) error) func(ctx context.Context, round int) error {
	return func(ctx context.Context, round int) error {
		if err := change(round); err != nil {
			return err
		}
		_, err := b.cloud.env.run(ctx, b.publishAs(fmt.Sprintf("%s-%d", what, round), b.out("cache")))
		return err
	}
}

func (b *bench) bakeVolume() work {
	w := work{
		name: "bake, release volume", memory: buildMemory, calls: b.cloud.calls,
		ours:  func(round int) []string { return b.bake(fmt.Sprintf("baked-%d", round), "volume") },
		ready: b.anew("baked", b.corpus.changeFile),
	}
	if b.packer != "" {
		w.peers = []peer{{"packer build", func(round int) []string {
			return append(b.bake(fmt.Sprintf("baked-%d", round), "ami"), b.packing()...)
		}}}
	}
	return w
}

// packing are the flags of a bake through Packer on the local cloud, whose
// images are this machine.
func (b *bench) packing() []string {
	return []string{"--packer-program", b.packer, "--packer-wpbake", b.wpbake, "--packer-base-image", "ami-0123456789abcdef0",
		"--packer-ssh-user", "root", "--packer-ssh-port", strconv.Itoa(b.cloud.sshPort)}
}

// differingBlocks compares the images of two releases, block by block, as they
// are laid out without regard to each other.
func (b *bench) differingBlocks(name string, change func(int) error) work {
	slug := "differ-" + label(name)
	image := func(round int) string { return b.out(fmt.Sprintf("%s-%d", slug, round)) }
	newest := 0
	return work{
		name: "bake, blocks that differ, " + name, ready: b.anew(slug, change),
		ours: func(round int) []string {
			newest = round
			return []string{b.wpbake, "fetch", fmt.Sprintf("%s-%d", slug, round), image(round), "--quiet", "--as", "erofs",
				"--store", b.cloud.store(b.corpus.Name)}
		},
		share: func([]byte) (float64, error) { return differ(image(newest-1), image(newest)) },
	}
}

// inheritedBlocks bakes each round after the one before.
func (b *bench) inheritedBlocks(name string, change func(int) error) work {
	slug := "parent-" + label(name)
	version := func(round int) string { return fmt.Sprintf("%s-%d", slug, round) }
	whole := 0
	return work{
		name: "bake, blocks with --parent, " + name, ready: func(ctx context.Context, round int) error {
			if round == 0 {
				if err := b.anew(slug, change)(ctx, -1); err != nil {
					return err
				}
				said, err := b.cloud.env.run(ctx, b.bake(version(-1), "volume"))
				if err != nil {
					return err
				}
				if whole, err = blocksIn(said); err != nil {
					return err
				}
			}
			return b.anew(slug, change)(ctx, round)
		},
		ours: func(round int) []string { return b.bake(version(round), "volume", "--parent", version(round-1)) },
		share: func(printed []byte) (float64, error) {
			n, err := blocksIn(printed)
			return float64(n) / float64(whole), err
		},
	}
}

// label is a text as part of a version.
func label(text string) string { return strings.ReplaceAll(text, " ", "-") }

// blocksIn reads how many blocks a bake has written.
func blocksIn(printed []byte) (int, error) {
	var said struct{ Blocks int }
	if err := json.Unmarshal(printed, &said); err != nil || said.Blocks == 0 {
		return 0, fmt.Errorf("reading what bake printed: %s, %w", printed, err)
	}
	return said.Blocks, nil
}

// differ is the share of a file's blocks that are not as in another.
func differ(before, after string) (float64, error) {
	old, err := os.Open(before)
	if err != nil {
		return 0, err
	}
	defer old.Close()
	now, err := os.Open(after)
	if err != nil {
		return 0, err
	}
	defer now.Close()
	a, b := make([]byte, ebsBlock), make([]byte, ebsBlock)
	for all, changed := 0.0, 0.0; ; all++ {
		n, err := io.ReadFull(now, b)
		if errors.Is(err, io.EOF) {
			return changed / all, nil
		}
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return 0, err
		}
		m, err := io.ReadFull(old, a)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return 0, err
		}
		if !bytes.Equal(a[:m], b[:n]) {
			changed++
		}
	}
}
