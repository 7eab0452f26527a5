package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/wpbake/wpbake/rollout"
	"github.com/wpbake/wpbake/wordpress/rules"
)

const defaultFile = "wpbake.yaml"

// Off is the value that switches a setting off.
const Off = "off"

// Current is the value that stands for the version that the group runs.
const Current = "current"

// Config is what wpbake.yaml, the environment and flags say together. The zero
// value of a field means that nobody said anything.
type Config struct {
	Tree        string
	Store       string
	Group       string
	Region      string
	BucketOwner string
	BaseImage   string
	Exclude     []string
	Cache       string // directory; empty remembers nothing
	CarryAssets string // a version, Current, or empty for none
	Refresh     rollout.RefreshOptions
	FirstNode   time.Duration
	Poll        time.Duration
	Lease       time.Duration
	Check       CheckConfig
	Bake        BakeConfig
	Packer      PackerConfig
	Waivers     []rules.Waiver // in the file only, so that they are reviewed

	DatabaseCommand  []string // how wpbake's node commands get to a node
	DatabaseSnapshot []string

	file string // the file that was read, or looked for in vain
	read bool
}

// CheckConfig is what a tree is checked against.
type CheckConfig struct {
	PHP       string // a program, or Off
	Node      string // directory of the nodes' configuration
	NodePHP   string // version
	Cron      string // who runs it
	Checksums string // directory
	Strict    bool
}

// validate checks what depends on more than one value.
func (cfg Config) validate() error {
	r := cfg.Refresh
	switch {
	case r.MinHealthy != 0 && r.MaxHealthy != 0 && r.MaxHealthy-r.MinHealthy > 100:
		return cfg.wrong("refresh.max_healthy %d is more than 100 above refresh.min_healthy %d", r.MaxHealthy, r.MinHealthy)
	case r.CheckpointDelay != 0 && len(r.Checkpoints) == 0:
		return cfg.wrong("refresh.checkpoint_delay is set without refresh.checkpoints")
	case cfg.Bake.KMSKey == keyDefault && len(cfg.Bake.Accounts) > 0:
		return cfg.wrong("bake.kms_key is default, and what the account's default key encrypts cannot be shared with bake.accounts")
	}
	return nil
}

func (cfg Config) wrong(format string, args ...any) error {
	return Misuse(fmt.Errorf(format, args...), "change it in "+cfg.file+", or by flag or environment")
}

// Need refuses a missing value and says where it can be given.
func (cfg Config) Need(keys ...string) error {
	values := map[string]string{"tree": cfg.Tree, "store": cfg.Store, "group": cfg.Group}
	examples := map[string]string{"tree": "./site", "store": "s3://BUCKET/PREFIX", "group": "shop"}
	for _, key := range keys {
		if values[key] != "" {
			continue
		}
		where := fmt.Sprintf("%s does not name one", cfg.file)
		if !cfg.read {
			where = fmt.Sprintf("there is no %s here", cfg.file)
		}
		return Misuse(
			fmt.Errorf("no %s: no --%s, no WPBAKE_%s, and %s", key, key, strings.ToUpper(key), where),
			fmt.Sprintf("add --%s %s, or the line %q to %s", key, examples[key], key+": "+examples[key], cfg.file))
	}
	return nil
}
