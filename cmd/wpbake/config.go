package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/wpbake/wpbake/artifact/source"
	"github.com/wpbake/wpbake/rollout"
	"github.com/wpbake/wpbake/wordpress"
)

const defaultConfig = "wpbake.yaml"

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
	Cache       string
	CarryAssets string // a version, carryCurrent or carryOff
	Refresh     rollout.RefreshOptions
	FirstNode   time.Duration
	Poll        time.Duration
	Lease       time.Duration
	Check       CheckConfig
	Bake        BakeConfig
	Packer      PackerConfig
	Waivers     []wordpress.Waiver // in the file only, so that they are reviewed

	DatabaseCommand  []string // how wpbake's node commands get to a node
	DatabaseSnapshot []string

	file string // the file that was read, or looked for in vain
	read bool
}

// CheckConfig is what a tree is checked against.
type CheckConfig struct {
	PHP       string // a program, or off
	Node      string // directory of the nodes' configuration
	NodePHP   string // version
	Cron      string // who runs it
	Checksums string // directory
	Strict    bool
}

// settingFlags adds the flags of settings to a command.
func (c *cli) settingFlags(cmd *cobra.Command, keys ...string) {
	for _, s := range settings() {
		if slices.Contains(keys, s.key) {
			cmd.Flags().Var(&settingFlag{c: c, setting: s, name: s.flag()}, s.flag(), s.usage)
		}
	}
}

// settingFlagAs adds the flag of one setting under a shorter name.
func (c *cli) settingFlagAs(cmd *cobra.Command, key, name string) {
	for _, s := range settings() {
		if s.key == key {
			cmd.Flags().Var(&settingFlag{c: c, setting: s, name: name}, name, s.usage)
		}
	}
}

// settingFlag keeps a flag's text until all sources are read together.
type settingFlag struct {
	c       *cli
	setting setting
	name    string
}

func (f *settingFlag) String() string { return "" }
func (f *settingFlag) Type() string   { return f.setting.kind }

func (f *settingFlag) Set(text string) error {
	if old, again := f.c.overrides[f.setting.key]; again && f.setting.list {
		text = old + "," + text
	}
	f.c.overrides[f.setting.key], f.c.flagNames[f.setting.key] = text, f.name
	return nil
}

// config reads the file, then the environment, then flags, and checks what came
// of it. Every error is a usage error: nothing has been called yet.
func (c *cli) config() (Config, error) {
	cfg := Config{file: c.flags.config}
	if cfg.file == "" {
		cfg.file = defaultConfig
	}
	if err := c.readFile(&cfg); err != nil {
		return Config{}, err
	}
	err := c.override(&cfg)
	return cfg, err
}

// override takes the environment, then flags, into cfg and checks the whole.
func (c *cli) override(cfg *Config) error {
	for _, s := range settings() {
		if text, set := c.Env(s.env()); set && text != "" {
			if err := s.apply(cfg, s.env(), text); err != nil {
				return err
			}
		}
		if text, set := c.overrides[s.key]; set {
			if err := s.apply(cfg, "--"+c.flagNames[s.key], text); err != nil {
				return err
			}
		}
	}
	return cfg.validate()
}

func (c *cli) readFile(cfg *Config) error {
	data, err := readConfig(cfg.file)
	if errors.Is(err, fs.ErrNotExist) && c.flags.config == "" {
		return nil
	}
	if err != nil {
		return err
	}
	cfg.read = true
	if err := parseConfig(cfg, data); err != nil {
		return err
	}
	if cfg.Tree != "" {
		cfg.Tree = source.In(filepath.Dir(cfg.file), cfg.Tree)
	}
	if cfg.Cache != noCache {
		cfg.beside(&cfg.Cache)
	}
	cfg.beside(&cfg.Check.Node)
	cfg.beside(&cfg.Check.Checksums)
	cfg.beside(&cfg.Packer.Template)
	cfg.beside(&cfg.Packer.Wpbake)
	return nil
}

// beside takes a relative path of the file from the file's directory.
func (cfg *Config) beside(dir *string) {
	if *dir != "" && !filepath.IsAbs(*dir) {
		*dir = filepath.Join(filepath.Dir(cfg.file), *dir)
	}
}

// readConfig refuses a file that somebody else could have written: what it
// says is run with the reader's rights.
func readConfig(name string) ([]byte, error) {
	real, err := filepath.EvalSymlinks(name)
	if err != nil {
		return nil, &usageError{err: fmt.Errorf("reading configuration: %w", err), hint: "--config FILE names another one"}
	}
	info, err := os.Stat(real)
	switch {
	case err != nil:
		return nil, &usageError{err: fmt.Errorf("reading configuration: %w", err)}
	case !info.Mode().IsRegular():
		return nil, &usageError{err: fmt.Errorf("configuration %q is not a file", name), hint: "--config FILE names another one"}
	case info.Mode().Perm()&0o002 != 0:
		return nil, &usageError{err: fmt.Errorf("configuration %q can be written by everybody", name), hint: "chmod o-w " + name}
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(name))
	if err != nil {
		return nil, &usageError{err: fmt.Errorf("reading configuration: %w", err)}
	}
	if rel, err := filepath.Rel(dir, real); err != nil || !filepath.IsLocal(rel) {
		return nil, &usageError{err: fmt.Errorf("configuration %q is a link out of its folder, to %q", name, real), hint: "--config " + real}
	}
	data, err := os.ReadFile(real)
	if err != nil {
		return nil, &usageError{err: fmt.Errorf("reading configuration: %w", err)}
	}
	return data, nil
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
	return &usageError{err: fmt.Errorf(format, args...), hint: "change it in " + cfg.file + ", or by flag or environment"}
}

// need refuses a missing value and says where it can be given.
func (cfg Config) need(keys ...string) error {
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
		return &usageError{
			err:  fmt.Errorf("no %s: no --%s, no WPBAKE_%s, and %s", key, key, strings.ToUpper(key), where),
			hint: fmt.Sprintf("add --%s %s, or the line %q to %s", key, examples[key], key+": "+examples[key], cfg.file),
		}
	}
	return nil
}
