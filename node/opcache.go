package node

import (
	"context"
	_ "embed" // the question
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/wpbake/wpbake/node/disk"
)

//go:embed opcache.php
var opcachePHP []byte

// Opcache is what PHP-FPM said of its cache of compiled code once the node was
// warm.
type Opcache struct {
	PHP      string   `json:"php"` // version that serves
	Enabled  bool     `json:"enabled"`
	Validate bool     `json:"validate_timestamps"`  // it looks at each file again and again
	Memory   int64    `json:"memory"`               // bytes, strings among them
	Free     int64    `json:"free"`                 // of these
	Strings  int64    `json:"strings"`              // bytes for interned strings
	Keys     int      `json:"keys"`                 // scripts that fit
	Scripts  int      `json:"scripts"`              // that are in it
	Files    int      `json:"files"`                // of PHP in the release
	Full     bool     `json:"full,omitempty"`       // it takes no more scripts
	OnDisk   string   `json:"file_cache,omitempty"` // directory of the second level cache
	Problems []string `json:"problems,omitempty"`   // one line each: what to set
}

// opcacheAnswer is what opcache.php prints. PHP has false where nothing is
// known.
type opcacheAnswer struct {
	PHP           string          `json:"php"`
	Configuration json.RawMessage `json:"configuration"`
	Status        json.RawMessage `json:"status"`
}

type opcacheConfiguration struct {
	Directives struct {
		Enable       bool   `json:"opcache.enable"`
		Validate     bool   `json:"opcache.validate_timestamps"`
		Memory       int64  `json:"opcache.memory_consumption"`      // bytes
		Strings      int64  `json:"opcache.interned_strings_buffer"` // MiB
		Files        int    `json:"opcache.max_accelerated_files"`
		FileCache    string `json:"opcache.file_cache"`
		SaveComments bool   `json:"opcache.save_comments"`
	} `json:"directives"`
}

type opcacheStatus struct {
	Enabled bool `json:"opcache_enabled"`
	Full    bool `json:"cache_full"`
	Memory  struct {
		Free int64 `json:"free_memory"`
	} `json:"memory_usage"`
	Statistics struct {
		Scripts int `json:"num_cached_scripts"`
		MaxKeys int `json:"max_cached_keys"`
	} `json:"opcache_statistics"`
}

// askOpcache asks PHP-FPM about its cache. dir is a directory of the node that
// PHP-FPM can read, outside of every document root.
func askOpcache(ctx context.Context, address, dir string) (o Opcache, err error) {
	script := filepath.Join(dir, "opcache.php")
	if err := disk.WriteFile(script, opcachePHP, 0o644); err != nil {
		return Opcache{}, err
	}
	defer func() { err = errors.Join(err, disk.Remove(script)) }()
	body, err := runByFPM(ctx, address, script)
	if err != nil {
		return Opcache{}, err
	}
	return parseOpcache(body)
}

func parseOpcache(body []byte) (Opcache, error) {
	var a opcacheAnswer
	if err := json.Unmarshal(body, &a); err != nil {
		return Opcache{}, fmt.Errorf("PHP-FPM's answer is not what was asked for: %s", cleanLine(string(body)))
	}
	o := Opcache{PHP: a.PHP}
	var c opcacheConfiguration
	if json.Unmarshal(a.Configuration, &c) != nil { // false: not loaded, or opcache.restrict_api
		return o, errors.New("PHP does not tell: opcache is not loaded, or opcache.restrict_api is set")
	}
	d := c.Directives
	o.Enabled, o.Validate, o.Memory, o.Strings, o.Keys, o.OnDisk = d.Enable, d.Validate, d.Memory, d.Strings<<20, d.Files, d.FileCache
	var s opcacheStatus
	if json.Unmarshal(a.Status, &s) == nil {
		o.Enabled, o.Full, o.Free, o.Scripts = s.Enabled, s.Full, s.Memory.Free, s.Statistics.Scripts
		o.Keys = s.Statistics.MaxKeys
	} else {
		o.Enabled = false
	}
	return o, nil
}

// judge says what the cache lacks for a release that never changes where it
// is, with so many files of PHP.
func (o *Opcache) judge(files int) {
	o.Files = files
	add := func(format string, args ...any) { o.Problems = append(o.Problems, fmt.Sprintf(format, args...)) }
	if !o.Enabled {
		add("opcache is off: PHP compiles WordPress for each request; set opcache.enable=1")
		return
	}
	if o.Validate {
		add("opcache.validate_timestamps=1: PHP looks at its files again and again, which never change; set it to 0")
	}
	if o.Keys < files {
		add("opcache has room for %d scripts, the release has %d files of PHP; set opcache.max_accelerated_files=%d", o.Keys, files, accelerated(files))
	}
	const spare = 10 // percent that ought to be free once a node is warm
	if o.Full || o.Memory > 0 && o.Free < o.Memory*spare/100 {
		add("opcache has %d MiB of %d MiB left with %d of %d files of PHP in it; set opcache.memory_consumption=%d",
			o.Free>>20, o.Memory>>20, o.Scripts, files, max(192, 2*o.Memory>>20))
	}
	const strings = 8 // MiB that PHP has when nobody says anything
	if o.Strings > 0 && o.Strings <= strings<<20 {
		add("opcache.interned_strings_buffer=%d is small for WordPress; set it to 32", o.Strings>>20)
	}
}

// accelerated is a setting with room for files and half as many more: PHP keeps
// a script by more names than one.
func accelerated(files int) int {
	const usual = 20000
	return max(usual, files+files/2)
}

// phpFiles counts the files of PHP below a directory.
func phpFiles(ctx context.Context, dir string) (n int, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && strings.EqualFold(filepath.Ext(d.Name()), ".php") {
			n++
		}
		if err == nil {
			err = ctx.Err()
		}
		return err
	})
	return n, err
}
