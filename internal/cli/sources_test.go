package cli

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/spf13/cobra"
)

// write makes a configuration in a folder of its own.
func write(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "wpbake.yaml")
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

func environ(values map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { v, ok := values[name]; return v, ok }
}

func TestFlagsWinOverTheEnvironmentAndThatOverTheFile(t *testing.T) {
	file := write(t, "group: file\nstore: s3://file/x\nregion: eu-file-1\nexclude: [a, b]\nrefresh:\n  bake_time: 10m\n  checkpoints: [20, 100]\n")
	s := &Sources{Env: environ(map[string]string{
		"WPBAKE_STORE": "s3://env/x", "WPBAKE_REGION": "eu-env-1", "WPBAKE_POLL": "", "WPBAKE_EXCLUDE": "c,d", "HOME": "/home/ada",
	}), File: file}
	cmd := &cobra.Command{Use: "x", Run: func(*cobra.Command, []string) {}}
	s.AddFlags(cmd, "region", "exclude", "refresh.bake_time")
	s.AddFlagAs(cmd, "bake.as", "as")
	cmd.SetArgs([]string{"--region", "eu-flag-1", "--exclude", "e", "--exclude", "f,g", "--as", "VOLUME"})
	if err := cmd.Execute(); err != nil {
		t.Fatal(err)
	}
	got, err := s.Load()
	if err != nil {
		t.Fatal(err)
	}
	bakeTime := 10 * time.Minute
	want := Config{
		Group: "file", Store: "s3://env/x", Region: "eu-flag-1", Exclude: []string{"e", "f", "g"},
		Cache: "/home/ada/.cache/wpbake", Bake: BakeConfig{As: AsVolume},
	}
	want.Refresh.BakeTime, want.Refresh.Checkpoints = &bakeTime, []int{20, 100}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Config{})); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	if s.ByFlag("region") != "eu-flag-1" || s.ByFlag("store") != "" {
		t.Errorf("by flag: region %q, store %q", s.ByFlag("region"), s.ByFlag("store"))
	}
	without, err := s.LoadWithoutFile()
	if err != nil || without.Group != "" || without.Region != "eu-flag-1" {
		t.Errorf("without the file: %+v, %v", without, err)
	}
}

func TestPathsOfTheFileAreTakenFromItsFolder(t *testing.T) {
	file := write(t, "tree: site\ncache: .cache\ncheck:\n  node: etc\n  checksums: /abs\npacker:\n  template: my.pkr.hcl\n")
	dir := filepath.Dir(file)
	s := &Sources{File: file, RelativeTree: func(dir, tree string) string { return "tree of " + dir + ": " + tree }}
	cfg, err := s.Load()
	if err != nil {
		t.Fatal(err)
	}
	got := []string{cfg.Tree, cfg.Cache, cfg.Check.Node, cfg.Check.Checksums, cfg.Packer.Template, cfg.Packer.Wpbake}
	want := []string{"tree of " + dir + ": site", dir + "/.cache", dir + "/etc", "/abs", dir + "/my.pkr.hcl", ""}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("paths (-want +got):\n%s", diff)
	}
}

func TestCache(t *testing.T) {
	for name, tt := range map[string]struct {
		env  map[string]string
		want string
	}{
		"nobody said anything": {map[string]string{"HOME": "/home/ada"}, "/home/ada/.cache/wpbake"},
		"XDG":                  {map[string]string{"HOME": "/home/ada", "XDG_CACHE_HOME": "/cache"}, "/cache/wpbake"},
		"XDG must be absolute": {map[string]string{"HOME": "/home/ada", "XDG_CACHE_HOME": "cache"}, "/home/ada/.cache/wpbake"},
		"named":                {map[string]string{"HOME": "/home/ada", "WPBAKE_CACHE": "/mnt/c"}, "/mnt/c"},
		"off":                  {map[string]string{"HOME": "/home/ada", "WPBAKE_CACHE": "off"}, ""},
		"no home":              {nil, ""},
	} {
		cfg, err := (&Sources{Env: environ(tt.env)}).LoadWithoutFile()
		if err != nil || cfg.Cache != tt.want {
			t.Errorf("%s: cache %q, %v; want %q", name, cfg.Cache, err, tt.want)
		}
	}
}

