package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/wpbake/wpbake/ci/intercept"
)

// cloud is the local cloud that artifacts are published to: its S3 is what
// wpbake and its peers speak to.
type cloud struct {
	wpbake string
	dir    string
	env    env
	calls  *intercept.Proxy // between it and what is counted

	sshPort int // of instances
}

const bucket = "bench"

// startCloud starts it on a free loopback port.
func startCloud(ctx context.Context, o options) (*cloud, error) {
	c := &cloud{wpbake: o.wpbake, dir: filepath.Join(o.dir, "cloud")}
	if err := os.RemoveAll(c.dir); err != nil {
		return nil, err
	}
	if _, err := c.env.run(ctx, c.local("start", "--port", "0")); err != nil {
		return nil, err
	}
	said, err := c.env.run(ctx, c.local("env"))
	if err != nil {
		c.stop()
		return nil, err
	}
	for line := range strings.Lines(string(said)) {
		if kv, ok := strings.CutPrefix(strings.TrimSpace(line), "export "); ok {
			c.env = append(c.env, strings.ReplaceAll(kv, "'", ""))
		}
	}
	if _, err := c.env.run(ctx, []string{"aws", "s3", "mb", "s3://" + bucket}); err != nil {
		c.stop()
		return nil, fmt.Errorf("making a bucket: %w", err)
	}
	if c.sshPort, err = c.findPort(ctx); err != nil {
		c.stop()
		return nil, err
	}
	if c.calls, err = intercept.Start(c.env.value("AWS_ENDPOINT_URL")); err != nil {
		c.stop()
		return nil, err
	}
	return c, nil
}

func (c *cloud) local(args ...string) []string {
	return append([]string{c.wpbake, "local", args[0], "--dir", c.dir}, args[1:]...)
}

// stop ends the local cloud, also after an interrupt.
func (c *cloud) stop() {
	if c.calls != nil {
		_ = c.calls.Close()
	}
	if _, err := c.env.run(context.Background(), c.local("stop")); err != nil {
		fmt.Fprintln(os.Stderr, "bench: stopping the local cloud:", err)
	}
	os.RemoveAll(c.dir)
}

func (c *cloud) findPort(ctx context.Context) (int, error) {
	said, err := c.env.run(ctx, c.local("status", "--json"))
	if err != nil {
		return 0, err
	}
	var status struct {
		Port int `json:"ssh_port"`
	}
	return status.Port, json.Unmarshal(said, &status)
}

// value is a variable's.
func (e env) value(name string) string {
	for _, kv := range e {
		if v, ok := strings.CutPrefix(kv, name+"="); ok {
			return v
		}
	}
	return ""
}

// store is a place for one corpus's artifacts.
func (c *cloud) store(corpus string) string { return "s3://" + bucket + "/" + corpus }

// presign returns a URL that curl can get.
func (c *cloud) presign(ctx context.Context, object string) (string, error) {
	said, err := c.env.run(ctx, []string{"aws", "s3", "presign", object, "--expires-in", "604800"})
	return strings.TrimSpace(string(said)), err
}

// sum returns an object's SHA-256 in hexadecimal.
func (c *cloud) sum(ctx context.Context, object string) (string, error) {
	said, err := c.env.run(ctx, shell(`aws s3 cp --quiet "$0" - | sha256sum`, object))
	sum, _, _ := strings.Cut(string(said), " ")
	return sum, err
}
