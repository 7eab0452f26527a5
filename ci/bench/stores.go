package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
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
func (b *bench) peerObject(what string, round int) string {
	return fmt.Sprintf("s3://%s/peer/%s-%s-%d", bucket, b.corpus.Name, what, round)
}

func (b *bench) tarUploads(what string) []peer {
	return []peer{{"tar | zstd | aws s3 cp -", func(round int) []string {
		return shell(tarUpload, b.corpus.Tree, b.peerObject(what, round))
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
		ours: b.publishing("cold", "off"), peers: b.tarUploads("cold"),
	}
}

func (b *bench) publishOneFile() work {
	return work{
		name: "publish, one file changed", goal: 0.3, memory: buildMemory,
		ours: b.publishing("one", b.out("cache")), peers: b.tarUploads("one"),
		ready: func(ctx context.Context, round int) error {
			if err := b.remember(ctx, round); err != nil {
				return err
			}
			return b.changeFile(round)
		},
	}
}

// unpacks are peers that fetch, unpack and sync, into a new directory each
// round: nothing is deleted between timings.
func (b *bench) unpacks(what string) []peer {
	object := b.peerObject("fetched", 0)
	dir := func(name string, round int) string { return b.out(fmt.Sprintf("%s/%s/%d", what, name, round)) }
	return []peer{
		{"aws s3 cp - | tar --zstd", func(round int) []string { return shell(awsUnpack, dir("aws", round), object) }},
		{"s5cmd, sha256sum -c, tar --zstd", func(round int) []string { return shell(s5Unpack, dir("s5cmd", round), object, b.sum) }},
		{"curl | zstd -d | tar", func(round int) []string { return shell(curlUnpack, dir("curl", round), b.url) }},
	}
}

func (b *bench) fetchInto(round int, what string, more ...string) []string {
	return append([]string{b.wpbake, "fetch", "fetched-0", b.out(fmt.Sprintf("%s/ours-%d", what, round)), "--quiet",
		"--store", b.cloud.store(b.corpus.Name)}, more...)
}

// fetchable publishes what fetches read, ours and the peers', once for all of
// them; it lets curl get the peers' artifact, and s5cmd's user compare it.
func (b *bench) fetchable(ctx context.Context, _ int) (err error) {
	if b.sum != "" {
		return nil
	}
	for _, argv := range [][]string{b.publishing("fetched", "off")(0), b.tarUploads("fetched")[0].command(0)} {
		if _, err := b.cloud.env.run(ctx, argv); err != nil {
			return err
		}
	}
	object := b.peerObject("fetched", 0)
	if b.url, err = b.cloud.presign(ctx, object); err != nil {
		return err
	}
	b.sum, err = b.cloud.sum(ctx, object)
	return err
}

func (b *bench) fetch() work {
	return work{
		name: "fetch to a verified, synced directory", goal: 0.6, memory: nodeMemory, ready: b.fetchable,
		ours:  func(round int) []string { return b.fetchInto(round, "dir") },
		peers: b.unpacks("dir"),
	}
}

// fetchImage also mounts the image, which takes root. The mounts of the rounds
// before end when the next is ready, and the last with the scratch directory.
func (b *bench) fetchImage() work {
	const line = `"$@" && mkdir "$0.mounted" && mount -t erofs -o ro,loop "$0" "$0.mounted"`
	return work{
		name: "fetch to a mounted, verified image", goal: 0.4, memory: nodeMemory, ready: b.fetchable,
		ours: func(round int) []string {
			fetch := b.fetchInto(round, "image", "--as", "erofs")
			if os.Getuid() != 0 {
				return fetch
			}
			return shell(line, append([]string{fetch[3]}, fetch...)...)
		},
		peers: b.unpacks("image"),
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
