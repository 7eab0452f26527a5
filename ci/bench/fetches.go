package main

import (
	"context"
	"fmt"
	"os"
)

// fetches measure getting a release that was published once for all of them.
type fetches struct {
	*bench
	url string // of the peer's artifact; empty until it is there
	sum string // its SHA-256
}

// unpacks are peers that fetch, unpack and sync, into a new directory each
// round: nothing is deleted between timings.
func (f *fetches) unpacks(what string) []peer {
	object := f.corpus.peerObject("fetched", 0)
	dir := func(name string, round int) string { return f.out(fmt.Sprintf("%s/%s/%d", what, name, round)) }
	return []peer{
		{"aws s3 cp - | tar --zstd", func(round int) []string { return shell(awsUnpack, dir("aws", round), object) }},
		{"s5cmd, sha256sum -c, tar --zstd", func(round int) []string { return shell(s5Unpack, dir("s5cmd", round), object, f.sum) }},
		{"curl | zstd -d | tar", func(round int) []string { return shell(curlUnpack, dir("curl", round), f.url) }},
	}
}

func (f *fetches) into(round int, what string, more ...string) []string {
	return append([]string{f.wpbake, "fetch", "fetched-0", f.out(fmt.Sprintf("%s/ours-%d", what, round)), "--quiet",
		"--store", f.cloud.store(f.corpus.Name)}, more...)
}

// publish publishes what fetches read, ours and the peers', once for all of
// them; it lets curl get the peers' artifact, and s5cmd's user compare it.
func (f *fetches) publish(ctx context.Context, _ int) (err error) {
	if f.sum != "" {
		return nil
	}
	for _, argv := range [][]string{f.publishing("fetched", "off")(0), f.corpus.tarUploads("fetched")[0].command(0)} {
		if _, err := f.cloud.env.run(ctx, argv); err != nil {
			return err
		}
	}
	object := f.corpus.peerObject("fetched", 0)
	if f.url, err = f.cloud.presign(ctx, object); err != nil {
		return err
	}
	f.sum, err = f.cloud.sum(ctx, object)
	return err
}

func (f *fetches) directory() work {
	return work{
		name: "fetch to a verified, synced directory", goal: 0.6, memory: nodeMemory, ready: f.publish,
		ours:  func(round int) []string { return f.into(round, "dir") },
		peers: f.unpacks("dir"),
	}
}

// image also mounts the image, which takes root. The mounts of the rounds
// before end when the next is ready, and the last with the scratch directory.
func (f *fetches) image() work {
	const line = `"$@" && mkdir "$0.mounted" && mount -t erofs -o ro,loop "$0" "$0.mounted"`
	return work{
		name: "fetch to a mounted, verified image", goal: 0.4, memory: nodeMemory, ready: f.publish,
		ours: func(round int) []string {
			fetch := f.into(round, "image", "--as", "erofs")
			if os.Getuid() != 0 {
				return fetch
			}
			return shell(line, append([]string{fetch[3]}, fetch...)...)
		},
		peers: f.unpacks("image"),
	}
}
