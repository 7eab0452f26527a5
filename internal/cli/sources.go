package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"
)

// Sources are where settings come from: flags win over the environment, the
// environment over the file. The zero value has no flags and reads no
// environment.
type Sources struct {
	// Env reads an environment variable.
	Env func(name string) (value string, set bool)
	// File is the configuration's name, empty for the default, which need not
	// be there.
	File string
	// RelativeTree takes the tree that a file names from the file's directory.
	// How a tree is written is not known here.
	RelativeTree func(dir, tree string) string

	flags map[string]given
}

// given is what a flag says.
type given struct{ flag, text string }

// AddFlags adds the flags of settings to a command.
func (s *Sources) AddFlags(cmd *cobra.Command, keys ...string) {
	for _, one := range settings() {
		if slices.Contains(keys, one.key) {
			s.addFlag(cmd, one, one.flag())
		}
	}
}

// AddFlagAs adds the flag of one setting under a shorter name.
func (s *Sources) AddFlagAs(cmd *cobra.Command, key, name string) {
	for _, one := range settings() {
		if one.key == key {
			s.addFlag(cmd, one, name)
		}
	}
}

func (s *Sources) addFlag(cmd *cobra.Command, one setting, name string) {
	cmd.Flags().Var(&settingFlag{sources: s, setting: one, name: name}, name, one.usage)
}

// Set says a setting as a flag would: an argument may stand for a flag.
func (s *Sources) Set(key, flag, text string) {
	if s.flags == nil {
		s.flags = map[string]given{}
	}
	s.flags[key] = given{flag, text}
}

// ByFlag is the text that a flag gave a setting, empty when none did.
func (s *Sources) ByFlag(key string) string { return s.flags[key].text }

// settingFlag keeps a flag's text until all sources are read together.
type settingFlag struct {
	sources *Sources
	setting setting
	name    string
}

func (f *settingFlag) String() string { return "" }
func (f *settingFlag) Type() string   { return f.setting.kind }

func (f *settingFlag) Set(text string) error {
	if old, again := f.sources.flags[f.setting.key]; again && f.setting.list {
		text = old.text + "," + text
	}
	f.sources.Set(f.setting.key, f.name, text)
	return nil
}

// Load reads the file, then the environment, then flags, and checks what came
// of it. Every error is a usage error: nothing has been called yet.
func (s *Sources) Load() (Config, error) {
	cfg := Config{file: s.File}
	if cfg.file == "" {
		cfg.file = defaultFile
	}
	if err := s.readFile(&cfg); err != nil {
		return Config{}, err
	}
	err := s.override(&cfg)
	return cfg, err
}

// LoadWithoutFile reads the environment and flags alone. A node's decisions
// stand in its user data, not in a file that happens to lie in its working
// directory.
func (s *Sources) LoadWithoutFile() (Config, error) {
	var cfg Config
	err := s.override(&cfg)
	return cfg, err
}

// override takes the environment, then flags, into cfg and checks the whole.
func (s *Sources) override(cfg *Config) error {
	for _, one := range settings() {
		if text := s.env(one.env()); text != "" {
			if err := one.apply(cfg, one.env(), text); err != nil {
				return err
			}
		}
		if g, set := s.flags[one.key]; set {
			if err := one.apply(cfg, "--"+g.flag, g.text); err != nil {
				return err
			}
		}
	}
	cfg.Cache = s.cacheDir(cfg.Cache)
	return cfg.validate()
}

func (s *Sources) env(name string) string {
	if s.Env == nil {
		return ""
	}
	value, _ := s.Env(name)
	return value
}

// cacheDir is where builds are remembered, or empty.
func (s *Sources) cacheDir(said string) string {
	switch said {
	case Off:
		return ""
	case "":
	default:
		return said
	}
	if cache := s.env("XDG_CACHE_HOME"); filepath.IsAbs(cache) {
		return filepath.Join(cache, "wpbake")
	}
	if home := s.env("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, ".cache", "wpbake")
	}
	return ""
}

func (s *Sources) readFile(cfg *Config) error {
	data, err := readConfig(cfg.file)
	if errors.Is(err, fs.ErrNotExist) && s.File == "" {
		return nil
	}
	if err != nil {
		return err
	}
	cfg.read = true
	if err := parseConfig(cfg, data); err != nil {
		return err
	}
	if cfg.Tree != "" && s.RelativeTree != nil {
		cfg.Tree = s.RelativeTree(filepath.Dir(cfg.file), cfg.Tree)
	}
	if cfg.Cache != Off {
		cfg.fromFile(&cfg.Cache)
	}
	cfg.fromFile(&cfg.Check.Node)
	cfg.fromFile(&cfg.Check.Checksums)
	cfg.fromFile(&cfg.Packer.Template)
	cfg.fromFile(&cfg.Packer.Wpbake)
	return nil
}

// fromFile takes a relative path of the file from the file's directory.
func (cfg *Config) fromFile(dir *string) {
	if *dir != "" && !filepath.IsAbs(*dir) {
		*dir = filepath.Join(filepath.Dir(cfg.file), *dir)
	}
}

// readConfig refuses a file that somebody else could have written: what it
// says is run with the reader's rights.
func readConfig(name string) ([]byte, error) {
	const another = "--config FILE names another one"
	real, err := filepath.EvalSymlinks(name)
	if err != nil {
		return nil, Misuse(fmt.Errorf("reading configuration: %w", err), another)
	}
	info, err := os.Stat(real)
	switch {
	case err != nil:
		return nil, Misuse(fmt.Errorf("reading configuration: %w", err), "")
	case !info.Mode().IsRegular():
		return nil, Misuse(fmt.Errorf("configuration %q is not a file", name), another)
	case info.Mode().Perm()&0o002 != 0:
		return nil, Misuse(fmt.Errorf("configuration %q can be written by everybody", name), "chmod o-w "+name)
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(name))
	if err != nil {
		return nil, Misuse(fmt.Errorf("reading configuration: %w", err), "")
	}
	if rel, err := filepath.Rel(dir, real); err != nil || !filepath.IsLocal(rel) {
		return nil, Misuse(fmt.Errorf("configuration %q is a link out of its folder, to %q", name, real), "--config "+real)
	}
	data, err := os.ReadFile(real)
	if err != nil {
		return nil, Misuse(fmt.Errorf("reading configuration: %w", err), "")
	}
	return data, nil
}
