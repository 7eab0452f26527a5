package main

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
)

// publishing names a version that no round before has published.
func (b *bench) publishing(what string, cache string) command {
	return func(round int) []string {
		return b.publishAs(fmt.Sprintf("%s-%d", what, round), cache)
	}
}

func (b *bench) publishAs(version, cache string) []string {
	return append([]string{b.wpbake, "publish", version, "--quiet", "--tree", b.corpus.Tree,
		"--store", b.cloud.store(b.corpus.Name), "--cache", cache}, asChecked()...)
}

// peerObject is where peers keep what they upload.
func (c corpus) peerObject(what string, round int) string {
	return fmt.Sprintf("s3://%s/peer/%s-%s-%d", bucket, c.Name, what, round)
}

func (c corpus) tarUploads(what string) []peer {
	return []peer{{"tar | zstd | aws s3 cp -", func(round int) []string {
		return shell(tarUpload, c.Tree, c.peerObject(what, round))
	}}}
}

// publish builds and publishes as one stream.
func (b *bench) publish() work {
	goal := 0.95
	if b.corpus.Name == "small" {
		goal = 0.6
	}
	return work{
		name: "publish, cold", goal: goal, memory: buildMemory,
		ours: b.publishing("cold", "off"), peers: b.corpus.tarUploads("cold"),
	}
}

func (b *bench) publishOneFile() work {
	return work{
		name: "publish, one file changed", goal: 0.3, memory: buildMemory,
		ours: b.publishing("one", b.out("cache")), peers: b.corpus.tarUploads("one"),
		ready: func(ctx context.Context, round int) error {
			if err := b.remember(ctx, round); err != nil {
				return err
			}
			return b.corpus.changeFile(round)
		},
	}
}

// delta fetches a version with the one before at hand, and counts bytes.
func (b *bench) delta(name string, goal float64, change func(round int) error) work {
	slug := filepath.Base(filepath.Clean(name[len("delta, one "):]))[:4]
	version := func(round int) string { return fmt.Sprintf("delta-%s-%d", slug, round) }
	kept := func(round int) string { return b.out(fmt.Sprintf("%s.tar.zst", version(round))) }
	publish := func(ctx context.Context, round int) error {
		_, err := b.cloud.env.run(ctx, b.publishAs(version(round), b.out("cache")))
		return err
	}
	return work{
		name: name, goal: goal, memory: nodeMemory,
		ready: func(ctx context.Context, round int) error {
			if round == 0 {
				if err := publish(ctx, -1); err != nil {
					return err
				}
				argv := []string{b.wpbake, "fetch", version(-1), b.out("delta-" + slug + "-base"), "--quiet", "--as", "erofs",
					"--store", b.cloud.store(b.corpus.Name), "--keep", kept(-1)}
				if _, err := b.cloud.env.run(ctx, argv); err != nil {
					return err
				}
			}
			if err := change(round); err != nil {
				return err
			}
			return publish(ctx, round)
		},
		ours: func(round int) []string {
			return []string{b.wpbake, "fetch", version(round), b.out(fmt.Sprintf("delta-%s-%d", slug, round)), "--json", "--quiet", "--as", "erofs",
				"--store", b.cloud.store(b.corpus.Name), "--base", kept(round - 1), "--keep", kept(round)}
		},
		share: downloaded,
	}
}

// downloaded is the share of an artifact's bytes that a fetch did not have.
func downloaded(printed []byte) (float64, error) {
	var said struct{ Downloaded, Reused int64 }
	if err := json.Unmarshal(printed, &said); err != nil {
		return 0, fmt.Errorf("reading what fetch printed: %w", err)
	}
	if said.Downloaded+said.Reused == 0 {
		return 0, fmt.Errorf("fetch printed no bytes: %s", printed)
	}
	return float64(said.Downloaded) / float64(said.Downloaded+said.Reused), nil
}