// Every error of a file names its line, and a word that is nearly right.
func TestFileIsReadStrictly(t *testing.T) {
	for text, want := range map[string]string{
		"group: shop\ngruop: x":                              `:2: unknown key "gruop"; did you mean "group"?`,
		"refresh:\n  bake_tme: 1m":                           `:2: unknown key "refresh.bake_tme"; did you mean "refresh.bake_time"?`,
		"group: shop\ngroup: shop2":                          `:2: mapping key "group" already defined at [1:1]; the file is YAML with lines such as "group: shop"`,
		"group: [a, b]":                                      ":1: group is one value, not a list; the Auto Scaling group",
		"group:":                                             ":1: group has no value; the Auto Scaling group",
		"group: &a shop":                                     ":1: group is not a plain value; the Auto Scaling group",
		"group: a/../b":                                      `:1: group "a/../b": want no empty or dotted part between slashes; the Auto Scaling group`,
		"poll: 1ms":                                          `:1: poll "1ms": want a duration such as 90s or 5m, from 10ms to 10m; time between two looks at the group (default 10s)`,
		"group: shop\n---\ngroup: shop":                      ":3: a second document; keep one document in the file",
		"waivers: T07":                                       `:1: waivers is a list; each waiver is "- id: T07" with path and reason below`,
		"waivers:\n- id: T07\n  path: a":                     `:2: a waiver needs id, path and reason; each waiver is "- id: T07" with path and reason below`,
		"waivers:\n- id: T7\n  path: a\n  reason: b":         `:2: there is no rule "T7"; did you mean`,
		"waivers:\n- id: T07\n  path: /a\n  reason: b":       `:2: path "/a" of a waiver: want a path below the tree`,
		"waivers:\n- idd: T07":                               `:2: unknown key "idd" of a waiver`,
		"bake:\n  accounts: [1]":                             `:2: bake.accounts "1": "1": want an account id of 12 digits`,
		"bake:\n  regions: [Frankfurt]":                      `"Frankfurt": want a region such as eu-west-1`,
		"packer:\n  ssh_port: 70000":                         "want a port from 1 to 65535",
		"carry_assets: latest":                               "want a published version, current or off",
		"refresh:\n  checkpoints: [50, 20, 100]":             "want ascending percentages from 1 to 100, the last one 100",
		"refresh:\n  checkpoints: [50]":                      "want ascending percentages from 1 to 100, the last one 100",
		"refresh:\n  checkpoint_delay: 1m":                   "refresh.checkpoint_delay is set without refresh.checkpoints",
		"refresh: {min_healthy: 50, max_healthy: 200}":       "refresh.max_healthy 200 is more than 100 above refresh.min_healthy 50",
		"bake: {kms_key: default, accounts: '123456789012'}": "what the account's default key encrypts cannot be shared",
	} {
		_, err := (&Sources{File: write(t, text)}).Load()
		if ExitCode(err) != ExitUsage {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got := err.Error() + "; " + HintOf(err); !strings.Contains(got, want) {
			t.Errorf("%q says %q, want %q", text, got, want)
		}
	}
}

func TestFileThatOthersCouldHaveWrittenIsRefused(t *testing.T) {
	dir := t.TempDir()
	name := func(n string) string { return filepath.Join(dir, n) }
	for _, err := range []error{
		os.WriteFile(name("open.yaml"), nil, 0o644), os.Chmod(name("open.yaml"), 0o666),
		os.Symlink(write(t, ""), name("link.yaml")), syscall.Mkfifo(name("fifo.yaml"), 0o644),
		os.WriteFile(name("good.yaml"), nil, 0o644), os.Symlink("good.yaml", name("near.yaml")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for file, want := range map[string]string{
		"open.yaml": "can be written by everybody", "link.yaml": "is a link out of its folder", "fifo.yaml": "is not a file",
		"none.yaml": "no such file", "good.yaml": "", "near.yaml": "",
	} {
		_, err := (&Sources{File: name(file)}).Load()
		switch {
		case want == "" && err != nil, want != "" && (ExitCode(err) != ExitUsage || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, want %q", file, err, want)
		}
	}
	t.Chdir(dir)
	if _, err := (&Sources{}).Load(); err != nil {
		t.Errorf("the default need not be there: %v", err)
	}
}

func TestNeed(t *testing.T) {
	cfg := Config{Store: "s3://releases/shop", file: "wpbake.yaml", read: true}
	if err := cfg.Need("store"); err != nil {
		t.Error(err)
	}
	err := cfg.Need("store", "group")
	if ExitCode(err) != ExitUsage || !strings.Contains(err.Error(), "no --group, no WPBAKE_GROUP, and wpbake.yaml does not name one") {
		t.Errorf("a missing group: %v", err)
	}
	if got, want := HintOf(err), `add --group shop, or the line "group: shop" to wpbake.yaml`; got != want {
		t.Errorf("hint %q, want %q", got, want)
	}
}

// A setting goes by one key everywhere, and says in help what it takes.
func TestSettings(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range settings() {
		if seen[s.key] || s.kind == "" || s.usage == "" || s.set == nil {
			t.Errorf("setting %+v", s)
		}
		seen[s.key] = true
	}
	s := setting{key: "refresh.bake_time"}
	if s.flag() != "refresh-bake-time" || s.env() != "WPBAKE_REFRESH_BAKE_TIME" {
		t.Errorf("flag %q, environment %q", s.flag(), s.env())
	}
}

func TestBakeConfig(t *testing.T) {
	for _, tt := range []struct {
		cfg       BakeConfig
		budget    time.Duration
		encrypted bool
		key       string
	}{
		{BakeConfig{As: AsVolume}, 30 * time.Minute, false, ""},
		{BakeConfig{As: AsAMI, KMSKey: keyDefault}, time.Hour, true, ""},
		{BakeConfig{As: AsAMI, KMSKey: "arn:x", Timeout: time.Minute}, time.Minute, true, "arn:x"},
	} {
		if b := tt.cfg; b.Budget() != tt.budget || b.Encrypted() != tt.encrypted || b.Key() != tt.key {
			t.Errorf("%+v: budget %s, encrypted %v, key %q", b, b.Budget(), b.Encrypted(), b.Key())
		}
	}
}
